"""Synthetic heads with exact truth: anatomy, lesions and scanner are functions of a seed, sampled where slices lie."""
