"""What the registry's gate asks of a waiver: two people, a rule that can be waived, days to come. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.intake.registry.gate import admit
from services.intake.registry.planning import described
from shared.contract.events import PersonRegistered, RegistryEvent, WaiverGranted
from tests.integration.intake import rig
from tests.integration.intake.rig import COMMUNE, DEPARTMENT, NOW

TODAY = NOW.date()
TOMORROW = TODAY + timedelta(days=1)


def waiver(**others: Any) -> WaiverGranted:
    record = {
        "waiver_id": "MN-1", "regime": "KTXH", "rule": "K01", "agencies": (DEPARTMENT,), "asked_by": "cb-01",
        "approved_by": "vp-01", "reason": "Biểu mẫu chưa tách số liệu", "since": TOMORROW,
        "until": TOMORROW + timedelta(days=30), "version": 0,
    }  # fmt: skip
    return WaiverGranted.model_validate({**record, **others})


def person(person_id: str, role: str, agency: str, **office: Any) -> PersonRegistered:
    held = {"role": role, "agency": agency, "since": TODAY - timedelta(days=9), **office}
    record = {"person_id": person_id, "agency": agency, "name": "Trần Thị B", "offices": [held], "version": 1}
    return PersonRegistered.model_validate(record)


STORED = [
    *rig.records(),
    person("vp-01", "provincial_office", "H99"),
    person("duyet", "reviewer", "H99"),
    person("so", "administrator", DEPARTMENT),
    person("cu", "chair", "H99", until=TODAY - timedelta(days=1)),
    person("tuan", "chair", "H99", regimes=["TUAN"]),
]


def messages(record: WaiverGranted, *stored: RegistryEvent) -> list[str]:
    errors = admit(rig.proposed([record]), [*STORED, *stored], NOW).errors
    return [f"{error.place.split('/', 2)[-1]}: {error.message_en}" for error in errors]


@pytest.mark.parametrize(
    ("record", "place", "what"),
    [
        (waiver(regime="NONE"), "regime", "no regime"),
        (waiver(rule="V01"), "rule", "can be waived"),
        (waiver(rule="XX-01"), "rule", "can be waived"),
        (waiver(agencies=()), "agencies", "names its agencies"),
        (waiver(agencies=("H77",)), "agencies/0", "no agency"),
        (waiver(asked_by="ai"), "asked_by", "no person who asks"),
        (waiver(asked_by="cb-50"), "asked_by", "neither of the agency"),
        (waiver(approved_by="ai"), "approved_by", "no person who approves"),
        (waiver(approved_by="duyet"), "approved_by", "not of the provincial office"),
        (waiver(approved_by="cu"), "approved_by", "not of the provincial office"),
        (waiver(approved_by="tuan"), "approved_by", "not of the provincial office"),
        (waiver(agencies=(COMMUNE, DEPARTMENT), approved_by="so"), "approved_by", "not of the provincial office"),
        (waiver(asked_by="vp-01"), "approved_by", "does not approve"),
        (waiver(reason=""), "reason", "missing"),
        (waiver(since=TODAY), "since", "tomorrow at the earliest"),
        (waiver(until=TODAY), "until", "after the first"),
        (waiver(until=TOMORROW + timedelta(days=366)), "until", "within 366 days"),
    ],
)
def test_a_waiver_that_does_not_fit_is_told_where_and_why(record: WaiverGranted, place: str, what: str) -> None:
    told = messages(record)
    assert any(one.startswith(f"{place}:") and what in one for one in told), told


def test_the_controls_what_is_close_to_these_fits() -> None:
    for good in (
        waiver(),
        waiver(rule="N12"),
        waiver(approved_by="so"),
        waiver(agencies=(COMMUNE, DEPARTMENT), asked_by="duyet"),
        waiver(until=TOMORROW),
        waiver(until=TOMORROW + timedelta(days=365)),
    ):
        assert messages(good) == []


def test_of_a_waiver_in_the_registry_only_the_last_day_changes_and_only_to_an_earlier_one() -> None:
    before = waiver(since=TODAY - timedelta(days=9), until=TODAY + timedelta(days=9), version=1)
    assert messages(before.model_copy(update={"until": TODAY}), before) == []
    assert messages(before, before) == [], "a folder is loaded again"
    for change, what in (
        ({"until": TODAY - timedelta(days=1)}, "can only become earlier"),
        ({"until": TODAY + timedelta(days=10)}, "can only become earlier"),
        ({"agencies": (DEPARTMENT, COMMUNE)}, "only the last day can change"),
        ({"rule": "N12"}, "only the last day can change"),
    ):
        assert any(what in told for told in messages(before.model_copy(update=change), before)), change


def test_the_plan_says_which_rule_is_waived_for_how_many_and_how_long() -> None:
    words = "\n".join(described([waiver()], STORED, TODAY))
    assert "rule K01 of KTXH is waived for 1 agencies, reports received in 21/10/2026–20/11/2026" in words
