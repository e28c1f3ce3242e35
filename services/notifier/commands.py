"""`python -m services.notifier rebuild`: begins an empty database in place of a lost one (docs/restore.md)."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from datetime import datetime

from services.notifier import store
from shared.command import database_url
from shared.db import Database


def rebuild_command(argv: Sequence[str]) -> int:
    """What happened until `--told-until` (business time) enters the ledger as told before: nobody gets it again."""
    parser = argparse.ArgumentParser(
        prog="rebuild", description="Bắt đầu kho mới thay kho đã mất / begin a new database in place of a lost one"
    )
    parser.add_argument(
        "--told-until", type=datetime.fromisoformat, required=True,
        help="thời điểm mất kho, có múi giờ / when the database was lost, with offset",
    )  # fmt: skip
    given = parser.parse_args(list(argv))
    if given.told_until.tzinfo is None:
        parser.error("--told-until: cần có múi giờ / needs an offset: 2026-01-05T17:00:00+07:00")
    begun = asyncio.run(_rebuild(given.told_until))
    if not begun:
        print("Kho không trống; chỉ dùng trước lần chạy đầu tiên. / The database is not empty.")  # noqa: T201
        return 1
    print(f"Coi như đã báo đến / told until {given.told_until.isoformat()}")  # noqa: T201
    return 0


async def _rebuild(told_until: datetime) -> bool:
    database = Database(database_url("notifier"), pool_size=1, application_name="thongsuot-notifier-rebuild")
    try:
        async with database.transaction() as tx:
            return await store.rebuild(tx, told_until)
    finally:
        await database.close()
