"""What a proposal of a relief is known by, and which spans are refused before anything is stored."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta

import pytest

from services.scoring.reliefs.decisions import MAX_SPAN, Proposal, Refused, _faults_of_span, scope_of
from tests.unit.scoring.samples import local

GIVEN = Proposal(local(2026, 10, 19, 8), local(2026, 10, 20, 8), "Mất điện", "an", ("H99.1", "H99.2"), ("R",), ("o",))


def test_the_same_proposal_has_the_same_id_however_it_is_written() -> None:
    assert GIVEN.relief_id.startswith("GH-20261019-")
    same = replace(
        GIVEN, starts_at=GIVEN.starts_at.astimezone(UTC), agencies=("H99.2", "H99.1"), by="bình", evidence=({"a": 1},)
    )
    assert same.relief_id == GIVEN.relief_id


def test_every_part_that_says_what_is_proposed_makes_another_id() -> None:
    others = [
        replace(GIVEN, starts_at=GIVEN.starts_at + timedelta(seconds=1)),
        replace(GIVEN, ends_at=GIVEN.ends_at + timedelta(seconds=1)),
        replace(GIVEN, reason="Lũ"),
        replace(GIVEN, agencies=()),
        replace(GIVEN, regimes=()),
        replace(GIVEN, obligations=()),
    ]
    assert len({relief.relief_id for relief in (GIVEN, *others)}) == 7


def test_what_the_system_proposes_is_known_by_its_cause_and_its_span_whatever_it_says() -> None:
    by_itself = replace(GIVEN, cause="standstill")
    assert by_itself.relief_id.startswith("standstill-20261019-")
    assert replace(by_itself, reason="khác").relief_id == by_itself.relief_id


def test_the_day_of_an_id_is_that_of_vietnam() -> None:
    assert replace(GIVEN, starts_at=local(2026, 10, 20).astimezone(UTC)).relief_id.startswith("GH-20261020-")


@pytest.mark.parametrize(
    ("span", "fault"),
    [
        (timedelta(microseconds=1), None),
        (MAX_SPAN, None),
        (timedelta(), "--to: phải sau --from / must be after --from"),
        (timedelta(seconds=-1), "--to: phải sau --from / must be after --from"),
        (
            MAX_SPAN + timedelta(microseconds=1),
            "--from, --to: dài hơn 60 ngày, hãy chia ra / longer than 60 days: give parts",
        ),
    ],
)
def test_a_span_ends_after_it_begins_and_within_sixty_days(span: timedelta, fault: str | None) -> None:
    found = _faults_of_span(replace(GIVEN, ends_at=GIVEN.starts_at + span))
    assert found == ([] if fault is None else [fault])


def test_a_refusal_says_each_fault_on_its_own_line() -> None:
    assert str(Refused("một", "hai")) == "một\nhai"


def test_the_scope_of_a_relief_lists_agencies_then_regimes_then_obligations() -> None:
    assert scope_of({"agencies": ["a"], "regimes": ["r"], "obligations": ["o"]}) == ["a", "r", "o"]
    assert scope_of({"agencies": [], "regimes": [], "obligations": []}) == []
