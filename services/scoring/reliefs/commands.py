"""`python -m services.scoring reliefs …`: an administrator proposes and decides, each step in one transaction."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args

from services.scoring.obligations.facts import ReliefStatus
from services.scoring.reliefs import store
from services.scoring.reliefs.decisions import Proposal, Refused, decide, propose, scope_of
from services.scoring.settings import ScoringSettings
from shared.postgres.database import Database, Transaction
from shared.runtime.arguments import CommandParser, moment
from shared.runtime.clock import business_clock
from shared.runtime.operator import as_json, entry, reason, when
from shared.runtime.settings import CommonSettings
from shared.service.command import database_url

_MOST = 10_000
_SAID = {"granted": "Đã chấp thuận / granted", "rejected": "Đã bác / rejected"}


def reliefs_command(argv: Sequence[str]) -> int:
    """Run one action (add, list, show, grant, reject); return the exit code."""
    given = _parser().parse_args(list(argv))
    url = database_url("scoring")
    evidence = _evidence(given.evidence) if given.action == "add" else ()
    try:
        return asyncio.run(_run(url, given, evidence))
    except Refused as refused:
        print(refused, file=sys.stderr)  # noqa: T201 - an operator's command
        return 1


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m services.scoring reliefs", description="Gia hạn, miễn trừ / reliefs: docs/scoring.md#relief"
    )
    actions = parser.add_subparsers(dest="action", required=True, title="lệnh / commands")
    add = actions.add_parser("add", help="đề xuất / propose")
    add.add_argument("--from", dest="starts_at", type=moment, required=True, help="từ lúc / beginning, with offset")
    add.add_argument("--to", dest="ends_at", type=moment, required=True, help="đến lúc / end, with offset")
    add.add_argument("--reason", type=reason, required=True, help="lý do / why")
    add.add_argument("--by", type=reason, required=True, help="người đề xuất / who proposes")
    add.add_argument("--agency", action="append", default=[], help="cơ quan; bỏ trống: tất cả / agency; none: all")
    add.add_argument("--regime", action="append", default=[], help="chế độ báo cáo / regime; none: all")
    add.add_argument("--obligation", action="append", default=[], help="cơ quan/chế độ/kỳ; none: all")
    add.add_argument(
        "--evidence", type=Path, action="append", default=[], help="tệp căn cứ / file, kept by its SHA-256"
    )
    listing = actions.add_parser("list", help="liệt kê / list")
    listing.add_argument("--status", choices=get_args(ReliefStatus), help="tình trạng / status")
    show = actions.add_parser("show", help="xem một gia hạn, kèm mọi quyết định / one, with every decision")
    show.add_argument("relief_id", metavar="ID")
    for name, help_text in (("grant", "chấp thuận / grant"), ("reject", "bác / reject")):
        deciding = actions.add_parser(name, help=help_text)
        deciding.add_argument("relief_id", metavar="ID")
        deciding.add_argument("--by", type=reason, required=True, help="người quyết định / who decides")
        deciding.add_argument("--reason", type=reason, required=True, help="lý do / why")
    return parser


async def _run(url: str, given: argparse.Namespace, evidence: tuple[dict[str, Any], ...]) -> int:
    database = Database(url, pool_size=1, application_name="thongsuot-scoring-reliefs")
    now = business_clock(CommonSettings().business_clock).now()
    try:
        async with database.transaction() as tx:
            match given.action:
                case "add":
                    return await _add(tx, given, evidence, now)
                case "list":
                    return await _list(tx, given.status)
                case "show":
                    return await _show(tx, given.relief_id)
                case _:
                    status = "granted" if given.action == "grant" else "rejected"
                    await decide(tx, given.relief_id, status, given.by, given.reason, now)  # type: ignore[arg-type]
    finally:
        await database.close()
    print(f"{_SAID[status]}: {given.relief_id}")  # noqa: T201
    return 0


async def _add(tx: Transaction, given: argparse.Namespace, evidence: tuple[dict[str, Any], ...], now: datetime) -> int:
    proposal = Proposal(
        given.starts_at, given.ends_at, given.reason, given.by, tuple(given.agency), tuple(given.regime),
        tuple(given.obligation), evidence,
    )  # fmt: skip
    grace = timedelta(hours=ScoringSettings().relief_grace_hours)
    relief_id, said = proposal.relief_id, "Đã đề xuất / proposed"
    if not await propose(tx, proposal, now, grace):
        found = await store.lock_one(tx, relief_id)
        assert found is not None, "what is not added is there"
        status, said = found.status, "Đã có rồi / it is there already"
        if status == "rejected":
            raise Refused(
                f"{relief_id}: đã có rồi và đã bác; muốn đề xuất lại thì ghi lý do khác / "
                "it is there already and was rejected; to propose it again, give another reason"
            )
        if status == "granted":
            print(f"{said}, {_SAID[status].lower()}: {relief_id}")  # noqa: T201
            return 0
    held_until = when(max(proposal.ends_at, now) + grace)
    print(  # noqa: T201
        f"{said}: {relief_id}\n"
        f"Chờ quyết định / decide it: python -m services.scoring reliefs grant {relief_id} --by … --reason …\n"
        f"Chưa quyết định thì đến {held_until} không nhắc và không ghi quá hạn ai có hạn trong khoảng này; bác sau hạn "
        "là ghi quá hạn ngay. Hãy quyết định trước hạn báo cáo.\n"
        f"Until it is decided, or {held_until}, nobody whose deadline lies within it is reminded or called overdue; "
        "rejected after a deadline, it marks at once. Decide before the deadlines."
    )
    return 0


async def _list(tx: Transaction, status: ReliefStatus | None) -> int:
    rows = await store.listed(tx, "", _MOST, status)
    for row in rows:
        span = f"{when(row['starts_at'])} – {when(row['ends_at'])}"
        scope = ", ".join(scope_of(row)) or "tất cả / all"
        print(entry(f"{row['relief_id']}  {row['status']}", span, scope, row["reason"], row["proposed_by"]))  # noqa: T201
    print(f"{len(rows)} gia hạn / reliefs")  # noqa: T201
    return 0


async def _show(tx: Transaction, relief_id: str) -> int:
    row = await store.one(tx, relief_id)
    if row is None:
        raise Refused(f"Không có gia hạn / there is no relief {relief_id}")
    print(json.dumps(row, indent=2, ensure_ascii=False, default=as_json))  # noqa: T201
    return 0


def _evidence(paths: Sequence[Path]) -> tuple[dict[str, Any], ...]:
    """Describe each file by name, size and SHA-256, so that whoever keeps it can prove that it is the same."""
    kept = []
    for path in paths:
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                kept.append({"file": path.name, "bytes": os.fstat(file.fileno()).st_size, "sha256": digest})
        except OSError as error:
            raise SystemExit(_refuse_file(path, error)) from error
    return tuple(kept)


def _refuse_file(path: Path, error: OSError) -> int:
    print(f"{path}: không đọc được / cannot be read: {error.strerror}", file=sys.stderr)  # noqa: T201
    return 1
