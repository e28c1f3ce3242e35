"""Rows of a database as JSON without loss: decimals and moments as text, moments in the zone of the deadlines."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from shared.runtime.clock import LOCAL_ZONE


def json_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row by column."""
    return {str(name): json_value(value) for name, value in row.items()}


def json_value(value: Any) -> Any:
    """One value; bytes as base64, what is unknown (a UUID, say) by its text."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Decimal():
            return format(value, "f")
        case datetime() if value.tzinfo is not None:
            return value.astimezone(LOCAL_ZONE).isoformat()
        case datetime() | date():
            return value.isoformat()
        case bytes() | memoryview():
            return base64.b64encode(bytes(value)).decode()
        case Mapping():
            return json_row(value)
        case list() | tuple():
            return [json_value(inner) for inner in value]
        case _:
            return str(value)
