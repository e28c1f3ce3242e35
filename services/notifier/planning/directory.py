"""Who is told: the officer answerable for a regime, and the rungs above; an unstaffed rung is named, not silent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from shared.contract.addressing import closed_before
from shared.contract.events.fields import usable_address


@dataclass(frozen=True, slots=True)
class Agency:
    """The copy of an agency (cơ quan) that notifier needs."""

    code: str
    name: str
    name_en: str = ""
    parent: str | None = None
    closed_on: date | None = None  # last day on which it exists

    def closed(self, on: date) -> bool:
        """Whether the agency no longer exists on that day."""
        return closed_before(self, on)


@dataclass(frozen=True, slots=True)
class Officer:
    """The copy of a person: reporting officer (cán bộ đầu mối) or head (thủ trưởng)."""

    officer_id: str
    agency: str
    name: str
    title: str
    email: str
    role: str
    regimes: tuple[str, ...] = ()
    active: bool = True


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung of an escalation: number (1 = the agency itself), the agency it belongs to, and its head or why none."""

    number: int
    agency: str
    head: Officer | None
    reason: str = ""


class NotYetKnown(LookupError):
    """The registry has not told of this agency or person yet: the event waits. `awaits` is its registry key."""

    def __init__(self, awaits: str) -> None:
        super().__init__(f"{awaits} is not known yet")
        self.awaits = awaits


@dataclass(frozen=True, slots=True)
class Directory:
    """Agencies with their ancestors, and their people, as the registry has told so far."""

    agencies: Mapping[str, Agency] = field(default_factory=dict)
    officers: Mapping[str, tuple[Officer, ...]] = field(default_factory=dict)  # by agency code
    people: Mapping[str, Officer] = field(default_factory=dict)  # by officer id

    @classmethod
    def of(cls, agencies: Iterable[Agency], officers: Iterable[Officer]) -> Directory:
        """Build it from rows; people are ordered by id, so that a choice among equals is always the same."""
        people = {each.officer_id: each for each in officers}
        by_agency: dict[str, list[Officer]] = {}
        for _, officer in sorted(people.items()):
            by_agency.setdefault(officer.agency, []).append(officer)
        staff = {code: tuple(each) for code, each in by_agency.items()}
        return cls({each.code: each for each in agencies}, staff, people)

    def agency(self, code: str) -> Agency:
        """The agency; raises NotYetKnown."""
        try:
            return self.agencies[code]
        except KeyError:
            raise NotYetKnown(f"agency/{code}") from None

    def responsible(self, agency: str, regime: str) -> Officer | None:
        """The officer who answers for a regime: one named for it, else one for all regimes, else any active one.

        The last choice is on purpose: a notice to a colleague beats silence when nobody was named for the regime.
        """
        active = self._reachable(agency, "reporting_officer")
        named = [each for each in active if regime in each.regimes]
        general = [each for each in active if not each.regimes]
        return next(iter(named or general or active), None)

    def submitter(self, agency: str, regime: str, officer_id: str) -> Officer | None:
        """The officer who submitted, while active there; else whoever answers for the regime now.

        Raises NotYetKnown where the registry has not told of the officer.
        """
        officer = self.people.get(officer_id)
        if officer is None:
            raise NotYetKnown(f"officer/{officer_id}")
        if officer.agency == agency and officer.active and usable_address(officer.email):
            return officer
        return self.responsible(agency, regime)

    def climb(self, agency: str, on: date) -> tuple[Rung, ...]:
        """The rungs from the agency's own head up to the first that is staffed, unstaffed ones with their reason.

        A closed agency cannot act, so its rung is passed over. Raises NotYetKnown for a parent not known yet.
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
            code = current.parent
        return tuple(rungs)

    def why_no_officer(self, agency: str) -> str:
        """Why no reporting officer of the agency can be told."""
        return self._why_nobody(agency, "reporting_officer")

    def _reachable(self, agency: str, role: str) -> list[Officer]:
        return [
            each
            for each in self.officers.get(agency, ())
            if each.role == role and each.active and usable_address(each.email)
        ]

    def _why_nobody(self, agency: str, role: str) -> str:
        people = [each for each in self.officers.get(agency, ()) if each.role == role and each.active]
        what = "head" if role == "head" else "reporting_officer"
        return f"unusable_address_of_{what}" if people else f"no_{what}"
