"""The operator's commands on dead letters: list, show, replay, discard, restore.

A replay hands the original to the consumer that gave it up. Replaying twice applies once: the same transaction marks
the letter as replayed and claims its event in the inbox. A discarded letter can be restored until it is purged.
"""

from __future__ import annotations

import argparse
import json
import sys

import asyncpg

from shared.contract.cloudevents import decode_headers
from shared.outbox.purge import RESTORE_DAYS
from shared.postgres.connecting import connect
from shared.postgres.database import plain_url
from shared.runtime.operator import as_json, entry, named, number, reason, when, who

#: what replayed events "await": the runtime always resolves this name, so the next round releases them
REPLAYED = "dead-letter replay"

_REPLAY = """
    WITH letters AS (
      UPDATE dead_letter SET replayed_at = clock_timestamp()
       WHERE id = ANY($1::bigint[]) AND replayed_at IS NULL AND discarded_at IS NULL AND event_id IS NOT NULL
         AND consumer <> 'relay'
       RETURNING id, consumer, coalesce(encode(key, 'escape'), '') AS key, event_id, topic, partition, "offset",
                 headers, value),
    claimed AS (
      INSERT INTO inbox (consumer, event_id) SELECT consumer, event_id FROM letters ORDER BY event_id
      ON CONFLICT DO NOTHING RETURNING consumer, event_id)
    INSERT INTO deferred_events (consumer, key, awaits, event_id, topic, partition, "offset", headers, value)
    SELECT l.consumer, l.key, $2, l.event_id, l.topic, l.partition, l."offset", l.headers, l.value
      FROM letters l JOIN claimed USING (consumer, event_id) ORDER BY l.id
    RETURNING event_id
"""


_LIST = """
    SELECT id, consumer, topic, partition, "offset", left(error_text, 100) AS error_text, rejected_at,
           discarded_at, discarded_by, discarded_reason
      FROM dead_letter WHERE replayed_at IS NULL AND (discarded_at IS NOT NULL) = $1 ORDER BY id LIMIT 1000
"""
_OPEN = "SELECT id FROM dead_letter WHERE replayed_at IS NULL AND discarded_at IS NULL"
_COUNT = "SELECT count(*) FROM dead_letter WHERE replayed_at IS NULL AND (discarded_at IS NOT NULL) = $1"
_DISCARD = """
    UPDATE dead_letter SET discarded_at = clock_timestamp(), discarded_by = $2, discarded_reason = $3
     WHERE id = ANY($1::bigint[]) AND replayed_at IS NULL AND discarded_at IS NULL RETURNING id
"""
_RESTORE = """
    UPDATE dead_letter SET discarded_at = NULL, discarded_by = NULL, discarded_reason = NULL
     WHERE id = ANY($1::bigint[]) AND discarded_at > clock_timestamp() - make_interval(days => $2) RETURNING id
"""


def add_dead_letter_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", required=True, title="lệnh / commands")
    listing = what.add_parser("list", help="liệt kê chưa xử lý / list the open ones")
    listing.add_argument("--discarded", action="store_true", help="đã bỏ: ai, khi nào, vì sao / with who, when, why")
    show = what.add_parser("show", help="toàn bộ bằng chứng / all evidence of one")
    show.add_argument("id", help="số hoặc dead_letter_id / number or dead_letter_id")
    again = what.add_parser("replay", help="đưa lại cho bên nhận / feed to its consumer again")
    again.add_argument("ids", type=number, nargs="*")
    again.add_argument("--all", action="store_true", help="tất cả chưa xử lý / all that are open")
    away = what.add_parser(
        "discard", help=f"bỏ, xóa sau {RESTORE_DAYS} ngày / give up, purged after {RESTORE_DAYS} days"
    )
    away.add_argument("ids", type=number, nargs="+")
    away.add_argument("--reason", type=reason, required=True, help="lý do, được lưu lại / why; it is kept")
    back = what.add_parser("restore", help=f"lấy lại trong {RESTORE_DAYS} ngày / take back within {RESTORE_DAYS} days")
    back.add_argument("ids", type=number, nargs="+")


