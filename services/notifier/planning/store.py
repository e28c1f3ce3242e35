"""SQL of planning: projections of the registry, obligations, and notices that enter the ledger or are cancelled.

Everything is set-based: a batch costs a handful of statements whatever its size. Nothing here commits.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any
from uuid import UUID

import msgspec
from pydantic import ValidationError
from sqlalchemy import RowMapping, TextClause, text

from services.notifier import tables
from services.notifier.channels.gateway.numbers import number_of
from services.notifier.delivery.blanking import blank_ended
from services.notifier.delivery.states import message_id
from services.notifier.ladders.domain import EMAIL
from services.notifier.planning.directory import REVIEWERS, Agency, Directory, Officer, Person
from services.notifier.planning.domain import Cancel, LetterFacts, Notice, Obligation
from services.notifier.regimes.content import content_of
from services.notifier.templates.compose import LETTER_FACTS
from shared.contract.events import (
    AgencyRegistered,
    CalendarLoaded,
    OfficerRegistered,
    PersonRegistered,
    PolicyLoaded,
    RegimePublished,
    RequestIssued,
)
from shared.contract.hierarchy import Parents, ParentSince, Tree
from shared.contract.ids import new_id
from shared.contract.working_days import WorkingCalendar
from shared.outbox import cause_of
from shared.postgres import bulk
from shared.postgres.database import ReadTransaction, Transaction
from shared.projection import Projection
from shared.projection.keyring import offices_of
from shared.telemetry.logging import get_logger

log = get_logger()


def email_of(person: PersonRegistered) -> str:
    """Where a letter to the person goes; empty where there is no address."""
    return next((contact.address for contact in person.contacts if contact.channel == EMAIL), "")


def phone_of(person: PersonRegistered) -> str:
    """The person's telephone number as +84…; empty where there is none."""
    numbers = (number_of(contact.address) for contact in person.contacts if contact.channel == "phone")
    return next((number for number in numbers if number is not None), "")


def reviews_at(person: PersonRegistered) -> list[str]:
    """At which agencies the person holds an office whose holders review."""
    return sorted({office.agency for office in person.offices if office.role in REVIEWERS})


AGENCIES = Projection(
    tables.agencies,
    AgencyRegistered,
    values={"parents": lambda agency: json.dumps(agency.model_dump(mode="json")["parents"])},
    refilled=True,
)
OFFICERS = Projection(tables.officers, OfficerRegistered, refilled=True)
PERSONS = Projection(
    tables.people,
    PersonRegistered,
    values={
        "email": lambda person: email_of(person),
        "phone": lambda person: phone_of(person),
        "offices": lambda person: msgspec.json.encode(person.model_dump(mode="json")["offices"]).decode(),
        "digests": lambda person: None if person.digests is None else json.dumps(person.digests),
        "reviews_at": lambda person: msgspec.json.encode(reviews_at(person)).decode(),
    },
    refilled=True,
)
#: names, legal basis and content of regimes; names and legal basis of requests
REGIMES = Projection(
    tables.regimes,
    RegimePublished,
    values={
        "nil_allowed": lambda regime: regime.form.nil_allowed,
        "content": lambda regime: json.dumps(content_of(regime), ensure_ascii=False),
    },
    own=("kept_since",),
    refilled=True,
)
REQUESTS = Projection(tables.requests, RequestIssued, refilled=True)
CALENDARS = Projection(
    tables.calendars,
    CalendarLoaded,
    values={
        "days_off": lambda calendar: json.dumps(calendar.model_dump(mode="json")["days_off"]),
        "made_up": lambda calendar: json.dumps(calendar.model_dump(mode="json")["made_up"]),
    },
)

POLICIES = Projection(
    tables.policies,
    PolicyLoaded,
    values={"clauses": lambda policy: json.dumps(policy.model_dump(mode="json")["clauses"], ensure_ascii=False)},
    refilled=True,
)

_CALENDAR = text("""
    SELECT calendar_version, first_year, last_year, days_off, made_up FROM calendars ORDER BY version DESC LIMIT 1
""")

_NEWEST_CALENDAR = text("SELECT calendar_version FROM calendars ORDER BY version DESC LIMIT 1")

