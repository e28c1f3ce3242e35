"""Named readings for the HTTP door and for comparisons from outside; nothing here writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import TextClause, text

from shared.postgres.database import Reading
from shared.web.exports import Export

_SHOWN = """obligation, agency, regime, regime_version, period, cutoff_from, cutoff_to, opens_at, deadline, remind_at,
    calendar_version, policy_version, owed, standing, received_version, first_received_at, last_received_at,
    decided_version, accepted_version, accepted_submission_id, accepted_received_at, on_time, required_items,
    present_items, officer_id, due_soon_at, overdue_at, score, version"""

_CONDITIONS = {
    "agency": "agency = :agency",
    "regime": "regime = :regime",
    "period": "period = :period",
    "standing": "standing = :standing",
    "overdue": "(owed AND overdue_at IS NOT NULL AND accepted_version IS NULL) = :overdue",
}
_ONE = text(f"SELECT {_SHOWN} FROM obligations WHERE obligation = :obligation")  # noqa: S608
_LINES = text("""
    SELECT l.line_id, l.seq, l.component, l.clause, l.points, l.cause, l.cause_en, l.policy_version, l.event_id,
           l.created_at, l.counters,
           l.counters IS NULL AND NOT EXISTS (SELECT 1 FROM score_lines AS c WHERE c.counters = l.line_id) AS in_force
      FROM score_lines AS l WHERE l.obligation = :obligation ORDER BY l.seq
""")

#: What `reconcile` recomputes from: every field a score depends on.
EXPORTS = (
    Export(
        "obligations",
        f"SELECT {_SHOWN}, on_time_version, measured_version, measured_accepted, line_count FROM obligations"  # noqa: S608
        " WHERE obligation > :after ORDER BY obligation LIMIT :limit",
        "obligation",
        str,
    ),
    Export(
        "score-lines",
        "SELECT obligation, seq, line_id, component, clause, points, cause, cause_en, policy_version, event_id,"
        " created_at, counters FROM score_lines"
        " WHERE (obligation, seq) > (CAST(:after_obligation AS text), CAST(:after_seq AS bigint))"
        " ORDER BY obligation, seq LIMIT :limit",
        ("obligation", "seq"),
        (str, int),
    ),
)


@dataclass(frozen=True, slots=True)
class Filter:
    """What of the obligations is asked for; None: all."""

    agency: str | None = None
    regime: str | None = None
    period: str | None = None
    standing: str | None = None
    overdue: bool | None = None


async def list_obligations(tx: Reading, wanted: Filter, after: str, limit: int) -> Sequence[Mapping[str, Any]]:
    """Up to `limit` obligations after the key `after`, in key order."""
    asked = {name: value for name, value in asdict(wanted).items() if value is not None}
    rows = await tx.execute(_listing(tuple(asked)), {**asked, "after": after, "limit": limit})
    return [dict(row) for row in rows.mappings()]


@lru_cache(maxsize=32)
def _listing(asked: tuple[str, ...]) -> TextClause:
    # only the conditions asked for, so that the planner can use the index that fits them
    conditions = "".join(f" AND {_CONDITIONS[name]}" for name in asked)
    return text(
        f"SELECT {_SHOWN} FROM obligations WHERE obligation > :after{conditions}"  # noqa: S608 - constants
        " ORDER BY obligation LIMIT :limit"
    )


async def one_obligation(tx: Reading, key: str) -> Mapping[str, Any] | None:
    """One obligation, or None."""
    row = (await tx.execute(_ONE, {"obligation": key})).mappings().first()
    return None if row is None else dict(row)


async def score_lines(tx: Reading, key: str) -> Sequence[Mapping[str, Any]]:
    """All lines ever written of an obligation, in order, with whether each is in force."""
    return [dict(row) for row in (await tx.execute(_LINES, {"obligation": key})).mappings()]
