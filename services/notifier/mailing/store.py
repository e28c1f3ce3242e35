"""SQL of the notices that wait, of the rules they wait by, and of silences; set-based. Nothing here commits."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from msgspec import structs
from sqlalchemy import RowMapping, text

from services.notifier.ladders.data import LadderError
from services.notifier.mailing.data import ReadRules, parse_rules, shipped_rules
from services.notifier.mailing.domain import Hold, MailingRules, Silence, digest
from shared.contract.ids import new_id
from shared.postgres import bulk
from shared.postgres.database import ReadTransaction, Transaction

#: people in a transaction, and matters of theirs
PEOPLE_AT_ONCE, MATTERS_AT_ONCE = 200, 5000

_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended('notifier: mailing rules', 0))")
_VERSIONS = text("SELECT version, sha256 FROM mailing_rules ORDER BY version")
_BODY = text("SELECT version, sha256, body, loaded_at FROM mailing_rules ORDER BY version DESC")
_LOAD = text("""
    INSERT INTO mailing_rules (version, sha256, body) VALUES (:version, :sha256, :body) ON CONFLICT DO NOTHING
""")

_DUE = text("""
    SELECT DISTINCT officer_id FROM (
        SELECT officer_id FROM notifications WHERE state = 'waiting' AND wait_until <= :now
         ORDER BY wait_until LIMIT :limit
    ) AS oldest ORDER BY officer_id
""")
# All that waits for these people, so that one letter takes what is there. Person by person: of the last one some may be
# left out. What a consumer has locked just now is left for the next look.
_WAITING = text("""
    SELECT n.id, n.obligation, n.agency, n.regime, n.period, n.kind, n.officer_id, n.recipient, n.facts, n.wait_until,
           n.urgent, coalesce(n.reason, '') AS held, o.deadline,
           n.channel, r.name AS regime_name, r.name_en AS regime_name_en, q.title AS request, q.title_en AS request_en
      FROM notifications n
      JOIN obligations o ON o.obligation = n.obligation
      LEFT JOIN regimes r ON r.code = o.regime AND r.regime_version = o.regime_version
      LEFT JOIN requests q ON q.request_id = o.period
     WHERE n.state = 'waiting' AND n.officer_id = ANY(CAST(:people AS text[]))
     ORDER BY n.officer_id, n.id LIMIT :limit FOR UPDATE OF n SKIP LOCKED
""")
_SENT = text("""
    SELECT officer_id, channel, count(DISTINCT coalesce(mail_id, id)) AS mails FROM notifications
     WHERE officer_id = ANY(CAST(:people AS text[])) AND released_at >= :since GROUP BY officer_id, channel
""")
_HELD = {"id": "uuid", "wait_until": "timestamptz", "reason": "text"}
_HOLD = text(f"""
    UPDATE notifications n SET wait_until = row.wait_until, reason = row.reason
      FROM {bulk.unnest(_HELD)} WHERE n.id = row.id AND n.state = 'waiting'
""")  # noqa: S608 - column names of this module
_LETTERS = {"id": "uuid", "mail_id": "uuid", "matters": "jsonb"}
_RELEASE = text(f"""
    UPDATE notifications n
       SET state = CASE WHEN row.mail_id IS NULL OR row.mail_id = n.id THEN 'pending' ELSE 'grouped' END,
           due_at = CASE WHEN row.mail_id IS NULL OR row.mail_id = n.id THEN CAST(:system AS timestamptz) END,
           mail_id = row.mail_id, held = coalesce(n.reason, ''), reason = NULL, wait_until = NULL, released_at = :now,
           facts = CASE WHEN row.matters IS NULL THEN n.facts
                        ELSE jsonb_set(n.facts, '{{matters}}', row.matters) END
      FROM {bulk.unnest(_LETTERS)} WHERE n.id = row.id AND n.state = 'waiting'
""")  # noqa: S608 - column names of this module


def not_silenced(**row: str) -> str:
    """SQL: no silence in force at :now covers this row, as domain.Silence.covers says it.

    row: what stands for its agency, person, regime and kind. Silences are parted by the first of these that they name,
    so that each part is found by an equality: PostgreSQL hashes them instead of comparing every row with every one.
    """
    columns, parts = ("agency", "person", "regime", "kind"), []
    for place, first in enumerate(columns):
        conditions = [
            *(f"s.{column} IS NULL" for column in columns[:place]),
            f"s.{first} = {row[first]}",
            *(f"(s.{column} IS NULL OR s.{column} = {row[column]})" for column in columns[place + 1 :]),
        ]
        parts.append(f"""NOT EXISTS (
            SELECT FROM silences s WHERE s.ended_at IS NULL AND s.until > :now AND {" AND ".join(conditions)}
        )""")
    return " AND ".join(parts)


_SILENCES = text("""
    SELECT id, until, agency, regime, person, kind FROM silences
     WHERE ended_at IS NULL AND until > :now AND (agency IS NULL OR agency = ANY(CAST(:agencies AS text[]))) ORDER BY id