_REGISTERED = text("""
    SELECT 'agency/' || code FROM agencies WHERE 'agency/' || code = ANY(CAST(:names AS text[]))
    UNION ALL
    SELECT 'officer/' || officer_id FROM officers WHERE 'officer/' || officer_id = ANY(CAST(:names AS text[]))
    UNION ALL
    SELECT 'person/' || person_id FROM people WHERE 'person/' || person_id = ANY(CAST(:names AS text[]))
""")

_AGENCIES = text("""
    WITH RECURSIVE up AS (
        SELECT code, name, name_en, parent, parents, closed_on, kind
          FROM agencies WHERE code = ANY(CAST(:codes AS text[]))
        UNION
        SELECT a.code, a.name, a.name_en, a.parent, a.parents, a.closed_on, a.kind
          FROM up
         CROSS JOIN LATERAL (
            SELECT up.parent UNION ALL SELECT later->>'code' FROM jsonb_array_elements(up.parents) AS later
         ) AS above (code)
          JOIN agencies a ON a.code = above.code
    )
    SELECT code, name, name_en, parent, CAST(parents AS text), closed_on, kind FROM up
""")

_OFFICERS = text("""
    SELECT officer_id, agency, name, title, email, role, regimes, active FROM officers
     WHERE agency = ANY(CAST(:codes AS text[])) OR officer_id = ANY(CAST(:ids AS text[]))
""")

_PERSONS = text("""
    SELECT person_id, agency, name, title, email, CAST(offices AS text) AS offices FROM people
     WHERE person_id = ANY(CAST(:ids AS text[])) OR reviews_at && CAST(:reviewed AS text[])
""")

_SEEDED = {"obligation": "text", "agency": "text", "regime": "text", "regime_version": "int", "period": "text"}
_SEED_OBLIGATIONS = text(f"""
    INSERT INTO obligations ({bulk.names(_SEEDED)})
    SELECT * FROM {bulk.unnest(_SEEDED)} ORDER BY obligation
    ON CONFLICT DO NOTHING
""")  # noqa: S608 - column names of this module

_PRESENT = text("SELECT obligation FROM obligations WHERE obligation = ANY(CAST(:keys AS text[]))")

# in the order of Obligation's fields
_LOCK_OBLIGATIONS = text("""
    SELECT obligation, agency, regime, regime_version, period, deadline, standing, version, verdict_version,
           accepted_version, owed, overdue, overdue_count, reminded_at, reminded_for, reminder_count,
           named_officer, certify_version, score, scored_at, policy_version
      FROM obligations WHERE obligation = ANY(CAST(:keys AS text[])) ORDER BY obligation FOR UPDATE
""")

#: columns of the obligation that an event changes
_CHANGED = {
    "obligation": "text", "regime_version": "int", "deadline": "timestamptz", "standing": "text", "version": "int",
    "verdict_version": "int", "accepted_version": "int", "owed": "boolean", "overdue": "boolean",
    "overdue_count": "int", "reminded_at": "timestamptz", "reminded_for": "timestamptz",
    "reminder_count": "int", "named_officer": "text",
    "certify_version": "int", "score": "numeric", "scored_at": "timestamptz",
    "policy_version": "text",
}  # fmt: skip
_values_of = attrgetter(*("key" if name == "obligation" else name for name in _CHANGED))


@lru_cache(200)
def _save_statement(changed: tuple[str, ...]) -> TextClause:
    """The statement that writes these columns alone."""
    columns = {"obligation": _CHANGED["obligation"]} | {name: _CHANGED[name] for name in changed}
    return text(f"""
        UPDATE obligations SET {bulk.assignments(changed)}
          FROM {bulk.unnest(columns)} WHERE obligations.obligation = row.obligation
    """)  # noqa: S608 - column names of this module


