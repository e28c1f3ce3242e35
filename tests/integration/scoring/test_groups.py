"""Who leaves a group of submitters owes nothing more of it, who comes to one has notice, and what was due stays."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from services.scoring import registry
from services.scoring.obligations import generation_sweep
from shared.contract.events import AgencyRegrouped
from shared.contract.events.registry import LaterParent
from shared.postgres.database import Transaction
from tests.integration.scoring.rig import Rig, agency, local, regime
from tests.unit.scoring.samples import submission, verdict

BELOW: dict[str, Any] = {"submitter_kinds": (), "submitter_parents": ("H99.02",)}
OCTOBER, NOVEMBER = "H99.31/KTXH-THANG/2026-M10", "H99.31/KTXH-THANG/2026-M11"


async def owed(rig: Rig) -> dict[str, bool]:
    return {key: (await rig.obligation(key)).terms.owed for key in await rig.keys()}


async def province(rig: Rig, **changes: Any) -> None:
    await rig.registry(
        regime(**BELOW),
        agency("H99", kind="province"),
        agency("H99.02", kind="department", parent="H99"),
        agency("H99.05", kind="department", parent="H99"),
        agency("H99.21", kind="office", parent="H99.02"),
        agency("H99.31", parent="H99.21", **changes),
        agency("H99.32", parent="H99.05"),
    )
    await rig.generate()


async def test_a_parent_binds_everybody_below_it_at_any_depth_but_not_itself(rig: Rig) -> None:
    await province(rig)
    agencies = {key.split("/")[0] for key, is_owed in (await owed(rig)).items() if is_owed}
    assert agencies == {"H99.21", "H99.31"}


async def test_an_agency_whose_parents_come_later_than_it_owes_as_well(rig: Rig) -> None:
    await rig.registry(regime(**BELOW), agency("H99.31", parent="H99.21"), agency("H99.32", parent="H99.41"))
    await rig.generate()
    assert not await owed(rig)
    await rig.registry(agency("H99.21", kind="office", parent="H99.02"))
    await rig.generate()
    assert (await owed(rig))[OCTOBER]


async def test_a_move_that_is_known_ahead_counts_from_the_period_whose_figures_close_after_it(rig: Rig) -> None:
    """November's figures close on 14 November, the day of the move; October's closed before."""
    await province(rig)
    assert (await owed(rig))[NOVEMBER]
    await rig.registry(
        agency("H99.31", parent="H99.21", parents=(LaterParent(code="H99.05", since=date(2026, 11, 14)),), version=2)
    )
    await rig.generate()
    now = await owed(rig)
    assert (now[OCTOBER], now[NOVEMBER]) == (True, False)
    assert await rig.changes(NOVEMBER) == [("opened",), ("not_owed",)]


@pytest.mark.parametrize("change", [{"parent": "H99.05"}, {"parent": "H99.21", "kind": "office"}])
async def test_who_leaves_owes_nothing_that_is_not_due_yet_and_what_was_due_stays(
    rig: Rig, change: dict[str, Any]
) -> None:
    if change["parent"] == "H99.05":
        await province(rig)
    else:
        await by_kind(rig)
    rig.clock.set(local(2026, 10, 19, 18))
    await rig.mark()
    await rig.generate()
    await rig.registry(agency("H99.31", version=2, **change))
    await rig.generate()
    assert (await rig.obligation(OCTOBER)).state.overdue, "it was due before"
    assert not (await rig.obligation(NOVEMBER)).terms.owed
    assert await rig.generate() == 0, "and that is all"


async def by_kind(rig: Rig) -> None:
    await rig.registry(regime(), agency("H99.31", parent="H99.21"))
    await rig.generate()


async def test_the_whole_subtree_moves_with_its_head(rig: Rig) -> None:
    await province(rig)
    await rig.registry(agency("H99.21", kind="office", parent="H99.05", version=2))
    await rig.generate()
    assert set((await owed(rig)).values()) == {False}
    await rig.registry(agency("H99.21", kind="office", parent="H99.02", version=3))
    await rig.generate()
    assert (await owed(rig))[OCTOBER], "and comes back with it"


async def test_what_awaits_its_verdict_counts_if_it_is_accepted_and_is_not_owed_if_it_is_returned(rig: Rig) -> None:
    await province(rig)
    rig.clock.set(local(2026, 10, 16, 8))
    await rig.follow(submission(1, local(2026, 10, 15, 9)))
    await rig.registry(agency("H99.31", parent="H99.05", version=2))
    await rig.generate()
    assert (await owed(rig))[OCTOBER], "it was sent while it was owed"
    await rig.follow(verdict(1, "returned", local(2026, 10, 15, 9)))
    await rig.generate()
    assert not (await owed(rig))[OCTOBER], "nobody is to correct what is not owed"


async def test_what_is_returned_after_its_deadline_is_not_held_against_who_had_left_before(rig: Rig) -> None:
    await province(rig)
    rig.clock.set(local(2026, 10, 16, 8))
    await rig.follow(submission(1, local(2026, 10, 15, 9)))
    await rig.registry(agency("H99.31", parent="H99.05", version=2))
    await rig.at(local(2026, 10, 19, 18))
    await rig.follow(verdict(1, "returned", local(2026, 10, 15, 9)))
    await rig.at(local(2026, 10, 20, 8))
    october = await rig.obligation(OCTOBER)
    assert not october.terms.owed
    assert october.state.score is None


async def test_what_was_answered_keeps_its_points(rig: Rig) -> None:
    await province(rig)
    rig.clock.set(local(2026, 10, 16, 8))
    await rig.follow(submission(1, local(2026, 10, 15, 9)), verdict(1, "accepted", local(2026, 10, 15, 9)))
    await rig.registry(agency("H99.31", parent="H99.05", version=2))
    await rig.generate()
    october = await rig.obligation(OCTOBER)
    assert october.terms.owed
    assert october.state.score == 100


async def test_who_comes_late_has_notice(rig: Rig) -> None:
    await rig.registry(regime(), agency("H99.31", kind="office"), agency("H99.32"))
    await rig.generate()
    rig.clock.set(local(2026, 10, 19, 16))  # an hour before the deadline
    await rig.registry(agency("H99.31", version=2))
    await rig.generate()
    october, other = await rig.obligation(OCTOBER), await rig.obligation("H99.32/KTXH-THANG/2026-M10")
    assert other.terms.deadline == local(2026, 10, 19, 17)
    assert october.terms.deadline > local(2026, 10, 20, 15), "working days of notice"
    assert october.terms.regime_version == 1
    assert october.terms.calendar_version == other.terms.calendar_version
    later = october.terms.deadline
    await rig.registry(regime(version=2))
    await rig.generate()
    october = await rig.obligation(OCTOBER)
    assert october.terms.deadline == later, "and keeps it"


@pytest.mark.parametrize("control", [False, True])
async def test_what_was_due_before_it_came_is_never_opened(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, control: bool
) -> None:
    await rig.registry(regime(), agency("H99.31", kind="office"), agency("H99.32"))
    await rig.generate()
    rig.clock.set(local(2026, 10, 19, 18))
    if control:
        monkeypatch.setattr(registry, "save_agencies", _as_new)
    await rig.registry(agency("H99.31", version=2))
    await rig.generate()
    await rig.registry(regime(version=2))  # everybody is planned for again
    await rig.generate()
    assert (OCTOBER in await owed(rig)) is control
    assert (await owed(rig))[NOVEMBER]


@pytest.mark.parametrize("told", ["first", "last", "never"])
@pytest.mark.parametrize("whose", ["its own kind", "who stands above it", "who stands above those above it"])
async def test_a_copy_that_is_made_anew_opens_nothing_that_was_due_before_it_came(
    rig: Rig, told: str, whose: str
) -> None:
    """Of a lost database, only the newest record of each agency comes again."""
    await rig.registry(regime(), agency("H99.32"))
    await rig.generate()
    rig.clock.set(local(2026, 10, 19, 18))
    at = local(2026, 10, 19, 17, 30)
    regrouped = AgencyRegrouped(agency="H99.21" if "those" in whose else "H99.31", at=at, version=7,
                                moved_at=at if "above" in whose else None)  # fmt: skip
    if told == "first":
        await rig.registry(regrouped)
    await rig.registry(agency("H99.31", parent="H99.21", version=3))
    await rig.registry(agency("H99.21", kind="office", parent="H99.02", version=2))
    if told == "last":
        await rig.registry(regrouped)
    if told != "never":
        await rig.registry(regrouped.model_copy(update={"version": 6, "at": local(2026, 11, 30, 8)}))  # an older one
    await rig.registry(regime(version=2))  # everybody is planned for again
    await rig.generate()
    assert (OCTOBER in await owed(rig)) is (told == "never"), "control: without a word of it"
    assert {"H99.32/KTXH-THANG/2026-M10", NOVEMBER} <= (await owed(rig)).keys()


async def test_of_another_kind_above_those_below_hear_nothing(rig: Rig) -> None:
    await rig.registry(regime(), agency("H99.32"))
    await rig.generate()
    rig.clock.set(local(2026, 10, 19, 18))
    await rig.registry(AgencyRegrouped(agency="H99.21", at=local(2026, 10, 19, 17, 30), version=7))
    await rig.registry(agency("H99.21", kind="office"), agency("H99.31", parent="H99.21"), regime(version=2))
    await rig.generate()
    assert (await owed(rig))[OCTOBER]


async def _as_new(tx: Transaction, agencies: Any, _: Any) -> None:
    await registry.AGENCIES.save(tx, agencies)


async def test_the_control_without_the_question_whether_it_is_still_asked_who_leaves_goes_on_owing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation_sweep._Registry, "still_asks", lambda *_: True)
    await by_kind(rig)
    await rig.registry(agency("H99.31", kind="office", version=2))
    await rig.generate()
    assert (await owed(rig))[OCTOBER]


async def test_a_version_in_its_place_that_asks_others_withdraws_what_it_asks_no_more(rig: Rig) -> None:
    await province(rig)
    other: dict[str, Any] = {"submitter_kinds": (), "submitter_parents": ("H99.05",)}
    await rig.registry(regime(regime_version=2, replaces=1, **other))
    await rig.generate()
    now = {key.split("/")[0] for key, is_owed in (await owed(rig)).items() if is_owed}
    assert now == {"H99.32"}
