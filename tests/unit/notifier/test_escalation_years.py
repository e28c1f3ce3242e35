"""Escalations over random years: whatever comes, each climbs in order, once, always has a next move, and is published
as it is.
"""

from __future__ import annotations

import contextlib
import dataclasses
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
    HandedOn,
    Refused,
    Told,
    acknowledge,
    climb,
    hand_on,
    resolve,
    start,
    take_back,
    told_people,
)
from services.notifier.escalation.publishing import as_published, event_of
from services.notifier.ladders.domain import ROLES, Span
from services.notifier.ladders.timelines import WEEKDAYS
from services.notifier.planning.directory import Officer
from services.notifier.planning.domain import Notice, Obligation
from shared.contract.events import EscalationChanged
from shared.runtime.clock import LOCAL_ZONE
from tests.unit.notifier.test_escalation import LADDER, OVERDUE, facts


class YearOfAProvince(RuleBasedStateMachine):
    """Reports become overdue, are promised, handed on, and come; mails come back; people come and go; the sweep sleeps
    and wakes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 1, 5, 9, tzinfo=LOCAL_ZONE)
        self.unstaffed: set[str] = set()
        self.open: dict[str, tuple[Escalation, Obligation]] = {}
        self.serial = 0
        self.told: Counter[tuple[str, str, str]] = Counter()
        self.order: dict[str, list[str]] = {}
        self.refused: set[tuple[str, str, str]] = set()  # key, step, person of mails that came back
        self.published: dict[str, list[EscalationChanged]] = {}
        self.promised: dict[str, datetime] = {}

    def keep(self, key: str, after: Escalation, obligation: Obligation) -> None:
        """Store a climb and publish it, as the store does."""
        before = self.open[key][0] if key in self.open else None
        kept = as_published(replace(after, number=1), before, self.now)
        if before is None or kept.version > before.version:
            self.published.setdefault(key, []).append(event_of(kept))
        self.open[key] = kept, obligation

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
        given = facts(*self.unstaffed, obligation=obligation)
        self.keep(key, start(obligation, ladder, self.now, (), facts=given), obligation)

    @rule()
    def the_sweep_looks(self) -> None:
        for key, (one, obligation) in list(self.open.items()):
            if one.next_at is None or one.next_at > self.now:
                continue
            came_back = {(step, person) for of, step, person in self.refused if of == key}
            given = dataclasses.replace(facts(*self.unstaffed, obligation=obligation), failed=came_back)
            after, notices = climb(one, given, self.now)
            assert after.climb.passed[: len(one.climb.passed)] == one.climb.passed, "what is behind stays"
            heard = [notice.officer.officer_id for notice in notices if notice.officer]
            assert len(heard) == len(set(heard)), "several rungs at once tell each person one thing"
            assert not heard or self.promised.get(key, self.now) <= self.now, "a promise is kept"
            for notice in notices:
                if notice.officer is not None:
                    self.told[key, notice.step, notice.officer.officer_id] += 1
            self.order.setdefault(key, []).extend(
                after.climb.ladder.rungs[place].tell for place in range(one.climb.position, after.climb.position)
            )
            assert after.next_at is None or after.next_at > self.now, "it does not stand still"
            self.keep(key, after, obligation)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), days=st.integers(1, 9))
    def somebody_promises(self, data: st.DataObject, days: int) -> None:
        key = data.draw(st.sampled_from(sorted(self.open)))
        one, _ = self.open[key]
        people = sorted(told_people(one)) or ["head"]
        by = data.draw(st.sampled_from(people))
        self.promise(key, by, days)

    def promise(self, key: str, by: str, days: int) -> None:
        one, obligation = self.open[key]
        until = self.now + timedelta(days=days)
        with contextlib.suppress(Refused):
            self.keep(key, acknowledge(one, Answer(self.now, by, "acknowledged", until), WEEKDAYS), obligation)
            self.promised[key] = until

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def somebody_takes_it_back(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.open)))
        one, obligation = self.open[key]
        by = data.draw(st.sampled_from(sorted(told_people(one)) or ["head"]))
        try:
            freed = take_back(one, Answer(self.now, by, "taken_back"))
        except Refused:
            return
        self.promised.pop(key)
        self.keep(key, freed, obligation)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), number=st.integers(1, 3))
    def somebody_hands_it_on(self, data: st.DataObject, number: int) -> None:
        key = data.draw(st.sampled_from(sorted(self.open)))
        one, obligation = self.open[key]
        by = data.draw(st.sampled_from(sorted(told_people(one)) or ["head"]))
        deputy = Officer(f"deputy{number}", "A", "D", "", f"deputy{number}@h99.example", "")
        told = Told(deputy.officer_id, "A", f"{one.climb.step}/rung-t/to-{deputy.officer_id}")
        try:
            after, notice = hand_on(
                one, HandedOn(self.now, by, "t", told, "Phụ trách"), deputy, None, facts(obligation=obligation)
            )
        except Refused:
            return
        self.told[key, notice.step, deputy.officer_id] += 1
        self.keep(key, after, obligation)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def a_mail_comes_back(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.open)))
        one, obligation = self.open[key]
        if one.climb.passed and one.climb.passed[-1].told:
            told = one.climb.passed[-1].told[0]
            self.refused.add((key, told.step, told.person))
            looked_at = self.now if one.next_at is None else min(one.next_at, self.now)
            self.open[key] = replace(one, next_at=looked_at, reason=""), obligation

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
    def what_was_published_last_is_what_is_so(self) -> None:
        """But for the next moment of one that is looked at again: the look publishes it, where it is another."""
        for key, (one, _) in self.open.items():
            told = self.published[key]
            assert [event.version for event in told] == list(range(1, len(told) + 1))
            if one.next_at is None or one.next_at > self.now:
                assert told[-1] == event_of(one)

    @invariant()
    def whatever_is_open_moves_or_says_why_not(self) -> None:
        for one, _ in self.open.values():
            assert one.next_at is not None or one.reason == AT_THE_TOP
            assert one.climb.position == len(one.climb.passed)


YEAR = settings(max_examples=40, stateful_step_count=50, deadline=None)
YearOfAProvince.TestCase.settings = YEAR
TestYearOfAProvince = YearOfAProvince.TestCase


@pytest.mark.parametrize("wrong", ["forgets", "stands still", "from the top", "breaks a promise"])
def test_control_a_climb_that_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    right = climb

    def broken(one: Escalation, given: Facts, now: datetime) -> tuple[Escalation, tuple[Notice, ...]]:
        after, notices = right(one, given, now)
        if wrong == "forgets":
            return replace(after, climb=one.climb), notices
        if wrong == "stands still":
            return replace(after, next_at=now), notices
        if wrong == "breaks a promise":
            return right(replace(one, climb=replace(one.climb, held_until=None)), given, now)
        downwards = sorted(one.climb.ladder.rungs, key=lambda rung: -rung.at.count)
        turned = replace(one.climb, ladder=replace(one.climb.ladder, rungs=tuple(downwards)))
        return right(replace(one, climb=turned), given, now)

    monkeypatch.setattr("tests.unit.notifier.test_escalation_years.climb", broken)
    with pytest.raises(AssertionError):
        _two_weeks()


def test_control_a_turn_that_is_not_published_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = as_published

    def silent(after: Escalation, before: Escalation | None, at: datetime) -> Escalation:
        return right(after, before, at) if before is None else after

    monkeypatch.setattr("tests.unit.notifier.test_escalation_years.as_published", silent)
    with pytest.raises(AssertionError):
        _two_weeks()


def test_the_two_weeks_of_the_controls_are_right_by_themselves() -> None:
    _two_weeks()


def _two_weeks() -> None:
    """One report stays overdue for two weeks, its head promises a day, and the sweep looks once a day."""
    machine = YearOfAProvince()
    machine.a_report_becomes_overdue(promises=2, grace=Span(0, "h"))
    for day in range(14):
        machine.the_sweep_looks()
        if day == 1:
            (key,) = machine.open
            machine.promise(key, "head", days=5)
            one, obligation = machine.open[key]
            machine.open[key] = replace(one, next_at=machine.now), obligation
        machine.what_was_published_last_is_what_is_so()
        machine.nobody_hears_twice_of_one_rung()
        machine.nobody_above_is_told_before_those_below()
        machine.whatever_is_open_moves_or_says_why_not()
        machine.time_passes(hours=24)


def test_the_two_weeks_of_the_control_are_right_by_themselves() -> None:
    _two_weeks()
