"""Who receives a notice: the officer who answers for a regime, the heads above, a reviewer, or whoever asked.

A rung without a head is kept with its reason, so that the ledger shows why nobody there was notified.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from shared.access import Office, Principal, offices_over
from shared.contract.addressing import closed_before
from shared.contract.events.fields import usable_address
from shared.contract.hierarchy import NOBODY_ABOVE, Parents


@dataclass(frozen=True, slots=True)
class Agency:
    """What notifier keeps of an agency (cơ quan)."""

    code: str
    name: str
    name_en: str = ""
    above: Parents = NOBODY_ABOVE
    closed_on: date | None = None  # last day on which it exists
    kind: str = ""  # empty where it is not known

    def closed(self, on: date) -> bool:
        """Whether the agency no longer exists on that day."""
        return closed_before(self, on)


@dataclass(frozen=True, slots=True)
class Officer:
    """What notifier keeps of a person: a reporting officer (cán bộ đầu mối) or a head (thủ trưởng)."""

    officer_id: str
    agency: str
    name: str
    title: str
    email: str
    role: str
    regimes: tuple[str, ...] = ()
    active: bool = True


@dataclass(frozen=True, slots=True)
class Person:
    """A person with offices, as the one whom a letter goes to."""

    officer: Officer
    offices: tuple[Office, ...] = ()


#: in whose office it lies to review: of these the first that anybody holds
REVIEWERS = ("reviewer", "provincial_office")


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung of an escalation (1 = the agency itself): its agency, and the head, or why there is none."""

    number: int
    agency: str
    head: Officer | None
    reason: str = ""


class NotYetRegistered(LookupError):
    """No registry record of this agency, officer or person has arrived yet, so the event is deferred for it."""

    def __init__(self, registry_key: str) -> None:
        super().__init__(f"{registry_key} is not registered yet")
        self.registry_key = registry_key


