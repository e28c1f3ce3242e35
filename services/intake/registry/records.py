"""The records of the registry: the bodies of its events, stored without their version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from services.intake.audit.domain import fingerprint
from shared.access import Office, Principal, Term, delegated_by, duty_of
from shared.contract.addressing import closed_before
from shared.contract.events import (
    AgencyRegistered,
    OfficerRegistered,
    PersonRegistered,
    ReferenceTablePublished,
    RegimePublished,
    RegistryEvent,
    RequestIssued,
    SharingGranted,
    WaiverGranted,
)
from shared.contract.hierarchy import Parents, Tree, parents_of

Kind = Literal["agency", "officer", "person", "regime", "request", "sharing", "reference", "waiver"]
KINDS: dict[Kind, type[RegistryEvent]] = {
    "agency": AgencyRegistered,
    "officer": OfficerRegistered,
    "person": PersonRegistered,
    "regime": RegimePublished,
    "request": RequestIssued,
    "sharing": SharingGranted,
    "reference": ReferenceTablePublished,
    "waiver": WaiverGranted,
}


#: fields that hold how a person is reached
CONTACTS = frozenset({"email", "contacts"})


def kind_of(key: str) -> Kind:
    """The kind in a key such as `agency/H99.01`."""
    for kind in KINDS:
        if key.startswith(kind + "/"):
            return kind
    raise ValueError(f"{key!r} is no key of the registry")


def content_of(record: RegistryEvent) -> dict[str, Any]:
    """The record's content as JSON values, without its version; equal contents give equal dicts."""
    return record.model_dump(mode="json", exclude={"version"})


def audited_content(record: RegistryEvent) -> dict[str, Any]:
    """The content as the audit trail keeps it: with fingerprints for the contacts of people."""
    content = content_of(record)
    return content | {name: _fingerprints(content[name]) for name in CONTACTS & content.keys()}


def _fingerprints(contact: Any) -> Any:
    match contact:
        case str():
            return fingerprint(contact)
        case dict():
            return {name: _fingerprints(value) for name, value in contact.items()}
        case list():
            return [_fingerprints(value) for value in contact]
        case _:
            return contact


def record_of(key: str, version: int, content: Mapping[str, Any]) -> RegistryEvent:
    """The record stored under `key`."""
    return KINDS[kind_of(key)].model_validate({**content, "version": version})


class Agency(Struct, frozen=True, gc=False):
    """The fields of an agency kept in memory; there are thousands, and a whole record takes ten times the space."""

    code: str
    kind: str
    above: Parents
    opened_on: date
    closed_on: date | None
    successors: tuple[str, ...]
    version: int
    heir: str | None = None  # who owes what is open when it closes


class Officer(Struct, frozen=True, gc=False):
    """The fields of an officer kept in memory."""

    agency: str
    active: bool
    head: bool
    regimes: tuple[str, ...]  # empty: all of the agency
    version: int

    def answers(self, agency: str, regime: str) -> bool:
        """Whether a report of the agency under the regime may name this person: on duty, and designated or the head."""
        return (
            self.active
            and self.agency == agency
            and (self.head or not self.regimes or not regime or regime in self.regimes)
        )


class Person(Struct, frozen=True, gc=False):
    """The fields of a person kept in memory: contacts are for the record alone."""

    agency: str
    offices: tuple[tuple[Office, str | None], ...]  # each with the id of the head who delegates it
    version: int


