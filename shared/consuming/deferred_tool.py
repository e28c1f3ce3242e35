"""The operator's commands on deferred events: list, show, retry, bury.

A retry makes the service's next round apply the first event of the key, whatever it awaits; if the awaited name is
still missing, the event is deferred again. Burying makes a dead letter, which can be replayed; then the key's next
event is retried, since the name it awaits may have been that of the buried one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import text

from shared.consuming import dead_letters, deferred_events, inbox
from shared.consuming.dead_letters import DeadLetter
from shared.consuming.dead_letters_tool import REPLAYED
from shared.consuming.preparing import ALONE
from shared.postgres.bulk import parameters, unnest
from shared.postgres.database import Database, Transaction
from shared.runtime.operator import as_json, entry, named, number, reason, when, who

_GROUPS = text("""
    SELECT consumer, awaits, count(*) AS events, count(DISTINCT key) AS keys, min(deferred_at) AS since,
           sum(count(*)) OVER () AS in_all
      FROM deferred_events GROUP BY consumer, awaits ORDER BY min(id) LIMIT 1000
""")
_EVENTS = text("""
    SELECT id, consumer, awaits, key, event_id, topic, partition, "offset", deferred_at FROM deferred_events
     WHERE awaits = :what OR key = :what OR id::text = :what OR event_id::text = :what ORDER BY id LIMIT 1000
""")
_WHOLE = text("SELECT * FROM deferred_events WHERE id = :id")
_CHOSEN = text("""
    SELECT id FROM deferred_events
     WHERE id = ANY(CAST(:ids AS bigint[])) OR awaits = ANY(CAST(:names AS text[])) OR :everything ORDER BY id
""")
_KEYS = text("SELECT DISTINCT consumer, key FROM deferred_events WHERE id = ANY(CAST(:ids AS bigint[]))")
_NAMED = {"consumer": "text", "key": "text"}
#: retries only the first event of a key; the later ones follow once it is applied
_RETRY = text(f"""
    UPDATE deferred_events SET awaits = :replayed
     WHERE id IN (SELECT DISTINCT ON (w.consumer, w.key) w.id
                    FROM deferred_events w JOIN {unnest(_NAMED)} USING (consumer, key)
                   ORDER BY w.consumer, w.key, w.id)
       AND awaits NOT LIKE :alone
    RETURNING id
