"""Who comes to be of another kind, or below others, by a load; nobody else."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from services.intake.registry.grouping import changes
from shared.contract.events import AgencyRegistered, AgencyRegrouped, RegistryEvent

AT = datetime(2026, 10, 1, 1, tzinfo=UTC)


def agency(code: str = "H99.31", **others: Any) -> AgencyRegistered:
    base = {"code": code, "name": "Xã", "kind": "commune", "parent": "H99.02", "opened_on": date(2020, 1, 1)}
    return AgencyRegistered.model_validate({**base, "version": 1, **others})


def said(after: RegistryEvent, *before: RegistryEvent) -> list[AgencyRegrouped]:
    return changes([after], {record.key: record for record in before}, AT, 9)


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        ({"kind": "ward"}, False),
        ({"parent": "H99.05"}, True),
        ({"parent": None}, True),
        ({"parents": [{"code": "H99.05", "since": "2027-01-01"}]}, True),
        ({"kind": "ward", "parent": "H99.05"}, True),
    ],
)
def test_a_change_of_group_is_told_with_its_hour(change: dict[str, Any], moved: bool) -> None:
    (told,) = said(agency(**change, version=2), agency())
    assert told == AgencyRegrouped(agency="H99.31", at=AT, moved_at=AT if moved else None, version=9)
    assert told.key == "regrouped/H99.31"


@pytest.mark.parametrize("change", [{"name": "Phường"}, {"closed_on": "2026-12-31"}, {}])
def test_control_another_change_is_none(change: dict[str, Any]) -> None:
    assert said(agency(**change, version=2), agency()) == []
    assert said(agency(**change)) == [], "nor is a new agency"


def test_they_come_in_order() -> None:
    before = {record.key: record for record in (agency("H99.32"), agency("H99.31"))}
    moved = [agency("H99.32", parent=None), agency("H99.31", kind="ward")]
    assert [told.agency for told in changes(moved, before, AT, 9)] == ["H99.31", "H99.32"]
