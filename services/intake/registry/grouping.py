"""Agencies that come to be of another kind, or below others, by a load. Pure.

What such an agency owes anew it does not owe of what was due by then, so the moment has to outlast the record that says
what the agency was before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from shared.contract.events import AgencyRegistered, AgencyRegrouped, RegistryEvent
from shared.contract.hierarchy import Parents, parents_of


def changes(
    changed: Iterable[RegistryEvent], before: Mapping[str, RegistryEvent], at: datetime, revision: int
) -> list[AgencyRegrouped]:
    """Who changes. before: the changed records as they were, by key; at: business time of the load."""
    found = []
    for record in changed:
        earlier = before.get(record.key)
        if not isinstance(record, AgencyRegistered) or not isinstance(earlier, AgencyRegistered):
            continue
        moved = _above(record) != _above(earlier)
        if moved or record.kind != earlier.kind:
            found.append(AgencyRegrouped(agency=record.code, at=at, moved_at=at if moved else None, version=revision))
    return sorted(found, key=lambda regrouped: regrouped.agency)


def _above(agency: AgencyRegistered) -> Parents:
    return parents_of(agency.parent, agency.parents)
