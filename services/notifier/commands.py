"""Notifier's operator commands, each in one transaction of its own: mails, and the rebuild of a lost database."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from datetime import datetime
from getpass import getuser
from pathlib import Path
from typing import TextIO
from uuid import UUID

from services.notifier.delivery import resending
from services.notifier.planning import store
from services.notifier.settings import NotifierSettings
from services.notifier.templates import Composer, Sender
from services.notifier.templates.preview import write
from shared.postgres.database import Database, is_infrastructure
from shared.runtime.clock import LOCAL_ZONE, SystemClock
from shared.runtime.operator import reason
from shared.service.command import database_url

MAX_LISTED = 1000
#: of who and why, as the ledger keeps them
MAX_WORDS = 300


def mail(arguments: Sequence[str]) -> int:
    """`mail preview FOLDER | list | resend ID…`."""
    parser = argparse.ArgumentParser(prog="python -m services.notifier mail")
    actions = parser.add_subparsers(dest="action", required=True)
    preview = actions.add_parser("preview", help="ghi mọi mẫu thư ra thư mục / write every letter to a folder")
    preview.add_argument("folder", type=Path)
    preview.add_argument("--sender", default="khong-tra-loi@thongsuot.example", help="địa chỉ gửi / From address")
    listing = actions.add_parser("list", help="liệt kê thư theo trạng thái, mới nhất trước / list, newest first")
    listing.add_argument(
        "--state", default="failed", choices=("failed", "unknown", "sent", "retry", "pending", "skipped", "cancelled")
    )
    listing.add_argument("--before", type=UUID, help="tiếp theo mã này / go on behind this id")
    listing.add_argument("--limit", type=int, default=100, help=f"1–{MAX_LISTED}")
    again = actions.add_parser("resend", help="gửi lại thư hỏng / send failed, unknown or bounced ones again")
    again.add_argument("ids", type=UUID, nargs="+", metavar="ID")
    again.add_argument("--to", help="địa chỉ khác / another address")
    again.add_argument("--by", default=getuser(), help="ai / who (default: the system's user)")
    again.add_argument("--why", type=reason, required=True, help="lý do, ghi vào sổ / the reason, kept in the ledger")
    again.add_argument("--bounced", action="store_true", help="cả thư đã gửi nhưng bị trả về / sent ones too")
    given = parser.parse_args(arguments)
    if given.action == "preview":
        for path in write(Composer(Sender(given.sender)), given.folder):
            _say(path)
        return 0
    try:
        return asyncio.run(_list(given) if given.action == "list" else _resend(given))
    except Exception as error:
        if not is_infrastructure(error):
            raise
        _say(f"Không kết nối được / cannot be reached: {error!r}", sys.stderr)
        return 3


async def _list(given: argparse.Namespace) -> int:
    limit = max(1, min(given.limit, MAX_LISTED))
    database = Database(database_url("notifier"), pool_size=1, application_name="thongsuot-notifier-mail")
    try:
        async with database.reading() as snapshot:
            rows = await resending.listed(snapshot, given.state, before=given.before, limit=limit)
    finally:
        await database.close()
    for row in rows:
        settled = row["settled_at"].astimezone(LOCAL_ZONE).strftime("%F %T %z") if row["settled_at"] else "–"
        _say(
            f"{row['id']}  {settled}  {row['kind']:<10} {row['obligation']}  {row['recipient'] or '–'}\n"
            f"    {row['reason'] or '–'}"
        )
    _say(f"{len(rows)} thư / mails, {given.state}")
    return 0


async def _resend(given: argparse.Namespace) -> int:
    order = resending.Order(given.ids, given.by[:MAX_WORDS], given.why[:MAX_WORDS], given.to, given.bounced)
    database = Database(database_url("notifier"), pool_size=1, application_name="thongsuot-notifier-mail")
    try:
        async with database.transaction() as tx:
            said = await resending.resend(
                tx, order, now=SystemClock().now(), domain=NotifierSettings().message_id_domain
            )
    except ValueError:
        _say(f"Địa chỉ thư không hợp lệ / not a usable address: {given.to!r}", sys.stderr)
        return 2
    finally:
        await database.close()
    for each in said:
        _say(f"{each.id}  " + (f"gửi lại / again → {each.recipient}" if each.again else f"{each.vi} / {each.en}"))
    again = sum(each.again for each in said)
    _say(f"Gửi lại {again}, không gửi {len(said) - again} / sent again {again}, not {len(said) - again}")
    return 0 if again == len(said) else 1


def _say(words: object, to: TextIO | None = None) -> None:
    print(words, file=to or sys.stdout)


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
