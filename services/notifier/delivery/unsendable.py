"""Letters that could not be composed are composed again once the registry has mended what they say.

Only those that still tell the truth, with the names and addresses as they are now. Nothing here commits.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import text

from services.notifier.planning import store
from services.notifier.planning.directory import Directory, NotYetKnown
from services.notifier.planning.domain import Facts
from services.notifier.templates.compose import FACTS
from shared.postgres.database import Transaction
from shared.runtime.clock import LOCAL_ZONE

#: letters taken up in one statement
AT_ONCE = 500

_FIND = text(f"""
    SELECT n.id, n.agency, n.regime, n.officer_id, n.kind, n.recipient, n.facts, n.created_at FROM notifications n
      JOIN obligations o ON o.obligation = n.obligation
     WHERE n.state = 'failed' AND starts_with(n.reason, 'unsendable:') AND n.id > CAST(:after AS uuid)
       AND (n.regime = ANY(CAST(:regimes AS text[])) OR n.period = ANY(CAST(:requests AS text[]))
            OR n.agency = ANY(CAST(:agencies AS text[])) OR n.officer_id = ANY(CAST(:officers AS text[]))
            OR n.facts -> 'passed_over' <> '[]')
       AND {store.STILL_SO}
     ORDER BY n.id LIMIT :limit
""")  # noqa: S608 - constants
_LOCK = text("""
    SELECT obligation FROM obligations
     WHERE obligation IN (SELECT obligation FROM notifications WHERE id = ANY(CAST(:ids AS uuid[])))
     ORDER BY obligation FOR UPDATE
""")
_AGAIN = text("""
    UPDATE notifications n
       SET state = 'pending', reason = NULL, recipient = r.recipient, facts = r.facts, due_at = :now
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (id uuid, recipient text, facts jsonb)
     WHERE n.id = r.id AND n.state = 'failed'
""")


@dataclass(frozen=True, slots=True)
class Mended:
    """What the registry has told anew: codes of regimes and agencies, ids of requests and officers."""

    regimes: Collection[str] = ()
    requests: Collection[str] = ()
    agencies: Collection[str] = ()
    officers: Collection[str] = ()

    def __bool__(self) -> bool:
        return bool(self.regimes or self.requests or self.agencies or self.officers)


async def take_up(tx: Transaction, mended: Mended, now: datetime) -> int:
    """Have letters that failed for want of composing, and that what was mended concerns, sent again. Returns how many.

    now: system time.
    """
    after, count = "00000000-0000-0000-0000-000000000000", 0
    while mended:
        parameters = {
            "regimes": sorted(mended.regimes),
            "requests": sorted(mended.requests),
            "agencies": sorted(mended.agencies),
            "officers": sorted(mended.officers),
        }
        rows = (await tx.execute(_FIND, {**parameters, "after": after, "limit": AT_ONCE})).mappings().all()
        if not rows:
            break
        before, after = after, str(rows[-1]["id"])
        locked = {row["id"] for row in rows}
        await tx.execute(_LOCK, {"ids": sorted(locked)})
        # asked again under the locks: a fulfilment may have come between
        again_found = await tx.execute(_FIND, {**parameters, "after": before, "limit": AT_ONCE})
        rows = [row for row in again_found.mappings() if row["id"] in locked]
        people = await store.directory(tx, {row["agency"] for row in rows}, {row["officer_id"] for row in rows})
        again = []
        for row in rows:
            told = FACTS.validate_python(row["facts"])
            facts = _now(told, row["regime"], row["officer_id"], row["created_at"], people)
            officer = people.people.get(row["officer_id"])
            again.append(
                {
                    "id": str(row["id"]),
                    "recipient": officer.email if officer else row["recipient"],
                    "facts": FACTS.dump_python(facts, mode="json"),
                }
            )
        count += (await tx.execute(_AGAIN, {"rows": json.dumps(again), "now": now})).rowcount
    return count


def _now(facts: Facts, regime: str, officer_id: str, at: datetime, people: Directory) -> Facts:
    """The facts with the names as they are now; what they say of the report stays."""
    if (officer := people.people.get(officer_id)) is not None:
        facts = replace(facts, recipient_name=officer.name, recipient_title=officer.title)
    if (agency := people.agencies.get(facts.agency)) is not None:
        facts = replace(facts, agency_name=agency.name, agency_name_en=agency.name_en)
        if facts.officer_name and (responsible := people.responsible(facts.agency, regime)) is not None:
            facts = replace(facts, officer_name=responsible.name)
    if facts.passed_over:
        try:
            rungs = people.climb(facts.agency, at.astimezone(LOCAL_ZONE).date())
        except NotYetKnown:
            return facts
        unstaffed = [people.agency(rung.agency) for rung in rungs if rung.head is None]
        if len(unstaffed) == len(facts.passed_over):
            names, names_en = (each.name for each in unstaffed), (each.name_en or each.name for each in unstaffed)
            facts = replace(facts, passed_over=tuple(names), passed_over_en=tuple(names_en))
    return facts
