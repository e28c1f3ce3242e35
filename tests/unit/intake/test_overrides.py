"""Which deadline holds for an agency, in words, and why: as its pages show it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from services.intake.obligations.queries import _rule_of
from services.intake.registry.agency_codes import with_newer_codes
from services.intake.registry.planning import described
from services.intake.registry.records import Registry
from services.intake.registry.regimes import deadline_words, override_for
from shared.contract.events import ObligationChanged, RegimePublished
from tests.fakes.compliance import obligation_changed
from tests.integration.intake import rig

DAY = date(2026, 10, 14)
OVERRIDES = (
    {"agencies": [rig.COMMUNE], "extra_working_days": 3, "reason": "Xã đảo"},
    {"parents": ["H99"], "reason": "Tổng hợp", "deadline": {"rule": "day_of_month", "day": 25, "hour": 9}},
)


def registry() -> tuple[Registry, RegimePublished]:
    made = rig.regime("X", submitter_kinds=("commune", "department"))
    regime = RegimePublished.model_validate(
        made.model_dump() | {"deadline": {"rule": "day_of_month", "day": 18, "overrides": OVERRIDES}}
    )
    found = Registry()
    for record in (*rig.records(), regime):
        found.put(record)
    return found, regime


@pytest.mark.parametrize(
    ("code", "override", "words"),
    [
        (rig.COMMUNE, 1, "17:00 on the 18th of the period's last month"),
        (rig.DEPARTMENT, 2, "09:00 on the 25th of the period's last month"),
        ("H99", 0, "17:00 on the 18th of the period's last month"),
    ],
)
def test_the_words_say_the_deadline_that_holds(code: str, override: int, words: str) -> None:
    known, regime = registry()
    assert override_for(known.agencies[code], regime, known, DAY) == override
    vi, en = deadline_words(regime, override)
    assert en.startswith(words)
    assert en.endswith("; 3 more working days.") is (override == 1)
    assert vi.endswith("; thêm 3 ngày làm việc.") is (override == 1)


def test_an_obligation_says_by_which_rule_it_is_due_and_why() -> None:
    known, regime = registry()

    def told(code: str = "X", **said: Any) -> ObligationChanged:
        moment = datetime(2026, 10, 21, 17, tzinfo=UTC)
        version = regime.regime_version
        return obligation_changed(
            rig.COMMUNE, code, "2026-M10", version=1, deadline=moment, at=moment, regime_version=version, **said
        )

    own = _rule_of(told(), known)
    assert (own["deadline_override"], own["deadline_override_reason"]) == (None, None)
    assert own["deadline_rule_en"].startswith("17:00 on the 18th")
    islands = _rule_of(told(deadline_override=1), known)
    assert (islands["deadline_override"], islands["deadline_override_reason"]) == (1, "Xã đảo")
    unknown = _rule_of(told("Y"), known)
    assert set(unknown.values()) == {None}, "the record has not come yet"


def test_a_plan_says_who_has_another_deadline() -> None:
    _, regime = registry()
    said = "\n".join(described([regime], rig.records(), DAY))
    assert "another deadline for 1 agencies, 17:00 on the 18th" in said
    assert "3 more working days" in said
    assert "09:00 on the 25th" in said


def test_an_older_code_in_an_override_becomes_the_newer_one() -> None:
    overrides = [{"agencies": ["000.00.31.H99"]}, {"parents": ["000.00.02.H99"]}, {"kinds": ["commune"]}, "?"]
    renamed = with_newer_codes("regime", {"deadline": {"rule": "weekday", "overrides": overrides}})
    assert renamed["deadline"]["overrides"] == [
        {"agencies": ["H99.31"]}, {"parents": ["H99.02"]}, {"kinds": ["commune"]}, "?",
    ]  # fmt: skip
