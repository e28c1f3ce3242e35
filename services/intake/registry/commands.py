"""`registry plan | apply | republish`: how files change the registry.

Everything is checked first, by the neighbours too; all is stored, or nothing. Exit codes as in `intake.commands`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from services.intake.command_line import add_author, author_of, err, in_transaction, out, with_database
from services.intake.registry import load as loading
from services.intake.registry import planning
from services.intake.registry.files import Folder, read_folder
from services.intake.registry.load import Draft, Loaded, PlanOutdated, RegistryMoved, RegistryRefused
from services.intake.registry.neighbours import NEIGHBOURS, ask
from services.intake.registry.planning import MAX_PLAN_BYTES, NoPlan, Plan
from services.intake.settings import CheckSettings
from shared.postgres.database import Database, ReadTransaction, Transaction
from shared.runtime.arguments import CommandParser
from shared.runtime.clock import LOCAL_ZONE, Clock, SystemClock, business_clock
from shared.runtime.hidden_characters import shown
from shared.runtime.settings import CommonSettings


@dataclass(frozen=True, slots=True)
class Proposed:
    """What a folder, or a plan, proposes."""

    folder: Folder
    past_requests: bool
    plan: Plan | None = None


def registry(arguments: Sequence[str], clock: Clock | None = None) -> int:
    """`registry plan FOLDER | apply PLAN_OR_FOLDER | republish`."""
    parser = CommandParser(prog="python -m services.intake registry")
    actions = parser.add_subparsers(dest="action", required=True, title="lệnh / commands")
    plan = actions.add_parser("plan", help="xem sẽ đổi gì, nghĩa là gì / what would change, and what it means")
    plan.add_argument("folder", type=Path, help="thư mục danh mục / folder with the registry's files")
    plan.add_argument("--out", type=Path, metavar="PLAN", help="ghi kế hoạch vào tệp này / write the plan to this file")
    apply = actions.add_parser(
        "apply", help="lưu và công bố tất cả, hoặc không gì cả / store and publish all or nothing"
    )
    apply.add_argument(
        "folder", type=Path, metavar="PLAN|FOLDER", help="kế hoạch đã xem, hoặc thư mục / a plan, or a folder"
    )
    add_author(apply)
    apply.add_argument("--json", action="store_true", help="in kết quả dạng JSON / print the result as JSON")
    for reading in (plan, apply):
        reading.add_argument(
            "--past-requests",
            action="store_true",
            help="nhận cả yêu cầu đã quá hạn / also take requests whose deadline has passed",
        )
    actions.add_parser("republish", help="công bố lại toàn bộ / publish everything again")
    asked = parser.parse_args(arguments)
    if asked.action == "republish":
        return in_transaction(_republish)
    try:
        off = CheckSettings().off
    except ValidationError as error:
        err("; ".join(detail["msg"] for detail in error.errors()))
        return 2
    for name in off:
        err(
            f"CẢNH BÁO: INTAKE_CHECKS_OFF – {name} KHÔNG kiểm tra các bản ghi này. / "
            f"WARNING: INTAKE_CHECKS_OFF – {name} does NOT check these records."
        )
    try:
        proposed = _proposed(asked)
    except NoPlan as fault:
        err(f"{shown(str(asked.folder))}: không phải kế hoạch dùng được / is no usable plan: {fault}")
        return 1
    neighbours = CheckSettings().on
    now = (clock or business_clock(CommonSettings().business_clock)).now()
    if asked.action == "plan":
        return with_database(lambda database: _plan(database, proposed, now, neighbours, asked.out))
    return with_database(lambda database: _apply(database, proposed, now, neighbours, asked))


def _proposed(asked: argparse.Namespace) -> Proposed:
    """Raises NoPlan; OSError where a plan cannot be read."""
    if asked.action == "apply" and asked.folder.is_file():
        with asked.folder.open("rb") as file:
            content = file.read(MAX_PLAN_BYTES + 1)
        if len(content) > MAX_PLAN_BYTES:
            raise NoPlan(f"over {MAX_PLAN_BYTES} bytes")
        plan = planning.read_plan(content)
        return Proposed(Folder(plan.proposals(shown(asked.folder.name))), plan.past_requests, plan)
    folder = read_folder(asked.folder)
    for name in folder.ignored:
        err(f"bỏ qua, không phải YAML / ignored, no YAML: {name}")
    return Proposed(folder, asked.past_requests)


async def _plan(
    database: Database, proposed: Proposed, now: datetime, neighbours: Sequence[str], path: Path | None
) -> int:
    made = await _checked(database, proposed, now, neighbours, None)
    for line in planning.described(made.changed, made.stored, now.astimezone(LOCAL_ZONE).date()):
        out(line)
    if made.changed:
        out("")
    _say(made.counts())
    if path is not None:
        plan = planning.plan_of(made.changed, made.stored, made.revision, past_requests=proposed.past_requests)
        _write(plan, path)
        out(f"Thực hiện / apply it: python -m services.intake registry apply {shown(str(path))} --why …")
    return 0


def _write(plan: Plan, path: Path) -> None:
    """Write the plan for its owner alone: it holds people's contacts."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(json.dumps(plan.document(), ensure_ascii=False, indent=1) + "\n")