_CANCELLED = {"obligation": "text", "kind": "text", "reason": "text", "up_to": "int"}
# A claimed mail loses its token, so its dispatcher must not begin DATA; one already in DATA is left to its dispatcher.
# Of an unknown one only the resend is cancelled: it stays true that the mail may have arrived. `now` was read before
# the locks were there: the mail may have been claimed since.
_CANCEL = text(f"""
    WITH cancelled AS (
        SELECT n.id, n.token, row.reason FROM notifications n
          JOIN {bulk.unnest(_CANCELLED)} ON row.obligation = n.obligation AND row.kind = n.kind
         WHERE n.mail_id IS NULL
           AND (n.state IN ('waiting', 'pending', 'retry', 'claimed') OR (n.state = 'unknown' AND n.due_at IS NOT NULL))
           AND (n.kind NOT IN ('returned', 'not_judged') OR n.submission_version <= row.up_to)
         ORDER BY n.id FOR UPDATE OF n
    ), closed AS (
        UPDATE attempts a SET outcome = 'cancelled', ended_at = greatest(:now, a.claimed_at), stage = 'lease',
                              answer = cancelled.reason
          FROM cancelled WHERE a.token = cancelled.token AND a.outcome IS NULL
    ), stopped AS (
        UPDATE notifications n
           SET state = CASE WHEN n.unknowns > 0 THEN 'unknown' ELSE 'cancelled' END,
               reason = CASE WHEN n.unknowns > 0 THEN n.reason ELSE cancelled.reason END,
               held = CASE WHEN n.state = 'waiting' THEN n.reason ELSE n.held END,
               due_at = NULL, wait_until = NULL, token = NULL, lease_until = NULL
          FROM cancelled WHERE n.id = cancelled.id
        RETURNING n.id
    )
    SELECT id, CAST(NULL AS uuid) AS mail_id, CAST(NULL AS text) AS why FROM stopped
    UNION ALL
    SELECT n.id, n.mail_id, row.reason FROM notifications n
      JOIN {bulk.unnest(_CANCELLED)} ON row.obligation = n.obligation AND row.kind = n.kind
     WHERE n.mail_id IS NOT NULL AND n.state IN ('grouped', 'pending', 'retry', 'claimed')
       AND (n.kind NOT IN ('returned', 'not_judged') OR n.submission_version <= row.up_to)
""")  # noqa: S608 - column names of this module

# A letter of several matters that has not begun DATA is taken apart when one of them is no longer so: the others go
# into the next. The notice that carries the mail is locked before those it tells of, in every transaction.
_LOCK_CARRIERS = text("""
    SELECT id, token FROM notifications
     WHERE id = ANY(CAST(:mails AS uuid[])) AND state IN ('pending', 'retry', 'claimed') AND unknowns = 0
     ORDER BY id FOR UPDATE
""")
_CLOSE_ATTEMPTS = text("""
    UPDATE attempts SET outcome = 'cancelled', ended_at = greatest(:now, claimed_at), stage = 'lease',
                        answer = 'the letter is made anew'
     WHERE token = ANY(CAST(:tokens AS uuid[])) AND outcome IS NULL
""")
_DISSOLVED = {"id": "uuid", "reason": "text"}
_DISSOLVE = text(f"""
    UPDATE notifications n
       SET state = CASE WHEN row.id IS NULL THEN 'waiting' ELSE 'cancelled' END,
           wait_until = CASE WHEN row.id IS NULL THEN n.created_at END,
           reason = CASE WHEN row.id IS NULL THEN nullif(n.held, '') ELSE row.reason END,
           held = CASE WHEN row.id IS NOT NULL THEN n.held END,
           released_at = CASE WHEN row.id IS NOT NULL THEN n.released_at END,
           mail_id = NULL, due_at = NULL, token = NULL, lease_until = NULL, facts = n.facts - 'matters'
      FROM notifications m LEFT JOIN {bulk.unnest(_DISSOLVED)} ON row.id = m.id
     WHERE m.id = n.id AND m.mail_id = ANY(CAST(:mails AS uuid[]))
       AND m.state IN ('grouped', 'pending', 'retry', 'claimed')
""")  # noqa: S608 - column names of this module