@dataclass(slots=True)
class Registry:
    """All records, indexed for look-up; of agencies and officers only the fields that admission and checks need."""

    agencies: dict[str, Agency] = field(default_factory=dict)
    officers: dict[str, Officer] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    regimes: dict[str, dict[int, RegimePublished]] = field(default_factory=dict)
    requests: dict[str, RequestIssued] = field(default_factory=dict)
    sharings: dict[str, SharingGranted] = field(default_factory=dict)
    #: versions of reference tables by code, without their rows
    references: dict[str, dict[int, ReferenceTablePublished]] = field(default_factory=dict)
    waivers: dict[str, WaiverGranted] = field(default_factory=dict)
    #: agency -> ids of its present and former officers
    _staff: dict[str, list[str]] = field(default_factory=dict)
    #: agency -> codes of those whose heir it is, or was
    _handing: dict[str, set[str]] = field(default_factory=dict)

    def put(self, record: RegistryEvent) -> None:
        """Add the record or replace an older version of it; keep a newer one."""
        match record:
            case AgencyRegistered():
                agency = Agency(
                    record.code, record.kind, parents_of(record.parent, record.parents), record.opened_on,
                    record.closed_on, record.successors, record.version, record.heir,
                )  # fmt: skip
                self._agency(agency)
            case OfficerRegistered():
                self._officer(
                    record.officer_id,
                    Officer(record.agency, record.active, record.role == "head", record.regimes, record.version),
                )
            case PersonRegistered():
                _newer(self.people, record.person_id, _person(record))
            case RegimePublished():
                _newer(self.regimes.setdefault(record.code, {}), record.regime_version, record)
            case RequestIssued():
                _newer(self.requests, record.request_id, record)
            case SharingGranted():
                _newer(self.sharings, record.sharing_id, record)
            case ReferenceTablePublished():
                self._reference(record.model_copy(update={"rows": ()}))
            case WaiverGranted():
                _newer(self.waivers, record.waiver_id, record)

    def take(self, changed: Registry) -> None:
        """Add all records of another registry."""
        for agency in changed.agencies.values():
            self._agency(agency)
        for officer_id, officer in changed.officers.items():
            self._officer(officer_id, officer)
        for person_id, person in changed.people.items():
            _newer(self.people, person_id, person)
        for code, versions in changed.regimes.items():
            for number, regime in versions.items():
                _newer(self.regimes.setdefault(code, {}), number, regime)
        for request_id, request in changed.requests.items():
            _newer(self.requests, request_id, request)
        for sharing_id, sharing in changed.sharings.items():
            _newer(self.sharings, sharing_id, sharing)
        for tables in changed.references.values():
            for table in tables.values():
                self._reference(table)
        for waiver_id, waiver in changed.waivers.items():
            _newer(self.waivers, waiver_id, waiver)

    def answering(self, agency: str, regime: str) -> list[str]:
        """Ids of officers whom a report under the regime may name: those designated for it, then others, then heads."""
        found = [
            (officer.head, regime not in officer.regimes, officer_id)
            for officer_id in self._staff.get(agency, ())
            if (officer := self.officers[officer_id]).answers(agency, regime)
        ]
        return [officer_id for _, _, officer_id in sorted(found)]

    def designated(self, agency: str) -> bool:
        """Whether the agency has an active reporting officer; its head alone is none."""
        return any(
            officer.active and not officer.head and officer.agency == agency
            for officer in map(self.officers.__getitem__, self._staff.get(agency, ()))
        )

    def unstaffed(self, today: date) -> list[str]:
        """Codes of agencies that exist on the day and have no active reporting officer, in order."""
        return sorted(
            code
            for code, agency in self.agencies.items()
            if agency.opened_on <= today and not closed_before(agency, today) and not self.designated(code)
        )

    def offices_of(self, person_id: str) -> tuple[Office, ...]:
        """All offices of a person, by the records of person and officer; a deputy's with its delegation."""
        person, officer = self.people.get(person_id), self.officers.get(person_id)
        offices = [
            office if head is None else delegated_by(office, self._own_offices(head))
            for office, head in (person.offices if person is not None else ())
        ]
        return (*offices, *_duty(officer))

    def above(self, code: str, day: date) -> tuple[str, ...]:
        """The agencies above this one on that day, the nearest first."""
        return Tree(_EverAbove(self.agencies)).above(code, day)

    def ever_above(self, code: str) -> frozenset[str]:
        """The agencies above this one on some day or other."""
        return Tree(_EverAbove(self.agencies)).ever_above(code)

    def tree(self, day: date) -> Mapping[str, str | None]:
        """The agency above each agency on that day, for `shared.access.may`."""
        return _Parents(self.agencies, day)

    def holder_of(self, person: Principal) -> Principal:
        """The owner of a person's key, with the person's agency and offices as they are now."""
        known = self.people.get(person.id) or self.officers.get(person.id)
        return replace(person, agency=known.agency if known else None, offices=self.offices_of(person.id))

    def _own_offices(self, person_id: str) -> tuple[Office, ...]:
        person = self.people.get(person_id)
        offices = (office for office, _ in person.offices) if person is not None else ()
        return (*offices, *_duty(self.officers.get(person_id)))

    def inherits_from(self, code: str) -> list[Agency]:
        """Agencies that handed on to this one what they owed when they closed, also through others."""
        found: list[Agency] = []
        seen = {code}
        heirs = [code]
        while heirs:
            heir = heirs.pop()
            for entry in sorted(self._handing.get(heir, ())):
                agency = self.agencies[entry]
                if agency.heir == heir and entry not in seen:
                    seen.add(entry)
                    found.append(agency)
                    heirs.append(entry)
        return found

    def _agency(self, agency: Agency) -> None:
        _newer(self.agencies, agency.code, agency)
        if agency.heir is not None:
            self._handing.setdefault(agency.heir, set()).add(agency.code)

    def _reference(self, table: ReferenceTablePublished) -> None:
        _newer(self.references.setdefault(table.code, {}), table.table_version, table)

    def _officer(self, officer_id: str, officer: Officer) -> None:
        before = self.officers.get(officer_id)
        if before is None or before.agency != officer.agency:
            staff = self._staff.setdefault(officer.agency, [])
            if officer_id not in staff:  # an officer may return
                staff.append(officer_id)
        _newer(self.officers, officer_id, officer)

    def sizes(self) -> dict[Kind, int]:
        return {
            "agency": len(self.agencies),
            "officer": len(self.officers),
            "person": len(self.people),
            "regime": sum(len(versions) for versions in self.regimes.values()),
            "request": len(self.requests),
            "sharing": len(self.sharings),
            "reference": sum(len(versions) for versions in self.references.values()),
            "waiver": len(self.waivers),
        }


