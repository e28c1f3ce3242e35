"""SQL of webhooks: the copy of registrations, messages in their states, attempts. Nothing here commits.

A webhook in trouble is claimed for one message at a time, and not before it has rested; so its messages, however many,
are in nobody's way. `now` is system time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text

from services.notifier import tables
from services.notifier.channels.webhook.messages import Message, of_test
from services.notifier.channels.webhook.states import (
    REFUSED_IN_A_ROW,
    UNSIGNED_WAIT,
    Away,
    Delivered,
    Gone,
    Refused,
    Result,
    Settlement,
    Unsigned,
    Untried,
    rest,
    settle,
)
from services.notifier.delivery.backlog import CLOCK_TOLERANCE
from services.notifier.planning.store import tree_above
from shared.contract.events import WebhookHealth, WebhookRegistered, WebhookStopped
from shared.outbox import publish
from shared.postgres import bulk
from shared.postgres.database import ReadTransaction, Transaction
from shared.projection import Projection

KEPT = timedelta(days=30)
#: a test that was asked for longer ago is not sent: a registry that is read again would send it again
TEST_AGE = timedelta(hours=1)
MAX_ANSWER_CHARACTERS = 500
#: of a receiver that fares as before, intake hears of attempts so often
TOLD_EACH = timedelta(minutes=10)


class Secret(msgspec.Struct, frozen=True):
    """Which secret signs, until when (system time)."""

    generation: int
    master_key: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message under this process's lease."""

    delivery_id: UUID
    token: UUID
    event: str
    body: str
    attempts: int
    attempts_before: int  # the latest replay: not counted against its ten


@dataclass(frozen=True, slots=True)
class Work:
    """A webhook and the messages claimed for it, in the order in which they are due."""

    webhook_id: UUID
    agency: str
    url: str
    version: int
    secrets: tuple[Secret, ...]
    failures: int
    messages: Sequence[Claimed]


@dataclass(frozen=True, slots=True)
class Ending:
    """How the attempt for a message ended."""

    claimed: Claimed
    result: Result
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Backlog:
    """Messages that are not settled, and webhooks in trouble."""

    due: int
    waiting: int
    leased: int
    oldest_due: datetime | None
    failing: int
    stopped: int


WEBHOOKS = Projection(
    tables.webhooks,
    WebhookRegistered,
    values={"secrets": lambda record: msgspec.json.encode(record.model_dump(mode="json")["secrets"]).decode()},
    on_change={
        "failures": "0",
        "rest_until": "NULL",
        "failing_since": "NULL",
        "attempted_at": "NULL",
        "status": "NULL",
        "told_at": "NULL",
        "told_attempted_at": "NULL",
        "told_failing": "false",
    },
    own=("stopped_version", "delivered_at"),
)

_MESSAGES = {
    "agency": "text", "event": "text", "cause": "text", "at": "timestamptz", "body": "text", "obligation": "text",
    "hearer": "text", "covers": "text",
}  # fmt: skip
# As delivery_id_of says.
_ID = "CAST(left(encode(sha256(convert_to(w.webhook_id || '/' || row.cause, 'UTF8')), 'hex'), 32) AS uuid)"
_ADD = text(f"""
    INSERT INTO webhook_deliveries
           (delivery_id, webhook_id, event, cause, occurred_at, body, agency, obligation, created_at, state, due_at)
    SELECT {_ID}, w.webhook_id, row.event, row.cause, row.at, row.body, row.agency, row.obligation, :now, 'pending',
           :now
      FROM {bulk.unnest(_MESSAGES, place="place")}
      JOIN webhooks w ON w.agency = row.hearer AND w.covers = row.covers AND w.state <> 'deleted'
       AND row.event = ANY (w.events)
     ORDER BY w.webhook_id, row.place
    ON CONFLICT (webhook_id, cause) DO NOTHING
    RETURNING event
""")  # noqa: S608 - column names of this module
_ADD_TEST = text("""
    INSERT INTO webhook_deliveries
           (delivery_id, webhook_id, event, cause, occurred_at, body, agency, obligation, created_at, state, due_at)
    VALUES (:delivery_id, :webhook_id, :event, :cause, :at, :body, :agency, '', :now, 'pending', :now)
    ON CONFLICT DO NOTHING RETURNING event
""")
_CANCEL = text("""
    UPDATE webhook_deliveries SET state = 'cancelled', reason = 'deleted', due_at = NULL, settled_at = :now
     WHERE webhook_id = ANY(CAST(:ids AS uuid[])) AND state IN ('pending', 'retry')
""")

