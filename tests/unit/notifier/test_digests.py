"""Digests: who gets which, about whose reports, and when their rounds begin."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from services.notifier.digests.domain import (
    Part,
    agencies_of,
    below,
    content_sha256,
    is_empty,
    reader,
    round_of,
    soon,
)
from services.notifier.mailing.data import shipped_rules
from services.notifier.mailing.domain import Day
from services.notifier.planning.directory import Officer, Person
from shared.access import Office
from shared.access.principals import Term
from shared.contract.hierarchy import Parents, ParentSince, Tree
from shared.contract.working_days import WorkingCalendar
from shared.runtime.clock import LOCAL_ZONE

RULES = shipped_rules().rules
#: Monday the 19th and Tuesday the 20th of October 2026 are days off
CALENDAR = WorkingCalendar("t", 2026, 2027, days_off=[date(2026, 10, 19), date(2026, 10, 20)], made_up=())
TODAY = date(2026, 10, 22)
OFFICER = Officer("cb", "H99.12", "Ánh", "Chuyên viên", "cb@h99.example", "reporting_officer", ("KTXH",))
HEAD = replace(OFFICER, officer_id="tt", role="head", regimes=())


def day(on: int, hour: int, minute: int = 0) -> Day:
    return Day(datetime(2026, 10, on, hour, minute, tzinfo=LOCAL_ZONE), CALENDAR)


def person(*roles: str, agency: str = "H99", **term: Any) -> Person:
    offices = tuple(Office(role, agency, Term(date(2025, 7, 1), **term)) for role in roles)
    return Person(replace(OFFICER, officer_id="vp", role="", regimes=()), offices)


@pytest.mark.parametrize(
    ("officer", "who", "chosen", "kinds"),
    [
        (OFFICER, None, None, None),  # hears of each matter as it comes
        (HEAD, None, None, None),
        (HEAD, person("head", agency="H99.12"), ("weekly",), {"weekly"}),
        (None, person("provincial_office"), None, {"daily", "weekly"}),
        (None, person("chair"), None, {"weekly"}),
        (None, person("administrator"), None, None),
        (None, person("administrator"), ("daily",), None),  # answers for no report
        (None, person("reviewer"), None, None),
        (None, person("reviewer"), ("daily",), {"daily"}),
        (OFFICER, person("reporting_officer"), ("daily", "weekly"), {"daily", "weekly"}),
        (HEAD, person("chair"), (), None),  # who wants none gets none
        (None, person("chair", until=date(2026, 10, 21)), None, None),  # the office has ended
        (replace(HEAD, active=False), None, None, None),
        (replace(HEAD, email="không@ổn"), None, None, None),
    ],
)
def test_who_gets_which_by_choice_or_else_by_office(
    officer: Officer | None, who: Person | None, chosen: tuple[str, ...] | None, kinds: set[str] | None
) -> None:
    found = reader(officer, who, chosen, TODAY)
    assert (None if found is None else set(found.kinds)) == kinds


def test_a_head_answers_for_all_below_and_an_officer_for_the_own_agency_and_regimes() -> None:
    tree = Tree(
        {
            "H99": Parents(None),
            "H99.12": Parents("H99"),
            "H99.12.01": Parents("H99.12"),
            "H99.13": Parents("H99.12", (ParentSince(TODAY, "H99"),)),  # moves away today
        }
    )
    under = below(tree, TODAY)
    head = reader(HEAD, None, ("weekly",), TODAY)
    assert head is not None
    assert agencies_of(head.parts, under) == {("H99.12", ""), ("H99.12.01", "")}
    yesterday = below(tree, TODAY - timedelta(days=1))
    assert ("H99.13", "") in agencies_of(head.parts, yesterday), "control: it did stand below"
    officer = reader(OFFICER, None, ("daily",), TODAY)
    assert officer is not None
    assert agencies_of(officer.parts, under) == {("H99.12", "KTXH")}
    assert agencies_of([Part("H99", True)], under) == {(code, "") for code in tree.parents}


def test_each_office_of_a_person_counts_for_its_agency_and_those_below_where_its_role_reaches() -> None:
    both = Person(
        replace(OFFICER, officer_id="vp", role="", regimes=()),
        (Office("reviewer", "H99.12", Term(TODAY), ("KTXH",)), Office("reporting_officer", "H99.13", Term(TODAY))),
    )
    found = reader(replace(OFFICER, active=False), both, ("daily",), TODAY)
    assert found is not None
    assert found.person is both.officer, "who can be written to"
    assert found.parts == (Part("H99.12", True, ("KTXH",)), Part("H99.13", False))
    assert agencies_of(found.parts, {"H99.12": ["H99.12.01"], "H99.13": ["H99.13.01"]}) == {
        ("H99.12", "KTXH"), ("H99.12.01", "KTXH"), ("H99.13", ""),
    }  # fmt: skip
    assert agencies_of([Part("H99.12", True)], {}) == {("H99.12", "")}, "nobody stands below"


def test_a_week_that_is_off_whole_has_no_round() -> None:
    off = WorkingCalendar("t", 2026, 2027, days_off=[date(2026, 10, on) for on in range(19, 26)], made_up=())
    assert round_of("weekly", RULES, Day(day(26, 9).now - timedelta(days=1), off)) is None
    assert round_of("weekly", RULES, Day(day(26, 9).now, off)) == date(2026, 10, 26)


def test_a_daily_round_begins_with_the_first_letters_of_a_working_day() -> None:
    assert round_of("daily", RULES, day(22, 8, 14)) is None
    assert round_of("daily", RULES, day(22, 8, 15)) == date(2026, 10, 22)
    assert round_of("daily", RULES, day(22, 23)) == date(2026, 10, 22), "a stopped morning is made good"
    assert round_of("daily", RULES, day(19, 9)) is None, "a day off"
    assert round_of("daily", RULES, day(24, 9)) is None, "a Saturday"


def test_a_weekly_round_begins_on_the_first_working_day_and_is_made_good_all_week() -> None:
    monday = date(2026, 10, 19)
    assert round_of("weekly", RULES, day(20, 9)) is None, "Monday and Tuesday are days off"
    assert round_of("weekly", RULES, day(21, 8, 14)) is None
    assert round_of("weekly", RULES, day(21, 8, 15)) == monday
    assert round_of("weekly", RULES, day(25, 23)) == monday
    assert round_of("weekly", RULES, day(26, 8, 15)) == date(2026, 10, 26)


def test_near_is_counted_in_working_days() -> None:
    assert soon("daily", day(16, 9)) == datetime(2026, 10, 24, tzinfo=LOCAL_ZONE), "from Friday: 21, 22, 23"
    assert soon("daily", Day(day(16, 9).now, None)) == datetime(2026, 10, 22, tzinfo=LOCAL_ZONE), "no calendar"


def test_a_digest_without_a_line_is_no_letter() -> None:
    nothing: dict[str, list[Any]] = {"overdue": [], "due": [], "scores": [], "receipts": []}
    assert is_empty(nothing)
    assert not is_empty({**nothing, "receipts": [{}]})


def test_the_contents_hash_moves_with_every_word_and_not_with_itself() -> None:
    facts = {"recipient_name": "Ánh", "digest": {"kind": "daily", "overdue": [{"agency": "Sở"}], "sha256": ""}}
    right = content_sha256(facts)
    assert right == content_sha256(dict(reversed(facts.items()))), "whatever the order in which it is read"
    assert right == content_sha256({**facts, "matters": [{"id": 1}]}), "lines that a letter takes in are told there"
    plain = '{"digest":{"kind":"daily","overdue":[{"agency":"Sở"}]},"recipient_name":"Ánh"}'
    assert right == hashlib.sha256(plain.encode()).hexdigest(), "what is in the ledger stays right"
    assert content_sha256({**facts, "digest": {**facts["digest"], "sha256": right}}) == right  # type: ignore[dict-item]
    assert content_sha256({**facts, "recipient_name": "An"}) != right
    assert content_sha256({**facts, "digest": {**facts["digest"], "kind": "weekly"}}) != right  # type: ignore[dict-item]
