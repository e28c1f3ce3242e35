"""Appends to the audit trail in the caller's transaction, so that a change and its entry stand or fall together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import text

from services.intake.audit.domain import Author, Change
from shared.postgres.bulk import names, parameters, unnest
from shared.postgres.database import Transaction

#: entries written in one statement: a load may change a nation's agencies, and an entry may hold a form
ENTRIES_AT_ONCE = 500

_COLUMNS = {"action": "text", "kind": "text", "key": "text", "before": "jsonb", "after": "jsonb"}
_APPEND = text(f"""
    INSERT INTO audit_trail (at, by, via, why, {names(_COLUMNS)})
    SELECT :at, :by, :via, :why, {names(_COLUMNS)} FROM {unnest(_COLUMNS)}
""")  # noqa: S608 - constant names


async def append(tx: Transaction, author: Author, changes: Iterable[Change], now: datetime) -> None:
    """Write down the changes, in their order. now: system time."""
    head = {"at": now, "by": author.by, "via": author.via, "why": author.why}
    left = iter(changes)
    while some := list(islice(left, ENTRIES_AT_ONCE)):
        rows = ((one.action, one.kind, one.key, _json(one.before), _json(one.after)) for one in some)
        await tx.execute(_APPEND, {**head, **parameters(_COLUMNS, rows)})


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)