# What was leased, or queued by another transaction, while its webhook was deleted.
_CANCEL_LEFT = text("""
    UPDATE webhook_deliveries d SET state = 'cancelled', reason = 'deleted', due_at = NULL, settled_at = :now
      FROM webhooks w WHERE w.state = 'deleted' AND d.webhook_id = w.webhook_id AND d.due_at IS NOT NULL
""")

_CANCEL_BEYOND = text("""
    UPDATE webhook_deliveries SET state = 'cancelled', reason = 'beyond_reach', token = NULL, lease_until = NULL,
           settled_at = :now
     WHERE token = ANY(CAST(:tokens AS uuid[]))
""")

# Each webhook with something to send is found by one probe of the index, however much waits for the others.
_CLAIM = text("""
    WITH RECURSIVE waiting AS (
        (SELECT webhook_id FROM webhook_deliveries WHERE due_at IS NOT NULL ORDER BY webhook_id LIMIT 1)
        UNION ALL
        SELECT (SELECT d.webhook_id FROM webhook_deliveries d
                 WHERE d.due_at IS NOT NULL AND d.webhook_id > waiting.webhook_id ORDER BY d.webhook_id LIMIT 1)
          FROM waiting WHERE waiting.webhook_id IS NOT NULL
    ), ready AS (
        SELECT w.webhook_id, w.failures FROM waiting JOIN webhooks w ON w.webhook_id = waiting.webhook_id
         CROSS JOIN LATERAL (SELECT due_at FROM webhook_deliveries d
                              WHERE d.webhook_id = w.webhook_id AND d.due_at <= :now ORDER BY d.due_at LIMIT 1) AS first
         WHERE w.state = 'active' AND w.stopped_version IS DISTINCT FROM w.version
           AND (w.rest_until IS NULL OR w.rest_until <= :now) AND (w.failures = 0 OR :suspects)
           AND w.webhook_id <> ALL (CAST(:busy AS uuid[]))
         ORDER BY w.failures > 0, first.due_at LIMIT :webhooks
    ), due AS (
        SELECT d.delivery_id FROM ready CROSS JOIN LATERAL (
            SELECT delivery_id FROM webhook_deliveries d WHERE d.webhook_id = ready.webhook_id AND d.due_at <= :now
             ORDER BY d.due_at, d.number LIMIT CASE WHEN ready.failures > 0 THEN 1 ELSE :each END
               FOR UPDATE SKIP LOCKED) AS d
    ), claimed AS (
        UPDATE webhook_deliveries d SET state = 'claimed', token = gen_random_uuid(), lease_until = :lease_until,
               due_at = NULL
          FROM due WHERE d.delivery_id = due.delivery_id
        RETURNING d.*
    )
    SELECT c.webhook_id, w.agency, w.url, w.version, CAST(w.secrets AS text) AS secrets, w.failures, c.delivery_id,
           c.token, c.event, c.body, c.attempts, c.attempts_before, c.agency AS about, w.covers
      FROM claimed c JOIN webhooks w ON w.webhook_id = c.webhook_id ORDER BY c.webhook_id, c.occurred_at, c.number
""")
_CLAIMED = ("delivery_id", "token", "event", "body", "attempts", "attempts_before")
_LOCK = text("SELECT version, failures FROM webhooks WHERE webhook_id = :webhook_id FOR UPDATE")
_ENDED = {
    "token": "uuid", "state": "text", "due_at": "timestamptz", "reason": "text", "attempts": "int",
    "settled_at": "timestamptz",
}  # fmt: skip
_END = text(f"""
    UPDATE webhook_deliveries d SET state = row.state, due_at = row.due_at, reason = row.reason,
           attempts = row.attempts, settled_at = row.settled_at, token = NULL, lease_until = NULL
      FROM {bulk.unnest(_ENDED)} WHERE d.token = row.token
""")  # noqa: S608 - column names of this module
_ATTEMPTED = {
    "token": "uuid", "delivery_id": "uuid", "number": "int", "started_at": "timestamptz", "ended_at": "timestamptz",
    "outcome": "text", "status": "int", "answer": "text",
}  # fmt: skip
_ATTEMPTS = text(f"""
    INSERT INTO webhook_attempts ({bulk.names(_ATTEMPTED)}) SELECT * FROM {bulk.unnest(_ATTEMPTED)}
    ON CONFLICT DO NOTHING
""")  # noqa: S608 - column names of this module
_HEALTH = text("""
    UPDATE webhooks SET failures = :failures, rest_until = :rest_until,
           failing_since = CASE WHEN :failures = 0 THEN NULL WHEN :anew THEN :failed_at
                                ELSE coalesce(failing_since, :failed_at) END,
           stopped_version = CASE WHEN :gone THEN version ELSE stopped_version END,
           delivered_at = coalesce(:delivered_at, delivered_at), attempted_at = :attempted_at, status = :status
     WHERE webhook_id = :webhook_id
""")
_TO_TELL = text("""
    UPDATE webhooks SET told_at = :now, told_attempted_at = attempted_at, told_failing = failing_since IS NOT NULL
     WHERE webhook_id IN (
        SELECT webhook_id FROM webhooks
         WHERE attempted_at IS DISTINCT FROM told_attempted_at AND state <> 'deleted'
           AND (CAST(:only AS uuid) IS NULL OR webhook_id = :only)
           AND (told_at IS NULL OR told_failing <> (failing_since IS NOT NULL)
                OR told_at NOT BETWEEN CAST(:now AS timestamptz) - CAST(:each AS interval) AND :now)
         ORDER BY webhook_id LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING webhook_id, agency, version, attempted_at, status, delivered_at, failing_since
""")
_EXPIRE = text("""
    UPDATE webhook_deliveries SET state = 'retry', due_at = lease_until, token = NULL, lease_until = NULL
     WHERE delivery_id IN (SELECT delivery_id FROM webhook_deliveries WHERE lease_until < :now
                            ORDER BY lease_until LIMIT 500 FOR UPDATE SKIP LOCKED)
""")
# Only an attempt in the past explains why a message is not due for long; otherwise the clock was set back since.
_END_REST = text("""
    UPDATE webhooks w SET rest_until = NULL
     WHERE rest_until > :ahead
       AND EXISTS (SELECT FROM webhook_deliveries d JOIN webhook_attempts a ON a.delivery_id = d.delivery_id
                    WHERE d.webhook_id = w.webhook_id AND d.due_at > :ahead AND a.ended_at > :ahead)
""")
_MAKE_DUE = text("""
    UPDATE webhook_deliveries SET due_at = :now
     WHERE delivery_id IN (
        SELECT delivery_id FROM webhook_deliveries d
         WHERE d.due_at > :ahead
           AND NOT EXISTS (SELECT FROM webhook_attempts a WHERE a.delivery_id = d.delivery_id
                              AND a.number = d.attempts AND a.ended_at <= :ahead)
           FOR UPDATE SKIP LOCKED)
""")
_SHORTEN_LEASES = text("""
    UPDATE webhook_deliveries SET lease_until = :lease_until WHERE lease_until > :too_long
""")
_PRUNE = text("""
    DELETE FROM webhook_deliveries WHERE delivery_id IN (
        SELECT delivery_id FROM webhook_deliveries WHERE created_at < :before AND token IS NULL
         ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED)
""")
_BACKLOG = text("""
    SELECT count(*) FILTER (WHERE due_at <= :now), count(*) FILTER (WHERE due_at IS NOT NULL),
           count(*) FILTER (WHERE token IS NOT NULL), min(due_at) FILTER (WHERE due_at <= :now)
      FROM webhook_deliveries WHERE due_at IS NOT NULL OR token IS NOT NULL
""")
_TROUBLE = text("""
    SELECT count(*) FILTER (WHERE failures > 0), count(*) FILTER (WHERE stopped_version = version)
      FROM webhooks WHERE state <> 'deleted' AND (failures > 0 OR stopped_version IS NOT NULL)
""")


