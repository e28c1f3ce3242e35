"""The mail state machine: what one attempt's result makes of a notification."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

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
    backoff_seconds,
    expire_in_data,
    message_id,
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


def test_an_uncertain_mail_is_due_once_more_and_never_a_third_time() -> None:
    first = settle(FIRST, MailUncertain("timeout"), NOW, POLICY)
    assert (first.state, first.unknowns, first.due_at) == ("unknown", 1, NOW + timedelta(seconds=60))
    second = settle(replace(FIRST, unknowns=1), MailUncertain("timeout"), NOW, POLICY)
    assert (second.state, second.unknowns, second.due_at) == ("unknown", 2, None)


def test_a_lease_that_runs_out_in_data_is_as_uncertain_as_a_lost_answer() -> None:
    assert expire_in_data(FIRST, NOW, POLICY).state == "unknown"


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
