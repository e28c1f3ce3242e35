"""Periods, deadlines and standings in the words people use, Vietnamese and English. Pure."""

from __future__ import annotations

from datetime import datetime

from shared.contract.period import PeriodError, parse
from shared.runtime.clock import LOCAL_ZONE

_MONTHS_EN = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)

#: standing -> (Vietnamese, English)
STANDINGS: dict[str, tuple[str, str]] = {
    "nothing_sent": ("Chưa nộp – chưa nhận được báo cáo nào", "Nothing sent – no report has been received"),
    "awaiting_verdict": ("Đã gửi – đang chờ kiểm tra", "Sent – waiting to be checked"),
    "returned": (
        "Trả lại – báo cáo đã gửi chưa đạt, phải sửa và gửi lại",
        "Returned – what was sent did not pass and must be corrected and sent again",
    ),
    "fulfilled": ("Đã nộp, đạt", "Sent and accepted"),
}


def period_words(period: str, request_title: str = "", request_title_en: str = "") -> tuple[str, str]:
    """(Vietnamese, English) for a period id; an id we cannot read is shown as it is."""
    try:
        parsed = parse(period)
    except PeriodError:
        return period, period
    year, number = parsed.year, parsed.number
    match parsed.frequency:
        case "weekly":
            return f"tuần {number} năm {year}", f"week {number} of {year}"
        case "monthly":
            return f"tháng {number}/{year}", f"{_MONTHS_EN[number - 1]} {year}"
        case "quarterly":
            roman = ("I", "II", "III", "IV")[number - 1]
            return f"quý {roman}/{year}", f"quarter {number} of {year}"
        case "half_yearly":
            return (f"6 tháng {'đầu' if number == 1 else 'cuối'} năm {year}"), (
                f"{'first' if number == 1 else 'second'} half of {year}"
            )
        case "nine_monthly":
            return f"9 tháng năm {year}", f"nine months of {year}"
        case "yearly":
            return f"năm {year}", f"year {year}"
        case "adhoc":
            vi = f"{request_title} ({period})" if request_title else period
            en = f"{request_title_en or request_title} ({period})" if request_title_en or request_title else period
            return vi, en


def deadline_words(moment: datetime | None) -> tuple[str, str]:
    """(Vietnamese, English) for a moment, in Vietnam's time, which is named."""
    if moment is None:
        return "xem trong hệ thống", "see the system"
    local = moment.astimezone(LOCAL_ZONE)
    en = f"{local:%H:%M} on {local.day} {_MONTHS_EN[local.month - 1]} {local.year} (Vietnam time, UTC+7)"
    return f"{short_words(moment)} (giờ Việt Nam, UTC+7)", en


def short_words(moment: datetime | None) -> str:
    """A moment for a subject line, Vietnamese, in Vietnam's time."""
    if moment is None:
        return "xem trong hệ thống"
    local = moment.astimezone(LOCAL_ZONE)
    return f"{local:%H:%M} ngày {local:%d/%m/%Y}"


def lateness_words(deadline: datetime | None, at: datetime) -> tuple[str, str]:
    """How late it is, in whole hours below two days and in days above; empty while not late or not known."""
    if deadline is None or at <= deadline:
        return "", ""
    hours = int((at - deadline).total_seconds() // 3600)
    if hours < 1:
        return "dưới 1 giờ", "less than an hour"
    if hours < 48:
        return f"{hours} giờ", f"{hours} hour{'s' if hours > 1 else ''}"
    return f"{hours // 24} ngày", f"{hours // 24} days"


def pointer_words(path: str) -> str:
    """A JSON Pointer as a clerk reads it: `/figures/A01` is item A01."""
    return path.rsplit("/", 1)[-1].replace("~1", "/").replace("~0", "~") or path
