"""SMTP faults at every verb: a certain failure is tried again or has failed, an uncertain one is unknown, I5 holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.notifier.channels.seam import Outage
from tests.fakes.smtp import AcceptThenDrop, AcceptThenHang, Act, Answer, Drop, FakeSmtp, Garbage, Hang, Slow
from tests.integration.notifier.rig import World, eventually, i5_violations


async def test_a_mail_is_sent_once_and_the_ledger_says_so(world: World, smtp: FakeSmtp) -> None:
    await world.reminder()
    await world.drain(world.dispatcher(smtp))
    row = await world.one()
    assert (row["state"], row["attempts"], row["unknowns"]) == ("sent", 1, 0)
    assert list(smtp.times_accepted().values()) == [1]
    (attempt,) = await world.attempts()
    assert (attempt["outcome"], attempt["smtp_code"], attempt["late"]) == ("sent", 250, False)
    assert attempt["in_data_at"] is not None
    (event,) = await world.recorded()
    assert (event["outcome"], event["step"], event["version"]) == ("sent", "due_soon", 1)
    assert event["message_id"] == row["message_id"]
    (taken,) = smtp.accepted
    assert taken.recipient == "dept-named@h99.example"
    assert str(taken.message["Subject"]).startswith("[Sắp đến hạn] Báo cáo tháng, tháng 10/2026")


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "BODY"])
@pytest.mark.parametrize("code", [421, 450, 451])
async def test_a_4xx_is_tried_again_and_sent_exactly_once(world: World, smtp: FakeSmtp, verb: str, code: int) -> None:
    await world.reminder()
    smtp.script[verb].append(Answer(code))
    await world.drain(world.dispatcher(smtp))
    row = await world.one()
    assert (row["state"], row["unknowns"], row["refusals"]) == ("sent", 0, 0)
    assert list(smtp.times_accepted().values()) == [1]
    first = (await world.attempts())[0]
    assert first["outcome"] == "retry"
    assert (await i5_violations(world, smtp)) == []


@pytest.mark.parametrize("verb", ["RCPT", "DATA", "BODY"])
async def test_a_5xx_about_the_mail_has_failed_with_the_answer_as_reason(
    world: World, smtp: FakeSmtp, verb: str
) -> None:
    await world.reminder()
    smtp.script[verb].append(Answer(550, "5.1.1 no such user"))
    await world.drain(world.dispatcher(smtp))
    row = await world.one()
    assert (row["state"], row["reason"]) == ("failed", "refused: 550 5.1.1 no such user")
    assert smtp.accepted == []
    (attempt,) = await world.attempts()
    assert (attempt["outcome"], attempt["smtp_code"]) == ("refused", 550)
    assert [event["outcome"] for event in await world.recorded()] == ["failed"]


async def test_the_policy_may_ask_for_a_second_5xx_before_a_mail_has_failed(world: World, smtp: FakeSmtp) -> None:
    world.policy = replace(world.policy, refusals=2)
    await world.reminder()
    smtp.script["RCPT"].extend([Answer(550), Answer(550)])
    dispatcher = world.dispatcher(smtp)
    await dispatcher.round()
    assert (await world.one())["state"] == "retry"
    await world.drain(dispatcher)
    assert (await world.one())["state"] == "failed"


async def test_a_5xx_about_our_own_address_fails_nothing(world: World, smtp: FakeSmtp) -> None:
    await world.reminder()
    smtp.script["MAIL"].extend([Answer(550)] * 3)
    await world.drain(world.dispatcher(smtp))
    row = await world.one()
    assert (row["state"], row["attempts"], row["refusals"]) == ("sent", 4, 0)


async def test_a_4xx_about_the_recipient_fails_only_after_the_retry_window(world: World, smtp: FakeSmtp) -> None:
    await world.reminder()
    smtp.script["RCPT"].extend([Answer(450)] * 3)
    dispatcher = world.dispatcher(smtp)
    await dispatcher.round()
    world.system.advance(days=2)
    await dispatcher.round()
    assert (await world.one())["state"] == "retry"
    world.system.advance(days=2)
    await dispatcher.round()
    row = await world.one()
    assert row["state"] == "failed"
    assert row["reason"].startswith("deferred too long: 450")


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("act", [Drop(), Hang(), Garbage()], ids=["drop", "hang", "garbage"])
async def test_trouble_before_the_body_is_certain_and_tried_again(
    world: World, smtp: FakeSmtp, verb: str, act: Act
) -> None:
    await world.reminder()
    smtp.script[verb].append(act)
    await world.drain(world.dispatcher(smtp, timeout_seconds=0.3))
    row = await world.one()
    assert (row["state"], row["unknowns"]) == ("sent", 0)
    assert list(smtp.times_accepted().values()) == [1]


@pytest.mark.parametrize(
    ("act", "copies"),
    [(Drop(), 1), (Hang(), 1), (AcceptThenDrop(), 2), (AcceptThenHang(), 2), (Garbage(), 2)],
    ids=["drop-during", "hang", "drop-after", "hang-after", "garbage"],
)
async def test_an_answer_lost_after_the_body_is_unknown_and_resent_once(
    world: World, smtp: FakeSmtp, act: Act, copies: int
) -> None:
    await world.reminder()
    smtp.script["BODY"].append(act)
    dispatcher = world.dispatcher(smtp, data_timeout_seconds=0.3)
    await dispatcher.round()
    row = await world.one()
    assert (row["state"], row["unknowns"]) == ("unknown", 1)
    assert [event["outcome"] for event in await world.recorded()] == ["unknown"]
    assert await dispatcher.round() == 0, "not before its time"
    await world.drain(dispatcher)
    row = await world.one()
    assert (row["state"], row["unknowns"], row["attempts"]) == ("sent", 1, 2)
    assert list(smtp.times_accepted().values()) == [copies], "the same Message-ID both times"
    assert len({taken.content for taken in smtp.accepted}) == 1, "and the same message"
    assert [(event["outcome"], event["version"]) for event in await world.recorded()] == [("unknown", 1), ("sent", 2)]
    assert [attempt["resend"] for attempt in await world.attempts()] == [False, True]
    assert await i5_violations(world, smtp) == []


async def test_twice_unknown_stays_unknown_and_is_not_sent_a_third_time(world: World, smtp: FakeSmtp) -> None:
    await world.reminder()
    smtp.script["BODY"].extend([AcceptThenDrop(), AcceptThenDrop()])
    dispatcher = world.dispatcher(smtp)
    await world.drain(dispatcher)
    world.system.advance(days=10)
    await dispatcher.round()
    row = await world.one()
    assert (row["state"], row["unknowns"], row["due_at"]) == ("unknown", 2, None)
    assert list(smtp.times_accepted().values()) == [2]
    assert await i5_violations(world, smtp) == []


async def test_a_refused_resend_is_not_called_failed(world: World, smtp: FakeSmtp) -> None:
    await world.reminder()
    smtp.script["BODY"].extend([AcceptThenDrop(), Answer(554, "duplicate")])
    await world.drain(world.dispatcher(smtp))
    row = await world.one()
    assert (row["state"], row["reason"]) == ("unknown", "refused: 554 duplicate")
    assert list(smtp.times_accepted().values()) == [1]


@pytest.mark.parametrize("act", [Answer(500), Drop(), Hang()], ids=["500", "drop", "hang"])
async def test_a_bad_quit_changes_nothing(world: World, smtp: FakeSmtp, act: Act) -> None:
    await world.reminder()
    smtp.script["QUIT"].append(act)
    dispatcher = world.dispatcher(smtp, timeout_seconds=0.3)
    await dispatcher.start()
    await eventually(lambda: world.rows("SELECT 1 FROM notifications WHERE state = 'sent'"))
    assert "QUIT" not in smtp.log, "sent is recorded before QUIT"
    await dispatcher.stop()
    assert "QUIT" in smtp.log
    assert (await world.one())["state"] == "sent"
    assert list(smtp.times_accepted().values()) == [1]


async def test_a_slow_server_is_waited_for(world: World, smtp: FakeSmtp) -> None:
    await world.reminder()
    for verb in ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "BODY"):
        smtp.script[verb].append(Slow(0.2))
    await world.drain(world.dispatcher(smtp))
    row = await world.one()
    assert (row["state"], row["attempts"], row["unknowns"]) == ("sent", 1, 0)


@pytest.mark.parametrize("act", [Answer(421), Answer(554), Drop(), Hang()], ids=["421", "554", "drop", "hang"])
async def test_a_server_that_greets_badly_is_waited_out_and_no_row_is_touched(
    world: World, smtp: FakeSmtp, act: Act
) -> None:
    await world.reminder()
    smtp.script["CONNECT"].extend([act] * 3)
    dispatcher = world.dispatcher(smtp, timeout_seconds=0.2, outage_seconds=0.02, outage_ceiling_seconds=0.05)
    await dispatcher.start()
    await eventually(lambda: world.rows("SELECT 1 FROM notifications WHERE state = 'sent'"))
    await dispatcher.stop()
    row = await world.one()
    assert row["attempts"] == 1, "the outage opened no attempt"
    assert smtp.connections >= 4


async def test_a_server_that_is_away_is_waited_out(
    world: World, smtp: FakeSmtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.reminder()
    await smtp.stop()
    dispatcher = world.dispatcher(smtp, outage_seconds=0.02, outage_ceiling_seconds=0.05)
    outages, once = 0, dispatcher.step

    async def counted() -> bool:
        nonlocal outages
        try:
            return await once()
        except Outage:
            outages += 1
            raise

    async def tried_thrice() -> bool:
        return outages >= 3

    monkeypatch.setattr(dispatcher, "step", counted)
    await dispatcher.start()
    await eventually(tried_thrice)
    row = await world.one()
    assert (row["state"], row["attempts"]) == ("pending", 0)
    await smtp.start()
    await eventually(lambda: world.rows("SELECT 1 FROM notifications WHERE state = 'sent'"))
    await dispatcher.stop()
    assert list(smtp.times_accepted().values()) == [1]


async def test_an_idle_connection_dropped_by_the_server_costs_no_attempt(world: World, smtp: FakeSmtp) -> None:
    from tests.integration.notifier.rig import due_soon

    await world.reminder()
    dispatcher = world.dispatcher(smtp, connections=1)
    await dispatcher.round()
    smtp.drop_connections()

    async def noticed() -> bool:
        return not dispatcher._connections[0].is_open

    await eventually(noticed)
    await world.feed("compliance", due_soon(period="2026-M11"))
    await dispatcher.round()
    assert [row["state"] for row in await world.ledger()] == ["sent", "sent"]
    assert [attempt["outcome"] for attempt in await world.attempts()] == ["sent", "sent"]
    assert smtp.connections == 2


async def test_one_refused_recipient_does_not_disturb_the_others_on_its_connection(
    world: World, smtp: FakeSmtp
) -> None:
    from tests.integration.notifier.rig import overdue, registry

    await world.feed("registry", *registry())
    await world.feed("compliance", overdue())
    smtp.refused["dept-named@h99.example"] = Answer(550, "unknown user")
    await world.drain(world.dispatcher(smtp, connections=1))
    states = {row["officer_id"]: row["state"] for row in await world.ledger()}
    assert states == {"dept-named": "failed", "dept-head": "sent"}
    assert smtp.connections == 1
    assert "RSET" in smtp.log


async def test_each_transaction_has_one_recipient(world: World, smtp: FakeSmtp) -> None:
    from tests.integration.notifier.rig import overdue, registry

    await world.tell_above_at_once()
    await world.feed("registry", *registry())
    await world.feed("compliance", overdue(), overdue(code="H99.X07"))
    await world.drain(world.dispatcher(smtp))
    commands = [line.split(" ")[0] for line in smtp.log if line.split(" ")[0] in ("RCPT", "DATA")]
    assert commands.count("RCPT") == commands.count("DATA") == len(smtp.accepted) == 4
