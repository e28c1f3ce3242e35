"""Mailing rules on PostgreSQL: one mail tells of several matters, each keeps its row, and nothing untrue goes out."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from services.notifier.consumer import inbounds
from services.notifier.mailing import store
from services.notifier.mailing.commands import mailing, silences
from services.notifier.mailing.data import shipped_rules
from services.notifier.mailing.domain import Matter
from services.notifier.mailing.sweep import MailingSweep
from services.notifier.planning.handlers import PlanningContext
from shared.consuming.batch import Batch
from shared.contract.events import EventModel, PolicyLoaded
from shared.runtime.clock import LOCAL_ZONE
from tests.fakes.smtp import Answer, FakeSmtp
from tests.integration.notifier.rig import (
    DEADLINE,
    DEPARTMENT,
    DOMAIN,
    World,
    changed,
    due_soon,
    fulfilled,
    overdue,
    registry,
    verdict,
)
from tests.integration.notifier.test_escalations import CALENDAR, at

MORNING = datetime(2026, 10, 20, 8, 15, tzinfo=LOCAL_ZONE)
PERIODS = ("2026-M07", "2026-M08", "2026-M09")


async def feed(world: World, name: str, *events: EventModel) -> None:
    """As the rig's, with notices that wait."""
    context = PlanningContext(world.system, world.business, DOMAIN, waits=True)
    inbound = next(inbound for inbound in inbounds(context) if inbound.name == name)
    batch: Batch[Any] = Batch.of(events)
    async with world.database.transaction() as tx:
        await inbound.handle(batch, tx)


async def sweep(world: World, moment: datetime | None = None) -> None:
    """Business time is `moment`, and all that may go out by then is released."""
    if moment is not None:
        world.business.advance(seconds=(moment - world.business.now()).total_seconds())
    one = MailingSweep(world.business, world.system)
    for _ in range(10):
        async with world.database.transaction() as tx:
            if not await one.tick(tx):
                return
    raise AssertionError("the sweep does not come to rest")


async def three_late(world: World) -> None:
    """Three reports of one department are overdue at 17:00, so that its officer and its head hear of three each."""
    await feed(world, "registry", *registry())
    await feed(world, "compliance", CALENDAR, *(overdue(period=period) for period in PERIODS))
    await sweep(world)


async def states(world: World, officer: str = "dept-head") -> list[str]:
    return [row["state"] for row in await world.ledger() if row["officer_id"] == officer]


async def test_three_matters_of_the_night_go_out_in_one_mail_each_with_its_row(world: World, smtp: FakeSmtp) -> None:
    await three_late(world)
    rows = [row for row in await world.ledger() if row["officer_id"] == "dept-head"]
    assert {(row["state"], row["reason"], row["wait_until"]) for row in rows} == {
        ("waiting", "quiet_until:2026-10-20T08:15:00+07:00", MORNING)
    }
    await world.drain(world.dispatcher(smtp))
    assert smtp.accepted == [], "nothing goes out in the night"
    await sweep(world, MORNING)
    await world.drain(world.dispatcher(smtp))
    assert sorted(mail.recipient for mail in smtp.accepted) == ["dept-head@h99.example", "dept-named@h99.example"]
    rows = [row for row in await world.ledger() if row["officer_id"] == "dept-head"]
    assert {row["state"] for row in rows} == {"sent"}
    (carrier,) = {row["mail_id"] for row in rows}
    assert carrier in {row["id"] for row in rows}
    assert {row["held"] for row in rows} == {"quiet_until:2026-10-20T08:15:00+07:00"}
    letter = next(mail for mail in smtp.accepted if mail.recipient == "dept-head@h99.example").message
    assert str(letter["Subject"]) == "[Tổng hợp] 3 báo cáo quá hạn"
    body = letter.get_body(("plain",))
    assert body is not None
    assert all(f"{DEPARTMENT}/BC-THANG/{period}" in body.get_content() for period in PERIODS)
    events = [event for event in await world.recorded() if event["officer_id"] == "dept-head"]
    assert {event["outcome"] for event in events} == {"sent"}
    assert len(events) == 3, "scoring and intake hear of each matter"
    assert {event["message_id"] for event in events} == {str(letter["Message-ID"])}


