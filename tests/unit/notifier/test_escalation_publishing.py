"""What is published of an escalation: whole, and only where it is another than before."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from services.notifier.escalation.domain import (
    AT_THE_TOP,
    Answer,
    Climb,
    Escalation,
    Facts,
    HandedOn,
    Told,
    acknowledge,
    climb,
    start,
)
from services.notifier.escalation.publishing import as_published, event_of
from services.notifier.ladders.data import shipped_ladders
from services.notifier.ladders.timelines import WEEKDAYS, province
from services.notifier.planning.domain import Obligation
from shared.contract.events import EscalationChanged
from shared.runtime.clock import LOCAL_ZONE

DEADLINE = datetime(2026, 10, 19, 17, tzinfo=LOCAL_ZONE)
LADDER = next(read.ladder for read in shipped_ladders())
REPORT = Obligation("A/R/P", "A", "R", 1, "P", deadline=DEADLINE, overdue=True, overdue_count=1)
FACTS = Facts(REPORT, province(), WEEKDAYS)
LATER = DEADLINE + timedelta(minutes=1)


def begun() -> Escalation:
    return as_published(replace(start(REPORT, LADDER, DEADLINE, (), facts=FACTS), number=1), None, DEADLINE)


def test_a_whole_climb_is_an_event_that_its_readers_can_read() -> None:
    one, _ = climb(begun(), FACTS, DEADLINE)
    one = acknowledge(one, Answer(LATER, "head", "acknowledged", DEADLINE + timedelta(days=1)), WEEKDAYS)
    handed = HandedOn(LATER, "head", "t", Told("officer", "A", "overdue/rung-t/to-officer"), "Phụ trách")
    one = replace(one, climb=replace(one.climb, handed_on=(handed,)), version=3, changed_at=LATER)
    read = EscalationChanged.model_validate_json(event_of(one).encode())
    assert read == event_of(one)
    assert (read.position, read.next_rung, read.next_role, read.next_at) == (1, "t+3d", "provincial_office", None)
    assert [told.person for passed in read.passed for told in passed.told] == ["head"]
    assert (read.held_until, read.answers[0].by, read.handed_on[0].to) == (
        DEADLINE + timedelta(days=1),
        "head",
        "officer",
    )
    after, _ = climb(one, FACTS, LATER)
    known = event_of(as_published(after, one, LATER + timedelta(seconds=5)))
    assert (known.next_at, known.version) == (datetime(2026, 10, 22, 8, tzinfo=LOCAL_ZONE), 4)


def test_a_look_that_changes_nothing_is_not_published() -> None:
    one, _ = climb(begun(), FACTS, DEADLINE)
    one = as_published(one, begun(), DEADLINE)
    again, _ = climb(replace(one, next_at=one.next_at), FACTS, LATER)
    assert as_published(again, one, LATER) == again
    assert again.version == one.version
    # nor one that finds once more that it must wait, whatever the moment of the next look
    waits, _ = climb(one, replace_facts(None), LATER)
    first = as_published(waits, one, LATER)
    longer, _ = climb(first, replace_facts(None), LATER + timedelta(minutes=10))
    assert (first.version, longer.next_at == first.next_at) == (one.version + 1, False)
    assert as_published(longer, first, LATER + timedelta(minutes=10)).version == first.version
    # control: a rung that is passed is another state
    moved, _ = climb(one, FACTS, datetime(2026, 10, 22, 8, tzinfo=LOCAL_ZONE))
    assert as_published(moved, one, LATER).version == one.version + 1


def test_one_that_was_never_published_is_at_its_next_look() -> None:
    one = replace(begun(), version=0, changed_at=None)
    assert as_published(one, one, LATER).version == 1


def test_a_clock_that_was_set_back_makes_no_older_version() -> None:
    one = begun()
    moved, _ = climb(one, FACTS, DEADLINE)
    set_back = as_published(moved, one, DEADLINE - timedelta(hours=1))
    assert (set_back.version, set_back.changed_at) == (2, DEADLINE)


def test_what_was_raised_is_not_told() -> None:
    one = replace(begun(), next_at=LATER, reason="error:ValueError('mật')")
    assert (event_of(one).reason, event_of(one).next_at) == ("error", None)
    top = Escalation("A/R/P", DEADLINE, Climb(LADDER, "overdue", len(LADDER.rungs)), None, AT_THE_TOP, 1)
    told = event_of(as_published(top, None, LATER))
    assert (told.next_rung, told.next_role, told.reason) == (None, None, AT_THE_TOP)


def replace_facts(calendar: None) -> Facts:
    return Facts(REPORT, province(), calendar)
