"""Accounts: when somebody has to wait, when a session has ended, which passwords are taken."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st

from services.board.accounts.domain import (
    FORGIVEN_AN_HOUR,
    FORGOTTEN_AFTER,
    FREE_FAILURES,
    LONGEST_WAIT,
    MOST_ANYWHERE,
    Failures,
    Guesses,
    Session,
    failed,
    may_try,
    password_faults,
    waits_until,
)
from services.board.accounts.passwords import Passwords
from services.board.pages.web import own_path

NOW = datetime(2026, 10, 22, 2, tzinfo=UTC)
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def tries_a_day(addresses: int, days: int, *, device: bool = False) -> list[int]:
    """How many passwords a guesser who never rests has looked at on each day."""
    by_address, guesses = [Failures()] * addresses, Guesses(device=Failures() if device else None)
    now, found = NOW, []
    for _ in range(days):
        ends, tries = now + timedelta(days=1), 0
        while now < ends:
            for place, failures in enumerate(by_address):
                guesses = replace(guesses, address=failures)
                while may_try(guesses, now):
                    guesses, tries = failed(guesses, now), tries + 1
                by_address[place] = guesses.address
            now += timedelta(seconds=30)
        found.append(tries)
    return found


def test_a_guesser_has_a_hundred_tries_a_day() -> None:
    assert tries_a_day(1, 3) == [104, 96, 96]
    assert tries_a_day(1, 3, device=True) == [104, 96, 96]


def test_what_was_forgiven_long_ago_counts_no_more() -> None:
    known = Guesses(anywhere=Failures(5, NOW))
    assert failed(known, NOW + timedelta(minutes=12)).anywhere.count == 5 - FORGIVEN_AN_HOUR / 5 + 1
    assert failed(known, NOW + timedelta(hours=10)).anywhere.count == 1


def test_guessers_at_many_addresses_have_a_few_hundred_together() -> None:
    first, *later = tries_a_day(40, 3)
    assert MOST_ANYWHERE <= first <= MOST_ANYWHERE + 24 * FORGIVEN_AN_HOUR
    assert later == [24 * FORGIVEN_AN_HOUR] * 2


def test_one_address_or_two_reach_no_bound_that_holds_for_others() -> None:
    guesses, now = [Guesses(), Guesses()], NOW
    for _ in range(3 * 24 * 120):
        for place in (0, 1):
            guesses[place] = replace(guesses[place], anywhere=guesses[1 - place].anywhere)
            while may_try(guesses[place], now):
                guesses[place] = failed(guesses[place], now)
        now += timedelta(seconds=30)
        assert may_try(Guesses(anywhere=guesses[1].anywhere), now)


def test_a_known_device_is_counted_by_itself() -> None:
    attacked = Guesses(Failures(50, NOW), Failures(MOST_ANYWHERE, NOW))
    assert not may_try(attacked, NOW)
    known = replace(attacked, device=Failures())
    assert may_try(known, NOW)
    once_more = failed(known, NOW)
    assert once_more == replace(known, device=Failures(1, NOW))
    assert not may_try(replace(known, device=Failures(FREE_FAILURES, NOW)), NOW)


def test_after_a_quiet_day_a_source_begins_anew() -> None:
    once = Guesses(Failures(50, NOW - FORGOTTEN_AFTER))
    assert failed(once, NOW).address == Failures(1, NOW)
    assert failed(once, NOW - timedelta(seconds=1)).address.count == 51  # the control


def test_the_first_wrong_passwords_cost_no_wait_and_the_next_double_it() -> None:
    waits = [waits_until(Failures(count, NOW)) for count in range(FREE_FAILURES + 4)]
    assert waits[:FREE_FAILURES] == [None] * FREE_FAILURES
    assert [until - NOW for until in waits[FREE_FAILURES:] if until] == [
        timedelta(seconds=seconds) for seconds in (30, 60, 120, 240)
    ]


@given(st.integers(FREE_FAILURES, 10**6))
def test_no_source_waits_for_longer_than_a_quarter_of_an_hour(count: int) -> None:
    until = waits_until(Failures(count, NOW))
    assert until is not None
    assert timedelta(seconds=30) <= until - NOW <= LONGEST_WAIT


@pytest.mark.parametrize(
    ("idle_minutes", "age_hours", "ended", "live"),
    [(0, 0, False, True), (29, 1, False, True), (30, 1, False, False), (1, 10, False, False), (0, 0, True, False)],
)
def test_a_session_ends_by_rest_by_age_and_by_signing_out(
    idle_minutes: int, age_hours: int, ended: bool, live: bool
) -> None:
    began = NOW - timedelta(hours=age_hours)
    seen = NOW - timedelta(minutes=idle_minutes)
    session = Session(began, seen, began + timedelta(hours=10), NOW if ended else None)
    assert session.is_live(NOW, timedelta(minutes=30)) is live


@pytest.mark.parametrize(
    ("password", "faults"),
    [
        ("sông Hương chảy qua Huế", []),
        ("ngắn quá", ["too_short"]),
        ("x1y2z" * 30, ["too_long"]),
        ("mật khẩu của CB-01 đây", ["own_name"]),
        ("lê văn an ở phường nào", ["own_name"]),
        ("abababababab", ["few_characters"]),
        ("", ["too_short"]),
    ],
)
def test_a_password_is_long_and_not_ones_own_name(password: str, faults: list[str]) -> None:
    assert password_faults(password, "CB-01", "Lê Văn An") == faults


async def test_an_unknown_account_matches_no_password_not_even_the_one_it_is_compared_with() -> None:
    passwords = Passwords(CHEAP)
    stored = await passwords.hash("sông Hương chảy qua Huế")
    assert await passwords.matches(stored, "sông Hương chảy qua Huế")
    assert not await passwords.matches(stored, "sông Hương chảy qua Hue")
    assert not await passwords.matches("no hash", "sông Hương chảy qua Huế")
    nobodys = "nobody's password, so that an unknown account costs the same"
    assert not await passwords.matches(None, nobodys)
    assert passwords.is_outdated(stored) is False
    assert Passwords().is_outdated(stored) is True  # made with weaker parameters than the library's


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "evil",
        "",
        "/a\nb",
        "/x\\y",
        "//[",
        "//[::1",
    ],
)  # fmt: skip
def test_nobody_is_led_elsewhere_after_signing_in(path: str) -> None:
    assert own_path(path) == "/"


def test_a_page_of_ours_is_led_to() -> None:
    assert own_path("/bang?regime=BC-THANG&lang=en") == "/bang?regime=BC-THANG&lang=en"
