"""Notifier's operator commands, one transaction each: mails, and the rebuild of a lost database."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TextIO
from uuid import UUID

from services.notifier.channels.commands import mail_test
from services.notifier.channels.gateway.numbers import number_of
from services.notifier.delivery import bounces, proving, resending
from services.notifier.ladders.domain import EMAIL
from services.notifier.metrics import TEXT_CHANNELS
from services.notifier.planning import store
from services.notifier.settings import NotifierSettings
from services.notifier.templates import Composer, Originator
from services.notifier.templates.preview import write
from shared.contract.events.fields import usable_address
from shared.postgres.database import Database
from shared.runtime.arguments import CommandParser, moment, whole
from shared.runtime.clock import SystemClock, business_clock
from shared.runtime.operator import entry, reason, when, who
from shared.runtime.settings import CommonSettings
from shared.service.command import database_url

MAX_LISTED = 1000
#: of `by` and `why` in the ledger
MAX_REASON_CHARACTERS = 300


def mail(arguments: Sequence[str]) -> int:
    """`mail preview FOLDER | list | resend ID… | test ADDRESS | bounced FILE | prove`."""
    parser = CommandParser(prog="python -m services.notifier mail")
    actions = parser.add_subparsers(dest="action", required=True, title="lệnh / commands")
    preview = actions.add_parser("preview", help="ghi mọi mẫu thư ra thư mục / write every letter to a folder")
    preview.add_argument("folder", type=Path)
    preview.add_argument("--sender", default="khong-tra-loi@thongsuot.example", help="địa chỉ gửi / From address")
    listing = actions.add_parser("list", help="liệt kê thư theo trạng thái, mới nhất trước / list, newest first")
    listing.add_argument(
        "--state",
        default="failed",
        choices=("failed", "unknown", "sent", "retry", "pending", "skipped", "cancelled", "waiting"),
    )
    listing.add_argument("--before", type=UUID, help="tiếp theo mã này / go on behind this id")
    listing.add_argument("--channel", choices=(EMAIL, *TEXT_CHANNELS), help="mặc định: mọi kênh / default: all")
    listing.add_argument("--limit", type=whole(1, MAX_LISTED), default=100, help=f"1–{MAX_LISTED}")
    again = actions.add_parser("resend", help="gửi lại thư hỏng / send failed, unknown or bounced ones again")
    again.add_argument("ids", type=UUID, nargs="+", metavar="ID")
    again.add_argument("--to", help="địa chỉ khác / another address")
    again.add_argument("--by", default=who(), help="ai / who (default: OPERATOR, else the account)")
    again.add_argument("--why", type=reason, required=True, help="lý do, ghi vào sổ / the reason, kept in the ledger")
    again.add_argument("--bounced", action="store_true", help="cả thư đã gửi nhưng bị trả về / sent ones too")
    again.add_argument(
        "--gone-on", action="store_true", help="cả khi đã báo người khác thay / where others were told instead too"
    )
    back = actions.add_parser("bounced", help="thư bị trả về, theo báo của máy chủ / mails that came back, by a DSN")
    back.add_argument("files", type=Path, nargs="+", metavar="FILE", help="thông báo trạng thái gửi (.eml) / its file")
    back.add_argument("--by", default=who(), help="ai / who (default: OPERATOR, else the account)")
    test = actions.add_parser("test", help="gửi một thư thử, ngoài sổ / send one mail, outside the ledger")
    test.add_argument("address", metavar="ADDRESS", help="địa chỉ thư / address")
    prove = actions.add_parser("prove", help="chứng minh đã báo cho ai / prove who was told what, when")
    prove.add_argument("--obligation", help="mã nghĩa vụ / its key")
    prove.add_argument("--person", help="mã người nhận / the person's id")
    prove.add_argument("--since", type=moment, help="lập từ lúc này / planned from then on")
    prove.add_argument("--until", type=moment, help="lập trước lúc này / planned before then")
    prove.add_argument("--format", choices=("csv", "json"), default="csv")
    given = parser.parse_args(arguments)
    if given.action == "test":
        return mail_test(given.address)
    if given.action == "bounced":
        return asyncio.run(_bounced(given))
    if given.action == "prove":
        if given.obligation is None and given.person is None:
            prove.error("cần --obligation hoặc --person / give --obligation or --person")
        return asyncio.run(_prove(given))
    if given.action == "preview":
        for path in write(Composer(Originator(given.sender)), given.folder):
            _print(path)
        return 0
    return asyncio.run(_list(given) if given.action == "list" else _resend(given))


async def _list(given: argparse.Namespace) -> int:
    database = Database(database_url("notifier"), pool_size=1, application_name="thongsuot-notifier-mail")
    try:
        async with database.read_transaction() as snapshot:
            rows = await resending.listed(
                snapshot, given.state, before=given.before, limit=given.limit, channel=given.channel
            )
    finally:
        await database.close()
    for row in rows:
        settled = when(row["settled_at"]) if row["settled_at"] else "–"
        _print(
            entry(
                f"{row['id']}  {row['kind']}", settled, row["obligation"], row["recipient"] or "", row["reason"] or ""
            )
        )
    _print(f"{len(rows)} thư / mails, {given.state}")
    return 0


async def _bounced(given: argparse.Namespace) -> int:
    """Take each notification in a transaction of its own; 1 where one is none, or of no mail of ours."""
    business = business_clock(CommonSettings().business_clock)
    database = Database(database_url("notifier"), pool_size=1, application_name="thongsuot-notifier-bounced")
    failed = 0
    try:
        for file in given.files:
            try:
                bounce = bounces.read_dsn(file.read_bytes())
            except OSError as error:
                failed += 1
                _print(f"{file}: không đọc được / cannot be read: {error.strerror}", sys.stderr)
                continue
            except bounces.NoBounce as error:
                failed += 1
                _print(f"{file}: {error}", sys.stderr)
                continue
            async with database.transaction() as tx:
                taken = await bounces.take(tx, bounce, by=given.by, at=business.now())
            failed += taken is None
            known = "không có thư này / there is no such mail"
            if taken is not None:
                known = f"{len(taken[0])} thông báo thành failed / notices became failed"
            _print(entry(f"{file}  {bounce.message_id}", bounce.why, known))
    finally:
        await database.close()
    return 1 if failed else 0


async def _prove(given: argparse.Namespace) -> int:
    wanted = proving.Wanted(given.obligation, given.person, given.since, given.until)
    database = Database(database_url("notifier"), pool_size=1, application_name="thongsuot-notifier-proof")
    try:
        async with database.read_transaction() as snapshot:
            rows = found = await proving.proof(snapshot, wanted, after=None, limit=proving.AT_ONCE)
            while len(found) == proving.AT_ONCE:
                found = await proving.proof(snapshot, wanted, after=UUID(found[-1]["notice"]), limit=proving.AT_ONCE)
                rows = [*rows, *found]
    finally:
        await database.close()
    if given.format == "json":
        _print(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        sys.stdout.write(proving.as_csv(rows, header=True))
    _print(f"{len(rows)} thông báo / notices", sys.stderr)
    return 0 if rows else 1


async def _resend(given: argparse.Namespace) -> int:
    order = resending.ResendOrder(
        given.ids,
        given.by[:MAX_REASON_CHARACTERS],
        given.why[:MAX_REASON_CHARACTERS],
        given.to,
        given.bounced,
        given.gone_on,
    )
    if given.to is not None and not (usable_address(given.to) or number_of(given.to)):
        _print(f"Địa chỉ không hợp lệ / not a usable address: {given.to!r}", sys.stderr)
        return 2
    database = Database(database_url("notifier"), pool_size=1, application_name="thongsuot-notifier-mail")
    try:
        domain = NotifierSettings().message_id_domain
        async with database.transaction() as tx:
            answers = await resending.resend(tx, order, now=SystemClock().now(), domain=domain)
    finally:
        await database.close()
    for answer in answers:
        _print(
            entry(str(answer.id), answer.vi, answer.en, answer.recipient and f"gửi lại / again → {answer.recipient}")
        )
    again = sum(answer.accepted for answer in answers)
    _print(f"Gửi lại {again}, không gửi {len(answers) - again} / sent again {again}, not {len(answers) - again}")
    return 0 if again == len(answers) else 1


def _print(text: object, to: TextIO | None = None) -> None:
    print(text, file=to or sys.stdout)


def rebuild_command(argv: Sequence[str]) -> int:
    """Begin a new database: notices of what happened until `--told-until` (business time) count as sent already."""
    parser = CommandParser(
        prog="python -m services.notifier rebuild",
        description="Bắt đầu kho mới thay kho đã mất / begin a new database in place of a lost one",
    )
    parser.add_argument(
        "--told-until", type=moment, required=True,
        help="thời điểm mất kho, có múi giờ / when the database was lost, with offset",
    )  # fmt: skip
    given = parser.parse_args(list(argv))
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
