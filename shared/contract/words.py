"""What people call a period and a month, Vietnamese and English. Pure."""

from __future__ import annotations

from shared.contract.period import PeriodError, parse

MONTHS_EN = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)


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
            return f"tháng {number}/{year}", f"{MONTHS_EN[number - 1]} {year}"
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
