"""Which reports a permission opens, and what the registry's gate asks of one: pure."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from services.intake.registry.planning import described
from services.intake.sharing.permissions import covers, in_force
from shared.contract.events import SharingGranted
from tests.integration.intake import rig
from tests.integration.intake.rig import COMMUNE, DEPARTMENT, NOW, OFFICE
from tests.unit.intake.test_registry_gate import messages

TODAY = NOW.date()
TREE = {"H99": None, DEPARTMENT: "H99", COMMUNE: DEPARTMENT, OFFICE: "H99"}


def sharing(sharing_id: str = "CS-1", **others: Any) -> SharingGranted:
    record = {"sharing_id": sharing_id, "reader": OFFICE, "regime": "KTXH", "since": TODAY, "version": 0}
    return SharingGranted.model_validate({**record, **others})


@pytest.mark.parametrize(
    ("record", "place", "what"),
    [
        (sharing(reader="H77"), "reader", "no reading agency"),
        (sharing(regime="NONE"), "regime", "no regime"),
        (sharing(below="H77"), "below", "no agency above them"),
        (sharing(agencies=(COMMUNE, "H77")), "agencies/1", "no agency"),
        (sharing(agencies=(COMMUNE, COMMUNE)), "agencies", "more than once"),
        (sharing(agencies=(COMMUNE,), below="H99"), "agencies", "Give one of"),
        (sharing(until=TODAY - timedelta(days=1)), "until", "before the first"),
        (sharing("CS/1"), "sharing_id", "not valid"),
    ],
)
def test_a_permission_that_does_not_fit_is_told_where_and_why(record: SharingGranted, place: str, what: str) -> None:
    told = messages(record)
    assert any(one.startswith(f"{place}:") and what in one for one in told), told


def test_the_controls_what_is_close_to_these_fits() -> None:
    for good in (sharing(), sharing(below="H99"), sharing(agencies=(COMMUNE, DEPARTMENT)), sharing(until=TODAY)):
        assert messages(good) == []


def test_the_plan_says_who_reads_what_of_whom_and_how_long() -> None:
    given = sharing(below="H99", since=date(2026, 1, 1), until=date(2026, 12, 31))
    words = "\n".join(described([given], rig.records(), TODAY))
    assert "H99.02 reads reports under KTXH of H99 and the agencies below it, from 01/01/2026 to 31/12/2026" in words


@pytest.mark.parametrize(
    ("given", "read_of"),
    [
        (sharing(), {"H99", DEPARTMENT, COMMUNE, OFFICE}),
        (sharing(agencies=(COMMUNE,)), {COMMUNE}),
        (sharing(below=DEPARTMENT), {DEPARTMENT, COMMUNE}),
        (sharing(below=COMMUNE), {COMMUNE}),
        (sharing(regime="TUAN"), set()),
    ],
)
def test_a_permission_opens_these_agencies_and_no_others(given: SharingGranted, read_of: set[str]) -> None:
    assert {agency for agency in TREE if covers([given], agency, "KTXH", TREE)} == read_of


def test_a_permission_is_in_force_from_its_first_day_to_its_last_for_its_reader_alone() -> None:
    given = sharing(since=TODAY, until=TODAY + timedelta(days=1))
    held = {shift: in_force([given], OFFICE, TODAY + timedelta(days=shift)) for shift in range(-1, 3)}
    assert {shift for shift, found in held.items() if found} == {0, 1}
    assert in_force([given], COMMUNE, TODAY) == []
