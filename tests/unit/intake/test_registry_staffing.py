"""Whether an agency has a reporting officer: told where it changes, and only there."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from services.intake.registry.staffing import changes, concerned, whole
from shared.contract.events import AgencyStaffing, RegistryEvent
from tests.integration.intake import rig
from tests.integration.intake.rig import COMMUNE, DEPARTMENT, OFFICE

HERE = rig.officer("cb-01", DEPARTMENT, version=1)
THERE = rig.officer("cb-01", COMMUNE, version=2)
HEAD = rig.officer("cb-01", DEPARTMENT, role="head", version=2)
AWAY = rig.officer("cb-01", DEPARTMENT, active=False, version=2)


def before(*records: RegistryEvent) -> dict[str, RegistryEvent]:
    return {record.key: record for record in records}


@pytest.mark.parametrize(
    ("changed", "was", "agencies"),
    [
        (rig.agency(OFFICE, version=1), (), {OFFICE}),
        (rig.agency(OFFICE, version=2), (rig.agency(OFFICE, version=1),), set()),
        (HERE, (), {DEPARTMENT}),
        (THERE, (HERE,), {DEPARTMENT, COMMUNE}),
        (HEAD, (HERE,), {DEPARTMENT}),
        (AWAY, (HERE,), {DEPARTMENT}),
        (HERE.model_copy(update={"email": "moi@example.vn", "version": 2}), (HERE,), set()),
        (rig.regime(), (), set()),
    ],
)
def test_what_may_change_the_staffing_of_which_agencies(
    changed: RegistryEvent, was: Sequence[RegistryEvent], agencies: set[str]
) -> None:
    assert concerned([changed], before(*was)) == agencies
    assert concerned([rig.regime(), changed], before(*was)) == agencies


def staffed(agency: str, designated: bool) -> AgencyStaffing:
    return AgencyStaffing(agency=agency, designated=designated, version=7)


@pytest.mark.parametrize(
    ("officers", "changed", "published"),
    [
        ((), (HERE,), [staffed(DEPARTMENT, True)]),
        ((HERE,), (AWAY,), [staffed(DEPARTMENT, False)]),
        ((HERE,), (HEAD,), [staffed(DEPARTMENT, False)]),  # the head alone is no reporting officer
        ((HERE,), (THERE,), [staffed(DEPARTMENT, False), staffed(COMMUNE, True)]),
        ((HERE, rig.officer("cb-02", DEPARTMENT)), (AWAY,), []),
        ((HERE, rig.officer("cb-50", COMMUNE)), (THERE,), [staffed(DEPARTMENT, False)]),
        # of a new agency that it has nobody, and not that it has somebody: that is what followers take for granted
        ((), (rig.agency(OFFICE, version=1),), [staffed(OFFICE, False)]),
        ((), (rig.agency(OFFICE, version=1), rig.officer("cb-o", OFFICE, version=1)), []),
        ((), (rig.agency(OFFICE, version=2),), []),
    ],
)
def test_what_has_become_another_is_published_with_the_revision(
    officers: Sequence[RegistryEvent], changed: Sequence[RegistryEvent], published: list[AgencyStaffing]
) -> None:
    assert changes(concerned(changed, before(*officers)), officers, changed, 7) == published


def test_the_whole_says_how_every_agency_stands_in_order() -> None:
    records: list[RegistryEvent] = [rig.agency(OFFICE), rig.agency(DEPARTMENT), HERE, rig.agency(COMMUNE, "commune")]
    assert whole(records, 7) == [staffed(DEPARTMENT, True), staffed(OFFICE, False), staffed(COMMUNE, False)]
