"""Measures weights on a labelled cohort: statistics, cases, and the page that shows them."""