""")
# serial for one agency: two calls at once would both find room for one more
_SERIAL = text("SELECT pg_advisory_xact_lock(hashtext('notifier: silences'), hashtext(:agency))")
_IN_FORCE = text("SELECT count(*) FROM silences WHERE agency = :agency AND ended_at IS NULL AND until > :now")
_SILENCE = text("""
    INSERT INTO silences (id, agency, regime, person, kind, until, reason, made_by, made_at, idempotency_key, sha256)
    VALUES (:id, :agency, :regime, :person, :kind, :until, :reason, :made_by, :made_at, :idempotency_key, :sha256)
    ON CONFLICT (made_by, idempotency_key) DO NOTHING RETURNING id
""")
_MADE_BEFORE = text("SELECT * FROM silences WHERE made_by = :made_by AND idempotency_key = :idempotency_key")
_LOCKED = text("SELECT * FROM silences WHERE id = :id FOR UPDATE")
_END_SILENCE = text("""
    UPDATE silences SET ended_at = :ended_at, ended_by = :ended_by, end_reason = :end_reason, sha256 = :sha256
     WHERE id = :id
""")
# what it kept back goes into the next letter
_FREE = text("""
    UPDATE notifications SET wait_until = :at WHERE state = 'waiting' AND reason = :why
""")
_HOLDS = """
    (SELECT count(*) FROM notifications n WHERE n.state = 'waiting' AND n.reason = 'silence:' || s.id) AS holds
"""
_LISTED = text(f"""
    SELECT s.*, {_HOLDS} FROM silences s
     WHERE (CAST(:all AS boolean) OR (s.ended_at IS NULL AND s.until > :now))
       AND (CAST(:agencies AS text[]) IS NULL OR s.agency = ANY(CAST(:agencies AS text[])))
       AND (CAST(:before AS uuid) IS NULL OR s.id < :before)
     ORDER BY s.id DESC LIMIT :limit
""")  # noqa: S608 - constants
_ONE_SILENCE = text(f"SELECT s.*, {_HOLDS} FROM silences s WHERE id = :id")  # noqa: S608 - constants
_KNOWN = text("""
    SELECT CAST(:agency AS text) IS NULL OR EXISTS (SELECT FROM agencies WHERE code = :agency) AS agency,
           CAST(:regime AS text) IS NULL OR EXISTS (SELECT FROM regimes WHERE code = :regime) AS regime,
           CAST(:person AS text) IS NULL OR EXISTS (SELECT FROM officers WHERE officer_id = :person)
               OR EXISTS (SELECT FROM people WHERE person_id = :person) AS person
