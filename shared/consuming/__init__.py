"""Applies every event once, in order per key, or keeps it as a dead letter; a bad event does not stop other keys."""
