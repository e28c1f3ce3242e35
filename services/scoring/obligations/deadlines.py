"""Computes opening, deadline and reminder of a period under a regime version.

Pure: same regime, period and calendar version, same moments, for ever. A rule that leads nowhere (`month_offset:
202601`) is `Unplannable`, for its own period alone.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from services.scoring.calendar import CalendarGap, WorkingCalendar
from shared.contract import addressing
from shared.contract.events.registry import AgencyKind, Certification, Cutoff, Deadline, DeadlineTerms, Frequency
from shared.contract.hierarchy import Tree
from shared.contract.period import Period, cutoff_range, last_month, parse, touching
from shared.contract.reporting_window import FIRST_YEAR, NoWindow, local_day, window_of
from shared.runtime.clock import LOCAL_ZONE

#: A reminder goes out when the working day begins, not at the hour of the deadline.
WORK_BEGINS = time(8, 0)
#: A report is owed within three years of its cut-off. A rule that says more is a slip, and its search would not end.
MAX_WAIT_DAYS = 3 * 366
_FIRST_DAY = date(FIRST_YEAR - 1, 1, 1)


class NoDeadline(ValueError):
    """A periodic regime whose deadline rule waits for a request: nothing can be owed until a version mends it."""


class Unplannable(ValueError):
    """The rule gives no deadline that a report can be owed by; the text says why. A newer version mends it."""


@dataclass(frozen=True, slots=True)
class Regime:
    """What scoring keeps of one regime version."""

    code: str
    regime_version: int
    frequency: Frequency
    effective_from: date
    effective_to: date | None
    submitter_kinds: tuple[AgencyKind, ...]
    submitters: tuple[str, ...]
    cutoff: Cutoff
    deadline: Deadline
    remind_working_days: int
    certification: Certification = "none"
    lock_after_working_days: int | None = None
    submitters_except: tuple[str, ...] = ()
    submitter_parents: tuple[str, ...] = ()
    grace_working_days: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What scoring keeps of an ad hoc request; its id is the period."""

    request_id: str
    regime: str
    issued_at: datetime
    deadline: datetime
    agencies: tuple[str, ...]  # empty: every submitter of the regime
    withdrawn_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Unplanned:
    """A period of one regime that cannot be planned now, and why; its neighbours are."""

    regime: str
    regime_version: int
    period: str
    why: str
    override: int = 0

    @property
    def subject(self) -> str:
        """As of a plan."""
        return _subject(self.regime, self.regime_version, self.period, self.override)


@dataclass(frozen=True, slots=True)
class Agency:
    """What scoring keeps of an agency to know what it owes."""

    code: str
    kind: AgencyKind
    opened_on: date
    closed_on: date | None
    #: when scoring last heard that it is of another kind, or that others stand above it
    regrouped_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Agencies:
    """All agencies by code, and who stands above each."""

    by_code: Mapping[str, Agency]
    tree: Tree
    #: codes of those that have a last day
    closed: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        closed = tuple(code for code, agency in self.by_code.items() if agency.closed_on is not None)
        object.__setattr__(self, "closed", closed)


@dataclass(frozen=True, slots=True)
class Plan:
    """One regime version for one period: the part of an obligation that is the same for all of one deadline.

    An agency owes it that exists on `exists_from` and still on the local day of the deadline.
    """

    regime: str
    regime_version: int
    period: str
    cutoff_from: date | None
    cutoff_to: date | None
    opens_at: datetime
    deadline: datetime
    remind_at: datetime
    calendar_version: str
    #: the deadline follows from days that nobody has announced yet, so it may still move
    provisional: bool = False
    certification: Certification = "none"
    #: after this no report is taken any more; None: late is never locked
    locks_at: datetime | None = None
    #: nobody is called overdue before this; None: before the deadline
    grace_until: datetime | None = None
    #: of a request; None: it is not withdrawn
    withdrawn_at: datetime | None = None
    #: the version, where it takes more than kinds and codes to know who owes it
    grouping: Regime | None = None
    #: the place, from 1, of the regime's deadline override that gives this deadline; 0: its own rule does
    override: int = 0

    @property
    def subject(self) -> str:
        """regime/version/period, and the override's place: what a failure of this plan is recorded under."""
        return _subject(self.regime, self.regime_version, self.period, self.override)

    @property
    def exists_from(self) -> date:
        """The day by which the agency must have opened: the cut-off's last day, or the day of the request."""
        return self.cutoff_to or self.opens_on

    @property
    def opens_on(self) -> date:
        """The local day of the opening."""
        return local_day(self.opens_at)

    @property
    def due_on(self) -> date:
        """The local day of the deadline."""
        return local_day(self.deadline)


def _subject(regime: str, regime_version: int, period: str, override: int) -> str:
    return f"{regime}/{regime_version}/{period}" + (f"/{override}" if override else "")


