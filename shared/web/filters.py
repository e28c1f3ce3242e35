"""Reads the filters of a list from the query. One that cannot be read is a 400 that says how to write it.

A filter that is not understood must not be passed over: the client would take the rest for what it asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from pydantic import BeforeValidator

from shared.web.validation import unreadable

#: `+` in a query means a space: a client that does not escape its offset still means it
_UNESCAPED_OFFSET = re.compile(r"(.*[0-9]) ([0-9]{2}:?[0-9]{2})")
_YEARS = range(1970, 3000)


def truth(name: str) -> BeforeValidator:
    """Of a parameter `bool | None`: `true` or `false`; None where it is not given."""

    def read(text: str | None) -> bool | None:
        match text:
            case None:
                return None
            case "true":
                return True
            case "false":
                return False
            case _:
                raise unreadable(
                    f"`{name}` phải là true hoặc false.",
                    f"`{name}` must be true or false.",
                    f"Ghi {name}=true hoặc {name}=false, hoặc bỏ tham số này.",
                    f"Write {name}=true or {name}=false, or leave it out.",
                )

    return BeforeValidator(read)


def moment(name: str) -> BeforeValidator:
    """Of a parameter `datetime | None`: an ISO 8601 moment with its offset; None where it is not given."""

    def read(text: str | None) -> datetime | None:
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(_UNESCAPED_OFFSET.sub(r"\1+\2", text[:64]))
            if moment.tzinfo is not None and moment.year in _YEARS and len(text) <= 64:
                return moment
        except ValueError:
            pass
        raise unreadable(
            f"`{name}` phải là thời điểm ISO 8601 có múi giờ, từ năm {_YEARS[0]} đến {_YEARS[-1]}.",
            f"`{name}` must be an ISO 8601 moment with its offset, from {_YEARS[0]} to {_YEARS[-1]}.",
            f"Ghi như {name}=2026-03-31T17:00:00%2B07:00 hoặc {name}=2026-03-31T10:00:00Z.",
            f"Write it like {name}=2026-03-31T17:00:00%2B07:00 or {name}=2026-03-31T10:00:00Z.",
        )

    return BeforeValidator(read)


def given(filters: Mapping[str, object]) -> tuple[str, ...]:
    """Names of the filters that have a value."""
    return tuple(name for name, value in filters.items() if value is not None)
