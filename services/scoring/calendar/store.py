"""Calendar versions in the database: loaded once, never changed; the greatest revision gives new deadlines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import text

from services.scoring.calendar.data import CalendarDay, CalendarError, CalendarYear, ReadCalendar, working_calendar
from services.scoring.fixed_versions import other_contents
from shared.contract.events import CalendarLoaded
from shared.contract.reporting_window import FIRST_YEAR
from shared.contract.working_days import WorkingCalendar
from shared.outbox import publish
from shared.postgres.database import ReadTransaction, Transaction
from shared.runtime.trouble import InfrastructureTrouble

# loads stand in line, or two of them could take one revision: rare, short, and no reader waits
# (not LOCK TABLE, which asks for more rights on a table than to append to it)
_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended('scoring: calendars', 0))")
_LOADED = text("SELECT version, revision, sha256 FROM calendar_versions")
_LOAD = text("""
    INSERT INTO calendar_versions (version, revision, sha256, zone, source, first_year, last_year)
    VALUES (:version, :revision, :sha256, :zone, :source, :first_year, :last_year)
""")
_LOAD_DAYS = text("""
    INSERT INTO calendar_days (version, day, work, name, name_en, source)
    SELECT :version, * FROM unnest(CAST(:day AS date[]), CAST(:work AS boolean[]), CAST(:name AS text[]),
                                   CAST(:name_en AS text[]), CAST(:source AS text[]))
""")
_LOAD_HEAD = text(
    "SELECT version, revision, first_year, last_year FROM calendar_versions ORDER BY revision DESC LIMIT 1"
)
_LOAD_YEARS = text("""
    INSERT INTO calendar_years (version, year, status, announcements)
    SELECT :version, * FROM unnest(CAST(:year AS int[]), CAST(:status AS text[]), CAST(:announcements AS jsonb[]))
""")
_CURRENT = text("SELECT version FROM calendar_versions ORDER BY revision DESC LIMIT 1")
_VERSIONS = text(
    "SELECT version, first_year, last_year FROM calendar_versions WHERE version = ANY(CAST(:versions AS text[]))"
)
_DAYS = text("""
    SELECT version, day, work, name, name_en, source FROM calendar_days
     WHERE version = ANY(CAST(:versions AS text[])) ORDER BY version, day
""")
_STATUSES = text("""
    SELECT version, year, status, CAST(announcements AS text) FROM calendar_years
     WHERE version = ANY(CAST(:versions AS text[])) ORDER BY version, year
""")
_LIST = text("""
    SELECT version, revision, sha256, zone, source, first_year, last_year, loaded_at FROM calendar_versions
     WHERE :everything OR version = :version ORDER BY revision
