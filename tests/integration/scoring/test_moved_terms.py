"""What moves a deadline or the rules reaches the obligations that exist, on a real database: judged again, or kept."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from services.scoring import registry
from services.scoring.calendar import shipped_calendars
from services.scoring.calendar.data import CalendarDay, ReadCalendar
from services.scoring.calendar.store import load_calendars
from services.scoring.obligations import generation_sweep, generator
from services.scoring.obligations.facts import Terms
from services.scoring.reliefs import decisions
from services.scoring.reliefs.decisions import Proposal
from services.scoring.scores.policy import shipped_policies
from services.scoring.scores.policy.store import load_policies
from shared.contract.events.registry import Deadline
from tests.integration.scoring.rig import KEY, Rig, agency, key_of, local, regime, request
from tests.integration.scoring.test_policy_loading import another
from tests.unit.scoring.samples import DEADLINE, verdict

REQUESTED = "H99.31/THIENTAI-DX/DX-2026-003"
ADHOC: dict[str, Any] = {"frequency": "adhoc", "deadline": Deadline(rule="on_request"), "remind_working_days": 1}


async def moved(rig: Rig, deadline: datetime, version: int = 2) -> datetime:
    await rig.registry(request(deadline=deadline, version=version))
    await rig.generate()
    found: datetime = (await rig.one(REQUESTED))["deadline"]
    return found


async def requested(rig: Rig) -> None:
    await rig.registry(regime("THIENTAI-DX", **ADHOC), agency(), request())  # from 5/10, 8:00, by 9/10, 17:00
    await rig.generate()


async def test_a_request_prolonged_after_its_deadline_takes_the_overdue_mark_and_the_lateness_back(rig: Rig) -> None:
    await requested(rig)
    await rig.at(local(2026, 10, 9, 18))
    assert (await rig.one(REQUESTED))["overdue"] is True
    assert await moved(rig, local(2026, 10, 12, 17)) == local(2026, 10, 12, 17)
    assert (await rig.changes(REQUESTED))[-1] == ("terms_changed", "overdue_withdrawn", "score")
    await rig.follow(verdict(key=REQUESTED, received_at=local(2026, 10, 13, 9)))
    assert (await rig.one(REQUESTED))["score"] == 90
    await moved(rig, local(2026, 10, 14, 17), 3)
    assert ((await rig.one(REQUESTED))["on_time"], (await rig.one(REQUESTED))["score"]) == (True, 100)
    await rig.check_scores()


@pytest.mark.parametrize("going_back", [True, False])
async def test_a_later_deadline_reaches_what_was_counted_late_weeks_ago(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, going_back: bool
) -> None:
    """The control: a generator that goes back no further than it catches up leaves the lateness as it was."""
    if not going_back:

        async def nowhere(*_: Any) -> None:
            return

        monkeypatch.setattr(registry, "replan_behind", nowhere)
    await requested(rig)
    await rig.registry(regime())
    await rig.at(local(2026, 10, 9, 18))
    await rig.at(local(2026, 10, 19, 18))
    await rig.follow(
        verdict(key=REQUESTED, received_at=local(2026, 10, 13, 9)), verdict(received_at=local(2026, 10, 21, 9))
    )
    await rig.at(local(2026, 11, 25, 8))
    before = (await rig.one(REQUESTED))["score"], (await rig.one())["score"]
    assert before == (80, 80)
    await moved(rig, local(2026, 10, 14, 17))
    await rig.registry(regime(deadline=Deadline(rule="day_of_month", day=23), version=2))  # a slip that is mended
    await rig.generate()
    after = (await rig.one(REQUESTED))["score"], (await rig.one())["score"]
    assert after == ((100, 100) if going_back else before)
    await rig.check_scores()


@pytest.mark.parametrize("planned", [True, False])
async def test_a_day_off_announced_later_is_taken_out_of_a_lateness_behind_a_relief(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, planned: bool
) -> None:
    """The control: a generator that goes back to where reliefs have moved deadlines finds no plan of an earlier one."""
    if not planned:
        statement = generator._REPLAN_FROM.text.replace(
            "least(deadline, CAST(terms->>'deadline' AS timestamptz))", "deadline"
        )
        monkeypatch.setattr(generator, "_REPLAN_FROM", text(statement))
    await rig.registry(regime(), agency())
    await rig.at(local(2026, 10, 16, 8))
    async with rig.database.transaction() as tx:
        proposal = Proposal(local(2026, 10, 19, 8), local(2026, 10, 21, 20), "mất điện", "Trần Thị B")
        await decisions.propose(tx, proposal, rig.clock.now(), timedelta(hours=24))
        await decisions.decide(tx, proposal.relief_id, "granted", "Lê Văn C", "đúng vậy", rig.clock.now())
    await rig.at(local(2026, 10, 21, 21))
    await rig.follow(verdict(received_at=local(2026, 10, 23, 9)))
    assert (await rig.one())["score"] == 80, "late by 22 and 23 October"
    await rig.at(local(2026, 11, 5, 8))
    async with rig.database.transaction() as tx:
        await load_calendars(tx, [with_a_day_off(date(2026, 10, 22))])
    await rig.generate()
    assert (await rig.one())["score"] == (90 if planned else 80)
    await rig.check_scores()


def with_a_day_off(day: date) -> ReadCalendar:
    newest = shipped_calendars()[-1].file
    days = tuple(
        sorted([*newest.days, CalendarDay(day=day, name="Nghỉ", name_en="Day off")], key=lambda each: each.day)
    )
    file = newest.model_copy(update={"version": "VN-TEST.9", "revision": 99, "days": days})
    return ReadCalendar(file, "9" * 64)


async def test_an_earlier_deadline_counts_with_notice_and_before_anybody_was_reminded(rig: Rig) -> None:
    await requested(rig)
    rig.clock.set(local(2026, 10, 1, 8))
    assert await moved(rig, local(2026, 10, 8, 17)) == local(2026, 10, 8, 17)
    rig.clock.set(local(2026, 10, 6, 8))  # three working days before 9/10, 8:00
    assert await moved(rig, local(2026, 10, 8, 16), 3) == local(2026, 10, 8, 17)


async def test_an_earlier_deadline_never_counts_after_a_reminder(rig: Rig) -> None:
    await rig.registry(regime(), agency())
    await rig.generate()
    await rig.at(local(2026, 10, 15, 8))  # reminded
    await rig.registry(regime(deadline=Deadline(rule="day_of_month", day=16), version=2))
    await rig.generate()
    assert (await rig.one())["deadline"] == DEADLINE
    assert (await rig.one(key_of("H99.31", "2026-M11")))["deadline"] == local(2026, 11, 16, 17), "nobody was reminded"


async def test_the_control_a_plan_that_is_taken_as_it_is_would_take_time_away(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_it_is(obligation: Any, planned: Terms, notice_until: datetime, policy_of_old: str) -> Terms:
        return planned

    monkeypatch.setattr(generation_sweep, "follow_plan", as_it_is)
    await rig.registry(regime(), agency())
    await rig.generate()
    await rig.at(local(2026, 10, 15, 8))
    await rig.registry(regime(deadline=Deadline(rule="day_of_month", day=16), version=2))
    await rig.generate()
    assert (await rig.one())["deadline"] == local(2026, 10, 16, 17)


async def test_a_policy_loaded_later_judges_what_is_due_from_its_first_day_on_again(rig: Rig) -> None:
    await rig.registry(regime(), agency())
    await rig.generate()
    december = key_of("H99.31", "2026-M12")
    received = local(2026, 12, 18, 9)
    await rig.follow(verdict(key=december, received_at=received), verdict())
    async with rig.database.transaction() as tx:
        await load_policies(tx, [*shipped_policies(), another("2026.12", "2026-12-01", points="50")], date(2026, 10, 1))
    await rig.generate()
    assert ((await rig.one(december))["policy_version"], (await rig.one(december))["score"]) == ("2026.12", 90)
    assert ((await rig.one(KEY))["policy_version"], (await rig.one(KEY))["score"]) == ("2019.1", 100)
    assert "quy tắc chấm điểm thay đổi" in (await rig.obligation(december)).lines[2].cause
    # the event shows each line in the words of the policy that it was written by
    told = (await rig.published("terms_changed", december))[-1].lines
    assert {line.policy_version for line in told} == {"2019.1", "2026.12"}
    assert all(line.clause_text and line.clause_text_en and line.legal_basis for line in told)
    await rig.check_scores()
