"""Writes entries of the audit trail as CSV (RFC 4180) that a spreadsheet opens without running anything in it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable

from services.intake.audit.queries import AuditEntry
from shared.runtime.clock import LOCAL_ZONE
from shared.web.spreadsheets import BYTE_ORDER_MARK, inert

COLUMNS = ("audit_id", "at", "by", "via", "action", "kind", "key", "before", "after", "why")


def header() -> str:
    return BYTE_ORDER_MARK + _line([COLUMNS])


def rows(entries: Iterable[AuditEntry]) -> str:
    return _line(
        [
            str(entry.audit_id),
            entry.at.astimezone(LOCAL_ZONE).isoformat(),
            *(inert(cell) for cell in (entry.by, entry.via, entry.action, entry.kind, entry.key)),
            _json(entry.before),
            _json(entry.after),
            inert(entry.why),
        ]
        for entry in entries
    )


def _json(value: object) -> str:
    """The JSON text, with semicolons escaped: it stays the same value, in one cell."""
    return "" if value is None else json.dumps(value, ensure_ascii=False).replace(";", "\\u003b")


def _line(cells: Iterable[Iterable[str]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(cells)
    return written.getvalue()
