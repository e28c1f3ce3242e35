"""SQL of the mail state machine: only the token that holds a lease changes it, and no outcome is lost.

Locks are taken in one order, obligations before notices, both sorted, here as in `store`: no deadlock. Nothing here
commits. Instants named `now` are system time, `at` is business time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, get_args
from uuid import UUID

from sqlalchemy import RowMapping, text

from services.notifier.delivery.blanking import blank_ended
from services.notifier.delivery.states import (
    MailAccepted,
    MailReleased,
    MailUncertain,
    MailUnsendable,
    Progress,
    RetryPolicy,
    SendResult,
    Settlement,
    expire_in_data,
    settle,
)
from services.notifier.ladders.domain import EMAIL
from shared.contract.events import NoticeRecorded, NotificationKind, NotificationRecorded, RecordedEvent
from shared.contract.reporting_window import local_day
from shared.outbox import caused_by, publish
from shared.postgres import bulk
from shared.postgres.database import Transaction
from shared.runtime.clock import LOCAL_ZONE

MAX_ANSWER_CHARACTERS = 500
#: the names in a letter, as the registry has them when the mail goes out
NAMES = (
    "regime_name", "regime_name_en", "legal_basis", "nil_allowed", "request_title", "request_title_en",
    "request_legal_basis", "policy", "question", "asked_by", "asked_by_en",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ClaimedMail:
    """A notice under this dispatcher's lease, with all that its message needs."""

    progress: Progress
    token: UUID
    obligation: str
    kind: str
    step: str
    recipient: str
    message_id: str
    created_at: datetime
    facts: Mapping[str, Any]
    deadline: datetime | None
    names: Mapping[str, str | None]  # see NAMES
    traceparent: str | None = None  # of the event that it is about
    content_sha256: str | None = None  # of the message, once it is composed
    released_at: datetime | None = None  # when it stopped waiting for its window (business time)

    @property
    def id(self) -> UUID:
        return self.progress.id

    @property
    def obligations(self) -> set[str]:
        """Of which the mail tells."""
        return {self.obligation, *(matter["obligation"] for matter in self.facts.get("matters", ()))}


@dataclass(frozen=True, slots=True)
class Ending:
    """How the attempt under a claim ended."""

    claimed: ClaimedMail
    result: SendResult


@dataclass(frozen=True, slots=True)
class _Change:
    id: UUID
    token: UUID
    obligation: str
    settlement: Settlement
    stage: str | None
    code: int | None
    answer: str
    grouped: bool = False  # other notices share the mail


@dataclass(frozen=True, slots=True)
class Room:
    """Whose messages are claimed, and how many of them in a day; None: any number."""

    channel: str = EMAIL
    a_day: int | None = None


class DayIsFull(Exception):
    """As many messages of the channel as its day allows have gone out."""


# one claim at a time, so that two processes do not both take the last of a day
_ALONE = text("SELECT pg_advisory_xact_lock(hashtext('notifier: limit of a day'), hashtext(:channel))")
_USED = text("""
    SELECT count(*) FROM attempts
     WHERE channel = :channel AND channel <> 'email' AND claimed_at >= :since
       AND (in_data_at IS NOT NULL OR outcome IS NULL)
""")
_CLAIM = text("""
    WITH due AS (
        SELECT id FROM notifications
         WHERE channel = :channel AND due_at <= :now AND state IN ('pending', 'retry', 'unknown')
           AND recipient <> ALL (CAST(:not_to AS text[]))
         ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE notifications n
           SET state = 'claimed', token = gen_random_uuid(), lease_until = :lease_until, due_at = NULL,
               attempts = n.attempts + 1, first_tried_at = COALESCE(n.first_tried_at, :now)
          FROM due WHERE n.id = due.id
        RETURNING n.*
    ), logged AS (
        INSERT INTO attempts (token, notification_id, number, worker, resend, claimed_at, channel)
        SELECT token, id, attempts, :worker, unknowns > 0, greatest(:now, first_tried_at), channel FROM claimed
    )
    SELECT c.id, c.token, c.obligation, c.kind, c.step, c.recipient, c.message_id, c.created_at, c.facts,
           CASE WHEN c.resends = 0 THEN c.attempts ELSE 1 + (
             SELECT count(*) FROM attempts a WHERE a.notification_id = c.id AND a.claimed_at >= c.first_tried_at
           ) END AS attempts, c.refusals, c.unknowns, c.first_tried_at, c.traceparent, c.released_at, o.deadline,
           r.name AS regime_name, r.name_en AS regime_name_en, r.legal_basis,
           CAST(r.nil_allowed AS text) AS nil_allowed,
           q.title AS request_title, q.title_en AS request_title_en, q.legal_basis AS request_legal_basis,
           CAST(to_jsonb(p) AS text) AS policy, q.question, asker.name AS asked_by, asker.name_en AS asked_by_en
      FROM claimed c
      JOIN obligations o ON o.obligation = c.obligation
      LEFT JOIN LATERAL (
          WITH RECURSIVE in_place AS (
              SELECT CAST(c.facts ->> 'regime_version' AS integer) AS number
              UNION
              SELECT newer.regime_version FROM regimes newer JOIN in_place ON newer.replaces = in_place.number
               WHERE newer.code = c.regime
          )
          SELECT known.* FROM regimes known JOIN in_place ON known.regime_version = in_place.number
           WHERE known.code = c.regime ORDER BY known.regime_version DESC LIMIT 1
      ) r ON true
      LEFT JOIN requests q ON q.request_id = c.period
      LEFT JOIN agencies asker ON asker.code = q.asked_by
      -- of a letter of several matters only where one policy is that of all
      LEFT JOIN policies p ON p.policy_version = o.policy_version AND NOT EXISTS (
          SELECT FROM notifications other JOIN obligations its ON its.obligation = other.obligation
           WHERE other.mail_id = c.id AND its.policy_version <> o.policy_version)
     ORDER BY c.created_at, c.id
""")