""")
_SILENCED = text("SELECT DISTINCT agency FROM silences WHERE agency IS NOT NULL")


async def load_rules(tx: Transaction, read: ReadRules) -> bool:
    """Store rules; False where they are there. Raises LadderError if that version has other contents."""
    await tx.execute(_ALONE)
    stored = {row.version: row.sha256 for row in await tx.execute(_VERSIONS)}
    known = stored.get(read.rules.version)
    if known == read.sha256:
        return False
    if known is not None or any(version > read.rules.version for version in stored):
        raise LadderError(
            f"Đã nạp phiên bản {read.rules.version} với nội dung khác, hoặc một phiên bản mới hơn; hãy tăng version / "
            f"version {read.rules.version} is loaded with other contents, or a newer one is: write a greater version"
        )
    await tx.execute(_LOAD, {"version": read.rules.version, "sha256": read.sha256, "body": read.body})
    return True


class RulesShelf:
    """The newest mailing rules, kept; a version never changes. Those of this release are loaded where none are."""

    def __init__(self) -> None:
        self._rules: MailingRules | None = None

    async def newest(self, tx: Transaction) -> MailingRules:
        versions = [row.version for row in await tx.execute(_VERSIONS)]
        if not versions or versions[-1] < _shipped().rules.version:
            await load_rules(tx, _shipped())
            versions.append(_shipped().rules.version)
        if self._rules is None or self._rules.version != versions[-1]:
            row = (await tx.execute(_BODY)).first()
            assert row is not None
            self._rules = parse_rules("mailing", row.body.encode()).rules
        return self._rules


@cache
def _shipped() -> ReadRules:
    return shipped_rules()


async def loaded(tx: ReadTransaction) -> Sequence[Mapping[str, Any]]:
    """All loaded rules, the newest first."""
    return [dict(row) for row in (await tx.execute(_BODY)).mappings()]


async def due(tx: ReadTransaction, now: datetime) -> list[str]:
    """People of whose waiting notices one is to be looked at. `now`: business time."""
    return list((await tx.execute(_DUE, {"now": now, "limit": PEOPLE_AT_ONCE})).scalars())


async def waiting(tx: Transaction, people: Collection[str]) -> Sequence[RowMapping]:
    """All that waits for these people, of each the oldest first, locked.

    Where there is too much, the last person waits for the next look, alone if need be: whoever is cut off in the midst
    would get two letters in one window.
    """
    rows = (await tx.execute(_WAITING, {"people": sorted(people), "limit": MATTERS_AT_ONCE})).mappings().all()
    if len(rows) < MATTERS_AT_ONCE or rows[0]["officer_id"] == rows[-1]["officer_id"]:
        return rows
    return [row for row in rows if row["officer_id"] != rows[-1]["officer_id"]]


async def mails_since(tx: ReadTransaction, people: Collection[str], since: datetime) -> dict[tuple[str, str], int]:
    """By person and channel, how many mails to each of these people were released since then (business time)."""
    rows = await tx.execute(_SENT, {"people": sorted(people), "since": since})
    return {(row.officer_id, row.channel): row.mails for row in rows}


async def hold(tx: Transaction, holds: Iterable[Hold]) -> None:
    """Have these wait on."""
    rows = sorted((hold.id, hold.until, hold.why) for hold in holds)
    if rows:
        await tx.execute(_HOLD, bulk.parameters(_HELD, rows))


async def release(
    tx: Transaction, rows: Iterable[tuple[UUID, UUID | None, str | None]], *, now: datetime, system: datetime
) -> None:
    """Make mails due: (notice, the notice that carries its mail, the matters of a carrier as JSON)."""
    ordered = sorted(rows, key=lambda row: row[0])
    if ordered:
        await tx.execute(_RELEASE, {**bulk.parameters(_LETTERS, ordered), "now": now, "system": system})


async def silences(tx: ReadTransaction, now: datetime, agencies: Collection[str]) -> list[Silence]:
    """Those in force that name one of these agencies, or none. `now`: business time."""
    return [Silence(*row) for row in await tx.execute(_SILENCES, {"now": now, "agencies": sorted(agencies)})]


async def count_in_force(tx: Transaction, agency: str, now: datetime) -> int:
    """How many silences that name the agency are in force; waits for others that make one. `now`: business time."""
    await tx.execute(_SERIAL, {"agency": agency})
    return int((await tx.execute(_IN_FORCE, {"agency": agency, "now": now})).scalar_one())


async def made_before(tx: ReadTransaction, by: str, key: str) -> Mapping[str, Any] | None:
    """The silence that this caller made with this Idempotency-Key."""
    row = (await tx.execute(_MADE_BEFORE, {"made_by": by, "idempotency_key": key})).mappings().one_or_none()
    return None if row is None else dict(row)


async def silence(
    tx: Transaction, made: Silence, *, by: str, reason: str, at: datetime, key: str | None = None
) -> Mapping[str, Any] | None:
    """Store a silence with who made it and why; None where it is new.

    at: business time. key: the caller's Idempotency-Key; the silence that was made with it before is returned.
    """
    row: dict[str, Any] = {
        **structs.asdict(made), "reason": reason, "made_by": by, "made_at": at, "ended_at": None, "ended_by": None,
        "end_reason": None, "idempotency_key": key,
    }  # fmt: skip
    if (await tx.execute(_SILENCE, {**row, "sha256": digest(row)})).first() is not None:
        return None
    return dict((await tx.execute(_MADE_BEFORE, {"made_by": by, "idempotency_key": key})).mappings().one())


async def end_silence(tx: Transaction, silence_id: UUID, *, by: str, reason: str, at: datetime) -> bool:
    """End a silence before its time; what it kept back goes into the next letters. False where none is in force."""
    row = (await tx.execute(_LOCKED, {"id": silence_id})).mappings().one_or_none()
    if row is None or row["ended_at"] is not None or row["until"] <= at:
        return False
    ended = {**row, "ended_at": at, "ended_by": by, "end_reason": reason}
    await tx.execute(_END_SILENCE, {**ended, "sha256": digest(ended)})
    await tx.execute(_FREE, {"at": at, "why": f"silence:{silence_id}"})
    return True


async def listed_silences(
    tx: ReadTransaction,
    now: datetime,
    *,
    every: bool,
    limit: int,
    agencies: Collection[str] | None = None,
    before: UUID | None = None,
) -> list[dict[str, Any]]:
    """Silences in force, or every one, the newest first, with how many notices each keeps back.

    agencies: only those that name one of these. before: older ones than this.
    """
    wanted = None if agencies is None else sorted(agencies)
    asked = {"all": every, "now": now, "limit": limit, "agencies": wanted, "before": before}
    return [dict(row) for row in (await tx.execute(_LISTED, asked)).mappings()]


async def one_silence(tx: ReadTransaction, silence_id: UUID) -> dict[str, Any] | None:
    """A silence with how many notices it keeps back."""
    row = (await tx.execute(_ONE_SILENCE, {"id": silence_id})).mappings().one_or_none()
    return None if row is None else dict(row)


async def silenced_agencies(tx: ReadTransaction) -> list[str]:
    """The agencies that silences name."""
    return list((await tx.execute(_SILENCED)).scalars())


async def known(tx: ReadTransaction, agency: str | None, regime: str | None, person: str | None) -> dict[str, bool]:
    """Whether the registry has each of these; None is known."""
    row = (await tx.execute(_KNOWN, {"agency": agency, "regime": regime, "person": person})).mappings().one()
    return {name: bool(row[name]) for name in ("agency", "regime", "person")}


def new_silence(**matcher: Any) -> Silence:
    return Silence(id=new_id(), **matcher)
