"""A regime, period, obligation or row that cannot be handled is set back, visibly; its neighbours never wait for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from services.scoring.obligations import generation_sweep, setbacks
from services.scoring.obligations.deadlines import Plan
from services.scoring.tables import metadata
from shared.contract.events.registry import Cutoff, Deadline
from shared.contract.period import touching
from shared.runtime.settings import KafkaSettings
from tests.fakes.operators import OPERATOR, let_operator_in
from tests.integration.scoring.rig import Rig, agency, key_of, local, regime, request
from tests.integration.scoring.test_scoring_service import service_on, until
from tests.unit.scoring.samples import DEADLINE

GOOD = ["2026-M10", "2026-M11", "2026-M12"]
AFTER = DEADLINE + timedelta(minutes=1)


def bad(code: str = "BAD", **changes: Any) -> Any:
    return regime(code, name="Chế độ hỏng", **changes)


WRONG = {
    "month offset": bad(deadline=Deadline(rule="day_of_month", month_offset=202601)),
    "month offset back": bad(deadline=Deadline(rule="day_of_month", month_offset=-202601)),
    "deadline before opening": bad(deadline=Deadline(rule="day_of_month", month_offset=-2)),
    "working days": bad(deadline=Deadline(rule="working_days_after_cutoff", working_days=2_000_000_000)),
    "days outside the calendar": bad(deadline=Deadline(rule="working_days_after_cutoff", working_days=1000)),
    "weeks": bad(
        frequency="weekly", cutoff=Cutoff(weekday=4), deadline=Deadline(rule="weekday", week_offset=2_000_000_000)
    ),
    "weeks back": bad(
        frequency="weekly", cutoff=Cutoff(weekday=4), deadline=Deadline(rule="weekday", week_offset=-2_000_000_000)
    ),
    "month within the years of dates": bad(deadline=Deadline(rule="day_of_month", month_offset=6000)),
}


async def listed(rig: Rig) -> dict[str, str]:
    async with rig.database.read_transaction() as snapshot:
        return {
            f"{row['sweep']} {row['subject']}": row["error"] for row in await setbacks.listed(snapshot, ("", ""), 99)
        }


@pytest.mark.parametrize("what", WRONG)
async def test_a_regime_that_cannot_be_planned_stops_no_other_one(rig: Rig, what: str) -> None:
    if what == "days outside the calendar":
        rig.clock.set(local(2032, 10, 1, 8))
    year = rig.clock.now().year
    await rig.registry(WRONG[what], regime(), agency())
    await rig.generate()
    assert await rig.keys() == [key_of("H99.31", f"{year}-M{month}") for month in (10, 11, 12)]
    found = await listed(rig)
    assert found
    assert {setback.split("/")[0] for setback in found} == {"plan BAD"}


async def test_the_control_one_failure_for_all_stops_everything(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    from services.scoring.obligations import deadlines

    def together(versions: Any, since: Any, until: Any, calendar: Any) -> Any:
        for version in versions:
            for period in touching(since.date(), until.date(), version.frequency, version.cutoff):
                yield deadlines.plan_period(version, period, calendar)

    async def unisolated(tx: Any, items: Any, work: Any) -> Any:
        return [await work(items)], []

    monkeypatch.setattr(generation_sweep, "plans_between", lambda *given: list(together(*given)))
    monkeypatch.setattr(setbacks, "why", lambda error: (_ for _ in ()).throw(error))
    monkeypatch.setattr(generation_sweep, "each_alone", unisolated)
    await rig.registry(WRONG["month offset"], regime(), agency())
    with pytest.raises(deadlines.Unplannable):
        await rig.generate()
    assert await rig.keys() == []


async def test_too_many_reminder_days_remind_at_the_opening(rig: Rig) -> None:
    await rig.registry(regime(remind_working_days=2_000_000_000), agency())
    await rig.generate()
    assert (await rig.one())["remind_at"] == local(2026, 9, 15)
    assert await listed(rig) == {}


async def test_a_newer_version_is_planned_and_the_setback_is_over(rig: Rig) -> None:
    await rig.registry(WRONG["month offset"], agency())
    await rig.generate()
    assert len(await listed(rig)) == 3
    # the same regime version, replaced by a newer record
    await rig.registry(bad(version=2))
    await rig.generate()
    assert await rig.periods() == GOOD
    assert await listed(rig) == {}


async def test_a_plan_that_the_database_refuses_rests_and_its_neighbours_are_generated(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.registry(regime(), regime("A-FIRST"), agency())
    opening = rig.rules.opening

    def spoiled(plan: Plan) -> Any:
        if (plan.regime, plan.period) == ("A-FIRST", "2026-M11"):
            raise RuntimeError("this plan alone")
        return opening(plan)

    monkeypatch.setattr(rig.rules, "opening", spoiled)
    await rig.generate()
    assert await rig.keys() == sorted(
        [key_of("H99.31", period, "A-FIRST") for period in ("2026-M10", "2026-M12")]
        + [key_of("H99.31", period) for period in GOOD]
    )
    assert list(await listed(rig)) == ["generate A-FIRST/1/2026-M11"]
    monkeypatch.undo()
    await rig.generate()
    assert key_of("H99.31", "2026-M11", "A-FIRST") not in await rig.keys()  # it rests
    async with rig.database.transaction() as tx:
        assert await setbacks.retry(tx, None) == ["generate A-FIRST/1/2026-M11"]
    await rig.generate()
    assert key_of("H99.31", "2026-M11", "A-FIRST") in await rig.keys()
    assert await listed(rig) == {}


async def test_an_agency_that_comes_meanwhile_gets_what_was_set_back_later(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.registry(regime(), agency())
    await rig.generate()
    opening = rig.rules.opening
    monkeypatch.setattr(
        rig.rules,
        "opening",
        lambda plan: opening(plan) if plan.period != "2026-M11" else opening(None),  # type: ignore[arg-type]
    )
    await rig.registry(agency("H99.40"))
    await rig.generate()
    assert await rig.periods("H99.40") == ["2026-M10", "2026-M12"]
    monkeypatch.undo()
    async with rig.database.transaction() as tx:
        await setbacks.retry(tx, ["KTXH-THANG/1/2026-M11"])
    await rig.generate()
    assert await rig.periods("H99.40") == GOOD


async def test_a_regime_whose_stored_record_cannot_be_read_is_left_out_whole(rig: Rig) -> None:
    await rig.registry(bad(), bad(regime_version=2, effective_from=date(2026, 10, 1)), regime(), agency())
    async with rig.database.transaction() as tx:
        await tx.execute(
            text("UPDATE regimes SET deadline = '{\"rule\": \"never\"}' WHERE code = 'BAD' AND regime_version = 2")
        )
    await rig.generate()
    assert await rig.keys() == [key_of("H99.31", period) for period in GOOD]
    assert list(await listed(rig)) == ["plan BAD/2/*"]


async def test_a_request_with_impossible_moments_stops_no_other_one(rig: Rig) -> None:
    thematic = regime("THIENTAI-DX", frequency="adhoc", deadline=Deadline(rule="on_request"))
    await rig.registry(
        thematic,
        request("DX-2026-001", deadline=local(9999, 12, 31, 23)),
        request("DX-2026-002", deadline=local(2026, 10, 4, 8)),
        request("DX-2026-003"),
        regime(),
        agency(),
    )
    await rig.generate()
    assert [key.split("/")[2] for key in await rig.keys()] == [*GOOD, "DX-2026-003"]
    assert list(await listed(rig)) == ["plan THIENTAI-DX/1/DX-2026-001"]


@pytest.mark.parametrize("spoil", ["document = '{}'", "terms = replace(CAST(terms AS text), '2019.1', 'gone')::json"])
async def test_an_obligation_that_cannot_be_marked_stops_no_other_mark(rig: Rig, spoil: str) -> None:
    codes = [f"H99.{number}" for number in range(31, 41)]
    await rig.registry(regime(), *(agency(code) for code in codes))
    await rig.generate()
    first = key_of("H99.31", "2026-M10")
    (before,) = await rig.rows(
        "SELECT CAST(document AS text) AS document, CAST(terms AS text) AS terms FROM obligations"
        " WHERE obligation = :key", key=first,
    )  # fmt: skip
    async with rig.database.transaction() as tx:
        await tx.execute(text(f"UPDATE obligations SET {spoil} WHERE obligation = :key"), {"key": first})
    await rig.at(AFTER)
    overdue = {event.obligation for event in await rig.published("overdue")}
    assert overdue == {key_of(code, "2026-M10") for code in codes[1:]}
    assert f"deadline {first}" in await listed(rig)
    # mended: it is marked as soon as it has rested
    async with rig.database.transaction() as tx:
        await tx.execute(
            text("UPDATE obligations SET document = :document, terms = :terms WHERE obligation = :key"),
            {"key": first, "document": before["document"], "terms": before["terms"]},
        )
        await setbacks.retry(tx, [first])
    await rig.mark()
    assert first in {event.obligation for event in await rig.published("overdue")}
    assert await listed(rig) == {}


async def test_a_reminder_that_cannot_be_saved_stops_no_other_one(rig: Rig) -> None:
    codes = [f"H99.{number}" for number in range(31, 36)]
    await rig.registry(regime(), *(agency(code) for code in codes))
    await rig.generate()
    spoiled = key_of("H99.33", "2026-M10")
    async with rig.database.transaction() as tx:
        await tx.execute(text("UPDATE obligations SET document = '{}' WHERE obligation = :key"), {"key": spoiled})
    rig.clock.set(local(2026, 10, 15, 8))
    await rig.mark()
    told = {event.obligation for event in await rig.published("due_soon")}
    assert told == {key_of(code, "2026-M10") for code in codes} - {spoiled}
    assert list(await listed(rig)) == [f"deadline {spoiled}"]


# --- through the service ---------------------------------------------------------------------------------------------


@pytest.fixture
async def served(scoring_url: str, rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    """Scoring with its tickers running; there is no Kafka, which readiness tells too."""
    await let_operator_in(scoring_url, metadata)
    service = service_on(scoring_url, KafkaSettings(bootstrap_servers="127.0.0.1:1"), rig.clock)
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=service.app), base_url="http://scoring", headers=OPERATOR
    )
    async with service.lifespan(service.app), client:
        yield client


async def test_the_service_generates_the_others_and_says_what_is_set_back(rig: Rig, served: httpx.AsyncClient) -> None:
    await rig.registry(*WRONG.values(), regime(), agency())

    async def generated() -> bool:
        return await rig.keys() == [key_of("H99.31", period) for period in GOOD]

    await until(generated, "the good regime's obligations")

    async def told() -> bool:
        checks = (await served.get("/readyz")).json()["checks"]
        return bool(checks["setbacks"]["ok"]) and "plan: 3, such as BAD/1/2026-M10" in checks["setbacks"]["detail"]

    await until(told, "the warning")
    shown = (await served.get("/v1/setbacks", params={"limit": 2})).json()
    assert [item["subject"] for item in shown["items"]] == ["BAD/1/2026-M10", "BAD/1/2026-M11"]
    assert "Unplannable" in shown["items"][0]["error"]
    rest = (await served.get("/v1/setbacks", params={"after": shown["next"]})).json()
    assert [item["subject"] for item in rest["items"]] == ["BAD/1/2026-M12"]
    assert 'thongsuot_scoring_setbacks{sweep="plan"} 3.0' in (await served.get("/metrics")).text
    assert (await served.get("/v1/setbacks", headers={"Authorization": "Bearer wrong"})).status_code == 401
    assert len(await rig.published("opened")) == 3
