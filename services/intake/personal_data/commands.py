"""`personal-data export | forget`: what a person may ask for, where no key of their own is at hand."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from services.intake.command_line import add_author, author_of, err, in_transaction, out, with_database
from services.intake.personal_data import export, handlers
from services.intake.personal_data.api import as_array
from shared.postgres.database import Database, Transaction
from shared.runtime.arguments import CommandParser
from shared.runtime.clock import SystemClock


def personal_data(arguments: Sequence[str]) -> int:
    """The command; its exit code."""
    parser = CommandParser(prog="python -m services.intake personal-data")
    actions = parser.add_subparsers(dest="action", required=True, title="lệnh / commands")
    exported = actions.add_parser("export", help="mọi dữ liệu về một người, dạng JSON / all that is kept, as JSON")
    exported.add_argument("person_id", metavar="ID", help="mã người hoặc cán bộ / id of the person or officer")
    forget = actions.add_parser(
        "forget", help="xóa ngay liên hệ của người đã thôi nhiệm vụ / blank the contacts of one who has left, at once"
    )
    forget.add_argument("person_id", metavar="ID", help="mã người hoặc cán bộ / id of the person or officer")
    add_author(forget)
    asked = parser.parse_args(arguments)
    if asked.action == "export":
        return with_database(lambda database: _export(database, asked.person_id))
    return in_transaction(lambda tx: _forget(tx, asked))


async def _export(database: Database, person_id: str) -> int:
    async with database.read_transaction() as tx:
        known = await export.records(tx, person_id)
    if not known.agencies:
        return _unknown(person_id)
    out("".join([piece async for piece in as_array(database, person_id, known)]).rstrip("\n"))
    return 0


async def _forget(tx: Transaction, asked: argparse.Namespace) -> int:
    now = SystemClock().now()
    try:
        count = await handlers.forget(tx, asked.person_id, now, now, author_of(asked))
    except handlers.Unknown:
        return _unknown(asked.person_id)
    except handlers.StillServing:
        err(
            f"{asked.person_id} còn giữ nhiệm vụ, nên cần liên hệ để nhận thông báo. / "
            f"{asked.person_id} still holds an office, whose notices need the contacts."
        )
        return 1
    out(f"Đã xóa liên hệ trong {count} bản ghi. / Contacts are blanked in {count} records.")
    return 0


def _unknown(person_id: str) -> int:
    err(f"Không có người {person_id}. / There is no person {person_id}.")
    return 1