def deadline_day(rule: DeadlineTerms, period: Period, cutoff_to: date, calendar: WorkingCalendar) -> date:
    """The local day on which the report is owed (NĐ 09/2019/NĐ-CP Điều 8, 13).

    day_of_month is clamped to the month's end and, of a week, counts in the month of its Sunday; weekday counts in
    the week of the period, or of the cut-off's last day for month-based periods. Raises NoDeadline, CalendarGap,
    Unplannable.
    """
    try:
        day = _named_day(rule, period, cutoff_to, calendar)
    except (OverflowError, ValueError) as error:
        if isinstance(error, NoDeadline):
            raise
        raise Unplannable(f"its deadline is no day of the calendar: {error}") from error
    if day > cutoff_to + timedelta(days=MAX_WAIT_DAYS):
        raise Unplannable(f"its deadline, {day}, lies more than {MAX_WAIT_DAYS} days after the cut-off, {cutoff_to}")
    if rule.rule == "working_days_after_cutoff" or rule.on_holiday == "keep":
        return day
    if day.year < calendar.first_year <= cutoff_to.year:
        raise Unplannable(f"its deadline, {day}, lies before the calendar's first year, {calendar.first_year}")
    return calendar.next_working_day(day)


def _named_day(rule: DeadlineTerms, period: Period, cutoff_to: date, calendar: WorkingCalendar) -> date:
    match rule.rule:
        case "day_of_month":
            year, month = last_month(period)
            months = year * 12 + month - 1 + rule.month_offset
            year, month = divmod(months, 12)
            return date(year, month + 1, min(rule.day, monthrange(year, month + 1)[1]))
        case "weekday":
            iso = cutoff_to.isocalendar()
            week_year, week = (period.year, period.number) if period.frequency == "weekly" else (iso.year, iso.week)
            return date.fromisocalendar(week_year, week, rule.weekday) + timedelta(weeks=rule.week_offset)
        case "working_days_after_cutoff":
            if rule.working_days > MAX_WAIT_DAYS:
                raise Unplannable(f"{rule.working_days} working days after the cut-off are more than three years")
            return calendar.add_working_days(cutoff_to, rule.working_days)
        case "on_request":
            raise NoDeadline(f"{period.id}: a periodic regime needs a deadline of its own")


def plan_period(regime: Regime, period: Period, calendar: WorkingCalendar, override: int = 0) -> Plan:
    """The plan of a periodic period under a regime version, for those of one of its deadlines.

    Raises NoDeadline, CalendarGap, PeriodError, Unplannable.
    """
    first, last = cutoff_range(period, regime.frequency, regime.cutoff)
    rule, extra = _rule_of(regime.deadline, override)
    day = deadline_day(rule, period, last, calendar)
    if extra:
        day = calendar.add_working_days(day, extra)
    opens_at = datetime.combine(first, time(0, 0), LOCAL_ZONE)
    deadline = datetime.combine(day, time(rule.hour, rule.minute), LOCAL_ZONE)
    _check_span(opens_at, deadline)
    return Plan(
        regime=regime.code,
        regime_version=regime.regime_version,
        period=period.id,
        cutoff_from=first,
        cutoff_to=last,
        opens_at=opens_at,
        deadline=deadline,
        remind_at=_remind_at(regime, opens_at, deadline, calendar),
        calendar_version=calendar.version,
        provisional=calendar.covers(day) and calendar.provisional(day),
        certification=regime.certification,
        locks_at=_hour_of(deadline, regime.lock_after_working_days, calendar),
        grace_until=_hour_of(deadline, regime.grace_working_days, calendar),
        grouping=regime if regime.submitter_parents or regime.deadline.overrides else None,
        override=override,
    )


def plan_request(regime: Regime, request: Request, calendar: WorkingCalendar) -> Plan:
    """The plan of an ad hoc or thematic request: it opens when it is issued and names its own deadline.

    Raises CalendarGap, Unplannable.
    """
    _check_span(request.issued_at, request.deadline)
    due_on = local_day(request.deadline)
    if not calendar.covers(due_on):
        raise CalendarGap(due_on.year, calendar.version)
    return Plan(
        regime=regime.code,
        regime_version=regime.regime_version,
        period=request.request_id,
        cutoff_from=None,
        cutoff_to=None,
        opens_at=request.issued_at,
        deadline=request.deadline,
        remind_at=_remind_at(regime, request.issued_at, request.deadline, calendar),
        calendar_version=calendar.version,
        certification=regime.certification,
        locks_at=_hour_of(request.deadline, regime.lock_after_working_days, calendar),
        grace_until=_hour_of(request.deadline, regime.grace_working_days, calendar),
        withdrawn_at=request.withdrawn_at,
        grouping=regime if regime.submitter_parents and not request.agencies else None,
    )