@pytest.mark.parametrize("protected", [True, False], ids=["held", "control"])
async def test_where_too_much_waits_nobody_gets_two_letters_in_one_window(
    world: World, monkeypatch: pytest.MonkeyPatch, protected: bool
) -> None:
    """Officer and head have three matters each; four are looked at in one transaction."""
    monkeypatch.setattr(store, "MATTERS_AT_ONCE", 4)
    if not protected:  # by age alone, whoever's they are
        monkeypatch.setattr(
            store, "_WAITING", text(store._WAITING.text.replace("n.officer_id, n.id LIMIT", "n.id LIMIT"))
        )
    await feed(world, "registry", *registry())
    await feed(world, "compliance", CALENDAR, *(overdue(period=period) for period in PERIODS))
    await sweep(world, MORNING)
    letters = await world.rows(
        "SELECT officer_id, count(DISTINCT coalesce(mail_id, id)) AS letters, count(*) AS matters FROM notifications"
        " WHERE released_at IS NOT NULL GROUP BY officer_id ORDER BY officer_id"
    )
    assert [row["matters"] for row in letters] == [3, 3]
    assert ([row["letters"] for row in letters] == [1, 1]) is protected


async def test_one_matter_alone_is_its_own_letter_and_an_answer_waits_for_nothing(world: World, smtp: FakeSmtp) -> None:
    await feed(world, "registry", *registry())
    await feed(world, "compliance", CALENDAR, overdue())
    await feed(world, "verdicts", verdict(period="2026-M09"))
    await sweep(world)
    await world.drain(world.dispatcher(smtp))
    assert [str(mail.message["Subject"])[:9] for mail in smtp.accepted] == ["[Trả lại]"]
    await sweep(world, MORNING)
    await world.drain(world.dispatcher(smtp))
    assert len(smtp.accepted) == 3
    assert all(row["mail_id"] is None for row in await world.ledger())


async def test_a_matter_that_is_over_takes_the_unsent_letter_apart(world: World, smtp: FakeSmtp) -> None:
    await three_late(world)
    await sweep(world, MORNING)
    await feed(world, "compliance", fulfilled(period=PERIODS[0], at=MORNING))
    assert sorted(await states(world)) == ["cancelled", "waiting", "waiting"]
    assert {row["outcome"] for row in await world.attempts()} == set()
    await sweep(world)
    await world.drain(world.dispatcher(smtp))
    letter = next(mail for mail in smtp.accepted if mail.recipient == "dept-head@h99.example").message
    assert str(letter["Subject"]) == "[Tổng hợp] 2 báo cáo quá hạn"
    assert sorted(await states(world)) == ["cancelled", "sent", "sent"]


async def test_a_matter_that_is_over_after_the_letter_left_stays_as_sent(world: World, smtp: FakeSmtp) -> None:
    await three_late(world)
    await sweep(world, MORNING)
    await world.drain(world.dispatcher(smtp))
    world.business.advance(seconds=60)
    await feed(world, "compliance", fulfilled(period=PERIODS[0], at=MORNING))
    await sweep(world)
    assert await states(world) == ["sent", "sent", "sent", "waiting"], "that it is over waits for the afternoon"


@pytest.mark.parametrize(("code", "state"), [(550, "failed"), (450, "sent")])
async def test_what_becomes_of_the_mail_becomes_of_each_matter(
    world: World, smtp: FakeSmtp, code: int, state: str
) -> None:
    await three_late(world)
    await at(world, DEADLINE)
    await sweep(world, MORNING)
    smtp.script["RCPT"] += [Answer(code, "no such mailbox")] * 2
    await world.drain(world.dispatcher(smtp))
    assert set(await states(world)) == {state}
    if state == "failed":
        assert len([event for event in await world.recorded() if event["outcome"] == "failed"]) == 6
        (due,) = {row["next_at"] for row in await world.rows("SELECT next_at FROM escalations")}
        assert due == MORNING, "whoever is above is told sooner"


