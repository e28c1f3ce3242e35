"""Sends letters that could not be composed again once the registry has corrected the names in them.

Only letters that are still true, with the names and addresses as they are now, and only where no other channel has told
the person meanwhile. Nothing here commits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import text

from services.notifier.ladders.domain import EMAIL
from services.notifier.planning import store
from services.notifier.planning.directory import Directory, NotYetRegistered
from services.notifier.planning.domain import LetterFacts
from shared.contract.reporting_window import local_day
from shared.postgres import bulk
from shared.postgres.database import Transaction

#: letters in one statement
LETTERS_AT_ONCE = 500

_FIND = text(f"""
    SELECT n.id, n.agency, n.regime, n.officer_id, n.kind, n.channel, n.recipient, n.facts, n.created_at
      FROM notifications n
      JOIN obligations o ON o.obligation = n.obligation
     WHERE n.state = 'failed' AND starts_with(n.reason, 'unsendable:') AND n.id > CAST(:after AS uuid)
       AND n.recipient <> '' AND (n.mail_id IS NULL OR n.mail_id = n.id)
       AND (n.regime = ANY(CAST(:regimes AS text[])) OR n.period = ANY(CAST(:requests AS text[]))
            OR n.agency = ANY(CAST(:agencies AS text[])) OR n.officer_id = ANY(CAST(:officers AS text[]))
            OR n.facts -> 'passed_over' <> '[]')
       AND NOT EXISTS (
           SELECT FROM notifications other
            WHERE other.obligation = n.obligation AND other.step = n.step AND other.officer_id = n.officer_id
              AND other.channel <> n.channel AND other.state NOT IN ('failed', 'skipped'))
       AND {store.STILL_SO}
     ORDER BY n.id LIMIT :limit
""")  # noqa: S608 - constants
_LOCK = text("""
    SELECT obligation FROM obligations
     WHERE obligation IN (SELECT obligation FROM notifications WHERE id = ANY(CAST(:ids AS uuid[])))
     ORDER BY obligation FOR UPDATE
""")
_CORRECTED = {"id": "uuid", "recipient": "text", "facts": "jsonb"}
_AGAIN = text(f"""
    UPDATE notifications
       SET recipient = row.recipient, facts = row.facts, state = 'pending', reason = NULL, due_at = :now
      FROM {bulk.unnest(_CORRECTED)} WHERE notifications.id = row.id AND notifications.state = 'failed'
""")  # noqa: S608 - column names of this module


@dataclass(frozen=True, slots=True)
class RegistryChanges:
    """Which records the registry has changed: codes of regimes and agencies, ids of requests and officers."""

    regimes: set[str]
    requests: set[str]
    agencies: set[str]
    officers: set[str]

    def __bool__(self) -> bool:
        return bool(self.regimes or self.requests or self.agencies or self.officers)


async def compose_again(tx: Transaction, changes: RegistryChanges, now: datetime) -> int:
    """Make failed letters that name a changed record due again. Returns how many.

    now: system time.
    """
    after, count = "00000000-0000-0000-0000-000000000000", 0
    while changes:
        parameters = {
            "regimes": sorted(changes.regimes),
            "requests": sorted(changes.requests),
            "agencies": sorted(changes.agencies),
            "officers": sorted(changes.officers),
        }
        rows = (await tx.execute(_FIND, {**parameters, "after": after, "limit": LETTERS_AT_ONCE})).mappings().all()
        if not rows:
            break
        previous, after = after, str(rows[-1]["id"])
        locked = {row["id"] for row in rows}
        await tx.execute(_LOCK, {"ids": sorted(locked)})
        # query again under the locks: a fulfilment may have been committed meanwhile
        again_found = await tx.execute(_FIND, {**parameters, "after": previous, "limit": LETTERS_AT_ONCE})
        rows = [row for row in again_found.mappings() if row["id"] in locked]
        people = await store.directory(tx, {row["agency"] for row in rows}, {row["officer_id"] for row in rows})
        corrected = []
        for row in rows:
            before = store.kept_facts(row["id"], row["facts"])
            if before is None:
                continue
            facts = _with_names_of_now(before, row["regime"], row["officer_id"], row["created_at"], people)
            officer = people.known(row["officer_id"])
            # a text goes to the number that it was planned for
            recipient = officer.email if officer and row["channel"] == EMAIL else row["recipient"]
            corrected.append((row["id"], recipient, store.facts_json(facts)))
        count += (await tx.execute(_AGAIN, {**bulk.parameters(_CORRECTED, corrected), "now": now})).rowcount
    return count


def _with_names_of_now(
    facts: LetterFacts, regime: str, officer_id: str, at: datetime, people: Directory
) -> LetterFacts:
    """The facts with the names as they are now; everything else stays."""
    if (officer := people.known(officer_id)) is not None:
        facts = replace(facts, recipient_name=officer.name, recipient_title=officer.title)
    if (agency := people.agencies.get(facts.agency)) is not None:
        facts = replace(facts, agency_name=agency.name, agency_name_en=agency.name_en)
        if facts.officer_name and (responsible := people.responsible(facts.agency, regime)) is not None:
            facts = replace(facts, officer_name=responsible.name)
    if facts.passed_over:
        try:
            rungs = people.climb(facts.agency, local_day(at))
        except NotYetRegistered:
            return facts
        unstaffed = [people.agency(rung.agency) for rung in rungs if rung.head is None]
        if len(unstaffed) == len(facts.passed_over):
            names = tuple(agency.name for agency in unstaffed)
            names_en = tuple(agency.name_en or agency.name for agency in unstaffed)
            facts = replace(facts, passed_over=names, passed_over_en=names_en)
    return facts