_INSERTED = {
    "id": "uuid", "obligation": "text", "agency": "text", "regime": "text", "period": "text", "kind": "text",
    "step": "text", "officer_id": "text", "channel": "text", "recipient": "text", "message_id": "text",
    "submission_version": "int", "facts": "jsonb", "state": "text", "reason": "text", "created_at": "timestamptz",
    "due_at": "timestamptz", "traceparent": "text", "wait_until": "timestamptz", "urgent": "boolean",
    "next_channels": "jsonb",
}  # fmt: skip
#: columns in which a notice from before a lost database differs: it enters the ledger, and nobody receives it again
_IF_SENT_BEFORE = {
    "state": "CASE WHEN sent_before THEN 'cancelled' ELSE state END",
    "reason": "CASE WHEN sent_before THEN 'told_before' ELSE reason END",
    "due_at": "CASE WHEN NOT sent_before THEN due_at END",
    "wait_until": "CASE WHEN NOT sent_before THEN wait_until END",
    "next_channels": "ARRAY(SELECT jsonb_array_elements_text(next_channels))",
}
_INSERT_NOTICES = text(f"""
    INSERT INTO notifications ({bulk.names(_INSERTED)})
    SELECT {", ".join(_IF_SENT_BEFORE.get(name, name) for name in _INSERTED)}
      FROM {bulk.unnest(_INSERTED)}
      CROSS JOIN LATERAL (
          SELECT state IN ('pending', 'waiting') AND EXISTS (SELECT FROM told_before WHERE until >= created_at)
      ) AS lost (sent_before)
     ORDER BY id
    ON CONFLICT ON CONSTRAINT notifications_once DO NOTHING
    RETURNING kind, state
""")  # noqa: S608 - column names of this module


def _step_now(name: str, count: str) -> str:
    """SQL of the newest step of that name: `overdue`, then `overdue/2`."""
    return f"'{name}' || CASE o.{count} WHEN 1 THEN '' ELSE '/' || o.{count} END"


#: whether what the notification n states is still true of its obligation o
STILL_SO = f"""CASE n.kind
             WHEN 'returned' THEN o.owed AND n.submission_version = o.verdict_version
                                  AND n.submission_version > o.accepted_version
             WHEN 'reminder' THEN o.accepted_version = 0 AND o.owed AND NOT o.overdue
                                  AND o.deadline = o.reminded_for AND n.step = {_step_now("due_soon", "reminder_count")}
             WHEN 'overdue' THEN o.accepted_version = 0 AND o.owed AND o.overdue
                                 AND n.step = {_step_now("overdue", "overdue_count")}
             WHEN 'request' THEN o.accepted_version = 0 AND o.owed AND NOT o.overdue
             WHEN 'named' THEN true
             WHEN 'digest' THEN true
             WHEN 'regime' THEN true
             WHEN 'certification' THEN o.owed AND o.accepted_version = 0 AND o.certify_version = n.submission_version
             WHEN 'decision' THEN o.owed
             WHEN 'withdrawal' THEN o.owed
             WHEN 'not_judged' THEN o.owed
             WHEN 'resolved' THEN NOT (o.accepted_version = 0 AND o.owed AND o.overdue)
             ELSE o.accepted_version = 0 AND o.owed AND o.overdue
                  AND starts_with(n.step, {_step_now("overdue", "overdue_count")} || '/rung-')
           END"""

_SKIPPED = text(f"""
    SELECT n.id, n.obligation, n.agency, n.regime, n.kind, n.step, n.facts FROM notifications n
      JOIN obligations o ON o.obligation = n.obligation
     WHERE n.state = 'skipped' AND NOT EXISTS (SELECT FROM told_before WHERE until >= n.created_at)
       AND n.kind IN ('reminder', 'overdue', 'returned', 'request')
       AND n.agency = ANY(CAST(:agencies AS text[])) AND {STILL_SO}
     ORDER BY n.obligation, n.id FOR UPDATE OF o, n
""")  # noqa: S608 - constants

_REVIVED = {"id": "uuid", "officer_id": "text", "recipient": "text", "message_id": "text", "facts": "jsonb"}
_REVIVE = text(f"""
    UPDATE notifications
       SET {bulk.assignments(name for name in _REVIVED if name != "id")},
           state = CASE WHEN CAST(:waits_from AS timestamptz) IS NULL THEN 'pending' ELSE 'waiting' END,
           reason = NULL, wait_until = :waits_from,
           due_at = CASE WHEN CAST(:waits_from AS timestamptz) IS NULL THEN CAST(:now AS timestamptz) END
      FROM {bulk.unnest(_REVIVED)} WHERE notifications.id = row.id AND notifications.state = 'skipped'
""")  # noqa: S608 - column names of this module

