"""`python -m services.notifier ladders check | test | load | list | show`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from services.notifier.escalation.answering import REFUSALS
from services.notifier.escalation.domain import Refused
from services.notifier.escalation.handing import Handings
from services.notifier.ladders import store
from services.notifier.ladders.data import LadderError, ReadLadder, read_ladder
from services.notifier.ladders.timelines import failures
from services.notifier.settings import NotifierSettings
from shared.postgres.database import Database
from shared.runtime.arguments import CommandParser
from shared.runtime.clock import SystemClock, business_clock
from shared.runtime.operator import entry, reason, when, who
from shared.runtime.settings import CommonSettings
from shared.service.command import database_url


def ladders(arguments: Sequence[str]) -> int:
    """`ladders check FILE… | test FILE… | load FILE… | list | show NAME | hand-on NOTICE`."""
    parser = CommandParser(
        prog="python -m services.notifier ladders", description="Thang chuyển cấp / ladders of escalation"
    )
    actions = parser.add_subparsers(dest="action", required=True, title="lệnh / commands")
    for name, words in (
        ("check", "xem thử tệp: mọi lỗi với dòng / look at files: every fault with its line"),
        ("test", "chạy các phép thử trong tệp / run the tests in the files"),
        ("load", "nạp khi đúng và phép thử đạt / load what is right and passes its tests"),
    ):
        action = actions.add_parser(name, help=words)
        action.add_argument("files", type=Path, nargs="+", metavar="FILE", help="tệp thang (YAML) / ladder files")
    actions.add_parser("list", help="liệt kê các thang đã nạp / list what is loaded")
    show = actions.add_parser("show", help="in một thang đã nạp / print a loaded ladder")
    show.add_argument("name", metavar="NAME")
    show.add_argument("--version", type=int, help="mặc định: mới nhất / default: the newest")
    hand = actions.add_parser("hand-on", help="chuyển một báo cáo quá hạn cho người khác / hand a late report on")
    hand.add_argument("notice", type=UUID, metavar="ID", help="mã thông báo / the notice's id")
    hand.add_argument("--to", required=True, help="mã người nhận / the other person's id")
    hand.add_argument("--reason", type=reason, required=True, help="lý do / why")
    hand.add_argument("--by", default=who(), help="ai / who (default: OPERATOR, else the account)")
    given = parser.parse_args(list(arguments))
    if given.action == "hand-on":
        return asyncio.run(_hand_on(given))
    if given.action in ("list", "show"):
        return asyncio.run(_list() if given.action == "list" else _show(given))
    return _files(given)


def _files(given: argparse.Namespace) -> int:
    read: list[ReadLadder] = []
    faults: list[str] = []
    for path in given.files:
        try:
            read.append(read_ladder(path))
        except LadderError as error:
            faults.append(str(error))
        except OSError as error:
            faults.append(f"{path}: không đọc được / cannot be read: {error.strerror}")
    if given.action != "check":
        faults += [fault for ladder in read for fault in failures(ladder)]
    if faults:
        _print("\n".join(faults))
        return 1
    if given.action == "load":
        try:
            loaded = asyncio.run(_load(read))
        except LadderError as error:
            print(error, file=sys.stderr)  # noqa: T201 - an operator's command
            return 1
        _print(f"Đã nạp / loaded: {', '.join(loaded) or 'không có gì mới / nothing new'}")
        return 0
    for found in read:
        tests = len(found.file.tests)
        said = f"{tests} phép thử đạt / tests pass" if given.action == "test" else f"{tests} phép thử / tests"
        _print(f"Đúng / well formed: {found.ladder.label}, {len(found.ladder.rungs)} bậc / rungs, {said}, "
               f"sha256 {found.sha256}")  # fmt: skip
    return 0


async def _load(read: Sequence[ReadLadder]) -> list[str]:
    database = Database(database_url("notifier"), pool_size=1, application_name="thongsuot-notifier-ladders")
    try:
        async with database.transaction() as tx:
            return await store.load_ladders(tx, read)
    finally:
        await database.close()


async def _hand_on(given: argparse.Namespace) -> int:
    settings = NotifierSettings()
    handings = Handings(SystemClock(), settings.message_id_domain, settings.mailing == "office")
    now = business_clock(CommonSettings().business_clock).now()
    database = Database(database_url("notifier"), pool_size=1, application_name="thongsuot-notifier-hand-on")
    try:
        async with database.transaction() as tx:
            await handings.plan(tx, given.notice, given.to, given.reason, now, via=given.by)
    except Refused as refused:
        _print(" / ".join(REFUSALS[refused.reason]))
        return 1
    finally:
        await database.close()
    _print(f"Đã chuyển giao cho / handed on to {given.to}")
    return 0


async def _list() -> int:
    rows = await _loaded()
    for row in rows:
        _print(entry(f"{row['name']}/{row['version']}  {when(row['loaded_at'])}", f"sha256 {row['sha256']}"))
    _print(f"{len(rows)} thang / ladders")
    return 0


async def _show(given: argparse.Namespace) -> int:
    found = [row for row in await _loaded() if row["name"] == given.name and given.version in (None, row["version"])]
    if not found:
        _print(f"Không có thang này / no such ladder: {given.name}")
        return 1
    print(found[-1]["body"], end="")  # noqa: T201
    return 0


async def _loaded() -> Sequence[dict[str, Any]]:
    database = Database(database_url("notifier"), pool_size=1, application_name="thongsuot-notifier-ladders")
    try:
        async with database.read_transaction() as snapshot:
            return [dict(row) for row in await store.listed(snapshot)]
    finally:
        await database.close()


def _print(text: str) -> None:
    print(text)  # noqa: T201 - an operator's command
