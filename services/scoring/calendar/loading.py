"""Shipped calendars are loaded before anything is dated: trouble is waited out, a changed version is refused."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from services.scoring.calendar.data import CalendarError, ReadCalendar, read_calendar, shipped_calendars
from services.scoring.calendar.store import load_calendars, publish_current
from services.scoring.loading import Loader, load_by_command
from shared.postgres.database import Database, Transaction
from shared.runtime.arguments import CommandParser
from shared.telemetry.logging import get_logger

log = get_logger()


def calendar_loader(database: Database) -> Loader:
    """A background that loads the shipped calendars."""

    async def load(tx: Transaction) -> str:
        left_out: dict[str, str] = {}
        for version in await load_calendars(tx, shipped_calendars(), left_out):
            log.info("A working-day calendar was loaded.", action="calendar.loaded", version=version)
        for version, why in left_out.items():
            log.warning("A shipped calendar was left out.", action="calendar.left_out", version=version, error=why)
        await publish_current(tx)
        return f"WARNING {'; '.join(left_out.values())}" if left_out else "loaded"

    return Loader("calendars", database, load, CalendarError)


def load_command(argv: Sequence[str]) -> int:
    """Load a calendar file of the operator's: next year's holidays need no new release."""
    parser = CommandParser(
        prog="python -m services.scoring calendar-load", description="Nạp lịch làm việc / load a calendar version"
    )
    parser.add_argument("file", type=Path, help="tệp lịch (YAML) / calendar file (YAML)")
    path = parser.parse_args(list(argv)).file

    try:
        calendar = read_calendar(path)
        loaded = load_by_command(lambda tx: _load_and_publish(tx, calendar))
    except CalendarError as error:
        print(error, file=sys.stderr)  # noqa: T201 - an operator's command
        return 1
    print(f"Đã nạp / loaded: {', '.join(loaded) or 'không có gì mới / nothing new'}")  # noqa: T201
    return 0


async def _load_and_publish(tx: Transaction, calendar: ReadCalendar) -> list[str]:
    loaded = await load_calendars(tx, [calendar])
    if loaded:
        await publish_current(tx)
    return loaded
