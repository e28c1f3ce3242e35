"""Climbs the ladder of one late report: who is told at each rung, what they answer, and when it goes on. Pure.

An escalation keeps a snapshot of its ladder. It moves by state, so a stopped hour is made good in order; after a long
stop each person hears only of the newest rung that is due. While it is open it has a next moment, or says why not.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from services.notifier.ladders.domain import Ladder, LadderRung, RungRole
from services.notifier.planning.directory import Directory, NotYetRegistered, Officer
from services.notifier.planning.domain import LetterFacts, Notice, Obligation, letter_facts
from shared.contract.reporting_window import local_day
from shared.contract.working_days import CalendarGap, WorkingCalendar
from shared.runtime.clock import LOCAL_ZONE

#: answered: an accepted report is there · not_owed: waived, withdrawn by its issuer, or gone to an heir ·
#: not_overdue: the deadline moved, by an extension or another relief
Resolution = Literal["answered", "not_owed", "not_overdue"]
#: an escalation that cannot move yet is looked at again so much later (business time)
LOOK_AGAIN = timedelta(minutes=10)
#: how often one climb is handed on at most
MOST_HANDED_ON = 5
#: why an open escalation has no next moment
AT_THE_TOP = "at_the_top"
#: prefix of the reason of one that waits for a registry record
WAITS_FOR = "waits_for:"


class Told(Struct, frozen=True):
    """A person told at a rung; `step` and person name the notice in the ledger of notices."""

    person: str
    agency: str
    step: str


class Passed(Struct, frozen=True):
    """A rung that is behind: whom it told, or why nobody was (`skipped`), and when."""

    rung: str
    at: datetime
    told: tuple[Told, ...] = ()
    #: reason:agency of each place where nobody could be told; superseded: a newer rung tells the same person;
    #: told_before: it was due before a lost database was replaced
    skipped: tuple[str, ...] = ()


class Answer(Struct, frozen=True):
    """What a person who was told said: stop until a promised date, put off with a reason, or take that back."""

    at: datetime
    by: str  # person id, or the name of an operator
    kind: Literal["acknowledged", "snoozed", "taken_back"]
    until: datetime | None = None
    reason: str = ""
    notice: str = ""  # the notice that it answers
    via: str = ""  # the agency whose system gave it for the person; empty: the person


class HandedOn(Struct, frozen=True):
    """A person who was told has handed the matter on to another one, who is told at the same rung."""

    at: datetime
    by: str  # person id
    rung: str
    told: Told
    reason: str
    notice: str = ""  # the notice that it was handed on by
    via: str = ""  # the agency whose system or the operator who did it for the person; empty: the person


class Climb(Struct, frozen=True):
    """What an escalation keeps beside its columns, as one document."""

    ladder: Ladder  # as it was when the climb began
    step: str  # the notices' step before the rung: overdue, overdue/2
    position: int = 0  # rungs that are behind
    passed: tuple[Passed, ...] = ()
    answers: tuple[Answer, ...] = ()
    held_until: datetime | None = None  # by an answer
    headless: bool = False  # when it began the agency had no head who could be told
    handed_on: tuple[HandedOn, ...] = ()


class Escalation(Struct, frozen=True):
    """The climb of one obligation up its ladder."""

    obligation: str
    opened_at: datetime
    climb: Climb
    next_at: datetime | None = None
    reason: str = ""
    number: int = 0  # the obligation's first climb, its second …; 0 before it is stored
    resolved_at: datetime | None = None
    resolution: Resolution | None = None
    version: int = 0  # of what is published of it; 0: nothing yet
    changed_at: datetime | None = None  # the moment of that version

    @property
    def open(self) -> bool:
        return self.resolved_at is None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a climb goes by beside its own state."""

    obligation: Obligation
    directory: Directory
    calendar: WorkingCalendar | None
    #: rungs due until then were told from a database that is lost
    told_until: datetime | None = None
    #: (step, person) of notices that the mail server refused for good
    failed: Collection[tuple[str, str]] = ()


