"""Tells people that accepted reports name them: one letter for all reports of about an hour, not one for each.

The first report waits for `group_minutes` of business time for others; then one notice, kept under the oldest of the
obligations, lists them all. One instance sweeps at a time; nothing here commits.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from services.notifier import metrics
from services.notifier.planning import store
from services.notifier.planning.directory import Directory, Officer
from services.notifier.planning.domain import LetterFacts, Notice
from shared.contract.events.fields import usable_address
from shared.postgres.database import Transaction
from shared.runtime.clock import Clock

#: reports that a letter lists; it gives the number of the others
MAX_LISTED_REPORTS = 40
#: people written to in one transaction, and reports of one letter
PEOPLE_AT_ONCE, REPORTS_AT_ONCE = 100, 1000

# Who has no record yet is left until it arrives, and keeps nobody else back.
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
_TOLD = text("""
    UPDATE namings AS n SET told_with = row.told_with
      FROM unnest(CAST(:obligation AS text[]), CAST(:officer_id AS text[]), CAST(:told_with AS text[]))
           AS row (obligation, officer_id, told_with)
     WHERE n.obligation = row.obligation AND n.officer_id = row.officer_id
""")


class NamingSweep:
    """Plans the letters that are due. `tick` is a ticker's."""

    def __init__(self, business: Clock, system: Clock, *, group_minutes: float, message_id_domain: str) -> None:
        self._business = business
        self._system = system
        self._wait = timedelta(minutes=group_minutes)
        self._domain = message_id_domain

    async def tick(self, tx: Transaction) -> int:
        """One step; returns how many people were written to."""
        now = self._business.now()
        due = list((await tx.execute(_DUE, {"until": now - self._wait, "limit": PEOPLE_AT_ONCE})).scalars())
        if not due:
            return 0
        rows = (await tx.execute(_REPORTS, {"officers": due, "limit": REPORTS_AT_ONCE})).mappings().all()
        by_person: dict[str, list[Any]] = {}
        for row in rows:
            by_person.setdefault(row["officer_id"], []).append(row)
        people = await store.directory(tx, {row["agency"] for row in rows}, due)
        notices = [notice(officer_id, reports, people, now) for officer_id, reports in by_person.items()]
        for kind, state in await store.insert_notices(tx, notices, now=self._system.now(), domain=self._domain):
            metrics.PLANNED_TOTAL.labels(kind, state).inc()
        told = [(row["obligation"], row["officer_id"], by_person[row["officer_id"]][0]["obligation"]) for row in rows]
        parameters = zip(("obligation", "officer_id", "told_with"), map(list, zip(*told, strict=True)), strict=True)
        await tx.execute(_TOLD, dict(parameters))
        return len(notices)


def notice(officer_id: str, reports: Sequence[Any], people: Directory, now: datetime) -> Notice:
    """The one letter to a person about these reports, oldest first; skipped where it cannot reach the person."""
    first = reports[0]
    officer = people.people[officer_id]
    skipped = _unreachable(officer)
    agency = people.agencies.get(first["agency"])
    facts = LetterFacts(
        recipient_name=officer.name,
        recipient_title=officer.title,
        agency=first["agency"],
        agency_name=agency.name if agency else first["agency"],
        agency_name_en=agency.name_en if agency else "",
        regime=first["regime"],
        regime_version=first["regime_version"],
        period=first["period"],
        deadline=first["deadline"],
        standing=None,
        submission_version=first["version"],
        received_at=first["received_at"],
        reports=tuple(
            {
                "obligation": row["obligation"],
                "regime": row["regime_name"] or row["regime"],
                "regime_en": row["regime_name_en"] or row["regime_name"] or row["regime"],
                "period": row["period"],
                "request": row["request"] or "",
                "request_en": row["request_en"] or row["request"] or "",
                "version": str(row["version"]),
                "received_at": row["received_at"].isoformat(),
            }
            for row in reports[:MAX_LISTED_REPORTS]
        ),
        reports_left_out=max(0, len(reports) - MAX_LISTED_REPORTS),
    )
    return Notice(
        obligation=first["obligation"],
        agency=first["agency"],
        regime=first["regime"],
        period=first["period"],
        kind="named",
        step="named",
        officer=None if skipped else officer,
        facts=facts,
        at=now,
        submission_version=first["version"],
        skipped=skipped,
    )


def _unreachable(officer: Officer) -> str | None:
    if not usable_address(officer.email):
        return f"unusable_address_of:{officer.officer_id}"
    return None if officer.active else f"officer_left:{officer.officer_id}"
