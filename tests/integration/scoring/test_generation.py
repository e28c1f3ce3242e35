"""Obligations generated ahead from regimes, agencies and periods: each once, none missing, changes followed."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from services.scoring.obligations import generation_sweep
from services.scoring.obligations import generator as openings
from services.scoring.obligations.deadlines import Agencies
from services.scoring.registry import Everybody
from shared.contract.events.registry import Cutoff, Deadline
from shared.contract.hierarchy import Tree
from tests.integration.scoring.rig import KEY, Rig, agency, key_of, local, regime, request
from tests.unit.scoring.samples import DEADLINE, submission, verdict

ADHOC: dict[str, Any] = {"frequency": "adhoc", "deadline": Deadline(rule="on_request"), "remind_working_days": 1}


async def test_what_opens_within_the_horizon_is_generated_for_every_agency_that_owes_it(rig: Rig) -> None:
    await rig.registry(regime(), agency(), agency("H99.32", kind="ward"), agency("H99.02", kind="department"))
    await rig.generate()
    # on 1/10 with 45 days ahead: M10 (15/9–14/10) and M11 (15/10–14/11) and M12, which opens on 15/11
    assert await rig.keys() == [key_of("H99.31", f"2026-M{month}") for month in (10, 11, 12)]
    row = await rig.one()
    assert (row["deadline"], row["remind_at"]) == (DEADLINE, local(2026, 10, 15, 8))
    assert (row["opens_at"], row["calendar_version"]) == (local(2026, 9, 15), "VN-2026.2")
    opened = await rig.published("opened")
    assert (opened[0].period, opened[0].version, opened[0].opens_at) == ("2026-M10", 1, local(2026, 9, 15))
    assert len(opened) == 3


async def test_generating_again_changes_and_tells_nothing(rig: Rig) -> None:
    await rig.registry(regime(), agency())
    await rig.generate()
    before = await rig.rows("SELECT * FROM obligations ORDER BY 1"), await rig.published()
    async with rig.database.transaction() as tx:
        await tx.execute(text("DELETE FROM plans"))
        await tx.execute(text("UPDATE agencies SET planned = false"))
    assert await rig.generate() > 0
    assert (await rig.rows("SELECT * FROM obligations ORDER BY 1"), await rig.published()) == before


@pytest.mark.parametrize(("statement", "by_key"), [("_UNLIKE_OF_AGENCIES", True), ("_UNLIKE", False)])
async def test_a_few_agencies_are_looked_up_by_key_not_among_all_that_owe_the_report(
    rig: Rig, statement: str, by_key: bool
) -> None:
    given = openings._parameters([], Agencies({}, Tree({})), None if statement == "_UNLIKE" else ["H99.31"])
    async with rig.database.transaction() as tx:
        await tx.execute(text("SET LOCAL enable_seqscan = off"))
        explained = text(f"EXPLAIN {getattr(openings, statement)}")
        plan = "\n".join((await tx.execute(explained, given | {"after": "", "limit": 10})).scalars())
    assert ("(obligation = ((" in plan) is by_key, plan


async def test_all_agencies_are_read_again_only_when_one_of_them_is_another(rig: Rig) -> None:
    """A nation is gone through a hundred agencies at a time: reading all for each would grow with the square."""
    everybody = Everybody()

    async def read() -> Agencies:
        async with rig.database.read_transaction() as snapshot:
            return await everybody.read(snapshot)

    async def regroup() -> None:
        async with rig.database.transaction() as tx:
            await tx.execute(text("UPDATE agencies SET regrouped_at = now() WHERE code = 'H99.33'"))

    await rig.registry(agency("H99.31"), agency("H99.32"))
    first = await read()
    assert (list(first.by_code), await read() is first) == (["H99.31", "H99.32"], True)
    for change in (
        rig.registry(agency("H99.32", parent="H99.31", version=2)),
        rig.registry(agency("H99.33")),
        regroup(),
    ):
        before = await read()
        await change
        assert await read() is not before


async def opened_by_ticks(rig: Rig, a_tick: int) -> list[int]:
    """How many obligations each tick opened that opened any: of 25 agencies that are there, then of one regime."""
    await rig.registry(*(agency(f"H99.{number}") for number in range(100, 125)))
    await rig.generate()
    await rig.registry(regime())
    rig.generator._opened_a_tick = a_tick
    opened = []
    for _ in range(40):
        before = len(await rig.keys())
        async with rig.database.transaction() as tx:
            rows = await rig.generator.tick(tx)
        opened.append(len(await rig.keys()) - before)
        if not rows:
            break
    return [obligation for obligation in opened if obligation]


async def test_a_period_of_many_agencies_is_opened_by_several_ticks_each_bounded(rig: Rig) -> None:
    assert await opened_by_ticks(rig, 10) == [10] * 7 + [5]
    keys = await rig.keys()
    assert len(keys) == len(set(keys)) == 75
    assert sorted(event.obligation for event in await rig.published("opened")) == keys
    assert await rig.generate() == 0


async def test_the_control_without_the_bound_one_transaction_opens_all(rig: Rig) -> None:
    assert await opened_by_ticks(rig, 10_000) == [75]


async def test_agencies_that_come_are_planned_once_all_their_obligations_are_open(rig: Rig) -> None:
    await rig.registry(regime(), *(agency(f"H99.{number}") for number in range(100, 125)))
    rig.generator._opened_a_tick = 10
    async with rig.database.transaction() as tx:
        await rig.generator.tick(tx)
    assert len(await rig.keys()) == 10
    assert await rig.rows("SELECT 1 FROM agencies WHERE planned") == []
    await rig.generate()
    assert len(await rig.keys()) == 75
    assert await rig.rows("SELECT 1 FROM agencies WHERE NOT planned") == []


async def test_two_generators_at_once_make_each_obligation_once(rig: Rig) -> None:
    await rig.registry(regime(), *(agency(f"H99.{number}") for number in range(100, 130)))

    async def generator() -> None:
        for _ in range(12):
            async with rig.database.transaction() as tx:
                await rig.generator.tick(tx)

    await asyncio.gather(generator(), generator())
    assert len(await rig.keys()) == 90
    assert len(await rig.published("opened")) == 90


async def test_a_district_closed_on_30_june_2025_owes_nothing_after(rig: Rig) -> None:
    rig.clock.set(local(2025, 5, 20))
    await rig.registry(
        regime(submitter_kinds=("commune", "district")),
        agency(
            "H99.20", kind="district", opened_on=date(2000, 1, 1), closed_on=date(2025, 6, 30), successors=("H99.31",)
        ),
        agency("H99.31"),
    )
    await rig.generate()
    await rig.at(local(2026, 1, 1))
    assert await rig.periods("H99.20") == ["2025-M06"]
    assert (await rig.periods("H99.31"))[0] == "2025-M07"
    late = await rig.rows("SELECT 1 FROM obligations WHERE agency = 'H99.20' AND deadline > '2025-07-01'")
    assert late == []


async def test_an_agency_that_arrives_later_gets_its_obligations(rig: Rig) -> None:
    await rig.registry(regime(), agency())
    await rig.generate()
    await rig.registry(agency("H99.40"))
    await rig.generate()
    assert await rig.periods("H99.40") == ["2026-M10", "2026-M11", "2026-M12"]
    assert len(await rig.published("opened")) == 6


async def test_an_agency_whose_closing_becomes_known_stops_owing_and_is_never_overdue(rig: Rig) -> None:
    await rig.registry(regime(), agency())
    await rig.generate()
    await rig.follow(verdict(outcome="returned", key=key_of("H99.31", "2026-M11"), received_at=local(2026, 10, 3)))
    await rig.registry(agency(closed_on=date(2026, 10, 31), version=2))
    await rig.generate()
    assert await rig.periods() == ["2026-M10"]
    returned = await rig.one(key_of("H99.31", "2026-M11"))
    assert (returned["owed"], returned["score"]) == (False, None)
    assert (await rig.changes(key_of("H99.31", "2026-M11")))[-1] == ("not_owed",)
    await rig.at(local(2027, 1, 10))
    assert {event.period for event in await rig.published("overdue")} == {"2026-M10"}
    await rig.check_scores()


async def test_an_older_record_never_overwrites_a_newer_one(rig: Rig) -> None:
    await rig.registry(agency(version=3, name="mới"), agency(version=2, name="cũ"), regime())
    await rig.registry(agency(version=1, name="cũ hơn", closed_on=date(2026, 9, 1)))
    await rig.generate()
    assert (await rig.rows("SELECT name, version FROM agencies")) == [{"name": "mới", "version": 3}]
    assert await rig.periods() == ["2026-M10", "2026-M11", "2026-M12"]


async def test_without_the_version_guard_an_older_record_would_close_the_agency(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.scoring import registry

    unguarded = text(str(registry.AGENCIES.returning).replace("WHERE (kept.version) < (excluded.version)", ""))
    monkeypatch.setattr(registry.AGENCIES, "returning", unguarded)
    await rig.registry(agency(version=3, name="mới"))
    await rig.registry(agency(version=1, name="cũ"))
    assert (await rig.rows("SELECT name FROM agencies")) == [{"name": "cũ"}]


async def test_obligations_of_a_new_regime_version_follow_it_where_nothing_has_happened_yet(rig: Rig) -> None:
    await rig.registry(regime(), agency())
    await rig.generate()
    await rig.follow(submission(key=key_of("H99.31", "2026-M12"), received_at=local(2026, 10, 2)))
    await rig.registry(
        regime(regime_version=2, effective_from=date(2026, 11, 1), deadline=Deadline(rule="day_of_month", day=25))
    )
    await rig.generate()
    rows = {
        key.rsplit("/", 1)[1]: (row["regime_version"], row["deadline"])
        for key in await rig.keys()
        for row in (await rig.one(key),)
    }
    assert rows["2026-M10"] == (1, DEADLINE)
    assert rows["2026-M11"] == (2, local(2026, 11, 25, 17))
    assert rows["2026-M12"] == (2, local(2026, 12, 25, 17))  # a later deadline always counts
    again = await rig.published(key=key_of("H99.31", "2026-M11"))
    assert [(event.version, event.regime_version, event.changes) for event in again] == [
        (1, 1, ("opened",)), (2, 2, ("terms_changed",)),
    ]  # fmt: skip


async def test_periods_of_a_superseded_frequency_are_not_owed_any_more(rig: Rig) -> None:
    await rig.registry(regime(), agency())
    await rig.generate()
    await rig.registry(regime(regime_version=2, frequency="quarterly", effective_from=date(2026, 11, 1)))
    await rig.generate()
    assert await rig.periods() == ["2026-M10", "2026-Q4"]
    await rig.at(local(2027, 1, 5))
    assert {event.period for event in await rig.published("overdue")} == {"2026-M10", "2026-Q4"}


async def test_a_request_is_owed_by_the_agencies_it_names_or_by_all_submitters(rig: Rig) -> None:
    await rig.registry(
        regime("THIENTAI-DX", **ADHOC),
        agency("H99.31"),
        agency("H99.32"),
        request("DX-2026-003"),
        request("DX-2026-004", agencies=("H99.32",)),
    )
    await rig.generate()
    assert await rig.keys() == [
        "H99.31/THIENTAI-DX/DX-2026-003",
        "H99.32/THIENTAI-DX/DX-2026-003",
        "H99.32/THIENTAI-DX/DX-2026-004",
    ]
    row = await rig.one("H99.31/THIENTAI-DX/DX-2026-003")
    assert (row["opens_at"], row["deadline"]) == (local(2026, 10, 5, 8), local(2026, 10, 9, 17))
    assert row["remind_at"] == local(2026, 10, 8, 8)


async def test_a_request_prolonged_before_anybody_acted_moves_its_deadline(rig: Rig) -> None:
    await rig.registry(regime("THIENTAI-DX", **ADHOC), agency(), request())
    await rig.generate()
    await rig.registry(request(deadline=local(2026, 10, 12, 17), version=2))
    await rig.generate()
    assert (await rig.one("H99.31/THIENTAI-DX/DX-2026-003"))["deadline"] == local(2026, 10, 12, 17)


async def test_weeks_and_years_are_generated_over_the_edge_of_the_year(rig: Rig) -> None:
    rig.clock.set(local(2026, 12, 20))
    await rig.registry(
        agency(),
        regime("TUAN", frequency="weekly", cutoff=Cutoff(weekday=4), deadline=Deadline(rule="weekday", weekday=5)),
        regime("NAM", frequency="yearly", deadline=Deadline(rule="day_of_month", day=15, month_offset=1)),
    )
    await rig.generate()
    periods = await rig.periods()
    assert [period for period in periods if "-W" in period] == [
        "2026-W52", "2026-W53", *(f"2027-W{week:02d}" for week in range(1, 6)),
    ]  # fmt: skip
    assert [period for period in periods if "-W" not in period] == ["2026", "2027"]


async def test_what_was_owed_before_the_first_start_is_left_alone(rig: Rig) -> None:
    await rig.registry(regime(), agency())
    rig.clock.set(local(2026, 11, 1))
    await rig.generate()
    assert (await rig.periods())[0] == "2026-M11"


async def test_hours_of_standstill_are_made_good(rig: Rig) -> None:
    await rig.registry(regime(), agency())
    await rig.generate()
    await rig.at(local(2027, 4, 1))  # nothing ran for half a year
    assert await rig.periods() == [
        "2026-M10", "2026-M11", "2026-M12", *(f"2027-M{month:02d}" for month in range(1, 7)),
    ]  # fmt: skip
    overdue = [event.period for event in await rig.published("overdue")]
    assert overdue == ["2026-M10", "2026-M11", "2026-M12", "2027-M01", "2027-M02", "2027-M03"]
    assert await rig.published("due_soon") == []  # too late to remind of anything


async def test_forgetting_how_far_it_got_would_leave_a_gap(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await rig.registry(regime(), agency())
    await rig.generate()

    async def forgetful(tx: Any, now: Any, rules: str) -> openings.Progress:
        return openings.Progress(local(2026, 10, 1), now, None)

    monkeypatch.setattr(openings, "progress", forgetful)
    await rig.at(local(2027, 4, 1))
    assert "2027-M01" not in await rig.periods()


async def test_a_registry_that_arrives_days_late_still_gives_what_was_due_meanwhile(rig: Rig) -> None:
    await rig.generate()
    rig.clock.set(DEADLINE + timedelta(days=5))
    await rig.registry(regime(), agency())
    await rig.generate()
    assert KEY in await rig.keys()
    rig.clock.set(DEADLINE + timedelta(days=20))
    await rig.registry(agency("H99.40"))  # registered three weeks after: it is not overdue at once for the past
    await rig.generate()
    assert (await rig.periods("H99.40"))[0] == "2026-M11"


async def test_an_unforeseen_request_id_or_regime_without_deadline_stops_nothing(rig: Rig) -> None:
    await rig.registry(
        agency(), regime(), regime("HONG", deadline=Deadline(rule="on_request")), request("2026-M10"),
        request("DX-2026-009", regime="KHONG-CO"), request("DX-2026-008", regime="KTXH-THANG"),
    )  # fmt: skip
    await rig.generate()
    assert {key.split("/")[1] for key in await rig.keys()} == {"KTXH-THANG"}


# --- in place of a lost database ----------------------------------------------------------------------------------


async def test_a_rebuilt_database_generates_since_the_lost_one_began_and_counts_on_from_it(rig: Rig) -> None:
    async with rig.database.transaction() as tx:
        assert await openings.rebuild(tx, local(2026, 8, 18, 17), 1042)
    await rig.registry(regime(), agency())
    await rig.generate()
    assert await rig.periods() == [f"2026-M{month:02}" for month in (8, 9, 10, 11, 12)]
    assert {event.version for event in await rig.published("opened")} == {1042}
    await rig.follow(submission(period="2026-M07", obligation=key_of("H99.31", "2026-M07")))
    assert (await rig.one(key_of("H99.31", "2026-M07")))["version"] >= 1042, "those that a report asks for, too"
    async with rig.database.transaction() as tx:
        assert not await openings.rebuild(tx, local(2026, 1, 1), 5000), "only an empty database"


async def test_without_that_it_would_begin_today_and_be_ignored_by_who_knows_newer_versions(rig: Rig) -> None:
    await rig.registry(regime(), agency())
    await rig.generate()
    assert "2026-M08" not in await rig.periods()
    assert {event.version for event in await rig.published("opened")} == {1}


@pytest.mark.parametrize("noticed", [True, False])
async def test_who_was_told_that_nothing_is_owed_has_notice_when_it_is_owed_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, noticed: bool
) -> None:
    """A version leaves the agency out by mistake and is mended after the deadline. The control: overdue at once."""
    if not noticed:
        monkeypatch.setattr(generation_sweep, "_told_late", lambda *_: None)
    await rig.registry(regime(), agency(), agency("H99.32"))
    await rig.generate()
    rig.clock.set(local(2026, 10, 12, 8))
    slip: dict[str, Any] = {"submitters_except": ("H99.31",), "replaces": 1, "replaces_reason": "Sửa tên"}
    await rig.registry(regime(regime_version=2, **slip))
    await rig.generate()
    assert (await rig.obligation()).terms.owed is False
    await rig.at(DEADLINE + timedelta(hours=15))
    await rig.registry(regime(regime_version=3, replaces=2, replaces_reason="Sai cơ quan"))
    await rig.generate()
    await rig.generate()
    known = DEADLINE + timedelta(hours=15)  # Tuesday, 8:00
    due = local(2026, 10, 23, known.hour, known.minute) if noticed else DEADLINE
    assert (await rig.obligation()).terms.deadline == due
    await rig.at(known + timedelta(hours=1))
    assert (await rig.one())["overdue"] is not noticed
    assert (await rig.one(key_of("H99.32", "2026-M10")))["deadline"] == DEADLINE, "the other owed it all the time"
    if noticed:
        await rig.follow(verdict(received_at=due))
        assert ((await rig.one())["on_time"], (await rig.one())["score"]) == (True, 100)
    await rig.check_scores()