# What comes later bears no earlier moment, though a clock may be set back meanwhile: the ledger is read in its order.
_MARKED = {"token": "uuid", "id": "uuid", "content_sha256": "text"}
_MARK = text(f"""
    WITH held AS (
        UPDATE notifications n SET state = 'in_data', lease_until = :lease_until
          FROM {bulk.unnest(_MARKED)} WHERE n.id = row.id AND n.token = row.token
        RETURNING n.token, row.content_sha256
    ), logged AS (
        UPDATE attempts a SET in_data_at = greatest(:now, a.claimed_at), content_sha256 = held.content_sha256
          FROM held WHERE a.token = held.token
    )
    SELECT token FROM held
""")  # noqa: S608 - column names of this module

_LOCK_OBLIGATIONS = text("""
    SELECT obligation FROM obligations WHERE obligation = ANY(CAST(:keys AS text[])) ORDER BY obligation FOR UPDATE
""")

_LOCK_NOTIFICATIONS = text("""
    SELECT id FROM notifications WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE
""")

_SETTLED = {"state": "text", "reason": "text", "due_at": "timestamptz", "refusals": "int", "unknowns": "int"}
_ENDED = {"id": "uuid", "ended_token": "uuid", **_SETTLED, "published": "bool"}
_SETTLE = text(f"""
    UPDATE notifications n
       SET {bulk.assignments(_SETTLED)}, token = NULL, lease_until = NULL,
           settled_at = CASE WHEN row.published THEN :at ELSE n.settled_at END
      FROM {bulk.unnest(_ENDED)} WHERE n.id = row.id AND n.token = row.ended_token
    RETURNING n.id
""")  # noqa: S608 - column names of this module

# The lease was lost, yet the server took the mail: the notice becomes `sent`. Another dispatcher that has claimed it
# meanwhile but not begun DATA loses its token, and so does not send.
_SETTLE_LATE = text("""
    WITH late AS (
        SELECT n.id, n.token FROM notifications n
          JOIN attempts a ON a.notification_id = n.id AND a.token = ANY(CAST(:tokens AS uuid[]))
         WHERE n.state IN ('unknown', 'retry', 'claimed') AND a.outcome IS DISTINCT FROM 'sent'
         ORDER BY n.id FOR UPDATE OF n
    ), closed AS (
        UPDATE attempts a SET outcome = 'cancelled', ended_at = greatest(:now, a.in_data_at, a.claimed_at),
                              answer = 'an earlier attempt turns out to be sent'
          FROM late WHERE a.token = late.token
    )
    UPDATE notifications n SET state = 'sent', reason = NULL, due_at = NULL, token = NULL, lease_until = NULL,
                               settled_at = :at
      FROM late WHERE n.id = late.id
    RETURNING n.id
""")

