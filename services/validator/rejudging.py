"""`not-judged list | judge`: lists reports that could not be judged, and judges them again, by wider limits if need be.

Each is judged alone, in a process beside, and recorded in a transaction of its own; the service may run meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal
from uuid import UUID

from services.validator import handlers, store
from services.validator.domain import Judgement, Overrun
from services.validator.form_cache import FormCache
from services.validator.judging import Judging
from services.validator.main import budget_of
from services.validator.not_judged import NEXT
from services.validator.settings import ValidatorSettings
from services.validator.stopwatch import UNLIMITED
from shared.consuming.batch import Batch, Event, Record
from shared.contract.events import SubmissionReceived
from shared.contract.ids import new_id
from shared.postgres.database import Database
from shared.runtime.arguments import CommandParser
from shared.runtime.clock import Clock, business_clock
from shared.runtime.operator import entry, when
from shared.runtime.settings import CommonSettings
from shared.service.command import database_url

#: what became of a report: judged; over (a limit again); waits (its form cannot judge); gone (judged meanwhile)
Became = Literal["judged", "over", "waits", "gone"]
_BECAME: Mapping[Became, str] = {
    "judged": "đã kiểm tra / judged",
    "over": "vẫn quá giới hạn / over a limit again",
    "waits": "biểu mẫu chưa kiểm tra được / its form cannot judge",
    "gone": "đã kiểm tra từ trước / judged meanwhile",
}
#: listed, and judged by one command
_MOST = 10_000


async def judge_again(database: Database, judging: Judging, clock: Clock, submission_id: UUID) -> Became:
    """Judge one of them again, alone, and record the verdict, or that it ran over again."""
    async with database.read_transaction() as snapshot:
        report = await store.report_not_judged(snapshot, submission_id)
    if report is None:
        return "gone"
    body = SubmissionReceived.model_validate_json(report)
    event = Event(
        new_id(), body.TYPE, body.key, body, Record(body.TOPIC, 0, 0, body.key.encode(), report, ())
    )  # fmt: skip
    prepared = await judging.prepare([event], database.read_transaction, apart=True)
    found = prepared.values.get(event.id)
    async with database.transaction() as tx:
        if not await store.lock_not_judged(tx, submission_id):
            return "gone"
        if not isinstance(found, Judgement):
            await store.note_try(tx, submission_id)
            return "over" if isinstance(found, Overrun) else "waits"
        await store.end_not_judged(tx, submission_id)
        batch = Batch((event,), prepared={event.id: found})
        await handlers.record(batch, tx, clock=clock, revision=NEXT, looking=UNLIMITED)
    return "judged"


def command(arguments: Sequence[str]) -> int:
    """`python -m services.validator not-judged`."""
    parser = CommandParser(
        prog="python -m services.validator not-judged",
        description="Báo cáo hệ thống chưa kiểm tra được / reports that could not be judged",
    )
    actions = parser.add_subparsers(dest="action", required=True, title="lệnh / commands")
    actions.add_parser("list", help="liệt kê / list")
    again = actions.add_parser("judge", help="kiểm tra lại / judge again")
    again.add_argument("submissions", nargs="*", type=UUID, metavar="SUBMISSION")
    again.add_argument("--all", action="store_true", help="tất cả / all")
    again.add_argument(
        "--cpu-seconds", type=_seconds,
        help="giới hạn thay cho cấu hình, mọi nhóm / the limit in place of the settings', for every tier",
    )  # fmt: skip
    given = parser.parse_args(list(arguments))
    if given.action == "judge" and not (given.all or given.submissions):
        parser.error("cho mã bài nộp hoặc --all / name submissions or give --all")
    return asyncio.run(_list() if given.action == "list" else _judge(given))


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError("từ 0 đến 3600 giây / between 0 and 3600 seconds")
    return seconds


async def _list() -> int:
    database = _database()
    try:
        async with database.read_transaction() as snapshot:
            rows = await store.not_judged(snapshot, _MOST)
    finally:
        await database.close()
    for row in rows:
        finding = row["document"]["findings"][0]
        head = f"{when(row['parked_at'])}  {row['submission_id']}  ×{row['tries']}"
        print(entry(head, f"{row['obligation']} v{row['version']}", finding["message"]))  # noqa: T201
    print(f"{len(rows)} báo cáo chưa kiểm tra được / reports that could not be judged")  # noqa: T201
    return 0


async def _judge(given: argparse.Namespace) -> int:
    settings = ValidatorSettings(database_url=database_url("validator"))
    budget = budget_of(settings)
    if given.cpu_seconds is not None:
        budget = replace(budget, report_seconds=given.cpu_seconds, tier_seconds={})
    clock = business_clock(CommonSettings().business_clock)
    database = _database()
    judging = Judging(FormCache(settings.cached_forms), budget)
    left = 0
    try:
        asked = given.submissions
        if given.all:
            async with database.read_transaction() as snapshot:
                asked = [row["submission_id"] for row in await store.not_judged(snapshot, _MOST)]
        for submission_id in asked:
            became = await judge_again(database, judging, clock, submission_id)
            left += became in ("over", "waits")
            print(f"{submission_id}  {_BECAME[became]}")  # noqa: T201
    finally:
        await judging.stop()
        await database.close()
    return 1 if left else 0


def _database() -> Database:
    return Database(database_url("validator"), pool_size=2, application_name="thongsuot-validator-not-judged")
