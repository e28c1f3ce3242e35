"""Letters about what people did with a report, from the step to the mail server; each goes out once."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.contract.events import NoticeRecorded, PersonRegistered, StepTaken
from tests.fakes.smtp import FakeSmtp
from tests.integration.notifier.rig import (
    DEADLINE,
    DEPARTMENT,
    PROVINCE,
    REGIME,
    World,
    changed,
    fulfilled,
    opened,
    registry,
)

KEY = f"{DEPARTMENT}/{REGIME}/2026-M10"


def person(person_id: str, role: str, agency: str = PROVINCE, **more: Any) -> PersonRegistered:
    fields: dict[str, Any] = {
        "person_id": person_id, "agency": PROVINCE, "name": "Đinh Công Sơn", "title": "Chuyên viên",
        "contacts": [{"channel": "email", "address": f"{person_id}@h99.example"}],
        "offices": [{"role": role, "agency": agency, "since": date(2025, 7, 1)}], "version": 1,
    }  # fmt: skip
    return PersonRegistered.model_validate(fields | more)


def step(kind: str, number: int = 1, **more: Any) -> StepTaken:
    fields: dict[str, Any] = {
        "step_id": UUID(int=number), "kind": kind, "obligation": KEY, "agency": DEPARTMENT, "regime": REGIME,
        "regime_version": 1, "period": "2026-M10", "at": DEADLINE, "by": "reviewer", "role": "reviewer",
        "reason": "Có xác nhận của Điện lực", "version": 1, "received_at": DEADLINE - timedelta(hours=2),
    }  # fmt: skip
    asked = {} if kind == "withdrawn" else {
        "asked_by": "dept-head", "asked_reason": "Mất điện", "asked_at": DEADLINE - timedelta(days=1),
    }  # fmt: skip
    return StepTaken.model_validate(fields | asked | more)


GRANTED = step("extension_granted", until=DEADLINE + timedelta(days=3))


async def told(world: World) -> dict[tuple[str, str], str]:
    """(kind, recipient) -> state, or why it was not sent"""
    return {(row["kind"], row["officer_id"]): row["reason"] or row["state"] for row in await world.ledger()}


async def test_a_decision_is_mailed_once_to_the_officer_and_to_who_asked(world: World, smtp: FakeSmtp) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", opened())
    await world.feed("steps", GRANTED)
    await world.feed("steps", GRANTED)
    await world.drain(world.dispatcher(smtp))
    assert sorted(smtp.recipients()) == ["dept-head@h99.example", "dept-named@h99.example"]
    for taken in smtp.accepted:
        assert str(taken.message["Subject"]).startswith("[Chấp thuận gia hạn] Báo cáo tháng, tháng 10/2026")
        part = taken.message.get_body(("plain",))
        assert part is not None
        text = part.get_content()
        for words in ("người duyệt", "Có xác nhận của Điện lực", "Mất điện", "đến 17:00 ngày 22/10/2026"):
            assert words in text
    rows = await world.rows("SELECT type FROM outbox ORDER BY id")
    assert [row["type"] for row in rows] == [NoticeRecorded.TYPE] * 2
    assert {event["kind"] for event in await world.recorded()} == {"decision"}


async def test_another_decision_is_another_letter(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("steps", GRANTED, step("appeal_dismissed", 2))
    assert len(await world.ledger()) == 4, "the control: only the same step is told once"


async def test_a_withdrawal_goes_to_the_reviewer_as_registered_now(world: World, smtp: FakeSmtp) -> None:
    await world.feed("registry", *registry(), person("reviewer", "reviewer"), person("office", "provincial_office"))
    await world.feed("steps", step("withdrawn", by="dept-head", role="head", reason="Gửi nhầm kỳ"))
    await world.drain(world.dispatcher(smtp))
    assert smtp.recipients() == ["reviewer@h99.example"]
    assert str(smtp.accepted[0].message["Subject"]).startswith("[Rút báo cáo] Sở Nông nghiệp và Môi trường")
    left = person("reviewer", "reviewer", contacts=[], version=2)
    await world.feed("registry", left)
    await world.feed("steps", step("withdrawn", 2))
    assert (await told(world))["withdrawal", "office"] == "pending"
    (blanked,) = [row["recipient"] for row in await world.ledger() if row["officer_id"] == "reviewer"]
    assert blanked == "", "who has no address any more is forgotten here too"


async def test_where_nobody_reviews_the_ledger_says_so(world: World) -> None:
    await world.feed("registry", *registry(), person("admin", "administrator"))
    await world.feed("steps", step("withdrawn"))
    assert await told(world) == {("withdrawal", ""): "no_reviewer"}


async def test_a_step_waits_for_the_person_who_asked(world: World) -> None:
    await world.feed("registry", *registry())
    taken = step("appeal_upheld", effect="accepted", asked_by="deputy")
    batch = await world.feed("steps", taken, step("appeal_dismissed", 2))
    assert list(batch.deferred.values()) == ["person/deputy"] * 2
    await world.feed("registry", person("deputy", "deputy", DEPARTMENT))
    await world.feed("steps", taken)
    assert await told(world) == {("decision", "dept-named"): "pending", ("decision", "deputy"): "pending"}


async def test_a_rebuilt_notifier_tells_nothing_of_what_is_old(world: World, smtp: FakeSmtp) -> None:
    await world.feed("registry", *registry())
    world.business.advance(seconds=31 * 86_400)
    await world.feed("steps", GRANTED)
    assert set((await told(world)).values()) == {"too_old"}
    await world.drain(world.dispatcher(smtp))
    assert smtp.recipients() == []


async def test_what_is_not_owed_any_more_is_not_decided_about(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("steps", GRANTED)
    await world.feed("compliance", changed(4, "not_owed", owed=False))
    await world.feed("steps", step("appeal_dismissed", 2))
    assert set((await told(world)).values()) == {"not_owed"}


TO_CERTIFY: dict[str, Any] = {
    "standing": "awaiting_verdict", "certify_version": 1, "received_version": 1,
    "last_received_at": DEADLINE - timedelta(hours=2), "locks_at": DEADLINE + timedelta(days=7),
}  # fmt: skip


async def test_the_head_is_asked_for_the_signature_once(world: World, smtp: FakeSmtp) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", opened(), changed(2, **TO_CERTIFY), changed(3, **TO_CERTIFY))
    await world.drain(world.dispatcher(smtp))
    assert smtp.recipients() == ["dept-head@h99.example"]
    part = smtp.accepted[0].message.get_body(("plain",))
    assert part is not None
    assert "trước 17:00 ngày 26/10/2026" in part.get_content()


async def test_a_version_that_waits_again_for_the_signature_is_not_left_unheard(world: World, smtp: FakeSmtp) -> None:
    """The letter about it was cancelled, because a newer version waited; that one is withdrawn."""
    await world.feed("registry", *registry())
    await world.feed("compliance", changed(2, **TO_CERTIFY))
    await world.feed("compliance", changed(3, **{**TO_CERTIFY, "certify_version": 2, "received_version": 2}))
    await world.feed("compliance", changed(4, **TO_CERTIFY))
    states = [(row["step"], row["state"]) for row in await world.ledger() if row["kind"] == "certification"]
    assert sorted(states) == [("certify/1", "cancelled"), ("certify/1/4", "pending"), ("certify/2", "cancelled")]
    await world.drain(world.dispatcher(smtp))
    assert smtp.recipients() == ["dept-head@h99.example"]


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (fulfilled(3), "fulfilled"),
        (changed(3), "not_to_certify"),
        (changed(3, owed=False), "not_owed"),
        (changed(3, **TO_CERTIFY), "pending"),  # the control
    ],
)
async def test_a_signature_that_is_not_wanted_any_more_is_not_asked_for(world: World, after: Any, reason: str) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", changed(2, **TO_CERTIFY))
    await world.feed("compliance", after)
    assert await told(world) == {("certification", "dept-head"): reason}
