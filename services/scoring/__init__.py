"""Scoring: what every agency owes, how it stands, and what it scores, with the cause of every point."""