def plans_between(
    versions: Sequence[Regime], since: datetime, until: datetime, calendar: WorkingCalendar
) -> Iterator[Plan | Unplanned]:
    """Plans of one regime (all its versions) that open by `until` and are owed at `since` or later.

    A period that cannot be planned is yielded as such; the others come all the same. Of those only what opens by
    `until` and ends at `since` or later is yielded: who could owe it is asked about now.
    """
    for version in versions:
        if version.frequency == "adhoc" or version.deadline.rule == "on_request":
            continue
        first = max(local_day(since) - timedelta(days=_longest_wait_days(version.deadline)), _FIRST_DAY)
        last = local_day(until)
        for period in touching(first, last, version.frequency, version.cutoff):
            window = window_of(versions, period)
            if isinstance(window, NoWindow) or window.governing is not version:
                continue
            for override in range(len(version.deadline.overrides) + 1):
                try:
                    plan = plan_period(version, period, calendar, override)
                except Exception as error:  # whatever it is, it is this deadline's alone
                    if window.first <= last and window.last >= local_day(since):
                        yield Unplanned(version.code, version.regime_version, period.id, _why(error), override)
                    continue
                if plan.deadline >= since and plan.opens_at <= until:
                    yield plan


def plan_of_request(
    versions: Sequence[Regime], request: Request, since: datetime, until: datetime, calendar: WorkingCalendar
) -> Plan | Unplanned | None:
    """The plan of a request that opens by `until` and is owed at `since` or later; None if it does not, or is not."""
    if not (since <= request.deadline and request.issued_at <= until):
        return None
    version = 0
    try:
        window = window_of(versions, parse(request.request_id), request)
        if isinstance(window, NoWindow):
            return None
        version = window.governing.regime_version
        return plan_request(window.governing, request, calendar)
    except Exception as error:  # whatever it is, it is this request's alone
        return Unplanned(request.regime, version, request.request_id, _why(error))


def owes(agency: Agency, regime: Regime, plan: Plan, tree: Tree, request: Request | None = None) -> bool:
    """Whether the agency owes the report of this plan. What was due when it came to a group it does not owe."""
    if plan.override != (0 if request is not None else override_of(agency, regime, tree, plan.exists_from)):
        return False
    if agency.regrouped_at is not None and plan.deadline <= agency.regrouped_at:
        return False
    addressed = request.agencies if request is not None else ()
    return addressing.owes(agency, regime, addressed, tree, exists_from=plan.exists_from, due_on=plan.due_on)


def notice_until(now: datetime, working_days: int, calendar: WorkingCalendar) -> datetime:
    """A deadline is not moved to before this hour, so many working days from now."""
    local = now.astimezone(LOCAL_ZONE)
    day = calendar.add_working_days(local.date(), working_days)
    return datetime.combine(day, local.time(), LOCAL_ZONE)


def _check_span(opens_at: datetime, deadline: datetime) -> None:
    if deadline < opens_at:
        raise Unplannable(f"its deadline, {deadline.isoformat()}, lies before it opens, {opens_at.isoformat()}")


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]


def _remind_at(regime: Regime, opens_at: datetime, deadline: datetime, calendar: WorkingCalendar) -> datetime:
    day = local_day(deadline)
    if regime.remind_working_days:
        try:
            day = calendar.add_working_days(day, -regime.remind_working_days)
        except CalendarGap as gap:
            if gap.year >= calendar.first_year:
                raise
            return opens_at  # so many days that they lead out of the calendar: no reminder goes before the opening
    return min(deadline, max(opens_at, datetime.combine(day, WORK_BEGINS, LOCAL_ZONE)))


def _hour_of(deadline: datetime, working_days: int | None, calendar: WorkingCalendar) -> datetime | None:
    """The hour of the deadline, so many working days later; None where no calendar covers that day: it is no guess."""
    if working_days is None:
        return None
    local = deadline.astimezone(LOCAL_ZONE)
    try:
        day = calendar.add_working_days(local.date(), working_days)
    except CalendarGap:
        return None
    return datetime.combine(day, local.timetz())


def _rule_of(deadline: Deadline, override: int) -> tuple[DeadlineTerms, int]:
    """The rule of one of the regime's deadlines, and how many working days later than by it the report is due."""
    if not override:
        return deadline, 0
    given = deadline.overrides[override - 1]
    return given.deadline or deadline, given.extra_working_days or 0


def override_of(agency: Agency, regime: Regime, tree: Tree, day: date) -> int:
    """Which of the regime's deadlines is the agency's, as it is on the cut-off's last day."""
    overrides = regime.deadline.overrides
    return addressing.override_of(agency, overrides, tree.above(agency.code, day)) if overrides else 0


def _longest_wait_days(deadline: Deadline) -> int:
    """Days that may lie between a cut-off's last day and its deadline, generously: it only widens a search."""
    rules = [_rule_of(deadline, override) for override in range(len(deadline.overrides) + 1)]
    return min(max(_wait_days(rule) + 3 * extra for rule, extra in rules), MAX_WAIT_DAYS)


def _wait_days(deadline: DeadlineTerms) -> int:
    match deadline.rule:
        case "day_of_month":
            days = 31 * (max(0, deadline.month_offset) + 1) + 15
        case "weekday":
            days = 7 * (max(0, deadline.week_offset) + 1) + 15
        case _:
            days = 3 * deadline.working_days + 15
    return days
