"""I5 holds when a dispatcher dies in any state of a mail, when its leases expire, and beside other dispatchers.

The negative control shows what committing in_data before DATA protects from.
"""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.notifier.channels.dispatcher import At
from services.notifier.channels.outcome_writer import OutcomeWriter
from services.notifier.delivery.ledger import ClaimedMail
from tests.fakes.smtp import Answer, FakeSmtp
from tests.integration.notifier.rig import (
    Crashed,
    World,
    due_soon,
    eventually,
    fulfilled,
    i5_violations,
    registry,
)


def crash_at(state: str) -> At:
    """Die when a mail first reaches the state."""

    def at(reached: str, notification: UUID) -> None:
        if reached == state:
            raise Crashed(state)

    return at


@pytest.mark.parametrize("state", ["claimed", "before_mark"])
async def test_a_crash_before_data_is_tried_again_and_sent_once(world: World, smtp: FakeSmtp, state: str) -> None:
    await world.reminder()
    await world.crash(world.dispatcher(smtp, at=crash_at(state)))
    assert (await world.one())["state"] == "claimed"
    successor = world.dispatcher(smtp, worker="successor")
    assert await successor.round() == 0, "the lease still holds"
    world.system.advance(seconds=121)
    await world.drain(successor)
    row = await world.one()
    assert (row["state"], row["unknowns"], row["attempts"]) == ("sent", 0, 2)
    assert [attempt["outcome"] for attempt in await world.attempts()] == ["expired", "sent"]
    assert list(smtp.times_accepted().values()) == [1]


async def test_a_crash_in_data_before_the_body_is_unknown_and_resent_once(world: World, smtp: FakeSmtp) -> None:
    await world.reminder()
    await world.crash(world.dispatcher(smtp, at=crash_at("in_data")))
    assert (await world.one())["state"] == "in_data"
    assert smtp.accepted == []
    world.system.advance(seconds=121)
    await world.drain(world.dispatcher(smtp))
    row = await world.one()
    assert (row["state"], row["unknowns"]) == ("sent", 1)
    assert list(smtp.times_accepted().values()) == [1]
    assert await i5_violations(world, smtp) == []


async def test_a_crash_between_acceptance_and_its_record_is_unknown_counted_and_resent_once(
    world: World, smtp: FakeSmtp
) -> None:
    await world.reminder()
    await world.crash(world.dispatcher(smtp, at=crash_at("answered")))
    assert (await world.one())["state"] == "in_data"
    world.system.advance(seconds=121)
    await world.drain(world.dispatcher(smtp))
    row = await world.one()
    assert (row["state"], row["unknowns"]) == ("sent", 1)
    assert list(smtp.times_accepted().values()) == [2], "one Message-ID, two copies, one counted doubt"
    assert await i5_violations(world, smtp) == []
    assert [event["outcome"] for event in await world.recorded()] == ["unknown", "sent"]


async def test_a_crash_right_after_the_outcome_was_handed_over_never_sends_undetected(
    world: World, smtp: FakeSmtp
) -> None:
    await world.reminder()
    await world.crash(world.dispatcher(smtp, at=crash_at("after_outcome")))
    world.system.advance(seconds=121)
    await world.drain(world.dispatcher(smtp))
    assert await i5_violations(world, smtp) == []


async def test_a_sender_that_dies_at_every_second_mail_leaves_every_mail_accounted_for(
    world: World, smtp: FakeSmtp
) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", *(due_soon(period=f"2026-M{month:02d}") for month in range(1, 13)))
    reached = 0

    def at(state: str, notification: UUID) -> None:
        nonlocal reached
        reached += 1
        if reached % 7 == 0:
            raise Crashed(state)

    for _ in range(60):
        dispatcher = world.dispatcher(smtp, at=at, claim=3)
        try:
            await dispatcher.round()
        except Crashed:
            dispatcher.abandon()
        world.system.advance(seconds=70)
    await world.drain(world.dispatcher(smtp))
    rows = await world.ledger()
    assert len(rows) == 12
    assert {row["state"] for row in rows} <= {"sent", "unknown"}
    assert await i5_violations(world, smtp) == []


class Careless(OutcomeWriter):
    """The protection switched off: DATA begins without a committed in_data."""

    async def mark_in_data(self, claimed: ClaimedMail) -> bool:
        return True


async def test_without_in_data_a_crash_sends_twice_and_nobody_notices(world: World, smtp: FakeSmtp) -> None:
    await world.reminder()
    await world.crash(world.dispatcher(smtp, at=crash_at("answered"), outcomes=Careless))
    world.system.advance(seconds=121)
    await world.drain(world.dispatcher(smtp, outcomes=Careless))
    row = await world.one()
    assert (row["state"], row["unknowns"]) == ("sent", 0)
    assert list(smtp.times_accepted().values()) == [2]
    assert await i5_violations(world, smtp) == ["due_soon: 2 copies, 1..1 allowed (sent)"]


