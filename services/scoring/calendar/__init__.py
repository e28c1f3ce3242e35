"""Working days as versioned data: a published calendar version never changes, and every deadline names its version."""

from services.scoring.calendar.data import (
    Announcement,
    CalendarDay,
    CalendarError,
    CalendarFile,
    CalendarYear,
    YearStatus,
    read_calendar,
    shipped_calendars,
)
from shared.contract.working_days import CalendarGap, WorkingCalendar

__all__ = [
    "Announcement",
    "CalendarDay",
    "CalendarError",
    "CalendarFile",
    "CalendarGap",
    "CalendarYear",
    "WorkingCalendar",
    "YearStatus",
    "read_calendar",
    "shipped_calendars",
]
