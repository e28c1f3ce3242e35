"""A year of a province on a clock of its own: planning, ladder, windows, silences, limits and deliveries together.

The rules are the service's own; what is checked is written here anew, on what people are sent: nobody is told twice
for one rung, nobody above before those below, silence and quiet hours are kept, whatever is open moves, and nobody is
above the limit. Each has its controls: a protection is taken out, and the machine finds it.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from services.notifier.delivery import next_contact as onward
from services.notifier.delivery import states
from services.notifier.delivery.states import (
    MailAccepted,
    MailDeferred,
    MailRefused,
    MailUncertain,
    Progress,
    RetryPolicy,
    SendResult,
)
from services.notifier.escalation import domain as escalation
from services.notifier.escalation.domain import AT_THE_TOP, Answer, Escalation, Facts, HandedOn, Refused, Told
from services.notifier.ladders.domain import ROLES
from services.notifier.ladders.timelines import WEEKDAYS, province
from services.notifier.mailing import domain as mailing
from services.notifier.mailing.data import shipped_rules
from services.notifier.mailing.domain import Day, Matter, Release, Silence
from services.notifier.planning import domain as planning
from services.notifier.planning.directory import Directory, Officer
from services.notifier.planning.domain import Notice, Obligation
from shared.runtime.clock import LOCAL_ZONE
from tests.fakes.compliance import obligation_changed
from tests.unit.notifier.test_escalation import LADDER

RULES = shipped_rules().rules
POLICY = RetryPolicy()
#: states in which a notice may still be cancelled
UNSENT = {"waiting", "grouped", "pending", "retry"}
#: who holds each role, the lowest first; a second officer has no role of a ladder
COLLEAGUE, DEPUTY = (Officer(name, "A", name, "", f"{name}@h99.example", "reporting_officer") for name in ("o2", "d1"))
OUTCOMES: dict[str, SendResult] = {
    "accepted": MailAccepted(250, "ok"),
    "deferred": MailDeferred("rcpt", 451, "later"),
    "refused": MailRefused("rcpt", 550, "no such user"),
    "uncertain": MailUncertain("no answer"),
}


@dataclasses.dataclass
class Row:
    """A notice in the ledger, as far as the rules read it."""

    id: UUID
    notice: Notice
    state: str
    wait_until: datetime | None = None
    held: str = ""
    due_at: datetime | None = None
    carrier: UUID | None = None
    next_contact: str | None = None
    progress: Progress | None = None
    copies: int = 0

    @property
    def person(self) -> str:
        return self.notice.officer.officer_id if self.notice.officer else ""


class YearOfAProvince(RuleBasedStateMachine):
    """Ten reports at most; one minute or a fortnight passes between two things that happen."""

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 1, 5, 9, tzinfo=LOCAL_ZONE)
        self.serial = 0
        self.unstaffed: set[str] = set()
        self.obligations: dict[str, Obligation] = {}
        self.open: dict[str, Escalation] = {}
        self.promised: dict[str, datetime] = {}
        self.ledger: dict[tuple[str, str, str], Row] = {}
        self.silences: list[Silence] = []
        self.mails: Counter[tuple[str, date]] = Counter()

    # --- what the store and the sweeps do with the rules' outcomes

    def directory(self) -> Directory:
        known = province(tuple(sorted(self.unstaffed)))
        agencies = list(known.agencies.values())
        officers = [*known.people.values(), COLLEAGUE]
        return Directory.of(agencies, officers, known.persons.values())

    def facts(self, key: str) -> Facts:
        failed = {
            (row.notice.step, row.person)
            for row in self.ledger.values()
            if row.notice.obligation == key and row.notice.kind == "escalation" and row.state == "failed"
        }
        return Facts(self.obligations[key], self.directory(), WEEKDAYS, failed=failed)

    def enter(self, notices: tuple[Notice, ...] | list[Notice]) -> None:
        for notice in notices:
            self.serial += 1
            row = Row(UUID(int=self.serial), notice, "waiting" if notice.officer else "skipped", self.now)
            once = notice.obligation, notice.step, row.person
            if notice.officer is None:
                row.wait_until = None
            else:
                assert once not in self.ledger, "nobody is told twice for one rung"
            self.ledger.setdefault(once, row)

    def cancel(self, covers: Callable[[Notice], bool]) -> None:
        for row in self.ledger.values():
            if row.state in UNSENT and covers(row.notice):
                row.state, row.wait_until, row.due_at, row.carrier = "cancelled", None, None, None
        self.take_apart()

    def take_apart(self) -> None:
        """What shares a mail whose carrier is cancelled goes into the next letter."""
        carriers = {row.id for row in self.ledger.values() if row.state != "cancelled"}
        for row in self.ledger.values():
            if row.state == "grouped" and row.carrier not in carriers:
                row.state, row.wait_until, row.carrier = "waiting", self.now, None

    def hear(self, key: str, *changes: str, **state: Any) -> None:
        """An event of scoring about one obligation."""
        before = self.obligations[key]
        given = {"deadline": before.deadline, "at": self.now, "changes": changes, **state}
        event = obligation_changed("A", before.regime, before.period, version=before.version + 1, **given)
        plan = planning.apply_obligation_event(before, event, self.directory(), heads_at_once=False)
        self.obligations[key] = plan.obligation
        for one in plan.cancels:
            self.cancel(one.covers)
        self.enter(plan.notices)
        if planning.becomes_overdue(before, event):
            facts = self.facts(key)
            self.open[key] = escalation.start(plan.obligation, LADDER, self.now, plan.notices, facts=facts)
        elif key in self.open and (why := escalation.resolution_of(before, plan.obligation)) is not None:
            escalation.resolve(self.open.pop(key), why, self.now)
            self.promised.pop(key, None)

    # --- what happens

    @rule(minutes=st.one_of(st.integers(1, 600), st.integers(600, 60 * 24 * 14)))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule(role=st.sampled_from(("head", "head_above", "provincial_office")))
    def somebody_comes_or_goes(self, role: str) -> None:
        self.unstaffed ^= {role}

    @precondition(lambda self: len(self.obligations) < 10)
    @rule(days=st.integers(0, 6), overdue=st.booleans())
    def a_report_is_due(self, days: int, overdue: bool) -> None:
        regime = f"R{len(self.obligations)}"
        key = f"A/{regime}/2026-M01"
        self.obligations[key] = Obligation(key, "A", regime, 1, "2026-M01")
        deadline = self.now + timedelta(days=days)
        self.hear(key, "opened", deadline=deadline)
        self.hear(key, "due_soon", deadline=deadline, reminded_at=self.now)
        if overdue:
            self.now = deadline
            self.hear(key, "overdue", deadline=deadline, overdue=True)

    @precondition(lambda self: self.obligations)
    @rule(data=st.data(), what=st.sampled_from(["overdue", "answered", "extended", "waived"]))
    def scoring_says(self, data: st.DataObject, what: str) -> None:
        key = data.draw(st.sampled_from(sorted(self.obligations)))
        one = self.obligations[key]
        if what == "overdue" and one.owed and not one.accepted_version and not one.overdue:
            assert one.deadline is not None
            self.now = max(self.now, one.deadline)
            self.hear(key, "overdue", overdue=True)
        elif what == "answered" and one.owed:
            self.hear(key, "fulfilled", answer_version=1)
        elif what == "extended" and one.owed and not one.accepted_version:
            self.hear(key, "overdue_withdrawn", "terms_changed", deadline=self.now + timedelta(days=5))
        elif what == "waived":
            self.hear(key, "not_owed", owed=False)

    @rule(hours=st.integers(1, 100), kind=st.sampled_from([None, "escalation", "overdue"]), person=st.booleans())
    def an_operator_silences(self, hours: int, kind: str | None, person: bool) -> None:
        self.serial += 1
        who = "head" if person else None
        self.silences.append(
            Silence(UUID(int=self.serial), self.now + timedelta(hours=hours), agency="A", person=who, kind=kind)
        )

    @precondition(lambda self: self.open)
    @rule(data=st.data(), what=st.sampled_from(["acknowledged", "snoozed", "taken_back", "handed_on"]))
    def somebody_answers(self, data: st.DataObject, what: str) -> None:
        key = data.draw(st.sampled_from(sorted(self.open)))
        one = self.open[key]
        by = data.draw(st.sampled_from(sorted(escalation.told_people(one)) or ["head"]))
        until = self.now + timedelta(days=data.draw(st.integers(1, 9)))
        with contextlib.suppress(Refused):
            if what == "handed_on":
                told = Told(DEPUTY.officer_id, "A", f"{one.climb.step}/rung-t/to-{DEPUTY.officer_id}")
                handing = HandedOn(self.now, by, "t", told, "Phụ trách")
                self.open[key], notice = escalation.hand_on(one, handing, DEPUTY, None, self.facts(key))
                self.enter([notice])
            elif what == "taken_back":
                self.open[key] = escalation.take_back(one, Answer(self.now, by, "taken_back"))
                self.promised.pop(key, None)
            else:
                answer = Answer(self.now, by, what, until, "Đang tổng hợp")  # type: ignore[arg-type]
                self.open[key] = escalation.acknowledge(one, answer, WEEKDAYS)
                self.promised[key] = until

    @rule(outcomes=st.lists(st.sampled_from(sorted(OUTCOMES)), min_size=1, max_size=6))
    def the_sweeps_look(self, outcomes: list[str]) -> None:
        """Each of the service's sweeps once, and the mail server answers so, in turn."""
        self.climb()
        self.go_on()
        self.release()
        self.send(outcomes)

    @precondition(lambda self: any(row.state == "sent" for row in self.ledger.values()))
    @rule(data=st.data())
    def a_mail_comes_back(self, data: st.DataObject) -> None:
        row = data.draw(st.sampled_from([row for row in self.ledger.values() if row.state == "sent"]))
        self.fail(row)

    def fail(self, row: Row) -> None:
        row.state, row.due_at = "failed", None
        one = self.open.get(row.notice.obligation)
        if row.notice.kind == "escalation" and one is not None:
            soon = self.now if one.next_at is None else min(one.next_at, self.now)
            self.open[row.notice.obligation] = replace(one, next_at=soon, reason="")

    def climb(self) -> None:
        for key, one in list(self.open.items()):
            if one.next_at is None or one.next_at > self.now:
                continue
            after, notices = escalation.climb(one, self.facts(key), self.now)
            told = [notice for notice in notices if notice.officer]
            assert not told or self.promised.get(key, self.now) <= self.now, "a promise is kept"
            self.enter(notices)
            ranks = [ROLES.index(after.climb.ladder.rungs[place].tell) for place in range(after.climb.position)]
            assert ranks == sorted(ranks), "nobody above is told before those below"
            assert after.next_at is None or after.next_at > self.now, "it does not stand still"
            self.open[key] = after

    def go_on(self) -> None:
        """As delivery/next_contact.py, whose choice it is."""
        for row in list(self.ledger.values()):
            if row.state != "failed" or row.next_contact is not None or row.notice.kind not in onward.KINDS:
                continue
            one, notice = self.obligations[row.notice.obligation], row.notice
            tried = {
                other.person
                for other in self.ledger.values()
                if (other.notice.obligation, other.notice.step) == (notice.obligation, notice.step)
            }
            still_so = one.owed and not one.accepted_version and one.overdue is (notice.kind == "overdue")
            named = {"agency": notice.agency, "regime": notice.regime, "kind": notice.kind}
            person = onward.next_contact(self.directory(), named, tried) if still_so else None
            row.next_contact = f"person:{person.officer_id}" if person else "nobody"
            if person is not None:
                self.enter([replace(notice, officer=person, at=self.now)])

    def release(self) -> None:
        today = self.now.astimezone(LOCAL_ZONE).date()
        waiting = [row for row in self.ledger.values() if row.state == "waiting" and row.wait_until is not None]
        due = {row.person for row in waiting if row.wait_until is not None and row.wait_until <= self.now}
        for person in sorted(due):
            rows = {row.id: row for row in waiting if row.person == person}
            matters = [self.matter(row) for row in rows.values()]
            for outcome in mailing.decide(
                matters, RULES, self.silences, Day(self.now, WEEKDAYS, self.mails[person, today])
            ):
                if not isinstance(outcome, Release):
                    assert outcome.until > self.now, "it does not stand still"
                    rows[outcome.id].wait_until, rows[outcome.id].held = outcome.until, outcome.why
                    continue
                self.go_out([rows[found] for found in outcome.ids], today)

    def matter(self, row: Row) -> Matter:
        notice = row.notice
        ahead = self.obligations[notice.obligation].deadline if notice.kind == "reminder" else None
        assert row.wait_until is not None
        about = notice.kind, notice.agency, notice.regime, row.person
        return Matter(row.id, *about, row.wait_until, notice.urgent, ahead, row.held)

    def go_out(self, rows: list[Row], today: date) -> None:
        """One mail with these matters; what holds of it is said here, not read of the rules."""
        for row in rows:
            assert not any(self.silenced(silence, row) for silence in self.silences), "silences are kept"
        (person,) = {row.person for row in rows}
        last_chance = len(rows) == 1 and rows[0].notice.kind == "reminder"
        if not last_chance:
            local = self.now.astimezone(LOCAL_ZONE)
            open_now = time(8) <= local.time() < time(11, 30) or time(13, 30) <= local.time() < time(17)
            assert open_now, "quiet hours are kept"
            assert local.weekday() < 5, "days off are kept"
            assert self.mails[person, today] < RULES.mails_a_day, "nobody is above the limit"
        self.mails[person, today] += 1
        for row in rows:
            row.state, row.wait_until, row.carrier = "grouped", None, rows[0].id
        rows[0].state, rows[0].due_at = "pending", self.now

    def silenced(self, silence: Silence, row: Row) -> bool:
        return (
            silence.until > self.now
            and silence.person in (None, row.person)
            and silence.kind in (None, row.notice.kind)
        )

    def send(self, outcomes: list[str]) -> None:
        due = [row for row in self.ledger.values() if row.due_at is not None and row.due_at <= self.now]
        for place, row in enumerate(due):
            assert row.state in ("pending", "retry", "unknown")
            before = row.progress or Progress(row.id, 0, 0, 0, self.now)
            progress = dataclasses.replace(before, attempts=before.attempts + 1)
            result = OUTCOMES[outcomes[place % len(outcomes)]]
            after = states.settle(progress, result, self.now, POLICY)
            row.progress = dataclasses.replace(progress, refusals=after.refusals, unknowns=after.unknowns)
            row.copies += isinstance(result, MailAccepted | MailUncertain)
            shared = [other for other in self.ledger.values() if other.state == "grouped" and other.carrier == row.id]
            row.due_at = after.due_at
            for told in (row, *shared) if after.published else (row,):
                if after.state == "failed":
                    self.fail(told)
                else:
                    told.state = after.state

    # --- what holds at any time

    @invariant()
    def nobody_is_sent_one_rung_twice(self) -> None:
        """But for a mail that was left without an answer: its second copy has the same id."""
        for row in self.ledger.values():
            assert row.copies <= 1 + (row.progress.unknowns if row.progress else 0)

    @invariant()
    def nobody_above_is_told_before_those_below(self) -> None:
        for one in self.open.values():
            moments = [passed.at for passed in one.climb.passed]
            assert moments == sorted(moments)

    @invariant()
    def whatever_is_open_moves(self) -> None:
        for one in self.open.values():
            assert one.next_at is not None or one.reason == AT_THE_TOP
        carriers = {row.id for row in self.ledger.values() if row.state in ("pending", "retry", "unknown")}
        for row in self.ledger.values():
            assert (row.state == "waiting") is (row.wait_until is not None)
            assert row.state not in ("pending", "retry") or row.due_at is not None
            assert row.state != "grouped" or row.carrier in carriers

    @invariant()
    def nobody_is_above_the_limit(self) -> None:
        """But for reminders that would have come too late; a person has ten at most here."""
        assert all(mails <= RULES.mails_a_day + 10 for mails in self.mails.values())

    def teardown(self) -> None:
        """Once silences are over and the server takes mails, all has gone out."""
        for _ in range(40):
            if not any(row.state in UNSENT for row in self.ledger.values()):
                return
            moments = [row.wait_until or row.due_at for row in self.ledger.values() if row.state in UNSENT]
            self.now = max(self.now, min((one for one in moments if one is not None), default=self.now))
            self.the_sweeps_look(["accepted"])
        raise AssertionError("something waits for ever")


