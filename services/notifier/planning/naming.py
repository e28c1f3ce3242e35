"""Tells people that accepted reports name them, in one letter for several reports.

Where the mailing rules group such notices, each report has its own, and those of a window share a mail. Elsewhere the
first report waits for `group_minutes` of business time for others; then one notice, kept under the oldest of the
obligations, lists them all. One instance sweeps at a time; nothing here commits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from services.notifier import metrics
from services.notifier.planning import namings, store
from services.notifier.planning.directory import Directory, Officer
from services.notifier.planning.domain import LetterFacts, Notice
from shared.contract.events.fields import usable_address
from shared.postgres.database import Transaction
from shared.runtime.clock import Clock

#: whether the mailing rules gather notices of a kind in one letter
Groups = Callable[[Transaction, str], Awaitable[bool]]
#: reports that a letter lists; it only counts the others
MAX_LISTED_REPORTS = 40


class NamingSweep:
    """Plans the letters that are due. `tick` is a ticker's. groups: the mailing rules' say; None: mails go at once."""

    def __init__(
        self,
        business: Clock,
        system: Clock,
        *,
        group_minutes: float,
        message_id_domain: str,
        groups: Groups | None = None,
    ) -> None:
        self._business = business
        self._system = system
        self._wait = timedelta(minutes=group_minutes)
        self._domain = message_id_domain
        self._groups = groups

    async def tick(self, tx: Transaction) -> int:
        """Plan one round of letters; return how many people get one."""
        now = self._business.now()
        grouped = self._groups is not None and await self._groups(tx, "named")
        due = await namings.due(tx, now if grouped else now - self._wait)
        if not due:
            return 0
        # a person who changed agencies meanwhile gets a letter for each
        letters: dict[tuple[str, str, str], list[Any]] = {}
        for row in await namings.reports(tx, due):
            apart = row["obligation"] if grouped else ""
            letters.setdefault((row["officer_id"], row["agency"], apart), []).append(row)
        people = await store.directory(tx, {agency for _, agency, _ in letters}, due)
        notices = [notice(officer_id, reports, people, now) for (officer_id, _, _), reports in letters.items()]
        for kind, state in await store.insert_notices(
            tx, notices, now=self._system.now(), domain=self._domain, waits_from=now if self._groups else None
        ):
            metrics.PLANNED_TOTAL.labels(kind, state).inc()
        await namings.written(
            tx,
            [
                (row["obligation"], officer_id, reports[0]["obligation"])
                for (officer_id, _, _), reports in letters.items()
                for row in reports
            ],
        )
        return len(due)


def notice(officer_id: str, reports: Sequence[Any], people: Directory, now: datetime) -> Notice:
    """Return the letter to a person about these reports of one agency, oldest first; skipped if unreachable."""
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
