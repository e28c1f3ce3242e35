"""Whom a rung tells, what the letter says of those before and after it, and who may hand a matter on to whom."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from services.notifier.escalation.domain import (
    AT_THE_TOP,
    MOST_HANDED_ON,
    Answer,
    Escalation,
    Facts,
    HandedOn,
    Passed,
    Refused,
    Told,
    acknowledge,
    announce,
    climb,
    hand_on,
    resolve,
    rung_of,
    start,
    take_back,
    told_people,
)
from services.notifier.ladders.domain import Ladder, LadderRung, RungRole, Span, parse_offset
from services.notifier.ladders.timelines import WEEKDAYS
from services.notifier.planning.directory import Agency, Directory, Officer, Person
from services.notifier.planning.domain import LetterFacts, Notice, Obligation, letter_facts
from shared.access import Office, Term
from shared.contract.hierarchy import Parents, ParentSince
from shared.contract.working_days import WorkingCalendar
from shared.runtime.clock import LOCAL_ZONE

DEADLINE = datetime(2026, 10, 19, 17, tzinfo=LOCAL_ZONE)  # a Monday
TUESDAY, WEDNESDAY, THURSDAY, NEXT_WEDNESDAY = (
    datetime(2026, 10, day, 8, tzinfo=LOCAL_ZONE) for day in (20, 21, 22, 28)
)
HOUR = timedelta(hours=1)
OVERDUE = Obligation("A/R/P", "A", "R", 1, "P", deadline=DEADLINE, overdue=True, overdue_count=1)
AGENCIES = (
    Agency("A", "Xã A", "Commune A", Parents("A1")),
    Agency("A1", "Huyện A1", "District A1", Parents("A0")),
    Agency("A0", "Tỉnh A0"),
)


def person(name: str, agency: str, role: str = "head", **more: Any) -> Officer:
    given = {"title": "", "email": f"{name}@thongsuot.example", "role": role}
    return Officer(officer_id=name, agency=agency, name=name, **{**given, **more})


STAFF = (
    person("officer", "A", "reporting_officer"),
    person("head", "A", title="Chủ tịch xã"),
    person("above", "A1"),
    person("chair", "A0"),
)


def office(name: str, agency: str = "A0", since: date = date(2020, 1, 1), regimes: tuple[str, ...] = ()) -> Person:
    held = Office("provincial_office", agency, Term(since), regimes)
    return Person(person(name, agency, ""), (held,))


#: none of them answers for all regimes
DESIGNATED = (
    person("of-others", "A", "reporting_officer", regimes=("OTHER",)),
    person("of-r", "A", "reporting_officer", regimes=("R",)),
)


def people(
    *gone: str,
    persons: tuple[Person, ...] = (),
    agencies: tuple[Agency, ...] = AGENCIES,
    more: tuple[Officer, ...] = (),
) -> Directory:
    staff = [officer for officer in STAFF if officer.officer_id not in gone]
    return Directory.of(agencies, [*staff, *more], persons)


def facts(directory: Directory | None = None, **more: Any) -> Facts:
    return Facts(**{"obligation": OVERDUE, "directory": directory or people(), "calendar": WEEKDAYS, **more})


def ladder(*rungs: tuple[str, RungRole], **more: Any) -> Ladder:
    return Ladder("x", 1, tuple(LadderRung(at.lower(), parse_offset(at), tell) for at, tell in rungs), **more)


HEADS = ladder(("T", "head"), ("T+1d", "head_above"), ("T+7d", "chair"))


def begun(climbed: Ladder = HEADS, **more: Any) -> Escalation:
    return start(OVERDUE, climbed, DEADLINE, (), **more)


def letters(notices: tuple[Notice, ...]) -> list[Notice]:
    return [notice for notice in notices if notice.officer is not None]


def told_at(role: RungRole, directory: Directory, now: datetime = DEADLINE, **more: Any) -> tuple[list[str], list[str]]:
    """Whom the only rung of a ladder tells, and what it says of places where nobody is told."""
    one, notices = climb(begun(ladder(("T", role))), facts(directory, **more), now)
    names = [notice.officer.name for notice in notices if notice.officer]
    return names, list(one.climb.passed[0].skipped)


@pytest.mark.parametrize(
    ("role", "directory", "told"),
    [
        ("officer", people(), (["officer"], [])),
        ("officer", people("officer"), ([], ["no_reporting_officer:A"])),
        ("officer", people("officer", more=(person("o", "A", "reporting_officer", email="?"),)),
         ([], ["unusable_address_of_reporting_officer:A"])),
        ("officer", people("officer", more=DESIGNATED), (["of-r"], [])),
        ("head", people("head"), (["above"], ["no_head:A"])),
        ("head_above", people(), (["above"], [])),
        ("head_above", people("above"), (["chair"], ["no_head:A1"])),
        ("chair", people("head"), (["chair"], [])),
        ("chair", people("chair"), ([], ["no_head:A0"])),
        ("provincial_office", people(persons=(office("vp"),)), (["vp"], [])),
        ("provincial_office", people(persons=(office("vp", "A1"), office("top"))), (["vp"], [])),
        ("provincial_office", people(persons=(office("vp", regimes=("R",)),)), (["vp"], [])),
        (
            "provincial_office",
            people(persons=(office("vp", regimes=("OTHER",)),)),
            (["chair"], ["no_provincial_office:A0"]),
        ),
        (
            "provincial_office",
            people(persons=(office("vp", since=date(2026, 10, 20)),)),
            (["chair"], ["no_provincial_office:A0"]),
        ),
    ],
)  # fmt: skip
def test_who_is_told_at_a_rung_and_where_nobody_can_be(
    role: RungRole, directory: Directory, told: tuple[list[str], list[str]]
) -> None:
    assert told_at(role, directory) == told


def test_an_agency_that_has_closed_is_passed_over_and_parents_are_those_of_the_day() -> None:
    closed = dataclasses.replace(AGENCIES[1], closed_on=date(2026, 10, 18))
    assert told_at("head_above", people(agencies=(AGENCIES[0], closed, AGENCIES[2]))) == (
        ["chair"], ["agency_closed:A1"],
    )  # fmt: skip
    moved = dataclasses.replace(AGENCIES[0], above=Parents("A1", (ParentSince(date(2026, 10, 20), "A0"),)))
    directory = people(agencies=(moved, *AGENCIES[1:]))
    assert told_at("head_above", directory)[0] == ["above"]
    assert told_at("head_above", directory, TUESDAY)[0] == ["chair"]


def test_above_the_highest_agency_is_nobody() -> None:
    top = replace(OVERDUE, key="A0/R/P", agency="A0")
    assert told_at("head_above", people(), obligation=top) == ([], ["nobody_above:A0"])


def test_the_next_head_above_is_above_the_one_who_was_told_last() -> None:
    twice = ladder(("T", "head"), ("T+1d", "head_above"), ("T+3d", "head_above"), ("T+7d", "head_above"))
    one, notices = climb(begun(twice), facts(), DEADLINE + timedelta(days=20))
    assert [notice.officer.name for notice in letters(notices) if notice.officer] == ["head", "above", "chair"]
    assert one.climb.passed[-1].skipped == ("nobody_above:A",)
    one, _ = climb(begun(twice), facts(), TUESDAY)
    _, notices = climb(one, facts(), THURSDAY)
    assert [notice.officer.name for notice in letters(notices) if notice.officer] == ["chair"]


def test_the_head_told_once_more_does_not_bring_the_climb_down() -> None:
    again = ladder(("T", "head"), ("T+1d", "head_above"), ("T+3d", "head"), ("T+4d", "head_above"))
    one, _ = climb(begun(again), facts(), DEADLINE)
    one, _ = climb(one, facts(), TUESDAY)
    _, notices = climb(one, facts(), NEXT_WEDNESDAY)
    assert [notice.officer.name for notice in letters(notices) if notice.officer] == ["head", "chair"]


def test_the_officer_designated_for_the_regime_is_named_in_every_letter() -> None:
    directory = people("officer", more=DESIGNATED)
    (letter,) = climb(begun(), facts(directory), DEADLINE)[1]
    assert letter.facts.officer_name == "of-r"
    assert handed(first(), directory=directory)[1].facts.officer_name == "of-r"


def test_what_was_at_the_top_says_so_no_longer_once_it_is_held_or_freed() -> None:
    top, _ = climb(begun(ladder(("T", "head"))), facts(), DEADLINE)
    assert (top.next_at, top.reason) == (None, AT_THE_TOP)
    held = acknowledge(top, Answer(TUESDAY, "head", "acknowledged", WEDNESDAY), WEEKDAYS)
    assert (held.next_at, held.reason) == (TUESDAY, "")
    freed = take_back(replace(held, reason=AT_THE_TOP), Answer(TUESDAY + HOUR, "head", "taken_back"))
    assert (freed.next_at, freed.reason) == (TUESDAY + HOUR, "")
    assert first().reason == "", "below the top it has a next moment"
    with pytest.raises(Refused, match=r"^resolved$"):
        take_back(resolve(held, "answered", TUESDAY), Answer(TUESDAY + HOUR, "head", "taken_back"))


def test_what_was_due_when_the_database_was_lost_was_told_before() -> None:
    one, notices = climb(begun(), facts(told_until=TUESDAY), TUESDAY)
    assert ([passed.skipped for passed in one.climb.passed], notices) == ([("told_before",)] * 2, ())
    _, notices = climb(begun(), facts(told_until=TUESDAY - timedelta(microseconds=1)), TUESDAY)
    assert [notice.step for notice in notices] == ["overdue/rung-t+1d"], "control: it was due later"


ASKING = replace(
    HEADS, rungs=(HEADS.rungs[0], replace(HEADS.rungs[1], acknowledge=Span(1, "d")), replace(HEADS.rungs[2],
    at=Span(3, "d")), LadderRung("last", Span(7, "d"), "chair")),
)  # fmt: skip


def answered(by: str, at: datetime, until: datetime, kind: Any = "acknowledged") -> Answer:
    return Answer(at, by, kind, until)


@pytest.mark.parametrize(
    ("answers", "next_at"),
    [
        ((), WEDNESDAY),
        ((answered("above", TUESDAY, TUESDAY + HOUR),), THURSDAY),
        ((answered("above", TUESDAY + HOUR, TUESDAY + 2 * HOUR, "snoozed"),), WEDNESDAY),
        ((answered("head", TUESDAY - HOUR, TUESDAY),), WEDNESDAY),  # before the rung was told
    ],
)
def test_what_nobody_acknowledges_in_its_time_goes_on_sooner(answers: tuple[Answer, ...], next_at: datetime) -> None:
    one, _ = climb(begun(ASKING), facts(), DEADLINE)
    one, _ = climb(one, facts(), TUESDAY)
    one = replace(one, climb=replace(one.climb, answers=answers))
    assert climb(one, facts(), TUESDAY + HOUR)[0].next_at == next_at


def test_nobody_must_acknowledge_where_nobody_was_told_and_only_the_next_rung_comes_sooner() -> None:
    one, _ = climb(begun(ASKING), facts(people("above", "chair")), TUESDAY)
    assert one.next_at == THURSDAY
    one, _ = climb(begun(ASKING), facts(), DEADLINE)
    one, _ = climb(one, facts(), TUESDAY)
    one, notices = climb(one, facts(), THURSDAY)
    assert [notice.step for notice in notices] == ["overdue/rung-t+7d"]
    assert one.next_at == NEXT_WEDNESDAY, "the last rung waits for its own time"


def test_a_promise_that_has_run_out_holds_nothing_any_more() -> None:
    one, _ = climb(begun(), facts(), DEADLINE)
    held = replace(one, climb=replace(one.climb, held_until=THURSDAY))
    assert climb(held, facts(), WEDNESDAY)[0].climb.held_until == THURSDAY
    assert climb(held, facts(), THURSDAY)[0].climb.held_until is None


def test_a_rung_is_refused_only_where_everybody_told_at_it_was() -> None:
    one, _ = climb(begun(), facts(), DEADLINE)
    told = Told("second", "A", "overdue/rung-t")
    two = replace(one, climb=replace(one.climb, passed=(replace(one.climb.passed[0], told=(
        *one.climb.passed[0].told, told)),)))  # fmt: skip
    only_one = facts(failed={("overdue/rung-t", "head")})
    assert climb(two, only_one, DEADLINE + HOUR)[0].next_at == TUESDAY
    both = facts(failed={("overdue/rung-t", "head"), ("overdue/rung-t", "second")})
    assert letters(climb(two, both, DEADLINE + HOUR)[1]) != []


def test_a_letter_says_who_was_told_with_title_and_day_and_names_agencies_in_both_languages() -> None:
    one, _ = climb(begun(), facts(), DEADLINE)
    unknown = Told("gone", "A", "overdue/rung-t")
    one = replace(one, climb=replace(one.climb, passed=(*one.climb.passed, Passed("x", DEADLINE, (unknown,)))))
    (letter,) = letters(climb(replace(one, climb=replace(one.climb, position=1)), facts(people("above")), TUESDAY)[1])
    assert letter.facts.told_earlier == ("head, Chủ tịch xã (19/10/2026)",), "who is not known any more is left out"
    assert (letter.facts.passed_over, letter.facts.passed_over_en) == (("Huyện A1",), ("District A1",))
    (letter,) = letters(climb(begun(ladder(("T", "head"))), facts(people("head")), DEADLINE)[1])
    assert (letter.facts.passed_over, letter.facts.passed_over_en) == (("Xã A",), ("Commune A",))


def test_a_name_in_vietnamese_stands_where_an_agency_has_no_other() -> None:
    plain = dataclasses.replace(AGENCIES[0], name_en="")
    directory = people("head", agencies=(plain, *AGENCIES[1:]))
    (letter,) = letters(climb(begun(ladder(("T", "head"))), facts(directory), DEADLINE)[1])
    assert letter.facts.passed_over_en == ("Xã A",)


@pytest.mark.parametrize("urgent", [True, False])
def test_a_letter_is_as_urgent_as_its_rung(urgent: bool) -> None:
    rung = LadderRung("t", Span(0, "d"), "head", urgent=urgent)
    (letter,) = climb(begun(Ladder("x", 1, (rung,))), facts(), DEADLINE)[1]
    assert letter.urgent is urgent


def test_a_head_who_may_not_be_told_at_once_holds_no_rung() -> None:
    kind = replace(HEADS, grace_above=Span(1, "d"))
    (planned,) = letters(climb(begun(), facts(), DEADLINE)[1])
    assert start(OVERDUE, kind, DEADLINE, [planned], headless=True).climb.passed == ()
    (passed,) = start(OVERDUE, kind, DEADLINE, [planned]).climb.passed
    assert passed == Passed("t", DEADLINE, (Told("head", "A", "overdue/rung-t"),)), "control: the agency has a head"


OFFICERS_FIRST = replace(HEADS, rungs=(LadderRung("o", Span(0, "d"), "officer"), *HEADS.rungs))


def notice(kind: Any = "escalation", to: Officer | None = STAFF[1], at: datetime = DEADLINE) -> Notice:
    about = letter_facts(OVERDUE, AGENCIES[0], to)
    return Notice.about(OVERDUE, kind=kind, step="overdue", officer=to, facts=about, at=at)


def announced(
    given: Notice, climbed: Ladder = OFFICERS_FIRST, deadline: datetime | None = DEADLINE, **more: Any
) -> LetterFacts:
    calendar: WorkingCalendar | None = more.get("calendar", WEEKDAYS)
    (told,) = announce([given], climbed, replace(OVERDUE, deadline=deadline), calendar)
    assert replace(told, facts=given.facts, urgent=given.urgent) == given, "nothing else becomes another"
    return told.facts


def without_next(given: Notice) -> LetterFacts:
    return dataclasses.replace(given.facts, next_role="", next_at=None)


def test_a_letter_to_a_head_told_at_once_names_the_rung_after_the_heads() -> None:
    said = announced(notice())
    assert (said.next_role, said.next_at) == ("head_above", TUESDAY)
    late = announced(notice(at=THURSDAY))
    assert (late.next_role, late.next_at) == ("head_above", THURSDAY), "no moment that is past"
    hasty = replace(OFFICERS_FIRST, rungs=(
        OFFICERS_FIRST.rungs[0], replace(HEADS.rungs[0], acknowledge=Span(2, "h")), *HEADS.rungs[1:],
    ))  # fmt: skip
    assert announced(notice(), hasty).next_at == DEADLINE + 2 * HOUR
    unhurried = replace(hasty, rungs=(*hasty.rungs[:1], replace(HEADS.rungs[0], acknowledge=Span(9, "d")),
                                      *HEADS.rungs[1:]))  # fmt: skip
    assert announced(notice(), unhurried).next_at == TUESDAY
    days = replace(hasty, rungs=(*hasty.rungs[:1], replace(HEADS.rungs[0], acknowledge=Span(1, "d")),
                                 HEADS.rungs[2]), office_hour=TUESDAY.replace(hour=9).time())  # fmt: skip
    assert announced(notice(), days).next_at == TUESDAY.replace(hour=9)


@pytest.mark.parametrize(
    "given",
    [notice("overdue", STAFF[0]), notice(to=None)],
    ids=["to the officer", "to nobody"],
)
def test_other_notices_name_no_next_rung(given: Notice) -> None:
    assert announce([given, notice()], OFFICERS_FIRST, OVERDUE, WEEKDAYS)[0] == given


def test_without_calendar_or_deadline_or_anybody_above_a_letter_names_no_next_rung() -> None:
    given = notice()
    next_year = WorkingCalendar("s", 2026, 2026, days_off=(), made_up=())
    last_day = datetime(2026, 12, 31, 17, tzinfo=LOCAL_ZONE)
    assert announced(given, calendar=None) == given.facts
    assert announced(given, deadline=last_day, calendar=next_year) == given.facts
    assert announced(given, deadline=None) == given.facts
    assert announced(given, ladder(("T", "head"))) == given.facts == without_next(given)


@pytest.mark.parametrize("calendar", [WEEKDAYS, None])
def test_a_letter_to_a_head_told_at_once_is_as_urgent_as_the_heads_rung(calendar: WorkingCalendar | None) -> None:
    urgent = replace(OFFICERS_FIRST, rungs=(
        OFFICERS_FIRST.rungs[0], replace(HEADS.rungs[0], urgent=True), *HEADS.rungs[1:],
    ))  # fmt: skip
    for climbed, expected in ((urgent, True), (OFFICERS_FIRST, False)):
        told = announce([notice("overdue", STAFF[0]), notice()], climbed, OVERDUE, calendar)
        assert [planned.urgent for planned in told] == [False, expected]


def handing(by: str = "head", to: str = "second", reason: str = "Đi công tác", at: datetime = TUESDAY) -> HandedOn:
    return HandedOn(at, by, "t", Told(to, "A", "overdue/rung-t/handed-1"), reason)


SECOND = person("second", "A", "deputy", title="Phó Chủ tịch")


def handed(
    one: Escalation, given: HandedOn | None = None, to: Officer = SECOND, by: Officer | None = STAFF[1], **more: Any
) -> tuple[Escalation, Notice]:
    return hand_on(one, given or handing(), to, by, facts(**more))


def first() -> Escalation:
    return climb(begun(), facts(), DEADLINE)[0]


def test_a_matter_handed_on_is_told_at_the_same_rung_and_the_climb_goes_on() -> None:
    one = first()
    after, letter = handed(one)
    assert after == replace(one, climb=replace(one.climb, handed_on=(handing(),)))
    assert told_people(after) == {"head", "second"}
    assert (letter.kind, letter.step, letter.officer, letter.at) == (
        "escalation", "overdue/rung-t/handed-1", SECOND, TUESDAY,
    )  # fmt: skip
    said = letter.facts
    assert (said.recipient_name, said.recipient_title, said.officer_name) == ("second", "Phó Chủ tịch", "officer")
    assert (said.agency, said.agency_name, said.ladder_rung) == ("A", "Xã A", "t")
    assert (said.handed_on_by, said.handed_on_why) == ("head, Chủ tịch xã", "Đi công tác")
    assert (said.next_role, said.next_at) == ("head_above", TUESDAY)
    assert (letter.obligation, letter.agency, letter.regime, letter.period) == ("A/R/P", "A", "R", "P")


def test_who_hands_it_on_is_named_as_far_as_he_is_known() -> None:
    assert handed(first(), by=STAFF[2])[1].facts.handed_on_by == "above", "without a title"
    assert handed(first(), by=None)[1].facts.handed_on_by == "head"
    assert handed(first(), directory=people("officer"))[1].facts.officer_name == ""


def test_what_is_handed_on_late_or_at_the_top_or_without_a_calendar_names_no_moment_that_is_past() -> None:
    assert handed(first(), handing(at=WEDNESDAY))[1].facts.next_at == WEDNESDAY
    top, _ = climb(begun(ladder(("T", "head"))), facts(), DEADLINE)
    for _, letter in (handed(top), handed(first(), calendar=None)):
        assert (letter.facts.next_role, letter.facts.next_at) == ("", None)


@pytest.mark.parametrize(
    ("change", "given", "to", "why"),
    [
        (lambda one: resolve(one, "answered", TUESDAY), handing(), SECOND, "resolved"),
        (None, handing(by="chair"), SECOND, "not_told"),
        (None, handing(reason=" \n"), SECOND, "no_reason_to_hand_on"),
        (None, handing(), STAFF[1], "told_already"),
    ],
)
def test_a_handing_on_that_does_not_hold_is_refused(
    change: Callable[[Escalation], Escalation] | None, given: HandedOn, to: Officer, why: str
) -> None:
    with pytest.raises(Refused) as refused:
        handed(change(first()) if change else first(), given, to)
    assert refused.value.reason == str(refused.value) == why


def test_a_climb_is_handed_on_five_times_at_most() -> None:
    one, by = first(), "head"
    for count in range(MOST_HANDED_ON):
        to = person(f"second-{count}", "A", "deputy")
        one, _ = handed(one, handing(by, to.officer_id), to)
        by = to.officer_id
    assert MOST_HANDED_ON == 5
    with pytest.raises(Refused, match=r"^handed_on_too_often$"):
        handed(one, handing(by))


def test_the_rung_of_a_person_is_the_newest_at_which_he_was_told() -> None:
    one, _ = climb(first(), facts(), TUESDAY)
    assert (rung_of(one, "head"), rung_of(one, "above"), rung_of(one, "nobody")) == ("t", "t+1d", "t")
    to_heads_again = replace(one.climb.passed[1], told=(*one.climb.passed[1].told, Told("head", "A", "s")))
    again = replace(one, climb=replace(one.climb, passed=(one.climb.passed[0], to_heads_again)))
    assert rung_of(again, "head") == "t+1d"
    given = HandedOn(WEDNESDAY, "above", "t+1d", Told("second", "A", "s"), "Đi vắng")
    later = handed(one, given, SECOND, STAFF[2])[0]
    assert (rung_of(later, "second"), rung_of(later, "head")) == ("t+1d", "t")
