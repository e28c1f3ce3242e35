"""A mail that has told nobody goes on to the next contact, once for each, and the ledger says to whom."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from services.notifier.delivery import bounces, next_contact
from services.notifier.delivery.bounces import Bounce
from services.notifier.delivery.next_contact import MOST, NextContactSweep
from services.notifier.delivery.resending import ResendAnswer, ResendOrder, resend
from shared.contract.events import EventModel
from tests.fakes.smtp import FakeSmtp
from tests.integration.notifier.rig import (
    DEPARTMENT,
    DOMAIN,
    World,
    due_soon,
    fulfilled,
    officer,
    opened,
    overdue,
    registry,
    verdict,
)
from tests.integration.notifier.test_escalations import CALENDAR


class TakenBack(Exception):
    """Ends a transaction of which nothing is to stay."""


async def go_on(world: World) -> int:
    sweep = NextContactSweep(world.business, world.system, message_id_domain=DOMAIN, waits=False)
    async with world.database.transaction() as tx:
        return await sweep.tick(tx)


async def bounce(world: World, officer_id: str, kind: str) -> None:
    """The mail of that kind to this person comes back."""
    row = next(row for row in await told(world, kind) if row["officer_id"] == officer_id)
    async with world.database.transaction() as tx:
        await bounces.take(tx, Bounce(row["message_id"], "5.1.1 unknown"), by="mx", at=world.business.now())


async def told(world: World, kind: str) -> list[dict[str, Any]]:
    """In the order in which they were planned."""
    return sorted((row for row in await world.ledger() if row["kind"] == kind), key=lambda row: row["id"])


async def feed(world: World, *events: EventModel) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", CALENDAR, *events)


async def states(world: World, kind: str) -> list[tuple[str, str, str | None]]:
    return [(row["officer_id"], row["state"], row["next_contact"]) for row in await told(world, kind)]


@pytest.mark.parametrize("kind", ["reminder", "returned", "request"])
async def test_the_next_is_another_officer_then_the_head_and_there_it_ends(
    world: World, smtp: FakeSmtp, kind: str
) -> None:
    if kind == "reminder":
        await feed(world, opened(), due_soon())
    elif kind == "request":
        await feed(world, opened(period="DX-2026-003"))
    else:
        await feed(world, opened())
        await world.feed("verdicts", verdict("returned", officer_id="dept-named"))
    people = ("dept-named", "dept-any", "dept-head")
    steps = {row["step"] for row in await told(world, kind)}
    for place, person in enumerate(people):
        await world.drain(world.dispatcher(smtp))
        assert [row["officer_id"] for row in await told(world, kind)] == list(people[: place + 1])
        await bounce(world, person, kind)
        assert await go_on(world) == 1
        assert await go_on(world) == 0, "once"
    assert await states(world, kind) == [
        ("dept-named", "failed", "person:dept-any"),
        ("dept-any", "failed", "person:dept-head"),
        ("dept-head", "failed", "nobody"),
    ]
    assert {row["step"] for row in await told(world, kind)} == steps
    assert len(people) == MOST
    assert sorted(mail.recipient for mail in smtp.accepted) == sorted(f"{person}@h99.example" for person in people)
    letter = next(mail.message for mail in smtp.accepted if mail.recipient == "dept-any@h99.example")
    body = letter.get_body(("plain",))
    assert body is not None
    assert "vì thư gửi Nguyễn Thị dept-named không đến được" in body.get_content()


async def test_what_others_were_told_instead_is_sent_again_only_where_that_is_said(
    world: World, smtp: FakeSmtp
) -> None:
    await feed(world, opened(), due_soon())
    await world.drain(world.dispatcher(smtp))
    await bounce(world, "dept-named", "reminder")

    async def again(*, gone_on: bool = False) -> bool:
        """Whether an order would be taken; it is taken back."""
        [first] = [row["id"] for row in await told(world, "reminder") if row["officer_id"] == "dept-named"]
        order, answers = ResendOrder([first], "vân", "địa chỉ đã sửa", gone_on=gone_on), list[ResendAnswer]()
        with suppress(TakenBack):
            async with world.database.transaction() as tx:
                answers = await resend(tx, order, now=world.system.now(), domain=DOMAIN)
                raise TakenBack
        return answers[0].accepted

    assert await again(), "nobody was told instead yet"
    await go_on(world)
    assert not await again(), "the next contact is told"
    assert await again(gone_on=True)
    await world.drain(world.dispatcher(smtp))
    await bounce(world, "dept-any", "reminder")
    assert await again(), "the next contact was not reached either"


async def test_a_refused_overdue_letter_goes_to_another_officer_and_the_head_hears_by_the_ladder(
    world: World, smtp: FakeSmtp
) -> None:
    await feed(world, overdue())
    await world.drain(world.dispatcher(smtp))
    for person in ("dept-named", "dept-any"):
        await bounce(world, person, "overdue")
        await go_on(world)
        await world.drain(world.dispatcher(smtp))
    assert await states(world, "overdue") == [
        ("dept-named", "failed", "person:dept-any"), ("dept-any", "failed", "by_the_ladder"),
    ]  # fmt: skip


async def test_nobody_hears_of_what_is_not_so_any_more(world: World, smtp: FakeSmtp) -> None:
    await feed(world, opened(), due_soon())
    await world.drain(world.dispatcher(smtp))
    await bounce(world, "dept-named", "reminder")
    await world.feed("compliance", fulfilled())
    assert await go_on(world) == 1
    assert await states(world, "reminder") == [("dept-named", "failed", "not_so")]


async def test_the_control_without_the_mark_it_would_go_on_again(
    world: World, smtp: FakeSmtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    await feed(world, opened(), due_soon())
    await world.feed("registry", officer("dept-more", DEPARTMENT))
    await world.drain(world.dispatcher(smtp))
    await bounce(world, "dept-named", "reminder")
    monkeypatch.setattr(next_contact, "_word", lambda *_: None)
    for _ in range(3):
        await go_on(world)
    assert len(await told(world, "reminder")) == MOST, "and even then it comes to an end"
