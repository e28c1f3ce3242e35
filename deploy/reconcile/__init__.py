"""Compares what the four services hold of the same things, and with the rules; it changes nothing."""
