"""Tells of which agencies a report is asked, and which of them owe it: one rule for all services.

Pure. Intake admits by `asked`, scoring opens obligations by `owes`; scoring's set-based statement says the same in SQL,
and a test holds it to this. NĐ 09/2019/NĐ-CP Điều 7 (who submits).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from typing import Protocol


class Submitter(Protocol):
    """What of an agency decides whether a report is asked of it."""

    @property
    def code(self) -> str: ...
    @property
    def kind(self) -> str: ...


class Lifetime(Protocol):
    """An agency's last day, if it has one."""

    @property
    def closed_on(self) -> date | None: ...


class Agency(Submitter, Lifetime, Protocol):
    """What of an agency decides whether it owes a report."""

    @property
    def opened_on(self) -> date: ...


class Submitters(Protocol):
    """What of a regime version decides who submits; RegimePublished is one."""

    @property
    def submitter_kinds(self) -> Collection[str]: ...
    @property
    def submitters(self) -> Collection[str]: ...
    @property
    def submitters_except(self) -> Collection[str]: ...
    @property
    def submitter_parents(self) -> Collection[str]: ...


class Override(Protocol):
    """Whose deadline it is in the place of the regime's; DeadlineOverride is one."""

    @property
    def agencies(self) -> Collection[str]: ...
    @property
    def parents(self) -> Collection[str]: ...
    @property
    def kinds(self) -> Collection[str]: ...


class Hierarchy(Protocol):
    """Who stands above an agency on a day; shared/contract/hierarchy.py has one."""

    def above(self, code: str, day: date) -> Sequence[str]: ...


def submits(agency: Submitter, regime: Submitters, above: Collection[str]) -> bool:
    """Whether the agency is a submitter of this regime version: by its code, or by its group if it is no exception.

    The group: of one of the kinds, below one of the parents; kinds or parents that are not given ask for nothing.
    `above`: the agencies above it on the cut-off's last day, or the day of the request.
    """
    if agency.code in regime.submitters:
        return True
    kinds, parents = regime.submitter_kinds, regime.submitter_parents
    if not (kinds or parents) or agency.code in regime.submitters_except:
        return False
    return (not kinds or agency.kind in kinds) and (not parents or any(parent in parents for parent in above))


def override_of(agency: Submitter, overrides: Sequence[Override], above: Sequence[str]) -> int:
    """The place, from 1 on, of the deadline override that holds for the agency; 0: the regime's own deadline does.

    The most specific holds: for the agency, for the nearest parent, for its kind. No two are equally specific: the
    registry refuses them. `above`: as of `submits`, the nearest first.
    """
    for place, override in enumerate(overrides, 1):
        if agency.code in override.agencies:
            return place
    for parent in above:
        for place, override in enumerate(overrides, 1):
            if parent in override.parents:
                return place
    for place, override in enumerate(overrides, 1):
        if agency.kind in override.kinds:
            return place
    return 0


def addresses(addressed: Collection[str], code: str) -> bool:
    """Whether a request to these agencies can concern this one; it is to every submitter if it names none."""
    return not addressed or code in addressed


def asked(agency: Submitter, regime: Submitters, addressed: Collection[str], above: Collection[str]) -> bool:
    """Whether the report is asked of the agency.

    `addressed`: the agencies that the request names, who need be no submitters; empty: every submitter of the regime.
    `above`: as of `submits`.
    """
    return agency.code in addressed if addressed else submits(agency, regime, above)


def closed_before(agency: Lifetime, day: date) -> bool:
    """Whether the agency no longer exists on that day."""
    return agency.closed_on is not None and agency.closed_on < day


def asked_on(agency: Agency, regime: Submitters, addressed: Collection[str], hierarchy: Hierarchy, day: date) -> bool:
    """Whether the report is asked of the agency, as it is on the cut-off's last day or the day of the request."""
    return agency.opened_on <= day and asked(agency, regime, addressed, hierarchy.above(agency.code, day))


def owes(
    agency: Agency,
    regime: Submitters,
    addressed: Collection[str],
    hierarchy: Hierarchy,
    *,
    exists_from: date,
    due_on: date,
) -> bool:
    """Whether the report is asked of the agency, and the agency exists from `exists_from` to the local day it is due.

    exists_from: the cut-off's last day, or the day of the request.
    """
    return not closed_before(agency, due_on) and asked_on(agency, regime, addressed, hierarchy, exists_from)
