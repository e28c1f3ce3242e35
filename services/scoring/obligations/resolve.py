"""A report never waits for the generator: its obligation is made on the spot if regime and agency are registered.

What is not known yet is named, so that the report waits for just that. A report nobody asked of this agency gets an
obligation that is not owed: followed and shown, never scored, reminded of or overdue, and counted in a metric.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from services.scoring.calendar import CalendarGap, WorkingCalendar
from services.scoring.obligations.deadlines import (
    Agency,
    Plan,
    Regime,
    Request,
    Unplannable,
    override_of,
    owes,
    plan_period,
    plan_request,
)
from services.scoring.obligations.facts import AboutReport
from services.scoring.obligations.generator import Missing
from services.scoring.reference_data import Rules
from shared.contract.events.registry import Deadline
from shared.contract.hierarchy import Tree
from shared.contract.period import Period, PeriodError, parse
from shared.contract.reporting_window import NoWindow, local_day, window_of

#: deadline of a report of a periodic regime whose rule names none: nobody owes it, the column must still have a moment
_SOME_DEADLINE = Deadline(rule="working_days_after_cutoff", working_days=1)


@dataclass(frozen=True, slots=True)
class Awaits:
    """The report waits for this name.

    `regime/X/2`, `agency/H99.31`, `request/DX-2026-003`, `calendar/2040`; or `regime-record/X/7`, `request-record/R/1`:
    any record of it behind those that are known, for as things stand no deadline can be computed.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Impossible:
    """No obligation can ever be made of it; the text says why."""

    why: str


@dataclass(frozen=True, slots=True)
class RegistryPart:
    """The registry's part that decides."""

    agencies: Mapping[str, Agency]
    regimes: Mapping[str, Sequence[Regime]]
    requests: Mapping[str, Request]
    calendar: WorkingCalendar
    tree: Tree
    #: numbers that grow with each record of a regime (by code) or request (by id)
    regime_changes: Mapping[str, int] = field(default_factory=dict)
    request_versions: Mapping[str, int] = field(default_factory=dict)


def resolve(event: AboutReport, registered: RegistryPart, rules: Rules) -> Missing | Awaits | Impossible:
    """What to do with a report, or a step about one of its versions, whose obligation does not exist yet."""
    received_at = event.received_at
    if received_at is None:
        return Impossible("a step about a version must say when that was received")
    try:
        period = parse(event.period)
    except PeriodError as error:
        return Impossible(str(error))
    versions = registered.regimes.get(event.regime, ())
    named = next((version for version in versions if version.regime_version == event.regime_version), None)
    if named is None:
        return Awaits(f"regime/{event.regime}/{event.regime_version}")
    agency = registered.agencies.get(event.agency)
    if agency is None:
        return Awaits(f"agency/{event.agency}")
    if period.frequency != named.frequency:
        return Impossible(f"{event.period} is no period of {event.regime}, which is {named.frequency}")
    request = registered.requests.get(event.period) if period.frequency == "adhoc" else None
    if period.frequency == "adhoc" and request is None:
        return Awaits(f"request/{event.period}")
    if request is not None and request.regime != event.regime:
        return Impossible(f"the request {event.period} asks for {request.regime}, not for {event.regime}")
    try:
        plan, owed = _plan(agency, named, versions, period, request, registered)
        registered.calendar.is_working_day(local_day(received_at))
    except CalendarGap as gap:
        if gap.year < registered.calendar.first_year:
            return Impossible(f"{event.period} lies before {registered.calendar.first_year}, where the calendar begins")
        return Awaits(f"calendar/{gap.year}")
    except Unplannable:  # intake has taken it: it is followed as soon as a newer record says by when it was owed
        if request is not None:
            return Awaits(f"request-record/{event.period}/{registered.request_versions.get(event.period, 0)}")
        return Awaits(f"regime-record/{event.regime}/{registered.regime_changes.get(event.regime, 0)}")
    return Missing(event.agency, rules.opening(plan), owed, received_at)


def _plan(
    agency: Agency,
    named: Regime,
    versions: Sequence[Regime],
    period: Period,
    request: Request | None,
    registered: RegistryPart,
) -> tuple[Plan, bool]:
    """The plan by the governing version, and whether it is owed; by the version the report names if none governs."""
    calendar, tree = registered.calendar, registered.tree
    # a withdrawn request was owed until then: what came in time still counts
    asked = None if request is None else replace(request, withdrawn_at=None)
    window = window_of(versions, period, asked)
    governing = None if isinstance(window, NoWindow) else window.governing
    if request is not None:
        plan = plan_request(governing or named, request, calendar)
        return plan, governing is not None and owes(agency, governing, plan, tree, request)
    if not isinstance(window, NoWindow) and window.governing.deadline.rule != "on_request":
        governing = window.governing
        override = override_of(agency, governing, tree, window.last)
        plan = plan_period(governing, period, calendar, override)
        return plan, owes(agency, governing, plan, tree)
    if named.deadline.rule == "on_request":
        named = replace(named, deadline=_SOME_DEADLINE)
    return plan_period(named, period, calendar), False