def start(
    obligation: Obligation,
    ladder: Ladder,
    at: datetime,
    notices: Iterable[Notice],
    *,
    headless: bool = False,
    facts: Facts | None = None,
) -> Escalation:
    """The escalation of a report that has just become overdue; `notices` are those planned with it.

    Where the ladder tells the head at once, these hold that rung already. Its next moment is that of the next rung;
    where nothing says when that is due, it is looked at once.
    headless: the agency has no head who can be told.
    """
    step = "overdue" if obligation.overdue_count == 1 else f"overdue/{obligation.overdue_count}"
    to_heads = [notice for notice in notices if notice.kind == "escalation"]
    passed: list[Passed] = []
    if ladder.tells_at_once(headless=headless) and to_heads:
        for rung in ladder.rungs:
            at_once = rung.tell == "head" and not rung.at.count
            passed.append(_passed_by(rung, at, to_heads if at_once else ()))
            if at_once:
                break
    begun = Climb(ladder, step, len(passed), tuple(passed), headless=headless)
    next_at: datetime | None = at
    reason = ""
    if facts is not None and facts.calendar is not None:
        with contextlib.suppress(CalendarGap):
            next_at, reason = next_move(begun, facts)
    return Escalation(obligation.key, at, begun, next_at, reason)


def announce(
    notices: Iterable[Notice], ladder: Ladder, obligation: Obligation, calendar: WorkingCalendar | None
) -> tuple[Notice, ...]:
    """Name the next rung in the notices that tell a head at once; unchanged where no calendar says when it is due."""
    place = 1 + next(place for place, rung in enumerate(ladder.rungs) if rung.tell == "head" and not rung.at.count)
    told: list[Notice] = []
    for notice in notices:
        if notice.kind == "escalation" and notice.officer is not None:
            facts = notice.facts
            with contextlib.suppress(CalendarGap):
                if calendar is not None:
                    facts = _with_next(facts, ladder, place, obligation.deadline, notice.at, calendar)
            rung = ladder.rungs[place - 1]
            notice = replace(notice, facts=facts, urgent=rung.urgent, channels=rung.channels)
        told.append(notice)
    return tuple(told)


def _with_next(
    facts: LetterFacts, ladder: Ladder, place: int, deadline: datetime | None, at: datetime, calendar: WorkingCalendar
) -> LetterFacts:
    """Name the rung at this place as the next one, told `at` of the one before. Raises CalendarGap."""
    if place >= len(ladder.rungs) or deadline is None:
        return facts
    due = ladder.due_at(ladder.rungs[place], deadline, calendar)
    acknowledge = ladder.rungs[place - 1].acknowledge
    if acknowledge is not None:
        due = min(due, acknowledge.after(at, calendar, ladder.office_hour))
    return dataclasses.replace(facts, next_role=ladder.rungs[place].tell, next_at=max(due, at))


def _passed_by(rung: LadderRung, at: datetime, notices: Iterable[Notice]) -> Passed:
    told = [Told(notice.officer.officer_id, notice.officer.agency, notice.step) for notice in notices if notice.officer]
    skipped = [notice.skipped or "nobody" for notice in notices if notice.officer is None]
    return Passed(rung.rung, at, tuple(told), tuple(skipped))


def climb(escalation: Escalation, facts: Facts, now: datetime) -> tuple[Escalation, tuple[Notice, ...]]:
    """Pass every rung that is due, in order, and set the moment of the next. `now`: business time."""
    if not escalation.open:
        return escalation, ()
    done = escalation.climb
    if facts.calendar is None:
        return replace(escalation, next_at=now + LOOK_AGAIN, reason="no_calendar"), ()
    due: list[tuple[LadderRung, datetime]] = []
    try:
        while (following := _following(done, len(due), facts)) is not None and following[1] <= now:
            due.append(following)
        passed, notices = _pass(done, due, facts, now)
        done = replace(
            done,
            position=done.position + len(due),
            passed=(*done.passed, *passed),
            held_until=None if due else done.held_until,
        )
        next_at, reason = next_move(done, facts)
    except CalendarGap as gap:
        return replace(escalation, next_at=now + LOOK_AGAIN, reason=f"no_calendar:{gap.year}"), ()
    except NotYetRegistered as error:
        return replace(escalation, next_at=now + LOOK_AGAIN, reason=f"{WAITS_FOR}{error.registry_key}"), ()
    return replace(escalation, climb=done, next_at=next_at, reason=reason), notices


