"""Working days as versioned data: a published calendar version never changes, and every deadline names its version."""

from services.scoring.calendar.data import CalendarDay, CalendarError, CalendarFile, read_calendar, shipped_calendars
from services.scoring.calendar.working_days import CalendarGap, WorkingCalendar

__all__ = [
    "CalendarDay",
    "CalendarError",
    "CalendarFile",
    "CalendarGap",
    "WorkingCalendar",
    "read_calendar",
    "shipped_calendars",
]
