"""Mails that came to nothing are sent again: by an operator, on record, or because the registry was mended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.notifier import commands
from services.notifier.delivery import resending, unsendable
from services.notifier.delivery.resending import ResendAnswer, ResendOrder
from shared.contract.events import RegimePublished, RequestIssued
from shared.runtime.operator import COLUMNS
from shared.service.command import guarded
from tests.fakes.smtp import AcceptThenDrop, Answer, FakeSmtp
from tests.integration.notifier.rig import (
    COMMUNE,
    DEPARTMENT,
    DOMAIN,
    REGIME,
    World,
    agency,
    due_soon,
    fulfilled,
    officer,
    opened,
    overdue,
    registry,
    verdict,
)

BROKEN = "Báo cáo\ntháng"


def regime(**changes: Any) -> RegimePublished:
    (first,) = [record for record in registry() if isinstance(record, RegimePublished)]
    return first.model_copy(update=changes)


async def again(world: World, *ids: UUID, **changes: Any) -> list[ResendAnswer]:
    order = ResendOrder(ids, "vân", "địa chỉ đã sửa", **changes)
    async with world.database.transaction() as tx:
        return await resending.resend(tx, order, now=world.system.now(), domain=DOMAIN)


async def failed_reminder(world: World, smtp: FakeSmtp) -> UUID:
    found = await world.reminder()
    smtp.script["RCPT"].append(Answer(550, "no such user"))
    await world.drain(world.dispatcher(smtp))
    assert (await world.one())["state"] == "failed"
    return found


# --- by an operator --------------------------------------------------------------------------------------------------


async def test_a_failed_mail_is_sent_again_under_its_message_id_and_the_ledger_says_who_and_why(
    world: World, smtp: FakeSmtp
) -> None:
    failed = await failed_reminder(world, smtp)
    first = (await world.one())["message_id"]
    assert [letter.accepted for letter in await again(world, failed)] == [True]
    await world.drain(world.dispatcher(smtp))
    row = await world.one()
    assert (row["state"], row["message_id"], row["attempts"], row["resends"]) == ("sent", first, 2, 1)
    (ordered,) = await world.rows("SELECT * FROM resends")
    assert (ordered["by"], ordered["why"], ordered["from_state"]) == ("vân", "địa chỉ đã sửa", "failed")
    assert ordered["from_reason"] == "refused: 550 no such user"
    # and once more: it has gone out now
    (said,) = await again(world, failed)
    assert (said.accepted, "--bounced" in said.en) == (False, True)
    assert [event["outcome"] for event in await world.recorded()] == ["failed", "sent"]


async def test_a_mail_sent_again_is_tried_at_the_pace_of_a_new_one(world: World, smtp: FakeSmtp) -> None:
    notice = await world.reminder()
    smtp.script["RCPT"].extend([Answer(450)] * 8 + [Answer(550)])
    await world.drain(world.dispatcher(smtp), seconds=4000)
    assert (await world.one())["state"] == "failed"
    world.system.advance(seconds=1)
    (answer,) = await again(world, notice)
    assert answer.accepted
    smtp.script["RCPT"].extend([Answer(450)] * 2)  # a greylist does that to whom it has not seen
    pauses = []
    for _ in range(2):
        await world.dispatcher(smtp).round()
        row = await world.one()
        assert row["state"] == "retry"
        pauses.append((row["due_at"] - world.system.now()).total_seconds())
        world.system.advance(seconds=pauses[-1])
    assert 10 <= pauses[0] <= 12  # the policy's first pause and its spread; it was an hour
    assert 20 <= pauses[1] <= 24
    await world.dispatcher(smtp).round()
    row = await world.one()
    assert (row["state"], row["attempts"]) == ("sent", 12)


async def test_another_address_gets_another_message_id(world: World, smtp: FakeSmtp) -> None:
    failed = await failed_reminder(world, smtp)
    first = (await world.one())["message_id"]
    assert [letter.recipient for letter in await again(world, failed, to="moi@h99.example")] == ["moi@h99.example"]
    await world.drain(world.dispatcher(smtp))
    (taken,) = smtp.accepted
    assert taken.recipient == "moi@h99.example"
    assert (await world.one())["message_id"] == taken.message["Message-ID"] != first
    with pytest.raises(ValueError, match="không phải"):
        await again(world, failed, to="không phải địa chỉ")


async def test_a_bounced_mail_and_one_left_in_doubt_may_be_sent_again(world: World, smtp: FakeSmtp) -> None:
    sent = await world.reminder()
    await world.drain(world.dispatcher(smtp))
    assert [letter.accepted for letter in await again(world, sent, bounced=True)] == [True]
    await world.drain(world.dispatcher(smtp))
    assert len(smtp.accepted) == 2
    # the next one stays in doubt, twice
    await world.feed("compliance", overdue())
    smtp.script["BODY"].extend([AcceptThenDrop()] * 4)
    await world.drain(world.dispatcher(smtp))
    (doubt,) = [row for row in await world.ledger() if row["kind"] == "overdue"]
    assert (doubt["state"], doubt["due_at"]) == ("unknown", None)
    assert [letter.accepted for letter in await again(world, doubt["id"])] == [True]
    await world.drain(world.dispatcher(smtp))
    (doubt,) = [row for row in await world.ledger() if row["kind"] == "overdue"]
    assert (doubt["state"], doubt["resends"]) == ("sent", 1)


async def test_what_is_no_longer_so_is_not_sent_again(world: World, smtp: FakeSmtp) -> None:
    failed = await failed_reminder(world, smtp)
    await world.feed("compliance", fulfilled())
    (said,) = await again(world, failed)
    assert (said.accepted, said.en) == (False, "what it says is no longer true")
    (unknown,) = await again(world, uuid4())
    assert unknown.en == "there is no such mail"
    assert (await world.one())["state"] == "failed"


def test_the_commands_list_and_resend(
    migrated_database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NOTIFIER_DATABASE_URL", migrated_database("notifier"))
    assert commands.mail(["list", "--state", "failed"]) == 0
    assert "0 thư / mails, failed" in capsys.readouterr().out
    wanted = str(uuid4())
    assert commands.mail(["resend", wanted, "--why", "thử"]) == 1
    assert f"{wanted}\n    không có thư này · there is no such mail" in capsys.readouterr().out
    assert commands.mail(["resend", wanted, "--why", "thử", "--to", "không phải"]) == 2
    monkeypatch.setenv("NOTIFIER_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert guarded("notifier", lambda: commands.mail(["list"])) == 3
    assert "Không dùng được cơ sở dữ liệu" in capsys.readouterr().err


def test_a_wrong_setting_is_told_as_one_and_not_as_a_wrong_address(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NOTIFIER_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    order = ("resend", str(uuid4()), "--why", "sai")

    def told() -> tuple[int, str]:
        return guarded("notifier", lambda: commands.mail(order)), capsys.readouterr().err

    assert told()[0] == 3  # control: with settings that can be read it gets as far as the database, which is away
    monkeypatch.setenv("NOTIFIER_SENDER_ADDRESS", "không phải địa chỉ")
    code, said = told()
    assert code == 2
    assert "a setting is wrong" in said
    assert commands.mail((*order, "--to", "không phải địa chỉ")) == 2
    assert "not a usable address" in capsys.readouterr().err


# --- because the registry was mended ---------------------------------------------------------------------------------


async def could_not_be_made(world: World, smtp: FakeSmtp) -> None:
    await world.feed("registry", *registry(), regime(name=BROKEN, version=2))
    await world.feed("compliance", due_soon())
    await world.drain(world.dispatcher(smtp))
    row = await world.one()
    assert row["state"] == "failed"
    assert row["reason"].startswith("unsendable:")


async def test_a_mail_that_could_not_be_made_is_made_again_of_the_renewed_regime(world: World, smtp: FakeSmtp) -> None:
    await could_not_be_made(world, smtp)
    await world.feed("registry", regime(name=BROKEN, version=2))  # the same record again mends nothing
    await world.drain(world.dispatcher(smtp))
    assert (await world.one())["state"] == "failed"
    await world.feed("registry", regime(name="Báo cáo tháng, đã sửa", version=3))
    await world.drain(world.dispatcher(smtp))
    assert (await world.one())["state"] == "sent"
    (taken,) = smtp.accepted
    assert "Báo cáo tháng, đã sửa" in str(taken.message["Subject"])


async def test_the_control_without_retaking_the_mail_stays_failed(
    world: World, smtp: FakeSmtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*given: Any, **more: Any) -> int:
        return 0

    monkeypatch.setattr(unsendable, "compose_again", nothing)
    await could_not_be_made(world, smtp)
    await world.feed("registry", regime(name="Báo cáo tháng, đã sửa", version=3))
    assert (await world.one())["state"] == "failed"
    assert smtp.accepted == []


async def test_a_renewed_officer_or_agency_is_named_in_the_mail_made_again(world: World, smtp: FakeSmtp) -> None:
    await world.feed(
        "registry", *registry(), officer("dept-named", "H99.12", regimes=(REGIME,), name="Nguyễn\nThị", version=2)
    )
    await world.feed("compliance", due_soon())
    await world.drain(world.dispatcher(smtp))
    assert (await world.one())["reason"].startswith("unsendable:")
    renewed = officer(
        "dept-named", "H99.12", regimes=(REGIME,), name="Nguyễn Thị Mai", email="mai@h99.example", version=3
    )
    await world.feed("registry", renewed)
    await world.drain(world.dispatcher(smtp))
    (taken,) = smtp.accepted
    assert taken.recipient == "mai@h99.example"
    assert "Nguyễn Thị Mai" in str(taken.message["To"])


async def test_what_was_refused_or_is_no_longer_so_is_not_made_again(world: World, smtp: FakeSmtp) -> None:
    await failed_reminder(world, smtp)
    await world.feed("registry", regime(version=2))
    assert (await world.one())["state"] == "failed"  # refused by the server: no record mends that

    await world.feed("registry", regime(name=BROKEN, version=3), agency("H99.12", "H99", version=2))
    await world.feed("verdicts", verdict())
    await world.drain(world.dispatcher(smtp))
    await world.feed("compliance", fulfilled())
    await world.feed("registry", regime(version=4))
    assert {row["state"] for row in await world.ledger()} == {"failed"}


# --- what a letter says of a request ---------------------------------------------------------------------------------


async def test_a_request_stands_on_its_own_basis_and_number_in_its_letters(world: World, smtp: FakeSmtp) -> None:
    issued = RequestIssued(
        request_id="DX-2026-003",
        regime=REGIME,
        title="Thiệt hại do bão số 9",
        issued_at=datetime(2026, 10, 12, 1, tzinfo=UTC),
        deadline=datetime(2026, 10, 19, 10, tzinfo=UTC),
        legal_basis="Công văn 1234/UBND-NN",
        asked_by=DEPARTMENT,
        question="Số hộ bị ngập",
        version=1,
    )
    await world.feed("registry", *registry(), regime(legal_basis="Nghị định 09/2019/NĐ-CP", version=2), issued)
    await world.feed("compliance", due_soon(period="DX-2026-003"), due_soon(period="2026-M10"))
    await world.feed("compliance", opened(code=COMMUNE, period="DX-2026-003"))
    await world.drain(world.dispatcher(smtp))
    (of_issue,) = [taken.message for taken in smtp.accepted if taken.recipient == "commune-any@h99.example"]
    assert str(of_issue["Subject"]).startswith("[Yêu cầu báo cáo] Thiệt hại do bão số 9")
    said = of_issue.get_body(("plain",))
    assert said is not None
    assert "Sở Nông nghiệp và Môi trường đề nghị cơ quan của Ông/Bà" in said.get_content()
    assert "Số hộ bị ngập" in said.get_content()
    assert "request" in {event["kind"] for event in await world.recorded()}
    texts = {}
    for taken in smtp.accepted:
        part = taken.message.get_body(("plain",))
        assert part is not None
        text = part.get_content()
        if taken.message is of_issue:
            continue
        texts["request" if "DX-2026-003" in text else "period"] = text
    assert "Căn cứ:     Công văn 1234/UBND-NN" in texts["request"]
    assert "Số yêu cầu: DX-2026-003" in texts["request"]
    assert "Nghị định" not in texts["request"]
    assert "Căn cứ:     Nghị định 09/2019/NĐ-CP" in texts["period"]


@pytest.mark.parametrize(
    ("code", "told"), [("H99.12", "Chuyên viên, Sở Nông nghiệp"), ("H99.X07", "Ủy ban nhân dân tỉnh")]
)
async def test_the_overdue_letter_names_the_head_who_is_told(
    world: World, smtp: FakeSmtp, code: str, told: str
) -> None:
    await world.tell_above_at_once()
    await world.feed("registry", *registry())
    await world.feed("compliance", overdue(code=code))
    (row,) = [row for row in await world.ledger() if row["kind"] == "overdue"]
    (head,) = [row for row in await world.ledger() if row["kind"] == "escalation" and row["state"] != "skipped"]
    await world.drain(world.dispatcher(smtp))
    taken = {str(mail.message["Message-ID"]): mail for mail in smtp.accepted}
    part = taken[row["message_id"]].message.get_body(("plain",))
    assert part is not None
    assert "cũng đã được lập cho" in part.get_content()
    assert told in part.get_content()
    assert taken[head["message_id"]].recipient == ("dept-head@h99.example" if code == "H99.12" else "chair@h99.example")


async def test_where_no_head_is_told_the_overdue_letter_says_nothing_of_one(world: World, smtp: FakeSmtp) -> None:
    nobody = [record for record in registry() if getattr(record, "role", "") != "head"]
    await world.feed("registry", *nobody)
    await world.feed("compliance", overdue())
    await world.drain(world.dispatcher(smtp))
    (taken,) = smtp.accepted
    part = taken.message.get_body(("plain",))
    assert part is not None
    assert "cũng đã được lập" not in part.get_content()
    assert "head of" not in part.get_content()


async def test_a_listed_mail_fits_80_columns_and_nothing_of_it_is_cut_off(
    world: World, smtp: FakeSmtp, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reason = "mailbox unavailable, " * 12 + "END"
    failed = await world.reminder()
    smtp.script["RCPT"].append(Answer(550, reason))
    await world.drain(world.dispatcher(smtp))
    monkeypatch.setattr(commands, "database_url", lambda service: world.database.url)
    assert await asyncio.to_thread(commands.mail, ["list", "--state", "failed"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= COLUMNS < len(reason), "on one line it would not fit"
    row = await world.one()
    told = " ".join(shown.split())
    for whole in (str(failed), row["obligation"], row["recipient"], " ".join(reason.split())):
        assert whole in told
