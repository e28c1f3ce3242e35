"""Who is told, and what happens where nobody is."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from services.notifier.planning.directory import Agency, Directory, NotYetRegistered, Officer
from shared.contract.events.fields import usable_address
from shared.contract.hierarchy import Parents, ParentSince

TODAY = date(2026, 10, 19)


def person(officer_id: str, agency: str, role: str = "reporting_officer", regimes: tuple[str, ...] = ()) -> Officer:
    return Officer(officer_id, agency, officer_id, "", f"{officer_id}@h99.example", role, regimes)


PROVINCE = Agency("H99", "Tỉnh")
DEPARTMENT = Agency("H99.1", "Sở", above=Parents("H99"))


def test_the_officer_named_for_the_regime_comes_first() -> None:
    everyone = Directory.of(
        [DEPARTMENT], [person("a", "H99.1"), person("b", "H99.1", regimes=("X",)), person("c", "H99.1", regimes=("R",))]
    )
    assert _id(everyone.responsible("H99.1", "R")) == "c"
    assert _id(everyone.responsible("H99.1", "X")) == "b"
    assert _id(everyone.responsible("H99.1", "Z")) == "a", "the officer for all regimes"
    behind = Directory.of([DEPARTMENT], [person("a", "H99.1", regimes=("X",)), person("b", "H99.1")])
    assert _id(behind.responsible("H99.1", "Z")) == "b", "also where another comes before in the list"


def test_any_active_reporting_officer_is_better_than_nobody() -> None:
    everyone = Directory.of([DEPARTMENT], [person("b", "H99.1", regimes=("X",)), person("h", "H99.1", "head")])
    assert _id(everyone.responsible("H99.1", "R")) == "b"


def test_inactive_people_and_unusable_addresses_are_passed_over_and_said_so() -> None:
    gone = replace(person("a", "H99.1"), active=False)
    assert Directory.of([DEPARTMENT], [gone]).why_no_officer("H99.1") == "no_reporting_officer"
    odd = replace(person("a", "H99.1"), email="a@h99.example\r\nBcc: all@h99.example")
    everyone = Directory.of([DEPARTMENT], [odd])
    assert everyone.responsible("H99.1", "R") is None
    assert everyone.why_no_officer("H99.1") == "unusable_address_of_reporting_officer"


def test_the_submitter_is_told_while_active_there_and_else_the_responsible_officer() -> None:
    staff = [person("a", "H99.1"), person("s", "H99.1")]
    assert _id(Directory.of([DEPARTMENT], staff).submitter("H99.1", "R", "s")) == "s"
    left = [staff[0], replace(staff[1], active=False)]
    assert _id(Directory.of([DEPARTMENT], left).submitter("H99.1", "R", "s")) == "a"
    moved = [staff[0], replace(staff[1], agency="H99")]
    assert _id(Directory.of([DEPARTMENT], moved).submitter("H99.1", "R", "s")) == "a"


def test_a_submitter_nobody_has_told_of_is_waited_for() -> None:
    with pytest.raises(NotYetRegistered) as raised:
        Directory.of([DEPARTMENT], []).submitter("H99.1", "R", "s")
    assert raised.value.registry_key == "officer/s"


def test_the_climb_ends_at_the_first_head_and_names_the_rungs_below() -> None:
    own = Directory.of([PROVINCE, DEPARTMENT], [person("d", "H99.1", "head"), person("p", "H99", "head")])
    assert [(rung.number, _id(rung.head)) for rung in own.climb("H99.1", TODAY)] == [(1, "d")]
    above = Directory.of([PROVINCE, DEPARTMENT], [person("p", "H99", "head")])
    assert [(rung.number, _id(rung.head), rung.reason) for rung in above.climb("H99.1", TODAY)] == [
        (1, None, "no_head"),
        (2, "p", ""),
    ]


def test_a_closed_agency_is_no_rung() -> None:
    district = Agency("H99.D", "Huyện", above=Parents("H99"), closed_on=date(2025, 6, 30))
    commune = Agency("H99.X", "Xã", above=Parents("H99.D"))
    everyone = Directory.of([PROVINCE, district, commune], [person("d", "H99.D", "head"), person("p", "H99", "head")])
    rungs = everyone.climb("H99.X", TODAY)
    assert [(rung.number, rung.reason) for rung in rungs] == [(1, "no_head"), (2, "agency_closed"), (3, "")]
    assert _id(rungs[-1].head) == "p"
    assert everyone.climb("H99.X", date(2025, 6, 30))[-1].agency == "H99.D", "it exists on its last day"


def test_the_climb_follows_the_parent_of_its_day() -> None:
    moves = Parents("H99.D", (ParentSince(date(2026, 10, 1), "H99.E"), ParentSince(date(2026, 12, 1), "H99")))
    commune = Agency("H99.X", "Xã", above=moves)
    districts = [Agency("H99.D", "Huyện", above=Parents("H99")), Agency("H99.E", "Huyện", above=Parents("H99"))]
    heads = [person("d", "H99.D", "head"), person("e", "H99.E", "head"), person("p", "H99", "head")]
    everyone = Directory.of([PROVINCE, commune, *districts], heads)
    days = {date(2026, 9, 30): "d", date(2026, 10, 1): "e", date(2026, 11, 30): "e", date(2026, 12, 1): "p"}
    assert {day: _id(everyone.climb("H99.X", day)[-1].head) for day in days} == days


def test_nobody_anywhere_leaves_only_reasons_and_a_circle_of_parents_ends() -> None:
    circle = [Agency("A01", "a", above=Parents("A02")), Agency("A02", "b", above=Parents("A01"))]
    rungs = Directory.of(circle, []).climb("A01", TODAY)
    assert [(rung.agency, rung.head) for rung in rungs] == [("A01", None), ("A02", None)]


def test_an_unknown_parent_is_waited_for_only_where_the_climb_needs_it() -> None:
    staffed = Directory.of([DEPARTMENT], [person("d", "H99.1", "head")])
    assert len(staffed.climb("H99.1", TODAY)) == 1
    with pytest.raises(NotYetRegistered) as raised:
        Directory.of([DEPARTMENT], []).climb("H99.1", TODAY)
    assert raised.value.registry_key == "agency/H99"


@pytest.mark.parametrize(
    ("address", "usable"),
    [
        ("a@h99.example", True),
        ("can.bo+bc@so-nnmt.h99.example", True),
        ("", False),
        ("a", False),
        ("a@", False),
        ("@h99.example", False),
        ("a@b@h99.example", False),
        ("a b@h99.example", False),
        ("cán.bộ@h99.example", False),
        ("a@h99.example\n", False),
        ("a@h99.example\r\nRCPT TO:<x@y>", False),
        ("<a@h99.example>", False),
        ("a" * 65 + "@h99.example", False),
        ("a@" + "h" * 260 + ".example", False),
    ],
)
def test_what_can_be_written_to(address: str, usable: bool) -> None:
    assert usable_address(address) is usable


def _id(officer: Officer | None) -> str | None:
    return officer.officer_id if officer else None
