"""The mail state machine: what one attempt's result makes of a notification. Pure.

pending → claimed → in_data (committed before DATA) → sent | retry | unknown | failed. Whatever happened before DATA is
certain and tried again; what happened after it without an answer is `unknown`, resent once under the same Message-ID.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

State = Literal["pending", "claimed", "in_data", "retry", "sent", "unknown", "failed", "cancelled", "skipped"]
Stage = Literal["render", "connect", "mail", "rcpt", "data", "body", "lease"]
Recorded = Literal["sent", "unknown", "failed"]

#: states whose mail has not gone out and can still be stopped
STOPPABLE: tuple[State, ...] = ("pending", "retry", "claimed")


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server took the message: 250 after the final dot."""

    code: int
    answer: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """Certainly not taken, for a reason that may pass: a 4xx answer, or a connection lost before the body."""

    stage: Stage
    code: int | None
    answer: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Certainly not taken, and the server says that it never will be: a 5xx answer about this mail (RFC 5321 4.2.1)."""

    stage: Stage
    code: int
    answer: str


@dataclass(frozen=True, slots=True)
class Uncertain:
    """The body was on its way and no answer came: the server may or may not have taken it."""

    answer: str


@dataclass(frozen=True, slots=True)
class Unsendable:
    """No message could be made of it: a header with a line break, a template that fails on its facts."""

    answer: str


@dataclass(frozen=True, slots=True)
class Released:
    """Claimed but not begun: the sender stops, or the claim would have run out before its turn."""

    answer: str = "released"


Result = Accepted | Deferred | Refused | Uncertain | Unsendable | Released


@dataclass(frozen=True, slots=True)
class Policy:
    """How long and how often a mail is tried."""

    backoff_seconds: float = 30.0  # after the first deferral; doubles with each attempt
    backoff_ceiling_seconds: float = 3600.0
    retry_window_seconds: float = 3 * 86400.0  # after it a 4xx about the recipient or the message counts as a refusal
    refusals: int = 1  # 5xx answers after which the notification has failed
    resend_after_seconds: float = 60.0  # before an unknown mail is sent once more


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known of a claimed notification before its attempt ends."""

    id: UUID
    attempts: int  # this one included
    refusals: int
    unknowns: int
    first_tried_at: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """What the notification becomes, and what the attempt's row says of itself."""

    state: State
    outcome: str  # of the attempt: sent | retry | refused | unknown | failed | released
    due_at: datetime | None = None
    reason: str | None = None
    refusals: int = 0
    unknowns: int = 0
    recorded: Recorded | None = None  # told to the other services


def backoff_seconds(policy: Policy, attempts: int, spread: UUID) -> float:
    """Seconds until the next attempt: doubling, capped, spread by up to a fifth so that no crowd returns.

    The spread is taken from the notification's id: no randomness, a test can say what it expects.
    """
    exponent = min(max(attempts - 1, 0), 30)
    seconds = min(policy.backoff_seconds * float(2**exponent), policy.backoff_ceiling_seconds)
    return seconds * (1.0 + (spread.int % 1000) / 5000.0)


def settle(progress: Progress, result: Result, now: datetime, policy: Policy) -> Settled:
    """What one attempt makes of its notification. `now` is system time."""
    later = now + timedelta(seconds=backoff_seconds(policy, progress.attempts, progress.id))
    refusals, unknowns = progress.refusals, progress.unknowns
    match result:
        case Accepted():
            return Settled("sent", "sent", refusals=refusals, unknowns=unknowns, recorded="sent")
        case Uncertain():
            return _uncertain(progress, now, policy, result.answer)
        case Released():
            # an attempt that never began must not push the mail back
            return Settled("retry", "released", now, refusals=refusals, unknowns=unknowns)
        case Unsendable():
            return _given_up(progress, "failed", f"unsendable: {result.answer}", refusals)
        case Refused():
            refusals += 1
            if refusals >= policy.refusals:
                return _given_up(progress, "refused", f"refused: {result.code} {result.answer}", refusals)
            return Settled("retry", "refused", later, refusals=refusals, unknowns=unknowns)
        case Deferred():
            window = timedelta(seconds=policy.retry_window_seconds)
            about_this_mail = result.code is not None and result.stage in ("rcpt", "data", "body")
            # an outage of the server is waited out, however long: it says nothing about the recipient
            if about_this_mail and now - progress.first_tried_at >= window:
                return _given_up(progress, "retry", f"deferred too long: {result.code} {result.answer}", refusals)
            return Settled("retry", "retry", later, refusals=refusals, unknowns=unknowns)


def expire_in_data(progress: Progress, now: datetime, policy: Policy) -> Settled:
    """A lease ran out after in_data was committed: nobody can say whether the server took the mail."""
    return _uncertain(progress, now, policy, "the lease ran out after DATA may have begun")


def _uncertain(progress: Progress, now: datetime, policy: Policy, reason: str) -> Settled:
    unknowns = progress.unknowns + 1
    # one resend only: a third copy would trade one doubt for a certain nuisance
    due_at = now + timedelta(seconds=policy.resend_after_seconds) if unknowns == 1 else None
    return Settled("unknown", "unknown", due_at, reason, progress.refusals, unknowns, "unknown")


def _given_up(progress: Progress, outcome: str, reason: str, refusals: int) -> Settled:
    if progress.unknowns:  # an earlier copy may have arrived: to call that failed would be a lie
        return Settled("unknown", outcome, None, reason, refusals, progress.unknowns, "unknown")
    return Settled("failed", outcome, None, reason, refusals, 0, "failed")


def other_message_id(first: str, recipient: str, domain: str) -> str:
    """The Message-ID of a notification sent again to another address: one of its own for each address.

    What went to the first address may have arrived there under the first id; this copy is another message.
    """
    digest = hashlib.sha256("\0".join((first, recipient)).encode()).digest()
    return f"<{base64.b32encode(digest[:20]).decode().lower()}@{domain}>"


def message_id(obligation: str, step: str, recipient: str, channel: str, domain: str) -> str:
    """The Message-ID (RFC 5322 3.6.4) of a notification: the same for every attempt, another for any other one."""
    digest = hashlib.sha256("\0".join((obligation, step, recipient, channel)).encode()).digest()
    return f"<{base64.b32encode(digest[:20]).decode().lower()}@{domain}>"
