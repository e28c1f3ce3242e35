"""Decides when each waiting notice of a person goes out, alone or in one letter with others, or why it waits on. Pure.

A letter that may be grouped goes out once in a window, a while after its start. What is urgent waits for no window and
no limit; what is silenced waits until the silence ends. Nothing is dropped here: each matter goes out or waits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from msgspec import Struct

from shared.contract.reporting_window import local_day
from shared.contract.working_days import CalendarGap, WorkingCalendar
from shared.runtime.clock import LOCAL_ZONE

#: matters in one letter; more make another
MAX_MATTERS = 100
#: a reminder or request goes out at least so long before its deadline
BEFORE_DEADLINE = timedelta(hours=4)
#: a silence ends at the latest so long after it is made: nobody forgets one for good
LONGEST_SILENCE = timedelta(days=60)
#: silences of one agency in force, where a person of an agency makes another
MAX_IN_FORCE = 50
#: what a silence's digest covers
_DIGESTED = (
    "id", "agency", "regime", "person", "kind", "until", "reason", "made_by", "made_at", "ended_at", "ended_by",
    "end_reason", "idempotency_key",
)  # fmt: skip


class Window(Struct, frozen=True):
    """Hours of a working day in which mails go out; `end` is outside."""

    start: time
    end: time


class MailingRules(Struct, frozen=True):
    """One version of the rules."""

    version: int
    windows: tuple[Window, ...]  # in order, apart
    gather: timedelta  # from the start of a window until its grouped letters go out
    group: frozenset[str]  # kinds of notices
    at_once: frozenset[str]
    mails_a_day: int


class Silence(Struct, frozen=True):
    """What an operator has silenced: notices that match all that is given; None matches everything."""

    id: UUID
    until: datetime
    agency: str | None = None
    regime: str | None = None
    person: str | None = None
    kind: str | None = None

    def covers(self, matter: Matter) -> bool:
        """Whether it keeps this matter back."""
        return all(
            wanted is None or wanted == found
            for wanted, found in (
                (self.agency, matter.agency),
                (self.regime, matter.regime),
                (self.person, matter.person),
                (self.kind, matter.kind),
            )
        )


class Silences:
    """Silences by all that they name. A matter is looked up once for each combination of agency, regime, person and
    kind that silences give, sixteen at most, however many silences there are.
    """

    def __init__(self, silences: Iterable[Silence]) -> None:
        self._by_names: dict[tuple[bool, ...], dict[tuple[str | None, ...], Silence]] = {}
        for silence in silences:
            names = (silence.agency, silence.regime, silence.person, silence.kind)
            alike = self._by_names.setdefault(tuple(name is not None for name in names), {})
            known = alike.get(names)
            if known is None or known.until < silence.until:
                alike[names] = silence

    def longest(self, matter: Matter, now: datetime) -> Silence | None:
        """Of those in force that cover the matter, the one that ends last; None where there is none."""
        about = (matter.agency, matter.regime, matter.person, matter.kind)
        longest = None
        for given, alike in self._by_names.items():
            one = alike.get(tuple(name if is_given else None for name, is_given in zip(about, given, strict=True)))
            if one is not None and (longest is None or longest.until < one.until):
                longest = one
        return longest if longest is not None and longest.until > now else None


def digest(silence: Mapping[str, Any]) -> str:
    """SHA-256 of a silence as it is stored, so that a row changed by hand is found."""
    values = [silence[name] for name in _DIGESTED]
    plain = [value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value for value in values]
    return hashlib.sha256(json.dumps(plain, default=str, ensure_ascii=False).encode()).hexdigest()


class Matter(Struct, frozen=True):
    """A notice that waits. `since`: when it came, or until when it waits; `held`: what kept it back before."""

    id: UUID
    kind: str
    agency: str
    regime: str
    person: str
    since: datetime
    urgent: bool = False
    deadline: datetime | None = None  # of a reminder or request
    held: str = ""
    alone: bool = False  # its letter tells of several reports already, as a digest does


class Release(Struct, frozen=True):
    """One mail with these matters, the oldest first."""

    ids: tuple[UUID, ...]


class Hold(Struct, frozen=True):
    """A matter that waits until then, and why: quiet_until, limit or silence."""

    id: UUID
    until: datetime
    why: str


class Day(Struct, frozen=True):
    """What the day is like for one person."""

    now: datetime  # business time
    calendar: WorkingCalendar | None
    sent: int = 0  # mails to the person since the day began


def decide(
    matters: Sequence[Matter], rules: MailingRules, silences: Silences | Iterable[Silence], day: Day
) -> list[Release | Hold]:
    """What becomes of all waiting matters of one person, each in exactly one outcome."""
    kept_back = silences if isinstance(silences, Silences) else Silences(silences)
    found: list[Release | Hold] = []
    alone: list[Matter] = []
    together: list[Matter] = []
    gathered_at = gathering(rules, day)
    next_gathering = next_moment(rules, day, gather=True)
    for matter in matters:
        silence = kept_back.longest(matter, day.now)
        if silence is not None:
            found.append(Hold(matter.id, silence.until, f"silence:{silence.id}"))
        elif matter.urgent or matter.kind in rules.at_once or _last_chance(matter, next_gathering, day.now):
            found.append(Release((matter.id,)))
        elif not matter.alone and _may_be_grouped(matter, rules):
            together.append(matter)
        elif open_window(rules, day) is not None:
            alone.append(matter)
        else:
            opens = next_moment(rules, day, gather=False)
            found.append(Hold(matter.id, opens, _quiet(opens)))
    if together and not (gathered_at is not None and any(matter.since <= gathered_at for matter in together)):
        found += [Hold(matter.id, next_gathering, _kept(matter, next_gathering)) for matter in together]
        together = []
    letters = [together[place : place + MAX_MATTERS] for place in range(0, len(together), MAX_MATTERS)]
    letters += [[matter] for matter in alone]
    spare = max(0, rules.mails_a_day - day.sent - sum(isinstance(one, Release) for one in found))
    found += [Release(tuple(matter.id for matter in letter)) for letter in letters[:spare]]
    if over := letters[spare:]:
        tomorrow = next_moment(rules, _from_tomorrow(day), gather=True)
        found += [Hold(matter.id, tomorrow, f"limit:{rules.mails_a_day}") for letter in over for matter in letter]
    return found


def _may_be_grouped(matter: Matter, rules: MailingRules) -> bool:
    return matter.held.startswith(("silence:", "limit:")) or matter.kind in rules.group


def _quiet(until: datetime) -> str:
    return f"quiet_until:{until.astimezone(LOCAL_ZONE).isoformat()}"


def _kept(matter: Matter, until: datetime) -> str:
    """What kept it back before is not forgotten: the letter tells it."""
    return matter.held if matter.held.startswith(("silence:", "limit:")) else _quiet(until)


def _last_chance(matter: Matter, next_gathering: datetime, now: datetime) -> bool:
    """Whether a reminder or request would come too late in the next letter."""
    if matter.kind not in ("reminder", "request") or matter.deadline is None:
        return False
    return now < matter.deadline < next_gathering + BEFORE_DEADLINE


def open_window(rules: MailingRules, day: Day) -> Window | None:
    """The window that is open now."""
    local = day.now.astimezone(LOCAL_ZONE)
    if not works(day.calendar, local.date()):
        return None
    return next((window for window in rules.windows if window.start <= local.time() < window.end), None)


def gathering(rules: MailingRules, day: Day) -> datetime | None:
    """The moment at which the letters of the open window go out, if it is there; None where none is."""
    window = open_window(rules, day)
    if window is None:
        return None
    moment = _at(local_day(day.now), window.start) + rules.gather
    return moment if moment <= day.now else None


def next_moment(rules: MailingRules, day: Day, *, gather: bool) -> datetime:
    """When the next window opens, or its letters go out (gather), after now."""
    on = local_day(day.now)
    extra = rules.gather if gather else timedelta()
    while True:
        if works(day.calendar, on):
            for window in rules.windows:
                moment = _at(on, window.start) + extra
                if moment > day.now:
                    return moment
        on += timedelta(days=1)


def letters_at(rules: MailingRules, on: date) -> datetime:
    """When the first grouped letters of a day go out, if it is a working day."""
    return _at(on, rules.windows[0].start) + rules.gather


def works(calendar: WorkingCalendar | None, on: date) -> bool:
    """Whether offices work that day; Monday to Friday where no calendar covers it: a letter is not kept for that."""
    try:
        return calendar.is_working_day(on) if calendar is not None else on.weekday() < 5
    except CalendarGap:
        return on.weekday() < 5


def _from_tomorrow(day: Day) -> Day:
    return Day(_at(local_day(day.now) + timedelta(days=1), time(0)), day.calendar)


def _at(on: date, hour: time) -> datetime:
    return datetime.combine(on, hour, LOCAL_ZONE)
