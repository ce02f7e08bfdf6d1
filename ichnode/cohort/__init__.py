"""Labelled cohorts: their table, their check, and the network inputs made from them."""