""")
_HEAD = text("SELECT version, revision, first_year, last_year FROM calendar_versions ORDER BY revision DESC LIMIT 1")
_YEARS = text("SELECT first_year, last_year FROM calendar_versions ORDER BY revision DESC LIMIT 1")


async def load_calendars(
    tx: Transaction, calendars: Iterable[ReadCalendar], left_out: dict[str, str] | None = None
) -> list[str]:
    """Store calendar versions that are not there yet; returns their names.

    With `left_out`, one whose revision is taken is not refused but left out, with the reason: a release must not fail
    to start because the operator has loaded a calendar of that revision before it.

    Raises CalendarError if a stored version has other contents: deadlines were given by it, so it may not change. Or
    if its revision is taken by another version, or if it begins after the first year that may be reported.
    """
    await tx.execute(_ALONE)
    stored = {row.version: row for row in await tx.execute(_LOADED)}
    revisions = {row.revision: row.version for row in stored.values()}
    loaded: list[str] = []
    for read in calendars:
        file = read.file
        if file.first_year > FIRST_YEAR:
            raise CalendarError(
                f"Lịch {file.version} phải bắt đầu từ năm {FIRST_YEAR} hoặc trước đó: kỳ từ năm ấy được nhận báo cáo / "
                f"calendar {file.version} must begin with {FIRST_YEAR} or earlier: reports are taken from then on"
            )
        if file.version in stored:
            if (kept := stored[file.version].sha256) != read.sha256:
                remedy = "hãy tạo phiên bản mới", "write a new version with a greater revision"
                name = f"Lịch {file.version}", f"calendar {file.version}"
                raise CalendarError(other_contents(*name, remedy, kept, read.sha256))
            continue
        if file.revision in revisions:
            taken = (
                f"Lịch {file.version}: revision {file.revision} đã thuộc lịch {revisions[file.revision]}, hãy dùng "
                f"{max(revisions) + 1} / calendar {file.version}: revision {file.revision} belongs to calendar "
                f"{revisions[file.revision]}: use {max(revisions) + 1}"
            )
            if left_out is None:
                raise CalendarError(taken)
            left_out[file.version] = taken
            continue
        head = file.model_dump(include={"version", "revision", "zone", "source", "first_year", "last_year"})
        await tx.execute(_LOAD, head | {"sha256": read.sha256})
        revisions[file.revision] = file.version
        days = {
            "day": [entry.day for entry in file.days],
            "work": [entry.work for entry in file.days],
            "name": [entry.name for entry in file.days],
            "name_en": [entry.name_en for entry in file.days],
            "source": [entry.source for entry in file.days],
        }
        await tx.execute(_LOAD_DAYS, {"version": file.version, **days})
        years = {
            "year": [entry.year for entry in file.years],
            "status": [entry.status for entry in file.years],
            "announcements": [
                json.dumps(
                    [announcement.model_dump(mode="json") for announcement in entry.announcements], ensure_ascii=False
                )
                for entry in file.years
            ],
        }
        await tx.execute(_LOAD_YEARS, {"version": file.version, **years})
        loaded.append(file.version)
    return loaded


async def publish_current(tx: Transaction) -> None:
    """Publish the calendar that gives new deadlines, so that who counts working days elsewhere counts by the same.

    At each start as well: a topic or an archive that lost it gets it again.
    """
    row = (await tx.execute(_HEAD)).first()
    if row is None:
        return
    days = await read_days(tx, row.version)
    event = CalendarLoaded(
        calendar_version=row.version,
        version=row.revision,
        first_year=row.first_year,
        last_year=row.last_year,
        days_off=tuple(entry.day for entry in days if not entry.work),
        made_up=tuple(entry.day for entry in days if entry.work),
    )
    await publish(tx, [event])


async def read_days(tx: ReadTransaction, version: str) -> list[CalendarDay]:
    """The listed days of a version, by date."""
    rows = await tx.execute(_DAYS, {"versions": [version]})
    return [CalendarDay(day=row[1], work=row[2], name=row[3], name_en=row[4], source=row[5]) for row in rows]


async def read_years(tx: ReadTransaction, version: str) -> list[CalendarYear]:
    """The years of which a version says how sure they are, in order."""
    return [_year(row) for row in await tx.execute(_STATUSES, {"versions": [version]})]


def _year(row: Any) -> CalendarYear:
    return CalendarYear(year=row[1], status=row[2], announcements=json.loads(row[3]))


async def listed(tx: ReadTransaction, version: str | None = None) -> Sequence[Mapping[str, Any]]:
    """All loaded versions by revision, or the one asked for."""
    rows = await tx.execute(_LIST, {"everything": version is None, "version": version or ""})
    return [dict(row) for row in rows.mappings()]


class NoCalendar(InfrastructureTrouble):
    """No calendar is loaded. The service loads it when it starts; until then nothing can be dated."""


class CalendarShelf:
    """Calendars by version, read once: a version never changes, so this cache cannot be stale."""

    def __init__(self) -> None:
        self._calendars: dict[str, WorkingCalendar] = {}

    async def current(self, tx: ReadTransaction) -> WorkingCalendar:
        """The calendar that gives new deadlines. Raises NoCalendar if none has been loaded."""
        version = (await tx.execute(_CURRENT)).scalar_one_or_none()
        if version is None:
            raise NoCalendar("no calendar is loaded; it is loaded when the service starts")
        await self.fetch(tx, [version])
        return self._calendars[version]

    async def fetch(self, tx: ReadTransaction, versions: Iterable[str]) -> None:
        """Read those of the versions that are not on the shelf yet."""
        missing = sorted(set(versions) - self._calendars.keys())
        if not missing:
            return
        days: dict[str, list[CalendarDay]] = {version: [] for version in missing}
        for row in await tx.execute(_DAYS, {"versions": missing}):
            days[row[0]].append(CalendarDay(day=row[1], work=row[2], name=row[3], name_en=row[4], source=row[5]))
        years: dict[str, list[CalendarYear]] = {version: [] for version in missing}
        for row in await tx.execute(_STATUSES, {"versions": missing}):
            years[row[0]].append(_year(row))
        for row in await tx.execute(_VERSIONS, {"versions": missing}):
            self._calendars[row[0]] = working_calendar(
                row[0], row[1], row[2], tuple(days[row[0]]), tuple(years[row[0]])
            )

    def __getitem__(self, version: str) -> WorkingCalendar:
        return self._calendars[version]


async def covered_years(tx: ReadTransaction) -> Sequence[int]:
    """Years the current calendar covers; empty if none is loaded."""
    row = (await tx.execute(_YEARS)).first()
    return () if row is None else range(row[0], row[1] + 1)