async def test_a_lease_that_runs_out_in_data_leaves_each_matter_unknown(world: World) -> None:
    await three_late(world)
    await sweep(world, MORNING)
    async with world.database.transaction() as tx:
        await tx.execute(
            text(
                "UPDATE notifications SET state = 'in_data', token = gen_random_uuid(), due_at = NULL, attempts = 1,"
                " lease_until = :now, first_tried_at = :now WHERE state = 'pending'"
            ),
            {"now": world.system.now()},
        )
        await tx.execute(
            text(
                "INSERT INTO attempts (token, notification_id, number, worker, resend, claimed_at)"
                " SELECT token, id, 1, 'x', false, :now FROM notifications WHERE token IS NOT NULL"
            ),
            {"now": world.system.now()},
        )
    world.system.advance(seconds=1)
    async with FakeSmtp() as silent:
        await world.dispatcher(silent).step()
    assert await states(world) == ["unknown"] * 3


async def test_a_silence_holds_matters_back_and_its_end_tells_of_them_once(world: World, smtp: FakeSmtp) -> None:
    await feed(world, "registry", *registry())
    made = store.new_silence(until=MORNING + timedelta(days=2), agency=DEPARTMENT)
    async with world.database.transaction() as tx:
        await store.silence(tx, made, by="an", reason="lũ", at=world.business.now())
    await feed(world, "compliance", CALENDAR, *(overdue(period=period) for period in PERIODS), due_soon())
    await sweep(world, MORNING)
    assert {row["reason"] for row in await world.ledger()} == {f"silence:{made.id}"}
    async with world.database.transaction() as tx:
        (listed,) = await store.listed_silences(tx, world.business.now(), every=False, limit=9)
        assert (listed["holds"], listed["reason"], listed["made_by"]) == (7, "lũ", "an")
        assert await store.end_silence(tx, made.id, by="an", reason="hết lũ", at=world.business.now())
        assert not await store.end_silence(tx, made.id, by="an", reason="hết lũ", at=world.business.now())
    await sweep(world, MORNING + timedelta(hours=6))
    await world.drain(world.dispatcher(smtp))
    assert len(smtp.accepted) == 2
    body = smtp.accepted[0].message.get_body(("plain",))
    assert body is not None
    assert "tạm ngừng báo theo yêu cầu" in body.get_content()


