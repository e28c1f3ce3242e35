"""SQL of namings: the people whom accepted reports name, and the letters about it. Nothing here commits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import text

from services.notifier.planning.domain import Naming
from shared.postgres import bulk
from shared.postgres.database import Transaction

#: people per transaction, and reports per person
PEOPLE_AT_ONCE, REPORTS_AT_ONCE = 100, 1000

_NAMED = {
    "obligation": "text", "officer_id": "text", "version": "int", "received_at": "timestamptz", "at": "timestamptz",
}  # fmt: skip
_INSERT_NAMINGS = text(f"""
    INSERT INTO namings ({bulk.names(_NAMED)})
    SELECT * FROM {bulk.unnest(_NAMED)} ORDER BY obligation, officer_id
    ON CONFLICT DO NOTHING
""")  # noqa: S608 - column names of this module
# People without a record yet wait for it, and delay nobody else.
_DUE = text("""
    SELECT DISTINCT officer_id FROM (
        SELECT n.officer_id FROM namings n JOIN officers o ON o.officer_id = n.officer_id
         WHERE n.told_with IS NULL AND n.at <= :until ORDER BY n.at LIMIT :limit
    ) AS oldest ORDER BY officer_id
""")
_REPORTS = text("""
    SELECT n.officer_id, n.obligation, n.version, n.received_at, n.at, o.agency, o.regime, o.regime_version, o.period,
           o.deadline, r.name AS regime_name, r.name_en AS regime_name_en, q.title AS request, q.title_en AS request_en
      FROM unnest(CAST(:officers AS text[])) AS due (officer_id)
      CROSS JOIN LATERAL (
          SELECT * FROM namings WHERE officer_id = due.officer_id AND told_with IS NULL
           ORDER BY at, obligation LIMIT :limit
      ) AS n
      JOIN obligations o ON o.obligation = n.obligation
      LEFT JOIN regimes r ON r.code = o.regime AND r.regime_version = o.regime_version
      LEFT JOIN requests q ON q.request_id = o.period
     ORDER BY n.officer_id, n.at, n.obligation
""")
_WRITTEN = {"obligation": "text", "officer_id": "text", "told_with": "text"}
_TOLD = text(f"""
    UPDATE namings AS n SET told_with = row.told_with FROM {bulk.unnest(_WRITTEN)}
     WHERE n.obligation = row.obligation AND n.officer_id = row.officer_id
""")  # noqa: S608 - column names of this module


async def insert(tx: Transaction, namings: Sequence[Naming]) -> None:
    """Store whom answers name; a person is told of an obligation only once."""
    if namings:
        values = attrgetter(*_NAMED)
        await tx.execute(_INSERT_NAMINGS, bulk.parameters(_NAMED, map(values, namings)))


async def due(tx: Transaction, until: datetime) -> list[str]:
    """Return the people whose oldest report without a letter was accepted by `until`."""
    return list((await tx.execute(_DUE, {"until": until, "limit": PEOPLE_AT_ONCE})).scalars())


async def reports(tx: Transaction, officers: Sequence[str]) -> Sequence[Any]:
    """Return the reports that name these people and have no letter yet, by person, oldest first."""
    return (await tx.execute(_REPORTS, {"officers": list(officers), "limit": REPORTS_AT_ONCE})).mappings().all()


async def written(tx: Transaction, told: Iterable[tuple[str, str, str]]) -> None:
    """Store which letter tells each (obligation, person), by the obligation that the letter is kept under."""
    await tx.execute(_TOLD, bulk.parameters(_WRITTEN, told))
