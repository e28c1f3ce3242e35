"""Runs a ladder's own tests: a timeline of events against whom it tells, in a province of one agency of three tiers.

The people are named by their roles. Working days are Monday to Friday, so that a test means the same whatever calendar
is loaded. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

from msgspec.structs import replace

from services.notifier.escalation.domain import (
    Answer,
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
_AGENCIES = (Agency("A", "A", above=Parents("A1")), Agency("A1", "A1", above=Parents("A0")), Agency("A0", "A0"))
_STAFF = (
    Officer("officer", "A", "officer", "", "officer@thongsuot.example", "reporting_officer"),
    Officer("head", "A", "head", "", "head@thongsuot.example", "head"),
    Officer("head_above", "A1", "head_above", "", "head-above@thongsuot.example", "head"),
    Officer("chair", "A0", "chair", "", "chair@thongsuot.example", "head"),
)
_PROVINCIAL_OFFICE = Person(
    Officer("provincial_office", "A0", "provincial_office", "", "office@thongsuot.example", ""),
    (Office("provincial_office", "A0", Term(date(2000, 1, 1))),),
)
_REPORT = Obligation("A/R/P", "A", "R", 1, "P", overdue=True, overdue_count=1)


def failures(read: ReadLadder) -> list[str]:
    """What the file's tests expect and the ladder does not do; empty where all pass."""
    return [f"{read.file.ladder}: {timeline.name}: {fault}" for timeline in read.file.tests
            for fault in _differences(read.ladder, timeline)]  # fmt: skip


def province(unstaffed: tuple[str, ...] = ()) -> Directory:
    """An agency A below A1 below A0, with somebody in every role but these."""
    staff = [officer for officer in _STAFF if officer.officer_id not in unstaffed]
    return Directory.of(_AGENCIES, staff, () if "provincial_office" in unstaffed else [_PROVINCIAL_OFFICE])


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
    obligation = replace(_REPORT, deadline=timeline.deadline)
    facts = Facts(obligation, province(timeline.unstaffed), WEEKDAYS)
    events, looks = list(timeline.events), sorted(timeline.looked_at)
    escalation = start(obligation, ladder, timeline.deadline, (), headless=facts.directory.head("A") is None)
    for _ in range(MOST_LOOKS):
        look = next(iter(looks), None) if timeline.looked_at else escalation.next_at
        if events and (look is None or events[0].at <= look):
            event = events.pop(0)
            if event.event == "taken_back":
                escalation = take_back(escalation, Answer(event.at, event.by or "", "taken_back"))
                continue
            if event.event == "acknowledged":
                answer = Answer(event.at, event.by or "", "acknowledged", event.until)
                escalation = acknowledge(escalation, answer, WEEKDAYS)
                continue
            people = told_people(escalation)
            yield from ((event.at, "resolved", role) for role in ROLES if role in people and role != "officer")
            return
        if look is None:
            return
        looks = looks[1:]
        before = len(escalation.climb.passed)
        escalation, _ = climb(escalation, facts, look)
        for passed in escalation.climb.passed[before:]:
            for told in passed.told:
                yield look, passed.rung, told.person
