"""Everything that intake keeps of one person, part by part in pages, so that much of it costs no memory.

NĐ 13/2023/NĐ-CP Điều 9, 14: who is meant may have a copy. Reports are those of the agencies where the person works or
holds an office; their text is the agency's, so only that they name the person is told.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import TextClause, text

from services.intake.personal_data import store
from services.intake.registry.records import content_of
from shared.contract.events import OfficerRegistered, PersonRegistered
from shared.postgres.database import Database, ReadTransaction

#: rows read in one transaction
PAGE_ROWS = 500
_NOTHING_BEFORE = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of rows about a person, in the order of `keys`, behind those of `first`."""

    name: str
    statement: TextClause
    keys: tuple[str, ...]
    first: tuple[object, ...]


# Agencies and operators act under names of their own (`operator`: with the token alone), which a person's id may
# equal: what they did is not that person's.
_THIS_PERSON = """CAST(:person AS text) <> 'operator'
               AND NOT EXISTS (SELECT FROM api_keys WHERE principal_kind <> 'person' AND principal_id = :person)"""

_PARTS = (
    Part(
        "key",
        text("""
            SELECT key_id, scopes, created_at, expires_at, revoked_at, last_used_at FROM api_keys
             WHERE principal_kind = 'person' AND principal_id = :person AND key_id > :key_id
             ORDER BY key_id LIMIT :limit
        """),
        ("key_id",),
        ("",),
    ),
    Part(
        "submission",
        text("""
            SELECT agency, submission_id, obligation, version, received_at, nil FROM submissions
             WHERE agency = ANY(CAST(:agencies AS text[])) AND officer_id = :person
               AND (agency, submission_id) > (:agency, CAST(:submission_id AS uuid))
             ORDER BY agency, submission_id LIMIT :limit
        """),
        ("agency", "submission_id"),
        ("", _NOTHING_BEFORE),
    ),
    Part(
        "step",
        text(f"""
            SELECT idempotency_key, step_id, obligation, kind, at, role, reason, since, until, effect, answers,
                   submission_id, remedy
              FROM steps WHERE taken_by = :person AND idempotency_key > :idempotency_key AND {_THIS_PERSON}
             ORDER BY idempotency_key LIMIT :limit
        """),  # noqa: S608 - constants
        ("idempotency_key",),
        ("",),
    ),
    Part(
        "waiver_request",
        text(f"""
            SELECT waiver_id, agency, regime, rule, agencies, reason, since, until, asked_by, asked_at, decision,
                   decided_by, decided_at, decision_reason
              FROM waiver_requests
             WHERE (asked_by = :person OR decided_by = :person OR (made_by = :person AND {_THIS_PERSON}))
               AND waiver_id > :waiver_id
             ORDER BY waiver_id LIMIT :limit
        """),  # noqa: S608 - constants
        ("waiver_id",),
        ("",),
    ),
    Part(
        "notice",
        text("""
            SELECT notification_id, agency, obligation, at, document FROM notices
             WHERE document ->> 'officer_id' = :person AND notification_id > CAST(:notification_id AS uuid)
             ORDER BY notification_id LIMIT :limit
        """),
        ("notification_id",),
        (_NOTHING_BEFORE,),
    ),
    Part(
        "change_about",
        text("""
            SELECT audit_id, at, by, via, action, kind, before, after, why FROM audit_trail
             WHERE kind IN ('officer', 'person') AND key = :person AND audit_id > :audit_id
             ORDER BY audit_id LIMIT :limit
        """),
        ("audit_id",),
        (0,),
    ),
    Part(
        "change_by",
        # not those of a command or a service, whose name is no proof of who it was
        text(f"""
            SELECT audit_id, at, via, action, kind, key, why FROM audit_trail
             WHERE by = :person AND via = 'api' AND audit_id > :audit_id AND {_THIS_PERSON}
             ORDER BY audit_id LIMIT :limit
        """),  # noqa: S608 - constants
        ("audit_id",),
        (0,),
    ),
)


@dataclass(frozen=True, slots=True)
class Records:
    """What the registry says of one person, under either kind of record."""

    officer: OfficerRegistered | None = None
    person: PersonRegistered | None = None

    @property
    def agencies(self) -> list[str]:
        """Where the person works or has held an office."""
        found = {record.agency for record in (self.officer, self.person) if record is not None}
        offices = self.person.offices if self.person is not None else ()
        return sorted(found | {office.agency for office in offices})


async def records(tx: ReadTransaction, person_id: str) -> Records:
    found = Records()
    for record in await store.records_of(tx, [person_id]):
        if isinstance(record, OfficerRegistered):
            found = Records(record, found.person)
        else:
            found = Records(found.officer, record)
    return found


async def everything(database: Database, person_id: str, known: Records) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Every row about the person, with the name of its part: the records first."""
    for name, record in (("officer", known.officer), ("person", known.person)):
        if record is not None:
            yield name, content_of(record)
    for part in _PARTS:
        async for row in _rows(database, part, {"person": person_id, "agencies": known.agencies}):
            yield part.name, row


async def _rows(database: Database, part: Part, about: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    wanted = {name: value for name, value in about.items() if f":{name}" in str(part.statement)}
    behind: Sequence[object] = part.first
    while True:
        place = dict(zip(part.keys, behind, strict=True))
        async with database.read_transaction() as tx:
            found = await tx.execute(part.statement, {**wanted, **place, "limit": PAGE_ROWS})
            rows = [dict(row) for row in found.mappings()]
        for row in rows:
            yield row
        if len(rows) < PAGE_ROWS:
            return
        behind = [str(rows[-1][key]) if not isinstance(rows[-1][key], int) else rows[-1][key] for key in part.keys]
