"""SQL of escalations; set-based. What changes is published in the same transaction. Nothing here commits.

Locks are taken in one order, obligations before escalations, both sorted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import text

from services.notifier.escalation.domain import Climb, Escalation, Resolution
from services.notifier.escalation.publishing import as_published, publish_escalations
from services.notifier.ladders.domain import EMAIL
from services.notifier.planning.directory import Officer
from services.notifier.planning.domain import LetterFacts, Notice, Obligation
from services.notifier.planning.store import kept_facts
from shared.postgres import bulk
from shared.postgres.database import ReadTransaction, Transaction

_ENCODE = msgspec.json.Encoder().encode

_BEGUN = {
    "obligation": "text", "place": "int", "ladder": "text", "ladder_version": "int", "opened_at": "timestamptz",
    "next_at": "timestamptz", "reason": "text", "resolved_at": "timestamptz", "resolution": "text",
    "document": "jsonb", "changed_at": "timestamptz",
}  # fmt: skip
_BEGIN = text(f"""
    INSERT INTO escalations (obligation, number, ladder, ladder_version, opened_at, next_at, reason, resolved_at,
                             resolution, document, version, changed_at)
    SELECT row.obligation,
           row.place + coalesce((SELECT max(number) FROM escalations e WHERE e.obligation = row.obligation), 0),
           row.ladder, row.ladder_version, row.opened_at, row.next_at, row.reason, row.resolved_at, row.resolution,
           row.document, 1, row.changed_at
      FROM {bulk.unnest(_BEGUN)} ORDER BY row.obligation, row.place
    ON CONFLICT DO NOTHING
    RETURNING obligation, number
""")  # noqa: S608 - column names of this module

_COLUMNS = "obligation, opened_at, document, next_at, reason, number, resolved_at, resolution, version, changed_at"
_ENDED = ", ".join(f"e.{column}" for column in _COLUMNS.split(", "))
_RESOLVED = {"obligation": "text", "resolution": "text", "at": "timestamptz", "now": "timestamptz"}
# Who was told is whoever's notice left, or may have: what was waiting, alone or with others, is cancelled before.
_RESOLVE = text(f"""
    WITH over AS (
        UPDATE escalations e
           SET next_at = NULL, reason = '', resolved_at = row.at, resolution = row.resolution,
               version = e.version + 1, changed_at = greatest(e.changed_at, row.now)
          FROM {bulk.unnest(_RESOLVED)}
         WHERE e.obligation = row.obligation AND e.resolved_at IS NULL
        RETURNING {_ENDED}, e.document ->> 'step' AS step
    ), told AS (
        SELECT DISTINCT ON (n.obligation, n.officer_id) n.obligation, n.officer_id, n.recipient, n.facts, n.channel
          FROM over JOIN notifications n ON n.obligation = over.obligation
         WHERE n.kind = 'escalation' AND n.state IN ('sent', 'in_data', 'unknown', 'grouped') AND n.recipient <> ''
           AND starts_with(n.step, over.step || '/')
         ORDER BY n.obligation, n.officer_id, n.id DESC
    )
    SELECT over.*, told.officer_id, told.recipient, told.facts, told.channel, coalesce(f.email, p.email, '') AS email
      FROM over LEFT JOIN told ON told.obligation = over.obligation
      LEFT JOIN people p ON told.channel <> '{EMAIL}' AND p.person_id = told.officer_id
      LEFT JOIN officers f ON told.channel <> '{EMAIL}' AND f.officer_id = told.officer_id AND f.active
     ORDER BY over.obligation, told.officer_id
""")  # noqa: S608 - column names of this module

_LOOKED = {"obligation": "text", "at": "timestamptz"}
_LOOK = text(f"""
    UPDATE escalations e SET next_at = row.at, reason = '' FROM {bulk.unnest(_LOOKED)}
     WHERE e.obligation = row.obligation AND e.resolved_at IS NULL
""")  # noqa: S608 - column names of this module
_LOOK_AT_ALL = text("UPDATE escalations SET next_at = :at WHERE resolved_at IS NULL AND next_at > :at")

_DUE = text("""
    SELECT obligation FROM escalations WHERE next_at <= :now ORDER BY next_at, obligation LIMIT :limit
""")
_TAKE = text(f"""
    SELECT {_COLUMNS} FROM escalations
     WHERE resolved_at IS NULL AND next_at <= :now AND obligation = ANY(CAST(:keys AS text[]))
     ORDER BY obligation FOR UPDATE
""")  # noqa: S608 - column names of this module
_OPEN = text(f"""
    SELECT {_COLUMNS} FROM escalations WHERE obligation = :key AND resolved_at IS NULL FOR UPDATE
""")  # noqa: S608 - column names of this module
_OPEN_OF = text(f"""
    SELECT {_COLUMNS} FROM escalations WHERE resolved_at IS NULL AND obligation = ANY(CAST(:keys AS text[]))
