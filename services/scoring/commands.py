"""Scoring's operator commands that write: each opens one transaction of its own."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from services.scoring.calendar import CalendarGap, WorkingCalendar
from services.scoring.obligations import from_events, generator, recompute, setbacks, store
from services.scoring.reference_data import Rules
from services.scoring.reliefs import store as reliefs
from shared.postgres.database import Database
from shared.runtime.arguments import CommandParser, moment, whole
from shared.runtime.clock import monotonic_seconds
from shared.runtime.operator import entry, when
from shared.runtime.settings import KafkaSettings
from shared.service.command import database_url

#: versions are 32-bit integers in every store; this leaves a billion events for each obligation
MAX_FIRST_VERSION = 1_000_000_000
RECOMPUTED_AT_ONCE = 5_000


def rebuild_command(argv: Sequence[str]) -> int:
    """`python -m services.scoring rebuild`: before the first start on an empty database (docs/restore.md)."""
    parser = CommandParser(
        prog="python -m services.scoring rebuild",
        description="Bắt đầu kho mới thay kho đã mất / begin a new database in place of a lost one",
    )
    parser.add_argument(
        "--started-at", type=moment, required=True,
        help="hạn nộp sớm nhất từng theo dõi, có múi giờ / earliest deadline ever kept, with offset",
    )  # fmt: skip
    parser.add_argument(
        "--first-version", type=whole(1, MAX_FIRST_VERSION), required=True,
        help="lớn hơn mọi phiên bản đã công bố / above every version published so far",
    )  # fmt: skip
    given = parser.parse_args(list(argv))
    return asyncio.run(_rebuild(given))


async def _rebuild(given: argparse.Namespace) -> int:
    database = Database(database_url("scoring"), pool_size=1, application_name="thongsuot-scoring-rebuild")
    try:
        async with database.transaction() as tx:
            begun = await generator.rebuild(tx, given.started_at, given.first_version)
    finally:
        await database.close()
    if not begun:
        print("Kho không trống; chỉ dùng trước lần chạy đầu tiên. / The database is not empty.")  # noqa: T201
        return 1
    print(f"Bắt đầu từ / begins at {given.started_at.isoformat()}, phiên bản / version {given.first_version}")  # noqa: T201
    return 0


def setbacks_command(argv: Sequence[str]) -> int:
    """`python -m services.scoring setbacks list | retry`."""
    parser = CommandParser(
        prog="python -m services.scoring setbacks", description="Việc tự động bị lỗi riêng lẻ / setbacks of sweeps"
    )
    actions = parser.add_subparsers(dest="action", required=True, title="lệnh / commands")
    actions.add_parser("list", help="liệt kê / list")
    again = actions.add_parser("retry", help="thử lại ngay / try again now")
    again.add_argument("subjects", nargs="*")
    again.add_argument("--all", action="store_true", help="tất cả / all")
    given = parser.parse_args(list(argv))
    return asyncio.run(_setbacks(given))


async def _setbacks(given: argparse.Namespace) -> int:
    database = Database(database_url("scoring"), pool_size=1, application_name="thongsuot-scoring-setbacks")
    try:
        async with database.transaction() as tx:
            if given.action == "list":
                rows = await setbacks.listed(tx, ("", ""), 10_000)
                for row in rows:
                    head = f"{when(row['since'])}  {row['sweep']:<9} ×{row['tries']}"
                    print(entry(head, row["subject"], row["error"]))  # noqa: T201
                print(f"{len(rows)} việc bị lỗi / setbacks")  # noqa: T201
                return 0
            found = await setbacks.retry(tx, None if given.all else given.subjects)
    finally:
        await database.close()
    for subject in found:
        print(subject)  # noqa: T201 - an operator's command
    print(f"Thử lại {len(found)} / tried again: {len(found)}")  # noqa: T201
    return 0 if found else 1


def recompute_command(argv: Sequence[str]) -> int:
    """`python -m services.scoring recompute`: 0 nothing differs, 1 differences."""
    parser = CommandParser(
        prog="python -m services.scoring recompute",
        description="Tính lại từ điều khoản và sự kiện đã ghi / derive again from terms and facts",
    )
    parser.add_argument("keys", nargs="*", metavar="AGENCY/REGIME/PERIOD", help="không nêu: tất cả / none: all")
    parser.add_argument(
        "--as-of", type=moment, help="tình trạng vào lúc ấy, có múi giờ / how it stood then, with offset"
    )
    parser.add_argument(
        "--from-events", action="store_true",
        help="đọc lại sự kiện từ Kafka, không tin dữ kiện đang lưu / read the events from Kafka, trust no stored fact",
    )  # fmt: skip
    given = parser.parse_args(list(argv))
    if given.as_of is not None and not given.keys:
        parser.error("--as-of cần nêu nghĩa vụ / --as-of needs the obligations")
    if given.from_events:
        if given.as_of is not None:
            parser.error("--from-events: không dùng cùng --as-of / not together with --as-of")
        return asyncio.run(_from_events(set(given.keys) or None, KafkaSettings()))
    return asyncio.run(_recompute(given.keys or None, given.as_of))


async def _from_events(keys: set[str] | None, kafka: KafkaSettings) -> int:
    """0 nothing differs, 1 differences, 4 retention has cut off what would be needed to say so of everything."""
    database = Database(database_url("scoring"), pool_size=1, application_name="thongsuot-scoring-recompute")
    rules, seen, found, events, uncovered = Rules(), 0, 0, 0, 0
    met: set[int] = set()  # hashes: of 1.3 million keys the texts would take a hundred megabytes
    cut: dict[str, int] = {}
    begun = monotonic_seconds()
    try:
        async for part in from_events.parts(kafka, keys):
            events, found = events + part.events, found + part.unreadable
            if part.unreadable:
                print(f"{part.unreadable} sự kiện không đọc được / unreadable events: see `dead-letters list`")  # noqa: T201
            cut |= part.cut
            met |= {hash(key) for key in part.facts}
            ordered = sorted(part.facts)
            for at in range(0, len(ordered), RECOMPUTED_AT_ONCE):
                wanted = ordered[at : at + RECOMPUTED_AT_ONCE]
                page, newest, deferred = await _page(database, rules, wanted)
                seen += len(page)
                for key in sorted(set(wanted) - {whole.obligation.key for whole in page} - deferred):
                    found += 1
                    print(entry(key, "có báo cáo mà không có nghĩa vụ / reports, but no obligation"))  # noqa: T201
                for whole in page:
                    obligation, told = whole.obligation, part.facts[whole.obligation.key]
                    if obligation.key in deferred:
                        continue  # some of its events still wait to be applied
                    wrong = recompute.of_reports(obligation.facts, told, cut=bool(part.cut))
                    if wrong is not None:
                        found += 1
                        print(entry(f"{obligation.key}  facts", wrong))  # noqa: T201
                    elif obligation.facts.versions != told.versions:
                        uncovered += 1
                        continue
                    facts = from_events.with_reports_of(obligation.facts, told)
                    derived = store.Whole(replace(obligation, facts=facts), whole.columns, whole.ledger)
                    found += _report(derived, rules, newest, None)
        async with database.read_transaction() as tx:
            unheard = [key for key in await store.keys_with_reports(tx, keys) if hash(key) not in met]
    finally:
        await database.close()
    uncovered += len(unheard) if cut else 0
    for key in [] if cut else unheard:
        found += 1
        print(entry(f"{key}  facts", "không sự kiện nào nói vậy / stored, but no event says so"))  # noqa: T201
    for place, offset in sorted(cut.items()):
        gone = f"{place}: sự kiện trước {offset} không còn ở Kafka / events before {offset} are gone"
        print(f"{gone}: python -m services.<intake|validator> replay")  # noqa: T201
    seconds = monotonic_seconds() - begun
    print(  # noqa: T201
        f"Từ {events} sự kiện tính lại {seen} nghĩa vụ, {found} sai lệch / recomputed from events, differences; "
        f"{uncovered} không đủ sự kiện / lack events; {seconds:.1f} s"
    )
    return 1 if found else (4 if uncovered else 0)


async def _page(
    database: Database, rules: Rules, keys: list[str]
) -> tuple[list[store.Whole], WorkingCalendar, set[str]]:
    """Obligations with their rules at hand, and which of the keys have events that still wait to be applied."""
    async with database.read_transaction() as tx:
        page = await store.read_whole(tx, keys, "", len(keys))
        terms = [whole.obligation.terms for whole in page]
        await rules.fetch(tx, {term.calendar_version for term in terms}, {term.policy_version for term in terms})
        return page, await rules.current_calendar(tx), await store.deferred_keys(tx, keys)


async def _recompute(keys: list[str] | None, as_of: datetime | None) -> int:
    database = Database(database_url("scoring"), pool_size=1, application_name="thongsuot-scoring-recompute")
    rules, seen, found, after = Rules(), 0, 0, ""
    begun, missing = monotonic_seconds(), set(keys or ())
    try:
        while True:
            async with database.read_transaction() as tx:
                page = await store.read_whole(tx, keys, after, RECOMPUTED_AT_ONCE)
                terms = [whole.obligation.terms for whole in page]
                await rules.fetch(
                    tx, {term.calendar_version for term in terms}, {term.policy_version for term in terms}
                )
                newest = await rules.current_calendar(tx)
                then = [] if as_of is None else await reliefs.read_as_of(tx, as_of)
            if not page:
                break
            for whole in page:
                found += _report(whole, rules, newest, as_of, then)
            missing -= {whole.obligation.key for whole in page}
            seen, after = seen + len(page), page[-1].obligation.key
            if sys.stderr.isatty():
                print(f"\r{seen} …", end="", file=sys.stderr, flush=True)  # noqa: T201
    finally:
        await database.close()
    for key in sorted(missing):
        print(f"Không có nghĩa vụ / no such obligation: {key}")  # noqa: T201
    if missing:
        return 1
    seconds = monotonic_seconds() - begun
    print(f"Đã tính lại {seen} nghĩa vụ, {found} sai lệch / recomputed, differences; {seconds:.1f} s")  # noqa: T201
    return 1 if found else 0


def _report(
    whole: store.Whole,
    rules: Rules,
    newest: WorkingCalendar,
    as_of: datetime | None,
    reliefs_then: Sequence[reliefs.ScopedRelief] = (),
) -> int:
    """Print the differences of one obligation, or how it stood; returns how many differ."""
    obligation = whole.obligation
    policy, calendar = rules.policy(obligation.terms), rules.calendar(obligation.terms)
    for tried in (calendar, newest):
        try:
            if as_of is not None:
                covering = [scoped.relief for scoped in reliefs_then if scoped.covers(obligation.key)]
                then = recompute.as_of(obligation, as_of, policy, tried, covering)
                lines = [f"{due.clause} {due.points}: {due.cause}" for due, _ in then.lines]
                print(entry(f"{obligation.key}  {then.state.standing}  {then.state.score}", *lines))  # noqa: T201
                return 0
            unlike = list(recompute.differences(obligation, whole.columns, whole.ledger, policy, tried))
            break
        except CalendarGap:
            if tried is newest:
                raise
    for difference in unlike:
        details = f"đang lưu / stored: {difference.stored}", f"tính lại / derived: {difference.derived}"
        print(entry(f"{difference.key}  {difference.what}", *details))  # noqa: T201
    return len(unlike)
