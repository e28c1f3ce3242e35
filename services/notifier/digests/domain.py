"""Decides who gets which digest, about which agencies, and when its round begins. Pure.

A digest adds to the letters about single matters and takes none of them away. A round is for a day (daily) or a week
(weekly) and begins by state, not by the hour: one that was missed is made good as long as its day or week lasts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, get_args

from msgspec import Struct

from services.notifier.mailing.domain import Day, MailingRules, letters_at, works
from services.notifier.planning.directory import Officer, Person
from shared.contract.events.fields import usable_address
from shared.contract.events.registry import DigestKind
from shared.contract.hierarchy import Tree
from shared.contract.reporting_window import local_day
from shared.contract.working_days import WorkingCalendar
from shared.runtime.clock import LOCAL_ZONE

KINDS: tuple[DigestKind, ...] = get_args(DigestKind)
#: what those get who have not chosen; who is not here gets none
BY_ROLE: Mapping[str, tuple[DigestKind, ...]] = {
    "provincial_office": ("daily", "weekly"),
    "chair": ("weekly",),
}
#: roles that answer for the agencies below theirs too, and those that answer for their own agency alone
_BELOW, _OWN = frozenset({"provincial_office", "chair", "head", "deputy", "reviewer"}), frozenset({"reporting_officer"})
#: how many working days ahead a deadline is listed as near
SOON: Mapping[DigestKind, int] = {"daily": 3, "weekly": 5}
#: lines of each table; what is above is counted
MOST = 40
#: what a weekly digest covers where there was none before
WEEK = timedelta(days=7)


class Part(Struct, frozen=True):
    """Agencies that a person answers for: one, or one with all below it; empty regimes: all of them."""

    agency: str
    below: bool
    regimes: tuple[str, ...] = ()


class Reader(Struct, frozen=True):
    """A person who gets digests."""

    person: Officer
    kinds: frozenset[str]
    parts: tuple[Part, ...]


def reader(officer: Officer | None, person: Person | None, chosen: Collection[str] | None, on: date) -> Reader | None:
    """Who gets which digests on that day; None for somebody who gets none or cannot be written to.

    officer, person: both are one human. chosen: by the registry; None: nothing was said, so the roles decide.
    """
    parts: list[Part] = []
    roles: list[str] = []
    if officer is not None and officer.active:
        roles.append(officer.role)
        parts.append(Part(officer.agency, officer.role in _BELOW, () if officer.role in _BELOW else officer.regimes))
    for office in () if person is None else person.offices:
        if office.term.covers(on) and office.role in _BELOW | _OWN:
            roles.append(office.role)
            parts.append(Part(office.agency, office.role in _BELOW, office.regimes))
    kinds = {kind for role in roles for kind in BY_ROLE.get(role, ())} if chosen is None else set(chosen)
    who = next(
        (one for one in (officer, person and person.officer) if one and one.active and usable_address(one.email)), None
    )
    if who is None or not parts or not kinds:
        return None
    return Reader(who, frozenset(kinds), tuple(dict.fromkeys(parts)))


def agencies_of(parts: Iterable[Part], below: Mapping[str, Collection[str]]) -> set[tuple[str, str]]:
    """(agency, regime) of all that these parts cover; regime '' stands for every one. below: by agency."""
    return {
        (code, regime)
        for part in parts
        for code in (part.agency, *(below.get(part.agency, ()) if part.below else ()))
        for regime in part.regimes or ("",)
    }


def below(tree: Tree, on: date) -> dict[str, list[str]]:
    """By agency, all that stand below it on that day."""
    found: dict[str, list[str]] = {}
    for code in tree.parents:
        for above in tree.above(code, on):
            found.setdefault(above, []).append(code)
    return found


def round_of(kind: DigestKind, rules: MailingRules, day: Day) -> date | None:
    """The day, or the Monday of the week, whose digests are due by now; None where none are yet.

    They are due when the day's first grouped letters go out, the weekly ones on the week's first working day.
    """
    today = local_day(day.now)
    if kind == "daily":
        return today if works(day.calendar, today) and letters_at(rules, today) <= day.now else None
    monday = today - timedelta(days=today.weekday())
    week = (monday + timedelta(days=number) for number in range(7))
    first = next((on for on in week if works(day.calendar, on)), None)
    return monday if first is not None and letters_at(rules, first) <= day.now else None


def soon(kind: DigestKind, day: Day) -> datetime:
    """Until when a deadline counts as near: the end of some working days from today on."""
    on, left = local_day(day.now), SOON[kind]
    while left:
        on += timedelta(days=1)
        left -= _counts(day.calendar, on)
    return datetime.combine(on + timedelta(days=1), time(0), LOCAL_ZONE)


def _counts(calendar: WorkingCalendar | None, on: date) -> int:
    return int(works(calendar, on))


def is_empty(content: Mapping[str, Any]) -> bool:
    """Whether there is nothing to tell: then no letter goes out."""
    return not any(content[name] for name in ("overdue", "due", "scores", "receipts"))


def content_sha256(facts: Mapping[str, Any]) -> str:
    """SHA-256 of what the letter states, as the ledger keeps it, without this digest itself."""
    content = {name: value for name, value in (facts.get("digest") or {}).items() if name != "sha256"}
    whole = {**{name: value for name, value in facts.items() if name != "matters"}, "digest": content}
    plain = json.dumps(whole, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()