_PHONES = text("SELECT person_id, phone FROM people WHERE person_id = ANY(CAST(:ids AS text[])) AND phone <> ''")

_TOLD_BEFORE = text("""
    INSERT INTO told_before (until) SELECT :until WHERE NOT EXISTS (SELECT FROM notifications)
    ON CONFLICT DO NOTHING
    RETURNING until
""")


async def rebuild(tx: Transaction, told_until: datetime) -> bool:
    """Mark an empty database as the replacement of one lost at that business time. False where it is not empty."""
    return (await tx.execute(_TOLD_BEFORE, {"until": told_until})).first() is not None


async def calendar(tx: ReadTransaction) -> WorkingCalendar | None:
    """The working days to count by; None before scoring has published any."""
    row = (await tx.execute(_CALENDAR)).first()
    if row is None:
        return None
    return WorkingCalendar(
        row.calendar_version,
        row.first_year,
        row.last_year,
        days_off=map(date.fromisoformat, row.days_off),
        made_up=map(date.fromisoformat, row.made_up),
    )


class CalendarShelf:
    """The working days, kept: a calendar that is loaded never changes, so only a newer one is read."""

    def __init__(self) -> None:
        self._calendar: WorkingCalendar | None = None

    async def current(self, tx: ReadTransaction) -> WorkingCalendar | None:
        """As `calendar`."""
        newest = (await tx.execute(_NEWEST_CALENDAR)).scalar_one_or_none()
        if self._calendar is None or self._calendar.version != newest:
            self._calendar = await calendar(tx)
        return self._calendar


async def registered(tx: Transaction, names: Sequence[str]) -> set[str]:
    """Which of the registry keys (`agency/<code>`, `officer/<id>`, `person/<id>`) have a record here."""
    return set((await tx.execute(_REGISTERED, {"names": list(names)})).scalars())


async def tree_above(tx: ReadTransaction, codes: Collection[str]) -> Tree:
    """These agencies and all that ever stand above them."""
    rows = (await tx.execute(_AGENCIES, {"codes": sorted(set(codes))})).mappings()
    return Tree({agency.code: agency.above for agency in map(_agency, rows)})


async def directory(
    tx: Transaction, agencies: Collection[str], officers: Collection[str] = (), *, reviewers: bool = False
) -> Directory:
    """The agencies with their ancestors, all officers of these, and the named people wherever they are.

    reviewers: and whoever reviews at one of these agencies.
    """
    if not agencies:
        return Directory()
    rows = (await tx.execute(_AGENCIES, {"codes": sorted(set(agencies))})).mappings().all()
    found = [_agency(row) for row in rows]
    people = await tx.execute(_OFFICERS, {"codes": [agency.code for agency in found], "ids": sorted(set(officers))})
    known = [Officer(**{**row, "regimes": tuple(row["regimes"])}) for row in people.mappings()]
    if not (officers or reviewers):
        return Directory.of(found, known)
    reviewed = [agency.code for agency in found] if reviewers else []
    persons = await tx.execute(_PERSONS, {"ids": sorted(set(officers)), "reviewed": reviewed})
    return Directory.of(found, known, [_person(row) for row in persons.mappings()])


def _person(row: RowMapping) -> Person:
    officer = Officer(row["person_id"], row["agency"], row["name"], row["title"], row["email"], "")
    return Person(officer, offices_of(row["offices"]))


def _agency(row: Mapping[Any, Any]) -> Agency:
    later = (ParentSince(date.fromisoformat(above["since"]), above["code"]) for above in json.loads(row["parents"]))
    above = Parents(row["parent"], tuple(later))
    return Agency(row["code"], row["name"], row["name_en"], above, row["closed_on"], row["kind"] or "")