def delivery_id_of(webhook_id: UUID, cause: str) -> UUID:
    """The id of the message about a matter, but of a test: a notifier whose database was lost gives the same."""
    return UUID(hashlib.sha256(f"{webhook_id}/{cause}".encode()).hexdigest()[:32])


async def add(tx: Transaction, addressed: Sequence[tuple[Message, str, str]], now: datetime) -> list[str]:
    """Queue each message for each webhook that wants to hear of it, unless it was before. Returns what was queued.

    addressed: with the agency whose webhooks hear of it, and what these cover.
    """
    if not addressed:
        return []
    rows = (
        (one.agency, one.event, one.cause, one.at, one.body, one.obligation, hearer, covers)
        for one, hearer, covers in addressed
    )
    return list((await tx.execute(_ADD, {**bulk.parameters(_MESSAGES, rows), "now": now})).scalars())


async def register(tx: Transaction, records: Sequence[WebhookRegistered], now: datetime) -> None:
    """Keep registrations; queue the tests that they ask for; drop what was to be sent to those that are deleted."""
    await WEBHOOKS.save(tx, records)
    for record in records:  # seldom more than one
        if record.test_id is None or record.test_at is None or abs(now - record.test_at) > TEST_AGE:
            continue
        test = of_test(record.webhook_id, record.agency, record.test_id, record.test_at)
        given = {"event": test.event, "cause": test.cause, "at": test.at, "body": test.body, "agency": test.agency,
                 "now": now}  # fmt: skip
        await tx.execute(_ADD_TEST, {"delivery_id": record.test_id, "webhook_id": record.webhook_id, **given})
    if gone := [record.webhook_id for record in records if record.state == "deleted"]:
        await tx.execute(_CANCEL, {"ids": sorted(gone), "now": now})


