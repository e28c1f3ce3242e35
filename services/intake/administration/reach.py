"""Which records a principal may read and change: an operator all, a person those of the agencies administered.

A record belongs to every agency that it binds, names or gives rights over; all of them must be within reach, before
the change and after it. So nobody widens an own reach, or moves an agency out of another's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from services.intake.registry.records import Registry
from shared.access import Principal, may
from shared.contract.addressing import submits
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
from shared.contract.hierarchy import parents_of


@dataclass(frozen=True, slots=True)
class Reach:
    """Of one principal, on one day."""

    principal: Principal
    registry: Registry
    today: date

    @property
    def everywhere(self) -> bool:
        return may(self.principal, "operate", None, {}, self.today)

    def covers(self, agency: str | None) -> bool:
        """Whether the agency is within reach; None, what belongs to no agency, is so for an operator alone."""
        return self.everywhere or may(self.principal, "administer", agency, self.registry.tree(self.today), self.today)

    def reads(self, record: RegistryEvent) -> bool:
        return self.everywhere or all(self.covers(agency) for agency in self._agencies(record))

    def changes(self, before: RegistryEvent | None, after: RegistryEvent) -> bool:
        if self.everywhere:
            return True
        if before is not None and not self.reads(before):
            return False
        match after:
            case AgencyRegistered():
                return self._places(before, after)
            case RegimePublished():  # it ends the version before it, for everybody whom that one binds
                return all(map(self.reads, (*self.registry.regimes.get(after.code, {}).values(), after)))
            case WaiverGranted():  # nobody approves in another's name
                stays = isinstance(before, WaiverGranted) and before.approved_by == after.approved_by
                return self.reads(after) and (stays or after.approved_by == self.principal.id)
            case _:
                return self.reads(after)

    def _places(self, before: RegistryEvent | None, after: AgencyRegistered) -> bool:
        """A new agency is placed below one within reach, and an old one stays where it is or moves to such a one."""
        above = parents_of(after.parent, after.parents)
        stays = isinstance(before, AgencyRegistered) and parents_of(before.parent, before.parents) == above
        moves = [above.first, *(later.code for later in above.later)]
        return (stays or all(map(self.covers, moves))) and all(map(self.covers, after.successors))

    def _agencies(self, record: RegistryEvent) -> Iterator[str | None]:
        match record:
            case AgencyRegistered():
                yield record.code
            case OfficerRegistered():
                yield record.agency
            case PersonRegistered():
                yield record.agency
                for office in record.offices:
                    yield office.agency if office.role != "operator" else None
            case RegimePublished():
                yield from self._submitters(record)
            case RequestIssued():
                versions = self.registry.regimes.get(record.regime, {})
                yield from record.agencies or self._submitters(versions[max(versions)] if versions else None)
                if record.asked_by is not None:
                    yield record.asked_by
            case SharingGranted():
                yield record.reader
                yield from record.agencies or [record.below]
            case ReferenceTablePublished():  # it is everybody's
                yield None
            case WaiverGranted():
                yield from record.agencies

    def _submitters(self, regime: RegimePublished | None) -> Iterator[str | None]:
        """Everybody whom the regime binds on some day or other; None where that is nobody."""
        bound: list[str | None] = [
            agency.code
            for agency in self.registry.agencies.values()
            if regime is not None and submits(agency, regime, self._above(agency.code, regime))
        ]
        if regime is not None:
            bound += regime.submitter_parents  # whoever comes below them later
        yield from bound or [None]

    def _above(self, code: str, regime: RegimePublished) -> frozenset[str]:
        return self.registry.ever_above(code) if regime.submitter_parents else frozenset()
