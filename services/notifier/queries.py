"""Queries of the HTTP edge: the ledger, newest first, and one notice with its attempts. Read-only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text

from shared.postgres.database import ReadTransaction

SHOWN = (
    "id", "obligation", "agency", "regime", "period", "kind", "step", "officer_id", "channel", "recipient",
    "message_id", "submission_version", "state", "reason", "created_at", "settled_at", "due_at", "attempts",
    "refusals", "unknowns", "resends", "wait_until", "held", "released_at", "mail_id", "next_contact",
)  # fmt: skip
ATTEMPTS_SHOWN = (
    "number", "worker", "resend", "claimed_at", "in_data_at", "ended_at", "outcome", "stage", "smtp_code", "answer",
    "late", "content_sha256",
)  # fmt: skip
RESENDS_SHOWN = (
    "by", "why", "at", "from_state", "from_reason", "from_recipient", "from_message_id", "recipient", "message_id",
)  # fmt: skip
_COLUMNS = ", ".join(SHOWN)

_ONE = text(f"SELECT {_COLUMNS}, facts FROM notifications WHERE id = :id")  # noqa: S608 - constants

_ATTEMPTS = text(
    f"SELECT {', '.join(ATTEMPTS_SHOWN)} FROM attempts WHERE notification_id = :id ORDER BY number"  # noqa: S608
)
_RESENDS = text(
    f"SELECT {', '.join(RESENDS_SHOWN)} FROM resends WHERE notification_id = :id ORDER BY at, id"  # noqa: S608
)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which notices; None matches every value."""

    obligation: str | None = None
    agency: str | None = None
    officer_id: str | None = None
    kind: str | None = None
    state: str | None = None


async def notifications(
    snapshot: ReadTransaction, wanted: Filter, *, before: UUID | None, limit: int
) -> list[RowMapping]:
    """Up to `limit` notices older than `before`, newest first (ids are UUIDv7)."""
    parameters: dict[str, Any] = {"limit": limit}
    conditions = []
    for column in ("obligation", "agency", "officer_id", "kind", "state"):
        value = getattr(wanted, column)
        if value is not None:
            conditions.append(f"{column} = :{column}")
            parameters[column] = value
    if before is not None:
        conditions.append("id < :before")
        parameters["before"] = before
    where = " AND ".join(conditions) or "TRUE"
    # only column names of the list above are put into the text
    statement = text(f"SELECT {_COLUMNS} FROM notifications WHERE {where} ORDER BY id DESC LIMIT :limit")  # noqa: S608
    return list((await snapshot.execute(statement, parameters)).mappings())


async def notification(
    snapshot: ReadTransaction, notification_id: UUID
) -> tuple[RowMapping, list[RowMapping], list[RowMapping]] | None:
    """One notice with its facts, its attempts in order, and the orders to send it again."""
    row = (await snapshot.execute(_ONE, {"id": notification_id})).mappings().one_or_none()
    if row is None:
        return None
    attempts = list((await snapshot.execute(_ATTEMPTS, {"id": notification_id})).mappings())
    return row, attempts, list((await snapshot.execute(_RESENDS, {"id": notification_id})).mappings())