# What became of a mail became of every notice that it tells of.
_FOLLOW = text("""
    UPDATE notifications m
       SET state = c.state, reason = c.reason, settled_at = c.settled_at, unknowns = c.unknowns
      FROM notifications c
     WHERE c.id = ANY(CAST(:ids AS uuid[])) AND c.state IN ('sent', 'unknown', 'failed')
       AND m.mail_id = c.id AND m.id <> c.id AND m.state IN ('grouped', 'unknown', 'failed') AND m.state <> c.state
    RETURNING m.id
""")

# nothing of it is under way, and certainly nothing of it has arrived
_GIVE_UP = text("""
    UPDATE notifications SET state = 'failed', reason = :reason, due_at = NULL, settled_at = :at
     WHERE id = ANY(CAST(:ids AS uuid[])) AND token IS NULL AND state IN ('pending', 'retry') AND unknowns = 0
    RETURNING id
""")

_ATTEMPTED = {"outcome": "text", "stage": "text", "smtp_code": "int", "answer": "text", "late": "bool"}
_ENDED_ATTEMPTS = {"token": "uuid", **_ATTEMPTED}
_END_ATTEMPTS = text(f"""
    UPDATE attempts a SET {bulk.assignments(_ATTEMPTED)}, ended_at = greatest(:now, a.in_data_at, a.claimed_at)
      FROM {bulk.unnest(_ENDED_ATTEMPTS)}
     WHERE a.token = row.token
       AND (a.outcome IS NULL
            OR (row.late AND a.outcome IN ('unknown', 'expired') AND row.outcome IN ('sent', 'retry', 'refused')))
""")  # noqa: S608 - column names of this module

#: of the event's first type; what is of another kind is told by the second
_FIRST_KINDS = frozenset(get_args(NotificationKind))
_COUNTED = {"obligation": "text", "count": "int"}
_RAISE_VERSIONS = text(f"""
    UPDATE obligations o SET recorded_version = o.recorded_version + row.count
      FROM {bulk.unnest(_COUNTED)} WHERE o.obligation = row.obligation
    RETURNING o.obligation, o.recorded_version
""")  # noqa: S608 - column names of this module

_RECORDED = text("""
    SELECT n.id, n.obligation, n.agency, n.kind, n.step, n.officer_id, n.state, n.traceparent,
           coalesce(m.message_id, n.message_id) AS message_id, coalesce(m.attempts, n.attempts) AS attempts
      FROM notifications n LEFT JOIN notifications m ON m.id = n.mail_id
     WHERE n.id = ANY(CAST(:ids AS uuid[])) AND n.kind NOT IN ('named', 'digest', 'regime') ORDER BY n.id
""")

_EXPIRED = text("""
    SELECT DISTINCT obligation FROM (
        SELECT obligation FROM notifications WHERE token IS NOT NULL AND lease_until < :now
         ORDER BY lease_until LIMIT :limit) AS expired
""")
_OF_SAME_MAILS = text("""
    SELECT DISTINCT m.obligation FROM notifications c JOIN notifications m ON m.mail_id = c.mail_id
     WHERE c.token IS NOT NULL AND c.lease_until < :now AND c.obligation = ANY(CAST(:keys AS text[]))
""")

_TAKE_EXPIRED = text("""
    SELECT id, token, obligation, state, attempts, refusals, unknowns, first_tried_at, mail_id IS NOT NULL AS grouped
      FROM notifications
     WHERE token IS NOT NULL AND lease_until < :now AND obligation = ANY(CAST(:keys AS text[]))
     ORDER BY id FOR UPDATE SKIP LOCKED
""")


async def claim(
    tx: Transaction,
    now: datetime,
    *,
    lease_seconds: float,
    limit: int,
    worker: str,
    not_to: Sequence[str] = (),
    room: Room = Room(),
) -> list[ClaimedMail]:
    """Lease up to `limit` due notices and begin an attempt for each; rows locked by another dispatcher are skipped.

    not_to: addresses to which none is claimed. Raises DayIsFull.
    """
    if room.a_day is not None:
        await tx.execute(_ALONE, {"channel": room.channel})
        since = datetime.combine(local_day(now), time(0), LOCAL_ZONE)
        used = (await tx.execute(_USED, {"channel": room.channel, "since": since})).scalar_one()
        limit = min(limit, room.a_day - used)
        if limit <= 0:
            raise DayIsFull(f"the {room.a_day} messages of the day are used up")
    rows = await tx.execute(
        _CLAIM,
        {
            "now": now,
            "lease_until": now + timedelta(seconds=lease_seconds),
            "limit": limit,
            "worker": worker,
            "not_to": list(not_to),
            "channel": room.channel,
        },
    )
    return [_claimed(row) for row in rows.mappings()]


