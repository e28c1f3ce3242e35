"""Short texts through a fake gateway: what its answers make of them, and that its trouble delays no mail."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from services.notifier.channels.email.channel import email_channel
from services.notifier.channels.email.smtp import Server
from services.notifier.channels.gateway import http
from services.notifier.channels.gateway.channel import gateway_channel
from services.notifier.channels.gateway.file import read_gateways
from services.notifier.channels.gateway.texts import TextComposer
from services.notifier.channels.seam import Channel, Connection, Outage
from services.notifier.delivery.ledger import ClaimedMail
from services.notifier.delivery.next_channel import NextChannelSweep
from services.notifier.delivery.resending import ResendOrder, resend
from services.notifier.delivery.states import SendResult
from services.notifier.escalation import store as escalation_store
from services.notifier.escalation.sweep import EscalationSweep
from services.notifier.ladders.data import parse_ladder
from services.notifier.ladders.store import LadderShelf, load_ladders
from services.notifier.mailing.sweep import MailingSweep
from services.notifier.templates import Composer, Originator
from shared.contract.events import PersonRegistered
from shared.contract.events.registry import Contact
from tests.fakes.smtp import Answer, FakeSmtp
from tests.fakes.webhook import Receiver, receiver
from tests.integration.notifier.rig import (
    DEADLINE,
    DEFAULT_LADDER,
    DEPARTMENT,
    DOMAIN,
    World,
    eventually,
    fulfilled,
    officer,
    overdue,
    registry,
)
from tests.integration.notifier.test_escalations import CALENDAR

PHONE = "+84912345678"
FILE = """
gateways:
  - channel: sms
    url: URL
    headers: {X-Request: "{id}"}
    body:
      json: {to: "{to}", text: "{text}"}
    answers:
      - {status: 400, field: error, value: bad_number, means: bad_address}
    limits: {per_second: 1000}
    timeout_seconds: 0.5
    private_networks: 127.0.0.0/8
