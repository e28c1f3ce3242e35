"""An escalation climbs its ladder: in order, once, never above before below, and it always has a next move."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from services.notifier.escalation.domain import (
    AT_THE_TOP,
    LOOK_AGAIN,
    Answer,
    Escalation,
    Facts,
    Refused,
    acknowledge,
    climb,
    promise_limit,
    resolution_of,
    resolve,
    start,
    take_back,
    told_people,
)
from services.notifier.ladders.domain import Ladder, LadderRung, Span, parse_offset
from services.notifier.ladders.timelines import WEEKDAYS, province
from services.notifier.planning.domain import Notice, Obligation
from shared.contract.working_days import WorkingCalendar
from shared.runtime.clock import LOCAL_ZONE

DEADLINE = datetime(2026, 10, 19, 17, tzinfo=LOCAL_ZONE)  # a Monday
OVERDUE = Obligation("A/R/P", "A", "R", 1, "P", deadline=DEADLINE, overdue=True, overdue_count=1)
LADDER = Ladder(
    "x",
    1,
    (
        LadderRung("t", parse_offset("T"), "head"),
        LadderRung("t+1d", parse_offset("T+1d"), "head_above", acknowledge=Span(1, "d")),
        LadderRung("t+3d", parse_offset("T+3d"), "provincial_office"),
        LadderRung("t+7d", parse_offset("T+7d"), "chair"),
    ),
)


def facts(*unstaffed: str, **changes: Any) -> Facts:
    return Facts(**{"obligation": OVERDUE, "directory": province(unstaffed), "calendar": WEEKDAYS, **changes})


def at(days: float) -> datetime:
    return DEADLINE + timedelta(days=days)


def begun(ladder: Ladder = LADDER) -> Escalation:
    return start(OVERDUE, ladder, DEADLINE, ())


def told(notices: tuple[Notice, ...]) -> list[tuple[str, str]]:
    return [(notice.step, notice.officer.officer_id) for notice in notices if notice.officer]


def test_each_rung_is_told_in_its_time_and_the_top_says_so() -> None:
    one, seen = begun(), []
    while one.next_at is not None:
        one, notices = climb(one, facts(), one.next_at)
        seen += [(notices[0].at, told(notices)[0][1])]
    assert seen == [
        (DEADLINE, "head"),
        (datetime(2026, 10, 20, 8, tzinfo=LOCAL_ZONE), "head_above"),
        (datetime(2026, 10, 21, 8, tzinfo=LOCAL_ZONE), "provincial_office"),  # unacknowledged for a working day
        (datetime(2026, 10, 28, 8, tzinfo=LOCAL_ZONE), "chair"),
    ]
    assert one.reason == AT_THE_TOP


def test_a_day_off_moves_the_rungs_that_are_ahead() -> None:
    with_holiday = WorkingCalendar("h", 2026, 2026, days_off=[date(2026, 10, 20)], made_up=())
    one, _ = climb(begun(), facts(calendar=with_holiday), DEADLINE)
    assert one.next_at == datetime(2026, 10, 21, 8, tzinfo=LOCAL_ZONE)


def test_after_a_long_stop_each_person_hears_only_of_the_newest_rung() -> None:
    to_chair = replace(LADDER, rungs=(LADDER.rungs[0], LADDER.rungs[2], LADDER.rungs[3]))
    one, notices = climb(begun(to_chair), facts("provincial_office"), at(20))
    assert told(notices) == [("overdue/rung-t", "head"), ("overdue/rung-t+7d", "chair")]
    assert [passed.skipped for passed in one.climb.passed] == [
        (), ("no_provincial_office:A0", "superseded:chair"), (),
    ]  # fmt: skip
    stepwise, control = begun(to_chair), []
    while stepwise.next_at is not None:
        stepwise, notices = climb(stepwise, facts("provincial_office"), stepwise.next_at)
        control += told(notices)
    assert control.count(("overdue/rung-t+3d", "chair")) == 1, "control: in time, the chair hears of both rungs"


def test_a_rung_nobody_can_be_told_at_is_passed_upward_and_says_why() -> None:
    one, notices = climb(begun(), facts("head"), DEADLINE)
    assert told(notices) == [("overdue/rung-t", "head_above")]
    assert [(notice.step, notice.skipped) for notice in notices if notice.officer is None] == [
        ("overdue/rung-t/no_head:A", "no_head:A")
    ]
    assert one.climb.passed[0].skipped == ("no_head:A",)
    one, notices = climb(begun(), facts("head", "head_above", "provincial_office", "chair"), at(20))
    assert told(notices) == []
    assert all(passed.skipped for passed in one.climb.passed)


def test_a_rung_whose_mail_was_refused_for_good_hands_on_at_once() -> None:
    one, _ = climb(begun(), facts(), DEADLINE)
    refused = facts(failed={("overdue/rung-t", "head")})
    assert told(climb(one, refused, at(0.01))[1]) == [("overdue/rung-t+1d", "head_above")]
    assert told(climb(one, facts(), at(0.01))[1]) == [], "control: not refused, it waits"


def test_nobody_above_hears_of_it_before_the_grace_is_over() -> None:
    graceful = replace(LADDER, grace=Span(4, "h"))
    assert not graceful.heads_at_once
    one, notices = climb(begun(graceful), facts(), DEADLINE)
    assert notices == ()
    assert one.next_at == DEADLINE + timedelta(hours=4)


def test_nobody_above_an_agency_without_a_head_hears_of_it_before_that_grace_is_over() -> None:
    kind = replace(LADDER, grace_above=Span(1, "d"))
    assert (kind.tells_at_once(headless=False), kind.tells_at_once(headless=True)) == (True, False)
    assert LADDER.tells_at_once(headless=True), "control: without the grace"
    one = start(OVERDUE, kind, DEADLINE, (), headless=True)
    one, notices = climb(one, facts("head"), DEADLINE)
    assert (notices, one.next_at) == ((), datetime(2026, 10, 20, 8, tzinfo=LOCAL_ZONE))
    assert told(climb(one, facts("head"), one.next_at or DEADLINE)[1])[0] == ("overdue/rung-t", "head_above")
    assert told(climb(start(OVERDUE, kind, DEADLINE, ()), facts(), DEADLINE)[1]) == [("overdue/rung-t", "head")]


def test_a_letter_names_the_next_rung_and_its_moment() -> None:
    one, notices = climb(begun(), facts(), DEADLINE)
    (to_head,) = notices
    assert (to_head.facts.next_role, to_head.facts.next_at) == ("head_above", one.next_at)
    one, (to_above,) = climb(one, facts(), one.next_at or DEADLINE)
    due = datetime(2026, 10, 21, 8, tzinfo=LOCAL_ZONE)
    assert (to_above.facts.next_role, to_above.facts.next_at, one.next_at) == ("provincial_office", due, due)
    _, late = climb(begun(), facts(), at(20))
    assert {notice.facts.next_role for notice in late} == {""}, "nobody is above the chair"


def test_without_calendar_or_registry_it_is_looked_at_again_and_says_why() -> None:
    one, _ = climb(begun(), facts(calendar=None), DEADLINE)
    assert (one.next_at, one.reason) == (DEADLINE + LOOK_AGAIN, "no_calendar")
    short = WorkingCalendar("s", 2026, 2026, days_off=(), made_up=())
    late = facts(obligation=replace(OVERDUE, deadline=datetime(2026, 12, 30, 17, tzinfo=LOCAL_ZONE)), calendar=short)
    one, _ = climb(begun(), late, datetime(2026, 12, 31, 9, tzinfo=LOCAL_ZONE))
    assert one.reason == "no_calendar:2027"
    missing = facts(directory=province())
    del missing.directory.agencies["A1"]  # type: ignore[attr-defined]
    one, _ = climb(begun(), missing, DEADLINE)
    assert one.reason == "waits_for:agency/A1"
    assert one.climb.passed == ()


def test_what_a_lost_database_has_told_is_not_told_again() -> None:
    one, notices = climb(begun(), facts(told_until=at(2)), at(3))
    assert told(notices) == [("overdue/rung-t+3d", "provincial_office")]
    assert [passed.skipped for passed in one.climb.passed[:2]] == [("told_before",)] * 2
    assert len(told(climb(begun(), facts(), at(3))[1])) == 3, "control"


def test_an_acknowledgement_stops_the_climb_until_the_promised_date() -> None:
    one, _ = climb(begun(), facts(), DEADLINE)
    held = acknowledge(one, Answer(at(0.1), "head", "acknowledged", at(4)), WEEKDAYS)
    held, notices = climb(held, facts(), at(3))
    assert (notices, held.next_at) == ((), at(4))
    assert told(climb(one, facts(), at(3))[1]) != [], "control: nobody answered"
    assert told(climb(held, facts(), at(4))[1])[0][1] == "head_above"
    freed = take_back(held, Answer(at(3), "head", "taken_back"))
    assert told(climb(freed, facts(), at(3))[1])[0][1] == "head_above"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(at(1), "chair", "acknowledged", at(2)), "not_told"),
        (Answer(at(1), "head", "acknowledged"), "no_date"),
        (Answer(at(1), "head", "acknowledged", at(1)), "in_the_past"),
        (Answer(at(1), "head", "acknowledged", at(30)), "too_far"),
        (Answer(at(1), "head", "snoozed", at(2)), "no_reason"),
    ],
)
def test_an_answer_that_does_not_hold_is_refused(answer: Answer, why: str) -> None:
    one, _ = climb(begun(), facts(), DEADLINE)
    with pytest.raises(Refused) as refused:
        acknowledge(one, answer, WEEKDAYS)
    assert refused.value.reason == why


def test_a_climb_is_stopped_only_so_often_and_not_once_it_is_over() -> None:
    one, _ = climb(begun(), facts(), DEADLINE)
    for _ in range(LADDER.promises):
        one = acknowledge(one, Answer(at(1), "head", "acknowledged", at(2)), WEEKDAYS)
    with pytest.raises(Refused, match="too_often"):
        acknowledge(one, Answer(at(1), "head", "acknowledged", at(2)), WEEKDAYS)
    over = resolve(one, "answered", at(2))
    with pytest.raises(Refused, match="resolved"):
        acknowledge(over, Answer(at(1), "head", "acknowledged", at(2)), WEEKDAYS)
    with pytest.raises(Refused, match="resolved"):
        take_back(over, Answer(at(1), "head", "taken_back"))
    assert climb(over, facts(), at(20)) == (over, ())


def test_a_letter_at_a_rung_says_who_answers_who_was_told_and_who_was_passed_over() -> None:
    one, _ = climb(begun(), facts(), DEADLINE)
    one, notices = climb(one, facts("head_above"), at(1))
    (letter,) = [notice for notice in notices if notice.officer]
    assert (letter.kind, letter.step, letter.at, letter.skipped) == (
        "escalation", "overdue/rung-t+1d", at(1), None
    )  # fmt: skip
    said = letter.facts
    assert (said.recipient_name, said.officer_name, said.ladder_rung) == ("chair", "officer", "t+1d")
    assert (said.agency, said.deadline, said.told_earlier) == ("A", DEADLINE, ("head (19/10/2026)",))
    assert (said.passed_over, said.passed_over_en) == (("A1",), ("A1",))
    (gap,) = [notice for notice in notices if notice.officer is None]
    assert (gap.kind, gap.step, gap.skipped, gap.at) == (
        "escalation", "overdue/rung-t+1d/no_head:A1", "no_head:A1", at(1)
    )  # fmt: skip
    assert (gap.facts.ladder_rung, gap.facts.agency, gap.facts.recipient_name) == ("t+1d", "A", "")


def test_a_missing_provincial_office_is_no_agency_passed_over_and_nobody_answers_where_nobody_is() -> None:
    office_first = replace(LADDER, rungs=(LADDER.rungs[2],))
    _, notices = climb(begun(office_first), facts("provincial_office", "officer"), at(7))
    (letter,) = [notice for notice in notices if notice.officer]
    assert (letter.facts.recipient_name, letter.facts.officer_name) == ("chair", "")
    assert (letter.facts.passed_over, letter.facts.told_earlier) == ((), ())


def test_a_head_who_is_told_at_once_holds_the_first_rung_and_no_other_does() -> None:
    officer = LadderRung("o", parse_offset("T"), "officer")
    ladder = replace(LADDER, rungs=(officer, *LADDER.rungs))
    head = province().head("A")
    assert head is not None
    planned = climb(begun(), facts(), DEADLINE)[1][0]
    one = start(OVERDUE, ladder, DEADLINE, [replace(planned, kind="overdue"), planned])
    assert (one.obligation, one.opened_at, one.next_at, one.climb.position) == ("A/R/P", DEADLINE, DEADLINE, 2)
    assert [[told.person for told in passed.told] for passed in one.climb.passed] == [[], ["head"]]
    assert [passed.rung for passed in one.climb.passed] == ["o", "t"]
    nobody = replace(planned, officer=None, skipped="no_head:A")
    assert start(OVERDUE, LADDER, DEADLINE, [nobody]).climb.passed[0].skipped == ("no_head:A",)
    for ladder, notices in ((replace(LADDER, grace=Span(1, "h")), [planned]), (LADDER, [])):
        assert start(OVERDUE, ladder, DEADLINE, notices).climb.passed == ()
    again = start(replace(OVERDUE, overdue_count=2), LADDER, DEADLINE, ())
    assert (again.climb.step, begun().climb.step) == ("overdue/2", "overdue")


def test_what_cannot_move_yet_keeps_its_place_and_is_looked_at_in_ten_minutes() -> None:
    missing = facts(directory=province())
    del missing.directory.agencies["A1"]  # type: ignore[attr-defined]
    short = WorkingCalendar("s", 2026, 2026, days_off=(), made_up=())
    late = facts(obligation=replace(OVERDUE, deadline=datetime(2026, 12, 30, 17, tzinfo=LOCAL_ZONE)), calendar=short)
    for hindered, now in ((missing, DEADLINE), (late, datetime(2026, 12, 31, 9, tzinfo=LOCAL_ZONE))):
        one, notices = climb(begun(), hindered, now)
        assert (one.next_at, one.climb, notices) == (now + timedelta(minutes=10), begun().climb, ())


def test_a_promise_may_reach_just_so_far_and_begins_at_once() -> None:
    one, _ = climb(begun(), facts(), DEADLINE)
    asked = at(1)
    limit = promise_limit(one, WEEKDAYS, asked)
    assert limit == datetime(2026, 10, 27, 8, tzinfo=LOCAL_ZONE)  # five working days
    held = acknowledge(one, Answer(asked, "head", "acknowledged", limit), WEEKDAYS)
    assert (held.next_at, held.climb.held_until, held.reason) == (asked, limit, "")
    assert held.climb.answers == (Answer(asked, "head", "acknowledged", limit),)
    with pytest.raises(Refused, match="too_far"):
        acknowledge(one, Answer(asked, "head", "acknowledged", limit + timedelta(microseconds=1)), WEEKDAYS)
    put_off = Answer(asked, "head", "snoozed", at(2), "chờ số liệu")
    assert acknowledge(one, put_off, WEEKDAYS).climb.answers == (put_off,)
    with pytest.raises(Refused, match="no_reason"):
        acknowledge(one, Answer(asked, "head", "snoozed", at(2), "  "), WEEKDAYS)


def test_only_a_promise_that_still_runs_is_taken_back_and_only_by_who_was_told() -> None:
    one, _ = climb(begun(), facts(), DEADLINE)
    held = acknowledge(one, Answer(at(1), "head", "acknowledged", at(2)), WEEKDAYS)
    for state, answer, why in (
        (one, Answer(at(1), "head", "taken_back"), "not_held"),
        (held, Answer(at(2), "head", "taken_back"), "not_held"),
        (held, Answer(at(1), "chair", "taken_back"), "not_told"),
    ):
        with pytest.raises(Refused, match=why):
            take_back(state, answer)
    back = Answer(at(2) - timedelta(microseconds=1), "head", "taken_back")
    freed = take_back(held, back)
    assert (freed.next_at, freed.climb.held_until, freed.climb.answers[-1]) == (back.at, None, back)
    again = acknowledge(freed, Answer(back.at, "head", "acknowledged", at(3)), WEEKDAYS)
    assert again.climb.held_until == at(3), "taking back counts as no promise"


def test_whoever_was_told_is_known_and_what_is_over_stays_so() -> None:
    one, _ = climb(begun(), facts(), DEADLINE)
    one, _ = climb(one, facts(), at(1))
    assert told_people(one) == {"head", "head_above"}
    over = resolve(one, "answered", at(2))
    assert (over.next_at, over.reason, over.resolved_at, over.resolution) == (None, "", at(2), "answered")
    assert resolve(over, "not_owed", at(3)) == over
    assert not over.open
    assert one.open


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (OVERDUE, None),
        (replace(OVERDUE, accepted_version=1), "answered"),
        (replace(OVERDUE, owed=False), "not_owed"),
        (replace(OVERDUE, overdue=False, deadline=at(9)), "not_overdue"),
    ],
)
def test_what_ends_a_climb(now: Obligation, why: str | None) -> None:
    assert resolution_of(OVERDUE, now) == why
    assert resolution_of(replace(OVERDUE, overdue=False), now) is None, "there was no climb"
    assert resolution_of(replace(OVERDUE, overdue=False), now) is None, "there was none"