class _EverAbove(Mapping[str, Parents]):
    """Who stands above each agency, ever."""

    def __init__(self, agencies: Mapping[str, Agency]) -> None:
        self._agencies = agencies

    def __getitem__(self, code: str) -> Parents:
        return self._agencies[code].above

    def __iter__(self) -> Iterator[str]:
        return iter(self._agencies)

    def __len__(self) -> int:
        return len(self._agencies)


class _Parents(Mapping[str, str | None]):
    """The agency above each agency on one day."""

    def __init__(self, agencies: Mapping[str, Agency], day: date) -> None:
        self._agencies = agencies
        self._day = day

    def __getitem__(self, code: str) -> str | None:
        return self._agencies[code].above.on(self._day)

    def __iter__(self) -> Iterator[str]:
        return iter(self._agencies)

    def __len__(self) -> int:
        return len(self._agencies)


def _duty(officer: Officer | None) -> tuple[Office, ...]:
    """The office that the record of an officer on duty stands for."""
    if officer is None or not officer.active:
        return ()
    return (duty_of("head" if officer.head else "reporting_officer", officer.agency, officer.regimes),)


def _person(record: PersonRegistered) -> Person:
    offices = tuple(
        (Office(given.role, given.agency, Term(given.since, given.until), given.regimes), given.delegated_by)
        for given in record.offices
    )
    return Person(record.agency, offices, record.version)


def _newer(records: dict[Any, Any], key: Any, record: Any) -> None:
    stored = records.get(key)
    if stored is None or stored.version <= record.version:
        records[key] = record
