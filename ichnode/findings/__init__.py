"""Thinks about a mask: its parts, its volume, its density, where it is largest."""