async def claim(
    tx: Transaction, now: datetime, on: date, *, lease_seconds: float, webhooks: int, each: int,
    busy: Collection[UUID], suspects: bool,
) -> list[Work]:  # fmt: skip
    """Lease messages of up to so many webhooks, up to `each` of one; of one in trouble (suspects) a single one.

    on: the day of business. What is about an agency that stands below the webhook's no more is cancelled.
    """
    rows = await tx.execute(
        _CLAIM,
        {
            "now": now, "lease_until": now + timedelta(seconds=lease_seconds), "webhooks": webhooks, "each": each,
            "busy": sorted(busy), "suspects": suspects,
        },
    )  # fmt: skip
    claimed_rows = rows.mappings().all()
    beyond = await _beyond(tx, claimed_rows, on)
    if beyond:
        await tx.execute(_CANCEL_BEYOND, {"tokens": sorted(beyond), "now": now})
    found: dict[UUID, Work] = {}
    for row in claimed_rows:
        if row["token"] in beyond:
            continue
        work = found.get(row["webhook_id"]) or found.setdefault(row["webhook_id"], _work(row))
        claimed = Claimed(*(row[name] for name in _CLAIMED))
        assert isinstance(work.messages, list)
        work.messages.append(claimed)
    return list(found.values())


async def _beyond(tx: Transaction, rows: Sequence[Mapping[Any, Any]], on: date) -> set[UUID]:
    """The leases of messages about agencies that their webhooks do not cover on that day."""
    below = [row for row in rows if row["covers"] == "below"]
    if not below:
        return set()
    tree = await tree_above(tx, {row["about"] for row in below})
    return {row["token"] for row in below if row["agency"] not in tree.above(row["about"], on)}


async def end(tx: Transaction, work: Work, endings: Sequence[Ending], now: datetime) -> bool:
    """Write how attempts ended, and how the webhook stands; whether it was stopped by this.

    A registration that changed meanwhile starts afresh: what was met concerns its older version. Waits run from the
    attempt's own end, so that a clock that jumps between the two leaves no wait unexplained.
    """
    version, failures = (await tx.execute(_LOCK, {"webhook_id": work.webhook_id})).one()
    settled = [(one, _settlement(one)) for one in endings]
    await tx.execute(_END, bulk.parameters(_ENDED, (_ended(one, made, now) for one, made in settled)))
    tried = [(one, made) for one, made in settled if not isinstance(one.result, Untried | Unsigned)]
    await tx.execute(_ATTEMPTS, bulk.parameters(_ATTEMPTED, (_attempted(one, made) for one, made in tried)))
    if version != work.version or not tried:
        return False
    rest_until: datetime | None = None
    delivered_at, failed_at, anew, gone = None, None, False, False
    for one, _ in tried:
        if isinstance(one.result, Away | Refused):
            failed_at = failed_at or one.started_at
        match one.result:
            case Delivered():
                failures, rest_until, delivered_at = 0, None, one.ended_at
                failed_at, anew = None, True
            case Away() as away:
                failures += 1
                rest_until = rest(failures, work.webhook_id, away, one.ended_at)
            case Gone():
                gone = True
            case Refused():
                failures += 1
                if failures >= REFUSED_IN_A_ROW:
                    away = Away(one.result.status)
                    rest_until = rest(failures - REFUSED_IN_A_ROW + 1, work.webhook_id, away, one.ended_at)
    await tx.execute(
        _HEALTH,
        {
            "webhook_id": work.webhook_id, "failures": failures, "rest_until": rest_until, "gone": gone,
            "delivered_at": delivered_at, "failed_at": failed_at, "anew": anew,
            "attempted_at": tried[-1][0].ended_at, "status": tried[-1][0].result.status,
        },
    )  # fmt: skip
    if gone:
        stopped = WebhookStopped(
            webhook_id=work.webhook_id, agency=work.agency, at=now, reason="gone", version=work.version
        )
        await publish(tx, [stopped])
    return gone


