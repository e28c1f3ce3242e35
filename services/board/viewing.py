"""What a signed-in person may see: the offices the registry gives them today, and the agencies these reach. Pure.

One rule decides for all services (shared/access); nothing of it is written again here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date

from shared.access import RIGHTS, Office, Principal, Role, Scope, may, may_anywhere, offices_over, reach_of
from shared.access.rights import answers_for, decides_waivers

#: what a person's session may do by itself; the owning services look again at every action
_SCOPES = frozenset[Scope]({"read", "submit", "review", "administer", "operate"})
_ALL = frozenset[str]()


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of the registry: a person, an officer, or both."""

    person_id: str
    agency: str
    name: str
    title: str
    offices: tuple[Office, ...]


@dataclass(frozen=True, slots=True)
class View:
    """What somebody may see.

    whole: agencies of which every regime is seen; partly: agency -> the regimes that are seen of it.
    """

    whole: frozenset[str] = frozenset()
    partly: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def agencies(self) -> frozenset[str]:
        """Every agency of which something is seen."""
        return self.whole | self.partly.keys()

    def sees(self, agency: str, regime: str) -> bool:
        """Whether what the agency owes under the regime is seen."""
        return agency in self.whole or regime in self.partly.get(agency, ())

    def pairs(self) -> tuple[list[str], list[str], list[str]]:
        """For SQL: agencies seen whole; and agency and regime of what else is seen, side by side."""
        partly = [(agency, regime) for agency, regimes in self.partly.items() for regime in regimes]
        return sorted(self.whole), [agency for agency, _ in partly], [regime for _, regime in partly]


def view_of(person: Person, tree: Mapping[str, str | None], on: date, scope: Scope = "read") -> View:
    """What the person may read on that day; with another scope, that for which they may do it."""
    whole: set[str] = set()
    partly: dict[str, set[str]] = {}
    for office, agencies in reach_of(_principal(person), scope, tree, on):
        if not office.regimes:
            whole |= agencies
            continue
        for agency in agencies:
            partly.setdefault(agency, set()).update(office.regimes)
    return View(frozenset(whole), {a: frozenset(r) for a, r in partly.items() if a not in whole})


def supervises(person: Person, on: date) -> str | None:
    """The agency at the top of those over which the person holds an office that day; None for who supervises none."""
    for office in person.offices:
        right = RIGHTS.get(office.role)
        if right is not None and right.reach == "below" and "read" in right.scopes and office.term.covers(on):
            return office.agency
    return None


def runs_the_system(person: Person, on: date) -> bool:
    """Whether the person operates or administers the system, anywhere: such a person sees how the services fare."""
    principal = _principal(person)
    return may_anywhere(principal, "operate", on) or may_anywhere(principal, "administer", on)


def decides(person: Person, on: date) -> bool:
    """Whether something may wait for the person to be signed, reviewed or decided; what does, intake says."""
    signs = not {"head", "deputy"}.isdisjoint(roles_on(person, on))
    return signs or may_anywhere(_principal(person), "review", on)


def may_here(person: Person, scope: Scope, agency: str, regime: str, tree: Mapping[str, str | None], on: date) -> bool:
    """Whether the person may do this for what the agency owes under the regime. `tree`: those above the agency."""
    return may(_principal(person), scope, agency, tree, on, regime)


def decides_waiver(
    person: Person, agencies: Collection[str], regime: str, tree: Mapping[str, str | None], on: date
) -> bool:
    """Whether the person may decide a waiver for these agencies. `tree`: those above each."""
    return decides_waivers(_principal(person), agencies, regime, tree, on)


def answers(person: Person, on: date) -> bool:
    """Whether the person may answer an escalation of which they were told."""
    return answers_for(_principal(person), person.person_id, person.agency, on)


def roles_over(
    person: Person, agency: str, regime: str, tree: Mapping[str, str | None], on: date
) -> frozenset[Role | str]:
    """In which roles the person sends or reviews what the agency owes under the regime."""
    who = _principal(person)
    scopes: tuple[Scope, ...] = ("submit", "review")
    return frozenset(office.role for scope in scopes for office in offices_over(who, scope, agency, tree, on, regime))


def _principal(person: Person) -> Principal:
    return Principal("person", person.person_id, person.agency, _SCOPES, person.offices)


def roles_on(person: Person, on: date) -> tuple[Role | str, ...]:
    """The roles that the person holds on that day, each once."""
    return tuple(dict.fromkeys(office.role for office in person.offices if office.term.covers(on)))
