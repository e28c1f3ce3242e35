"""Deadlines that hold for some of the submitters: each owes once, by the most specific one, and follows its changes."""

from __future__ import annotations

from datetime import date
from typing import Any

from services.scoring.obligations import generator
from shared.contract.events.registry import Deadline
from tests.integration.scoring.rig import Rig, agency, local, regime
from tests.unit.scoring.samples import submission

OCTOBER = "H99.31/KTXH-THANG/2026-M10"
ISLANDS = {"agencies": ["H99.31"], "extra_working_days": 3, "reason": "Xã đảo"}
OF_DEPARTMENT = {
    "parents": ["H99.02"], "reason": "Tổng hợp",
    "deadline": {"rule": "working_days_after_cutoff", "working_days": 1, "hour": 9},
}  # fmt: skip


def overriding(*overrides: dict[str, Any], **changes: Any) -> Any:
    return regime(deadline=Deadline(rule="day_of_month", day=18, overrides=overrides), **changes)


async def deadlines(rig: Rig, period: str = "2026-M10") -> dict[str, tuple[str, int]]:
    """Who owes the period: by when, and by which override."""
    found = {}
    for key in await rig.keys():
        made = await rig.obligation(key)
        if made.period == period and made.terms.owed:
            found[made.agency] = (f"{made.terms.deadline:%d/%m %H:%M}", made.terms.override)
    return found


async def province(rig: Rig, *overrides: dict[str, Any]) -> None:
    await rig.registry(
        overriding(*overrides), agency("H99.31", parent="H99.02"), agency("H99.32", parent="H99.02"), agency("H99.33")
    )
    await rig.generate()


async def test_each_owes_once_by_its_own_deadline(rig: Rig) -> None:
    await province(rig, ISLANDS, OF_DEPARTMENT)
    assert await deadlines(rig) == {
        "H99.31": ("22/10 17:00", 1), "H99.32": ("15/10 09:00", 2), "H99.33": ("19/10 17:00", 0),
    }  # fmt: skip
    assert len(await rig.keys()) == 9, "three periods of three agencies"
    opened = {event.agency: event for event in await rig.published("opened") if event.period == "2026-M10"}
    assert (opened["H99.31"].deadline_override, opened["H99.33"].deadline_override) == (1, None)
    assert opened["H99.31"].planned_deadline == local(2026, 10, 22, 17)
    assert await rig.generate() == 0, "and nothing is left to do"


async def test_each_is_reminded_and_overdue_by_its_own_deadline(rig: Rig) -> None:
    await province(rig, ISLANDS, OF_DEPARTMENT)
    await rig.at(local(2026, 10, 15, 9, 1))
    assert {event.agency for event in await rig.published("overdue")} == {"H99.32"}
    await rig.at(local(2026, 10, 19, 18))
    assert {event.agency for event in await rig.published("overdue")} == {"H99.32", "H99.33"}
    assert await rig.changes(OCTOBER) == [("opened",)], "on 20 October it will be reminded"
    await rig.at(local(2026, 10, 20, 8))
    assert await rig.changes(OCTOBER) == [("opened",), ("due_soon",)]


async def test_a_report_that_comes_first_has_the_deadline_of_its_agency(rig: Rig) -> None:
    await rig.registry(overriding(ISLANDS), agency("H99.31"))
    await rig.follow(submission(1, local(2026, 10, 15, 9)))
    assert await deadlines(rig) == {"H99.31": ("22/10 17:00", 1)}
    await rig.generate()
    assert await deadlines(rig) == {"H99.31": ("22/10 17:00", 1)}


async def test_a_version_in_its_place_moves_the_deadlines_of_its_groups_alone(rig: Rig) -> None:
    await province(rig)
    await rig.registry(overriding(ISLANDS, regime_version=2, replaces=1))
    await rig.generate()
    assert {code: due for code, (due, _) in (await deadlines(rig)).items()} == {
        "H99.31": "22/10 17:00", "H99.32": "19/10 17:00", "H99.33": "19/10 17:00",
    }  # fmt: skip


async def test_an_agency_that_moves_follows_the_deadline_of_its_new_group(rig: Rig) -> None:
    """A later one at once; an earlier one, with notice."""
    await province(rig, OF_DEPARTMENT)
    await rig.registry(agency("H99.32", version=2), agency("H99.33", parent="H99.02", version=2))
    await rig.generate()
    now = await deadlines(rig)
    assert (now["H99.32"], now["H99.33"]) == (("19/10 17:00", 0), ("15/10 09:00", 1))
    rig.clock.set(local(2026, 10, 15, 8))
    await rig.registry(agency("H99.32", parent="H99.02", version=3))
    await rig.generate()
    assert (await deadlines(rig))["H99.32"][0] == "19/10 17:00", "an hour is no notice"


async def test_what_a_closed_agency_handed_on_keeps_its_deadline(rig: Rig) -> None:
    await province(rig, ISLANDS)
    await rig.registry(
        agency("H99.31", parent="H99.02", closed_on=date(2026, 10, 10), successors=("H99.02",),
               open_obligations="transfer", version=2),
        agency("H99.02", kind="department"),
    )  # fmt: skip
    await rig.generate()
    await rig.registry(agency("H99.02", kind="department", name="Sở", version=2))
    await rig.generate()
    now = await deadlines(rig)
    assert now["H99.02"] == ("22/10 17:00", 1)
    assert "H99.31" not in now


async def test_the_control_without_the_groups_in_the_statement_somebody_owes_by_a_wrong_deadline(
    rig: Rig, monkeypatch: Any
) -> None:
    monkeypatch.setattr(generator, "override_of", lambda *_: 0)
    await province(rig, ISLANDS, OF_DEPARTMENT)
    assert set((await deadlines(rig)).values()) == {("19/10 17:00", 0)}
