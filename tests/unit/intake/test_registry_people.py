"""People at the gate: one human being under one id, every office with a term, a deputy named by a head."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest

from services.intake.registry.gate import admit
from services.intake.registry.records import Registry
from shared.access import SCOPES, Office, Principal, Scope, may
from shared.contract.events import PersonRegistered, RegistryEvent
from tests.integration.intake import rig
from tests.integration.intake.rig import COMMUNE, DEPARTMENT, NOW, OFFICE, proposed

SINCE, UNTIL, TODAY = "2026-01-01", "2026-12-31", date(2026, 10, 20)


def person(*offices: dict[str, Any], **others: Any) -> PersonRegistered:
    record = {"person_id": "ng-01", "agency": DEPARTMENT, "name": "Trần Thị B", "offices": offices, "version": 0}
    return PersonRegistered.model_validate({**record, **others})


def holding(role: str, agency: str = DEPARTMENT, **others: Any) -> dict[str, Any]:
    return {"role": role, "agency": agency, "since": SINCE, **others}


def deputy(**others: Any) -> dict[str, Any]:
    return holding("deputy", **{"until": UNTIL, "delegated_by": "tt-01", "document": "01/UQ", **others})


HEAD = rig.officer("tt-01", DEPARTMENT, role="head")


def told(*records: RegistryEvent, stored: Sequence[RegistryEvent] = ()) -> list[tuple[str, str]]:
    errors = admit(proposed([*rig.records(), HEAD, *records]), stored, NOW).errors
    return [(error.place.split("/", 2)[-1], error.message_en) for error in errors]


def test_people_with_good_offices_are_admitted() -> None:
    contacts = ({"channel": "email", "address": "b@example.vn"}, {"channel": "phone", "address": "+84912345678"})
    assert (
        told(person(holding("chair", "H99"), deputy(), holding("reviewer", regimes=["KTXH"]), contacts=contacts)) == []
    )


@pytest.mark.parametrize(
    ("record", "place", "what"),
    [
        (person(agency="H99.404"), "agency", "no agency"),
        (person(holding("king")), "offices/0/role", "no role"),
        (person(holding("head", "H99.404")), "offices/0/agency", "no agency"),
        (person(holding("head", regimes=["KHONG-CO"])), "offices/0/regimes/0", "no regime"),
        (person(holding("head", until="2025-12-31")), "offices/0/until", "before the first"),
        (person(holding("head", delegated_by="tt-01")), "offices/0/delegated_by", "takes no delegation"),
        (person(deputy(delegated_by=None)), "offices/0/delegated_by", "not a head"),
        (person(deputy(delegated_by="cb-01")), "offices/0/delegated_by", "not a head"),
        (person(deputy(agency=COMMUNE)), "offices/0/delegated_by", "not a head"),
        (person(deputy(delegated_by="ng-01"), holding("head")), "offices/0/delegated_by", "not a head"),
        (person(deputy(until=None)), "offices/0/until", "in writing and for a term"),
        (person(deputy(document="")), "offices/0/document", "in writing and for a term"),
        (person(person_id="cb-01"), "name", "is the officer"),
        (person(person_id="cb-50", name="Nguyễn Văn A"), "agency", "is the officer"),
        (person(contacts=[{"channel": "fax", "address": "1"}]), "contacts/0/channel", "no channel"),
        (person(contacts=[{"channel": "email", "address": "b"}]), "contacts/0/address", "mail address"),
        (person(contacts=[{"channel": "phone", "address": "0912"}]), "contacts/0/address", "telephone"),
    ],
)
def test_a_person_that_does_not_fit_is_told_where_and_why(record: PersonRegistered, place: str, what: str) -> None:
    found = told(record)
    assert any(at == place and what in message for at, message in found), found


def test_an_officer_cannot_become_another_than_the_person_of_the_same_id() -> None:
    stored = person(person_id="cb-01", name="Nguyễn Văn A").model_copy(update={"version": 1})
    assert told(stored=[stored]) == []
    errors = admit(proposed([rig.officer("cb-01", DEPARTMENT, name="Lê Văn C")]), [*rig.records(), stored], NOW).errors
    assert [error.place.rpartition("/")[2] for error in errors] == ["name"]


def registry(*records: RegistryEvent) -> Registry:
    made = Registry()
    for record in (*rig.records(), *records):
        made.put(record)
    return made


def rights(offices: tuple[Office, ...], agency: str, *, on: date = TODAY, regime: str = "") -> set[Scope]:
    who = Principal("person", "ng-01", DEPARTMENT, frozenset(SCOPES), offices)
    tree = {DEPARTMENT: "H99", COMMUNE: "H99", OFFICE: "H99", "H99": None}
    return {scope for scope in SCOPES if may(who, scope, agency, tree, on, regime)}


def test_an_officers_record_gives_the_rights_of_reporting_officer_or_head_while_on_duty() -> None:
    known = registry(HEAD)
    for officer_id, agency in (("cb-01", DEPARTMENT), ("tt-01", DEPARTMENT), ("cb-50", COMMUNE)):
        assert rights(known.offices_of(officer_id), agency) == {"submit", "read"}
        assert rights(known.offices_of(officer_id), OFFICE) == set()
    assert known.offices_of("cb-02") == (), "not on duty"
    assert known.offices_of("nobody") == ()


def test_the_offices_of_person_and_officer_add_up() -> None:
    known = registry(person(holding("chair", "H99"), person_id="cb-01", name="Nguyễn Văn A"))
    assert rights(known.offices_of("cb-01"), DEPARTMENT) == {"submit", "read", "review"}
    assert rights(known.offices_of("cb-01"), COMMUNE) == {"read", "review"}


def test_a_deputy_acts_while_the_head_is_in_office() -> None:
    known = registry(HEAD, person(deputy()))
    assert rights(known.offices_of("ng-01"), DEPARTMENT) == {"submit", "read"}
    assert rights(known.offices_of("ng-01"), DEPARTMENT, on=date(2027, 1, 1)) == set()
    left = HEAD.model_copy(update={"active": False, "version": 2})
    known.put(left)
    assert rights(known.offices_of("ng-01"), DEPARTMENT) == set()


def test_a_newer_record_takes_the_place_of_a_persons_offices() -> None:
    known = registry(person(holding("chair", "H99"), version=2))
    known.put(person(holding("administrator", "H99"), version=1))
    assert rights(known.offices_of("ng-01"), COMMUNE) == {"read", "review"}
    known.put(person(version=3))
    assert known.offices_of("ng-01") == ()