def next_move(done: Climb, facts: Facts) -> tuple[datetime | None, str]:
    """When the next rung is due, or why there is none. Raises CalendarGap."""
    following = _following(done, 0, facts)
    return (None, AT_THE_TOP) if following is None else (following[1], "")


def _following(done: Climb, passing: int, facts: Facts) -> tuple[LadderRung, datetime] | None:
    """The rung after those that are behind, or being passed, and when it is due; None at the top."""
    place = done.position + passing
    if place >= len(done.ladder.rungs):
        return None
    deadline = facts.obligation.deadline
    assert facts.calendar is not None
    assert deadline is not None, "what is overdue has a deadline"
    rung = done.ladder.rungs[place]
    due = done.ladder.due_at(rung, deadline, facts.calendar, headless=done.headless)
    if not passing and done.passed:
        last = done.passed[-1]
        if _refused(last, facts.failed):
            due = last.at  # nobody there was reached
        elif (sooner := _unacknowledged(done, facts.calendar)) is not None:
            due = min(due, sooner)
    return rung, due if done.held_until is None else max(due, done.held_until)


def _refused(passed: Passed, failed: Collection[tuple[str, str]]) -> bool:
    return bool(passed.told) and all((told.step, told.person) in failed for told in passed.told)


def _unacknowledged(done: Climb, calendar: WorkingCalendar) -> datetime | None:
    """When the next rung is due because nobody at the last one has acknowledged; None where nobody must."""
    last, rung = done.passed[-1], done.ladder.rungs[done.position - 1]
    if rung.acknowledge is None or not last.told:
        return None
    if any(answer.kind == "acknowledged" and answer.at >= last.at for answer in done.answers):
        return None
    return rung.acknowledge.after(last.at, calendar, done.ladder.office_hour)


def _pass(
    done: Climb, due: Sequence[tuple[LadderRung, datetime]], facts: Facts, now: datetime
) -> tuple[list[Passed], tuple[Notice, ...]]:
    """Pass these rungs. Of several at once each person hears only of the newest."""
    found: list[tuple[LadderRung, datetime, list[Officer], list[str]]] = []
    above = {told.agency for passed in done.passed for told in passed.told}
    for rung, at in due:
        if facts.told_until is not None and at <= facts.told_until:
            found.append((rung, at, [], ["told_before"]))
            continue
        people, skipped = _whom(rung.tell, facts, above, now)
        above |= {person.agency for person in people}
        found.append((rung, at, people, skipped))
    newest = {person.officer_id: place for place, (_, _, people, _) in enumerate(found) for person in people}
    passed, notices = [], []
    for place, (rung, _, people, skipped) in enumerate(found):
        step = f"{done.step}/rung-{rung.rung}"
        told = [person for person in people if newest[person.officer_id] == place]
        skips = [*skipped, *(f"superseded:{person.officer_id}" for person in people if person not in told)]
        earlier = _told_earlier(done, facts.directory)
        ahead = done.ladder, done.position + len(due)
        notices += [_notice(facts, person, rung, step, now, skipped, earlier, ahead) for person in told]
        notices += [_unstaffed(facts, rung, f"{step}/{why}", now, why) for why in skips if why != "told_before"]
        records = tuple(Told(person.officer_id, person.agency, step) for person in told)
        passed.append(Passed(rung.rung, now, records, tuple(skips)))
    return passed, tuple(notices)


