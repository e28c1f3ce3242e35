"""Retries take days and never come all at once; the page's vector is what is signed."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.channels.webhook import signing
from services.notifier.channels.webhook.states import (
    DELAYS,
    LONGEST_REST_SECONDS,
    LONGEST_RETRY_AFTER,
    Away,
    Delivered,
    Gone,
    Refused,
    Settlement,
    Unsigned,
    Untried,
    jitter,
    rest,
    retry_after_of,
    settle,
)

NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)
PAGE = Path(__file__).resolve().parents[3] / "docs" / "webhooks.md"


@given(st.uuids(), st.sampled_from([Away(None), Away(503), Refused(404)]))
def test_ten_attempts_within_a_little_more_than_three_days(spread: UUID, result: Away | Refused) -> None:
    at, attempts = NOW, 0
    while (settled := settle(attempts, spread, result, at)).state == "retry":
        assert settled.due_at is not None
        at, attempts = settled.due_at, settled.attempts
    assert (settled.state, settled.attempts) == ("failed", len(DELAYS) + 1)
    assert timedelta(days=2.4) < at - NOW < timedelta(days=4)


def test_what_was_not_begun_is_not_counted() -> None:
    for result in (Untried(), Unsigned()):
        settled = settle(4, UUID(int=1), result, NOW)
        assert (settled.state, settled.attempts) == ("retry", 4)
    assert settle(0, UUID(int=1), Delivered(204), NOW).state == "delivered"
    assert settle(0, UUID(int=1), Gone(), NOW).reason == "gone"


def test_a_settlement_says_why_and_when() -> None:
    assert settle(3, UUID(int=1), Gone(), NOW) == Settlement("failed", None, "gone", 4)
    assert settle(3, UUID(int=1), Delivered(200), NOW) == Settlement("delivered", None, None, 4)
    assert settle(3, UUID(int=1), Untried(), NOW) == Settlement("retry", NOW, None, 3)
    assert settle(3, UUID(int=1), Unsigned(), NOW) == Settlement("retry", NOW + timedelta(minutes=1), None, 3)
    last = len(DELAYS)
    assert settle(last, UUID(int=1), Refused(404, "no such"), NOW) == Settlement("failed", None, "404: no such", 10)
    assert settle(last, UUID(int=1), Away(None, "x" * 600), NOW).reason == f"no answer: {'x' * 489}"


@pytest.mark.parametrize(("failures", "seconds"), [(1, 5), (2, 10), (3, 20), (9, 1280), (10, 1800), (10_000, 1800)])
def test_a_rest_is_twice_as_long_each_time(failures: int, seconds: int) -> None:
    until = rest(failures, UUID(int=1), Away(503), NOW)
    assert until == NOW + timedelta(seconds=seconds) * jitter(UUID(int=1), failures)


def test_jitter_spreads_over_its_whole_range_and_differs_from_try_to_try() -> None:
    found = [jitter(UUID(int=number << 3), 0) for number in range(1000)]
    assert (min(found), max(found), len(set(found))) == (0.8, 0.8 + 999 / 2500, 1000)
    assert len({jitter(UUID(int=9), number) for number in range(1, 11)}) == 10
    assert jitter(UUID(int=0b111), 1) == jitter(UUID(int=0), 1), "the lowest bits of a UUIDv7 are left out"


@given(st.integers(1, 10_000), st.uuids())
def test_a_rest_grows_and_has_an_end(failures: int, spread: UUID) -> None:
    seconds = (rest(failures, spread, Away(500), NOW) - NOW).total_seconds()
    assert 4 <= seconds <= LONGEST_REST_SECONDS * 1.2


def test_retry_after_is_kept_within_bounds() -> None:
    late = Away(429, retry_after=timedelta(days=400))
    for until in (rest(1, UUID(int=1), late, NOW), settle(0, UUID(int=1), late, NOW).due_at):
        assert until == NOW + LONGEST_RETRY_AFTER


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("120", timedelta(seconds=120)),
        ("Mon, 02 Nov 2026 09:01:00 GMT", timedelta(minutes=1)),
        ("Mon, 02 Nov 2026 08:00:00 GMT", timedelta()),
        ("-5", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("9" * 40, timedelta(seconds=10**7)),
        ("1 Jan 99999999999999999999 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_moment(header: str | None, expected: timedelta | None) -> None:
    assert retry_after_of(header, NOW) == expected


@given(st.text(max_size=50))
def test_no_header_makes_it_raise(header: str) -> None:
    retry_after_of(header, NOW)


def test_the_vector_of_the_page_is_what_is_signed() -> None:
    rows = dict(re.findall(r"^\| (secret|body|signature) \| `([^`]*)` \|$", PAGE.read_text(encoding="utf-8"), re.M))
    secret = base64.b64decode(rows["secret"].removeprefix("whsec_"))
    delivery = UUID("01932f5e7a107cc398c4dc0c0c07398f")
    made = signing.headers(delivery, datetime.fromtimestamp(1793000000, UTC), rows["body"].encode(), [secret])
    assert made == {
        "webhook-id": "msg_01932f5e7a107cc398c4dc0c0c07398f",
        "webhook-timestamp": "1793000000",
        "webhook-signature": rows["signature"],
    }