async def _apply(
    database: Database, proposed: Proposed, now: datetime, neighbours: Sequence[str], asked: argparse.Namespace
) -> int:
    """Look at the records without a transaction, then store what was looked at; again if the registry has moved."""
    made: Draft | None = None
    while True:
        made = await _checked(database, proposed, now, neighbours, made)
        try:
            async with database.transaction() as tx:
                loaded = await loading.save(tx, made, SystemClock().now(), author_of(asked))
            break
        except RegistryMoved:
            continue
    if asked.json:
        off = [name for name in NEIGHBOURS if name not in neighbours]
        counts: dict[str, Any] = {"new": loaded.new, "changed": loaded.changed, "unchanged": loaded.unchanged}
        out(json.dumps({**counts, "published": loaded.published, "unchecked_by": off}))
    else:
        _say(loaded)
        out(f"đã công bố / published: {loaded.published}")
    return 0


def _say(counted: Loaded) -> None:
    for title, by_kind in (
        ("mới / new", counted.new),
        ("thay đổi / changed", counted.changed),
        ("không đổi / unchanged", counted.unchanged),
    ):
        out(f"{title}: {', '.join(f'{kind} {count}' for kind, count in by_kind.items()) or '0'}")


async def _checked(
    database: Database, proposed: Proposed, now: datetime, neighbours: Sequence[str], seen: Draft | None
) -> Draft:
    """What is proposed as changes to the registry as it is; checked by all. Raises RegistryRefused, PlanOutdated.

    seen: an earlier draft; the neighbours are asked again only if another one comes of the registry as it is now.
    """
    async with database.read_transaction() as tx:
        made = await _draft(tx, proposed, now)
    errors = [*proposed.folder.errors, *made.errors]
    if made.cut:
        raise RegistryRefused(errors, cut=True)
    if seen is None or (seen.changed, seen.stored) != (made.changed, made.stored):
        changed = {record.key for record in made.changed}
        looked_at = [located for located in made.located if located.record.key in changed]
        for found in await asyncio.to_thread(ask, neighbours, looked_at, loading.context(made), now):
            if found.remark:
                err(f"lưu ý / remark: {found}")
            else:
                errors.append(found)
    if errors:
        raise RegistryRefused(errors)
    return made


async def _draft(tx: ReadTransaction, proposed: Proposed, now: datetime) -> Draft:
    folder = proposed.folder
    made = await loading.draft(tx, folder.proposals, now, past_requests=proposed.past_requests, unread=folder.unread)
    if (plan := proposed.plan) is not None and planning.state_of(made.stored) != plan.registry_sha256:
        raise PlanOutdated(await loading.changed_keys(tx, plan.revision))
    return made


async def _republish(tx: Transaction) -> int:
    count = await loading.republish(tx)
    out(f"đã công bố lại / published again: {count}")
    return 0
