"""Who is named by an accepted report is told: once, in one letter for all reports of an hour, and nobody else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from services.notifier.mailing.sweep import MailingSweep
from services.notifier.planning.naming import Groups, NamingSweep
from shared.contract.events import ObligationChanged
from tests.fakes.smtp import FakeSmtp
from tests.integration.notifier.rig import (
    COMMUNE,
    DEADLINE,
    DEPARTMENT,
    DOMAIN,
    World,
    fulfilled,
    officer,
    overdue,
    registry,
)

NEXT_MORNING = DEADLINE + timedelta(hours=15, minutes=15)
MONTHS = ("2026-M08", "2026-M09", "2026-M10")


def named(officer_id: str = "dept-any", version: int = 4, **state: Any) -> ObligationChanged:
    return fulfilled(version, officer_id=officer_id, officer_basis="named", **state)


async def sweep(world: World, *, group_minutes: float = 60, groups: Groups | None = None) -> int:
    """Ticks until nothing is due; how many people were written to."""
    sweeping = NamingSweep(
        world.business, world.system, group_minutes=group_minutes, message_id_domain=DOMAIN, groups=groups
    )
    count = 0
    while True:
        async with world.database.transaction() as tx:
            found = await sweeping.tick(tx)
        if not found:
            return count
        count += found


async def letters(world: World) -> Sequence[dict[str, Any]]:
    return [row for row in await world.ledger() if row["kind"] == "named"]


async def test_one_letter_tells_a_person_of_all_reports_of_an_hour(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", *(named(period=month) for month in MONTHS), named("commune-any", code=COMMUNE))
    assert await sweep(world) == 0, "the first waits for others"
    world.business.advance(seconds=3599)
    assert await sweep(world) == 0
    world.business.advance(seconds=1)
    assert await sweep(world) == 2
    rows = {row["officer_id"]: row for row in await letters(world)}
    assert {officer_id: (row["agency"], row["state"]) for officer_id, row in rows.items()} == {
        "dept-any": (DEPARTMENT, "pending"),
        "commune-any": (COMMUNE, "pending"),
    }
    facts = rows["dept-any"]["facts"]
    assert [report["period"] for report in facts["reports"]] == list(MONTHS)
    assert {(report["regime"], report["regime_en"]) for report in facts["reports"]} == {
        ("Báo cáo tháng", "Monthly report")
    }
    assert rows["dept-any"]["step"] == "named"
    # once: the same said again, a correction that does not answer, a rebuilt scoring
    again = [named(version=9, period=month, changes=("opened", "fulfilled", "score")) for month in MONTHS]
    await world.feed("compliance", *again)
    world.business.advance(days=3)
    assert await sweep(world) == 0
    # another person, and another report of the same person
    await world.feed("compliance", named("dept-named", 10, period=MONTHS[0]), named(period="2026-M11"))
    world.business.advance(days=1)
    assert await sweep(world) == 2
    assert sorted((row["officer_id"], row["period"]) for row in await letters(world)) == [
        ("commune-any", "2026-M10"), ("dept-any", "2026-M08"), ("dept-any", "2026-M11"), ("dept-named", "2026-M08"),
    ]  # fmt: skip


async def test_a_person_who_answers_for_two_agencies_gets_a_letter_for_each(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", named(), named(period=MONTHS[0]), named(code=COMMUNE))
    world.business.advance(seconds=3600)
    assert await sweep(world) == 1
    told = {row["agency"]: [report["obligation"] for report in row["facts"]["reports"]] for row in await letters(world)}
    assert {agency: len(reports) for agency, reports in told.items()} == {DEPARTMENT: 2, COMMUNE: 1}
    assert all(obligation.startswith(f"{agency}/") for agency, reports in told.items() for obligation in reports)
    assert await sweep(world) == 0


async def test_the_control_without_waiting_each_report_has_its_letter(world: World) -> None:
    await world.feed("registry", *registry())
    for month in MONTHS:
        await world.feed("compliance", named(period=month))
        await sweep(world, group_minutes=0)
    assert len(await letters(world)) == len(MONTHS)


async def test_a_letter_in_ones_name_goes_to_nobody_else(world: World) -> None:
    await world.feed("registry", *registry(), officer("gone", DEPARTMENT, active=False))
    await world.feed("compliance", named("gone"), named("unknown", period="2026-M09"))
    world.business.advance(days=1)
    assert await sweep(world) == 1
    [row] = await letters(world)
    assert (row["state"], row["reason"], row["recipient"]) == ("skipped", "officer_left:gone", None)
    # a colleague who comes takes over reminders, never this
    await world.feed("registry", officer("colleague", DEPARTMENT))
    assert [letter["state"] for letter in await letters(world)] == ["skipped"]
    # a person whose record comes later is told then
    await world.feed("registry", officer("unknown", DEPARTMENT))
    assert await sweep(world) == 1
    assert (await letters(world))[-1]["officer_id"] == "unknown"


async def test_what_a_letter_in_ones_name_says_stays_true(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", named())
    world.business.advance(days=1)
    assert await sweep(world) == 1
    later = DEADLINE + timedelta(days=2)
    await world.feed("compliance", named(version=5, submission_version=2, at=later), fulfilled(6, owed=False, at=later))
    assert [row["state"] for row in await letters(world)] == ["pending"]


async def test_such_a_letter_is_sent_and_settled_and_published_to_nobody(world: World, smtp: FakeSmtp) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", named(), overdue(3, period="2026-M09"))
    world.business.advance(days=1)
    assert await sweep(world) == 1
    await world.drain(world.dispatcher(smtp))
    assert {row["kind"]: row["state"] for row in await world.ledger()} == {
        "named": "sent", "overdue": "sent", "escalation": "sent",
    }  # fmt: skip
    assert sorted(event["kind"] for event in await world.recorded()) == ["escalation", "overdue"]


async def test_in_office_hours_each_report_has_its_row_and_those_of_a_window_one_mail(
    world: World, smtp: FakeSmtp
) -> None:
    mailing = MailingSweep(world.business, world.system)
    await world.feed("registry", *registry())
    await world.feed("compliance", *(named(period=month) for month in MONTHS), named("commune-any", code=COMMUNE))
    assert await sweep(world, groups=mailing.groups) == 2, "none waits for an hour to pass"
    assert {row["state"] for row in await letters(world)} == {"waiting"}
    told = await world.rows("SELECT obligation, told_with FROM namings")
    assert all(row["obligation"] == row["told_with"] for row in told), "each is its own proof"
    for moment in (DEADLINE, NEXT_MORNING):  # without a calendar Monday to Friday
        world.business.advance(seconds=(moment - world.business.now()).total_seconds())
        async with world.database.transaction() as tx:
            await mailing.tick(tx)
        await world.drain(world.dispatcher(smtp))
        assert len(smtp.accepted) == (0 if moment == DEADLINE else 2), "nothing at 17:00, one each in the morning"
    rows = [row for row in await letters(world) if row["officer_id"] == "dept-any"]
    assert [(row["period"], row["state"]) for row in rows] == [(month, "sent") for month in MONTHS]
    assert len({row["mail_id"] for row in rows}) == 1
    several = next(mail.message for mail in smtp.accepted if mail.recipient == "dept-any@h99.example")
    assert str(several["Subject"]) == "[Tổng hợp] 3 báo cáo ghi tên Ông/Bà"
    text = several.get_body(("plain",))
    assert text is not None
    for row in rows:
        [report] = row["facts"]["reports"]
        assert report["obligation"] == row["obligation"]
        assert row["obligation"] in text.get_content()
    assert await world.recorded() == []


async def test_rules_that_do_not_group_them_keep_one_letter_for_an_hour(world: World) -> None:
    async def never(*_: object) -> bool:
        return False

    await world.feed("registry", *registry())
    await world.feed("compliance", *(named(period=month) for month in MONTHS))
    assert await sweep(world, groups=never) == 0
    world.business.advance(seconds=3600)
    assert await sweep(world, groups=never) == 1
    [row] = await letters(world)
    assert (row["state"], len(row["facts"]["reports"])) == ("waiting", 3)


async def test_a_person_with_many_reports_gets_one_letter_that_counts_the_rest(world: World) -> None:
    await world.feed("registry", *registry())
    periods = [f"{year}-M{month:02d}" for year in (2020, 2021, 2022, 2023) for month in range(1, 13)]
    await world.feed("compliance", *(named(period=period) for period in periods))
    world.business.advance(days=1)
    assert await sweep(world) == 1
    [row] = await letters(world)
    assert (len(row["facts"]["reports"]), row["facts"]["reports_left_out"]) == (40, 8)
    told = await world.rows("SELECT count(*) AS n FROM namings WHERE told_with = :key", key=row["obligation"])
    assert told == [{"n": 48}]
