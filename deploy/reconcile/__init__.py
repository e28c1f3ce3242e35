"""Compares what the services hold of the same things, and with the rules; it changes nothing."""
