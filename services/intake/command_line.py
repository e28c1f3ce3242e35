"""What intake's operator commands share: where they write, and how they reach the database."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable

from services.intake.access.keys import KeyRefused
from services.intake.audit.domain import Author
from services.intake.registry.load import PlanOutdated, RegistryRefused
from shared.postgres.database import Database, Transaction
from shared.runtime.english import counted
from shared.runtime.operator import reason, who
from shared.service.command import database_url


def out(text: str) -> None:
    sys.stdout.write(_writable(text) + "\n")


def err(text: str) -> None:
    sys.stderr.write(_writable(text) + "\n")


def _writable(text: str) -> str:
    """A file's name may be no UTF-8 at all."""
    return text.encode("utf-8", "backslashreplace").decode()


def add_author(parser: argparse.ArgumentParser, *, why_required: bool = True) -> None:
    """`--why` and `--by`: what the audit trail says of a command that changes something."""
    parser.add_argument("--why", type=reason, required=why_required, help="lý do, được lưu lại / why; it is kept")
    parser.add_argument("--by", type=reason, help="người quyết định / who decides (OPERATOR, or the account)")


def author_of(asked: argparse.Namespace) -> Author:
    """Who gave the command, and why."""
    return Author(asked.by or who(), asked.why or "")


def in_transaction(work: Callable[[Transaction], Awaitable[int]]) -> int:
    """Run a command's work in one transaction of intake's database; its exit code."""

    async def run(database: Database) -> int:
        async with database.transaction() as tx:
            return await work(tx)

    return with_database(run)


def with_database(work: Callable[[Database], Awaitable[int]]) -> int:
    """Run a command's work with intake's database; its exit code."""

    async def run() -> int:
        database = Database(database_url("intake"), pool_size=1, application_name="thongsuot-intake-command")
        try:
            return await work(database)
        except (RegistryRefused, PlanOutdated, KeyRefused) as refused:
            err(str(refused))
            if isinstance(refused, RegistryRefused):
                count = len(refused.errors)
                least, least_en = ("ít nhất ", "at least ") if refused.cut else ("", "")
                said_en = f"{least_en}{counted(count, 'error')}"
                err(f"{least}{count} lỗi; không có gì được lưu. / {said_en}; nothing was stored.")
            return 1
        finally:
            await database.close()

    return asyncio.run(run())
