"""What a browser is called by people, from what it calls itself. Pure.

For the eye of whoever looks at their own sessions: it may be wrong, and nothing is decided by it.
"""

from __future__ import annotations

from collections.abc import Sequence

#: what the header holds -> the name; the first found counts, since most browsers name those that they descend from
_BROWSERS: Sequence[tuple[str, str]] = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("coc_coc", "Cốc Cốc"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS: Sequence[tuple[str, str]] = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Macintosh", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
MOST_CHARACTERS = 60


def browser_name(client: str) -> str:
    """`Edge, Windows` of a User-Agent; what it calls itself, shortened, where it is none that we know; or nothing."""
    browser = _first(_BROWSERS, client)
    if browser is None:
        plain = "".join(character for character in client if character.isprintable()).strip()
        return plain[:MOST_CHARACTERS]
    system = _first(_SYSTEMS, client)
    return f"{browser}, {system}" if system else browser


def _first(names: Sequence[tuple[str, str]], client: str) -> str | None:
    return next((name for mark, name in names if mark in client), None)