async def lock(tx: Transaction, mine: Collection[ClaimedMail], settling: Collection[str]) -> None:
    """Lock the obligations whose outcome will be published, then the notices; before `end` and `mark_in_data`."""
    await _lock_obligations(tx, set(settling))
    await tx.execute(_LOCK_NOTIFICATIONS, {"ids": sorted({mail.id for mail in mine})})


async def mark_in_data(
    tx: Transaction, mine: Collection[ClaimedMail], now: datetime, *, lease_seconds: float
) -> set[UUID]:
    """Record that DATA is about to begin. Returns the tokens still held; without its token a mail must not be sent."""
    marked = bulk.parameters(_MARKED, ((mail.token, mail.id, mail.content_sha256) for mail in mine))
    rows = await tx.execute(_MARK, {**marked, "now": now, "lease_until": now + timedelta(seconds=lease_seconds)})
    return set(rows.scalars())


async def end(
    tx: Transaction, endings: Sequence[Ending], *, now: datetime, at: datetime, policy: RetryPolicy
) -> list[RecordedEvent]:
    """Record how attempts ended, late ones marked as late, and publish the outcomes of their notices."""
    return await _record(tx, [_change(ending, now, policy) for ending in endings], now=now, at=at)


async def expired(tx: Transaction, now: datetime, *, limit: int) -> list[str]:
    """Obligations with a notice whose lease has run out."""
    return list((await tx.execute(_EXPIRED, {"now": now, "limit": limit})).scalars())


async def expire(
    tx: Transaction, keys: Sequence[str], *, now: datetime, at: datetime, policy: RetryPolicy
) -> tuple[int, list[RecordedEvent]]:
    """Take back leases that ran out: before DATA the mail is tried again, after it the outcome is unknown.

    Returns how many were taken back, and the events of those whose outcome is now unknown.
    """
    if not keys:
        return 0, []
    shared = (await tx.execute(_OF_SAME_MAILS, {"now": now, "keys": list(keys)})).scalars()
    await _lock_obligations(tx, {*keys, *shared})
    rows = (await tx.execute(_TAKE_EXPIRED, {"now": now, "keys": list(keys)})).mappings().all()
    changes = []
    for row in rows:
        progress = Progress(row["id"], row["attempts"], row["refusals"], row["unknowns"], row["first_tried_at"])
        if row["state"] == "in_data":
            settlement = expire_in_data(progress, now, policy)
        else:
            settlement = Settlement("retry", "expired", now, refusals=progress.refusals, unknowns=progress.unknowns)
        changes.append(
            _Change(
                progress.id,
                row["token"],
                row["obligation"],
                settlement,
                "lease",
                None,
                "the lease ran out",
                row["grouped"],
            )
        )
    return len(rows), await _record(tx, changes, now=now, at=at)


async def give_up(tx: Transaction, waiting: Mapping[UUID, str], reason: str, at: datetime) -> set[UUID]:
    """What waits for its channel fails, with all that its message tells; published by `publish_outcomes`.

    waiting: obligations by notice; at: business time. Returns what has failed.
    """
    await _lock_obligations(tx, set(waiting.values()))
    given = {"ids": sorted(waiting), "reason": reason, "at": at}
    failed = set((await tx.execute(_GIVE_UP, given)).scalars())
    return failed | set((await tx.execute(_FOLLOW, {"ids": sorted(failed)})).scalars()) if failed else failed


async def close_withdrawn(tx: Transaction, withdrawn: Sequence[ClaimedMail], now: datetime) -> None:
    """End attempts whose claim was withdrawn before DATA: the notice was cancelled, or another dispatcher has it."""
    await _end_attempts(
        tx, [(mail.token, "cancelled", "lease", None, "withdrawn before DATA", False) for mail in withdrawn], now
    )