def _whom(role: RungRole, facts: Facts, told_at: Collection[str], now: datetime) -> tuple[list[Officer], list[str]]:
    """Who is told at a rung, and each place where nobody can be. Raises NotYetRegistered."""
    obligation, directory, on = facts.obligation, facts.directory, local_day(now)
    if role == "officer":
        officer = directory.responsible(obligation.agency, obligation.regime)
        return (
            ([officer], []) if officer else ([], [f"{directory.why_no_officer(obligation.agency)}:{obligation.agency}"])
        )
    agencies = directory.path(obligation.agency, on)
    skipped: list[str] = []
    if role == "provincial_office":
        for code in agencies:
            if (person := directory.office_at(code, "provincial_office", obligation.regime, on)) is not None:
                return [person], []
        skipped.append(f"no_provincial_office:{agencies[-1]}")
    if role in ("provincial_office", "chair"):
        agencies = agencies[-1:]
    elif role == "head_above":
        highest = max((agencies.index(code) for code in told_at if code in agencies), default=0)
        agencies = agencies[highest + 1 :]
        if not agencies:
            return [], [f"nobody_above:{obligation.agency}"]
    for code in agencies:
        if directory.agency(code).closed(on):
            skipped.append(f"agency_closed:{code}")
        elif (head := directory.head(code)) is not None:
            return [head], skipped
        else:
            skipped.append(directory.why_no_head(code))
    return [], skipped


def _notice(
    facts: Facts,
    person: Officer,
    rung: LadderRung,
    step: str,
    now: datetime,
    passed_over: Iterable[str],
    told_earlier: tuple[str, ...],
    ahead: tuple[Ladder, int],
) -> Notice:
    obligation, directory = facts.obligation, facts.directory
    agency = directory.agency(obligation.agency)
    heads = [why.rpartition(":") for why in passed_over if not why.startswith("no_provincial_office")]
    unstaffed = [directory.agencies[code] for _, _, code in heads if code in directory.agencies]
    officer = directory.responsible(obligation.agency, obligation.regime)
    assert facts.calendar is not None
    about = letter_facts(obligation, agency, person)
    about = _with_next(about, *ahead, obligation.deadline, now, facts.calendar)
    notice = Notice.about(
        obligation,
        kind="escalation",
        step=step,
        officer=person,
        facts=dataclasses.replace(
            about,
            officer_name=officer.name if officer else "",
            ladder_rung=rung.rung,
            told_earlier=told_earlier,
            passed_over=tuple(passed_agency.name for passed_agency in unstaffed),
            passed_over_en=tuple(passed_agency.name_en or passed_agency.name for passed_agency in unstaffed),
        ),
        at=now,
    )
    return replace(notice, urgent=rung.urgent, channels=rung.channels)


def _told_earlier(done: Climb, directory: Directory) -> tuple[str, ...]:
    """For whom notices were made out at the rungs behind: name, title and day; only those still known."""
    return tuple(
        f"{person.name}{', ' if person.title else ''}{person.title} ({passed.at.astimezone(LOCAL_ZONE):%d/%m/%Y})"
        for passed in done.passed
        for told in passed.told
        if (person := directory.known(told.person)) is not None
    )


def _unstaffed(facts: Facts, rung: LadderRung, step: str, now: datetime, why: str) -> Notice:
    """The entry of a place where nobody is told, with the reason."""
    obligation = facts.obligation
    about = letter_facts(obligation, facts.directory.agency(obligation.agency), None)
    return Notice.about(
        obligation,
        kind="escalation",
        step=step,
        officer=None,
        facts=dataclasses.replace(about, ladder_rung=rung.rung),
        at=now,
        skipped=why,
    )


def resolve(escalation: Escalation, resolution: Resolution, at: datetime) -> Escalation:
    """End the climb; whoever above the officer was told hears of it, from the ledger of notices."""
    if not escalation.open:
        return escalation
    return replace(escalation, next_at=None, reason="", resolved_at=at, resolution=resolution)


def resolution_of(before: Obligation, now: Obligation) -> Resolution | None:
    """Why a climb ends with this change of the obligation; None where it goes on, or there is none."""
    if not before.overdue:
        return None
    if not now.owed:
        return "not_owed"
    if now.accepted_version:
        return "answered"
    return None if now.overdue else "not_overdue"


