"""Compares what the four services say of the same things; it knows all their contracts and changes nothing."""