async def tell_health(tx: Transaction, now: datetime, only: UUID | None = None, limit: int = 500) -> int:
    """Publish how receivers fare (only: of one webhook); of one that fares as it was told, every ten minutes at most.

    Returns of how many.
    """
    rows = await tx.execute(_TO_TELL, {"now": now, "each": TOLD_EACH, "only": only, "limit": limit})
    told = [WebhookHealth(**row) for row in rows.mappings()]
    if told:
        await publish(tx, sorted(told, key=lambda health: health.key))
    return len(told)


async def expire(tx: Transaction, now: datetime) -> int:
    """Take back leases that ran out: the process died, so nobody knows whether the receiver has the message."""
    return (await tx.execute(_EXPIRE, {"now": now})).rowcount


async def cancel_left(tx: Transaction, now: datetime) -> int:
    """Cancel what is still to be sent to webhooks that are deleted."""
    return (await tx.execute(_CANCEL_LEFT, {"now": now})).rowcount


async def bring_forward(tx: Transaction, now: datetime, lease_seconds: float) -> int:
    """Make due what waits for an hour that was taken back; end such rests, shorten such leases. now: system time.

    Returns how many messages changed; none, unless the clock was set back.
    """
    ahead, lease_until = now + UNSIGNED_WAIT + CLOCK_TOLERANCE, now + timedelta(seconds=lease_seconds)
    await tx.execute(_END_REST, {"ahead": ahead})
    made_due = (await tx.execute(_MAKE_DUE, {"now": now, "ahead": ahead})).rowcount
    too_long = {"lease_until": lease_until, "too_long": lease_until + CLOCK_TOLERANCE}
    return made_due + (await tx.execute(_SHORTEN_LEASES, too_long)).rowcount


async def prune(tx: Transaction, now: datetime, limit: int = 1_000) -> int:
    """Forget messages after 30 days, sent or not, with their attempts."""
    return (await tx.execute(_PRUNE, {"before": now - KEPT, "limit": limit})).rowcount


async def backlog(tx: ReadTransaction, now: datetime) -> Backlog:
    due, waiting, leased, oldest = (await tx.execute(_BACKLOG, {"now": now})).one()
    failing, stopped = (await tx.execute(_TROUBLE)).one()
    return Backlog(due, waiting, leased, oldest, failing, stopped)


def _work(row: Mapping[Any, Any]) -> Work:
    secrets = msgspec.json.decode(row["secrets"], type=tuple[Secret, ...])
    return Work(row["webhook_id"], row["agency"], row["url"], row["version"], secrets, row["failures"], [])


def _settlement(one: Ending) -> Settlement:
    """A replay begins the attempts anew; they are numbered on."""
    before = one.claimed.attempts_before
    made = settle(one.claimed.attempts - before, one.claimed.delivery_id, one.result, one.ended_at)
    return replace(made, attempts=made.attempts + before)


def _ended(one: Ending, made: Settlement, now: datetime) -> tuple[Any, ...]:
    settled_at = now if made.state in ("delivered", "failed") else None
    return one.claimed.token, made.state, made.due_at, made.reason, made.attempts, settled_at


def _attempted(one: Ending, made: Settlement) -> tuple[Any, ...]:
    result = one.result
    return (
        one.claimed.token, one.claimed.delivery_id, made.attempts, one.started_at, one.ended_at, result.label,
        result.status, result.answer[:MAX_ANSWER_CHARACTERS],
    )  # fmt: skip
