"""Frozen values and errors that the rooms hand to each other. Imports nothing of ours."""
