"""Scoring's operator commands that write: each opens one transaction of its own."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

from services.scoring.obligations import generator, setbacks
from shared.postgres.database import Database
from shared.runtime.arguments import CommandParser, moment, whole
from shared.runtime.operator import entry, when
from shared.service.command import database_url

#: versions are 32-bit integers in every store; this leaves a billion events for each obligation
MAX_FIRST_VERSION = 1_000_000_000


def rebuild_command(argv: Sequence[str]) -> int:
    """`python -m services.scoring rebuild`: before the first start on an empty database (docs/restore.md)."""
    parser = CommandParser(
        prog="python -m services.scoring rebuild",
        description="Bắt đầu kho mới thay kho đã mất / begin a new database in place of a lost one",
    )
    parser.add_argument(
        "--started-at", type=moment, required=True,
        help="hạn nộp sớm nhất từng theo dõi, có múi giờ / earliest deadline ever kept, with offset",
    )  # fmt: skip
    parser.add_argument(
        "--first-version", type=whole(1, MAX_FIRST_VERSION), required=True,
        help="lớn hơn mọi phiên bản đã công bố / above every version published so far",
    )  # fmt: skip
    given = parser.parse_args(list(argv))
    return asyncio.run(_rebuild(given))


async def _rebuild(given: argparse.Namespace) -> int:
    database = Database(database_url("scoring"), pool_size=1, application_name="thongsuot-scoring-rebuild")
    try:
        async with database.transaction() as tx:
            begun = await generator.rebuild(tx, given.started_at, given.first_version)
    finally:
        await database.close()
    if not begun:
        print("Kho không trống; chỉ dùng trước lần chạy đầu tiên. / The database is not empty.")  # noqa: T201
        return 1
    print(f"Bắt đầu từ / begins at {given.started_at.isoformat()}, phiên bản / version {given.first_version}")  # noqa: T201
    return 0


def setbacks_command(argv: Sequence[str]) -> int:
    """`python -m services.scoring setbacks list | retry`."""
    parser = CommandParser(
        prog="python -m services.scoring setbacks", description="Việc tự động bị lỗi riêng lẻ / setbacks of sweeps"
    )
    actions = parser.add_subparsers(dest="action", required=True, title="lệnh / commands")
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
                    head = f"{when(row['since'])}  {row['sweep']:<9} ×{row['tries']}"
                    print(entry(head, row["subject"], row["error"]))  # noqa: T201
                print(f"{len(rows)} việc bị lỗi / setbacks")  # noqa: T201
                return 0
            found = await setbacks.retry(tx, None if given.all else given.subjects)
    finally:
        await database.close()
    for subject in found:
        print(subject)  # noqa: T201 - an operator's command
    print(f"Thử lại {len(found)} / tried again: {len(found)}")  # noqa: T201
    return 0 if found else 1
