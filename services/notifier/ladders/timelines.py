"""Runs a ladder's own tests: a timeline of events against whom it tells, in a province of one agency of three tiers.

The people are named by their roles. Working days are Monday to Friday, so that a test means the same whatever calendar
is loaded. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

from services.notifier.escalation.domain import (
    Answer,
    Escalation,
    Facts,
    Refused,
    acknowledge,
    climb,
    start,
    take_back,
    told_people,
)
from services.notifier.ladders.data import ReadLadder, TimelinePart
from services.notifier.ladders.domain import ROLES, Ladder
from services.notifier.planning.directory import Agency, Directory, Officer, Person
from services.notifier.planning.domain import Obligation
from shared.access import Office, Term
from shared.contract.hierarchy import Parents
from shared.contract.working_days import WorkingCalendar
from shared.runtime.clock import LOCAL_ZONE

WEEKDAYS = WorkingCalendar("weekdays", 2000, 2100, days_off=(), made_up=())
#: the climb of a test has ended long before
MOST_LOOKS = 1000
_AT = {"officer": "A", "head": "A", "head_above": "A1", "provincial_office": "A0", "chair": "A0"}


def failures(read: ReadLadder) -> list[str]:
    """What the file's tests expect and the ladder does not do; empty where all pass."""
    return [f"{read.file.ladder}: {timeline.name}: {fault}" for timeline in read.file.tests
            for fault in _differences(read.ladder, timeline)]  # fmt: skip


def province(unstaffed: tuple[str, ...] = ()) -> Directory:
    """An agency A below A1 below A0, with somebody in every role but these."""
    agencies = [Agency("A", "A", above=Parents("A1")), Agency("A1", "A1", above=Parents("A0")), Agency("A0", "A0")]
    staff = [
        Officer(role, at, role, "", f"{role.replace('_', '-')}@thongsuot.example",
                "reporting_officer" if role == "officer" else "head")
        for role, at in _AT.items() if role not in unstaffed and role != "provincial_office"
    ]  # fmt: skip
    office = Officer("provincial_office", "A0", "provincial_office", "", "office@thongsuot.example", "")
    held = Person(office, (Office("provincial_office", "A0", Term(date(2000, 1, 1))),))
    return Directory.of(agencies, staff, () if "provincial_office" in unstaffed else [held])


def _differences(ladder: Ladder, timeline: TimelinePart) -> Iterator[str]:
    try:
        found = list(_told(ladder, timeline))
    except Refused as refused:
        yield f"câu trả lời không được nhận / an answer is refused: {refused.reason}"
        return
    wanted: list[tuple[datetime, str, str]] = [(part.at, part.rung, part.to) for part in timeline.expect]
    yield from (f"không báo / does not tell: {_words(*part)}" for part in wanted if part not in found)
    yield from (f"báo thêm / tells as well: {_words(*part)}" for part in found if part not in wanted)
    if len(found) != len(wanted) and set(found) == set(wanted):
        yield "báo hai lần / tells twice"
    if found != wanted and sorted(found) == sorted(wanted):
        yield "khác thứ tự / in another order"


def _words(at: datetime, rung: str, to: str) -> str:
    return f"{at.astimezone(LOCAL_ZONE):%Y-%m-%d %H:%M} {rung} → {to}"


def _told(ladder: Ladder, timeline: TimelinePart) -> Iterator[tuple[datetime, str, str]]:
    obligation = Obligation("A/R/P", "A", "R", 1, "P", deadline=timeline.deadline, overdue=True, overdue_count=1)
    facts = Facts(obligation, province(timeline.unstaffed), WEEKDAYS)
    events, looks = list(timeline.events), sorted(timeline.looked_at)
    escalation = start(obligation, ladder, timeline.deadline, (), headless=facts.directory.head("A") is None)
    now = timeline.deadline
    for _ in range(MOST_LOOKS):
        look = _next_look(escalation, looks, now, by_state=not timeline.looked_at)
        if events and (look is None or events[0].at <= look):
            event = events.pop(0)
            now = event.at
            if event.event in ("acknowledged", "taken_back"):
                answer = Answer(now, event.by or "", "taken_back" if event.event == "taken_back" else "acknowledged",
                                event.until)  # fmt: skip
                taken = event.event == "taken_back"
                escalation = take_back(escalation, answer) if taken else acknowledge(escalation, answer, WEEKDAYS)
                continue
            people = told_people(escalation)
            yield from ((now, "resolved", role) for role in ROLES if role in people and role != "officer")
            return
        if look is None:
            return
        now = look
        before = len(escalation.climb.passed)
        escalation, _ = climb(escalation, facts, now)
        for passed in escalation.climb.passed[before:]:
            for told in passed.told:
                yield now, passed.rung, told.person


def _next_look(escalation: Escalation, looks: list[datetime], now: datetime, *, by_state: bool) -> datetime | None:
    if by_state:
        return None if escalation.next_at is None else max(escalation.next_at, now)
    return looks.pop(0) if looks else None
