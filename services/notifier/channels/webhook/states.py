"""What becomes of a message after one attempt, and of its webhook. Pure.

pending → claimed → delivered | retry | failed. The receiver may get a message more than once, under one `webhook-id`.
Source: Standard Webhooks 1.0 (retries, 410); RFC 9110 10.2.3 (Retry-After).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import ClassVar, Literal
from uuid import UUID

State = Literal["pending", "claimed", "retry", "delivered", "failed", "cancelled"]

#: seconds before each further attempt: ten attempts within a little more than three days
DELAYS = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
LONGEST_RETRY_AFTER = timedelta(days=1)
#: a webhook that fails rests: the first time so long, then twice as long each time, up to the second
REST_SECONDS, LONGEST_REST_SECONDS = 5.0, 1_800.0
UNSIGNED_WAIT = timedelta(minutes=1)
#: messages refused one after the other that make the refusal the webhook's trouble
REFUSED_IN_A_ROW = 5


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver answered 2xx."""

    label: ClassVar[str] = "delivered"
    status: int
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """Another answer about this message (4xx, 3xx): others may fare better."""

    label: ClassVar[str] = "refused"
    status: int
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Away:
    """The receiver as a whole is in trouble: no connection, no answer in time, 408, 429, 5xx."""

    label: ClassVar[str] = "away"
    status: int | None
    answer: str = ""
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """410: the receiver wants nothing more."""

    label: ClassVar[str] = "gone"
    status: int = 410
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Untried:
    """Claimed but not begun: the process stops, or the receiver is in trouble."""

    label: ClassVar[str] = "untried"
    answer: str = ""
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Unsigned:
    """Not begun, and not counted: this process lacks the master key of its secret."""

    label: ClassVar[str] = "unsigned"
    answer: str = "no master key"
    status: int | None = None


Result = Delivered | Refused | Away | Gone | Untried | Unsigned
#: the labels of results
RESULTS = ("delivered", "refused", "away", "gone", "untried", "unsigned")


@dataclass(frozen=True, slots=True)
class Settlement:
    """The state that a message takes."""

    state: State
    due_at: datetime | None = None
    reason: str | None = None
    attempts: int = 0


def settle(attempts: int, spread: UUID, result: Result, now: datetime) -> Settlement:
    """attempts: made before this one; now: system time."""
    made = attempts + 1
    match result:
        case Delivered():
            return Settlement("delivered", attempts=made)
        case Untried():
            return Settlement("retry", now, attempts=attempts)
        case Unsigned():
            return Settlement("retry", now + UNSIGNED_WAIT, attempts=attempts)
        case Gone():
            return Settlement("failed", reason="gone", attempts=made)
        case Refused() | Away():
            if made > len(DELAYS):
                why = f"{result.status or 'no answer'}: {result.answer}"
                return Settlement("failed", reason=why[:500], attempts=made)
            wait = timedelta(seconds=DELAYS[made - 1]) * jitter(spread, made)
            if isinstance(result, Away) and result.retry_after is not None:
                wait = max(wait, min(result.retry_after, LONGEST_RETRY_AFTER))
            return Settlement("retry", now + wait, attempts=made)


def rest(failures: int, spread: UUID, result: Away, now: datetime) -> datetime:
    """Until when nothing is sent to a webhook. failures: in a row, this one included."""
    seconds = min(REST_SECONDS * 2.0 ** min(failures - 1, 20), LONGEST_REST_SECONDS)
    wait = timedelta(seconds=seconds) * jitter(spread, failures)
    if result.retry_after is not None:
        wait = max(wait, min(result.retry_after, LONGEST_RETRY_AFTER))
    return now + wait


def jitter(spread: UUID, number: int) -> float:
    """0.8 to 1.2, by the id and the attempt: so retries do not coincide, and a test knows what to expect."""
    return 0.8 + ((spread.int >> 3) + number * 7_919) % 1_000 / 2_500


def retry_after_of(text: str | None, now: datetime) -> timedelta | None:
    """What a Retry-After header asks for: seconds, or a moment. None: nothing usable."""
    if not text or len(text) > 40:
        return None
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text), 10**7))
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # also of a year beyond what C counts
        return None
    return None if moment.tzinfo is None else max(moment - now, timedelta())
