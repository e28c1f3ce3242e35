"""After the system clock fell back an hour, no mail waits for the hour that was taken back, and none is sent twice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.notifier.channels import dispatcher
from services.notifier.delivery import ledger
from tests.fakes.smtp import AcceptThenDrop, Answer, FakeSmtp
from tests.integration.notifier.rig import World, fulfilled, i5_violations


async def sent_within(world: World, smtp: FakeSmtp, seconds: float) -> bool:
    """Whether the one mail is settled `seconds` of system time after the clock fell back an hour."""
    world.system.advance(seconds=-3600)
    dispatcher = world.dispatcher(smtp, sweep_seconds=0)
    for _ in range(3):
        await dispatcher.round()
        world.system.advance(seconds=seconds / 3)
    await dispatcher.round()
    return not await world.rows("SELECT 1 FROM notifications WHERE due_at IS NOT NULL OR token IS NOT NULL")


async def test_a_mail_not_begun_goes_out_at_once(world: World, smtp: FakeSmtp) -> None:
    await world.reminder()
    assert await sent_within(world, smtp, 3)
    assert list(smtp.times_accepted().values()) == [1]


async def test_a_mail_that_was_put_off_goes_out_at_once(world: World, smtp: FakeSmtp) -> None:
    await world.reminder()
    smtp.script["RCPT"].append(Answer(450))
    await world.dispatcher(smtp).round()
    assert (await world.one())["state"] == "retry"
    assert await sent_within(world, smtp, 3)
    assert list(smtp.times_accepted().values()) == [1]


async def test_an_unknown_mail_is_resent_once(world: World, smtp: FakeSmtp) -> None:
    await world.reminder()
    smtp.script["BODY"].append(AcceptThenDrop())
    await world.dispatcher(smtp).round()
    assert (await world.one())["state"] == "unknown"
    assert await sent_within(world, smtp, 3)
    assert await i5_violations(world, smtp) == []
    assert list(smtp.times_accepted().values()) == [2]


async def test_the_lease_of_a_sender_that_died_lasts_no_longer_than_a_new_one(world: World, smtp: FakeSmtp) -> None:
    await world.reminder()
    lease = world.pace.lease_seconds
    async with world.database.transaction() as tx:
        await ledger.claim(tx, world.system.now(), limit=1, lease_seconds=lease, worker="dead")
    assert not await sent_within(world, smtp, lease / 2), "the lease still holds"
    world.system.advance(seconds=lease)
    dispatcher = world.dispatcher(smtp, sweep_seconds=0)
    await dispatcher.round()
    await dispatcher.round()
    assert (await world.one())["state"] == "sent"
    assert list(smtp.times_accepted().values()) == [1]


@pytest.mark.parametrize("state", ["claimed", "in_data", "answered"])
async def test_what_comes_later_bears_no_earlier_moment(world: World, smtp: FakeSmtp, state: str) -> None:
    """The clock falls back within an attempt, and between two."""

    def falls_back(reached: str, _: object) -> None:
        if reached == state:
            world.system.advance(seconds=-3600)

    await world.reminder()
    smtp.script["RCPT"].append(Answer(450))
    await world.dispatcher(smtp).round()
    for _ in range(2):
        await world.dispatcher(smtp, at=falls_back).round()
        world.system.advance(seconds=30)
    assert (await world.one())["state"] == "sent"
    found = await world.rows(
        "SELECT n.first_tried_at, a.* FROM attempts a JOIN notifications n ON n.id = notification_id"
    )
    for attempt in found:
        moments = [
            attempt[name] for name in ("first_tried_at", "claimed_at", "in_data_at", "ended_at") if attempt[name]
        ]
        assert moments == sorted(moments), attempt


async def test_a_mail_claimed_while_its_cancel_waited_ended_no_earlier_than_it_began(world: World) -> None:
    """The planner read its clock before it had the locks."""
    await world.reminder()
    async with world.database.transaction() as tx:
        await ledger.claim(tx, world.system.now(), limit=1, lease_seconds=60, worker="quicker")
    world.system.advance(seconds=-0.1)
    await world.feed("compliance", fulfilled())
    (attempt,) = await world.attempts()
    assert attempt["outcome"] == "cancelled"
    assert attempt["ended_at"] == attempt["claimed_at"]


async def test_what_is_put_off_by_rule_keeps_its_time(world: World, smtp: FakeSmtp) -> None:
    await world.reminder()
    smtp.script["RCPT"].extend([Answer(450)] * 2)
    dispatcher = world.dispatcher(smtp, sweep_seconds=0)
    await dispatcher.round()
    first = (await world.one())["due_at"]
    await dispatcher.round()
    assert (await world.one())["due_at"] == first
    assert first - world.system.now() > timedelta(seconds=10)


async def test_without_bringing_forward_a_mail_waits_for_the_hour(
    world: World, smtp: FakeSmtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""

    async def nothing(*arguments: object, **options: object) -> int:
        return 0

    monkeypatch.setattr(dispatcher, "bring_forward", nothing)
    await world.reminder()
    assert not await sent_within(world, smtp, 60)
