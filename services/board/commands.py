"""The board's operator commands: accounts, the key by which it acts for people, and a read model that begins anew."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path

from services.board.accounts import signing_in, store
from services.board.acting import ISSUER
from services.board.readmodel import queries
from services.board.readmodel import store as readmodel
from services.board.settings import BoardSettings
from shared.postgres.database import Database
from shared.runtime.arguments import CommandParser
from shared.runtime.clock import SystemClock
from shared.runtime.operator import entry, reason, when, who
from shared.runtime.private_keys import write_new
from shared.service.command import database_url
from shared.web.tokens import SigningKey


def accounts(arguments: Sequence[str]) -> int:
    """`accounts invite PERSON… | list | close PERSON --why …`."""
    parser = CommandParser(prog="python -m services.board accounts")
    actions = parser.add_subparsers(dest="action", required=True, title="lệnh / commands")
    invited = actions.add_parser("invite", help="đường dẫn đặt mật khẩu, dùng một lần / a single-use link")
    invited.add_argument(
        "people", nargs="+", metavar="PERSON", help="mã người hoặc cán bộ / a person's or officer's id"
    )
    invited.add_argument("--by", default=who(), help="ai / who (default: OPERATOR, else the account)")
    actions.add_parser("list", help="ai đăng nhập được / who may sign in")
    closed = actions.add_parser("close", help="đóng tài khoản, kết thúc mọi phiên / close it and end its sessions")
    closed.add_argument("person", metavar="PERSON")
    closed.add_argument("--why", type=reason, required=True, help="lý do / the reason")
    given = parser.parse_args(arguments)
    work = {"invite": _invite, "list": _list, "close": _close}[given.action]
    return asyncio.run(_with_database(lambda database: work(database, given)))


async def _with_database(work: Callable[[Database], Awaitable[int]]) -> int:
    database = Database(database_url("board"), pool_size=1, application_name="thongsuot-board-command")
    try:
        return await work(database)
    finally:
        await database.close()


async def _invite(database: Database, given: argparse.Namespace) -> int:
    settings = BoardSettings()
    unknown = []
    async with database.read_transaction() as snapshot:
        for person_id in given.people:
            if await queries.person(snapshot, person_id) is None:
                unknown.append(person_id)
    if unknown:
        names = ", ".join(unknown)
        _print(f"Danh mục không có người này, nên chưa mời ai / not in the registry, so nobody is invited: {names}")
        return 1
    lasts, now = timedelta(seconds=settings.invitation_seconds), SystemClock().now()
    for person_id in given.people:
        token = await signing_in.invite(database, person_id, by=given.by[:200], now=now, lasts=lasts)
        _print(entry(person_id, f"{settings.public_url}/loi-moi/{token}", f"dùng đến / until {when(now + lasts)}"))
    return 0


async def _list(database: Database, given: argparse.Namespace) -> int:
    async with database.read_transaction() as snapshot:
        rows = await store.listed(snapshot)
    for row in rows:
        state = (
            "đã đóng / closed" if row.closed_at else "" if row.has_password else "chưa đặt mật khẩu / no password yet"
        )
        last = f"đăng nhập / signed in {when(row.signed_in_at)}" if row.signed_in_at else "–"
        _print(entry(row.person_id, last, state))
    _print(f"{len(rows)} tài khoản / accounts")
    return 0


async def _close(database: Database, given: argparse.Namespace) -> int:
    async with database.transaction() as tx:
        closed = await store.close(tx, given.person, SystemClock().now(), given.why)
    _print(f"{given.person}: " + ("đã đóng / closed" if closed else "không có tài khoản đang mở / has no open account"))
    return 0 if closed else 1


def signing_key(arguments: Sequence[str]) -> int:
    """`signing-key new FILE | show`: the private key stays in its file; what is printed is the public one."""
    parser = CommandParser(prog="python -m services.board signing-key")
    actions = parser.add_subparsers(dest="action", required=True, title="lệnh / commands")
    new = actions.add_parser("new", help="tạo tệp khóa riêng / make a private key file")
    new.add_argument("file", type=Path, metavar="FILE", help="tệp chưa có / a file that does not exist yet")
    actions.add_parser("show", help="khóa công khai của BOARD_SIGNING_KEY_FILE / the public key of that file")
    given = parser.parse_args(arguments)
    path: Path | None = given.file if given.action == "new" else BoardSettings().signing_key_file
    if path is None:
        _print("Chưa đặt BOARD_SIGNING_KEY_FILE / BOARD_SIGNING_KEY_FILE is not set")
        return 1
    try:
        key = SigningKey.new() if given.action == "new" else SigningKey.from_pem(path.read_bytes())
        if given.action == "new":
            write_new(path, key.pem())
    except (OSError, ValueError) as error:
        _print(f"Không dùng được tệp khóa / the key file cannot be used: {str(path)[:200]}: {error}")
        return 1
    _print(key.public.hex())
    if given.action == "new":
        _print("Đặt BOARD_SIGNING_KEY_FILE là tệp này, rồi / set BOARD_SIGNING_KEY_FILE to it, then:")
        _print(f"python -m services.intake keys trust {ISSUER} {key.public.hex()}")
    return 0


def rebuild(arguments: Sequence[str]) -> int:
    """Drop what was followed; it fills again from the topics, or from what their owners replay."""
    parser = CommandParser(
        prog="python -m services.board rebuild",
        description="Bỏ bản đọc và theo dõi lại; tài khoản giữ nguyên / drop the read model, keep the accounts",
    )
    parser.add_argument("--yes", action="store_true", required=True, help="đúng là bỏ / yes, drop it")
    parser.parse_args(arguments)

    async def work(database: Database) -> int:
        async with database.transaction() as tx:
            rows = await readmodel.forget(tx)
        _print(f"Đã bỏ {rows:,} bản ghi / records dropped.")
        _print("Chạy lại ở dịch vụ chủ / now, with each owner: python -m services.OWNER replay")
        return 0

    return asyncio.run(_with_database(work))


def _print(text: str) -> None:
    print(text)  # noqa: T201 - an operator's command
