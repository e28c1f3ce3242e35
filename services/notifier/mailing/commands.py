"""`python -m services.notifier mailing check | load | list | show` and `silences add | end | list`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar, get_args
from uuid import UUID

from services.notifier.ladders.data import LadderError
from services.notifier.mailing import store
from services.notifier.mailing.data import parse_rules
from services.notifier.mailing.domain import LONGEST_SILENCE
from services.notifier.planning.domain import NoticeKind
from shared.postgres.database import Database, Transaction
from shared.runtime.arguments import CommandParser, moment
from shared.runtime.clock import business_clock
from shared.runtime.hidden_characters import shown
from shared.runtime.operator import entry, reason, when, who
from shared.runtime.settings import CommonSettings
from shared.service.command import database_url

MAX_LISTED = 500
MAX_SHOWN = 1000  # characters: who, when and a whole reason
T = TypeVar("T")


def mailing(arguments: Sequence[str]) -> int:
    """`mailing check FILE | load FILE | list | show`."""
    parser = CommandParser(prog="python -m services.notifier mailing", description="Quy tắc gửi thư / mailing rules")
    actions = parser.add_subparsers(dest="action", required=True, title="lệnh / commands")
    for name, words in (
        ("check", "xem thử tệp: mọi lỗi với dòng / look at a file: every fault with its line"),
        ("load", "nạp khi đúng / load what is right"),
    ):
        action = actions.add_parser(name, help=words)
        action.add_argument("file", type=Path, metavar="FILE", help="tệp quy tắc (YAML) / rules file")
    actions.add_parser("list", help="liệt kê các phiên bản đã nạp / list the versions loaded")
    actions.add_parser("show", help="in phiên bản đang dùng / print the version in force")
    given = parser.parse_args(list(arguments))
    if given.action in ("list", "show"):
        rows = asyncio.run(_with_transaction(store.loaded))
        if given.action == "show" and rows:
            print(rows[0]["body"], end="")  # noqa: T201 - an operator's command
            return 0
        for row in rows:
            _print(entry(f"{row['version']}  {when(row['loaded_at'])}", f"sha256 {row['sha256']}"))
        _print(f"{len(rows)} phiên bản / versions")
        return 0
    try:
        read = parse_rules(given.file.name, given.file.read_bytes())
    except LadderError as error:
        _print(str(error))
        return 1
    except OSError as error:
        _print(f"{given.file}: không đọc được / cannot be read: {error.strerror}")
        return 1
    if given.action == "check":
        _print(f"Đúng / well formed: version {read.rules.version}, sha256 {read.sha256}")
        return 0
    try:
        fresh = asyncio.run(_with_transaction(lambda tx: store.load_rules(tx, read)))
    except LadderError as error:
        _print(str(error))
        return 1
    _print(f"Đã nạp / loaded: {read.rules.version}" if fresh else "Không có gì mới / nothing new")
    return 0


def silences(arguments: Sequence[str]) -> int:
    """`silences add --until … --reason … [--agency …] … | end ID --reason … | list [--all]`."""
    parser = CommandParser(prog="python -m services.notifier silences", description="Tạm ngừng báo / silences")
    actions = parser.add_subparsers(dest="action", required=True, title="lệnh / commands")
    add = actions.add_parser("add", help="tạm ngừng báo những gì khớp / keep back what matches")
    add.add_argument("--agency", help="mã cơ quan / code of the agency that owes the report")
    add.add_argument("--regime", help="mã chế độ / code of the regime")
    add.add_argument("--person", help="mã người nhận / id of the recipient")
    add.add_argument("--kind", choices=get_args(NoticeKind), help="loại thông báo / kind of notice")
    add.add_argument("--until", type=moment, required=True, help="đến khi nào, có múi giờ / with offset")
    end = actions.add_parser("end", help="bỏ trước hạn / end one before its time")
    end.add_argument("id", type=UUID, metavar="ID")
    for action in (add, end):
        action.add_argument("--reason", type=reason, required=True, help="lý do, được lưu / why, kept")
        action.add_argument("--by", default=who(), help="ai / who (default: OPERATOR, else the account)")
    listing = actions.add_parser("list", help="liệt kê / list")
    listing.add_argument("--all", action="store_true", help="cả những gì đã hết / those that are over too")
    given = parser.parse_args(list(arguments))
    now = business_clock(CommonSettings().business_clock).now()
    return {"add": _add, "end": _end, "list": _list}[given.action](given, now)


def _add(given: argparse.Namespace, now: datetime) -> int:
    matcher = {name: getattr(given, name) for name in ("agency", "regime", "person", "kind")}
    if not any(matcher.values()):
        _print("Cần ít nhất một điều kiện / give --agency, --regime, --person or --kind", error=True)
        return 2
    if not now < given.until <= now + LONGEST_SILENCE:
        latest = when(now + LONGEST_SILENCE)
        _print(f"--until phải sau bây giờ / must lie ahead: {when(now)} … {latest}", error=True)
        return 2
    made = store.new_silence(until=given.until, **matcher)
    asyncio.run(_with_transaction(lambda tx: store.silence(tx, made, by=given.by, reason=given.reason, at=now)))
    _print(f"{made.id}  đến / until {when(given.until)}")
    return 0


def _end(given: argparse.Namespace, now: datetime) -> int:
    ended = asyncio.run(
        _with_transaction(lambda tx: store.end_silence(tx, given.id, by=given.by, reason=given.reason, at=now))
    )
    _print("Đã bỏ / ended" if ended else f"Không có, hoặc đã hết / there is none in force: {given.id}", error=not ended)
    return 0 if ended else 1


def _list(given: argparse.Namespace, now: datetime) -> int:
    rows = asyncio.run(_with_transaction(lambda tx: store.listed_silences(tx, now, every=given.all, limit=MAX_LISTED)))
    for row in rows:
        matcher = ", ".join(f"{name} {row[name]}" for name in ("agency", "regime", "person", "kind") if row[name])
        over = ""
        if row["ended_at"]:
            over = shown(f"bỏ lúc / ended {when(row['ended_at'])}, {row['ended_by']}: {row['end_reason']}", MAX_SHOWN)
        _print(
            entry(
                f"{row['id']}  {matcher}",
                f"đến / until {when(row['until'])}",
                shown(f"{row['made_by']}, {when(row['made_at'])}: {row['reason']}", MAX_SHOWN),
                f"đang giữ / keeps back {row['holds']}",
                over,
            )
        )
    _print(f"{len(rows)} lần / silences")
    return 0


async def _with_transaction(work: Callable[[Transaction], Awaitable[T]]) -> T:
    database = Database(database_url("notifier"), pool_size=1, application_name="thongsuot-notifier-mailing")
    try:
        async with database.transaction() as tx:
            return await work(tx)
    finally:
        await database.close()


def _print(text: str, *, error: bool = False) -> None:
    print(text, file=sys.stderr if error else sys.stdout)
