"""Escalations on PostgreSQL: the sweep moves what is due, an end is told to whoever was told, and nothing is left."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from services.notifier import metrics
from services.notifier.escalation import sweep as sweeping
from services.notifier.escalation.answering import give
from services.notifier.escalation.domain import climb
from services.notifier.escalation.sweep import EscalationSweep
from services.notifier.ladders import store as ladders
from services.notifier.ladders.data import LadderError, parse_ladder
from services.notifier.ladders.store import LadderShelf
from shared.contract.events import CalendarLoaded, EscalationChanged
from shared.runtime.clock import LOCAL_ZONE
from tests.fakes.smtp import FakeSmtp
from tests.integration.notifier.rig import (
    COMMUNE,
    DEADLINE,
    DEPARTMENT,
    DOMAIN,
    PROVINCE,
    REGIME,
    World,
    changed,
    fulfilled,
    overdue,
    registry,
)
from tests.integration.notifier.test_webhooks import registered

CALENDAR = CalendarLoaded(
    calendar_version="T", version=1, first_year=2026, last_year=2026, days_off=(), made_up=()
)  # DEADLINE is a Monday
KEY = f"{DEPARTMENT}/{REGIME}/2026-M10"
SHIPPED = Path("services/notifier/ladders/default.yaml").read_text(encoding="utf-8")


def sweep(world: World) -> EscalationSweep:
    return EscalationSweep(world.business, world.system, LadderShelf(), message_id_domain=DOMAIN)


async def at(world: World, moment: datetime) -> None:
    """Business time is `moment`, and all that is due by then is done."""
    world.business.advance(seconds=(moment - world.business.now()).total_seconds())
    one = sweep(world)
    for _ in range(20):
        async with world.database.transaction() as tx:
            if not await one.tick(tx):
                return
    raise AssertionError("the sweep does not come to rest")


async def escalations(world: World) -> list[dict[str, Any]]:
    return await world.rows("SELECT * FROM escalations ORDER BY obligation, number")


async def steps(world: World, *states: str) -> dict[str, str]:
    """step -> person, of these states"""
    return {row["step"]: row["officer_id"] for row in await world.ledger() if row["state"] in states}


def day(number: int, hour: int = 8) -> datetime:
    return datetime(2026, 10, number, hour, tzinfo=LOCAL_ZONE)


async def test_a_late_report_climbs_and_its_end_is_told_to_whoever_was_told(world: World, smtp: FakeSmtp) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", CALENDAR, overdue())
    await at(world, DEADLINE)
    (one,) = await escalations(world)
    assert (one["next_at"], one["ladder"], one["number"]) == (day(22), "default", 1)
    await world.drain(world.dispatcher(smtp))
    await at(world, day(22))
    await world.drain(world.dispatcher(smtp))
    assert await steps(world, "sent") == {
        "overdue": "dept-named", "overdue/rung-1": "dept-head", "overdue/rung-t+3d": "chair",
    }  # fmt: skip
    (at_once,) = [row["facts"] for row in await world.ledger() if row["step"] == "overdue/rung-1"]
    assert (at_once["next_role"], datetime.fromisoformat(at_once["next_at"])) == ("provincial_office", day(22))
    letter = next(taken for taken in smtp.accepted if taken.recipient == "chair@h99.example").message
    body = letter.get_body(("plain",))
    assert body is not None
    assert "Nguyễn Thị dept-head, Chuyên viên (19/10/2026)" in body.get_content()
    await at(world, day(23))
    await world.feed("compliance", fulfilled(at=day(23)))
    await world.drain(world.dispatcher(smtp))
    (one,) = await escalations(world)
    assert (one["resolution"], one["resolved_at"], one["next_at"]) == ("answered", day(23), None)
    ended = [taken for taken in smtp.accepted if "Hết quá hạn" in str(taken.message["Subject"])]
    assert sorted(taken.recipient for taken in ended) == ["chair@h99.example", "dept-head@h99.example"]
    await at(world, day(30))
    assert len(smtp.accepted) == 5
    assert (await steps(world, "pending")) == {}


async def test_above_an_agency_without_a_head_somebody_hears_of_it_a_working_day_later(world: World) -> None:
    above: dict[str, Any] = {"agency": PROVINCE, "covers": "below", "events": ("obligation.escalated",)}
    await world.feed("registry", *registry(), registered("https://tren.h99.example/", **above))
    await world.feed("compliance", CALENDAR, overdue(code=COMMUNE))
    await at(world, day(20, 7))
    assert await world.rows("SELECT cause FROM webhook_deliveries") == []
    assert await steps(world, "pending") == {"overdue": "commune-any"}
    await at(world, day(20))
    assert await steps(world, "pending", "skipped") == {
        "overdue": "commune-any", f"overdue/rung-t/no_head:{COMMUNE}": "", "overdue/rung-t": "chair",
    }  # fmt: skip
    (letter,) = [row["facts"] for row in await world.ledger() if row["officer_id"] == "chair"]
    assert (letter["next_role"], letter["next_at"]) == ("provincial_office", "2026-10-22T08:00:00+07:00")
    # and so does the province's webhook, once
    (told,) = await world.rows("SELECT cause, agency FROM webhook_deliveries")
    assert told == {"cause": f"overdue/rung-t/{COMMUNE}/{REGIME}/2026-M10", "agency": COMMUNE}


async def test_who_was_not_reached_before_the_end_hears_nothing_of_it(world: World) -> None:
    """Control of the letter above: it goes by the ledger, not by the plan."""
    await world.feed("registry", *registry())
    await world.feed("compliance", CALENDAR, overdue(), fulfilled())
    await world.feed("compliance", overdue(period="2026-M09"))
    await world.feed("compliance", fulfilled(period="2026-M09"))
    assert {row["resolution"] for row in await escalations(world)} == {"answered"}
    assert [row for row in await world.ledger() if row["kind"] == "resolved"] == []


async def test_a_long_stop_is_made_good_with_the_newest_rung_alone(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", CALENDAR, overdue())
    await at(world, day(30))
    assert await steps(world, "pending") == {
        "overdue": "dept-named", "overdue/rung-1": "dept-head", "overdue/rung-t+7d": "chair",
    }  # fmt: skip
    skipped = [row["reason"] for row in await world.ledger() if row["state"] == "skipped"]
    assert sorted(skipped) == ["no_provincial_office:H99", "superseded:chair"]
    (one,) = await escalations(world)
    assert (one["next_at"], one["reason"]) == (None, "at_the_top")


async def test_a_later_deadline_that_is_over_as_well_moves_the_rungs(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", CALENDAR, overdue())
    await at(world, DEADLINE)
    await world.feed("compliance", changed(4, "terms_changed", overdue=True, deadline=DEADLINE + timedelta(days=1)))
    await at(world, DEADLINE + timedelta(minutes=1))
    assert (await escalations(world))[0]["next_at"] == day(23)
    newer = CALENDAR.model_copy(update={"calendar_version": "U", "version": 2, "days_off": (date(2026, 10, 23),)})
    await world.feed("compliance", newer)
    await at(world, DEADLINE + timedelta(minutes=2))
    assert (await escalations(world))[0]["next_at"] == day(26), "a day off announced late moves what is ahead"


async def test_an_extension_ends_the_climb_and_the_next_one_is_another(world: World) -> None:
    await world.feed("registry", *registry())
    later = DEADLINE + timedelta(days=7)
    await world.feed("compliance", CALENDAR, overdue())
    await world.feed("compliance", changed(4, "relief", "overdue_withdrawn", deadline=later))
    await world.feed("compliance", overdue(5, deadline=later, at=later))
    assert [(row["number"], row["resolution"]) for row in await escalations(world)] == [(1, "not_overdue"), (2, None)]


async def test_one_that_fails_is_put_off_and_the_others_move(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", CALENDAR, overdue(), overdue(period="2026-M09"))
    await at(world, DEADLINE)
    right = climb

    def wrong(escalation: Any, facts: Any, now: Any) -> Any:
        if escalation.obligation == KEY:
            raise RuntimeError("unheard of")
        return right(escalation, facts, now)

    monkeypatch.setattr(sweeping, "climb", wrong)
    await at(world, day(22))
    reasons = {row["obligation"][-3:]: row["reason"] for row in await escalations(world)}
    assert reasons == {"M10": "error:RuntimeError('unheard of')", "M09": ""}


async def test_without_a_calendar_it_waits_and_the_audit_sees_what_is_left_behind(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", overdue())
    await at(world, DEADLINE)
    assert (await escalations(world))[0]["reason"] == "no_calendar"
    world.business.advance(seconds=3600)
    async with world.database.transaction() as tx:
        await sweep(world).audit(tx)
    assert metrics.ESCALATIONS_OVERDUE_TO_MOVE._value.get() == 1
    await world.feed("compliance", CALENDAR)
    await at(world, world.business.now())
    async with world.database.transaction() as tx:
        await sweep(world).audit(tx)
    assert metrics.ESCALATIONS_OVERDUE_TO_MOVE._value.get() == 0, "control"


async def test_a_loaded_ladder_never_changes_and_those_after_it_are_climbed_by_what_begins_later(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", CALENDAR, overdue())
    graceful = SHIPPED.replace("version: 2", "version: 3").replace("grace: 0h", "grace: 4h")
    async with world.database.transaction() as tx:
        with pytest.raises(LadderError, match="tăng version"):
            await ladders.load_ladders(tx, [parse_ladder("x", (SHIPPED + "\n").encode())])
        assert await ladders.load_ladders(tx, [parse_ladder("x", graceful.encode())]) == ["default/3"]
        tie = SHIPPED.replace("ladder: default", "ladder: other")
        with pytest.raises(LadderError, match="cùng áp dụng"):
            await ladders.load_ladders(tx, [parse_ladder("x", tie.encode())])
    await world.feed("compliance", overdue(period="2026-M09"))
    told = {row["obligation"][-3:]: row["step"] for row in await world.ledger() if row["kind"] == "escalation"}
    assert told == {"M10": "overdue/rung-1"}, "by the newer one the head hears of it after four hours"
    await at(world, DEADLINE + timedelta(hours=4))
    assert "overdue/rung-t" in await steps(world, "pending")
    assert {row["obligation"][-3:]: row["ladder_version"] for row in await escalations(world)} == {"M10": 2, "M09": 3}


async def published(world: World) -> list[EscalationChanged]:
    rows = await world.rows(
        "SELECT body FROM outbox WHERE type = :type AND key = :key ORDER BY id", type=EscalationChanged.TYPE, key=KEY
    )
    return [EscalationChanged.model_validate_json(bytes(row["body"])) for row in rows]


async def test_a_climb_is_published_whole_at_each_turn_and_at_no_look(world: World, smtp: FakeSmtp) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", CALENDAR, overdue())
    (begun,) = await published(world)
    assert (begun.version, begun.position, begun.next_rung, begun.next_at) == (1, 1, "t+3d", day(22))
    await at(world, DEADLINE + timedelta(hours=1))  # nothing is due
    assert len(await published(world)) == 1
    await world.drain(world.dispatcher(smtp))
    (told,) = [row for row in await world.ledger() if row["step"] == "overdue/rung-1"]
    async with world.database.transaction() as tx:
        await give(tx, told["id"], "acknowledged", date(2026, 10, 23), "Đang tổng hợp", world.business.now())
    await at(world, day(22))  # held until the 23rd
    await at(world, day(23))
    await world.feed("compliance", fulfilled(at=day(23)))
    found = await published(world)
    assert [one.version for one in found] == list(range(1, len(found) + 1))
    assert [(one.position, one.held_until, one.resolution) for one in found] == [
        (1, None, None), (1, day(23), None), (1, day(23), None), (2, None, None), (2, None, "answered"),
    ]  # fmt: skip
    assert [one.next_at for one in found] == [day(22), None, day(23), day(28), None]
    assert [given.reason for given in found[-1].answers] == ["Đang tổng hợp"]
    (row,) = await escalations(world)
    assert (row["version"], row["changed_at"]) == (5, found[-1].at)


async def test_a_climb_that_begins_and_ends_within_a_batch_is_published_once(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", CALENDAR, overdue(), fulfilled(), changed(5, "overdue", overdue=True))
    assert [(one.number, one.version, one.resolution) for one in await published(world)] == [
        (1, 1, "answered"), (2, 1, None),
    ]  # fmt: skip
    rows = await escalations(world)
    assert [(row["number"], row["version"]) for row in rows] == [(1, 1), (2, 1)]


async def test_what_was_open_before_it_was_published_is_at_its_next_look(world: World) -> None:
    """As the migration leaves it."""
    await world.feed("registry", *registry())
    await world.feed("compliance", CALENDAR, overdue())
    async with world.database.transaction() as tx:
        await tx.execute(text("DELETE FROM outbox"))
        await tx.execute(text("UPDATE escalations SET version = 0, changed_at = NULL, next_at = opened_at"))
    await at(world, DEADLINE + timedelta(hours=1))
    (told,) = await published(world)
    assert (told.version, told.next_at, told.at) == (1, day(22), DEADLINE + timedelta(hours=1))