class Refused(ValueError):
    """An answer that is not taken; `reason` is a key of the words in which people are told."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def promise_limit(escalation: Escalation, calendar: WorkingCalendar, now: datetime) -> datetime:
    """The latest moment that may be promised now. Raises CalendarGap."""
    ladder = escalation.climb.ladder
    return ladder.promise.after(now, calendar, ladder.office_hour)


def acknowledge(escalation: Escalation, answer: Answer, calendar: WorkingCalendar) -> Escalation:
    """Stop the climb until the promised date (or put it off, snoozed). Raises Refused, CalendarGap.

    resolved: it is over · not_told: this person was not told · no_date, in_the_past, too_far: the date ·
    too_often: the ladder allows no further stop · no_reason: putting off needs one.
    """
    done = escalation.climb
    if not escalation.open:
        raise Refused("resolved")
    if answer.by not in told_people(escalation):
        raise Refused("not_told")
    if answer.until is None:
        raise Refused("no_date")
    if answer.until <= answer.at:
        raise Refused("in_the_past")
    if answer.until > promise_limit(escalation, calendar, answer.at):
        raise Refused("too_far")
    if answer.kind == "snoozed" and not answer.reason.strip():
        raise Refused("no_reason")
    if sum(given.kind != "taken_back" for given in done.answers) >= done.ladder.promises:
        raise Refused("too_often")
    # the next moment is the sweep's to find: at the top there is none to stop
    held = replace(done, answers=(*done.answers, answer), held_until=answer.until)
    return replace(escalation, climb=held, next_at=answer.at, reason="")


def take_back(escalation: Escalation, answer: Answer) -> Escalation:
    """Take an acknowledgement back: the climb goes on at once. Raises Refused (resolved, not_told, not_held)."""
    done = escalation.climb
    if not escalation.open:
        raise Refused("resolved")
    if answer.by not in told_people(escalation):
        raise Refused("not_told")
    if done.held_until is None or done.held_until <= answer.at:
        raise Refused("not_held")
    freed = replace(done, answers=(*done.answers, answer), held_until=None)
    return replace(escalation, climb=freed, next_at=answer.at, reason="")


def told_people(escalation: Escalation) -> set[str]:
    """Everybody above the officer who was told."""
    told = {told.person for passed in escalation.climb.passed for told in passed.told}
    return told | {handed.told.person for handed in escalation.climb.handed_on}


def hand_on(
    escalation: Escalation, handing: HandedOn, person: Officer, by: Officer | None, facts: Facts
) -> tuple[Escalation, Notice]:
    """Tell `person` in the place of somebody who was told; the climb goes on as it did. The notice says who and why.

    Raises Refused: resolved · not_told: who hands it on was not told · no_reason · told_already: the other one was ·
    too_often: a climb is handed on MOST_HANDED_ON times at most.
    """
    done = escalation.climb
    if not escalation.open:
        raise Refused("resolved")
    told = told_people(escalation)
    if handing.by not in told:
        raise Refused("not_told")
    if not handing.reason.strip():
        raise Refused("no_reason_to_hand_on")
    if person.officer_id in told:
        raise Refused("told_already")
    if len(done.handed_on) >= MOST_HANDED_ON:
        raise Refused("handed_on_too_often")
    responsible = facts.directory.responsible(facts.obligation.agency, facts.obligation.regime)
    about = letter_facts(facts.obligation, facts.directory.agency(facts.obligation.agency), person)
    following = None if facts.calendar is None else _following(done, 0, facts)
    notice = Notice.about(
        facts.obligation,
        kind="escalation",
        step=handing.told.step,
        officer=person,
        facts=dataclasses.replace(
            about,
            officer_name=responsible.name if responsible else "",
            ladder_rung=handing.rung,
            next_role=following[0].tell if following else "",
            next_at=max(following[1], handing.at) if following else None,
            handed_on_by=f"{by.name}{', ' if by.title else ''}{by.title}" if by else handing.by,
            handed_on_why=handing.reason,
        ),
        at=handing.at,
    )
    return replace(escalation, climb=replace(done, handed_on=(*done.handed_on, handing))), notice


def rung_of(escalation: Escalation, person: str) -> str:
    """The newest rung at which this person was told; the first of the ladder for nobody."""
    done = escalation.climb
    at = [(passed.at, passed.rung) for passed in done.passed for told in passed.told if told.person == person]
    at += [(handed.at, handed.rung) for handed in done.handed_on if handed.told.person == person]
    return max(at, default=(escalation.opened_at, done.ladder.rungs[0].rung))[1]
