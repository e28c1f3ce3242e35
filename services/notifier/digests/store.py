"""SQL of digests: their rounds, who may read them, and what they tell; set-based. Nothing here commits."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import RowMapping, text

from services.notifier.digests.domain import MOST
from services.notifier.mailing.store import not_silenced
from services.notifier.planning.directory import Officer, Person
from shared.contract.events.registry import DigestKind
from shared.contract.hierarchy import Parents, ParentSince, Tree
from shared.postgres import bulk
from shared.postgres.database import ReadTransaction, Transaction
from shared.projection.keyring import offices_of

#: people in a transaction
PEOPLE_AT_ONCE = 100

_BEGIN = text("""
    INSERT INTO digest_rounds (kind, "on", since, at) VALUES (:kind, :on, coalesce((
        SELECT max(at) FROM digest_rounds WHERE kind = :kind), :since), :at) ON CONFLICT DO NOTHING
""")
_TAKE = text('SELECT since, at, after, done FROM digest_rounds WHERE kind = :kind AND "on" = :on FOR UPDATE')
_SAVE = text("""
    UPDATE digest_rounds SET after = :after, letters = letters + :letters, done = :done
     WHERE kind = :kind AND "on" = :on
""")
_PEOPLE = text("""
    SELECT coalesce(o.officer_id, p.person_id) AS id,
           o.officer_id, o.agency, o.name, o.title, o.email, o.role, o.regimes, o.active,
           p.person_id, p.agency AS person_agency, p.name AS person_name, p.title AS person_title,
           p.email AS person_email, CAST(p.offices AS text) AS offices, p.digests
      FROM officers o FULL JOIN people p ON p.person_id = o.officer_id
     WHERE coalesce(o.officer_id, p.person_id) > :after
       AND (CAST(:only AS text[]) IS NULL OR coalesce(o.officer_id, p.person_id) = ANY(CAST(:only AS text[])))
     ORDER BY coalesce(o.officer_id, p.person_id) LIMIT :limit
""")
_LATEST = text("""
    SELECT DISTINCT ON (officer_id, split_part(step, '/', 2)) officer_id, state, settled_at, facts -> 'digest' AS digest
      FROM notifications WHERE kind = 'digest' AND officer_id = ANY(CAST(:people AS text[]))
     ORDER BY officer_id, split_part(step, '/', 2), id DESC
""")
_TREE = text("SELECT code, parent, CAST(parents AS text) AS parents FROM agencies")

_PARTS = {"person": "text", "agency": "text", "regime": "text"}
_NAMED = """
    SELECT ranked.*, a.name AS agency_name, a.name_en AS agency_name_en, r.name AS regime_name,
           r.name_en AS regime_name_en, q.title AS request, q.title_en AS request_en
      FROM ranked
      LEFT JOIN agencies a ON a.code = ranked.agency
      LEFT JOIN regimes r ON r.code = ranked.regime AND r.regime_version = ranked.regime_version
      LEFT JOIN requests q ON q.request_id = ranked.period
     WHERE place <= :most
"""
_OPEN = text(f"""
    WITH found AS (
        SELECT DISTINCT part.person, o.obligation, o.agency, o.regime, o.regime_version, o.period, o.deadline,
               o.standing, o.overdue
          FROM {bulk.unnest(_PARTS, "part")} JOIN obligations o
            ON o.agency = part.agency AND part.regime IN ('', o.regime)
         WHERE o.owed AND o.accepted_version = 0 AND (o.overdue OR (o.deadline > :now AND o.deadline <= :soon))
           AND {
    not_silenced(
        agency="o.agency",
        person="part.person",
        regime="o.regime",
        kind="CASE WHEN o.overdue THEN 'overdue' ELSE 'reminder' END",
    )
}
    ), ranked AS (
        SELECT *, count(*) OVER (PARTITION BY person, overdue) AS total,
               row_number() OVER (PARTITION BY person, overdue ORDER BY deadline, obligation) AS place
          FROM found
    )
    {_NAMED} ORDER BY person, deadline, obligation
""")  # noqa: S608 - constants
_SCORED = text(f"""
    WITH found AS (
        SELECT DISTINCT part.person, o.obligation, o.agency, o.regime, o.regime_version, o.period, o.score, o.scored_at
          FROM {bulk.unnest(_PARTS, "part")} JOIN obligations o
            ON o.agency = part.agency AND part.regime IN ('', o.regime)
         WHERE o.owed AND o.score IS NOT NULL AND o.scored_at > :since AND o.scored_at <= :now
    ), ranked AS (
        SELECT *, count(*) OVER (PARTITION BY person) AS total, avg(score) OVER (PARTITION BY person) AS mean,
               row_number() OVER (PARTITION BY person ORDER BY score, obligation) AS place
          FROM found
    )
    {_NAMED} ORDER BY person, place
