"""Entering a report: its form, the draft that is kept of it, and what is sent."""
