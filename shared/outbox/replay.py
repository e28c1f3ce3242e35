"""Sends archived events again under their own ids to rebuild topics; inboxes drop the events they already have.

The relay stores its progress, so an interrupted replay continues where it stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from shared.outbox.sending import Place, Sent
from shared.runtime import failpoints
from shared.runtime.clock import monotonic_seconds
from shared.telemetry import metrics
from shared.telemetry.logging import get_logger

log = get_logger()

BATCH_ROWS = 1000
BATCH_BYTES = 16 * 1024 * 1024
_COLUMNS = "id, event_id, topic, key, type, traceparent, headers, body, created_at"
#: reads rows up to a size of bodies that fits into memory; at least one
_BOUNDED = f"""
    SELECT {_COLUMNS}
      FROM (SELECT *, sum(octet_length(body)) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
                     AS before
              FROM (SELECT * FROM outbox_archive WHERE {{where}} ORDER BY id LIMIT {{rows}}) AS first) AS o
     WHERE coalesce(before, 0) < {BATCH_BYTES} ORDER BY id
"""  # noqa: S608 - constant names


Send = Callable[[Sequence[Mapping[str, Any]]], Awaitable[Sent]]
PutAside = Callable[[asyncpg.Connection, Sent], Awaitable[None]]


class ReplayState:
    """What the relay stores about the cluster: its id, the position of each partition, and a replay in progress."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def _value(self, name: str) -> str | None:
        value = await self._connection.fetchval("SELECT value FROM relay_state WHERE name = $1", name)
        return None if value is None else str(value)

    async def _set(self, name: str, value: str) -> None:
        await self._connection.execute(
            "INSERT INTO relay_state VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            name,
            value,
        )

    async def positions(self) -> dict[tuple[str, int], int]:
        rows = await self._connection.fetch("SELECT topic, partition, last_offset FROM relay_position")
        return {(row["topic"], row["partition"]): row["last_offset"] for row in rows}

    async def cluster(self) -> str | None:
        return await self._value("cluster")

    async def remember_cluster(self, cluster: str) -> None:
        await self._set("cluster", cluster)

    async def pending(self) -> bool:
        return await self._value("replay_after") is not None

    async def begin(self, cluster: str) -> None:
        """Start a replay of the whole archive; forget the positions, which belong to the lost log."""
        async with self._connection.transaction():
            await self._connection.execute("DELETE FROM relay_position")
            await self._set("cluster", cluster)
            await self._set("replay_after", "0")

    async def after(self) -> int:
        return int(await self._value("replay_after") or 0)

    async def advance(self, last_id: int, positions: Mapping[Place, int]) -> None:
        async with self._connection.transaction():
            await self._connection.executemany(
                "INSERT INTO relay_position VALUES ($1, $2, $3) ON CONFLICT (topic, partition) DO UPDATE "
                "SET last_offset = greatest(relay_position.last_offset, excluded.last_offset)",
                [(topic, partition, offset) for (topic, partition), offset in positions.items()],
            )
            await self._set("replay_after", str(last_id))

    async def finish(self) -> None:
        await self._connection.execute("DELETE FROM relay_state WHERE name = 'replay_after'")


async def resend_archive(
    connection: asyncpg.Connection, state: ReplayState, send: Send, put_aside: PutAside, stopping: asyncio.Event
) -> None:
    """Send the whole archive again in id order, starting at the stored progress."""
    total = 0
    while not stopping.is_set():
        after = await state.after()
        rows = await connection.fetch(
            _BOUNDED.format(where="id > $1", rows="$2"),
            after,
            BATCH_ROWS,
        )
        if not rows:
            failpoints.hit("replay.before_finish")
            await state.finish()
            log.info("The archive has been sent again.", action="replay.finished", events=total)
            return
        sent = await send(rows)
        if sent.trouble is not None:
            raise sent.trouble
        failpoints.hit("replay.between_send_and_progress")
        await put_aside(connection, sent)  # the new log may have a lower size limit than the lost one
        await state.advance(rows[-1]["id"], sent.positions)
        total += len(sent.rows)
        _count(sent.rows)


@dataclass(frozen=True, slots=True)
class Selection:
    """The archived events that an operator wants to send again; None means no bound."""

    since: datetime | None = None
    until: datetime | None = None
    type: str | None = None
    key: str | None = None

    def where(self) -> tuple[str, list[Any]]:
        """SQL condition with parameters from $2 on ($1 is the keyset position)."""
        conditions, values = ["id > $1"], []
        for column, operator, value in (
            ("created_at", ">=", self.since),
            ("created_at", "<", self.until),
            ("type", "=", self.type),
            ("key", "=", self.key),
        ):
            if value is not None:
                values.append(value)
                conditions.append(f"{column} {operator} ${len(values) + 1}")
        return " AND ".join(conditions), values


async def count_selected(connection: asyncpg.Connection, selection: Selection) -> dict[str, int]:
    """Events by type that `replay_selected` would send."""
    where, values = selection.where()
    rows = await connection.fetch(
        f"SELECT type, count(*) AS events FROM outbox_archive WHERE {where} GROUP BY type ORDER BY type",  # noqa: S608
        0,
        *values,
    )
    return {row["type"]: row["events"] for row in rows}


async def replay_selected(
    connection: asyncpg.Connection,
    selection: Selection,
    send: Send,
    *,
    rate_per_second: float | None = None,
    progress: Callable[[int], None] = lambda sent: None,
    refused: Callable[[Sent], None] = lambda sent: None,
) -> int:
    """Send the selected archived events again in id order, at most `rate_per_second`. Returns how many were sent.

    Passes events that Kafka does not take to `refused`; they stay in the archive.
    """
    where, values = selection.where()
    after, sent, started = 0, 0, monotonic_seconds()
    batch_rows = BATCH_ROWS if rate_per_second is None else max(1, min(BATCH_ROWS, int(rate_per_second)))
    while True:
        rows = await connection.fetch(
            _BOUNDED.format(where=where, rows=batch_rows),
            after,
            *values,
        )
        if not rows:
            return sent
        outcome = await send(rows)
        if outcome.trouble is not None:
            raise outcome.trouble
        if outcome.refused:
            refused(outcome)
        after = rows[-1]["id"]
        sent += len(outcome.rows)
        _count(outcome.rows)
        progress(sent)
        if rate_per_second is not None:
            ahead_seconds = sent / rate_per_second - (monotonic_seconds() - started)
            if ahead_seconds > 0:
                await asyncio.sleep(ahead_seconds)


def _count(rows: Sequence[Mapping[str, Any]]) -> None:
    by_topic: dict[str, int] = {}
    for row in rows:
        by_topic[row["topic"]] = by_topic.get(row["topic"], 0) + 1
    for topic, events in by_topic.items():
        metrics.REPLAY_PUBLISHED_TOTAL.labels(topic).inc(events)