async def _record(tx: Transaction, changes: Sequence[_Change], *, now: datetime, at: datetime) -> list[RecordedEvent]:
    if not changes:
        return []
    rows = (
        (
            change.id,
            change.token,
            change.settlement.state,
            _short(change.settlement.reason),
            change.settlement.due_at,
            change.settlement.refusals,
            change.settlement.unknowns,
            change.settlement.published,
        )
        for change in changes
    )
    held = set((await tx.execute(_SETTLE, {**bulk.parameters(_ENDED, rows), "at": at})).scalars())
    publishable = {change.id for change in changes if change.id in held and change.settlement.published}
    late_sent = [change.token for change in changes if change.id not in held and change.settlement.state == "sent"]
    if late_sent:
        publishable |= set((await tx.execute(_SETTLE_LATE, {"tokens": late_sent, "now": now, "at": at})).scalars())
    attempts = [
        (
            change.token,
            change.settlement.attempt_outcome,
            change.stage,
            change.code,
            _short(change.answer),
            change.id not in held,
        )
        for change in changes
    ]
    await _end_attempts(tx, attempts, now)
    ended = {change.id for change in changes}
    if mails := sorted(change.id for change in changes if change.grouped):
        others = set((await tx.execute(_FOLLOW, {"ids": mails})).scalars())
        publishable |= others
        ended |= others
    await blank_ended(tx, ended)
    return await publish_outcomes(tx, publishable, at)


async def _end_attempts(
    tx: Transaction, rows: Sequence[tuple[UUID, str, str | None, int | None, str | None, bool]], now: datetime
) -> None:
    """Rows: in the order of _ENDED_ATTEMPTS."""
    if rows:
        await tx.execute(_END_ATTEMPTS, {**bulk.parameters(_ENDED_ATTEMPTS, rows), "now": now})


async def publish_outcomes(tx: Transaction, ids: Collection[UUID], at: datetime) -> list[RecordedEvent]:
    """Publish what was recorded of each of these, but for letters to people named and digests.

    Versions rise per obligation under its row lock.
    """
    if not ids:
        return []
    rows = (await tx.execute(_RECORDED, {"ids": sorted(ids)})).mappings().all()
    if not rows:
        return []
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["obligation"]] = counts.get(row["obligation"], 0) + 1
    raised = await tx.execute(_RAISE_VERSIONS, bulk.parameters(_COUNTED, sorted(counts.items())))
    following = {key: version - counts[key] + 1 for key, version in raised}
    events: list[RecordedEvent] = []
    for row in rows:
        version = following[row["obligation"]]
        following[row["obligation"]] = version + 1
        recorded: type[RecordedEvent] = NotificationRecorded if row["kind"] in _FIRST_KINDS else NoticeRecorded
        events.append(
            recorded(
                notification_id=row["id"],
                obligation=row["obligation"],
                agency=row["agency"],
                kind=row["kind"],
                step=row["step"],
                officer_id=row["officer_id"],
                outcome=row["state"],
                message_id=row["message_id"],
                attempts=row["attempts"],
                at=at,
                version=version,
            )
        )
    with caused_by({row["obligation"]: row["traceparent"] for row in rows if row["traceparent"]}):
        await publish(tx, events)
    return events


async def _lock_obligations(tx: Transaction, keys: Collection[str]) -> None:
    if keys:
        await tx.execute(_LOCK_OBLIGATIONS, {"keys": sorted(keys)})


def _change(ending: Ending, now: datetime, policy: RetryPolicy) -> _Change:
    claimed, result = ending.claimed, ending.result
    settlement = settle(claimed.progress, result, now, policy)
    stage: str | None
    code: int | None
    match result:
        case MailAccepted():
            stage, code = "body", result.code
        case MailUncertain():
            stage, code = "body", None
        case MailUnsendable():
            stage, code = "render", None
        case MailReleased():
            stage, code = "lease", None
        case _:
            stage, code = result.stage, result.code
    grouped = bool(claimed.facts.get("matters"))
    return _Change(claimed.id, claimed.token, claimed.obligation, settlement, stage, code, result.answer, grouped)


def _claimed(row: RowMapping) -> ClaimedMail:
    return ClaimedMail(
        progress=Progress(row["id"], row["attempts"], row["refusals"], row["unknowns"], row["first_tried_at"]),
        token=row["token"],
        obligation=row["obligation"],
        kind=row["kind"],
        step=row["step"],
        recipient=row["recipient"],
        message_id=row["message_id"],
        created_at=row["created_at"],
        facts=row["facts"],
        deadline=row["deadline"],
        names={name: row[name] for name in NAMES},
        traceparent=row["traceparent"],
        released_at=row["released_at"],
    )


def _short(value: str | None) -> str | None:
    if value is None:
        return None
    # a server may answer in any encoding; an answer that UTF-8 cannot hold must not fail the whole commit
    return value.encode("utf-8", "replace").decode().replace("\x00", "")[:MAX_ANSWER_CHARACTERS]
