"""Tells those who report under a regime that a new version of it is published: what changes, and from when."""
