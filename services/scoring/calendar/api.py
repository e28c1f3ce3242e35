"""The calendars by version, and the days of one year, as the operator and the board read them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict

from services.scoring.calendar.data import Announcement, CalendarDay, CalendarYear, YearStatus
from services.scoring.calendar.store import CalendarShelf, listed, read_days, read_years
from shared.postgres.database import Database
from shared.runtime.clock import LOCAL_ZONE
from shared.web.errors import not_found

_YEAR: dict[str, Any] = {
    "year": 2026,
    "status": "announced",
    "announcements": [
        {
            "number": "12729/VPCP-KGVX",
            "issuer": "Văn phòng Chính phủ",
            "decided_on": "2025-12-25",
            "about": "nghỉ 02/01, làm bù 10/01",
        }
    ],
}
_DAY: dict[str, Any] = {
    "day": "2026-01-02",
    "work": False,
    "name": "Nghỉ, làm bù vào ngày 10/01/2026",
    "name_en": "Day off in exchange for 10 January 2026",
    "source": "12729/VPCP-KGVX, 25/12/2025",
}
_HEAD: dict[str, Any] = {
    "version": "VN-2026.2",
    "revision": 2,
    "current": True,
    "first_year": 2019,
    "last_year": 2035,
    "zone": "Asia/Ho_Chi_Minh",
    "source": "VN-2026.1; lunar days named by the lunar calendar of UTC+7",
    "sha256": "0" * 64,
    "loaded_at": "2026-01-05T08:00:00+07:00",
}


class YearShown(BaseModel):
    """The days of a year that differ from their weekday. `provisional`: nobody announced it, they may still move."""

    model_config = ConfigDict(json_schema_extra={
        "example": _YEAR | {"version": "VN-2026.2", "weekend": [6, 7], "provisional": False, "days": [_DAY]}
    })  # fmt: skip

    year: int
    version: str
    weekend: tuple[int, ...]
    status: YearStatus
    provisional: bool
    announcements: tuple[Announcement, ...]
    days: tuple[CalendarDay, ...]


class CalendarHead(BaseModel):
    """A loaded version. `current`: it gives new deadlines."""

    model_config = ConfigDict(json_schema_extra={"example": _HEAD})

    version: str
    revision: int
    current: bool
    first_year: int
    last_year: int
    zone: str
    source: str
    sha256: str
    loaded_at: datetime


class CalendarShown(CalendarHead):
    """A loaded version with its years and days; a year that is not listed is provisional."""

    model_config = ConfigDict(json_schema_extra={"example": _HEAD | {"years": [_YEAR], "days": [_DAY]}})

    years: tuple[CalendarYear, ...]
    days: tuple[CalendarDay, ...]


class Calendars(BaseModel):
    """All loaded versions, by revision."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [_HEAD]}})

    items: tuple[CalendarHead, ...]


def mount(routes: APIRouter, database: Database) -> None:
    """Add the routes that read calendars."""

    @routes.get("/calendar/{year}", summary="Ngày nghỉ và ngày làm bù / days off and make-up working days")
    async def calendar(year: Annotated[int, Path(ge=1900, le=2999)]) -> YearShown:
        async with database.read_transaction() as snapshot:
            current = await CalendarShelf().current(snapshot)
            if not current.covers(date(year, 1, 1)):
                raise not_found(f"lịch làm việc năm {year}", f"calendar of {year}")
            days = await read_days(snapshot, current.version)
            years = {entry.year: entry for entry in await read_years(snapshot, current.version)}
        here = years.get(year, CalendarYear(year=year, status="provisional"))
        return YearShown(
            year=year,
            version=current.version,
            weekend=(6, 7),
            status=here.status,
            provisional=current.provisional(year),
            announcements=here.announcements,
            days=tuple(day for day in days if day.day.year == year),
        )

    @routes.get("/calendars", summary="Các phiên bản lịch làm việc / versions of the working-day calendar")
    async def calendars() -> Calendars:
        async with database.read_transaction() as snapshot:
            rows = await listed(snapshot)
        return Calendars(items=tuple(_head(row, current=row is rows[-1]) for row in rows))

    @routes.get("/calendars/{version}", summary="Một phiên bản lịch làm việc / one version of the calendar")
    async def one_calendar(version: Annotated[str, Path(pattern=r"^[0-9A-Za-z._-]{1,64}$")]) -> CalendarShown:
        async with database.read_transaction() as snapshot:
            rows = await listed(snapshot)
            row = next((row for row in rows if row["version"] == version), None)
            if row is None:
                raise not_found(f"phiên bản lịch {version}", f"calendar version {version}")
            years, days = await read_years(snapshot, version), await read_days(snapshot, version)
        head = _head(row, current=row is rows[-1])
        return CalendarShown(**head.model_dump(), years=tuple(years), days=tuple(days))


def _head(row: Any, *, current: bool) -> CalendarHead:
    return CalendarHead(**dict(row) | {"current": current, "loaded_at": row["loaded_at"].astimezone(LOCAL_ZONE)})