@dataclass(frozen=True, slots=True)
class Directory:
    """Agencies with their ancestors, and their people, from the registry records received so far."""

    agencies: Mapping[str, Agency] = field(default_factory=dict)
    officers: Mapping[str, tuple[Officer, ...]] = field(default_factory=dict)  # by agency code
    people: Mapping[str, Officer] = field(default_factory=dict)  # by officer id
    persons: Mapping[str, Person] = field(default_factory=dict)  # by person id

    @classmethod
    def of(cls, agencies: Iterable[Agency], officers: Iterable[Officer], persons: Iterable[Person] = ()) -> Directory:
        """Build it from rows; people are ordered by id, so the choice among equals is always the same."""
        people = {officer.officer_id: officer for officer in officers}
        by_agency: dict[str, list[Officer]] = {}
        for _, officer in sorted(people.items()):
            by_agency.setdefault(officer.agency, []).append(officer)
        staff = {code: tuple(members) for code, members in by_agency.items()}
        known = {person.officer.officer_id: person for person in persons}
        return cls({agency.code: agency for agency in agencies}, staff, people, known)

    def agency(self, code: str) -> Agency:
        """The agency; raises NotYetRegistered."""
        try:
            return self.agencies[code]
        except KeyError:
            raise NotYetRegistered(f"agency/{code}") from None

    def responsible(self, agency: str, regime: str) -> Officer | None:
        """The officer who answers for a regime: one named for it, else one for all regimes, else any active one.

        The last choice is on purpose: where nobody was named for the regime, a colleague's notice beats silence.
        """
        return next(iter(self.officers_for(agency, regime)), None)

    def officers_for(self, agency: str, regime: str) -> list[Officer]:
        """The agency's reporting officers in the order in which they answer for a regime, as `responsible` says it."""
        active = self._reachable(agency, "reporting_officer")
        named = [officer for officer in active if regime in officer.regimes]
        general = [officer for officer in active if not officer.regimes]
        return [*named, *general, *(officer for officer in active if officer not in (*named, *general))]

    def submitter(self, agency: str, regime: str, officer_id: str) -> Officer | None:
        """The officer who submitted, while active there; else whoever answers for the regime now.

        Raises NotYetRegistered for an officer of whom no record has arrived.
        """
        officer = self.people.get(officer_id)
        if officer is None:
            raise NotYetRegistered(f"officer/{officer_id}")
        if officer.agency == agency and officer.active and usable_address(officer.email):
            return officer
        return self.responsible(agency, regime)

    def person(self, person_id: str) -> Officer:
        """Whoever has this id, in an agency's list of officers or with offices. Raises NotYetRegistered."""
        found = self.known(person_id)
        if found is None:
            raise NotYetRegistered(f"person/{person_id}")
        return found

    def known(self, person_id: str) -> Officer | None:
        """As `person`; None for somebody not registered."""
        if person_id in self.people:
            return self.people[person_id]
        return self.persons[person_id].officer if person_id in self.persons else None

    def head(self, agency: str) -> Officer | None:
        """The head of the agency itself, where one can be reached."""
        return next(iter(self.heads(agency)), None)

    def heads(self, agency: str) -> list[Officer]:
        """The heads of the agency itself who can be reached."""
        return self._reachable(agency, "head")

    def why_no_head(self, agency: str) -> str:
        """Why the agency's head cannot be notified."""
        return f"{self._why_nobody(agency, 'head')}:{agency}"

    def reviewer(self, agency: str, regime: str, on: date) -> Officer | None:
        """Who reviews the agency's reports on that day: the nearest reviewer, else the provincial office.

        At the same agency one named for the regime goes before one for all, ties by id.
        """
        tree = {code: known.above.on(on) for code, known in self.agencies.items()}
        found = []
        for person_id, person in sorted(self.persons.items()):
            principal = Principal("person", person_id, person.officer.agency, frozenset({"review"}), person.offices)
            for office in offices_over(principal, "review", agency, tree, on, regime):
                if office.role in REVIEWERS and usable_address(person.officer.email):
                    rank = REVIEWERS.index(office.role), self._steps_up(agency, office.agency, on), not office.regimes
                    found.append((rank, person_id))
        return self.persons[min(found)[1]].officer if found else None

    def _steps_up(self, agency: str, above: str, on: date) -> int:
        steps, code = 0, agency
        while code != above and code in self.agencies and steps <= len(self.agencies):
            code, steps = self.agencies[code].above.on(on) or above, steps + 1
        return steps

    def path(self, agency: str, on: date) -> tuple[str, ...]:
        """The agency and those above it on that day, the highest last. Raises NotYetRegistered."""
        found: list[str] = []
        code: str | None = agency
        while code is not None and code not in found:
            found.append(code)
            code = self.agency(code).above.on(on)
        return tuple(found)

    def office_at(self, agency: str, role: str, regime: str, on: date) -> Officer | None:
        """Who holds this office at the agency itself on that day, where one can be reached.

        One named for the regime goes before one for all, ties by id.
        """
        found = [
            (not office.regimes, person_id)
            for person_id, person in self.persons.items()
            for office in person.offices
            if office.role == role and office.agency == agency and office.term.covers(on) and office.concerns(regime)
            if usable_address(person.officer.email)
        ]
        return self.persons[min(found)[1]].officer if found else None

    def climb(self, agency: str, on: date) -> tuple[Rung, ...]:
        """The rungs from the agency's own head up to the first that is staffed, unstaffed ones with their reason.

        A closed agency cannot act, so its rung is passed over. Raises NotYetRegistered for a missing parent.
        """
        rungs: list[Rung] = []
        seen: set[str] = set()
        code: str | None = agency
        while code is not None and code not in seen:
            seen.add(code)
            current = self.agency(code)
            if current.closed(on):
                rungs.append(Rung(len(rungs) + 1, code, None, "agency_closed"))
            elif (head := next(iter(self._reachable(code, "head")), None)) is None:
                rungs.append(Rung(len(rungs) + 1, code, None, self._why_nobody(code, "head")))
            else:
                rungs.append(Rung(len(rungs) + 1, code, head))
                break
            code = current.above.on(on)
        return tuple(rungs)

    def why_no_officer(self, agency: str) -> str:
        """Why no reporting officer of the agency can be notified."""
        return self._why_nobody(agency, "reporting_officer")

    def _reachable(self, agency: str, role: str) -> list[Officer]:
        return [
            person
            for person in self.officers.get(agency, ())
            if person.role == role and person.active and usable_address(person.email)
        ]

    def _why_nobody(self, agency: str, role: str) -> str:
        active = any(person.role == role and person.active for person in self.officers.get(agency, ()))
        return f"unusable_address_of_{role}" if active else f"no_{role}"