""")  # noqa: S608 - column names of this module
_OF_ONE = text(f"""
    SELECT {_COLUMNS} FROM escalations WHERE obligation = :key ORDER BY number
""")  # noqa: S608 - column names of this module
# by every channel that the rung names; while one of them may still tell the person nobody else is told
_FAILED = text("""
    SELECT n.obligation, n.step, n.officer_id FROM notifications n
     WHERE n.kind = 'escalation' AND n.state = 'failed' AND n.obligation = ANY(CAST(:keys AS text[]))
       AND NOT EXISTS (
           SELECT FROM notifications other
            WHERE other.obligation = n.obligation AND other.step = n.step AND other.officer_id = n.officer_id
              AND other.channel <> n.channel AND other.state NOT IN ('failed', 'skipped'))
""")
_TOLD_UNTIL = text("SELECT until FROM told_before")
_SAVED = {
    "obligation": "text", "number": "int", "next_at": "timestamptz", "reason": "text", "resolved_at": "timestamptz",
    "resolution": "text", "document": "jsonb", "version": "int", "changed_at": "timestamptz",
}  # fmt: skip
_SAVE = text(f"""
    UPDATE escalations e
       SET next_at = row.next_at, reason = row.reason, resolved_at = row.resolved_at, resolution = row.resolution,
           document = row.document, version = row.version, changed_at = row.changed_at
      FROM {bulk.unnest(_SAVED)} WHERE e.obligation = row.obligation AND e.number = row.number
""")  # noqa: S608 - column names of this module
# A notice that the mail server refused for good told nobody: its escalation is looked at again.
_REFUSED = text("""
    UPDATE escalations e SET next_at = least(e.next_at, :at), reason = ''
      FROM notifications n
     WHERE n.id = ANY(CAST(:ids AS uuid[])) AND n.kind = 'escalation' AND n.state = 'failed'
       AND e.obligation = n.obligation AND e.resolved_at IS NULL
""")
_COUNTS = text("""
    SELECT count(*) FILTER (WHERE reason = '') AS moving,
           count(*) FILTER (WHERE reason = 'at_the_top') AS at_the_top,
           count(*) FILTER (WHERE reason NOT IN ('', 'at_the_top')) AS waiting,
           count(*) FILTER (WHERE next_at <= :late) AS overdue
      FROM escalations WHERE resolved_at IS NULL
