"""Obligations and their lines in PostgreSQL: one statement per table per batch, rows locked in key order; no commit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import text

from services.scoring.obligations.domain import Accepted, Line, Measured, Obligation
from shared.contract.events.compliance import Standing
from shared.postgres import bulk
from shared.postgres.database import Transaction

_LINES = msgspec.json.Decoder(tuple[Line, ...])
_ENCODER = msgspec.json.Encoder(decimal_format="string")
_NO_LINES = "[]"

_STATE = """obligation, agency, regime, regime_version, period, deadline, calendar_version, policy_version, version,
    owed, received_version, first_received_at, last_received_at, on_time_version, decided_version, accepted_version,
    accepted_submission_id, accepted_received_at, measured_version, measured_accepted, required_items, present_items,
    officer_id, due_soon_at, overdue_at, CAST(lines AS text), line_count"""

_LOCK = text(f"""
    SELECT {_STATE} FROM obligations
     WHERE obligation = ANY(CAST(:keys AS text[])) ORDER BY obligation FOR UPDATE
""")  # noqa: S608 - constants

# What was set back is left alone for a while: else the same bad rows would fill every tick.
_NOT_SET_BACK = """NOT EXISTS (SELECT FROM setbacks AS s
       WHERE s.sweep = '{}' AND s.subject = o.obligation AND s.next_try_at > clock_timestamp())"""
# The conditions are those of the partial indexes in tables.py, word for word.
_DUE_SOON = text(f"""
    SELECT {_STATE} FROM obligations AS o
     WHERE owed AND due_soon_at IS NULL AND standing IN ('nothing_sent', 'returned')
       AND remind_at <= :now AND deadline >= :now AND {_NOT_SET_BACK.format("due_soon")}
     ORDER BY remind_at LIMIT :limit FOR UPDATE OF o SKIP LOCKED
""")  # noqa: S608
_OVERDUE = text(f"""
    SELECT {_STATE} FROM obligations AS o
     WHERE owed AND overdue_at IS NULL AND accepted_version IS NULL AND on_time_version <= decided_version
       AND deadline < :now AND {_NOT_SET_BACK.format("overdue")}
     ORDER BY deadline LIMIT :limit FOR UPDATE OF o SKIP LOCKED
""")  # noqa: S608
# Owed by agencies that do not exist any more on the day of the deadline.
_OF_CLOSED = text(f"""
    SELECT {_STATE} FROM obligations
     WHERE obligation IN (
        SELECT o.obligation FROM obligations AS o JOIN agencies AS a ON a.code = o.agency
         WHERE a.code = ANY(CAST(:codes AS text[])) AND o.owed AND o.accepted_version IS NULL
           AND CAST(o.deadline AT TIME ZONE 'Asia/Ho_Chi_Minh' AS date) > a.closed_on)
     ORDER BY obligation FOR UPDATE
""")  # noqa: S608
_UNTOUCHED = text(f"""
    SELECT {_STATE} FROM obligations
     WHERE regime = :regime AND owed AND received_version = 0 AND due_soon_at IS NULL AND deadline > :now
     ORDER BY obligation FOR UPDATE
""")  # noqa: S608

_SAVED = {
    "obligation": "text", "version": "int", "owed": "boolean", "received_version": "int",
    "first_received_at": "timestamptz", "last_received_at": "timestamptz", "on_time_version": "int",
    "decided_version": "int", "accepted_version": "int", "accepted_submission_id": "uuid",
    "accepted_received_at": "timestamptz", "measured_version": "int", "measured_accepted": "boolean",
    "required_items": "int", "present_items": "int", "officer_id": "text", "due_soon_at": "timestamptz",
    "overdue_at": "timestamptz", "standing": "text", "on_time": "boolean", "score": "numeric", "lines": "jsonb",
    "line_count": "int",
}  # fmt: skip
_SAVE = text(f"""
    UPDATE obligations SET {bulk.assignments(name for name in _SAVED if name != "obligation")}
      FROM {bulk.unnest(_SAVED)} WHERE obligations.obligation = row.obligation
""")  # noqa: S608 - constant names

_APPENDED = {
    "obligation": "text", "seq": "int", "line_id": "uuid", "component": "text", "clause": "text", "points": "numeric",
    "cause": "text", "cause_en": "text", "policy_version": "text", "event_id": "uuid", "created_at": "timestamptz",
    "counters": "uuid",
}  # fmt: skip
_APPEND = text(f"""
    INSERT INTO score_lines ({bulk.names(_APPENDED)}) SELECT * FROM {bulk.unnest(_APPENDED)}
