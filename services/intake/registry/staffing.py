"""Whether an agency has a reporting officer, as `registry` says it: an event where that changes. Pure.

It follows from the officers' records, so nothing stores it. The revision of the registry is its version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from services.intake.registry.records import Registry
from shared.contract.events import AgencyRegistered, AgencyStaffing, OfficerRegistered, RegistryEvent


def concerned(changed: Iterable[RegistryEvent], before: Mapping[str, RegistryEvent]) -> set[str]:
    """Agencies whose staffing the changes may change. before: the changed records as they were, by key."""
    codes: set[str] = set()
    for record in changed:
        earlier = before.get(record.key)
        match record, earlier:
            case AgencyRegistered(), None:
                codes.add(record.code)
            case OfficerRegistered(), OfficerRegistered():
                if _duty(record) != _duty(earlier):
                    codes |= {record.agency, earlier.agency}
            case OfficerRegistered(), _:
                codes.add(record.agency)
    return codes


def changes(
    codes: Iterable[str], officers: Iterable[RegistryEvent], changed: Sequence[RegistryEvent], revision: int
) -> list[AgencyStaffing]:
    """What to publish. officers: those of the agencies, as they were. Of a new agency only that it has none."""
    registry = Registry()
    for record in officers:
        registry.put(record)
    had = {code: registry.designated(code) for code in codes}
    new = {record.code for record in changed if isinstance(record, AgencyRegistered) and record.version == 1}
    for record in changed:
        registry.put(record)
    return [
        AgencyStaffing(agency=code, designated=registry.designated(code), version=revision)
        for code in sorted(had)
        if registry.designated(code) != (had[code] or code in new)
    ]


def whole(records: Iterable[RegistryEvent], revision: int) -> list[AgencyStaffing]:
    """How every agency stands."""
    registry = Registry()
    for record in records:
        registry.put(record)
    return [
        AgencyStaffing(agency=code, designated=registry.designated(code), version=revision)
        for code in sorted(registry.agencies)
    ]


def _duty(officer: OfficerRegistered) -> tuple[str, str, bool]:
    return officer.agency, officer.role, officer.active
