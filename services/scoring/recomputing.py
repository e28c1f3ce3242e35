"""The command `recompute`: derives obligations again and prints every value that is stored otherwise.

All obligations are divided into ranges of keys, which as many processes as there are cores derive side by side.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from multiprocessing import get_context

from msgspec.structs import replace

from services.scoring.calendar import CalendarGap, WorkingCalendar
from services.scoring.obligations import from_events, recompute, store
from services.scoring.reference_data import Rules
from services.scoring.reliefs import store as reliefs
from shared.postgres.database import Database
from shared.runtime.arguments import CommandParser, moment
from shared.runtime.clock import monotonic_seconds
from shared.runtime.collector import collected_at_the_end
from shared.runtime.operator import entry
from shared.runtime.settings import KafkaSettings
from shared.service.command import database_url

#: obligations read in one transaction, and those that one process is given at a time
PAGE_ROWS, RANGE_ROWS = 5_000, 20_000


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
    return _recompute(given.keys or None, given.as_of)


async def _from_events(keys: set[str] | None, kafka: KafkaSettings) -> int:
    """0 nothing differs, 1 differences, 4 retention has cut off what would be needed to say so of everything."""
    database = _database(database_url("scoring"))
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
            for at in range(0, len(ordered), PAGE_ROWS):
                wanted = ordered[at : at + PAGE_ROWS]
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
                    unlike = _unlike(derived, rules, newest)
                    found += len(unlike)
                    for difference in unlike:
                        print(_entry(difference))  # noqa: T201
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


@dataclass(slots=True)
class Derived:
    """What was derived of a range, or of the keys named: `entries` is what is printed of it."""

    seen: int = 0
    found: int = 0
    entries: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)  # where keys were named


def _recompute(keys: list[str] | None, as_of: datetime | None) -> int:
    begun, whole = monotonic_seconds(), Derived()
    url = database_url("scoring")
    ranges = asyncio.run(_ranges(url)) if keys is None else [("", None)]
    for part in _derive_all(url, ranges, keys, as_of):
        for printed in part.entries:
            print(printed)  # noqa: T201
        whole.seen, whole.found, whole.keys = whole.seen + part.seen, whole.found + part.found, whole.keys | part.keys
        if sys.stderr.isatty():
            print(f"\r{whole.seen} …", end="", file=sys.stderr, flush=True)  # noqa: T201
    missing = sorted(set(keys or ()) - whole.keys)
    for key in missing:
        print(f"Không có nghĩa vụ / no such obligation: {key}")  # noqa: T201
    if missing:
        return 1
    seconds = monotonic_seconds() - begun
    print(  # noqa: T201
        f"Đã tính lại {whole.seen} nghĩa vụ, {whole.found} sai lệch / recomputed, differences; {seconds:.1f} s"
    )
    return 1 if whole.found else 0


async def _ranges(url: str) -> list[tuple[str, str | None]]:
    """Where each range of keys begins (behind that key) and ends (with it); the last has no end."""
    database = _database(url)
    try:
        async with database.read_transaction() as tx:
            ends = await store.every_nth_key(tx, RANGE_ROWS)
    finally:
        await database.close()
    return list(zip(["", *ends], [*ends, None], strict=True))


def _derive_all(
    url: str, ranges: Sequence[tuple[str, str | None]], keys: list[str] | None, as_of: datetime | None
) -> Iterator[Derived]:
    derive = partial(_derive_range, url, keys, as_of)
    processes = min(len(os.sched_getaffinity(0)), len(ranges))
    if processes == 1:
        yield from map(derive, ranges)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(derive, ranges)


def _derive_range(url: str, keys: list[str] | None, as_of: datetime | None, span: tuple[str, str | None]) -> Derived:
    with collected_at_the_end():
        return asyncio.run(_derive(url, keys, as_of, *span))


async def _derive(url: str, keys: list[str] | None, as_of: datetime | None, after: str, until: str | None) -> Derived:
    database, rules, derived = _database(url), Rules(), Derived()
    try:
        while True:
            async with database.read_transaction() as tx:
                page = await store.read_whole(tx, keys, after, PAGE_ROWS, until)
                terms = [whole.obligation.terms for whole in page]
                await rules.fetch(
                    tx, {term.calendar_version for term in terms}, {term.policy_version for term in terms}
                )
                newest = await rules.current_calendar(tx)
                then = [] if as_of is None else await reliefs.read_as_of(tx, as_of)
            if not page:
                return derived
            for whole in page:
                if as_of is not None:
                    derived.entries.append(_then(whole, rules, newest, as_of, then))
                elif unlike := _unlike(whole, rules, newest):
                    derived.found += len(unlike)
                    derived.entries += map(_entry, unlike)
            if keys is not None:
                derived.keys |= {whole.obligation.key for whole in page}
            derived.seen, after = derived.seen + len(page), page[-1].obligation.key
    finally:
        await database.close()


def _database(url: str) -> Database:
    return Database(url, pool_size=1, application_name="thongsuot-scoring-recompute")


def _then(
    whole: store.Whole,
    rules: Rules,
    newest: WorkingCalendar,
    as_of: datetime,
    decided: Sequence[reliefs.ScopedRelief],
) -> str:
    """How one obligation stood then, as it is printed."""
    obligation = whole.obligation
    covering = [scoped.relief for scoped in decided if scoped.covers(obligation.key)]
    policy, calendar = rules.policy(obligation.terms), rules.calendar(obligation.terms)
    try:
        then = recompute.as_of(obligation, as_of, policy, calendar, covering)
    except CalendarGap:
        then = recompute.as_of(obligation, as_of, policy, newest, covering)
    lines = [f"{due.clause} {due.points}: {due.cause}" for due, _ in then.lines]
    return entry(f"{obligation.key}  {then.state.standing}  {then.state.score}", *lines)


def _unlike(whole: store.Whole, rules: Rules, newest: WorkingCalendar) -> list[recompute.Difference]:
    """The differences of one obligation; a year that its own calendar lacks is taken from the newest."""
    obligation = whole.obligation
    policy, calendar = rules.policy(obligation.terms), rules.calendar(obligation.terms)
    try:
        return list(recompute.differences(obligation, whole.columns, whole.ledger, policy, calendar))
    except CalendarGap:
        return list(recompute.differences(obligation, whole.columns, whole.ledger, policy, newest))


def _entry(difference: recompute.Difference) -> str:
    return entry(
        f"{difference.key}  {difference.what}",
        f"đang lưu / stored: {difference.stored}",
        f"tính lại / derived: {difference.derived}",
    )
