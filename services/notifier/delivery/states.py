"""The mail state machine: which state a notice takes after one attempt. Pure.

pending → claimed → in_data (committed before DATA) → sent | retry | unknown | failed. A failure before DATA is certain
and tried again; a mail without an answer after DATA is `unknown` and resent once under the same Message-ID.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Literal
from uuid import UUID

#: waiting: for its window · grouped: another notice's letter tells of it
State = Literal[
    "waiting", "grouped", "pending", "claimed", "in_data", "retry", "sent", "unknown", "failed", "cancelled", "skipped"
]
Stage = Literal["render", "connect", "mail", "rcpt", "data", "body", "lease"]


@dataclass(frozen=True, slots=True)
class MailAccepted:
    """The server took the message: 250 after the final dot."""

    label: ClassVar[str] = "accepted"
    code: int
    answer: str


@dataclass(frozen=True, slots=True)
class MailDeferred:
    """Certainly not taken, for a reason that may pass: a 4xx answer, or a connection lost before the body."""

    label: ClassVar[str] = "deferred"
    stage: Stage
    code: int | None
    answer: str


@dataclass(frozen=True, slots=True)
class MailRefused:
    """Certainly not taken, and never will be: a 5xx answer about this mail (RFC 5321 4.2.1)."""

    label: ClassVar[str] = "refused"
    stage: Stage
    code: int
    answer: str


@dataclass(frozen=True, slots=True)
class MailUncertain:
    """The body was on its way and no answer came: the server may or may not have taken it."""

    label: ClassVar[str] = "uncertain"
    answer: str


@dataclass(frozen=True, slots=True)
class MailUnsendable:
    """The message could not be composed: a header with a line break, a template that fails on its facts."""

    label: ClassVar[str] = "unsendable"
    answer: str


@dataclass(frozen=True, slots=True)
class MailReleased:
    """Claimed but not begun: the dispatcher stops, or the lease would have run out before this mail's turn."""

    label: ClassVar[str] = "released"
    answer: str = "released"


SendResult = MailAccepted | MailDeferred | MailRefused | MailUncertain | MailUnsendable | MailReleased


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long and how often a mail is tried."""

    backoff_seconds: float = 30.0  # after the first deferral; doubles with each attempt
    backoff_ceiling_seconds: float = 3600.0
    retry_window_seconds: float = 3 * 86400.0  # after it a 4xx about the recipient or the message counts as a refusal
    refusals: int = 1  # 5xx answers after which the notice has failed
    resend_after_seconds: float = 60.0  # before an unknown mail is sent once more


@dataclass(frozen=True, slots=True)
class Progress:
    """What the ledger says of a claimed notice before its attempt ends."""

    id: UUID
    attempts: int  # this one included; after an operator's order to send it again, since that
    refusals: int
    unknowns: int
    first_tried_at: datetime


@dataclass(frozen=True, slots=True)
class Settlement:
    """The state that the notice takes, and the outcome that the attempt's row records."""

    state: State
    attempt_outcome: str  # sent | retry | refused | unknown | failed | released | expired
    due_at: datetime | None = None
    reason: str | None = None
    refusals: int = 0
    unknowns: int = 0
    published: bool = False  # whether the other services receive the state as the notice's outcome


def backoff_seconds(policy: RetryPolicy, attempts: int, spread: UUID) -> float:
    """Seconds until the next attempt: doubling, capped, spread by up to a fifth so that retries do not coincide.

    The spread follows from the notice's id, not from chance, so a test knows what to expect.
    """
    exponent = min(max(attempts - 1, 0), 30)
    seconds = min(policy.backoff_seconds * float(2**exponent), policy.backoff_ceiling_seconds)
    return seconds * (1.0 + (spread.int % 1000) / 5000.0)


def settle(progress: Progress, result: SendResult, now: datetime, policy: RetryPolicy) -> Settlement:
    """The notice's state after one attempt. `now` is system time."""
    later = now + timedelta(seconds=backoff_seconds(policy, progress.attempts, progress.id))
    refusals, unknowns = progress.refusals, progress.unknowns
    match result:
        case MailAccepted():
            return Settlement("sent", "sent", refusals=refusals, unknowns=unknowns, published=True)
        case MailUncertain():
            return _uncertain(progress, now, policy, result.answer)
        case MailReleased():
            # an attempt that never began must not delay the mail
            return Settlement("retry", "released", now, refusals=refusals, unknowns=unknowns)
        case MailUnsendable():
            return _given_up(progress, "failed", f"unsendable: {result.answer}", refusals)
        case MailRefused():
            refusals += 1
            if refusals >= policy.refusals:
                return _given_up(progress, "refused", f"refused: {result.code} {result.answer}", refusals)
            return Settlement("retry", "refused", later, refusals=refusals, unknowns=unknowns)
        case MailDeferred():
            window = timedelta(seconds=policy.retry_window_seconds)
            about_this_mail = result.code is not None and result.stage in ("rcpt", "data", "body")
            # an outage of the server is waited out, however long: it says nothing about this recipient
            if about_this_mail and now - progress.first_tried_at >= window:
                return _given_up(progress, "retry", f"deferred too long: {result.code} {result.answer}", refusals)
            return Settlement("retry", "retry", later, refusals=refusals, unknowns=unknowns)


def expire_in_data(progress: Progress, now: datetime, policy: RetryPolicy) -> Settlement:
    """A lease ran out after in_data was committed: nobody can say whether the server took the mail."""
    return _uncertain(progress, now, policy, "the lease ran out after DATA may have begun")


def _uncertain(progress: Progress, now: datetime, policy: RetryPolicy, reason: str) -> Settlement:
    unknowns = progress.unknowns + 1
    # one resend only: a third copy would certainly annoy and might still not arrive
    due_at = now + timedelta(seconds=policy.resend_after_seconds) if unknowns == 1 else None
    return Settlement("unknown", "unknown", due_at, reason, progress.refusals, unknowns, published=True)


def _given_up(progress: Progress, outcome: str, reason: str, refusals: int) -> Settlement:
    if progress.unknowns:  # an earlier copy may have arrived, so it cannot be called failed
        return Settlement("unknown", outcome, None, reason, refusals, progress.unknowns, published=True)
    return Settlement("failed", outcome, None, reason, refusals, 0, published=True)


def other_message_id(first: str, recipient: str, domain: str) -> str:
    """The Message-ID of a notice sent again to another address; each address has its own.

    The mail to the first address may have arrived there under the first id, so this copy is another message.
    """
    digest = hashlib.sha256("\0".join((first, recipient)).encode()).digest()
    return f"<{base64.b32encode(digest[:20]).decode().lower()}@{domain}>"


def thread_id(obligation: str, domain: str) -> str:
    """The Message-ID to which all letters about one obligation answer, so that mailboxes show them together.

    No message has it: which letter somebody got first differs from person to person.
    """
    digest = hashlib.sha256("\0".join(("thread", obligation)).encode()).digest()
    return f"<{base64.b32encode(digest[:20]).decode().lower()}@{domain}>"


def message_id(obligation: str, step: str, recipient: str, channel: str, domain: str) -> str:
    """The Message-ID (RFC 5322 3.6.4) of a notice: the same for every attempt, different for every other notice."""
    digest = hashlib.sha256("\0".join((obligation, step, recipient, channel)).encode()).digest()
    return f"<{base64.b32encode(digest[:20]).decode().lower()}@{domain}>"