""")  # noqa: S608 - constants
_RECEIVED = text(f"""
    WITH ranked AS (
        SELECT n.officer_id AS person, n.obligation, n.version, n.received_at, o.agency, o.regime, o.regime_version,
               o.period, count(*) OVER (PARTITION BY n.officer_id) AS total,
               row_number() OVER (PARTITION BY n.officer_id ORDER BY n.received_at DESC, n.obligation) AS place
          FROM namings n JOIN obligations o ON o.obligation = n.obligation
         WHERE n.officer_id = ANY(CAST(:people AS text[])) AND n.at > :since AND n.at <= :now
    )
    {_NAMED} ORDER BY person, place
""")  # noqa: S608 - constants
# A newer digest says all that an older one would; what has begun to go out is left alone.
_REPLACE = text("""
    UPDATE notifications
       SET state = 'cancelled', held = reason, reason = 'superseded_by_newer_digest', wait_until = NULL
     WHERE kind = 'digest' AND state = 'waiting' AND officer_id = ANY(CAST(:people AS text[]))
       AND starts_with(step, :steps)
""")


@dataclass(frozen=True, slots=True)
class Round:
    """A round of digests. since, at: what the weekly ones cover, in business time; after: the last person done."""

    since: datetime
    at: datetime
    after: str
    done: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A person of the registry, in one role or both, and which digests were chosen (None: nothing was said)."""

    id: str
    officer: Officer | None
    person: Person | None
    chosen: tuple[str, ...] | None


async def take_round(tx: Transaction, kind: DigestKind, on: date, since: datetime, at: datetime) -> Round:
    """Begin the round or go on with it, locked. since: what it covers where it is the first."""
    await tx.execute(_BEGIN, {"kind": kind, "on": on, "since": since, "at": at})
    return Round(*(await tx.execute(_TAKE, {"kind": kind, "on": on})).one())


async def save_round(tx: Transaction, kind: DigestKind, on: date, *, after: str, letters: int, done: bool) -> None:
    """Note how far the round is."""
    await tx.execute(_SAVE, {"kind": kind, "on": on, "after": after, "letters": letters, "done": done})


async def candidates(
    tx: ReadTransaction, after: str, *, only: Collection[str] | None = None, limit: int = PEOPLE_AT_ONCE
) -> list[Candidate]:
    """The next people by id, of all or of these."""
    asked = {"after": after, "limit": limit, "only": None if only is None else sorted(only)}
    return [_candidate(row) for row in (await tx.execute(_PEOPLE, asked)).mappings()]


async def latest(tx: ReadTransaction, people: Collection[str]) -> Rows:
    """The newest digest of each kind to each of these people."""
    return (await tx.execute(_LATEST, {"people": sorted(people)})).mappings().all()


def _candidate(row: RowMapping) -> Candidate:
    officer = person = None
    if row["officer_id"] is not None:
        officer = Officer(
            row["officer_id"], row["agency"], row["name"], row["title"], row["email"], row["role"],
            tuple(row["regimes"]), row["active"],
        )  # fmt: skip
    if row["person_id"] is not None:
        who = Officer(
            row["person_id"], row["person_agency"], row["person_name"], row["person_title"], row["person_email"], ""
        )
        person = Person(who, offices_of(row["offices"]))
    return Candidate(row["id"], officer, person, None if row["digests"] is None else tuple(row["digests"]))


async def tree(tx: ReadTransaction) -> Tree:
    """Who stands above each agency."""
    return Tree(
        {
            row.code: Parents(
                row.parent,
                tuple(ParentSince(date.fromisoformat(one["since"]), one["code"]) for one in json.loads(row.parents)),
            )
            for row in await tx.execute(_TREE)
        }
    )


Rows = Sequence[Mapping[Any, Any]]
#: (person, agency, regime) each; regime '': every one
Parts = Collection[tuple[str, str, str]]


async def open_ones(tx: ReadTransaction, parts: Parts, now: datetime, soon: datetime) -> Rows:
    """What is overdue, or due until `soon`, of these parts: MOST of each for each person."""
    asked = {**bulk.parameters(_PARTS, sorted(parts)), "now": now, "soon": soon, "most": MOST}
    return (await tx.execute(_OPEN, asked)).mappings().all()


async def scored(tx: ReadTransaction, parts: Parts, since: datetime, now: datetime) -> Rows:
    """The scores decided or changed since then, the lowest first."""
    asked = {**bulk.parameters(_PARTS, sorted(parts)), "since": since, "now": now, "most": MOST}
    return (await tx.execute(_SCORED, asked)).mappings().all()


async def received(tx: ReadTransaction, people: Collection[str], since: datetime, now: datetime) -> Rows:
    """The reports that have named these people since then, the newest first."""
    asked = {"people": sorted(people), "since": since, "now": now, "most": MOST}
    return (await tx.execute(_RECEIVED, asked)).mappings().all()


async def replace_waiting(tx: Transaction, people: Collection[str], kind: DigestKind) -> None:
    """Cancel digests of this kind to these people that have not gone out: a newer one comes."""
    await tx.execute(_REPLACE, {"people": sorted(people), "steps": f"digest/{kind}/"})
