"""The mail state machine: what one attempt's result makes of a notification."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.delivery.states import (
    MailAccepted,
    MailDeferred,
    MailRefused,
    MailReleased,
    MailUncertain,
    MailUnsendable,
    Progress,
    RetryPolicy,
    SendResult,
    Settlement,
    Stage,
    backoff_seconds,
    expire_in_data,
    message_id,
    other_message_id,
    settle,
)

NOW = datetime(2026, 10, 19, 3, tzinfo=UTC)
POLICY = RetryPolicy()
FIRST = Progress(UUID(int=7), 1, 0, 0, NOW)

RESULTS = st.one_of(
    st.builds(MailAccepted, st.just(250), st.text()),
    st.builds(
        MailDeferred, st.sampled_from(["mail", "rcpt", "data", "body"]), st.sampled_from([None, 421, 450]), st.text()
    ),
    st.builds(MailRefused, st.sampled_from(["rcpt", "data", "body"]), st.just(550), st.text()),
    st.builds(MailUncertain, st.text()),
    st.builds(MailUnsendable, st.text()),
    st.builds(MailReleased),
)


def test_an_accepted_mail_is_sent_and_told() -> None:
    settled = settle(FIRST, MailAccepted(250, "ok"), NOW, POLICY)
    assert (settled.state, settled.published, settled.due_at) == ("sent", True, None)


def test_each_end_is_written_with_its_reason_and_its_count() -> None:
    tried = replace(FIRST, refusals=1)
    later = NOW + timedelta(seconds=backoff_seconds(POLICY, 1, FIRST.id))
    twice = replace(POLICY, refusals=2)
    old = replace(tried, first_tried_at=NOW - timedelta(days=3))
    greylisted = MailDeferred("rcpt", 450, "greylisted")
    assert [
        settle(tried, MailAccepted(250, "ok"), NOW, POLICY),
        settle(tried, MailUncertain("timeout"), NOW, POLICY),
        settle(tried, MailReleased(), NOW, POLICY),
        settle(tried, MailUnsendable("a line break"), NOW, POLICY),
        settle(tried, MailRefused("rcpt", 550, "unknown"), NOW, POLICY),
        settle(FIRST, MailRefused("rcpt", 550, "unknown"), NOW, twice),
        settle(tried, MailRefused("rcpt", 550, "unknown"), NOW, twice),
        settle(tried, greylisted, NOW, POLICY),
        settle(old, greylisted, NOW, POLICY),
    ] == [
        Settlement("sent", "sent", refusals=1, published=True),
        Settlement("unknown", "unknown", NOW + timedelta(seconds=60), "timeout", 1, 1, published=True),
        Settlement("retry", "released", NOW, refusals=1),
        Settlement("failed", "failed", None, "unsendable: a line break", 1, published=True),
        Settlement("failed", "refused", None, "refused: 550 unknown", 2, published=True),
        Settlement("retry", "refused", later, refusals=1),
        Settlement("failed", "refused", None, "refused: 550 unknown", 2, published=True),
        Settlement("retry", "retry", later, refusals=1),
        Settlement("failed", "retry", None, "deferred too long: 450 greylisted", 1, published=True),
    ]


def test_doubt_is_kept_with_every_end() -> None:
    doubted = replace(FIRST, unknowns=1, refusals=1)
    assert [
        (ended.state, ended.attempt_outcome, ended.reason, ended.refusals, ended.unknowns, ended.due_at is None)
        for ended in (
            settle(doubted, result, NOW, replace(POLICY, refusals=3))
            for result in (
                MailAccepted(250, "ok"), MailReleased(), MailUnsendable("x"), MailRefused("rcpt", 550, "x"),
                MailDeferred("connect", None, "x"),
            )
        )
    ] == [
        ("sent", "sent", None, 1, 1, True), ("retry", "released", None, 1, 1, False),
        ("unknown", "failed", "unsendable: x", 1, 1, True), ("retry", "refused", None, 2, 1, False),
        ("retry", "retry", None, 1, 1, False),
    ]  # fmt: skip


@pytest.mark.parametrize("stage", ["rcpt", "data", "body"])
def test_a_4xx_about_this_mail_ends_it_after_the_window_whichever_step_it_answers(stage: Stage) -> None:
    old = replace(FIRST, first_tried_at=NOW - timedelta(days=3))
    assert settle(old, MailDeferred(stage, 451, "later"), NOW, POLICY).state == "failed"
    assert settle(old, MailDeferred("connect", 421, "busy"), NOW, POLICY).state == "retry"


def test_an_uncertain_mail_is_due_once_more_and_never_a_third_time() -> None:
    first = settle(FIRST, MailUncertain("timeout"), NOW, POLICY)
    assert (first.state, first.unknowns, first.due_at) == ("unknown", 1, NOW + timedelta(seconds=60))
    second = settle(replace(FIRST, unknowns=1), MailUncertain("timeout"), NOW, POLICY)
    assert (second.state, second.unknowns, second.due_at) == ("unknown", 2, None)


def test_a_lease_that_runs_out_in_data_is_as_uncertain_as_a_lost_answer() -> None:
    ended = expire_in_data(replace(FIRST, refusals=1), NOW, POLICY)
    assert (ended.state, ended.attempt_outcome, ended.unknowns, ended.refusals) == ("unknown", "unknown", 1, 1)
    assert (ended.due_at, ended.published) == (NOW + timedelta(seconds=60), True)
    assert ended.reason == "the lease ran out after DATA may have begun"


def test_an_outage_never_fails_a_mail_however_long_it_lasts() -> None:
    old = replace(FIRST, first_tried_at=NOW - timedelta(days=400), attempts=900)
    for result in (
        MailDeferred("mail", None, "gone"),
        MailDeferred("data", None, "gone"),
        MailDeferred("mail", 550, "sender"),
    ):
        assert settle(old, result, NOW, POLICY).state == "retry"


def test_a_4xx_about_the_recipient_fails_after_the_window_and_not_a_second_earlier() -> None:
    deferred = MailDeferred("rcpt", 450, "greylisted")
    just_inside = replace(FIRST, first_tried_at=NOW - timedelta(days=3) + timedelta(seconds=1))
    assert settle(just_inside, deferred, NOW, POLICY).state == "retry"
    outside = replace(FIRST, first_tried_at=NOW - timedelta(days=3))
    assert settle(outside, deferred, NOW, POLICY).state == "failed"


def test_a_released_mail_is_due_at_once() -> None:
    settled = settle(FIRST, MailReleased(), NOW, POLICY)
    assert (settled.state, settled.due_at, settled.published) == ("retry", NOW, False)


@given(result=RESULTS, unknowns=st.integers(0, 2), refusals=st.integers(0, 3), attempts=st.integers(1, 50))
def test_a_mail_that_may_have_arrived_is_never_called_failed_and_doubt_is_never_forgotten(
    result: SendResult, unknowns: int, refusals: int, attempts: int
) -> None:
    before = Progress(UUID(int=1), attempts, refusals, unknowns, NOW - timedelta(days=30))
    after = settle(before, result, NOW, POLICY)
    if unknowns:
        assert after.state != "failed"
    assert after.unknowns >= unknowns
    assert (after.due_at is not None) == (
        after.state == "retry"
        or (after.state == "unknown" and after.unknowns == 1 and isinstance(result, MailUncertain))
    )
    assert after.published == (after.state in ("sent", "unknown", "failed"))


@given(attempts=st.integers(1, 10_000), spread=st.uuids())
def test_backoff_grows_is_capped_and_differs_between_mails(attempts: int, spread: UUID) -> None:
    seconds = backoff_seconds(POLICY, attempts, spread)
    assert POLICY.backoff_seconds <= seconds <= POLICY.backoff_ceiling_seconds * 1.2
    assert seconds <= backoff_seconds(POLICY, attempts + 1, spread)


def test_the_wait_doubles_from_half_a_minute_to_an_hour_and_the_id_adds_up_to_a_fifth() -> None:
    waits = [backoff_seconds(POLICY, attempts, UUID(int=0)) for attempts in (0, 1, 2, 3, 7, 8, 32, 10_000)]
    assert waits == [30, 30, 60, 120, 1920, 3600, 3600, 3600]
    assert [backoff_seconds(POLICY, 1, UUID(int=spread)) for spread in (500, 1000, 1500)] == [33, 30, 33]


def test_a_message_id_never_changes_between_releases() -> None:
    """A copy that is sent again by a newer release must be recognised as the same mail."""
    assert message_id("H99/R/2026-M10", "overdue", "a", "email", "x.example") == (
        "<y5d3l6q5f7x2di3xvjgx3zuj4bswnwy6@x.example>"
    )
    assert other_message_id("<x@h99.example>", "a@h99.example", "x.example") == (
        "<l5c3erebz246aejz4xs6ko2zafy2befh@x.example>"
    )
    assert other_message_id("a", "b", "x") != other_message_id("ab", "", "x")


def test_message_ids_are_the_same_for_one_notification_and_differ_in_every_part() -> None:
    def made(obligation: str = "H99/R/2026", step: str = "overdue", person: str = "a", channel: str = "email") -> str:
        return message_id(obligation, step, person, channel, "x.example")

    assert made() == made()
    assert len({made(), made("H99/R/2027"), made(step="due_soon"), made(person="b"), made(channel="sms")}) == 5
    assert message_id("a", "b", "c", "d", "x") != message_id("a\0b", "", "c", "d", "x")


def test_a_message_id_is_one_header_safe_token() -> None:
    made = message_id("H99/R/2026-M10\r\nBcc: x@y", "s", "o", "email", "x.example")
    assert made.startswith("<")
    assert made.endswith("@x.example>")
    assert made.isascii()
    assert len(made) < 78
