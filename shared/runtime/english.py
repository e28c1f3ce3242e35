"""English words beside numbers; Vietnamese has no plural."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return "1 digit", "2 digits"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
