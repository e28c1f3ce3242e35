"""Shipped calendars are loaded before anything is dated: trouble is waited out, a changed version is refused."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

from services.scoring.calendar.data import CalendarError, ReadCalendar, read_calendar, shipped_calendars
from services.scoring.calendar.store import load_calendars
from shared.postgres.database import Database, is_infrastructure
from shared.service.command import database_url
from shared.telemetry.logging import get_logger
from shared.telemetry.readiness import Check

log = get_logger()

RETRY_SECONDS = 1.0


class CalendarLoader:
    """A background that loads the shipped calendars once the database answers, and is then done."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._refused = ""

    async def start(self) -> None:
        """Raises CalendarError if a shipped file differs from the loaded version of the same name."""
        if not await self._load():
            self._task = asyncio.create_task(self._until_loaded(), name="scoring calendars")

    async def stop(self) -> None:
        self._stopping.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    def checks(self) -> dict[str, Check]:
        """Nothing is dated by calendars that are not loaded."""
        if self._refused:
            return {"calendars": Check(ok=False, detail=self._refused[:400])}
        if self._task is not None and not self._task.done():
            return {"calendars": Check(ok=False, detail="wait for the database")}
        return {"calendars": Check(ok=True, detail="loaded")}

    async def _until_loaded(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), RETRY_SECONDS)
            try:
                if await self._load():
                    return
            except CalendarError as error:
                self._refused = str(error)
                log.critical("A shipped calendar cannot be loaded.", action="calendar.refused", error=str(error))
                return

    async def _load(self) -> bool:
        try:
            async with self._database.transaction() as tx:
                loaded = await load_calendars(tx, shipped_calendars())
        except Exception as error:
            if not is_infrastructure(error):
                raise
            log.warning("Calendars wait for the database.", action="calendar.waiting", error=repr(error)[:500])
            return False
        for version in loaded:
            log.info("A working-day calendar was loaded.", action="calendar.loaded", version=version)
        return True


def load_command(argv: Sequence[str]) -> int:
    """Load a calendar file of the operator's: next year's holidays need no new release."""
    parser = argparse.ArgumentParser(prog="calendar-load", description="Nạp lịch làm việc / load a calendar version")
    parser.add_argument("file", type=Path)
    path = parser.parse_args(list(argv)).file

    async def load(calendar: ReadCalendar) -> list[str]:
        database = Database(database_url("scoring"), pool_size=1, application_name="thongsuot-scoring-calendar")
        try:
            async with database.transaction() as tx:
                return await load_calendars(tx, [calendar])
        finally:
            await database.close()

    try:
        calendar = read_calendar(path)
        loaded = asyncio.run(load(calendar))
    except (CalendarError, FileNotFoundError, IsADirectoryError, PermissionError) as error:
        print(error)  # noqa: T201 - an operator's command
        return 2
    print(f"Đã nạp / loaded: {', '.join(loaded) or 'không có gì mới / nothing new'}")  # noqa: T201
    return 0