async def test_operators_load_rules_and_silence_by_command(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    monkeypatch.setattr("services.notifier.mailing.commands.database_url", lambda _: world.database.url)
    shipped = shipped_rules().body
    file = tmp_path / "rules.yaml"
    file.write_text(shipped, encoding="utf-8")

    def run(command: Any, *arguments: str) -> int:
        return int(command(list(arguments)))

    assert await asyncio.to_thread(run, mailing, "check", str(file)) == 0
    assert await asyncio.to_thread(run, mailing, "load", str(file)) == 0
    file.write_text(shipped.replace("mails_a_day: 6", "mails_a_day: 3"), encoding="utf-8")
    assert await asyncio.to_thread(run, mailing, "load", str(file)) == 1, "a version never changes"
    tomorrow, far = ((datetime.now(UTC) + timedelta(days=days)).isoformat() for days in (1, 61))
    assert await asyncio.to_thread(run, silences, "add", "--until", tomorrow, "--reason", "lũ") == 2
    assert await asyncio.to_thread(run, silences, "add", "--agency", "H99", "--until", far, "--reason", "lũ") == 2
    added = ("add", "--agency", "H99", "--until", tomorrow, "--reason", "lũ", "--by", "an")
    assert await asyncio.to_thread(run, silences, *added) == 0
    capsys.readouterr()
    assert await asyncio.to_thread(run, silences, "list") == 0
    listed = capsys.readouterr().out
    assert "agency H99" in listed
    found = listed.split()[0]
    assert await asyncio.to_thread(run, silences, "end", found, "--reason", "hết") == 0
    assert await asyncio.to_thread(run, silences, "end", found, "--reason", "hết") == 1


async def test_a_later_deadline_cancels_what_waits(world: World) -> None:
    await three_late(world)
    later = DEADLINE + timedelta(days=7)
    await feed(world, "compliance", changed(4, "relief", "overdue_withdrawn", deadline=later, period=PERIODS[0]))
    reasons = {row["period"]: row["reason"] for row in await world.ledger() if row["state"] == "cancelled"}
    assert reasons == {PERIODS[0]: "overdue_withdrawn"}


async def test_statements_leave_out_what_a_silence_covers_and_nothing_else(world: World) -> None:
    """As `covers` says it, for every combination of what a silence may name."""
    rows = list(product("AB", repeat=4))
    matters = {names: Matter(UUID(int=1), names[3], names[0], names[1], names[2], MORNING) for names in rows}
    unsilenced = text(f"""
        SELECT r.* FROM unnest(CAST(:agencies AS text[]), CAST(:regimes AS text[]), CAST(:people AS text[]),
                               CAST(:kinds AS text[])) AS r (agency, regime, person, kind)
         WHERE {store.not_silenced(agency="r.agency", person="r.person", regime="r.regime", kind="r.kind")}
    """)
    given = dict(zip(("agencies", "regimes", "people", "kinds"), map(list, zip(*rows, strict=True)), strict=True))
    for named in product("A-", repeat=4):
        names = dict(zip(("agency", "regime", "person", "kind"), (None if n == "-" else n for n in named), strict=True))
        if not any(names.values()):
            continue
        made = store.new_silence(until=MORNING + timedelta(days=1), **names)
        async with world.database.transaction() as tx:
            await store.silence(tx, made, by="an", reason="lũ", at=MORNING)
            found = {tuple(row) for row in await tx.execute(unsilenced, {**given, "now": MORNING})}
            assert found == {names for names, matter in matters.items() if not made.covers(matter)}, named
            later = {tuple(row) for row in await tx.execute(unsilenced, {**given, "now": made.until})}
            assert later == set(rows), "a silence that is over covers nothing"
            await tx.execute(text("DELETE FROM silences"))


POLICY = PolicyLoaded.model_validate(
    {
        "policy_version": "vn-2026-1", "effective_from": "2026-01-01", "timeliness_full": "60",
        "off_per_working_day": "10", "timeliness_floor": "0", "timeliness_overdue": "0", "completeness_full": "40",
        "clauses": [{"rule": "late", "clause": "1.b", "text": "–", "text_en": "–", "legal_basis": "–"}],
    }
)  # fmt: skip


@pytest.mark.parametrize(("other", "said"), [("vn-2026-1", True), ("vn-2027-1", False)])
async def test_a_letter_of_several_matters_says_what_a_late_day_costs_where_one_policy_is_that_of_all(
    world: World, smtp: FakeSmtp, other: str, said: bool
) -> None:
    await feed(world, "registry", *registry())
    later = overdue(period="2026-M09", policy_version=other)
    await feed(world, "compliance", CALENDAR, POLICY, overdue(period="2026-M08"), later)
    await sweep(world, MORNING)
    await world.drain(world.dispatcher(smtp))
    assert len(smtp.accepted) == 2
    assert [_plain(taken.message).count("khoản 1.b") for taken in smtp.accepted] == [int(said)] * 2


async def test_a_letter_says_nothing_of_points_until_the_policy_is_known(world: World, smtp: FakeSmtp) -> None:
    await feed(world, "registry", *registry())
    await feed(world, "compliance", CALENDAR, due_soon())
    await sweep(world, MORNING)
    await world.drain(world.dispatcher(smtp))
    await feed(world, "compliance", POLICY, overdue(version=9))
    await sweep(world, MORNING + timedelta(days=1))
    await world.drain(world.dispatcher(smtp))
    found = {str(taken.message["Subject"])[:9]: "khoản 1.b" in _plain(taken.message) for taken in smtp.accepted}
    assert sorted(found.values()) == [False, True, True], found


def _plain(message: Any) -> str:
    """Its text, each line in one."""
    return " ".join(message.get_body(("plain",)).get_content().split())