YearOfAProvince.TestCase.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestYearOfAProvince = YearOfAProvince.TestCase


def _three_weeks() -> YearOfAProvince:
    """Nine reports are late for three weeks; the head is silenced for a day, a mail is refused, another comes back."""
    machine = YearOfAProvince()
    for place in range(9):
        machine.a_report_is_due(days=place % 2, overdue=True)
    machine.an_operator_silences(hours=60, kind=None, person=True)
    for hour in range(0, 24 * 21, 6):
        machine.the_sweeps_look(["refused"] if hour == 6 else ["accepted"])
        if hour == 24 * 8:
            machine.fail(next(row for row in machine.ledger.values() if row.state == "sent"))
        machine.nobody_is_sent_one_rung_twice()
        machine.nobody_above_is_told_before_those_below()
        machine.whatever_is_open_moves()
        machine.nobody_is_above_the_limit()
        machine.now += timedelta(hours=6, minutes=17)
    machine.teardown()
    return machine


def test_the_three_weeks_of_the_controls_are_right_by_themselves_and_tell_everybody() -> None:
    machine = _three_weeks()
    told = {row.person for row in machine.ledger.values() if row.state == "sent"}
    assert told >= {"head", "head_above", "provincial_office", "chair", COLLEAGUE.officer_id}
    assert {"failed", "sent", "skipped"} & {row.state for row in machine.ledger.values()}


