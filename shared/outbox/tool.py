"""The operator's commands on events that Kafka does not take: list, show, retry, discard.

A retry moves the event and all that queue behind it back to the outbox in one transaction and under their old ids, so
the relay sends them in the old order.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

import asyncpg

from shared.contract.cloudevents import decode_headers
from shared.outbox.set_aside import LOCK
from shared.runtime.operator import as_json, entry, number, reason, when, who

_COLUMNS = "id, event_id, topic, key, type, traceparent, headers, body, created_at"
_LIST = """
    SELECT id, topic, key, type, error_class, error_text, encoded_bytes, behind, set_aside_at, closed_as
      FROM outbox_set_aside WHERE (closed_at IS NULL) <> $1 ORDER BY id LIMIT 1000
"""
#: an event set aside during a replay also leaves the archive, so that it stays in exactly one place
_BACK = f"""
    WITH back AS (
      DELETE FROM outbox_set_aside a USING outbox_set_aside wanted
       WHERE wanted.id = ANY($1::bigint[]) AND wanted.closed_at IS NULL
         AND a.topic = wanted.topic AND a.key = wanted.key AND a.closed_at IS NULL
      RETURNING a.*),
    sent AS (DELETE FROM outbox_archive WHERE event_id IN (SELECT event_id FROM back WHERE archived))
    INSERT INTO outbox ({_COLUMNS}) OVERRIDING SYSTEM VALUE
    SELECT DISTINCT ON (id) {_COLUMNS} FROM back ORDER BY id
    RETURNING id
"""  # noqa: S608 - constant names
_DISCARD = """
    UPDATE outbox_set_aside
       SET closed_at = clock_timestamp(), closed_as = 'discarded', closed_by = $2, closed_reason = $3
     WHERE id = ANY($1::bigint[]) AND closed_at IS NULL RETURNING id
"""
#: rows that queued behind the discarded rows and behind no other
_FREED = """
    SELECT array_agg(b.id) FROM outbox_set_aside b
     WHERE b.behind = ANY($1::bigint[]) AND b.closed_at IS NULL
       AND NOT EXISTS (SELECT FROM outbox_set_aside f
                        WHERE f.topic = b.topic AND f.key = b.key AND f.closed_at IS NULL AND f.behind IS NULL)
"""


def add_outbox_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", required=True, title="lệnh / commands")
    listing = what.add_parser("list", help="liệt kê sự kiện Kafka không nhận / list what Kafka does not take")
    listing.add_argument("--closed", action="store_true", help="đã bỏ hoặc đã được thay / discarded or superseded")
    show = what.add_parser("show", help="toàn bộ một sự kiện / all of one")
    show.add_argument("id", type=number)
    again = what.add_parser("retry", help="gửi lại, cùng các sự kiện chờ phía sau / send again, with those behind")
    again.add_argument("ids", type=number, nargs="*")
    again.add_argument("--all", action="store_true", help="tất cả / all of them")
    away = what.add_parser("discard", help="bỏ, để các sự kiện sau đi tiếp / give up, so that those behind go on")
    away.add_argument("ids", type=number, nargs="+")
    away.add_argument("--reason", type=reason, required=True, help="lý do, được lưu lại / why; it is kept")


async def outbox(connection: asyncpg.Connection, arguments: argparse.Namespace) -> int:
    """Run `outbox list|show|retry|discard`. Exit code 0, or 1 where nothing was found."""
    match arguments.what:
        case "list":
            return await _list(connection, closed=arguments.closed)
        case "show":
            return await _show(connection, arguments.id)
        case "retry":
            return await _retry(connection, arguments.ids, everything=arguments.all)
        case _:
            return await _discard(connection, arguments.ids, arguments.reason)


async def _list(connection: asyncpg.Connection, *, closed: bool) -> int:
    rows = await connection.fetch(_LIST, closed)
    for row in rows:
        why = f"xếp sau / queues after {row['behind']}" if row["behind"] is not None else row["error_text"]
        state = f"[{row['closed_as']}]" if row["closed_as"] else ""
        print(entry(f"{row['id']:>8}  {when(row['set_aside_at'])}  {row['topic']}", row["key"], why, state))
    print(f"{len(rows)} sự kiện Kafka không nhận / events that Kafka does not take")
    return 0


async def _show(connection: asyncpg.Connection, number: int) -> int:
    row = await connection.fetchrow("SELECT * FROM outbox_set_aside WHERE id = $1", number)
    if row is None:
        print(f"Không có sự kiện {number} / there is no event {number} set aside", file=sys.stderr)
        return 1
    shown = {name: value for name, value in row.items() if name not in {"headers", "body"}}
    headers = decode_headers(row["headers"]) if row["headers"] else []
    shown["headers"] = {name: value.decode("utf-8", "replace") for name, value in headers}
    shown["body"] = row["body"].decode("utf-8", "replace") if row["body"] is not None else None
    print(json.dumps(shown, default=as_json, ensure_ascii=False, indent=2))
    return 0


async def _retry(connection: asyncpg.Connection, ids: Sequence[int], *, everything: bool) -> int:
    async with connection.transaction():
        await connection.execute(LOCK)
        if everything:
            rows = await connection.fetch("SELECT id FROM outbox_set_aside WHERE closed_at IS NULL")
            ids = [row["id"] for row in rows]
        back = await connection.fetch(_BACK, ids)
    print(f"{len(back)} sự kiện trở lại hàng gửi / events are back in the outbox")
    if not back:
        print(
            "Không có gì để gửi lại: đã gửi, đã bỏ hoặc đã được thay / "
            "nothing to send again: sent already, discarded or superseded",
            file=sys.stderr,
        )
    return 0 if back else 1


async def _discard(connection: asyncpg.Connection, ids: Sequence[int], reason: str) -> int:
    async with connection.transaction():
        await connection.execute(LOCK)
        gone = [row["id"] for row in await connection.fetch(_DISCARD, ids, who(), reason)]
        freed = await connection.fetchval(_FREED, gone)
        back = await connection.fetch(_BACK, freed) if freed else []
    print(
        f"Bỏ {len(gone)} sự kiện, giữ bằng chứng; {len(back)} sự kiện phía sau trở lại hàng gửi / "
        f"gave up {len(gone)}, evidence kept; {len(back)} behind them are back in the outbox"
    )
    return 0 if gone else 1
