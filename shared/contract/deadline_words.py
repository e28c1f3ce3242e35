"""When a report is owed and which days it covers, in words, Vietnamese and English. Pure."""

from __future__ import annotations

from shared.contract.events.registry import Cutoff, DeadlineTerms, Frequency

_WEEKDAYS = ("thứ Hai", "thứ Ba", "thứ Tư", "thứ Năm", "thứ Sáu", "thứ Bảy", "Chủ nhật")
_WEEKDAYS_EN = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def cutoff_words(cutoff: Cutoff, frequency: Frequency) -> tuple[str, str]:
    """The days that a report's figures cover, in Vietnamese and English."""
    match frequency:
        case "adhoc":
            return "Theo văn bản yêu cầu.", "As the request says."
        case "weekly":
            return (
                f"Bảy ngày, đến hết {_WEEKDAYS[cutoff.weekday - 1]} của tuần báo cáo.",
                f"The seven days up to and including {_WEEKDAYS_EN[cutoff.weekday - 1]} of the week.",
            )
        case _:
            return (
                f"Từ sau ngày {cutoff.day} của tháng trước kỳ báo cáo đến hết ngày {cutoff.day} của tháng cuối kỳ.",
                f"From the day after the {_nth(cutoff.day)} of the month before the period up to and including the "
                f"{_nth(cutoff.day)} of its last month.",
            )


def rule_words(rule: DeadlineTerms) -> tuple[str, str]:
    """The rule for the deadline of a period."""
    time = f"{rule.hour:02d}:{rule.minute:02d}"
    match rule.rule:
        case "on_request":
            return "Thời hạn ghi trong từng văn bản yêu cầu.", "Each request states its own deadline."
        case "working_days_after_cutoff":
            return (
                f"{time} ngày làm việc thứ {rule.working_days} sau ngày chốt số liệu.",
                f"{time} on working day {rule.working_days} after the cut-off.",
            )
        case "weekday":
            week, week_en = _weeks(rule.week_offset)
            text = f"{time} {_WEEKDAYS[rule.weekday - 1]} của {week}"
            text_en = f"{time} on {_WEEKDAYS_EN[rule.weekday - 1]} of {week_en}"
        case "day_of_month":
            month, month_en = _months(rule.month_offset)
            text = f"{time} ngày {rule.day} của {month}"
            text_en = f"{time} on the {_nth(rule.day)} of {month_en}"
            if rule.day > 28:
                text += " (tháng ngắn hơn: ngày cuối tháng)"
                text_en += " (a shorter month: its last day)"
    holiday, holiday_en = _holiday(rule)
    return f"{text}; {holiday}.", f"{text_en}; {holiday_en}."


def with_more_days(words: tuple[str, str], days: int) -> tuple[str, str]:
    """A rule's words where some agencies have so many working days more; 0: as they are."""
    if not days:
        return words
    vi, en = (text.rstrip(".") for text in words)
    return f"{vi}; thêm {days} ngày làm việc.", f"{en}; {days} more working day{'s' if days > 1 else ''}."


def _weeks(offset: int) -> tuple[str, str]:
    if offset == 0:
        return "tuần báo cáo", "the week"
    after, after_en = ("sau", "after") if offset > 0 else ("trước", "before")
    return f"tuần thứ {abs(offset)} {after} tuần báo cáo", f"week {abs(offset)} {after_en} it"


def _months(offset: int) -> tuple[str, str]:
    if offset == 0:
        return "tháng cuối kỳ", "the period's last month"
    after, after_en = ("sau", "after") if offset > 0 else ("trước", "before")
    return f"tháng thứ {abs(offset)} {after} tháng cuối kỳ", f"month {abs(offset)} {after_en} the period's last month"


def _holiday(rule: DeadlineTerms) -> tuple[str, str]:
    if rule.on_holiday == "keep":
        return "kể cả khi là ngày nghỉ", "also where that is a day off"
    return "nếu là ngày nghỉ thì vào ngày làm việc kế tiếp", "where that is a day off, on the next working day"


def _nth(day: int) -> str:
    ending = "th" if 10 <= day % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"