""")  # noqa: S608 - constant names


@dataclass(frozen=True, slots=True)
class Found:
    """Locked rows of a sweep: those that can be read, and why each of the others (by key) cannot."""

    obligations: list[Obligation]
    unreadable: dict[str, Exception]

    @property
    def rows(self) -> int:
        return len(self.obligations) + len(self.unreadable)


def _found(rows: Iterable[Sequence[Any]]) -> Found:
    found = Found([], {})
    for row in rows:
        try:
            found.obligations.append(_obligation(row))
        except ValueError as error:  # msgspec's errors are such
            found.unreadable[row[0]] = error
    return found


async def lock_obligations(tx: Transaction, keys: Sequence[str]) -> dict[str, Obligation]:
    """The obligations of these keys that exist, locked in key order."""
    rows = await tx.execute(_LOCK, {"keys": sorted(keys)})
    return {row[0]: _obligation(row) for row in rows}


async def lock_due_soon(tx: Transaction, now: datetime, limit: int) -> Found:
    """Obligations to remind of, at most `limit`; rows that others hold are left for the next tick."""
    return _found(await tx.execute(_DUE_SOON, {"now": now, "limit": limit}))


async def lock_overdue(tx: Transaction, now: datetime, limit: int) -> Found:
    """Obligations to mark as overdue, the longest passed first; rows that others hold are left for the next tick."""
    return _found(await tx.execute(_OVERDUE, {"now": now, "limit": limit}))


async def lock_of_closed(tx: Transaction, codes: Sequence[str]) -> Found:
    """Unfulfilled obligations of these agencies whose deadline lies behind the agency's closing."""
    return _found(await tx.execute(_OF_CLOSED, {"codes": sorted(codes)}))


async def lock_untouched(tx: Transaction, regime: str, now: datetime) -> list[Obligation]:
    """Obligations of a regime about which nothing has come and nobody was reminded, due later than `now`."""
    return [_obligation(row) for row in await tx.execute(_UNTOUCHED, {"regime": regime, "now": now})]


async def save(tx: Transaction, changed: Iterable[Obligation], lines: Sequence[tuple[str, Line]]) -> None:
    """Write changed states and append lines (obligation key, line). The rows must be locked by this transaction."""
    states = [_state(obligation) for obligation in changed]
    if states:
        await tx.execute(_SAVE, bulk.parameters(_SAVED, states))
    if lines:
        appended = [
            (key, line.seq, line.line_id, line.component, line.clause, line.points, line.cause, line.cause_en,
             line.policy_version, line.event_id, line.created_at, line.counters)
            for key, line in lines
        ]  # fmt: skip
        await tx.execute(_APPEND, bulk.parameters(_APPENDED, appended))


def _obligation(row: Sequence[Any]) -> Obligation:
    (
        key, agency, regime, regime_version, period, deadline, calendar_version, policy_version, version, owed,
        received_version, first_received_at, last_received_at, on_time_version, decided_version, accepted_version,
        accepted_submission_id, accepted_received_at, measured_version, measured_accepted, required_items,
        present_items, officer_id, due_soon_at, overdue_at, lines, line_count,
    ) = row  # fmt: skip
    return Obligation(
        key, agency, regime, regime_version, period, deadline, calendar_version, policy_version, version, owed,
        received_version, first_received_at, last_received_at, on_time_version, decided_version,
        None if accepted_version is None else Accepted(accepted_version, accepted_submission_id, accepted_received_at),
        None if measured_version is None else Measured(
            measured_accepted, measured_version, required_items, present_items
        ),
        officer_id, due_soon_at, overdue_at, () if lines == _NO_LINES else _LINES.decode(lines), line_count,
    )  # fmt: skip


def _state(obligation: Obligation) -> tuple[Any, ...]:
    accepted, measured = obligation.first_accepted, obligation.measured
    standing: Standing = obligation.standing
    score: Decimal = obligation.score
    return (
        obligation.key, obligation.version, obligation.owed, obligation.received_version,
        obligation.first_received_at, obligation.last_received_at, obligation.on_time_version,
        obligation.decided_version,
        *((None, None, None) if accepted is None else (accepted.version, accepted.submission_id, accepted.received_at)),
        *((None, None, None, None) if measured is None else (
            measured.version, measured.accepted, measured.required_items, measured.present_items
        )),
        obligation.officer_id, obligation.due_soon_at, obligation.overdue_at, standing, obligation.on_time, score,
        _ENCODER.encode(obligation.lines).decode() if obligation.lines else _NO_LINES, obligation.line_count,
    )  # fmt: skip