"""


def head(version: int = 1, *, phone: str = "0912 345 678", **changes: Any) -> PersonRegistered:
    """The head of the department, who is in its list of officers too, with a telephone."""
    contacts = (Contact(channel="phone", address=phone),) if phone else ()
    told = {"person_id": "dept-head", "agency": DEPARTMENT, "name": "Lê Văn Hà", "contacts": contacts}
    return PersonRegistered(**{**told, "version": version, **changes})


@pytest.fixture
async def sms() -> AsyncIterator[Receiver]:
    async with receiver() as made:
        yield made


def channel(world: World, sms: Receiver, *changes: tuple[str, str]) -> Channel:
    file = FILE.replace("URL", sms.url)
    for before, after in changes:
        assert before in file
        file = file.replace(before, after)
    (gateway,) = read_gateways("gateways.yaml", file.encode())
    return gateway_channel(gateway, world.system)


async def climbing(world: World, channels: str, *periods: str) -> None:
    """Reports become overdue, whose ladder tells the head of the department by these channels."""
    world.channels = frozenset({"sms"})
    body = DEFAULT_LADDER.replace("version: 2", "version: 9")
    body = body.replace("tell: head, channels: [email]", f"tell: head, channels: [{channels}]")
    assert f"[{channels}]" in body
    async with world.database.transaction() as tx:
        await load_ladders(tx, [parse_ladder("x", body.encode())])
    await world.feed("registry", *registry(), head())
    await world.feed("compliance", CALENDAR, *(overdue(period=period) for period in periods or ("2026-M10",)))


async def escalations(world: World) -> list[dict[str, Any]]:
    return await world.rows("SELECT * FROM notifications WHERE kind = 'escalation' ORDER BY id")


async def test_a_rung_that_names_sms_first_tells_by_a_text_and_by_no_letter(
    world: World, smtp: FakeSmtp, sms: Receiver
) -> None:
    await climbing(world, "sms, email")
    await world.texts(channel(world, sms)).round()
    await world.dispatcher(smtp).round()
    (row,) = await escalations(world)
    assert (row["channel"], row["recipient"], row["state"], row["next_channels"]) == ("sms", PHONE, "sent", ["email"])
    (received,) = sms.received
    said = json.loads(received.body)
    assert said["to"] == PHONE
    assert said["text"].startswith("Thong Suot: qua han 17:00 19/10/2026, chua nop: Bao cao thang, thang 10/2026.")
    assert received.headers["x-request"] == row["message_id"]
    assert "dept-head@h99.example" not in smtp.recipients()
    (attempt,) = await world.rows("SELECT * FROM attempts WHERE channel = 'sms'")
    assert (attempt["outcome"], attempt["smtp_code"], attempt["in_data_at"] is not None) == ("sent", 200, True)
    assert [event["outcome"] for event in await world.recorded() if event["kind"] == "escalation"] == ["sent"]
    # whoever was told by a text hears by a text that it is over
    await world.feed("compliance", fulfilled())
    await world.texts(channel(world, sms)).round()
    assert json.loads(sms.received[-1].body)["text"].startswith("Thong Suot: het qua han: Bao cao thang")


async def test_whoever_was_told_by_a_text_hears_by_letter_that_it_is_over_where_no_gateway_is_left(
    world: World, smtp: FakeSmtp, sms: Receiver
) -> None:
    await climbing(world, "sms")
    await world.texts(channel(world, sms)).round()
    world.channels = frozenset()
    await world.feed("compliance", fulfilled())
    [row] = await world.rows("SELECT * FROM notifications WHERE kind = 'resolved'")
    assert (row["channel"], row["recipient"], row["state"]) == ("email", "dept-head@h99.example", "pending")
    await world.dispatcher(smtp).round()
    assert smtp.recipients()[-1] == "dept-head@h99.example"


async def test_without_a_gateway_or_a_telephone_a_letter_tells(world: World) -> None:
    await climbing(world, "sms, email")
    await world.feed("registry", head(2, phone="no number"))
    await world.feed("compliance", overdue(period="2026-M11"))
    world.channels = frozenset()
    await world.feed("registry", head(3))
    await world.feed("compliance", overdue(period="2026-M12"))
    assert {row["period"]: row["channel"] for row in await escalations(world)} == {
        "2026-M10": "sms", "2026-M11": "email", "2026-M12": "email",
    }  # fmt: skip


@pytest.mark.parametrize("protected", [True, False], ids=["held", "control"])
async def test_a_letter_that_fails_is_followed_by_a_text_and_then_by_the_next_rung(
    world: World, smtp: FakeSmtp, sms: Receiver, monkeypatch: pytest.MonkeyPatch, protected: bool
) -> None:
    if not protected:  # a rung that is given up as soon as one of its channels has failed
        alone = "SELECT obligation, step, officer_id FROM notifications WHERE kind = 'escalation' AND state = 'failed'"
        monkeypatch.setattr(escalation_store, "_FAILED", text(f"{alone} AND obligation = ANY(:keys)"))
    await climbing(world, "email, sms")
    smtp.refused["dept-head@h99.example"] = Answer(550, "no such user")
    await world.dispatcher(smtp).round()
    letter, message = await escalations(world)
    assert (letter["channel"], letter["state"]) == ("email", "failed")
    assert (message["channel"], message["state"], message["recipient"]) == ("sms", "pending", PHONE)
    climb = EscalationSweep(world.business, world.system, LadderShelf(), message_id_domain=DOMAIN)

    async def moves() -> int:
        async with world.database.transaction() as tx:
            await climb.tick(tx)
        return len({row["step"] for row in await escalations(world) if row["officer_id"]})

    assert await moves() == (1 if protected else 2), "the person may still be told"
    if not protected:
        return
    sms.answer(400, body='{"error": "bad_number"}')
    await world.texts(channel(world, sms)).round()
    assert [row["state"] for row in await escalations(world)] == ["failed", "failed"]
    assert await moves() == 2, "nobody there was reached"
    await world.dispatcher(smtp).round()
    assert len(sms.received) == 1


@pytest.mark.parametrize(
    ("answer", "state", "unknowns"),
    [
        ((400, '{"error": "bad_number"}'), "failed", 0),
        ((400, "{}"), "retry", 0),
        ((401, ""), "retry", 0),
        ((302, ""), "retry", 0),
        ((429, ""), "retry", 0),
        ((503, ""), "retry", 0),
        ((500, ""), "unknown", 1),
        (None, "unknown", 1),  # silence
    ],
)
async def test_what_an_answer_makes_of_a_text(
    world: World, sms: Receiver, answer: tuple[int, str] | None, state: str, unknowns: int
) -> None:
    await climbing(world, "sms")
    if answer is None:
        sms.hang()
    else:
        sms.answer(answer[0], *(("location: http://127.0.0.1:1/",) if answer[0] == 302 else ()), body=answer[1])
    with suppress(Outage):  # what is about the gateway has it rest
        await world.texts(channel(world, sms)).round()
    (row,) = await escalations(world)
    assert (row["state"], row["unknowns"]) == (state, unknowns)
    assert len(sms.received) == 1
    if state == "unknown":  # sent once more, under the same id, and then no more
        for _ in range(3):
            world.system.advance(seconds=130)
            await world.texts(channel(world, sms)).round()
        assert [one.headers["x-request"] for one in sms.received] == [row["message_id"]] * 2
        (row,) = await escalations(world)
        assert (row["state"], row["unknowns"]) == ("sent", 1)


async def test_a_gateway_that_is_away_touches_no_row(world: World, sms: Receiver) -> None:
    await climbing(world, "sms")
    away = channel(world, sms, (sms.url, "http://127.0.0.1:9/x"))
    with pytest.raises(Outage):
        await world.texts(away).round()
    (row,) = await escalations(world)
    assert (row["state"], row["attempts"]) == ("pending", 0)


@pytest.mark.parametrize("reachable", [False, None], ids=["away", "not in the file"])
async def test_a_text_that_waits_an_hour_for_its_gateway_is_followed_by_a_letter(
    world: World, smtp: FakeSmtp, sms: Receiver, reachable: bool | None
) -> None:
    await climbing(world, "sms, email")
    sweep = NextChannelSweep(world.business, world.system, described=() if reachable is None else ("sms",))

    async def goes_on() -> int:
        if reachable is False:
            with pytest.raises(Outage):
                await world.texts(channel(world, sms, (sms.url, "http://127.0.0.1:9/x"))).round()
        async with world.database.transaction() as tx:
            return await sweep.tick(tx)

    world.system.advance(seconds=3500)
    assert await goes_on() == 0
    world.system.advance(seconds=200)
    assert await goes_on() == 1
    async with world.database.transaction() as tx:
        assert await sweep.tick(tx) == 0
    await world.dispatcher(smtp).round()
    told = [(row["channel"], row["state"]) for row in await escalations(world)]
    assert told == [("sms", "failed"), ("email", "sent")]
    outcomes = [event["outcome"] for event in await world.recorded() if event["kind"] == "escalation"]
    assert outcomes == ["failed", "sent"]
    # the gateway is there again: nobody is told twice
    await world.texts(channel(world, sms)).round()
    assert sms.received == []


async def test_a_text_alone_waits_for_its_gateway(world: World, sms: Receiver) -> None:
    await climbing(world, "sms")
    world.system.advance(seconds=86_400)
    async with world.database.transaction() as tx:
        assert await NextChannelSweep(world.business, world.system, described=("sms",)).tick(tx) == 0
    await world.texts(channel(world, sms)).round()
    assert [row["state"] for row in await escalations(world)] == ["sent"]


async def test_a_text_alone_whose_gateway_the_file_has_no_more_is_told_by_the_next_rung(world: World) -> None:
    """The control is above: a gateway that is only away is waited for."""
    await climbing(world, "sms")
    sweep = NextChannelSweep(world.business, world.system, described=())
    climb = EscalationSweep(world.business, world.system, LadderShelf(), message_id_domain=DOMAIN)
    for waited, failed in ((3500, 0), (200, 1)):
        world.system.advance(seconds=waited)
        async with world.database.transaction() as tx:
            assert await sweep.tick(tx) == failed
    (row,) = await escalations(world)
    assert (row["state"], row["reason"]) == ("failed", "no_gateway: waited too long")
    async with world.database.transaction() as tx:
        await climb.tick(tx)
    assert "overdue/rung-t+3d" in {row["step"] for row in await escalations(world)}, "the next rung is due at once"


async def test_after_a_retry_after_nothing_is_tried(world: World, sms: Receiver) -> None:
    await climbing(world, "sms", "2026-M10", "2026-M11")
    sms.answer(429, "retry-after: 600")
    sending = world.texts(channel(world, sms))
    with pytest.raises(Outage, match=r"rests for (600|599)"):
        await sending.round()
    assert len(await world.rows("SELECT 1 FROM attempts WHERE in_data_at IS NOT NULL")) == 1
    assert len(sms.received) == 1
    assert sending.checks()["sms gateway"].ok, "who is not reached by text is told by letter: the service is ready"


@pytest.mark.parametrize("protected", [True, False], ids=["held", "control"])
async def test_a_gateway_that_keeps_silent_rests_after_two_texts(
    world: World, sms: Receiver, monkeypatch: pytest.MonkeyPatch, protected: bool
) -> None:
    if not protected:
        monkeypatch.setattr(http, "SILENCES", 99)
    periods = [f"2026-M{month:02}" for month in range(1, 7)]
    await climbing(world, "sms", *periods)
    async with world.database.transaction() as tx:
        await tx.execute(text("UPDATE notifications SET recipient = '+849' || period WHERE channel = 'sms'"))
        await tx.execute(text("UPDATE notifications SET recipient = translate(recipient, 'M-', '12')"
                              " WHERE channel = 'sms'"))  # fmt: skip
    for _ in periods:
        sms.hang()
    with pytest.raises(Outage, match="rests") if protected else nullcontext():
        await world.texts(channel(world, sms)).round()
    states = [row["state"] for row in await escalations(world)]
    assert states.count("unknown") == (2 if protected else 6), "each further one would be left uncertain too"
    if protected:
        assert len(sms.received) == 2


async def test_no_more_than_a_day_allows(world: World, sms: Receiver) -> None:
    await climbing(world, "sms", "2026-M10", "2026-M11")
    limited = channel(world, sms, ("per_second: 1000", "per_second: 1000, a_day: 1"))
    for _ in range(2):
        with pytest.raises(Outage, match="used up"):
            await world.texts(limited).round()
    assert sorted(row["state"] for row in await escalations(world)) == ["pending", "sent"]
    world.system.advance(seconds=86400)
    with suppress(Outage):
        await world.texts(limited).round()
    assert [row["state"] for row in await escalations(world)] == ["sent", "sent"]


async def test_where_the_day_is_full_the_waits_grow(
    world: World, sms: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await climbing(world, "sms", "2026-M10", "2026-M11")
    sending = world.texts(channel(world, sms, ("per_second: 1000", "per_second: 1000, a_day: 1")), outage_seconds=1.0)
    waits: list[float] = []

    async def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 5:
            sending._stopping.set()

    monkeypatch.setattr(sending, "_pause", pause)
    await sending.run()
    assert len(sms.received) == 1
    assert waits[-1] > 4, "else it asks, and warns, each second until midnight"


async def test_a_person_hears_of_several_in_one_text_and_not_above_the_limit(world: World, sms: Receiver) -> None:
    await climbing(world, "sms", "2026-M10", "2026-M11")
    async with world.database.transaction() as tx:
        await tx.execute(_waiting())
    world.business.set(DEADLINE.replace(day=20, hour=9))
    sweep = MailingSweep(world.business, world.system, {"sms": 1})
    async with world.database.transaction() as tx:
        await sweep.tick(tx)
    await world.texts(channel(world, sms)).round()
    assert [row["state"] for row in await escalations(world)] == ["sent", "sent"]
    (received,) = sms.received
    assert json.loads(received.body)["text"].startswith("Thong Suot: 2 bao cao qua han.")
    await world.feed("compliance", overdue(period="2026-M12"))
    async with world.database.transaction() as tx:
        await tx.execute(_waiting())
        await sweep.tick(tx)
    (held,) = await world.rows("SELECT reason FROM notifications WHERE kind = 'escalation' AND state = 'waiting'")
    assert held["reason"] == "limit:1"


def _waiting() -> Any:
    """What is planned waits for its window, as it does where mails go out in office hours."""
    return text("""
        UPDATE notifications SET state = 'waiting', due_at = NULL, wait_until = created_at
         WHERE kind = 'escalation' AND state = 'pending'
    """)


async def test_who_has_left_has_no_number_in_the_ledger(world: World, sms: Receiver) -> None:
    await climbing(world, "sms")
    sms.answer(400, body='{"error": "bad_number", "of": "84 912 345 678"}')
    await world.texts(channel(world, sms)).round()
    await world.feed("registry", officer("dept-head", DEPARTMENT, "head", active=False, email="", version=2))
    await world.feed("registry", head(2, contacts=()))
    (row,) = await escalations(world)
    assert row["recipient"] == ""
    (attempt,) = await world.rows("SELECT answer FROM attempts WHERE channel = 'sms'")
    assert "912" not in str(attempt["answer"]) + str(row["reason"])
    async with world.database.transaction() as tx:
        (refused,) = await resend(
            tx, ResendOrder([row["id"]], "op", "why", to="a@h99.example"), now=world.system.now(), domain=DOMAIN
        )
    assert not refused.accepted
    assert "sms" in refused.en
    async with world.database.transaction() as tx:
        (again,) = await resend(
            tx, ResendOrder([row["id"]], "op", "why", to="0987 654 321"), now=world.system.now(), domain=DOMAIN
        )
    assert (again.accepted, again.recipient) == (True, "+84987654321")


def _unfit(channel: Channel) -> Channel:
    """The channel as one that can carry no text, however short its names."""
    return replace(channel, composer=TextComposer("ucs2", 1))


async def test_a_text_that_could_not_be_made_is_made_again_for_its_number(world: World, sms: Receiver) -> None:
    await climbing(world, "sms")
    await world.texts(_unfit(channel(world, sms))).round()
    (row,) = await escalations(world)
    assert (row["state"], row["reason"]) == ("failed", "unsendable: the text does not fit into 1 parts")
    await world.feed("registry", officer("dept-head", DEPARTMENT, "head", version=2))
    await world.texts(channel(world, sms)).round()
    (row,) = await escalations(world)
    assert (row["recipient"], row["state"]) == (PHONE, "sent")


async def test_what_the_next_channel_has_told_is_not_told_again(world: World, smtp: FakeSmtp, sms: Receiver) -> None:
    await climbing(world, "email, sms")
    async with world.database.transaction() as tx:  # a name that no header takes
        await tx.execute(
            text("""UPDATE notifications SET facts = facts || '{"recipient_name": "Lê\\nHà"}'
                                 WHERE kind = 'escalation'""")
        )
    await world.dispatcher(smtp).round()
    await world.texts(channel(world, sms)).round()
    await world.feed("registry", officer("dept-head", DEPARTMENT, "head", version=2))
    await world.dispatcher(smtp).round()
    told = [(row["channel"], row["state"]) for row in await escalations(world)]
    assert told == [("email", "failed"), ("sms", "sent")]


async def _mail_goes_out(world: World, smtp: FakeSmtp, seconds: float) -> None:
    async def told() -> bool:
        return "dept-named@h99.example" in smtp.recipients()

    await eventually(told, seconds=seconds)


HANGS = ("timeout_seconds: 0.5", "timeout_seconds: 30")


async def test_no_letter_waits_for_a_gateway_that_hangs(world: World, smtp: FakeSmtp, sms: Receiver) -> None:
    await climbing(world, "sms")
    sms.hang()
    texts, letters = world.texts(channel(world, sms, HANGS)), world.dispatcher(smtp)
    await texts.start()
    await eventually(_received(sms))
    await letters.start()
    try:
        await _mail_goes_out(world, smtp, 5)
    finally:
        await letters.stop()
        texts.abandon()
        texts._grace_seconds = 0.1
        await texts.stop()


class _ByAddress:
    """The control's connection: letters and texts take turns in it."""

    def __init__(self, letter: Connection, message: Connection) -> None:
        self._letter, self._message = letter, message

    is_open = True

    async def open(self) -> None:
        await self._letter.open()

    async def send(
        self,
        sender: str,
        recipient: str,
        message: bytes,
        before_data: Callable[[], Awaitable[bool]],
        *,
        message_id: str = "",
    ) -> SendResult | None:
        way = self._letter if "@" in recipient else self._message
        return await way.send(sender, recipient, message, before_data, message_id=message_id)

    async def close(self) -> None:
        await self._letter.close()

    def abandon(self) -> None:
        self._letter.abandon()


