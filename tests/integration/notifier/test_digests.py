"""Digests on PostgreSQL: one letter a round with the tables inside, kept in the ledger, never twice, never untrue."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from services.notifier.digests import sweep as digesting
from services.notifier.digests.domain import content_sha256, round_of
from services.notifier.digests.sweep import DigestSweep
from services.notifier.mailing import store as mailing
from services.notifier.mailing.sweep import MailingSweep
from services.notifier.main import build
from services.notifier.settings import NotifierSettings
from services.notifier.tables import metadata
from shared.contract.events import PersonRegistered
from shared.runtime.settings import CommonSettings, KafkaSettings
from tests.fakes.operators import let_agency_in, let_person_in
from tests.fakes.smtp import FakeSmtp
from tests.integration.notifier.rig import (
    COMMUNE,
    DEADLINE,
    DEPARTMENT,
    DOMAIN,
    PROVINCE,
    World,
    fulfilled,
    opened,
    overdue,
    registry,
)
from tests.integration.notifier.test_escalations import CALENDAR
from tests.integration.notifier.test_mailing import feed
from tests.integration.notifier.test_named import named

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
#: Tuesday the 20th; reports were due on Monday at 17:00
MORNING = datetime(2026, 10, 20, 8, 15, tzinfo=HANOI)


def office(person_id: str = "vp", role: str = "provincial_office", **changes: Any) -> PersonRegistered:
    base: dict[str, Any] = {
        "person_id": person_id,
        "agency": PROVINCE,
        "name": "Vũ Thị Yến",
        "title": "Chánh Văn phòng",
        "contacts": [{"channel": "email", "address": f"{person_id}@h99.example"}],
        "offices": [{"role": role, "agency": PROVINCE, "since": "2025-07-01"}],
        "version": 1,
    }
    return PersonRegistered.model_validate({**base, **changes})


async def province(world: World, *people: PersonRegistered) -> None:
    """Two reports overdue since Monday, one due on Wednesday; whoever is given holds an office."""
    await feed(world, "registry", *registry(), *people)
    await feed(
        world, "compliance", CALENDAR, overdue(code=COMMUNE), overdue(period="2026-M09"),
        opened(period="2026-M11", deadline=DEADLINE + timedelta(days=2)),
        opened(period="2027-M01", deadline=DEADLINE + timedelta(days=60)),
    )  # fmt: skip


async def sweep(world: World, moment: datetime) -> None:
    """It is `moment`: digests of rounds that are due are planned, and what may go out is released."""
    world.business.advance(seconds=(moment - world.business.now()).total_seconds())
    for one in (DigestSweep(world.business, world.system, message_id_domain=DOMAIN),
                MailingSweep(world.business, world.system)):  # fmt: skip
        for _ in range(20):
            async with world.database.transaction() as tx:
                if not await one.tick(tx):
                    break
        else:
            raise AssertionError("the sweep does not come to rest")


async def digests(world: World) -> list[dict[str, Any]]:
    return [row for row in await world.ledger() if row["kind"] == "digest"]


async def test_the_office_hears_each_morning_what_is_due_and_overdue_below_it(world: World, smtp: FakeSmtp) -> None:
    await province(world, office(digests=["daily"]))
    await sweep(world, MORNING - timedelta(minutes=1))
    assert await digests(world) == []
    await sweep(world, MORNING)
    [row] = await digests(world)
    content = row["facts"]["digest"]
    assert [line["obligation"] for line in content["overdue"]] == [
        f"{DEPARTMENT}/BC-THANG/2026-M09", f"{COMMUNE}/BC-THANG/2026-M10",
    ]  # fmt: skip
    assert [line["obligation"] for line in content["due"]] == [f"{DEPARTMENT}/BC-THANG/2026-M11"]
    assert content["sha256"] == content_sha256(row["facts"])
    assert (row["step"], row["state"], row["mail_id"]) == ("digest/daily/2026-10-20", "pending", None)
    await world.drain(world.dispatcher(smtp))
    letter = next(mail.message for mail in smtp.accepted if mail.recipient == "vp@h99.example")
    assert str(letter["Subject"]) == "[Tổng hợp ngày] 2 báo cáo quá hạn, 1 báo cáo sắp đến hạn"
    html = letter.get_body(("html",))
    assert html is not None
    assert html.get_content().count("<table") == 4, "two in each language"
    await sweep(world, MORNING + timedelta(hours=2))
    assert len(await digests(world)) == 1, "once a day, also after a restart"
    assert not [event for event in await world.recorded() if event["kind"] == "digest"]
    await sweep(world, MORNING + timedelta(days=1))
    assert [row["state"] for row in await digests(world)] == ["sent", "pending"]


async def test_the_control_a_round_that_is_not_kept_writes_again(world: World, monkeypatch: Any) -> None:
    await province(world, office(digests=["daily"]))
    await sweep(world, MORNING)
    right = round_of

    def other(kind: Any, *given: Any) -> Any:
        on = right(kind, *given)
        return on and on - timedelta(days=1)

    monkeypatch.setattr(digesting, "round_of", other)
    await sweep(world, MORNING + timedelta(minutes=1))
    assert len(await digests(world)) == 2


def member(person_id: str, role: str, **changes: Any) -> PersonRegistered:
    """Of the department."""
    held = [{"role": role, "agency": DEPARTMENT, "since": "2025-07-01"}]
    return office(person_id, agency=DEPARTMENT, offices=held, **changes)


async def test_by_office_the_chair_hears_weekly_and_a_head_or_officer_only_if_that_is_chosen(world: World) -> None:
    people = office("chair", "chair"), member("dept-any", "reporting_officer", digests=["weekly"])
    await province(world, *people, member("dept-head", "head"), office("vp", digests=[]))
    await sweep(world, MORNING)
    told = {row["officer_id"]: row["facts"]["digest"] for row in await digests(world)}
    assert {name: content["kind"] for name, content in told.items()} == {"chair": "weekly", "dept-any": "weekly"}
    assert told["chair"]["overdue_total"] == 2
    assert told["dept-any"]["overdue_total"] == 1


async def test_the_week_tells_scores_and_who_named_whom_since_the_last_one(world: World) -> None:
    await province(world, member("dept-head", "head", digests=["weekly"]))
    await feed(
        world, "compliance",
        fulfilled(5, period="2026-M08", score=Decimal("7.5"), at=DEADLINE + timedelta(minutes=1)),
        named("dept-head", 5, period="2026-M07", score=Decimal(10), at=DEADLINE + timedelta(minutes=1)),
    )  # fmt: skip
    await sweep(world, MORNING)
    [row] = await digests(world)
    content = row["facts"]["digest"]
    assert [(line["obligation"][-8:], line["score"]) for line in content["scores"]] == [
        ("2026-M08", "7.5"), ("2026-M07", "10"),
    ]  # fmt: skip
    assert content["scores_mean"] == "8.75"
    assert [line["obligation"][-8:] for line in content["receipts"]] == ["2026-M07"]
    # the next one tells only what came since, and a score that did not change is not told again
    await feed(world, "compliance", fulfilled(6, period="2026-M08", score=Decimal("7.50"), at=MORNING))
    await sweep(world, MORNING + timedelta(days=6))
    content = (await digests(world))[-1]["facts"]["digest"]
    assert (content["on"], content["scores"], content["receipts"]) == ("2026-10-26", [], [])
    assert content["since"] == MORNING.isoformat()


async def test_what_is_silenced_is_not_listed_and_a_newer_digest_takes_the_place_of_one_that_waits(
    world: World,
) -> None:
    await province(world, office(digests=["daily"]))
    async with world.database.transaction() as tx:
        made = mailing.new_silence(agency=COMMUNE, until=MORNING + timedelta(days=9))
        await mailing.silence(tx, made, by="an", reason="lũ", at=world.business.now())
        held = mailing.new_silence(kind="digest", until=MORNING + timedelta(days=1))
        await mailing.silence(tx, held, by="an", reason="lũ", at=world.business.now())
    await sweep(world, MORNING)
    [row] = await digests(world)
    assert [line["agency"] for line in row["facts"]["digest"]["overdue"]] == ["Sở Nông nghiệp và Môi trường"]
    assert (row["state"], row["reason"]) == ("waiting", f"silence:{held.id}")
    await sweep(world, MORNING + timedelta(days=1))
    first, second = await digests(world)
    assert (first["state"], first["reason"]) == ("cancelled", "superseded_by_newer_digest")
    assert second["state"] == "pending"


async def test_who_has_nothing_to_be_told_gets_no_letter(world: World) -> None:
    await feed(world, "registry", *registry(), office())
    await feed(world, "compliance", CALENDAR, opened(deadline=DEADLINE + timedelta(days=60)))
    await sweep(world, MORNING)
    assert await digests(world) == []
    rounds = await world.rows("SELECT kind, letters, done FROM digest_rounds ORDER BY kind")
    assert rounds == [{"kind": kind, "letters": 0, "done": True} for kind in ("daily", "weekly")]


async def test_a_person_and_an_agency_see_which_digests_are_in_force_and_what_was_sent(world: World) -> None:
    await province(world, office(digests=["daily"]))
    await sweep(world, MORNING)
    person = await let_person_in(world.database.url, metadata, office(digests=["daily"]), "review")
    department = await let_agency_in(world.database.url, metadata, DEPARTMENT)
    service = build(
        settings=NotifierSettings.model_validate({"database_url": world.database.url}),
        common=CommonSettings(), kafka=KafkaSettings(), clock=world.business,
    )  # fmt: skip
    transport = httpx.ASGITransport(app=service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://notifier") as client:
        [mine] = (await client.get("/v1/digests", headers=person)).json()["items"]
        theirs = (await client.get("/v1/digests?limit=2", headers=department)).json()
    await service.database.close()
    assert (mine["person"], mine["digests"], mine["chosen"]) == ("vp", ["daily"], True)
    [row] = [row for row in await digests(world) if row["officer_id"] == "vp"]
    [latest] = mine["latest"]
    assert (latest["on"], latest["overdue"], latest["due"]) == ("2026-10-20", 2, 1)
    assert latest["sha256"] == row["facts"]["digest"]["sha256"]
    assert {one["person"]: (one["digests"], one["chosen"]) for one in theirs["items"]} == {
        "dept-any": ([], False), "dept-head": ([], False),
    }  # fmt: skip
    assert theirs["next"], "dept-named is on the next page"