async def lock_obligations(tx: Transaction, seeds: Mapping[str, Obligation]) -> dict[str, Obligation]:
    """Lock the rows of these keys, inserted from the seeds where they are missing; keys sorted.

    Rows are inserted before any is locked: in the other order two transactions could wait for each other.
    """
    if not seeds:
        return {}
    keys = sorted(seeds)
    present = set((await tx.execute(_PRESENT, {"keys": keys})).scalars())
    if missing := [seeds[key] for key in keys if key not in present]:
        values = attrgetter("key", "agency", "regime", "regime_version", "period")
        await tx.execute(_SEED_OBLIGATIONS, bulk.parameters(_SEEDED, map(values, missing)))
    return await lock(tx, keys)


async def lock(tx: Transaction, keys: Collection[str]) -> dict[str, Obligation]:
    """Lock the rows of these keys that are there, sorted."""
    rows = await tx.execute(_LOCK_OBLIGATIONS, {"keys": sorted(keys)})
    return {row[0]: Obligation(*row) for row in rows}


async def save_obligations(tx: Transaction, changed: Collection[tuple[Obligation, Obligation]]) -> None:
    """Write back locked obligations, each given as it was and as it is now; of columns those that some event changed.

    A report that is accepted changes four of fifteen.
    """
    if changed:
        was, now = (zip(*map(_values_of, obligations), strict=True) for obligations in zip(*changed, strict=True))
        keys, *columns = zip(_CHANGED, was, now, strict=True)
        values = {name: list(after) for name, before, after in columns if before != after}
        await tx.execute(_save_statement(tuple(values)), {"obligation": list(keys[2]), **values})


async def cancel(tx: Transaction, cancels: Collection[Cancel], now: datetime) -> int:
    """Cancel notices that have not begun DATA. `now` is system time. Returns how many were cancelled."""
    furthest: dict[tuple[str, str], Cancel] = {}
    for cancelling in cancels:
        for kind in cancelling.kinds:
            at = cancelling.obligation, kind
            furthest[at] = _further(furthest.get(at), cancelling)
    if not furthest:
        return 0
    rows = ((*at, found.reason, found.up_to_submission_version) for at, found in sorted(furthest.items()))
    found = (await tx.execute(_CANCEL, {**bulk.parameters(_CANCELLED, rows), "now": now})).all()
    cancelled = [row.id for row in found if row.mail_id is None]
    if grouped := [row for row in found if row.mail_id is not None]:
        cancelled += await _take_apart(tx, {row.id: (row.mail_id, row.why) for row in grouped}, now)
    await blank_ended(tx, cancelled)
    return len(cancelled)


async def _take_apart(tx: Transaction, over: Mapping[UUID, tuple[UUID, str]], now: datetime) -> list[UUID]:
    """Take unsent letters apart that tell of these notices, which are cancelled: notice -> (its mail, why)."""
    mails = sorted({mail for mail, _ in over.values()})
    unsent = (await tx.execute(_LOCK_CARRIERS, {"mails": mails})).all()
    if tokens := [row.token for row in unsent if row.token is not None]:
        await tx.execute(_CLOSE_ATTEMPTS, {"tokens": tokens, "now": now})
    apart = {row.id for row in unsent}
    rows = [(notice, why) for notice, (mail, why) in sorted(over.items()) if mail in apart]
    if apart:
        await tx.execute(_DISSOLVE, {**bulk.parameters(_DISSOLVED, rows), "mails": sorted(apart)})
    return [notice for notice, _ in rows]


async def insert_notices(
    tx: Transaction,
    notices: Sequence[Notice],
    *,
    now: datetime,
    domain: str,
    waits_from: datetime | None = None,
    channels: Collection[str] = (),
) -> list[tuple[str, str]]:
    """Enter notices into the ledger; one that is there already is left as it is.

    now: system time; domain: right side of the Message-IDs; waits_from: they wait for their window since then (business
    time), else they are due at once; channels: those that there are beside e-mail. Returns (kind, state) of those
    entered.
    """
    if not notices:
        return []
    by_text = {
        notice.officer.officer_id
        for notice in notices
        if notice.officer is not None and any(channel in channels for channel in notice.channels)
    }
    phones: dict[str, str] = {}
    if by_text:
        phones = {row.person_id: row.phone for row in await tx.execute(_PHONES, {"ids": sorted(by_text)})}
    rows = (_row(notice, now, domain, waits_from, _ways(notice, channels, phones)) for notice in notices)
    result = await tx.execute(_INSERT_NOTICES, bulk.parameters(_INSERTED, rows))
    return [(kind, state) for kind, state in result]