""")


async def insert(tx: Transaction, begun: Mapping[str, Sequence[Escalation]], now: datetime) -> None:
    """Store new escalations and publish them, in order per obligation, under whose lock this runs.

    `now`: business time.
    """
    rows = [
        (
            key, place, one.climb.ladder.name, one.climb.ladder.version, one.opened_at, one.next_at, one.reason,
            one.resolved_at, one.resolution, _ENCODE(one.climb).decode(), now,
        )
        for key, escalations in sorted(begun.items())
        for place, one in enumerate(escalations, 1)
    ]  # fmt: skip
    if not rows:
        return
    stored: dict[str, list[int]] = {}
    for obligation, number in await tx.execute(_BEGIN, bulk.parameters(_BEGUN, rows)):
        stored.setdefault(obligation, []).append(number)
    await publish_escalations(
        tx,
        [
            replace(as_published(one, None, now), number=number)
            for key, numbers in sorted(stored.items())
            for one, number in zip(begun[key], sorted(numbers), strict=True)
        ],
    )


async def resolve(
    tx: Transaction,
    resolved: Mapping[str, tuple[Resolution, datetime]],
    obligations: Mapping[str, Obligation],
    now: datetime,
) -> tuple[list[Notice], list[Resolution]]:
    """End the open escalations of these obligations, after what was waiting to go out is cancelled, and publish it.

    Returns the notices to whoever above the officer was told, and how each escalation ended. `now`: business time.
    """
    if not resolved:
        return [], []
    rows = [(key, resolution, at, now) for key, (resolution, at) in sorted(resolved.items())]
    notices: list[Notice] = []
    ended: dict[str, Resolution] = {}
    over: dict[str, Escalation] = {}
    for row in (await tx.execute(_RESOLVE, bulk.parameters(_RESOLVED, rows))).mappings():
        if row["obligation"] not in over:
            over[row["obligation"]] = _escalation(row)
        ended[row["obligation"]] = row["resolution"]
        facts = None if row["officer_id"] is None else kept_facts(row["obligation"], row["facts"])
        if facts is not None:
            notices.append(_resolved(obligations[row["obligation"]], row, facts))
    await publish_escalations(tx, over.values())
    return notices, list(ended.values())


def _resolved(obligation: Obligation, row: Mapping[Any, Any], facts: LetterFacts) -> Notice:
    by_mail = row["channel"] == EMAIL
    address = row["recipient"] if by_mail else row["email"]
    person = Officer(row["officer_id"], "", facts.recipient_name, facts.recipient_title, address, "")
    notice = Notice.about(
        obligation,
        kind="resolved",
        step=f"{row['step']}/resolved",
        officer=person,
        facts=dataclasses.replace(
            facts, deadline=None, standing=None, resolution=row["resolution"],
        ),
        at=row["resolved_at"],
    )  # fmt: skip
    # by letter where there is no gateway any more, or it is away
    return notice if by_mail else replace(notice, channels=(row["channel"], EMAIL))


async def look_again(tx: Transaction, keys: Mapping[str, datetime]) -> None:
    """Have the open escalations of these obligations looked at: their deadline is another."""
    if keys:
        await tx.execute(_LOOK, bulk.parameters(_LOOKED, sorted(keys.items())))


async def look_at_all(tx: Transaction, at: datetime) -> None:
    """Have every open escalation looked at: the working days are others. `at`: business time."""
    await tx.execute(_LOOK_AT_ALL, {"at": at})


async def due(tx: ReadTransaction, now: datetime, limit: int) -> list[str]:
    """Obligations whose escalation is to be looked at, the longest overdue first. `now`: business time."""
    return list((await tx.execute(_DUE, {"now": now, "limit": limit})).scalars())


async def take(tx: Transaction, keys: Collection[str], now: datetime) -> list[Escalation]:
    """The escalations of these obligations that are due, locked; the obligations are locked before."""
    rows = await tx.execute(_TAKE, {"keys": sorted(keys), "now": now})
    return [_escalation(row) for row in rows.mappings()]


async def take_open(tx: Transaction, key: str) -> Escalation | None:
    """The open escalation of an obligation, locked; the obligation is locked before."""
    row = (await tx.execute(_OPEN, {"key": key})).mappings().one_or_none()
    return None if row is None else _escalation(row)


async def of_obligation(tx: ReadTransaction, key: str) -> list[Escalation]:
    """Every escalation of an obligation, the first one first."""
    return [_escalation(row) for row in (await tx.execute(_OF_ONE, {"key": key})).mappings()]


async def open_ones(tx: ReadTransaction, keys: Collection[str]) -> dict[str, Escalation]:
    """The open escalations of these obligations, by obligation."""
    rows = (await tx.execute(_OPEN_OF, {"keys": sorted(keys)})).mappings()
    return {row["obligation"]: _escalation(row) for row in rows}


def _escalation(row: Mapping[Any, Any]) -> Escalation:
    climb = msgspec.convert(row["document"], Climb, strict=False)
    return Escalation(
        row["obligation"], row["opened_at"], climb, row["next_at"], row["reason"], row["number"], row["resolved_at"],
        row["resolution"], row["version"], row["changed_at"],
    )  # fmt: skip


async def failed(tx: ReadTransaction, keys: Collection[str]) -> dict[str, set[tuple[str, str]]]:
    """By obligation, (step, person) of escalation notices that no channel could deliver."""
    found: dict[str, set[tuple[str, str]]] = {}
    for row in await tx.execute(_FAILED, {"keys": sorted(keys)}):
        found.setdefault(row.obligation, set()).add((row.step, row.officer_id))
    return found


async def told_until(tx: ReadTransaction) -> datetime | None:
    """Until when a lost database, which this one replaces, has told."""
    until: datetime | None = (await tx.execute(_TOLD_UNTIL)).scalar_one_or_none()
    return until


async def save(tx: Transaction, changes: Collection[tuple[Escalation, Escalation]], now: datetime) -> None:
    """Write back locked escalations, each as it was and as it is, and publish those that have changed.

    `now`: business time.
    """
    if not changes:
        return
    changed = [(before, as_published(after, before, now)) for before, after in changes]
    rows = (
        (one.obligation, one.number, one.next_at, one.reason, one.resolved_at, one.resolution,
         _ENCODE(one.climb).decode(), one.version, one.changed_at)
        for _, one in changed
    )  # fmt: skip
    await tx.execute(_SAVE, bulk.parameters(_SAVED, rows))
    await publish_escalations(tx, [one for before, one in changed if one.version > before.version])


async def look_at_refused(tx: Transaction, notices: Collection[Any], at: datetime) -> None:
    """Have the escalations of failed notices (by id) looked at. `at`: business time."""
    if notices:
        await tx.execute(_REFUSED, {"ids": sorted(notices), "at": at})


class Counts(msgspec.Struct, frozen=True):
    """Open escalations: those that move, those at the top, those that wait for something; and those left behind."""

    moving: int
    at_the_top: int
    waiting: int
    overdue: int  # of all of them: due for longer than the grace


async def counts(tx: ReadTransaction, now: datetime, grace: timedelta) -> Counts:
    """Count them. `now`: business time."""
    row = (await tx.execute(_COUNTS, {"late": now - grace})).one()
    return Counts(row.moving, row.at_the_top, row.waiting, row.overdue)