""")  # noqa: S608 - constant names
_LOCKED = text("SELECT * FROM deferred_events WHERE id = ANY(CAST(:ids AS bigint[])) ORDER BY id FOR UPDATE")

#: events buried in one transaction: each may have a megabyte, and thousands may await one name
BURIED_AT_ONCE = 50


def add_deferred_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", required=True, title="lệnh / commands")
    what.add_parser("list", help="chờ điều gì, từ khi nào, bao nhiêu / what awaits what, since when, how many")
    show = what.add_parser("show", help="các sự kiện / the events")
    show.add_argument("name", help="điều đang chờ, khóa, số hoặc event_id / awaited name, key, number or event_id")
    again = what.add_parser("retry", help="thử lại ngay / try again now")
    bury = what.add_parser("bury", help="chuyển thành sự kiện hỏng, giữ bằng chứng / make dead letters of them")
    for action in (again, bury):
        action.add_argument("ids", type=number, nargs="*")
        action.add_argument(
            "--awaits", action="append", default=[], metavar="NAME", help="mọi sự kiện chờ / all of this"
        )
    again.add_argument("--all", action="store_true", help="tất cả / all of them")
    bury.add_argument("--reason", type=reason, required=True, help="lý do, được lưu lại / why; it is kept")


async def deferred(service: str, url: str, arguments: argparse.Namespace) -> int:
    """Run `deferred list|show|retry|bury`. Exit code 0; 1 if nothing was found; 2 if no event was named."""
    if arguments.what in ("retry", "bury") and not (
        arguments.ids or arguments.awaits or getattr(arguments, "all", False)
    ):
        print("Hãy nêu số hoặc --awaits / name numbers, or --awaits NAME", file=sys.stderr)
        return 2
    database = Database(url, pool_size=1, application_name=f"thongsuot-{service}-command", server_settings=named())
    try:
        match arguments.what:
            case "list":
                async with database.transaction() as tx:
                    return await _list(tx)
            case "show":
                async with database.transaction() as tx:
                    return await _show(tx, arguments.name)
            case "retry":
                async with database.transaction() as tx:
                    ids = await _chosen(tx, arguments)
                    tried = await _retry(tx, [tuple(row) for row in await tx.execute(_KEYS, {"ids": ids})])
                print(f"{tried} khóa được thử lại trong vài giây / keys are tried again within seconds")
                return 0 if tried else 1
            case _:
                return await _bury(database, service, arguments)
    finally:
        await database.close()


async def _list(tx: Transaction) -> int:
    rows = (await tx.execute(_GROUPS)).all()
    for row in rows:
        awaits = "được thử riêng / is applied alone" if row.awaits.startswith(ALONE) else row.awaits
        print(entry(f"{when(row.since)}  {row.consumer}", awaits, f"{row.events} ({row.keys} khóa / keys)"))
    print(f"{rows[0].in_all if rows else 0} sự kiện tạm hoãn / deferred events")
    return 0


async def _show(tx: Transaction, name: str) -> int:
    rows = (await tx.execute(_EVENTS, {"what": name})).all()
    if not rows:
        print(f"Không có sự kiện nào tạm hoãn vì {name} / nothing is deferred for {name}", file=sys.stderr)
        return 1
    if len(rows) == 1:
        whole = (await tx.execute(_WHOLE, {"id": rows[0].id})).mappings().one()
        shown: dict[str, Any] = {key: value for key, value in whole.items() if key not in {"headers", "value"}}
        shown["value"] = (whole["value"] or b"").decode("utf-8", "replace")
        print(json.dumps(shown, default=as_json, ensure_ascii=False, indent=2))
        return 0
    for row in rows:
        place = f"{row.topic}-{row.partition}@{row.offset}"
        print(entry(f"{row.id:>8}  {when(row.deferred_at)}  {row.consumer}", row.key, place, row.awaits))
    return 0


async def _chosen(tx: Transaction, arguments: argparse.Namespace) -> list[int]:
    values = {"ids": arguments.ids, "names": arguments.awaits, "everything": getattr(arguments, "all", False)}
    return list((await tx.execute(_CHOSEN, values)).scalars())


async def _retry(tx: Transaction, keys: Iterable[Sequence[str]]) -> int:
    """Retry the first event of each of these (consumer, key). Returns how many were found."""
    values = {**parameters(_NAMED, keys), "replayed": REPLAYED, "alone": f"{ALONE}%"}
    return len((await tx.execute(_RETRY, values)).all())


async def _bury(database: Database, service: str, arguments: argparse.Namespace) -> int:
    async with database.transaction() as tx:
        ids = await _chosen(tx, arguments)
    buried, keys = 0, set[tuple[str, str]]()
    for start in range(0, len(ids), BURIED_AT_ONCE):
        async with database.transaction() as tx:
            gone = await _bury_some(tx, service, ids[start : start + BURIED_AT_ONCE], arguments.reason)
        buried += len(gone)
        keys.update(gone)
    if keys:  # the next event of a key carries the buried one's awaited name, and may lack nothing itself
        async with database.transaction() as tx:
            await _retry(tx, sorted(keys))
    print(f"{buried} sự kiện chuyển thành sự kiện hỏng, đưa lại được / dead letters now; they can be replayed")
    return 0 if buried else 1


async def _bury_some(tx: Transaction, service: str, ids: Sequence[int], reason: str) -> list[tuple[str, str]]:
    """Make dead letters of those that are still deferred. Returns the consumer and key of each."""
    by_consumer: dict[str, list[tuple[deferred_events.DeferredEvent, DeadLetter]]] = {}
    for whole in await tx.execute(_LOCKED, {"ids": list(ids)}):
        row = deferred_events.event_of(whole)
        kind = dict(row.record.headers).get("ce_type", b"").decode("utf-8", "replace")
        why = f"buried by {who()} while it awaited {row.awaits}: {reason}"
        letter = DeadLetter(row.record, row.event_id, kind, "Buried", why, 1, whole.deferred_at)
        by_consumer.setdefault(whole.consumer, []).append((row, letter))
    for consumer, pairs in by_consumer.items():
        await deferred_events.remove(tx, [row.id for row, _ in pairs])
        await inbox.release(tx, consumer, [row.event_id for row, _ in pairs])
        await dead_letters.bury(tx, service, consumer, [letter for _, letter in pairs])
    return [(consumer, row.key) for consumer, pairs in by_consumer.items() for row, _ in pairs]
