"""`check`: whether the next periods of a regime can be planned. The planning is that of the generator."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta

from services.scoring.calendar import WorkingCalendar, shipped_calendars
from services.scoring.obligations.deadlines import Plan, Regime, Request, Unplanned, plan_of_request, plans_between
from shared.contract.checking import Look, Objection, main
from shared.contract.events import RegimePublished, RegistryEvent, RequestIssued
from shared.contract.period import parse
from shared.runtime.clock import LOCAL_ZONE

#: how far ahead periods are planned to see whether they can be
AHEAD = timedelta(days=730)


def command(arguments: Sequence[str]) -> int:
    """The command `check`; as `python -m …check` it starts without the rest of the service."""
    return main("scoring", checker, arguments)


def checker(look: Look) -> Callable[[RegistryEvent], Iterable[Objection]]:
    calendar = max(shipped_calendars(), key=lambda each: each.file.revision).file.calendar()
    regimes: dict[str, list[Regime]] = {}
    for record in look.all:
        if isinstance(record, RegimePublished):
            regimes.setdefault(record.code, []).append(_regime(record))

    def check(record: RegistryEvent) -> Iterator[Objection]:
        match record:
            case RegimePublished():
                yield from _periods(_regime(record), regimes[record.code], look.now, calendar)
            case RequestIssued():
                yield from _request(record, regimes.get(record.regime, []), calendar)
            case _:
                return

    return check


def _periods(regime: Regime, versions: list[Regime], now: datetime, calendar: WorkingCalendar) -> Iterator[Objection]:
    since = max(now, datetime.combine(regime.effective_from, time(0, 0), LOCAL_ZONE))
    for plan in plans_between(versions, since, since + AHEAD, calendar):
        if plan.regime_version != regime.regime_version:
            continue
        wrong = _wrong(plan, calendar)
        if wrong is not None:
            yield wrong
            return  # the next periods have the same


def _wrong(plan: Plan | Unplanned, calendar: WorkingCalendar) -> Objection | None:
    if isinstance(plan, Unplanned):
        # years that no calendar covers yet say nothing of the regime: a calendar to come goes on
        beyond = parse(plan.period).year >= calendar.last_year
        return None if beyond else _unplannable(plan)
    assert plan.cutoff_to is not None
    if plan.due_on < plan.cutoff_to:
        return Objection(
            "/deadline",
            f"Kỳ {plan.period}: thời hạn {_day(plan.due_on)} trước ngày chốt số liệu {_day(plan.cutoff_to)}.",
            f"Period {plan.period}: the deadline {_day(plan.due_on)} is before its own cut-off {_day(plan.cutoff_to)}.",
            "Đặt thời hạn muộn hơn (`day`, `weekday`, `month_offset`, `week_offset`) hoặc ngày chốt sớm hơn.",
            "Set the deadline later (`day`, `weekday`, `month_offset`, `week_offset`), or the cut-off earlier.",
        )
    return None


def _request(record: RequestIssued, versions: list[Regime], calendar: WorkingCalendar) -> Iterator[Objection]:
    request = Request(record.request_id, record.regime, record.issued_at, record.deadline, record.agencies)
    plan = plan_of_request(versions, request, request.deadline, request.deadline, calendar)
    if isinstance(plan, Unplanned):
        yield _unplannable(plan)
    elif plan is None:
        issued_on = _day(record.issued_at.astimezone(LOCAL_ZONE).date())
        yield Objection(
            "/regime",
            f"Ngày {issued_on} không có phiên bản nào của {record.regime} có hiệu lực.",
            f"No version of {record.regime} is in force on {issued_on}.",
            "Sửa `issued_at`, hoặc `effective_from` của chế độ báo cáo.",
            "Correct `issued_at`, or `effective_from` of the regime.",
        )


def _unplannable(plan: Unplanned) -> Objection:
    return Objection(
        "/deadline",
        f"Không lập được kỳ {plan.period}: {plan.why}.",
        f"Period {plan.period} cannot be planned: {plan.why}.",
        "Sửa thời hạn; nếu thiếu lịch làm việc của năm đó, bổ sung lịch trước.",
        "Correct the deadline; where a year's working-day calendar is missing, add the calendar first.",
    )


def _regime(record: RegimePublished) -> Regime:
    return Regime(
        record.code, record.regime_version, record.frequency, record.effective_from, record.effective_to,
        record.submitter_kinds, record.submitters, record.cutoff, record.deadline, record.remind_working_days,
    )  # fmt: skip


def _day(day: date) -> str:
    return f"{day:%d/%m/%Y}"


if __name__ == "__main__":
    raise SystemExit(command(sys.argv[1:]))
