"""A new regime version on PostgreSQL: told once to whoever reports under it, within windows, with what changes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from services.notifier.mailing import store as mailing
from services.notifier.mailing.sweep import MailingSweep
from services.notifier.planning import handlers
from services.notifier.regimes import store as regimes
from services.notifier.regimes.sweep import RegimeSweep
from shared.contract.events import RegimePublished
from tests.fakes.smtp import FakeSmtp
from tests.integration.notifier.rig import COMMUNE, DEPARTMENT, DOMAIN, REGIME, World, officer, registry
from tests.integration.notifier.test_mailing import feed

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
#: the rig's clock begins on Monday the 19th at 17:00, when the day's window ends
TUESDAY = datetime(2026, 10, 20, 8, 15, tzinfo=HANOI)


def version(number: int = 2, **changes: Any) -> RegimePublished:
    base: dict[str, Any] = {
        "code": REGIME, "regime_version": number, "name": "Báo cáo tháng", "name_en": "Monthly report",
        "frequency": "monthly", "effective_from": "2027-01-01", "receiver": "H99",
        "deadline": {"rule": "day_of_month", "day": 15}, "submitter_kinds": ["department", "commune"],
        "form": {"figures": [{"code": "A01", "label": "Thu ngân sách"}]}, "version": number,
    }  # fmt: skip
    return RegimePublished.model_validate({**base, **changes})


async def sweep(world: World, moment: datetime | None = None) -> None:
    if moment is not None:
        world.business.advance(seconds=(moment - world.business.now()).total_seconds())
    for one in (RegimeSweep(world.business, world.system, message_id_domain=DOMAIN, waits=True),
                MailingSweep(world.business, world.system)):  # fmt: skip
        for _ in range(20):
            async with world.database.transaction() as tx:
                if not await one.tick(tx):
                    break
        else:
            raise AssertionError("the sweep does not come to rest")


async def told(world: World) -> list[tuple[str, str, str]]:
    rows = [row for row in await world.ledger() if row["kind"] == "regime"]
    return sorted((row["officer_id"], row["step"], row["state"]) for row in rows)


async def test_those_who_report_hear_of_a_new_version_in_the_next_window_and_once(world: World, smtp: FakeSmtp) -> None:
    await feed(world, "registry", *registry())
    await sweep(world)
    assert await told(world) == [], "a registry that is read for the first time tells nobody"
    await feed(world, "registry", version())
    await sweep(world, TUESDAY - timedelta(minutes=1))
    people = ("commune-any", "dept-head", "dept-named")
    assert await told(world) == [(who, "regime/2", "waiting") for who in people]
    await sweep(world, TUESDAY)
    await world.drain(world.dispatcher(smtp))
    assert await told(world) == [(who, "regime/2", "sent") for who in people]
    letter = next(mail.message for mail in smtp.accepted if mail.recipient == "dept-named@h99.example")
    assert str(letter["Subject"]) == "[Chế độ báo cáo] Phiên bản mới, từ 01/01/2027: Báo cáo tháng"
    body = letter.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert "Thêm mục: Thu ngân sách (A01)." in text
    assert "Trước đây: 17:00 ngày 18 của tháng cuối kỳ" in " ".join(text.split())
    # again from the registry, by a look at everybody, and after a restart
    await feed(world, "registry", version(), *registry())
    await sweep(world, TUESDAY + timedelta(days=1))
    assert len(await told(world)) == 3
    assert len(smtp.accepted) == 3
    assert await world.recorded() == [], "between the system and its reader: not published"


async def test_who_is_named_later_hears_of_what_is_ahead_and_the_others_not_again(world: World) -> None:
    await feed(world, "registry", *(record for record in registry() if record.key != "officer/commune-any"))
    await feed(world, "registry", version())
    await sweep(world)
    assert ("", "regime/2", "skipped") in await told(world)
    await feed(world, "registry", officer("commune-new", COMMUNE))
    await sweep(world)
    assert [who for who, _, state in await told(world) if state == "waiting"] == [
        "commune-new", "dept-head", "dept-named",
    ]  # fmt: skip


async def test_the_control_without_the_look_again_nobody_named_later_hears(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: Any) -> None:
        return None

    monkeypatch.setattr(regimes, "look_again", nothing)
    await feed(world, "registry", *(record for record in registry() if record.key != "officer/commune-any"))
    await feed(world, "registry", version())
    await sweep(world)
    await feed(world, "registry", officer("commune-new", COMMUNE))
    await sweep(world)
    assert "commune-new" not in {who for who, _, _ in await told(world)}


async def test_an_interrupted_telling_goes_on_and_several_versions_go_out_in_one_letter(
    world: World, smtp: FakeSmtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regimes, "AGENCIES_AT_ONCE", 1)
    await feed(world, "registry", *registry())
    await feed(world, "registry", version(), version(code="BC-MOI", regime_version=1, name="Báo cáo mới"))
    await sweep(world, TUESDAY)
    await world.drain(world.dispatcher(smtp))
    assert len(await told(world)) == 6
    together, alone = "[Tổng hợp] 2 phiên bản chế độ báo cáo mới", "[Chế độ báo cáo] "
    subjects = {mail.recipient.partition("@")[0]: str(mail.message["Subject"]) for mail in smtp.accepted}
    assert len(smtp.accepted) == len(subjects) == 4
    assert subjects["commune-any"] == subjects["dept-head"] == together
    # of the department's officers one is named for the older regime
    assert subjects["dept-any"].startswith(alone)
    assert subjects["dept-named"].startswith(alone)


async def test_a_silence_keeps_it_back_and_says_so(world: World) -> None:
    await feed(world, "registry", *registry())
    made = mailing.new_silence(until=TUESDAY + timedelta(days=3), agency=DEPARTMENT, regime=None, person=None,
                               kind="regime")  # fmt: skip
    async with world.database.transaction() as tx:
        await mailing.silence(tx, made, by="vh", reason="Đang sắp xếp bộ máy.", at=world.business.now())
    await feed(world, "registry", version())
    await sweep(world, TUESDAY)
    states = {who: state for who, _, state in await told(world)}
    assert states == {"commune-any": "pending", "dept-head": "waiting", "dept-named": "waiting"}
    await sweep(world, TUESDAY + timedelta(days=3, minutes=1))
    assert {state for _, _, state in await told(world)} == {"pending"}


async def test_what_the_registry_publishes_again_is_no_news(world: World) -> None:
    await feed(world, "registry", *registry(), version(1, effective_from="2026-01-01"))
    await sweep(world)
    assert await told(world) == []
    await feed(world, "registry", version(1, effective_from="2026-01-01"))  # `registry republish`
    await sweep(world)
    assert await told(world) == []


@pytest.mark.parametrize(
    ("minutes", "letters"), [(-5, 0), (5, 3)], ids=["the first reading", "a version published since"]
)
async def test_a_first_reading_in_several_batches_tells_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch, minutes: int, letters: int
) -> None:
    """Version 2 counts already; it is news only where version 1 was here when it was published."""
    published = world.system.now() + timedelta(minutes=minutes)
    monkeypatch.setattr(handlers, "time_of", lambda _: published)
    await feed(world, "registry", *registry()[:-1], version(1, effective_from="2026-01-01"))
    await feed(world, "registry", version(2, effective_from="2026-02-01", replaces=1, replaces_reason="Sửa"))
    await sweep(world)
    assert len(await told(world)) == letters


async def test_a_version_after_one_that_an_older_process_kept_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a new process an older one writes rows without the moment since when they are here."""
    monkeypatch.setattr(handlers, "time_of", lambda _: world.system.now() + timedelta(minutes=5))
    await feed(world, "registry", *registry()[:-1], version(1, effective_from="2026-01-01"))
    async with world.database.transaction() as tx:
        await tx.execute(text("UPDATE regimes SET kept_since = NULL"))
    await feed(world, "registry", version(2, effective_from="2026-02-01", replaces=1, replaces_reason="Sửa"))
    await sweep(world)
    assert len(await told(world)) == 3


async def test_an_import_that_goes_on_keeps_no_version_from_its_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between any two agencies somebody is registered: each version comes to its end, and begins behind the others."""
    monkeypatch.setattr(regimes, "AGENCIES_AT_ONCE", 1)
    await feed(world, "registry", *registry())
    await feed(world, "registry", version(), version(code="BC-MOI", regime_version=1, name="Báo cáo mới"))
    one = RegimeSweep(world.business, world.system, message_id_domain=DOMAIN, waits=True)
    for number in range(2, 22):
        async with world.database.transaction() as tx:
            await one.tick(tx)
        await feed(world, "registry", officer("commune-any", COMMUNE, version=number))
    people = {(row["officer_id"], row["regime"]) for row in await world.ledger() if row["kind"] == "regime"}
    assert len(people) == 6
    await sweep(world)
    assert len(await told(world)) == 6
