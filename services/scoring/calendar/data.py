"""A calendar file is read whole or refused: its days are inside its years, each once, each off-day a reason to rest."""

from __future__ import annotations

import hashlib
from codecs import BOM_UTF8
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.contract.working_days import WorkingCalendar
from shared.service.model_files import FileDay, read_model

#: nested deeper it is no calendar
MAX_DEPTH = 8


class CalendarError(ValueError):
    """The calendar file is wrong; the message names every fault with its line and cure, one a line."""


class CalendarDay(BaseModel):
    """One day that differs from its weekday: off on a weekday, or (work) at work on a weekend."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    day: FileDay
    work: bool = False
    name: str
    name_en: str
    source: str = ""


#: announced: a decision says its days; recorded (lịch sử): the year is over, no decision is cited; provisional: nobody
#: has announced it, its days are computed and swaps may still come
YearStatus = Literal["announced", "recorded", "provisional"]


class Announcement(BaseModel):
    """A decision that says days of a year (thông báo, công văn)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: str = Field(min_length=1)
    issuer: str = Field(min_length=1)
    decided_on: FileDay
    about: str = Field(min_length=1)


class CalendarYear(BaseModel):
    """How sure the days of a year are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    year: int
    status: YearStatus
    announcements: tuple[Announcement, ...] = ()

    @model_validator(mode="after")
    def _announced_by_somebody(self) -> CalendarYear:
        if (self.status == "announced") != bool(self.announcements):
            raise ValueError(
                f"{self.year} là {self.status}: chỉ năm announced có announcements, và phải có / "
                f"{self.year} is {self.status}: announcements belong to an announced year, and only to it"
            )
        return self


class CalendarFile(BaseModel):
    """A version of the calendar. `revision` orders versions; the greatest one is used for new deadlines.

    A year that `years` does not name is provisional: nobody is known to have announced it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str = Field(min_length=1, max_length=100)
    revision: int = Field(ge=0, lt=2**31)
    zone: str = Field(max_length=100)
    source: str = Field(max_length=1000)
    first_year: int = Field(ge=1900, le=2999)
    last_year: int = Field(ge=1900, le=2999)
    years: tuple[CalendarYear, ...] = ()
    days: tuple[CalendarDay, ...]

    @model_validator(mode="after")
    def _consistent(self) -> CalendarFile:
        span = f"{self.first_year}-{self.last_year}"
        outside = (
            f"nằm ngoài {span}, sửa ngày hoặc first_year, last_year / "
            f"lies outside {span}: correct it, or first_year and last_year"
        )
        seen: set[date] = set()
        for entry in self.days:
            if entry.day in seen:
                raise ValueError(f"{entry.day} ghi hai lần, bỏ một / {entry.day} is listed twice, drop one")
            if not self.first_year <= entry.day.year <= self.last_year:
                raise ValueError(f"{entry.day} {outside}")
            if entry.work and entry.day.weekday() < 5:
                raise ValueError(
                    f"{entry.day} là ngày thường: chỉ làm bù vào cuối tuần / "
                    f"{entry.day} is a weekday: only a weekend day can be made up"
                )
            seen.add(entry.day)
        named = [entry.year for entry in self.years]
        if twice := sorted({year for year in named if named.count(year) > 1}):
            raise ValueError(f"years: {twice[0]} ghi hai lần, bỏ một / {twice[0]} is listed twice, drop one")
        if beyond := [year for year in named if not self.first_year <= year <= self.last_year]:
            raise ValueError(f"years: {beyond[0]} {outside}")
        return self

    def calendar(self) -> WorkingCalendar:
        """The arithmetic of this version."""
        return working_calendar(self.version, self.first_year, self.last_year, self.days, self.years)


@dataclass(frozen=True, slots=True)
class ReadCalendar:
    """A calendar file with the digest of its bytes: the same version with another digest is refused by the store."""

    file: CalendarFile
    sha256: str


def working_calendar(
    version: str,
    first_year: int,
    last_year: int,
    days: tuple[CalendarDay, ...],
    years: tuple[CalendarYear, ...] = (),
) -> WorkingCalendar:
    """The arithmetic of a version's days."""
    return WorkingCalendar(
        version,
        first_year,
        last_year,
        days_off=[entry.day for entry in days if not entry.work],
        made_up=[entry.day for entry in days if entry.work],
        settled_years=[entry.year for entry in years if entry.status != "provisional"],
    )


def read_calendar(path: Path) -> ReadCalendar:
    """Read and check one calendar file (YAML, UTF-8). Raises CalendarError."""
    try:
        body = path.read_bytes()
    except OSError as error:
        raise CalendarError(f"{path}: không đọc được / cannot be read: {error.strerror}") from error
    # Windows' editors begin a file with a BOM, which says nothing
    file, faults = read_model(body.removeprefix(BOM_UTF8), path.name, CalendarFile, max_depth=MAX_DEPTH)
    if file is None:
        raise CalendarError("\n".join(faults))
    return ReadCalendar(file, hashlib.sha256(body).hexdigest())


def shipped_calendars() -> list[ReadCalendar]:
    """Every calendar version that comes with the service, by revision."""
    found = [read_calendar(path) for path in Path(__file__).parent.glob("*.yaml")]
    return sorted(found, key=lambda read: read.file.revision)