async def revive_skipped(
    tx: Transaction, agencies: Collection[str], *, now: datetime, domain: str, waits_from: datetime | None = None
) -> int:
    """Give skipped notices that are still true to officers registered since. Returns how many.

    waits_from: as of `insert_notices`.
    """
    rows = (await tx.execute(_SKIPPED, {"agencies": sorted(set(agencies))})).mappings().all()
    if not rows:
        return 0
    people = await directory(tx, {row["agency"] for row in rows})
    revived: list[Sequence[Any]] = []
    for row in rows:
        officer = people.responsible(row["agency"], row["regime"])
        known = kept_facts(row["id"], row["facts"])
        if officer is None or known is None:
            continue
        facts = replace(known, recipient_name=officer.name, recipient_title=officer.title, named=False)
        identity = message_id(row["obligation"], row["step"], officer.officer_id, EMAIL, domain)
        revived.append((row["id"], officer.officer_id, officer.email, identity, facts_json(facts)))
    if revived:
        await tx.execute(_REVIVE, {**bulk.parameters(_REVIVED, revived), "now": now, "waits_from": waits_from})
    return len(revived)


def kept_facts(notice: UUID | str, facts: object) -> LetterFacts | None:
    """A notice's facts as the ledger keeps them; None where this version of the code cannot read them.

    Such a notice stays as it is: the registry's record that brought us here has its neighbours to serve.
    """
    try:
        return LETTER_FACTS.validate_python(facts)
    except ValidationError as error:
        log.error(
            "The facts of a notice cannot be read; it is not taken up again.",
            action="notice.facts_unreadable", notification=str(notice), error=str(error)[:500],
        )  # fmt: skip
        return None


def facts_json(facts: LetterFacts) -> str:
    """As the column `facts` takes them."""
    return LETTER_FACTS.dump_json(facts).decode()


def _ways(notice: Notice, channels: Collection[str], phones: Mapping[str, str]) -> list[tuple[str, str]]:
    """(channel, address) by which the person can be reached, in the rung's order; by mail where that names none."""
    if notice.officer is None:
        return [(EMAIL, "")]
    ways: list[tuple[str, str]] = []
    for channel in notice.channels:
        if channel == EMAIL and notice.officer.email:
            ways.append((channel, notice.officer.email))
        elif channel in channels and (phone := phones.get(notice.officer.officer_id)):
            ways.append((channel, phone))
    return ways or [(EMAIL, notice.officer.email)]


def _row(
    notice: Notice, now: datetime, domain: str, waits_from: datetime | None, ways: Sequence[tuple[str, str]]
) -> Sequence[Any]:
    """In the order of _INSERTED."""
    state, reason = "pending" if waits_from is None else "waiting", None
    (channel, address), *later = ways
    if notice.officer is None:
        state, reason = "skipped", notice.skipped or "nobody"
    elif not address:
        state, reason = "skipped", f"no_contact:{notice.officer.officer_id}"
    elif notice.cancelled is not None:
        state, reason = "cancelled", notice.cancelled
    officer_id = notice.officer.officer_id if notice.officer else ""
    return (
        new_id(),
        notice.obligation,
        notice.agency,
        notice.regime,
        notice.period,
        notice.kind,
        notice.step,
        officer_id,
        channel,
        address or None,
        message_id(notice.obligation, notice.step, officer_id, channel, domain),
        notice.submission_version,
        facts_json(notice.facts),
        state,
        reason,
        notice.at,
        now if state == "pending" else None,
        cause_of(notice.obligation),
        waits_from if state == "waiting" else None,
        notice.urgent,
        json.dumps([channel for channel, _ in later]),
    )


def _further(one: Cancel | None, other: Cancel) -> Cancel:
    """Of two cancels of the same obligation and kind the one that reaches further; where equal, the later one."""
    if one is not None and one.up_to_submission_version > other.up_to_submission_version:
        return one
    return other
