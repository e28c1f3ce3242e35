"""Goes on to the next contact where a mail has told nobody: refused for good, or come back after it was taken.

By state, so that a stopped hour is made good: each failed notice that is still so is looked at once. Of a reminder,
request, overdue or returned notice, or a decision, the next is another reporting officer of the agency, then its head;
of an overdue notice the head hears by the ladder. Of a certification it is another head. An escalation goes on to its
next rung instead (escalation/domain.py). Nobody is told of one step twice, and no more than MOST people are, so it
comes to an end. Nothing here commits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import text

from services.notifier import metrics
from services.notifier.planning import store as planning
from services.notifier.planning.directory import Directory, Officer
from services.notifier.planning.domain import Notice
from services.notifier.planning.store import STILL_SO, kept_facts
from shared.postgres import bulk
from shared.postgres.database import Transaction
from shared.runtime.clock import Clock

#: people who are tried for one step
MOST = 3
#: failed notices in a transaction
AT_ONCE = 100
_TO_OFFICERS = ("reminder", "request", "overdue", "returned", "decision")
KINDS = (*_TO_OFFICERS, "certification")

# what cannot be composed is no contact's fault; who asked for a decision is not replaced; while another channel may
# still tell the person nobody else is told
_FAILED = text(f"""
    SELECT n.id, n.obligation, n.agency, n.regime, n.period, n.kind, n.step, n.officer_id, n.submission_version,
           n.facts, n.urgent, {STILL_SO} AS still_so
      FROM notifications n JOIN obligations o ON o.obligation = n.obligation
     WHERE n.state = 'failed' AND n.next_contact IS NULL AND n.kind IN {KINDS}
       AND n.reason NOT LIKE 'unsendable%' AND n.step NOT LIKE '%/asker'
       AND NOT EXISTS (
           SELECT FROM notifications other
            WHERE other.obligation = n.obligation AND other.step = n.step AND other.officer_id = n.officer_id
              AND other.channel <> n.channel AND other.state NOT IN ('failed', 'skipped'))
     ORDER BY n.obligation, n.id LIMIT :limit FOR UPDATE OF o, n SKIP LOCKED
""")  # noqa: S608 - constants
_TRIED = text("""
    SELECT obligation, step, officer_id FROM notifications
     WHERE obligation = ANY(CAST(:keys AS text[])) AND officer_id <> ''
""")
_NEXT = {"id": "uuid", "next_contact": "text"}
_KEEP = text(f"""
    UPDATE notifications n SET next_contact = row.next_contact FROM {bulk.unnest(_NEXT)} WHERE n.id = row.id
""")  # noqa: S608 - column names of this module


class NextContactSweep:
    """`tick` is a ticker's; one instance sweeps at a time. waits: notices wait for their window."""

    def __init__(self, business: Clock, system: Clock, *, message_id_domain: str, waits: bool) -> None:
        self._business = business
        self._system = system
        self._domain = message_id_domain
        self._waits = waits

    async def tick(self, tx: Transaction) -> int:
        """Look at failed notices; return how many."""
        rows = (await tx.execute(_FAILED, {"limit": AT_ONCE})).mappings().all()
        if not rows:
            return 0
        directory = await planning.directory(tx, {row["agency"] for row in rows})
        tried: dict[tuple[str, str], set[str]] = {}
        for one in await tx.execute(_TRIED, {"keys": sorted({row["obligation"] for row in rows})}):
            tried.setdefault((one.obligation, one.step), set()).add(one.officer_id)
        now = self._business.now()
        notices: list[Notice] = []
        kept: list[tuple[Any, str]] = []
        for row in rows:
            told = tried[row["obligation"], row["step"]]
            facts = kept_facts(row["id"], row["facts"]) if row["still_so"] else None
            person = None if facts is None else next_contact(directory, row, told)
            if facts is not None and person is not None:
                told.add(person.officer_id)
                facts = dataclasses.replace(
                    facts,
                    recipient_name=person.name,
                    recipient_title=person.title,
                    named=False,
                    matters=(),
                    instead_of=facts.recipient_name,
                )
                notices.append(
                    Notice(
                        row["obligation"], row["agency"], row["regime"], row["period"], row["kind"], row["step"],
                        person, facts, now, submission_version=row["submission_version"], urgent=row["urgent"],
                    )
                )  # fmt: skip
            kept.append((row["id"], _word(row, person)))
        for state in await planning.insert_notices(
            tx, notices, now=self._system.now(), domain=self._domain, waits_from=now if self._waits else None
        ):
            metrics.PLANNED_TOTAL.labels(*state).inc()
        await tx.execute(_KEEP, bulk.parameters(_NEXT, sorted(kept)))
        return len(rows)


def next_contact(directory: Directory, row: Mapping[Any, Any], tried: Collection[str]) -> Officer | None:
    """Who is told next of a step of which these were; None where nobody is. `row`: agency, regime and kind."""
    if len(tried) >= MOST:
        return None
    agency, regime, kind = row["agency"], row["regime"], row["kind"]
    people = directory.officers_for(agency, regime) if kind in _TO_OFFICERS else []
    if kind != "overdue":
        people = [*people, *directory.heads(agency)]
    return next((person for person in people if person.officer_id not in tried), None)


def _word(row: Mapping[Any, Any], person: Officer | None) -> str:
    if not row["still_so"]:
        return "not_so"
    if person is not None:
        return f"person:{person.officer_id}"
    return "by_the_ladder" if row["kind"] == "overdue" else "nobody"