class _Both:
    sender_address = f"khong-tra-loi@{DOMAIN}"

    def __init__(self, letters: Composer, texts: Channel) -> None:
        self._letters, self._texts = letters, texts.composer

    def compose(self, mail: ClaimedMail) -> bytes:
        return (self._letters if "@" in mail.recipient else self._texts).compose(mail)


async def test_the_control_where_channels_share_a_connection_letters_wait(
    world: World, smtp: FakeSmtp, sms: Receiver
) -> None:
    await climbing(world, "sms")
    # one channel for both, as the claim would see them without its filter
    async with world.database.transaction() as tx:
        await tx.execute(text("UPDATE notifications SET channel = 'email', created_at = created_at - interval '1 hour'"
                              " WHERE channel = 'sms'"))  # fmt: skip
    sms.hang()
    message = channel(world, sms, HANGS)
    letters = email_channel(
        Composer(Originator(f"khong-tra-loi@{DOMAIN}")), Server("127.0.0.1", smtp.port, timeout_seconds=5), 1
    )
    both = _ByAddress(letters.connections[0], message.connections[0])
    mixed = replace(letters, connections=[both], composer=_Both(Composer(Originator(f"x@{DOMAIN}")), message))
    sending = world.texts(mixed)
    await sending.start()
    await eventually(_received(sms))
    try:
        with pytest.raises(AssertionError):
            await _mail_goes_out(world, smtp, 1)
    finally:
        sending.abandon()
        sending._grace_seconds = 0.1
        await sending.stop()


def _received(sms: Receiver) -> Callable[[], Awaitable[bool]]:
    async def some() -> bool:
        return bool(sms.received)

    return some


async def test_two_gateways_neither_sends_the_others_texts(world: World, sms: Receiver) -> None:
    await climbing(world, "sms")
    zalo = channel(world, sms, ("channel: sms", "channel: zalo"))
    await world.texts(zalo).round()
    assert sms.received == []
    assert (await escalations(world))[0]["state"] == "pending"
