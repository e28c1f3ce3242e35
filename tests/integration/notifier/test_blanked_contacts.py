"""Once the registry has blanked the address of somebody who left, notifier's ledger of mails keeps it no more."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from services.notifier.delivery import ledger
from services.notifier.planning import handlers
from shared.contract.events import OfficerRegistered
from tests.fakes.smtp import Answer, FakeSmtp
from tests.integration.notifier.rig import REGIME, World, agency, fulfilled, officer, overdue
from tests.integration.notifier.test_mail_again import again

NAMED = "dept-named@h99.example"


def left(version: int = 2) -> OfficerRegistered:
    """The record of the officer who has left, as the registry blanks it."""
    return officer("dept-named", "H99.12", regimes=(REGIME,), email="", active=False, version=version)


TABLES = ("officers", "notifications", "attempts", "resends")


async def kept(world: World) -> set[str]:
    """Which tables still hold the address."""
    return {
        table
        for table in TABLES
        if (await world.rows(f"SELECT 1 FROM {table} AS t WHERE CAST(t.* AS text) LIKE '%{NAMED}%'"))
    }


async def told(world: World, smtp: FakeSmtp) -> None:
    """A reminder to the officer, refused, sent again, and refused again with the address in the answer."""
    found = await world.reminder()
    for _ in range(2):
        smtp.script["RCPT"].append(Answer(550, f"5.1.1 <{NAMED}>: Recipient address rejected"))
        await world.drain(world.dispatcher(smtp))
        await again(world, found)
    assert await kept(world) == set(TABLES)


async def test_nothing_of_the_address_stays_and_the_letter_does(world: World, smtp: FakeSmtp) -> None:
    await told(world, smtp)
    smtp.script["RCPT"].append(Answer(550, "no such user"))
    await world.drain(world.dispatcher(smtp))
    before = await world.one()
    await world.feed("registry", left())
    after = await world.one()
    assert await kept(world) == set()
    same = [name for name in before if name not in ("recipient", "reason")]
    assert {name: before[name] for name in same} == {name: after[name] for name in same}
    assert (after["recipient"], after["officer_id"]) == ("", "dept-named")


async def test_the_control_without_it_the_ledger_keeps_the_address(
    world: World, smtp: FakeSmtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> int:
        return 0

    monkeypatch.setattr(handlers, "blank_contacts", nothing)
    await told(world, smtp)
    await world.feed("registry", left())
    assert await kept(world) == {"notifications", "attempts", "resends"}


async def test_a_blanked_letter_is_sent_again_only_where_an_address_is_given(world: World, smtp: FakeSmtp) -> None:
    found = await world.reminder()
    smtp.script["RCPT"].append(Answer(550, "no such user"))
    await world.drain(world.dispatcher(smtp))
    await world.feed("registry", left())
    (refused,) = await again(world, found)
    assert (refused.accepted, "--to" in refused.en) == (False, True)
    (accepted,) = await again(world, found, to="moi@h99.example")
    assert accepted.accepted


async def test_a_letter_under_way_goes_out_first_and_others_keep_their_address(world: World, smtp: FakeSmtp) -> None:
    await world.reminder()
    await world.feed("compliance", overdue())
    await world.feed("registry", left())
    (pending,) = [row for row in await world.ledger() if row["kind"] == "overdue" and row["officer_id"] == "dept-named"]
    assert pending["recipient"] == NAMED
    await world.drain(world.dispatcher(smtp))
    assert NAMED in smtp.recipients()
    by_officer = {row["officer_id"]: row["recipient"] for row in await world.ledger()}
    assert {officer for officer, recipient in by_officer.items() if not recipient} == {"dept-named"}
    assert len(by_officer) > 1
    assert await kept(world) == set()


async def test_a_letter_that_is_cancelled_instead_loses_its_address_too(world: World) -> None:
    await world.reminder()
    await world.feed("registry", left())
    assert await kept(world) == {"notifications"}
    await world.feed("compliance", fulfilled(9))
    assert {row["state"] for row in await world.ledger()} == {"cancelled"}
    assert await kept(world) == set()


async def test_the_control_a_letter_that_ends_unlooked_at_keeps_its_address(
    world: World, smtp: FakeSmtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> int:
        return 0

    monkeypatch.setattr(ledger, "blank_ended", nothing)
    await world.reminder()
    await world.feed("registry", left())
    await world.drain(world.dispatcher(smtp))
    assert await kept(world) == {"notifications"}


async def test_letters_to_a_blanked_officer_are_not_composed_again(world: World, smtp: FakeSmtp) -> None:
    found = await world.reminder()
    smtp.script["RCPT"].append(Answer(550, "no such user"))
    await world.drain(world.dispatcher(smtp))
    async with world.database.transaction() as tx:
        await tx.execute(text("UPDATE notifications SET reason = 'unsendable: name' WHERE id = :id"), {"id": found})
    await world.feed("registry", left())
    await world.feed("registry", agency("H99.12", "H99", name="Sở mới", version=2))
    assert (await world.one())["state"] == "failed"
