"""Who sees what: role × agency × regime, by the offices the registry gives on that day."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from services.board.viewing import (
    Person,
    View,
    answers,
    decides,
    decides_waiver,
    may_here,
    roles_on,
    roles_over,
    runs_the_system,
    supervises,
    view_of,
)
from shared.access import Office, Term, duty_of

TREE = {"H99": None, "H99.01": "H99", "H99.12": "H99", "H99.12.01": "H99.12", "H98": None}
ALL_OF_H99 = {"H99", "H99.01", "H99.12", "H99.12.01"}
TODAY, SINCE = date(2026, 10, 22), date(2026, 1, 1)


def person(*offices: Office) -> Person:
    return Person("p", "H99.12", "Lê Văn An", "", offices)


def office(role: str, agency: str = "H99", until: date | None = None, **others: object) -> Office:
    return Office(role, agency, Term(SINCE, until), **others)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("role", "agency", "seen"),
    [
        ("chair", "H99", ALL_OF_H99),
        ("provincial_office", "H99", ALL_OF_H99),
        ("reviewer", "H99.12", {"H99.12", "H99.12.01"}),
        ("administrator", "H99.12", {"H99.12", "H99.12.01"}),
        ("head", "H99.12", {"H99.12"}),
        ("reporting_officer", "H99.12", {"H99.12"}),
        ("operator", "H99", set()),  # runs the system; reads no agency's reports
        ("no such role", "H99", set()),
    ],
)
def test_a_role_sees_its_part_of_the_tree_and_no_more(role: str, agency: str, seen: set[str]) -> None:
    view = view_of(person(office(role, agency)), TREE, TODAY)
    assert view.agencies == seen
    assert {code for code in TREE if view.sees(code, "BC-THANG")} == seen


def test_an_office_that_has_ended_or_not_begun_shows_nothing() -> None:
    ended = view_of(person(office("chair", until=date(2026, 10, 21))), TREE, TODAY)
    early = view_of(person(office("chair")), TREE, date(2025, 12, 31))
    assert ended == early == View()
    assert view_of(person(office("chair", until=TODAY)), TREE, TODAY).agencies == ALL_OF_H99  # the control


def test_an_office_for_some_regimes_shows_these_alone() -> None:
    view = view_of(person(office("reporting_officer", "H99.12", regimes=("BC-QUY",))), TREE, TODAY)
    assert view.sees("H99.12", "BC-QUY")
    assert not view.sees("H99.12", "BC-THANG")
    assert view.pairs() == ([], ["H99.12"], ["BC-QUY"])


def test_an_agency_that_is_seen_whole_is_not_narrowed_by_another_office() -> None:
    both = person(office("head", "H99.12"), office("reviewer", "H99.12", regimes=("BC-QUY",)))
    view = view_of(both, TREE, TODAY)
    assert view.sees("H99.12", "BC-THANG")
    assert view.sees("H99.12.01", "BC-QUY")
    assert not view.sees("H99.12.01", "BC-THANG")


def test_a_deputy_sees_while_the_delegation_is_in_force() -> None:
    delegation = (Term(SINCE, date(2026, 6, 30)),)
    deputy = person(office("deputy", "H99.12", delegation=delegation))
    assert view_of(deputy, TREE, date(2026, 6, 30)).agencies == {"H99.12"}
    assert view_of(deputy, TREE, date(2026, 7, 1)) == View()


def test_an_officers_record_is_an_office_without_a_term() -> None:
    held = person(duty_of("head", "H99.12", ()), office("chair", until=date(2026, 2, 1)))
    assert roles_on(held, TODAY) == ("head",)
    assert view_of(held, TREE, TODAY).agencies == {"H99.12"}


@pytest.mark.parametrize(
    ("role", "expected"),
    [("head", True), ("deputy", True), ("reviewer", True), ("provincial_office", True), ("chair", True),
     ("reporting_officer", False), ("administrator", False), ("operator", False), ("no such role", False)],
)  # fmt: skip
def test_something_may_wait_for_who_signs_or_reviews(role: str, expected: bool) -> None:
    assert decides(person(office(role)), TODAY) is expected
    assert not decides(person(office(role, until=date(2026, 10, 21))), TODAY), "no more once the office has ended"


def test_roles_over_a_report_are_those_whose_office_reaches_it() -> None:
    both = person(office("head", "H99.12"), office("reviewer", "H99", regimes=("BC-QUY",)), office("administrator"))
    assert roles_over(both, "H99.12", "BC-THANG", TREE, TODAY) == {"head"}
    assert roles_over(both, "H99.12", "BC-QUY", TREE, TODAY) == {"head", "reviewer"}
    assert roles_over(both, "H99.12.01", "BC-THANG", TREE, TODAY) == set()


def test_somebody_may_here_what_an_office_reaches() -> None:
    reviewer = person(office("reviewer", "H99.12", regimes=("BC-QUY",)))
    assert may_here(reviewer, "review", "H99.12.01", "BC-QUY", TREE, TODAY)
    assert not may_here(reviewer, "review", "H99.12.01", "BC-THANG", TREE, TODAY)
    assert not may_here(reviewer, "review", "H98", "BC-QUY", TREE, TODAY)


def test_waivers_are_decided_by_those_who_may_for_every_agency_that_they_concern() -> None:
    chair, reviewer = person(office("chair", "H99.12")), person(office("reviewer", "H99"))
    assert decides_waiver(chair, ["H99.12", "H99.12.01"], "BC-QUY", TREE, TODAY)
    assert not decides_waiver(chair, ["H99.12", "H99.01"], "BC-QUY", TREE, TODAY)
    assert not decides_waiver(reviewer, ["H99.12"], "BC-QUY", TREE, TODAY), "a reviewer approves no waiver"


def test_an_escalation_is_answered_in_an_office_that_submits_or_reviews() -> None:
    over = office("head", "H99.12", until=TODAY - timedelta(days=1))
    assert answers(person(office("head", "H99.12")), TODAY)
    assert not answers(person(over), TODAY)
    assert not answers(person(office("administrator", "H99")), TODAY)


def test_two_offices_show_what_either_does() -> None:
    both = person(office("head", "H99.01"), office("head", "H98"), office("reporting_officer", "H99.12"))
    assert view_of(both, TREE, TODAY).agencies == {"H99.01", "H98", "H99.12"}


@pytest.mark.parametrize(
    ("role", "expected"),
    [("operator", True), ("administrator", True), ("chair", False), ("head", False), ("no such role", False)],
)
def test_who_operates_or_administers_sees_how_the_services_fare(role: str, expected: bool) -> None:
    assert runs_the_system(person(office(role)), TODAY) is expected
    assert not runs_the_system(person(office(role, until=date(2026, 10, 21))), TODAY)


@pytest.mark.parametrize(
    ("role", "expected"),
    [("chair", "H99"), ("provincial_office", "H99"), ("reviewer", "H99"), ("administrator", "H99"),
     ("head", None), ("reporting_officer", None), ("operator", None), ("no such role", None)],
)  # fmt: skip
def test_who_reads_what_others_owe_supervises_them(role: str, expected: str | None) -> None:
    assert supervises(person(office(role)), TODAY) == expected
    assert supervises(person(office(role, until=date(2026, 10, 21))), TODAY) is None
    # the first office that reaches below, whatever stands before it
    behind = person(office("head", "H99.12"), office("chair", "H98", until=date(2026, 10, 21)), office(role))
    assert supervises(behind, TODAY) == expected