def _forgets(one: Escalation, given: Facts, now: datetime) -> tuple[Escalation, tuple[Notice, ...]]:
    after, notices = _climb(one, given, now)
    return replace(after, climb=one.climb), notices


def _from_the_top(one: Escalation, given: Facts, now: datetime) -> tuple[Escalation, tuple[Notice, ...]]:
    turned = replace(one.climb.ladder, rungs=tuple(sorted(one.climb.ladder.rungs, key=lambda rung: -rung.at.count)))
    return _climb(replace(one, climb=replace(one.climb, ladder=turned)), given, now)


def _stands_still(one: Escalation, given: Facts, now: datetime) -> tuple[Escalation, tuple[Notice, ...]]:
    after, notices = _climb(one, given, now)
    return replace(after, next_at=None, reason=""), notices


_climb, _decide, _settle, _next = escalation.climb, mailing.decide, states.settle, onward.next_contact


@pytest.mark.parametrize(
    ("owner", "name", "broken", "said"),
    [
        (escalation, "climb", _forgets, "told twice"),
        (onward, "next_contact", lambda people, row, _: _next(people, row, ()), "told twice"),
        (escalation, "climb", _from_the_top, "nobody above"),
        (escalation, "climb", _stands_still, "at_the_top"),
        (states, "settle", lambda *given: dataclasses.replace(_settle(*given), state="retry", due_at=None), "due_at"),
        (mailing, "decide", lambda matters, rules, _, day: _decide(matters, rules, (), day), "silences are kept"),
        (mailing, "open_window", lambda rules, _: rules.windows[0], "quiet hours"),
        (
            mailing,
            "decide",
            lambda matters, rules, silences, day: _decide(
                matters, replace(rules, group=frozenset()), silences, replace(day, sent=-99)
            ),
            "above the limit",
        ),
    ],
    ids=["climbs again", "goes on to the same", "from the top", "stands still", "a retry without a moment",
         "silences forgotten", "no quiet hours", "no limit"],
)  # fmt: skip
def test_control_a_protection_that_is_taken_out_is_found(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, broken: Any, said: str
) -> None:
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(AssertionError, match=said):
        _three_weeks()
