"""Named queries of the HTTP routes and of comparisons from outside; nothing here writes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache

from sqlalchemy import TextClause, text

from services.scoring.obligations.domain import Obligation
from services.scoring.obligations.store import decode
from shared.postgres.database import ReadTransaction
from shared.web.exports import Export

_ROW = "obligation, version, CAST(terms AS text), CAST(document AS text)"
_CONDITIONS = {
    "agency": "agency = :agency",
    "regime": "regime = :regime",
    "period": "period = :period",
    "standing": "standing = :standing",
    "overdue": "overdue = :overdue",
}
_ONE = text(f"SELECT {_ROW} FROM obligations WHERE obligation = :obligation")  # noqa: S608

#: What a standing can be recomputed from: columns, what the state derives, and both documents as they are stored.
EXPORTS = (
    Export(
        "obligations",
        "SELECT obligation, agency, regime, period, version, owed, standing, overdue, deadline, received_at, next_at,"
        " CAST(document->'state'->>'on_time' AS boolean) AS on_time,"
        " CAST(document->'state'->>'answer' AS integer) AS answer_version,"
        " document->'state'->>'officer_id' AS officer_id, document->'state'->>'score' AS score,"
        " CAST(terms AS text) AS terms, CAST(document AS text) AS document FROM obligations"
        " WHERE obligation > :after ORDER BY obligation LIMIT :limit",
        "obligation",
        str,
    ),
    Export(
        "score-lines",
        "SELECT obligation, seq, line_id, component, clause, points, cause, cause_en, policy_version, event_id,"
        " created_at, reverses FROM score_lines"
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


async def list_obligations(tx: ReadTransaction, wanted: Filter, after: str, limit: int) -> list[Obligation]:
    """Up to `limit` obligations after the key `after`, in key order."""
    asked = {name: value for name, value in asdict(wanted).items() if value is not None}
    rows = await tx.execute(_listing(tuple(asked)), {**asked, "after": after, "limit": limit})
    return [decode(row[0], row[1], row[2], row[3]) for row in rows]


@lru_cache(maxsize=32)
def _listing(asked: tuple[str, ...]) -> TextClause:
    # only the conditions asked for, so that the planner can use the index that fits them
    conditions = "".join(f" AND {_CONDITIONS[name]}" for name in asked)
    return text(
        f"SELECT {_ROW} FROM obligations WHERE obligation > :after{conditions}"  # noqa: S608 - constants
        " ORDER BY obligation LIMIT :limit"
    )


async def one_obligation(tx: ReadTransaction, key: str) -> Obligation | None:
    """One obligation, or None."""
    row = (await tx.execute(_ONE, {"obligation": key})).first()
    return None if row is None else decode(row[0], row[1], row[2], row[3])