class AnswerLost(OutcomeWriter):
    """Every commit succeeds, and the news of it is lost the first time."""

    _lost = False

    async def _once(self, calls: Any) -> set[UUID]:
        held = await super()._once(calls)
        self._lost = not self._lost
        if self._lost:
            raise ConnectionError("the answer to COMMIT is lost")
        return held


@pytest.mark.parametrize("verb", ["none", "RCPT", "BODY"])
async def test_a_commit_whose_answer_is_lost_changes_nothing(world: World, smtp: FakeSmtp, verb: str) -> None:
    await world.reminder()
    smtp.script[verb].append(Answer(450))
    await world.drain(world.dispatcher(smtp, outcomes=AnswerLost))
    assert (await world.one())["state"] == "sent"
    assert list(smtp.times_accepted().values()) == [1]
    outcomes = [(attempt["outcome"], attempt["late"]) for attempt in await world.attempts()]
    assert outcomes == [("retry", False)] * (verb != "none") + [("sent", False)]
    assert len(await world.recorded()) == 1


async def test_a_database_that_drops_its_connections_is_waited_out(world: World, smtp: FakeSmtp) -> None:
    await world.reminder()
    gate = smtp.hold("RCPT")
    sending = world.dispatcher(smtp)
    await sending.start()
    await gate.reached.wait()
    async with world.database.transaction() as tx:
        await tx.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    gate.open.set()
    await eventually(lambda: world.rows("SELECT 1 FROM notifications WHERE state = 'sent'"), seconds=30)
    await sending.stop()
    assert list(smtp.times_accepted().values()) == [1]


async def test_a_late_sent_of_an_expired_lease_settles_the_doubt_and_stops_the_resend(
    world: World, smtp: FakeSmtp
) -> None:
    await world.reminder()
    gate = smtp.hold("BODY")
    slow = asyncio.create_task(world.dispatcher(smtp, worker="slow").round())
    await gate.reached.wait()
    world.system.advance(seconds=121)
    other = world.dispatcher(smtp, worker="other")
    await other.round()
    assert (await world.one())["state"] == "unknown"
    gate.open.set()
    await slow
    row = await world.one()
    assert (row["state"], row["due_at"], row["unknowns"]) == ("sent", None, 1)
    (attempt,) = await world.attempts()
    assert (attempt["outcome"], attempt["late"]) == ("sent", True)
    world.system.advance(days=1)
    assert await other.round() == 0
    assert list(smtp.times_accepted().values()) == [1]
    assert [(attempt["outcome"], attempt["version"]) for attempt in await world.recorded()] == [
        ("unknown", 1),
        ("sent", 2),
    ]


async def test_a_late_sent_takes_the_mail_from_a_successor_that_has_not_begun_data(
    world: World, smtp: FakeSmtp
) -> None:
    await world.reminder()
    gate = smtp.hold("BODY")
    slow = asyncio.create_task(world.dispatcher(smtp, worker="slow").round())
    await gate.reached.wait()
    world.system.advance(seconds=121)
    await world.dispatcher(smtp).round()  # unknown now
    world.system.advance(seconds=61)
    before_data = smtp.hold("RCPT")
    successor = asyncio.create_task(world.dispatcher(smtp, worker="successor").round())
    await before_data.reached.wait()
    gate.open.set()
    await slow
    before_data.open.set()
    await successor
    assert list(smtp.times_accepted().values()) == [1]
    assert (await world.one())["state"] == "sent"
    assert [attempt["outcome"] for attempt in await world.attempts()] == ["sent", "cancelled"]


async def test_a_late_sent_beside_a_resend_that_went_out_is_recorded_as_what_it_is(
    world: World, smtp: FakeSmtp
) -> None:
    await world.reminder()
    gate = smtp.hold("BODY")
    slow = asyncio.create_task(world.dispatcher(smtp, worker="slow").round())
    await gate.reached.wait()
    world.system.advance(seconds=121)
    await world.dispatcher(smtp).round()
    world.system.advance(seconds=61)
    await world.dispatcher(smtp).round()
    assert (await world.one())["state"] == "sent"
    gate.open.set()
    await slow
    assert [(attempt["outcome"], attempt["late"]) for attempt in await world.attempts()] == [
        ("sent", True),
        ("sent", False),
    ]
    assert list(smtp.times_accepted().values()) == [2]
    assert await i5_violations(world, smtp) == []
    assert len(await world.recorded()) == 2, "the late one adds no third event"


async def test_a_lease_lost_before_data_sends_nothing(world: World, smtp: FakeSmtp) -> None:
    await world.reminder()
    gate = smtp.hold("RCPT")
    slow = asyncio.create_task(world.dispatcher(smtp, worker="slow").round())
    await gate.reached.wait()
    world.system.advance(seconds=121)
    await world.dispatcher(smtp, worker="other").round()
    gate.open.set()
    await slow
    assert list(smtp.times_accepted().values()) == [1]
    assert [attempt["outcome"] for attempt in await world.attempts()] == ["expired", "sent"]


