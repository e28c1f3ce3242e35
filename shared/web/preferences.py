"""Reads the ranked lists by which clients say what they prefer: Accept and Accept-Language (RFC 9110 12.4.2)."""

from __future__ import annotations

from collections.abc import Iterator

#: a longer list is read up to here
MAX_CHARACTERS = 1000


def ranked(header: str) -> Iterator[tuple[str, float]]:
    """Each name in lower case with its quality from 0 to 1; an item whose quality is no such number is left out."""
    for item in header[:MAX_CHARACTERS].split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        weight = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        try:
            quality = float(weight)
        except ValueError:
            continue
        if 0 <= quality <= 1:
            yield name, quality


def prefers_csv(accept: str) -> bool:
    """Whether Accept (RFC 9110 12.5.1) ranks text/csv above JSON."""
    quality = {"text/csv": 0.0, "application/json": 0.0, "*/*": 0.0}
    quality |= {name: given for name, given in ranked(accept) if name in quality}
    return quality["text/csv"] > max(quality["application/json"], quality["*/*"])
