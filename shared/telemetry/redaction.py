"""Keys, tokens and passwords never reach a log, whatever is logged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: what must not reach a log: API keys, bearer tokens, the tokens of links that people get, passwords in URLs
_SECRETS = re.compile(
    r"(?P<key>tsk_[0-9a-f]{16})_[A-Za-z0-9_-]{20,}"
    r"|(?P<scheme>(?i:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{4,}"
    r"|(?P<link>/(?:v1/answers|loi-moi)/)(?!\{)[^\s/?#\"'<>]+"
)
#: a run up to an "@", and the beginning of a URL with a password in it. Each run is looked at once: a single pattern
#: would begin again at every letter, and a key of half a megabyte in one log line would hold the event loop for hours.
_RUN = re.compile(r"[^\s@]++@?")
_URL_USER = re.compile(r"://[^\s:/@]*:")
_SECRET_NAME = re.compile(r"(?i)(password|passwd|secret|token|authorization|api_?key)$")
_REDACTED = "[redacted]"


def redact(value: Any, name: str = "") -> Any:
    """`value` without keys, tokens and passwords: by their form in any text, and whole where `name` says it is one.

    The cost is linear: what is logged may come from anybody.
    """
    if name and _SECRET_NAME.search(name):
        return _REDACTED if value else value
    match value:
        case str():
            shown = _SECRETS.sub(_replacement, value)
            return _RUN.sub(_without_password, shown) if "://" in shown and "@" in shown else shown
        case bytes():
            return redact(value.decode("utf-8", "backslashreplace"))
        case Mapping():
            return {str(key): redact(inner, str(key)) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [redact(inner) for inner in value]
        case None | bool() | int() | float():
            return value
        case _:
            return redact(str(value))


def _replacement(match: re.Match[str]) -> str:
    return f"{match['key']}_{_REDACTED}" if match["key"] else (match["scheme"] or match["link"]) + _REDACTED


def _without_password(match: re.Match[str]) -> str:
    run = match[0]
    user = _URL_USER.search(run) if run.endswith("@") else None
    return run if user is None or user.end() >= len(run) - 1 else f"{run[: user.end()]}{_REDACTED}@"
