"""`check`: whether the next periods of a regime can be planned. The planning is that of the generator."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from functools import lru_cache

from services.scoring.calendar import CalendarGap, WorkingCalendar, shipped_calendars
from services.scoring.obligations.deadlines import (
    WORK_BEGINS,
    Plan,
    Regime,
    Request,
    Unplanned,
    plan_of_request,
    plans_between,
)
from shared.contract.checking import Look, Objection, main
from shared.contract.events import RegimePublished, RegistryEvent, RequestIssued
from shared.contract.period import parse
from shared.contract.reporting_window import FIRST_YEAR, local_day
from shared.runtime.clock import LOCAL_ZONE

#: how far ahead periods are planned to see whether they can be
AHEAD = timedelta(days=730)
#: And how far by a calendar of weekends alone, which covers every year: so many years that a yearly deadline falls on
#: each day of the week, and a weekend hides nothing. A week is like another.
AHEAD_BY_WEEKENDS, WEEKS_AHEAD_BY_WEEKENDS = timedelta(days=7 * 366), timedelta(days=366)


def command(arguments: Sequence[str]) -> int:
    """The command `check`; as `python -m …check` it starts without the rest of the service."""
    return main("scoring", checker, arguments)


def checker(look: Look) -> Callable[[RegistryEvent], Iterable[Objection]]:
    calendar = max(shipped_calendars(), key=lambda shipped: shipped.file.revision).file.calendar()
    regimes: dict[str, list[Regime]] = {}
    for record in look.all:
        if isinstance(record, RegimePublished):
            regimes.setdefault(record.code, []).append(_regime(record))
    followed_by: dict[tuple[str, int], list[Regime]] = {}
    for code, versions in regimes.items():
        versions.sort(key=lambda version: (version.effective_from, version.regime_version))
        for place, version in enumerate(versions):
            # later ones govern nothing that these do not take from it; all of them would cost the square
            followed_by[code, version.regime_version] = versions[place : place + 3]

    def check(record: RegistryEvent) -> Iterator[Objection]:
        match record:
            case RegimePublished():
                yield from _periods(followed_by[record.code, record.regime_version], look.now, calendar)
            case RequestIssued():
                yield from _request(record, regimes.get(record.regime, []), calendar)
                yield from _notice(record, look.now, calendar)
            case _:
                return

    return check


def _periods(versions: list[Regime], now: datetime, calendar: WorkingCalendar) -> Iterator[Objection]:
    """What is wrong with the first of the versions; the others take periods from it."""
    regime = versions[0]
    begins = datetime.combine(max(regime.effective_from, date(FIRST_YEAR, 1, 1)), time(0, 0), LOCAL_ZONE)
    since = max(now, begins)
    unknown = max(begins, datetime(calendar.last_year, 1, 1, tzinfo=LOCAL_ZONE))
    ahead = WEEKS_AHEAD_BY_WEEKENDS if regime.frequency == "weekly" else AHEAD_BY_WEEKENDS
    for first, last, by in (
        (since, since + AHEAD, calendar),
        (begins, min(since, begins + AHEAD), calendar),  # a regime whose periods are over
        (unknown, unknown + ahead, _weekends(unknown.year)),
    ):
        for plan in plans_between(versions, first, last, by):
            if plan.regime_version != regime.regime_version:
                continue
            if by is not calendar and parse(plan.period).year < calendar.last_year:
                continue  # a year that a calendar knows is not judged by weekends alone
            wrong = _wrong(plan, by)
            if wrong is not None:
                yield wrong
                return  # the next periods have the same


@lru_cache(maxsize=64)
def _weekends(year: int) -> WorkingCalendar:
    """A calendar that knows no holiday, for every period that begins in the years after this one."""
    return WorkingCalendar("weekends", year - 3, year + 20, days_off=(), made_up=())


_LATER = (
    "Đặt thời hạn muộn hơn (`day`, `weekday`, `month_offset`, `week_offset`), ngày chốt sớm hơn, hoặc "
    "`on_holiday: next_working_day`.",
    "Set the deadline later (`day`, `weekday`, `month_offset`, `week_offset`), the cut-off earlier, or "
    "`on_holiday: next_working_day`.",
)


def _wrong(plan: Plan | Unplanned, calendar: WorkingCalendar) -> Objection | None:
    if isinstance(plan, Unplanned):
        # years that no calendar covers yet say nothing of the regime: a calendar to come goes on
        return None if parse(plan.period).year >= calendar.last_year else _unplannable(plan)
    assert plan.cutoff_to is not None
    place = _place(plan)
    if plan.due_on < plan.cutoff_to:
        return Objection(
            place,
            f"Kỳ {plan.period}: thời hạn {_day(plan.due_on)} trước ngày chốt số liệu {_day(plan.cutoff_to)}.",
            f"Period {plan.period}: the deadline {_day(plan.due_on)} is before its own cut-off {_day(plan.cutoff_to)}.",
            *_LATER,
        )
    try:
        first_day = calendar.add_working_days(plan.cutoff_to, 1)
    except CalendarGap:  # the year behind the calendar's last says nothing of the regime
        return None
    begins = datetime.combine(first_day, WORK_BEGINS, LOCAL_ZONE)
    if plan.due_on == first_day and plan.deadline <= begins:
        return Objection(
            place,
            f"Kỳ {plan.period}: thời hạn {_hour(plan.deadline)} không muộn hơn giờ bắt đầu của ngày làm việc đầu tiên "
            f"sau ngày chốt số liệu ({_hour(begins)}); không ai kịp tổng hợp.",
            f"Period {plan.period}: the deadline {_hour(plan.deadline)} is no later than the hour at which the first "
            f"working day after its own cut-off begins ({_hour(begins)}), which leaves no working day: nobody can meet "
            "it.",
            f"Ghi giờ (`hour`, `minute`) muộn hơn {begins:%H:%M}, hoặc để thời hạn vào ngày làm việc sau đó.",
            f"Give an hour (`hour`, `minute`) later than {begins:%H:%M}, or a later day.",
        )
    if plan.due_on < first_day:
        return Objection(
            place,
            f"Kỳ {plan.period}: thời hạn {_day(plan.due_on)} trước hết ngày làm việc đầu tiên sau ngày chốt số liệu "
            f"{_day(plan.cutoff_to)} ({_day(first_day)}); không ai kịp tổng hợp.",
            f"Period {plan.period}: the deadline {_day(plan.due_on)} leaves no working day after its own cut-off "
            f"{_day(plan.cutoff_to)} (the first is {_day(first_day)}): nobody can meet it.",
            *_LATER,
        )
    return None


def _request(record: RequestIssued, versions: list[Regime], calendar: WorkingCalendar) -> Iterator[Objection]:
    request = Request(record.request_id, record.regime, record.issued_at, record.deadline, record.agencies)
    plan = plan_of_request(versions, request, request.deadline, request.deadline, calendar)
    if isinstance(plan, Unplanned):
        yield _unplannable(plan)
    elif plan is None:
        issued_on = _day(local_day(record.issued_at))
        yield Objection(
            "/regime",
            f"Ngày {issued_on} không có phiên bản nào của {record.regime} có hiệu lực.",
            f"No version of {record.regime} is in force on {issued_on}.",
            "Sửa `issued_at`, hoặc `effective_from` của chế độ báo cáo.",
            "Correct `issued_at`, or `effective_from` of the regime.",
        )


def _notice(record: RequestIssued, now: datetime, calendar: WorkingCalendar) -> Iterator[Objection]:
    """An agency gives others at least a working day: until the same hour of the next one. What is over stays."""
    if record.asked_by is None or record.withdrawn_at is not None or record.deadline <= now:
        return
    issued_at = record.issued_at.astimezone(LOCAL_ZONE)
    try:
        day = calendar.add_working_days(issued_at.date(), 1)
    except CalendarGap:  # so is the deadline
        return
    earliest = datetime.combine(day, issued_at.time(), LOCAL_ZONE)
    if record.deadline >= earliest:
        return
    shown = (earliest + timedelta(minutes=1, microseconds=-1)).replace(second=0, microsecond=0)
    hour = f"{shown:%H:%M} {_day(shown.date())}"
    yield Objection(
        "/deadline",
        "Quá gấp: cơ quan được hỏi có ít nhất một ngày làm việc, đến cùng giờ của ngày làm việc kế tiếp.",
        "Too soon: those who are asked have a working day at least, to the same hour of the next working day.",
        f"Ghi thời hạn từ {hour} trở đi.",
        f"Give a deadline of {hour} or later.",
    )


def _place(plan: Plan | Unplanned) -> str:
    """Where the record says the deadline."""
    return f"/deadline/overrides/{plan.override - 1}" if plan.override else "/deadline"


def _unplannable(plan: Unplanned) -> Objection:
    return Objection(
        _place(plan),
        f"Không lập được kỳ {plan.period}: {plan.why}.",
        f"Period {plan.period} cannot be planned: {plan.why}.",
        "Sửa thời hạn; nếu thiếu lịch làm việc của năm đó, bổ sung lịch trước.",
        "Correct the deadline; where a year's working-day calendar is missing, add the calendar first.",
    )


def _regime(record: RegimePublished) -> Regime:
    return Regime(
        record.code, record.regime_version, record.frequency, record.effective_from, record.effective_to,
        record.submitter_kinds, record.submitters, record.cutoff, record.deadline, record.remind_working_days,
        submitters_except=record.submitters_except, submitter_parents=record.submitter_parents,
        grace_working_days=record.grace_working_days,
    )  # fmt: skip


def _hour(moment: datetime) -> str:
    return f"{moment.astimezone(LOCAL_ZONE):%H:%M %d/%m/%Y}"


def _day(day: date) -> str:
    return f"{day:%d/%m/%Y}"


if __name__ == "__main__":
    raise SystemExit(command(sys.argv[1:]))
