"""Steps reach scoring in any order, and a decision that gives time is a relief of its one obligation."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from tests.integration.scoring.rig import KEY, Rig, agency, local, officer, regime
from tests.unit.scoring.samples import DEADLINE, step, submission, verdict

EARLY, LATE = DEADLINE - timedelta(days=1), DEADLINE + timedelta(hours=1)
LATER = DEADLINE + timedelta(days=3)
#: about the obligation, not about one version
ALONE: dict[str, Any] = {"submission_id": None, "officer_id": None, "alone": True}


async def province(rig: Rig, **rules: Any) -> None:
    await rig.registry(agency(), officer(), regime(**rules))
    await rig.generate()


async def test_an_extension_asked_for_in_time_moves_the_deadline(rig: Rig) -> None:
    await province(rig)
    granted = step("extension_granted", LATE, until=LATER, asked_at=EARLY, asked_by="cb-31", asked_reason="Mất điện",
                   **ALONE, reason="Có xác nhận")  # fmt: skip
    await rig.follow(granted)
    await rig.follow(granted)
    await rig.at(DEADLINE + timedelta(minutes=5))
    now = await rig.one()
    assert (now["deadline"], now["overdue"]) == (LATER, False)
    await rig.follow(verdict(received_at=LATER))
    assert (await rig.one())["on_time"] is True
    decisions = await rig.rows("SELECT after, decided_by, reason FROM relief_decisions ORDER BY version")
    assert [tuple(row.values()) for row in decisions] == [
        ("proposed", "cb-31", "Mất điện"), ("granted", "tt-31", "Có xác nhận"),
    ]  # fmt: skip
    await rig.check_scores()


async def test_an_extension_asked_for_after_the_deadline_forgives_days_and_makes_nothing_on_time(rig: Rig) -> None:
    await province(rig)
    received = local(2026, 10, 23, 9)  # four working days late
    await rig.follow(verdict(received_at=received))
    assert (await rig.one())["score"] == 60
    await rig.follow(step("extension_granted", received, until=received, asked_at=local(2026, 10, 21, 8),
                          asked_by="cb-31", **ALONE))  # fmt: skip
    await rig.at(received + timedelta(hours=1))
    now = await rig.one()
    assert (now["deadline"], now["on_time"], now["score"]) == (DEADLINE, False, 90)


async def test_an_appeal_against_a_score_gives_the_span_that_was_decided(rig: Rig) -> None:
    await province(rig)
    await rig.follow(verdict(received_at=LATE))
    assert (await rig.one())["on_time"] is False
    await rig.follow(step("appeal_upheld", LATER, effect="relief", since=EARLY, until=LATE, asked_at=LATE,
                          asked_by="cb-31", **ALONE, reason="Mạng hỏng"))  # fmt: skip
    await rig.at(LATER)
    assert (await rig.one())["on_time"] is True


async def test_a_step_about_an_obligation_that_nobody_has_made_makes_it_with_the_report(rig: Rig) -> None:
    await rig.registry(agency(), officer(), regime())
    await rig.follow(step("withdrawn", LATE, received_at=EARLY))
    await rig.follow(submission(1, EARLY), verdict(received_at=EARLY))
    assert (await rig.one())["standing"] == "nothing_sent"
    found = await rig.obligation()
    assert [taken.kind for taken in found.facts.versions[0].steps] == ["withdrawn"]


async def test_a_step_waits_for_the_registry_as_its_report_does(rig: Rig) -> None:
    batch = await rig.follow(step("certified", LATE, received_at=EARLY))
    assert batch.deferred
    assert await rig.keys() == []


async def test_the_terms_say_what_must_be_certified_and_when_it_is_locked(rig: Rig) -> None:
    await province(rig, certification="head", lock_after_working_days=5)
    lock = local(2026, 10, 26, 17)
    assert (await rig.one())["locks_at"] == lock
    (opened,) = await rig.published("opened", KEY)
    assert opened.locks_at == lock
    await rig.follow(verdict(received_at=EARLY))
    await rig.at(DEADLINE + timedelta(hours=1))
    waiting = await rig.one()
    assert (waiting["standing"], waiting["overdue"], waiting["score"]) == ("awaiting_verdict", False, None)
    await rig.at(lock + timedelta(hours=1))
    assert (await rig.one())["overdue"] is True
    await rig.follow(step("certified", lock + timedelta(hours=2), received_at=EARLY))
    late = await rig.one()
    assert (late["standing"], late["on_time"]) == ("fulfilled", False)
    await rig.check_scores()


async def test_within_the_grace_nobody_is_called_overdue_and_a_report_is_late(rig: Rig) -> None:
    await province(rig, grace_working_days=2, lock_after_working_days=5)
    grace = local(2026, 10, 21, 17)
    assert ((await rig.one())["deadline"], (await rig.obligation()).terms.grace_until) == (DEADLINE, grace)
    (opened,) = await rig.published("opened", KEY)
    assert (opened.deadline, opened.grace_until) == (DEADLINE, grace)
    await rig.at(grace)
    assert (await rig.one())["overdue"] is False
    await rig.at(grace + timedelta(hours=1))
    assert (await rig.one())["overdue"] is True
    await rig.follow(verdict(received_at=local(2026, 10, 20, 9)))
    late = await rig.one()
    assert (late["overdue"], late["on_time"], late["score"]) == (False, False, 90)
    await rig.check_scores()


async def test_a_rework_is_published_with_its_reason(rig: Rig) -> None:
    await province(rig)
    await rig.follow(verdict(received_at=EARLY))
    await rig.follow(step("rework", LATE, received_at=EARLY, reason="Thiếu nguyên nhân", until=LATER))
    event = (await rig.published(key=KEY))[-1]
    assert (event.changes, event.rework_reason, event.rework_until) == (
        ("returned", "reopened", "score"), "Thiếu nguyên nhân", LATER,
    )  # fmt: skip
    assert all(isinstance(line.event_id, UUID) for line in event.lines)


async def test_a_report_that_answered_and_is_withdrawn_stands_no_more(rig: Rig) -> None:
    await province(rig)
    await rig.follow(submission(1, EARLY), verdict(received_at=EARLY))
    await rig.follow(step("withdrawn", EARLY + timedelta(hours=1), received_at=EARLY))
    now = await rig.one()
    assert (now["standing"], now["score"], now["received_at"]) == ("nothing_sent", None, None)
    assert (await rig.changes())[-1] == ("reopened", "score")
    await rig.follow(submission(2, DEADLINE), verdict(2, received_at=DEADLINE))
    assert (await rig.one())["score"] == 100
    await rig.check_scores()
