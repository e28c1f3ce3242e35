"""Looks at the board's pages in a real browser."""
