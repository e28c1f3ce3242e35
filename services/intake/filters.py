"""Reads the filters of a list from the query. One that cannot be read is a 400 that says how to write it.

A filter that is not understood must not be passed over: the client would take the rest for what it asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from shared.web.errors import FieldError, Problem, bad_request

#: `+` in a query means a space: a client that does not escape its offset still means it
_UNESCAPED_OFFSET = re.compile(r"(.*[0-9]) ([0-9]{2}:?[0-9]{2})")
_YEARS = range(1970, 3000)


def truth(name: str, text: str | None) -> bool | None:
    """`true` or `false`; None where it is not given."""
    match text:
        case None:
            return None
        case "true":
            return True
        case "false":
            return False
        case _:
            raise _unreadable(
                name,
                f"`{name}` phải là true hoặc false.",
                f"`{name}` must be true or false.",
                f"Ghi {name}=true hoặc {name}=false, hoặc bỏ tham số này.",
                f"Write {name}=true or {name}=false, or leave it out.",
            )


def moment(name: str, text: str | None) -> datetime | None:
    """An ISO 8601 moment with its offset; None where it is not given."""
    if text is None:
        return None
    try:
        read = datetime.fromisoformat(_UNESCAPED_OFFSET.sub(r"\1+\2", text[:64]))
        if read.tzinfo is not None and read.year in _YEARS and len(text) <= 64:
            return read
    except ValueError:
        pass
    raise _unreadable(
        name,
        f"`{name}` phải là thời điểm ISO 8601 có múi giờ, từ năm {_YEARS[0]} đến {_YEARS[-1]}.",
        f"`{name}` must be an ISO 8601 moment with its offset, from {_YEARS[0]} to {_YEARS[-1]}.",
        f"Ghi như {name}=2026-03-31T17:00:00%2B07:00 hoặc {name}=2026-03-31T10:00:00Z.",
        f"Write it like {name}=2026-03-31T17:00:00%2B07:00 or {name}=2026-03-31T10:00:00Z.",
    )


def given(filters: Mapping[str, object]) -> tuple[str, ...]:
    """Names of the filters that have a value."""
    return tuple(name for name, value in filters.items() if value is not None)


def _unreadable(name: str, message: str, message_en: str, fix: str, fix_en: str) -> Problem:
    return bad_request(
        "Bộ lọc không đọc được.",
        "A filter cannot be read.",
        errors=[FieldError(f"/{name}", message, message_en, fix, fix_en, where="query")],
    )
