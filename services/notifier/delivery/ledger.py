"""Queries of the mail state machine: a lease is changed only by the token that holds it, an outcome is never forgotten.

Locks are taken in one order, obligations before notifications, each sorted, here as in `store`: no deadlock. Nothing
here commits. Instants named `now` are system time, `at` is business time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text

from services.notifier.delivery.states import (
    Accepted,
    Policy,
    Progress,
    Released,
    Result,
    Settled,
    Uncertain,
    Unsendable,
    expire_in_data,
    settle,
)
from shared.contract.events import NotificationRecorded
from shared.outbox import caused_by, publish
from shared.postgres.database import Transaction

MAX_ANSWER_CHARACTERS = 500
#: what a letter calls things, as the registry says when it goes out
NAMES = (
    "regime_name", "regime_name_en", "legal_basis", "nil_allowed", "request_title", "request_title_en",
    "request_legal_basis",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Claimed:
    """A notification under this sender's lease, with all that its message needs."""

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
    traceparent: str | None = None  # of the event that it tells of

    @property
    def id(self) -> UUID:
        return self.progress.id


@dataclass(frozen=True, slots=True)
class Ending:
    """How the attempt under a claim ended."""

    claimed: Claimed
    result: Result


@dataclass(frozen=True, slots=True)
class _Change:
    id: UUID
    token: UUID
    obligation: str
    settled: Settled
    stage: str | None
    code: int | None
    answer: str


_CLAIM = text("""
    WITH due AS (
        SELECT id FROM notifications
         WHERE due_at <= :now AND state IN ('pending', 'retry', 'unknown')
         ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE notifications n
           SET state = 'claimed', token = gen_random_uuid(), lease_until = :lease_until, due_at = NULL,
               attempts = n.attempts + 1, first_tried_at = COALESCE(n.first_tried_at, :now)
          FROM due WHERE n.id = due.id
        RETURNING n.*
    ), logged AS (
        INSERT INTO attempts (token, notification_id, number, worker, resend, claimed_at)
        SELECT token, id, attempts, :worker, unknowns > 0, :now FROM claimed
    )
    SELECT c.id, c.token, c.obligation, c.kind, c.step, c.recipient, c.message_id, c.created_at, c.facts, c.attempts,
           c.refusals, c.unknowns, c.first_tried_at, c.traceparent, o.deadline, r.name AS regime_name,
           r.name_en AS regime_name_en, r.legal_basis, CAST(r.nil_allowed AS text) AS nil_allowed,
           q.title AS request_title, q.title_en AS request_title_en, q.legal_basis AS request_legal_basis
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
     ORDER BY c.created_at, c.id
""")

_MARK = text("""
    WITH held AS (
        UPDATE notifications n SET state = 'in_data', lease_until = :lease_until
          FROM unnest(CAST(:tokens AS uuid[]), CAST(:ids AS uuid[])) AS mine (token, id)
         WHERE n.id = mine.id AND n.token = mine.token
        RETURNING n.token
    ), logged AS (
        UPDATE attempts a SET in_data_at = :now FROM held WHERE a.token = held.token
    )
    SELECT token FROM held
""")

_LOCK_OBLIGATIONS = text("""
    SELECT obligation FROM obligations WHERE obligation = ANY(CAST(:keys AS text[])) ORDER BY obligation FOR UPDATE
""")

_LOCK_NOTIFICATIONS = text("""
    SELECT id FROM notifications WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE
""")

_SETTLE = text("""
    UPDATE notifications n
       SET state = e.state, reason = e.reason, due_at = e.due_at, token = NULL, lease_until = NULL,
           refusals = e.refusals, unknowns = e.unknowns,
           settled_at = CASE WHEN e.recorded THEN :at ELSE n.settled_at END
      FROM unnest(CAST(:ids AS uuid[]), CAST(:tokens AS uuid[]), CAST(:states AS text[]), CAST(:reasons AS text[]),
                  CAST(:due_ats AS timestamptz[]), CAST(:refusals AS int[]), CAST(:unknowns AS int[]),
                  CAST(:recorded AS bool[])) AS e (id, token, state, reason, due_at, refusals, unknowns, recorded)
     WHERE n.id = e.id AND n.token = e.token
    RETURNING n.id
""")

