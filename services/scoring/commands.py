"""Scoring's operator commands that write: each opens one transaction of its own."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

from services.scoring import setbacks
from shared.clock import LOCAL_ZONE
from shared.command import database_url
from shared.db import Database


def setbacks_command(argv: Sequence[str]) -> int:
    """`python -m services.scoring setbacks list | retry`."""
    parser = argparse.ArgumentParser(prog="setbacks", description="Việc tự động bị lỗi riêng lẻ / setbacks of sweeps")
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="liệt kê / list")
    again = actions.add_parser("retry", help="thử lại ngay / try again now")
    again.add_argument("subjects", nargs="*")
    again.add_argument("--all", action="store_true", help="tất cả / all")
    given = parser.parse_args(list(argv))
    return asyncio.run(_setbacks(given))


async def _setbacks(given: argparse.Namespace) -> int:
    database = Database(database_url("scoring"), pool_size=1, application_name="thongsuot-scoring-setbacks")
    try:
        async with database.transaction() as tx:
            if given.action == "list":
                rows = await setbacks.listed(tx, ("", ""), 10_000)
                for row in rows:
                    since = f"{row['since'].astimezone(LOCAL_ZONE):%F %T %z}"
                    print(f"{row['sweep']:<9} {row['subject']:<48} {since} ×{row['tries']}  {row['error']}")  # noqa: T201
                print(f"{len(rows)} việc bị lỗi / setbacks")  # noqa: T201
                return 0
            found = await setbacks.retry(tx, None if given.all else given.subjects)
    finally:
        await database.close()
    for each in found:
        print(each)  # noqa: T201 - an operator's command
    print(f"Thử lại {len(found)} / tried again: {len(found)}")  # noqa: T201
    return 0 if found else 1
