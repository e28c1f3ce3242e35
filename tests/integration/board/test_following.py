"""The read model: any order and any repetition of the same events leave one state, and so does a rebuild."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from typing import Any
from uuid import UUID

from services.board.readmodel import store as readmodel
from shared.contract.events import EventModel
from tests.integration.board.rig import (
    COMMUNE,
    DEADLINE,
    DEPARTMENT,
    OFFICER,
    World,
    changed,
    escalation,
    fulfilled,
    not_judged,
    notice,
    officer,
    overdue,
    registry,
    step,
    submission,
    verdict,
)

_TABLES = ("agencies", "officers", "people", "regimes", "requests", "obligations", "obligation_documents",
           "reports", "verdicts", "steps", "notices", "escalations")  # fmt: skip


async def state(world: World) -> dict[str, list[Any]]:
    """Every row of the read model."""
    found = {}
    for table in _TABLES:
        rows = await world.rows(f"SELECT to_jsonb(t)::text AS row FROM {table} t ORDER BY 1")
        found[table] = [json.loads(row["row"]) for row in rows]
    return found


def events() -> list[EventModel]:
    """A report's life, with a version of everything that is overtaken."""
    return [
        *registry(),
        officer(OFFICER, DEPARTMENT, name="Tên mới", version=2),
        *(change(code) for code in (DEPARTMENT, COMMUNE) for change in (changed, overdue)),
        fulfilled(DEPARTMENT, score="72.50"),
        *(submission(number) for number in (1, 2)),
        verdict(1),
        verdict(1, revision=2),
        not_judged(2),
        verdict(2, "accepted", revision=2),
        *(step(number) for number in (1, 2)),
        notice(1, outcome="unknown"),
        notice(1, version=2),
        notice(2, "escalation"),
        escalation(),
        escalation(2, held_until=DEADLINE + timedelta(days=7)),
        escalation(number=2),
    ]


async def test_any_order_and_any_repetition_leave_one_state(world: World) -> None:
    await world.feed(*events())
    expected = await state(world)
    assert {name: len(rows) for name, rows in expected.items()} == {
        "agencies": 4, "officers": 4, "people": 3, "regimes": 2, "requests": 0, "obligations": 2,
        "obligation_documents": 2, "reports": 2, "verdicts": 2, "steps": 2, "notices": 2, "escalations": 2,
    }  # fmt: skip
    assert [row["name"] for row in expected["officers"] if row["officer_id"] == OFFICER] == ["Tên mới"]
    assert {row["obligation"]: row["standing"] for row in expected["obligations"]} == {
        f"{DEPARTMENT}/BC-THANG/2026-M10": "fulfilled", f"{COMMUNE}/BC-THANG/2026-M10": "nothing_sent",
    }  # fmt: skip
    assert {(row["revision"], row["outcome"]) for row in expected["verdicts"]} == {(2, "returned"), (2, "accepted")}
    assert [(row["number"], row["version"]) for row in expected["escalations"]] == [(1, 2), (2, 1)]
    for seed in range(3):
        shuffled = events() * 2
        random.Random(seed).shuffle(shuffled)
        async with world.database.transaction() as tx:
            await readmodel.forget(tx)
        for place in range(0, len(shuffled), 7):
            await world.feed(*shuffled[place : place + 7])
        assert await state(world) == expected


async def test_a_verdict_reached_again_after_its_owners_loss_is_the_one_shown(world: World) -> None:
    """A rebuilt validator judges again: later, with another id, and from the first revision on."""
    again = verdict(1, decided_at=verdict(1).decided_at + timedelta(hours=3), verdict_id=UUID(int=999))
    for order in ((verdict(1), verdict(1, revision=2), again), (again, verdict(1, revision=2), verdict(1))):
        async with world.database.transaction() as tx:
            await readmodel.forget(tx)
        await world.feed(*registry(), submission(1))
        for event in order:
            await world.feed(event)
        (row,) = await world.rows("SELECT decided_at, revision FROM verdicts")
        assert (row["decided_at"], row["revision"]) == (again.decided_at, 1)


async def test_a_climb_told_again_after_its_owners_loss_is_the_one_shown(world: World) -> None:
    """A notifier that lost its database counts versions anew, later."""
    again = escalation(at=DEADLINE + timedelta(days=2), position=2)
    for order in ((escalation(), escalation(9), again), (again, escalation(9))):
        async with world.database.transaction() as tx:
            await readmodel.forget(tx)
        for event in order:
            await world.feed(event)
        (row,) = await world.rows("SELECT position, version FROM escalations")
        assert (row["position"], row["version"]) == (2, 1)


async def test_a_difference_would_be_seen(world: World) -> None:
    """Negative control of the test above: without the newest of each, the state differs."""
    await world.feed(*events())
    expected = await state(world)
    async with world.database.transaction() as tx:
        await readmodel.forget(tx)
    await world.feed(*(event for event in events() if event != fulfilled(DEPARTMENT, score="72.50")))
    assert await state(world) != expected


async def test_a_rebuild_keeps_who_may_sign_in(world: World) -> None:
    browser = await world.signed_in(OFFICER)
    await world.feed(*events())
    async with world.database.transaction() as tx:
        assert await readmodel.forget(tx) == 27
    assert (await world.rows("SELECT count(*) AS rows FROM inbox"))[0]["rows"] == 0
    assert (await browser.get("/")).status_code == 303  # nobody is known until the registry has come again
    await world.feed(*events())
    assert (await browser.get("/")).status_code == 200


async def test_a_report_that_could_not_be_judged_is_shown_as_such_until_it_is(world: World) -> None:
    await world.feed(*registry(), changed(DEPARTMENT), submission(1), not_judged(1))
    (row,) = (await state(world))["verdicts"]
    assert (row["outcome"], row["revision"], row["findings"][0]["code"]) == ("not_judged", 1, "X01")
    browser = await world.signed_in(OFFICER)
    page = (await browser.get(f"/nghia-vu/{DEPARTMENT}/BC-THANG/2026-M10")).text
    assert "chưa kiểm tra được phiên bản 1" in page
    assert "bị trả lại" not in page
    await world.feed(verdict(1, revision=2))
    page = (await browser.get(f"/nghia-vu/{DEPARTMENT}/BC-THANG/2026-M10")).text
    assert "chưa kiểm tra được phiên bản 1" not in page, "control"