async def dead_letters(service: str, url: str, arguments: argparse.Namespace) -> int:
    """Run `dead-letters list|show|replay|discard|restore`. Exit code 0, or 1 where nothing was found."""
    connection = await connect(plain_url(url), timeout=10, server_settings=named())
    try:
        match arguments.what:
            case "list":
                return await _list(connection, discarded=getattr(arguments, "discarded", False))
            case "show":
                return await _show(connection, arguments.id)
            case "discard":
                return await _discard(connection, arguments.ids, arguments.reason)
            case "restore":
                return await _restore(connection, arguments.ids)
            case _:
                return await _feed(connection, arguments.ids, everything=arguments.all)
    finally:
        await connection.close()


async def _list(connection: asyncpg.Connection, *, discarded: bool) -> int:
    rows = await connection.fetch(_LIST, discarded)
    for row in rows:
        place = f"{row['topic']}-{row['partition']}@{row['offset']}"
        why = row["error_text"]
        if discarded:
            why = f"{when(row['discarded_at'])} {row['discarded_by']}: {row['discarded_reason']}"
        print(entry(f"{row['id']:>8}  {when(row['rejected_at'])}  {row['consumer']}", place, why))
    print(f"{await connection.fetchval(_COUNT, discarded)} sự kiện hỏng / dead letters")
    return 0


async def _discard(connection: asyncpg.Connection, ids: list[int], reason: str) -> int:
    gone = {row["id"] for row in await connection.fetch(_DISCARD, ids, who(), reason)}
    print(
        f"Bỏ {len(gone)} sự kiện hỏng, lấy lại được trong {RESTORE_DAYS} ngày / "
        f"discarded {len(gone)}, can be restored for {RESTORE_DAYS} days"
    )
    return _others(ids, gone, "không có, đã bỏ hoặc đã đưa lại / not there, discarded or replayed already")


async def _restore(connection: asyncpg.Connection, ids: list[int]) -> int:
    back = {row["id"] for row in await connection.fetch(_RESTORE, ids, RESTORE_DAYS)}
    print(f"Lấy lại {len(back)} sự kiện hỏng / restored {len(back)}")
    return _others(ids, back, f"chưa bỏ, hoặc quá {RESTORE_DAYS} ngày / not discarded, or over {RESTORE_DAYS} days ago")


def _others(ids: list[int], done: set[int], why: str) -> int:
    if left := sorted(set(ids) - done):
        print(f"{', '.join(map(str, left))}: {why}", file=sys.stderr)
    return 0 if done else 1


async def _show(connection: asyncpg.Connection, number: str) -> int:
    row = await connection.fetchrow(
        "SELECT * FROM dead_letter WHERE id::text = $1 OR dead_letter_id::text = $1", str(number).lower()
    )
    if row is None:
        print(f"Không có sự kiện hỏng {number} / there is no dead letter {number}", file=sys.stderr)
        return 1
    shown = {name: value for name, value in row.items() if name not in {"headers", "key", "value"}}
    shown["headers"] = {name: value.decode("utf-8", "replace") for name, value in decode_headers(row["headers"])}
    shown["key"] = row["key"].decode("utf-8", "replace") if row["key"] is not None else None
    shown["value"] = row["value"].decode("utf-8", "replace") if row["value"] is not None else None
    print(json.dumps(shown, default=as_json, ensure_ascii=False, indent=2))
    return 0


async def _feed(connection: asyncpg.Connection, ids: list[int], *, everything: bool) -> int:
    if everything:
        ids = [row["id"] for row in await connection.fetch(_OPEN)]
    if not await connection.fetch(f"{_OPEN} AND id = ANY($1::bigint[])", ids):
        print("Không có gì để đưa lại / nothing to replay", file=sys.stderr)
        return 1
    async with connection.transaction():
        fed = await connection.fetch(_REPLAY, ids, REPLAYED)
    left = len(ids) - len(fed)
    print(
        f"Đưa lại {len(fed)} sự kiện; không có, đã bỏ, đã đưa, đã áp dụng hoặc không đọc được: {left} / "
        f"fed {len(fed)} again; not there, discarded, already fed, applied or unreadable: {left}"
    )
    return 0 if fed else 1
