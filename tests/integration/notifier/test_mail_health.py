"""One mail's fault is its own, a strange answer loses no outcome, and readiness says whether mails get away."""

from __future__ import annotations

from dataclasses import replace
from email.errors import HeaderParseError
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from services.notifier.channels import dispatcher, health
from services.notifier.channels.dispatcher import MailDispatcher
from services.notifier.channels.email import smtp as email
from services.notifier.channels.health import MailHealth
from services.notifier.channels.outcome_writer import OutcomeWriter
from services.notifier.channels.seam import Connection, Outage
from services.notifier.delivery import ledger
from services.notifier.delivery.ledger import ClaimedMail
from services.notifier.delivery.states import MailAccepted, MailDeferred, MailRefused, MailUncertain, SendResult
from services.notifier.templates import Composer, Originator
from shared.contract.events.fields import MAX_NAME_CHARACTERS
from tests.fakes.smtp import Answer, FakeSmtp, Garbage, Hang
from tests.integration.notifier.rig import COMMUNE, World, due_soon, eventually, i5_violations, officer, registry


async def two_mails(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", due_soon(), due_soon(code=COMMUNE))


async def states(world: World) -> dict[str, str]:
    return {row["agency"]: row["state"] for row in await world.ledger()}


async def test_a_mail_that_meets_an_unforeseen_fault_has_failed_and_its_neighbour_goes_out(
    world: World, smtp: FakeSmtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    await two_mails(world)
    send = email.Connection.send

    async def faulty(self: email.Connection, by: str, recipient: str, *rest: Any, **given: Any) -> SendResult | None:
        if recipient.startswith("commune"):
            raise UnicodeEncodeError("ascii", "ấ", 0, 1, "ordinal not in range")
        return await send(self, by, recipient, *rest, **given)

    monkeypatch.setattr(email.Connection, "send", faulty)
    await world.dispatcher(smtp, connections=1).round()
    rows = {row["agency"]: row for row in await world.ledger()}
    assert {code: row["state"] for code, row in rows.items()} == {"H99.12": "sent", COMMUNE: "failed"}
    assert "UnicodeEncodeError" in rows[COMMUNE]["reason"]


async def test_the_control_without_isolation_the_fault_ends_the_round(
    world: World, smtp: FakeSmtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    await two_mails(world)

    async def faulty(*given: Any, **named: Any) -> SendResult | None:
        raise KeyError("unforeseen")

    monkeypatch.setattr(email.Connection, "send", faulty)
    monkeypatch.setattr(dispatcher, "is_infrastructure", lambda error: True)  # every fault is raised, as it was before
    with pytest.raises(KeyError):
        await world.dispatcher(smtp, connections=1).round()
    assert set((await states(world)).values()) == {"claimed"}


async def alter(world: World, change: str, **values: Any) -> None:
    async with world.database.transaction() as tx:
        await tx.execute(
            text(f"UPDATE notifications SET {change} WHERE agency = :agency"), {"agency": COMMUNE, **values}
        )


#: what composing may raise beyond what it foresees: the email package's own errors are no ValueErrors
UNFORESEEN = {"HeaderParseError": "@b", "AttributeError": "a@[1"}


@pytest.mark.parametrize(("error", "recipient"), UNFORESEEN.items())
async def test_a_letter_that_fails_in_an_unforeseen_way_stops_no_neighbour(
    world: World, smtp: FakeSmtp, error: str, recipient: str
) -> None:
    await two_mails(world)
    await alter(world, "recipient = :recipient", recipient=recipient)
    await world.dispatcher(smtp, connections=1).round()
    rows = {row["agency"]: row for row in await world.ledger()}
    assert {code: row["state"] for code, row in rows.items()} == {"H99.12": "sent", COMMUNE: "failed"}
    assert rows[COMMUNE]["reason"].startswith(f"unsendable: {error}")


async def test_the_control_an_error_that_composing_lets_through_ends_the_round_of_all(
    world: World, smtp: FakeSmtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    await two_mails(world)

    def compose(self: Composer, mail: ClaimedMail) -> bytes:
        return self.message(mail).as_bytes()

    monkeypatch.setattr(Composer, "compose", compose)
    await alter(world, "recipient = '@b', created_at = created_at - interval '1 s'")
    sending = world.dispatcher(smtp, connections=1)
    with pytest.raises(HeaderParseError):
        await sending.round()
    sending.abandon()
    assert set((await states(world)).values()) == {"claimed"}


#: bodies are whole, headers are short: folding one costs the square of its length
async def test_a_name_of_any_length_costs_little(world: World, smtp: FakeSmtp) -> None:
    await two_mails(world)
    composer = Composer(Originator("khong-tra-loi@thongsuot.example"))
    name = "a b " * 50_000  # 7 s of the event loop when the whole name was folded
    changed = "facts = jsonb_set(facts, '{recipient_name}', to_jsonb(CAST(:name AS text)))"
    await alter(world, changed, name=name)
    async with world.database.transaction() as tx:
        mails = await ledger.claim(tx, world.system.now(), lease_seconds=60, limit=2, worker="test")
    (mail,) = [mail for mail in mails if name == mail.facts["recipient_name"]]
    message = composer.message(mail)
    assert message["To"].addresses[0].display_name == name[:MAX_NAME_CHARACTERS].strip()
    text_body = message.get_body(("plain",))
    assert text_body is not None
    assert name.strip() in text_body.get_content()


@pytest.mark.parametrize("answer", ["999 x", "000 x", "354 go on", "25"])
async def test_a_last_answer_that_is_neither_yes_nor_no_leaves_the_mail_unknown(
    world: World, smtp: FakeSmtp, answer: str
) -> None:
    await world.reminder()
    smtp.script["BODY"].append(Garbage(f"{answer}\r\n".encode()))  # the fake has taken the message all the same
    await world.dispatcher(smtp).round()
    row = await world.one()
    assert (row["state"], row["unknowns"]) == ("unknown", 1)
    await world.drain(world.dispatcher(smtp))
    assert (await world.one())["state"] == "sent"
    assert await i5_violations(world, smtp) == []


async def many_to_a_silent_address(world: World, smtp: FakeSmtp, connections: int = 1) -> MailDispatcher:
    await world.feed("registry", *registry())
    months = [f"2026-M{month:02}" for month in range(1, 11)]
    await world.feed("compliance", *(due_soon(code=COMMUNE, period=month) for month in months))
    await world.feed("compliance", due_soon())
    smtp.refused["commune-any@h99.example"] = Hang()
    return world.dispatcher(smtp, connections=connections, timeout_seconds=0.5)


async def tried(world: World) -> int:
    """Letters that were given to the server and met silence."""
    return len(await world.rows("SELECT 1 FROM attempts WHERE outcome = 'retry' AND answer NOT LIKE 'not tried:%'"))


@pytest.mark.parametrize("connections", [1, 4])
async def test_an_address_that_meets_silence_is_tried_once_a_round(
    world: World, smtp: FakeSmtp, connections: int
) -> None:
    sending = await many_to_a_silent_address(world, smtp, connections)
    await sending.round()
    found = await world.rows("SELECT agency, state, count(*) FROM notifications GROUP BY 1, 2 ORDER BY 1")
    assert found == [
        {"agency": "H99.12", "state": "sent", "count": 1},
        {"agency": COMMUNE, "state": "retry", "count": 10},
    ]
    assert await tried(world) == 1
    smtp.refused.clear()
    await world.drain(sending)
    assert set((await states(world)).values()) == {"sent"}
    assert await i5_violations(world, smtp) == []


async def test_the_control_each_letter_to_it_would_cost_the_neighbours_a_timeout(
    world: World, smtp: FakeSmtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "_silence", lambda result: False)
    await (await many_to_a_silent_address(world, smtp)).round()
    assert await tried(world) == 10


async def a_letter_that_hangs(world: World, smtp: FakeSmtp, verb: str) -> MailDispatcher:
    """A running dispatcher whose only letter waits for the server's answer, for as long as the test may take."""
    await world.feed("registry", *registry())
    await world.feed("compliance", due_soon(code=COMMUNE))
    smtp.script[verb].append(Hang())
    sending = world.dispatcher(smtp, timeout_seconds=120, data_timeout_seconds=120)
    await sending.start()

    async def begun() -> bool:
        return not smtp.script[verb]

    await eventually(begun, seconds=30)
    return sending


@pytest.mark.parametrize(("verb", "state"), [("RCPT", "claimed"), ("BODY", "in_data")])
async def test_a_letter_planned_while_another_waits_for_its_answer_goes_out_at_once(
    world: World, smtp: FakeSmtp, verb: str, state: str
) -> None:
    sending = await a_letter_that_hangs(world, smtp, verb)
    await world.feed("compliance", due_soon())

    async def sent() -> bool:
        return (await states(world))["H99.12"] == "sent"

    await eventually(sent, seconds=30)
    assert (await states(world))[COMMUNE] == state  # it still hangs
    await smtp.stop()
    await sending.stop()
    assert await i5_violations(world, smtp) == []


async def test_the_control_where_rounds_wait_for_their_slowest_letter_it_does_not(
    world: World, smtp: FakeSmtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, looks = MailDispatcher._wanted, 0

    async def between_rounds(self: MailDispatcher) -> list[Connection]:
        nonlocal looks
        looks += 1
        return [] if self._at_work else await wanted(self)

    monkeypatch.setattr(MailDispatcher, "_wanted", between_rounds)
    sending = await a_letter_that_hangs(world, smtp, "RCPT")
    await world.feed("compliance", due_soon())
    before = looks

    async def looked_again() -> bool:
        return looks > before + 20

    await eventually(looked_again, seconds=30)
    assert set((await states(world)).values()) == {"pending", "claimed"}
    await smtp.stop()
    await sending.stop()


async def test_bad_addresses_known_as_such_leave_a_connection_to_the_others(world: World, smtp: FakeSmtp) -> None:
    await world.feed("registry", *registry(), *(officer(f"bad-{number}", COMMUNE) for number in range(4)))
    await world.feed("compliance", *(due_soon(code=COMMUNE, period=f"2026-M0{month}") for month in range(1, 5)))
    async with world.database.transaction() as tx:
        await tx.execute(text("UPDATE notifications SET recipient = 'bad-' || period || '@h99.example'"))
    for row in await world.ledger():
        smtp.refused[row["recipient"]] = Hang()
    sending = world.dispatcher(smtp, connections=2, timeout_seconds=0.3)
    await sending.round()
    assert set((await states(world)).values()) == {"retry"}
    world.system.advance(seconds=60)  # all are due again
    await world.feed("compliance", due_soon())
    for connection in sending._connections:
        assert isinstance(connection, email.Connection)
        connection._server = replace(connection._server, timeout_seconds=120)
    await sending.start()

    async def sent() -> bool:
        return (await states(world))["H99.12"] == "sent"

    await eventually(sent, seconds=30)
    assert await world.rows("SELECT 1 FROM notifications WHERE token IS NOT NULL")  # one of them hangs
    await smtp.stop()
    await sending.stop()


async def test_an_answer_that_is_no_utf8_is_recorded_and_costs_no_outcome(world: World, smtp: FakeSmtp) -> None:
    await two_mails(world)
    smtp.script["RCPT"].append(Garbage(b"550 5.1.1 kh\xf4ng c\xf3 h\xf2m th\xb0\r\n"))
    await world.drain(world.dispatcher(smtp, connections=2))
    assert sorted((await states(world)).values()) == ["failed", "sent"]
    (failed,) = [row for row in await world.ledger() if row["state"] == "failed"]
    assert failed["reason"].startswith("refused: 550")


async def test_an_outcome_that_cannot_be_written_costs_no_neighbour_its_own(world: World, smtp: FakeSmtp) -> None:
    await two_mails(world)

    class Spoiled(OutcomeWriter):
        async def _once(self, calls: list[Any]) -> set[UUID]:
            if any(call.result is not None and call.claimed.recipient.startswith("commune") for call in calls):
                raise ValueError("no column holds this")
            return await super()._once(calls)

    with pytest.raises(ValueError, match="no column"):
        await world.dispatcher(smtp, outcomes=Spoiled).round()
    assert await states(world) == {"H99.12": "sent", COMMUNE: "in_data"}


async def test_readiness_tells_an_outage_and_is_lost_only_while_mails_wait_in_vain(
    world: World, smtp: FakeSmtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(health, "monotonic_seconds", lambda: now[0])
    await two_mails(world)
    sending = world.dispatcher(smtp, smtp_patience_seconds=300)
    smtp.script["CONNECT"].extend([Answer(421)] * 50)
    await sending.start()

    def check() -> Any:
        return sending.checks()["mail server"]

    async def told() -> bool:
        return "WARNING no mail has been accepted" in check().detail

    await eventually(told)
    assert check().ok
    now[0] += 301
    assert not check().ok
    assert sending.pulses[0].check().ok  # waiting is what the loop should do now
    smtp.script["CONNECT"].clear()

    async def sent() -> bool:
        return set((await states(world)).values()) == {"sent"} and bool(check().ok)

    await eventually(sent, seconds=30)
    assert check().detail == "the last was sent 0 s ago"
    await sending.stop()


@pytest.mark.parametrize(
    ("result", "works"),
    [
        (MailAccepted(250, "ok"), True),
        (MailRefused("rcpt", 550, "unknown user"), True),
        (MailDeferred("rcpt", 450, "greylisted"), True),
        (MailDeferred("mail", 550, "your address is not allowed"), False),
        (MailDeferred("mail", None, "connection lost"), False),
    ],
)
def test_what_shows_that_the_server_works(result: SendResult, works: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(health, "monotonic_seconds", lambda: now[0])
    mails = MailHealth(patience_seconds=60)
    mails.ended("a@h99.example", result)
    now[0] += 61
    assert mails.check().ok is works
    mails.nothing_due()
    assert mails.check().ok


SILENCE: list[SendResult] = [
    MailDeferred("rcpt", None, "no answer"),
    MailDeferred("data", None, "lost"),
    MailUncertain("no answer"),
]


@pytest.mark.parametrize("result", SILENCE, ids=["rcpt", "data", "body"])
def test_silence_about_addresses_is_the_servers_only_where_several_new_ones_meet_it(
    result: SendResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(health, "monotonic_seconds", lambda: now[0])
    mails = MailHealth(patience_seconds=60)

    def ready_after(*silent: str) -> bool:
        for name in silent:
            mails.ended(f"{name}@h99.example", result)
        now[0] += 61
        return mails.check().ok

    assert ready_after("one", "one", "one", "one")
    assert ready_after("two")
    assert not ready_after("three")
    mails.ended("well@h99.example", MailAccepted(250, "ok"))
    assert ready_after("one", "two", "three")  # bad mailboxes, known from before
    assert ready_after("well", "four")
    assert not ready_after("five")


def test_a_server_that_is_back_and_meets_a_bad_address_is_no_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(health, "monotonic_seconds", lambda: now[0])
    mails = MailHealth(patience_seconds=60)
    mails.failed("connection refused")
    now[0] += 61
    assert not mails.check().ok
    mails.ended("one@h99.example", SILENCE[0])
    assert mails.check().ok


SILENT_OR_CLOSING = [Hang(), Answer(421, "4.3.2 not for this mailbox")]


async def only_a_bad_address(
    world: World, smtp: FakeSmtp, act: Hang | Answer, monkeypatch: pytest.MonkeyPatch
) -> MailDispatcher:
    """Several rounds in which the only mail due meets it; then the patience is over."""
    now = [0.0]
    monkeypatch.setattr(health, "monotonic_seconds", lambda: now[0])
    await world.reminder()
    smtp.refused[(await world.one())["recipient"]] = act
    sending = world.dispatcher(smtp, timeout_seconds=0.3, smtp_patience_seconds=300)
    for _ in range(3):
        await sending.round()
        world.system.advance(seconds=130)
        now[0] += 130
    assert (await world.one())["state"] == "retry"
    return sending


@pytest.mark.parametrize("act", SILENT_OR_CLOSING, ids=["silence", "421"])
async def test_one_bad_mailbox_is_no_outage_of_the_server(
    world: World, smtp: FakeSmtp, act: Hang | Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sending = await only_a_bad_address(world, smtp, act, monkeypatch)
    check = sending.checks()["mail server"]
    assert check.ok
    assert "1 of the addresses meet silence" in check.detail
    await sending.stop()


@pytest.mark.parametrize("act", SILENT_OR_CLOSING, ids=["silence", "421"])
async def test_the_control_counted_as_the_servers_one_bad_mailbox_looks_like_an_outage(
    world: World, smtp: FakeSmtp, act: Hang | Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "SILENT_ADDRESSES", 1)
    sending = await only_a_bad_address(world, smtp, act, monkeypatch)
    assert not sending.checks()["mail server"].ok
    await sending.stop()


async def test_an_outage_is_an_outage_and_no_fault_of_a_mail(world: World) -> None:
    await two_mails(world)
    async with FakeSmtp() as gone:
        pass
    with pytest.raises(Outage):
        await world.dispatcher(gone).round()
    assert set((await states(world)).values()) == {"pending"}
