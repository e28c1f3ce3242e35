"""Proves who was told what, when: one query over the ledger, for a review case. Read-only.

Each row carries the SHA-256 of the message as the mail server got it, of what the notice states, and of the row itself.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from shared.postgres.database import ReadTransaction
from shared.postgres.json_values import json_row
from shared.web.spreadsheets import BYTE_ORDER_MARK, inert

#: rows in one read
AT_ONCE = 500
#: in the order of the table; all but the last two are the ledger's
COLUMNS = (
    "notice", "obligation", "kind", "step", "person", "name", "title", "channel", "recipient", "state", "reason",
    "held", "planned_at", "released_at", "settled_at", "mail", "message_id", "attempts", "data_at", "answered_at",
    "smtp_code", "smtp_answer", "message_sha256", "facts_sha256", "answers", "row_sha256",
)  # fmt: skip
_PROOF = text("""
    SELECT n.id AS notice, n.obligation, n.kind, n.step, n.officer_id AS person, n.facts ->> 'recipient_name' AS name,
           n.facts ->> 'recipient_title' AS title, n.channel, n.recipient, n.state, n.reason, n.held,
           n.created_at AS planned_at, n.released_at, n.settled_at, m.id AS mail, m.message_id, m.attempts,
           a.in_data_at AS data_at, a.ended_at AS answered_at, a.smtp_code, a.answer AS smtp_answer,
           a.content_sha256 AS message_sha256,
           encode(sha256(convert_to(CAST(n.facts AS text), 'UTF8')), 'hex') AS facts_sha256,
           (SELECT jsonb_agg(given ORDER BY given ->> 'at')
              FROM escalations e CROSS JOIN LATERAL jsonb_array_elements(e.document -> 'answers') AS given
             WHERE e.obligation = n.obligation AND given ->> 'notice' = CAST(n.id AS text)) AS answers
      FROM notifications n
      JOIN notifications m ON m.id = coalesce(n.mail_id, n.id)
      LEFT JOIN LATERAL (
          SELECT * FROM attempts WHERE notification_id = m.id
           ORDER BY (outcome IS NOT DISTINCT FROM 'sent') DESC, number DESC LIMIT 1
      ) AS a ON true
     WHERE (CAST(:obligation AS text) IS NULL OR n.obligation = :obligation)
       AND (CAST(:person AS text) IS NULL OR n.officer_id = :person)
       AND (CAST(:since AS timestamptz) IS NULL OR n.created_at >= :since)
       AND (CAST(:until AS timestamptz) IS NULL OR n.created_at < :until)
       AND (CAST(:after AS uuid) IS NULL OR n.id > :after)
     ORDER BY n.id LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which notices, oldest first; at least an obligation or a person. since, until: when they were planned."""

    obligation: str | None = None
    person: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def proof(tx: ReadTransaction, wanted: Wanted, *, after: UUID | None, limit: int) -> list[dict[str, Any]]:
    """Up to `limit` rows behind the notice `after`, as JSON takes them."""
    asked = {
        "obligation": wanted.obligation, "person": wanted.person, "since": wanted.since, "until": wanted.until,
        "after": after, "limit": limit,
    }  # fmt: skip
    return [_signed(json_row(row)) for row in (await tx.execute(_PROOF, asked)).mappings()]


def _signed(row: Mapping[str, Any]) -> dict[str, Any]:
    plain = {**row, "answers": row["answers"] or []}
    return {**plain, "row_sha256": row_sha256(plain)}


def row_sha256(row: Mapping[str, Any]) -> str:
    """SHA-256 of a row: of its JSON (UTF-8) without this member, keys sorted, without spaces."""
    content = {name: value for name, value in row.items() if name != "row_sha256"}
    plain = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()


def as_csv(rows: Sequence[Mapping[str, Any]], *, header: bool) -> str:
    """Rows as CSV (RFC 4180) that a spreadsheet opens without running anything in it."""
    lines: list[Iterable[str]] = [COLUMNS] if header else []
    lines += [[_cell(name, row[name]) for name in COLUMNS] for row in rows]
    written = io.StringIO()
    csv.writer(written).writerows(lines)
    return (BYTE_ORDER_MARK if header else "") + written.getvalue()


def _cell(name: str, value: object) -> str:
    if name == "answers":  # semicolons escaped: the same value, in one cell
        return json.dumps(value, ensure_ascii=False).replace(";", "\\u003b")
    return "" if value is None else inert(str(value))
