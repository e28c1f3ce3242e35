"""What an obligation keeps of an older version, because a newer one made it worse too late, is no difference."""

from __future__ import annotations

from dataclasses import replace as changed
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from deploy.reconcile.dossiers import Dossier
from deploy.reconcile.owing import terms
from deploy.reconcile.reference import Reference
from services.scoring.obligations.deadlines import Agency, Regime, plan_period
from services.scoring.obligations.domain import Obligation
from services.scoring.obligations.facts import NOTHING, Reminder, Terms, with_reminder
from services.scoring.obligations.generator import follow_plan, terms_of
from services.scoring.obligations.standing import untouched
from services.scoring.reference_data import Rules
from services.scoring.scores.policy import read_policies
from shared.contract.events.registry import Cutoff, Deadline
from shared.contract.period import parse
from tests.unit.scoring.samples import CALENDAR, KEY

BOOK = read_policies()
FIRST = Regime(
    "KTXH-THANG", 1, "monthly", date(2026, 1, 1), None, ("commune",), (), Cutoff(),
    Deadline(rule="day_of_month", day=19), 2, lock_after_working_days=5, grace_working_days=3,
)  # fmt: skip
WORSE: dict[str, dict[str, Any]] = {
    "certified": {"certification": "head"},
    "locked earlier": {"lock_after_working_days": 4},
    "less grace": {"grace_working_days": 1},
    "no grace": {"grace_working_days": None},
    "due earlier": {"deadline": Deadline(rule="day_of_month", day=16)},
    "due later, nothing behind it": {
        "deadline": Deadline(rule="day_of_month", day=20), "lock_after_working_days": 1, "grace_working_days": None,
    },
}  # fmt: skip


def made(regime: Regime) -> Terms:
    plan = plan_period(regime, parse("2026-M10"), CALENDAR)
    return terms_of(plan, BOOK.governing(plan.due_on).version)


def said(
    stored: Terms, *versions: Regime, regrouped_at: datetime | None = None, changes: str = '["opened"]'
) -> set[str]:
    agency = Agency("H99.31", "commune", date(2020, 1, 1), None, regrouped_at)
    # open: generation is complete up to its opening
    reference = Reference(
        {}, {}, {}, [], regimes={"KTXH-THANG": list(versions)}, agencies={"H99.31": agency},
        calendars={CALENDAR.version: CALENDAR}, current=CALENDAR, book=BOOK, rules=Rules(BOOK),
        generation={"complete_at": stored.opens_at},
    )  # fmt: skip
    obligation = Obligation(KEY, 1, stored, NOTHING, untouched(stored))
    dossier = Dossier(KEY)
    dossier.changed.append({"body": f'{{"changes":{changes}}}'.encode()})
    return {difference.column for difference in terms(obligation, dossier, reference)}


@pytest.mark.parametrize("change", WORSE)
def test_what_stays_as_it_was_is_no_difference(change: str) -> None:
    before = made(FIRST)
    second = changed(FIRST, regime_version=2, **WORSE[change])
    facts = with_reminder(NOTHING, Reminder(before.remind_at, before.deadline))
    kept = follow_plan(Obligation(KEY, 1, before, facts, untouched(before)), made(second), before.opens_at)
    assert kept != made(second)
    assert said(kept, FIRST, second) == set()
    assert said(made(second), FIRST, second) == set(), "nobody had relied on it"


@pytest.mark.parametrize(
    "spoilt",
    [
        {"locks_at": made(FIRST).deadline + timedelta(days=90)},
        {"locks_at": made(FIRST).deadline},
        {"grace_until": made(FIRST).deadline + timedelta(days=5)},
        {"certification": "head"},
        {"regime_version": 1},
    ],
    ids=str,
)
def test_the_control_what_no_version_gives_is_a_difference(spoilt: dict[str, Any]) -> None:
    second = changed(FIRST, regime_version=2)
    assert said(msgspec.structs.replace(made(second), **spoilt), FIRST, second) == {f"terms.{name}" for name in spoilt}


def test_lock_and_grace_of_whoever_has_notice_move_with_the_deadline() -> None:
    due = made(FIRST).deadline + timedelta(days=2)
    assert said(made(FIRST).due_at(due), FIRST, regrouped_at=due - timedelta(days=3)) == set()
    assert said(replace(made(FIRST), deadline=due), FIRST, regrouped_at=due - timedelta(days=3)) != set()


def test_who_was_told_that_nothing_is_owed_may_have_notice() -> None:
    later = made(FIRST).due_at(made(FIRST).deadline + timedelta(days=2))
    assert said(later, FIRST, changes='["owed_again","terms_changed"]') == set()
    assert "terms.deadline" in said(later, FIRST), "the control"
