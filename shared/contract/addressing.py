"""Tells of which agencies a report is asked, and which of them owe it: one rule for all services.

Pure. Intake admits by `asked`, scoring opens obligations by `owes`; scoring's set-based statement says the same in SQL,
and a test holds it to this. NĐ 09/2019/NĐ-CP Điều 7 (who submits).
"""

from __future__ import annotations

from collections.abc import Collection
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


def submits(agency: Submitter, regime: Submitters) -> bool:
    """Whether the agency is a submitter of this regime version, by its code, or by its kind if it is no exception."""
    by_kind = agency.kind in regime.submitter_kinds and agency.code not in regime.submitters_except
    return by_kind or agency.code in regime.submitters


def addresses(addressed: Collection[str], code: str) -> bool:
    """Whether a request to these agencies can concern this one; it is to every submitter if it names none."""
    return not addressed or code in addressed


def asked(agency: Submitter, regime: Submitters, addressed: Collection[str] = ()) -> bool:
    """Whether the report is asked of the agency.

    `addressed`: the agencies that the request names, who need be no submitters; empty: every submitter of the regime.
    """
    return agency.code in addressed if addressed else submits(agency, regime)


def closed_before(agency: Lifetime, day: date) -> bool:
    """Whether the agency no longer exists on that day."""
    return agency.closed_on is not None and agency.closed_on < day


def owes(
    agency: Agency, regime: Submitters, addressed: Collection[str] = (), *, exists_from: date, due_on: date
) -> bool:
    """Whether the report is asked of the agency, and the agency exists from `exists_from` to the local day it is due.

    exists_from: the cut-off's last day, or the day of the request.
    """
    if agency.opened_on > exists_from or closed_before(agency, due_on):
        return False
    return asked(agency, regime, addressed)
