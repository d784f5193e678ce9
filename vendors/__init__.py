"""Vendors: one file each, what to ask of it and what its answers mean. No I/O, no clock, no chance."""