# The lease was lost, yet the server took the mail: the truth replaces the doubt, and whoever holds the mail now but has
# not begun DATA loses it (its token goes).
_SETTLE_LATE = text("""
    WITH late AS (
        SELECT n.id, n.token FROM notifications n
          JOIN attempts a ON a.notification_id = n.id AND a.token = ANY(CAST(:tokens AS uuid[]))
         WHERE n.state IN ('unknown', 'retry', 'claimed') AND a.outcome IS DISTINCT FROM 'sent'
         ORDER BY n.id FOR UPDATE OF n
    ), closed AS (
        UPDATE attempts a SET outcome = 'cancelled', ended_at = :now, answer = 'an earlier attempt turns out to be sent'
          FROM late WHERE a.token = late.token
    )
    UPDATE notifications n SET state = 'sent', reason = NULL, due_at = NULL, token = NULL, lease_until = NULL,
                               settled_at = :at
      FROM late WHERE n.id = late.id
    RETURNING n.id
""")

_END_ATTEMPTS = text("""
    UPDATE attempts a
       SET outcome = e.outcome, stage = e.stage, smtp_code = e.code, answer = e.answer, late = e.late, ended_at = :now
      FROM unnest(CAST(:tokens AS uuid[]), CAST(:outcomes AS text[]), CAST(:stages AS text[]), CAST(:codes AS int[]),
                  CAST(:answers AS text[]), CAST(:lates AS bool[])) AS e (token, outcome, stage, code, answer, late)
     WHERE a.token = e.token
       AND (a.outcome IS NULL
            OR (e.late AND a.outcome IN ('unknown', 'expired') AND e.outcome IN ('sent', 'retry', 'refused')))
""")

_BUMP = text("""
    UPDATE obligations o SET recorded_version = o.recorded_version + b.count
      FROM unnest(CAST(:keys AS text[]), CAST(:counts AS int[])) AS b (key, count)
     WHERE o.obligation = b.key
    RETURNING o.obligation, o.recorded_version
""")

_RECORDED = text("""
    SELECT id, obligation, agency, kind, step, officer_id, message_id, attempts, state, traceparent
      FROM notifications WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id
""")

_EXPIRED = text("""
    SELECT DISTINCT obligation FROM (
        SELECT obligation FROM notifications WHERE token IS NOT NULL AND lease_until < :now
         ORDER BY lease_until LIMIT :limit) AS expired
""")

_TAKE_EXPIRED = text("""
    SELECT id, token, obligation, state, attempts, refusals, unknowns, first_tried_at FROM notifications
     WHERE token IS NOT NULL AND lease_until < :now AND obligation = ANY(CAST(:keys AS text[]))
     ORDER BY id FOR UPDATE SKIP LOCKED
""")


async def claim(tx: Transaction, now: datetime, *, lease_seconds: float, limit: int, worker: str) -> list[Claimed]:
    """Lease up to `limit` due notifications and open an attempt for each; rows another sender takes are passed over."""
    rows = await tx.execute(
        _CLAIM,
        {"now": now, "lease_until": now + timedelta(seconds=lease_seconds), "limit": limit, "worker": worker},
    )
    return [_claimed(row) for row in rows.mappings()]


async def lock(tx: Transaction, mine: Collection[Claimed], settling: Collection[str]) -> None:
    """Lock the obligations whose outcome will be told, then the notifications; before `end` and `mark_in_data`."""
    await _lock_obligations(tx, set(settling))
    await tx.execute(_LOCK_NOTIFICATIONS, {"ids": sorted({each.id for each in mine})})


async def mark_in_data(tx: Transaction, mine: Collection[Claimed], now: datetime, *, lease_seconds: float) -> set[UUID]:
    """Say that DATA is about to begin. Returns the tokens still held; whoever lost its token must not send."""
    ordered = sorted(mine, key=lambda each: each.id)
    rows = await tx.execute(
        _MARK,
        {
            "tokens": [each.token for each in ordered],
            "ids": [each.id for each in ordered],
            "now": now,
            "lease_until": now + timedelta(seconds=lease_seconds),
        },
    )
    return set(rows.scalars())


async def end(
    tx: Transaction, endings: Sequence[Ending], *, now: datetime, at: datetime, policy: Policy
) -> list[NotificationRecorded]:
    """Record how attempts ended and tell it through the outbox; late endings are recorded as what they are."""
    return await _record(tx, [_change(each, now, policy) for each in endings], now=now, at=at)


async def expired(tx: Transaction, now: datetime, *, limit: int) -> list[str]:
    """Obligations with a notification whose lease has run out."""
    return list((await tx.execute(_EXPIRED, {"now": now, "limit": limit})).scalars())


