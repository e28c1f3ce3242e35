"""A queue of claimed mails: one at a time to an address, and silent addresses hold half of the connections at most."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from services.notifier.channels import sending_queue
from services.notifier.channels.sending_queue import SendingQueue
from services.notifier.delivery.ledger import ClaimedMail
from services.notifier.delivery.states import Progress

NOW = datetime(2026, 10, 19, 3, tzinfo=UTC)
LATER = NOW + timedelta(seconds=30)


def mail(recipient: str) -> ClaimedMail:
    return ClaimedMail(
        Progress(uuid4(), 1, 0, 0, NOW), uuid4(), "H99/BC/2026-M10", "reminder", "due_soon", recipient, "<1@x>", NOW,
        {}, None, {},
    )  # fmt: skip


def queue(*recipients: str, connections: int = 4) -> SendingQueue:
    made = SendingQueue(connections=connections, silence_seconds=30)
    made.add([mail(recipient) for recipient in recipients], NOW + timedelta(seconds=150))
    return made


def taken(mails: SendingQueue, now: datetime = NOW) -> str | None:
    found = mails.take(now)
    return found[0].recipient if found else None


def test_a_second_letter_to_an_address_waits_for_the_first_and_others_pass_it() -> None:
    mails = queue("a", "a", "b")
    assert mails.ready(NOW) == 2
    assert [taken(mails), taken(mails), taken(mails)] == ["a", "b", None]
    assert sorted(mails.unavailable()) == ["a", "b"]
    mails.done("a")
    assert taken(mails) == "a"


def test_an_address_that_met_silence_is_put_off_until_the_pause_is_over_or_it_answers() -> None:
    mails = queue("a")
    mails.silent("a", "not tried", NOW)
    assert mails.put_off("a", NOW) == "not tried"
    assert mails.put_off("a", LATER) is None
    assert mails.put_off("a", NOW - timedelta(seconds=1)) is None  # the clock was set back
    mails.answered("a")
    assert mails.put_off("a", NOW) is None


@pytest.mark.parametrize(("connections", "at_once"), [(1, 1), (2, 1), (4, 2), (5, 2)])
def test_silent_addresses_hold_half_of_the_connections_at_most(connections: int, at_once: int) -> None:
    mails = queue(*(f"bad-{number}" for number in range(6)), "good", connections=connections)
    for number in range(6):
        mails.silent(f"bad-{number}", "not tried", NOW)
    begun = [taken(mails, LATER) for _ in range(at_once + 1)]
    assert begun == [*(f"bad-{number}" for number in range(at_once)), "good"]
    assert taken(mails, LATER) is None
    assert {f"bad-{number}" for number in range(6)} <= set(mails.unavailable())
    mails.answered("bad-0")
    mails.done("bad-0")
    assert taken(mails, LATER) == f"bad-{at_once}"


def test_the_control_without_that_they_hold_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SendingQueue, "_suspects_in_flight", lambda self: 0)
    mails = queue(*(f"bad-{number}" for number in range(6)), "good")
    for number in range(6):
        mails.silent(f"bad-{number}", "not tried", NOW)
    assert "good" not in [taken(mails, LATER) for _ in range(4)]


def test_it_remembers_no_more_than_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending_queue, "MOST_SILENT", 2)
    mails = queue()
    for address in ("a", "b", "c"):
        mails.silent(address, "not tried", NOW)
    assert [mails.put_off(address, NOW) for address in ("a", "b", "c")] == [None, "not tried", "not tried"]


def test_what_was_not_begun_can_be_given_back() -> None:
    mails = queue("a", "b")
    assert taken(mails) == "a"
    assert [taken.recipient for taken in mails.drain()] == ["b"]
    assert mails.ready(NOW) == 0
