"""`python -m deploy.reconcile`. Exit codes: 0 no difference; 1 differences; 2 could not compare."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from itertools import islice
from typing import TextIO

from deploy.reconcile.comparison import Result, reconcile
from deploy.reconcile.differences import KINDS
from deploy.reconcile.stores import CannotCompare, Stores
from shared.contract.services import SERVICES
from shared.runtime.arguments import CommandParser, seconds, whole

SHOWN = 20


def main(argv: Sequence[str] | None = None, *, out: TextIO | None = None) -> int:
    """Run the command; return its exit code. Tests pass their own `out`."""
    out = out or sys.stdout
    given = _parser().parse_args(argv)
    urls = {service: getattr(given, service) for service in SERVICES}
    try:
        result = asyncio.run(_reconcile(urls, given.settle_seconds))
    except CannotCompare as error:
        if given.json or given.ndjson:
            document = {"compared": False, "error": error.vi, "error_en": error.en}
            out.write(json.dumps(document, ensure_ascii=False) + "\n")
        else:
            out.write(f"Không đối chiếu được. {error.vi}\nCould not compare: {error.en}\n")
        return 2
    if given.ndjson:
        for difference in result.differences:
            out.write(json.dumps(difference.document(), ensure_ascii=False) + "\n")
    elif given.json:
        document = {
            "compared": True,
            "differences": [difference.document() for difference in result.differences],
            "counts": dict(result.counts),
            "rows": result.rows,
        }
        out.write(json.dumps(document, ensure_ascii=False) + "\n")
    else:
        show(result, None if given.all else given.shown, out)
    return 1 if result.counts else 0


async def _reconcile(urls: dict[str, str], settle_seconds: float) -> Result:
    async with Stores.open(urls) as stores:
        return await reconcile(stores, settle_seconds)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m deploy.reconcile",
        description="Đối chiếu các kho với nhau và với quy định / compare the stores and the rules",
        epilog="mã thoát / exit code: 0 khớp / agree, 1 có sai lệch / differences, 2 không đọc được / unreadable",
    )
    for service in SERVICES:
        variable = f"{service.upper()}_DATABASE_URL"
        parser.add_argument(f"--{service}", metavar="URL", default=os.environ.get(variable, ""), help=variable)
    parser.add_argument("--settle-seconds", type=seconds, default=10.0, metavar="S",
                        help="đọc lại trong bấy lâu trước khi coi là sai lệch / look again for so long")  # fmt: skip
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--shown", type=whole(1, 1_000_000), default=SHOWN, metavar="N",
                     help=f"mỗi loại in nhiều nhất / at most so many of a kind, {SHOWN}")  # fmt: skip
    how.add_argument("--all", action="store_true", help="in mọi sai lệch / show all")
    how.add_argument("--json", action="store_true", help="kết quả dạng JSON / the result as one JSON document")
    how.add_argument("--ndjson", action="store_true", help="mỗi dòng một sai lệch / one difference a line, as JSON")
    return parser


def show(result: Result, shown: int | None, out: TextIO) -> None:
    """Print differences by kind, each kind with what to do next; at most `shown` of each (None: all)."""
    for name, kind in KINDS.items():
        count = result.counts[name]
        if not count:
            continue
        out.write(f"{name} ({count}): {kind.vi} / {kind.en}\n")
        of_kind = [difference for difference in result.differences if difference.kind == name]
        for difference in islice(of_kind, shown):
            out.write(f"  {difference.message}\n    {difference.message_en}\n")
        left = count - min(len(of_kind), shown if shown is not None else count)
        if left:
            out.write(f"  … và {left} nữa / and {left} more: --all\n")
        out.write(f"  → {kind.next_vi}\n    {kind.next_en}\n")
    read: dict[str, int] = {}
    for name, rows in result.rows.items():
        read[name.partition("/")[0]] = read.get(name.partition("/")[0], 0) + rows
    told = ", ".join(f"{service} {rows}" for service, rows in read.items())
    out.write(f"Số dòng đã đọc / rows read: {told or '0'}\n")
    out.write(f"Số sai lệch / differences: {sum(result.counts.values())}\n")