async def expire(
    tx: Transaction, keys: Sequence[str], *, now: datetime, at: datetime, policy: Policy
) -> tuple[int, list[NotificationRecorded]]:
    """Take back leases that ran out: before DATA the mail is tried again, after it the outcome is unknown.

    Returns how many were taken back, and the events of those whose outcome is now unknown.
    """
    if not keys:
        return 0, []
    await _lock_obligations(tx, keys)
    rows = (await tx.execute(_TAKE_EXPIRED, {"now": now, "keys": list(keys)})).mappings().all()
    changes = []
    for row in rows:
        progress = Progress(row["id"], row["attempts"], row["refusals"], row["unknowns"], row["first_tried_at"])
        if row["state"] == "in_data":
            settled = expire_in_data(progress, now, policy)
        else:
            settled = Settled("retry", "expired", now, refusals=progress.refusals, unknowns=progress.unknowns)
        changes.append(
            _Change(progress.id, row["token"], row["obligation"], settled, "lease", None, "the lease ran out")
        )
    return len(rows), await _record(tx, changes, now=now, at=at)


async def close_stopped(tx: Transaction, stopped: Sequence[Claimed], now: datetime) -> None:
    """Close attempts whose claim was withdrawn before DATA (fulfilled meanwhile, or the lease went to another)."""
    await _end_attempts(
        tx, [(each.token, "cancelled", "lease", None, "withdrawn before DATA", False) for each in stopped], now
    )


async def _record(
    tx: Transaction, changes: Sequence[_Change], *, now: datetime, at: datetime
) -> list[NotificationRecorded]:
    if not changes:
        return []
    changes = sorted(changes, key=lambda each: each.id)
    settled = [each.settled for each in changes]
    held = set(
        (
            await tx.execute(
                _SETTLE,
                {
                    "ids": [each.id for each in changes],
                    "tokens": [each.token for each in changes],
                    "states": [each.state for each in settled],
                    "reasons": [_short(each.reason) for each in settled],
                    "due_ats": [each.due_at for each in settled],
                    "refusals": [each.refusals for each in settled],
                    "unknowns": [each.unknowns for each in settled],
                    "recorded": [each.recorded is not None for each in settled],
                    "at": at,
                },
            )
        ).scalars()
    )
    late = [each for each in changes if each.id not in held]
    told = {each.id for each in changes if each.id in held and each.settled.recorded}
    if late_sent := [each.token for each in late if each.settled.state == "sent"]:
        told |= set((await tx.execute(_SETTLE_LATE, {"tokens": late_sent, "now": now, "at": at})).scalars())
    rows = [
        (each.token, each.settled.outcome, each.stage, each.code, each.answer, each.id not in held) for each in changes
    ]
    await _end_attempts(tx, rows, now)
    return await _tell(tx, told, at)


async def _end_attempts(
    tx: Transaction, rows: Iterable[tuple[UUID, str, str | None, int | None, str, bool]], now: datetime
) -> None:
    ordered = sorted(rows, key=lambda row: row[0])
    if not ordered:
        return
    tokens, outcomes, stages, codes, answers, lates = zip(*ordered, strict=True)
    await tx.execute(
        _END_ATTEMPTS,
        {
            "tokens": list(tokens),
            "outcomes": list(outcomes),
            "stages": list(stages),
            "codes": list(codes),
            "answers": [_short(each) for each in answers],
            "lates": list(lates),
            "now": now,
        },
    )


async def _tell(tx: Transaction, ids: Collection[UUID], at: datetime) -> list[NotificationRecorded]:
    """NotificationRecorded for each, versions rising per obligation under its row lock."""
    if not ids:
        return []
    rows = (await tx.execute(_RECORDED, {"ids": sorted(ids)})).mappings().all()
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["obligation"]] = counts.get(row["obligation"], 0) + 1
    keys = sorted(counts)
    bumped = await tx.execute(_BUMP, {"keys": keys, "counts": [counts[key] for key in keys]})
    following = {key: version - counts[key] + 1 for key, version in bumped}
    events = []
    for row in rows:
        version = following[row["obligation"]]
        following[row["obligation"]] = version + 1
        events.append(
            NotificationRecorded(
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


def _change(ending: Ending, now: datetime, policy: Policy) -> _Change:
    claimed, result = ending.claimed, ending.result
    settled = settle(claimed.progress, result, now, policy)
    stage: str | None
    code: int | None
    match result:
        case Accepted():
            stage, code = "body", result.code
        case Uncertain():
            stage, code = "body", None
        case Unsendable():
            stage, code = "render", None
        case Released():
            stage, code = "lease", None
        case _:
            stage, code = result.stage, result.code
    return _Change(claimed.id, claimed.token, claimed.obligation, settled, stage, code, result.answer)


def _claimed(row: RowMapping) -> Claimed:
    return Claimed(
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
    )


def _short(value: str | None) -> str | None:
    if value is None:
        return None
    # a server may answer in any encoding: what UTF-8 cannot hold must not cost its neighbours their outcome
    return value.encode("utf-8", "replace").decode().replace("\x00", "")[:MAX_ANSWER_CHARACTERS]