async def test_a_fulfilment_takes_a_claimed_mail_from_its_sender(world: World, smtp: FakeSmtp) -> None:
    await world.reminder()
    gate = smtp.hold("RCPT")
    sending = asyncio.create_task(world.dispatcher(smtp).round())
    await gate.reached.wait()
    await world.feed("compliance", fulfilled())
    gate.open.set()
    await sending
    row = await world.one()
    assert (row["state"], row["reason"]) == ("cancelled", "fulfilled")
    assert smtp.accepted == []
    (attempt,) = await world.attempts()
    assert attempt["outcome"] == "cancelled"


async def test_a_fulfilment_leaves_a_mail_in_data_to_its_end(world: World, smtp: FakeSmtp) -> None:
    await world.reminder()
    gate = smtp.hold("BODY")
    sending = asyncio.create_task(world.dispatcher(smtp).round())
    await gate.reached.wait()
    await world.feed("compliance", fulfilled())
    gate.open.set()
    await sending
    assert (await world.one())["state"] == "sent"


async def test_a_fulfilment_stops_the_resend_of_an_unknown_mail_and_keeps_the_doubt(
    world: World, smtp: FakeSmtp
) -> None:
    await world.reminder()
    await world.crash(world.dispatcher(smtp, at=crash_at("answered")))
    world.system.advance(seconds=121)
    await world.dispatcher(smtp).round()
    await world.feed("compliance", fulfilled())
    row = await world.one()
    assert (row["state"], row["due_at"], row["unknowns"]) == ("unknown", None, 1)
    world.system.advance(days=1)
    assert await world.dispatcher(smtp).round() == 0


async def test_four_senders_share_the_queue_and_send_each_mail_once(world: World, smtp: FakeSmtp) -> None:
    await world.feed("registry", *registry())
    await world.feed(
        "compliance", *(due_soon(period=f"{year}-M{m:02d}") for year in range(2000, 2010) for m in (1, 2, 3))
    )
    dispatchers = [world.dispatcher(smtp, worker=f"w{number}", claim=4) for number in range(4)]
    for dispatcher in dispatchers:
        await dispatcher.start()
    await eventually(
        lambda: world.rows("SELECT 1 FROM notifications HAVING count(*) FILTER (WHERE state <> 'sent') = 0")
    )
    await asyncio.gather(*(dispatcher.stop() for dispatcher in dispatchers))
    assert len(smtp.accepted) == 30
    assert set(smtp.times_accepted().values()) == {1}
    assert len({attempt["worker"] for attempt in await world.attempts()}) > 1, "the work was shared"


async def test_a_stop_finishes_the_mail_under_way_and_gives_the_others_back(world: World, smtp: FakeSmtp) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", *(due_soon(period=f"2026-M{month:02d}") for month in range(1, 11)))
    gate = smtp.hold("BODY")
    dispatcher = world.dispatcher(smtp, connections=1)
    await dispatcher.start()
    await gate.reached.wait()
    stopping = asyncio.create_task(dispatcher.stop())
    await asyncio.sleep(0)
    gate.open.set()
    await stopping
    states = [row["state"] for row in await world.ledger()]
    assert states.count("sent") == len(smtp.accepted) == 1
    assert states.count("retry") == 10 - len(smtp.accepted)
    assert not await world.rows("SELECT 1 FROM notifications WHERE token IS NOT NULL")
    await world.drain(world.dispatcher(smtp))
    assert set(smtp.times_accepted().values()) == {1}
    assert len(smtp.accepted) == 10


async def test_system_time_that_jumps_an_hour_either_way_sends_nothing_twice(world: World, smtp: FakeSmtp) -> None:
    await world.reminder()
    gate = smtp.hold("RCPT")
    sending = asyncio.create_task(world.dispatcher(smtp).round())
    await gate.reached.wait()
    world.system.advance(seconds=3600)
    await world.dispatcher(smtp, worker="other").round()
    world.system.advance(seconds=-7200)
    gate.open.set()
    await sending
    world.system.advance(seconds=7200)
    await world.drain(world.dispatcher(smtp))
    assert list(smtp.times_accepted().values()) == [1]
    assert await i5_violations(world, smtp) == []


@pytest.mark.parametrize(
    "change",
    [
        "token = gen_random_uuid()",
        "lease_until = now()",
        "state = 'claimed', due_at = NULL",
        "state = 'in_data', due_at = NULL, token = gen_random_uuid()",
        "due_at = NULL",
        "state = 'sent'",
        "state = 'failed', due_at = NULL",
        "state = 'unknown', reason = 'x'",
        "state = 'lost', due_at = NULL",
        "recipient = NULL",
    ],
)
async def test_postgresql_refuses_states_that_mean_nothing(world: World, smtp: FakeSmtp, change: str) -> None:
    await world.reminder()

    async def break_it() -> Any:
        async with world.database.transaction() as tx:
            await tx.execute(text(f"UPDATE notifications SET {change}"))

    with pytest.raises(IntegrityError):
        await break_it()
