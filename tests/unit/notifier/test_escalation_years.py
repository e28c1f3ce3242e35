"""Escalations over random years: whatever comes, each climbs in order, once, and always has a next move."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from services.notifier.escalation.domain import (
    AT_THE_TOP,
    Answer,
    Escalation,
    Facts,
    Refused,
    acknowledge,
    climb,
    resolve,
    start,
    told_people,
)
from services.notifier.ladders.domain import ROLES, Span
from services.notifier.ladders.timelines import WEEKDAYS
from services.notifier.planning.domain import Notice, Obligation
from shared.runtime.clock import LOCAL_ZONE
from tests.unit.notifier.test_escalation import LADDER, OVERDUE, facts


class YearOfAProvince(RuleBasedStateMachine):
    """Reports become overdue, are promised, and come; people come and go; the sweep sleeps and wakes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 1, 5, 9, tzinfo=LOCAL_ZONE)
        self.unstaffed: set[str] = set()
        self.open: dict[str, tuple[Escalation, Obligation]] = {}
        self.serial = 0
        self.told: Counter[tuple[str, str, str]] = Counter()
        self.order: dict[str, list[str]] = {}

    @rule(hours=st.integers(1, 24 * 14))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(role=st.sampled_from(ROLES))
    def somebody_comes_or_goes(self, role: str) -> None:
        self.unstaffed ^= {role}

    @rule(promises=st.integers(0, 3), grace=st.sampled_from([Span(0, "h"), Span(4, "h"), Span(2, "d")]))
    def a_report_becomes_overdue(self, promises: int, grace: Span) -> None:
        self.serial += 1
        key = f"A/R/{self.serial}"
        obligation = replace(OVERDUE, key=key, deadline=self.now)
        ladder = replace(LADDER, promises=promises, grace=grace)
        self.open[key] = start(obligation, ladder, self.now, ()), obligation

    @rule()
    def the_sweep_looks(self) -> None:
        for key, (one, obligation) in list(self.open.items()):
            if one.next_at is None or one.next_at > self.now:
                continue
            after, notices = climb(one, facts(*self.unstaffed, obligation=obligation), self.now)
            assert after.climb.passed[: len(one.climb.passed)] == one.climb.passed, "what is behind stays"
            heard = [notice.officer.officer_id for notice in notices if notice.officer]
            assert len(heard) == len(set(heard)), "several rungs at once tell each person one thing"
            for notice in notices:
                if notice.officer is not None:
                    self.told[key, notice.step, notice.officer.officer_id] += 1
            self.order.setdefault(key, []).extend(
                after.climb.ladder.rungs[place].tell for place in range(one.climb.position, after.climb.position)
            )
            assert after.next_at is None or after.next_at > self.now, "it does not stand still"
            self.open[key] = after, obligation

    @precondition(lambda self: self.open)
    @rule(data=st.data(), days=st.integers(1, 9))
    def somebody_promises(self, data: st.DataObject, days: int) -> None:
        key = data.draw(st.sampled_from(sorted(self.open)))
        one, obligation = self.open[key]
        people = sorted(told_people(one)) or ["head"]
        by = data.draw(st.sampled_from(people))
        try:
            held = acknowledge(one, Answer(self.now, by, "acknowledged", self.now + timedelta(days=days)), WEEKDAYS)
        except Refused:
            return
        self.open[key] = held, obligation

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def a_report_comes(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.open)))
        one, _ = self.open.pop(key)
        over = resolve(one, "answered", self.now)
        assert climb(over, facts(), self.now + timedelta(days=99)) == (over, ())

    @invariant()
    def nobody_hears_twice_of_one_rung(self) -> None:
        assert not [letter for letter, times in self.told.items() if times > 1]

    @invariant()
    def nobody_above_is_told_before_those_below(self) -> None:
        for roles in self.order.values():
            ranks = [ROLES.index(role) for role in roles]
            assert ranks == sorted(ranks)

    @invariant()
    def whatever_is_open_moves_or_says_why_not(self) -> None:
        for one, _ in self.open.values():
            assert one.next_at is not None or one.reason == AT_THE_TOP
            assert one.climb.position == len(one.climb.passed)


YEAR = settings(max_examples=60, stateful_step_count=50, deadline=None)
YearOfAProvince.TestCase.settings = YEAR
TestYearOfAProvince = YearOfAProvince.TestCase


@pytest.mark.parametrize("wrong", ["forgets", "stands still", "from the top"])
def test_control_a_climb_that_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    right = climb

    def broken(one: Escalation, given: Facts, now: datetime) -> tuple[Escalation, tuple[Notice, ...]]:
        after, notices = right(one, given, now)
        if wrong == "forgets":
            return replace(after, climb=one.climb), notices
        if wrong == "stands still":
            return replace(after, next_at=now), notices
        downwards = sorted(one.climb.ladder.rungs, key=lambda rung: -rung.at.count)
        turned = replace(one.climb, ladder=replace(one.climb.ladder, rungs=tuple(downwards)))
        return right(replace(one, climb=turned), given, now)

    monkeypatch.setattr("tests.unit.notifier.test_escalation_years.climb", broken)
    with pytest.raises(AssertionError):
        _two_weeks()


def _two_weeks() -> None:
    """One report stays overdue for two weeks, and the sweep looks once a day."""
    machine = YearOfAProvince()
    machine.a_report_becomes_overdue(promises=2, grace=Span(0, "h"))
    for _ in range(14):
        machine.the_sweep_looks()
        machine.nobody_hears_twice_of_one_rung()
        machine.nobody_above_is_told_before_those_below()
        machine.whatever_is_open_moves_or_says_why_not()
        machine.time_passes(hours=24)


def test_the_two_weeks_of_the_control_are_right_by_themselves() -> None:
    _two_weeks()
