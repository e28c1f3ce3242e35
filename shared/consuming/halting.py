"""Keeps a halted consumer halted until an operator resumes it, across restarts and in all instances.

The halt is a row of the service's database, written in a transaction of its own; so is the operator's order. Both are
noticed by looking, so a look that failed is made good by the next. An order covers what was written before it was
given: a log that begins again has other records at the same offsets.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from sqlalchemy import text

from shared.consuming.batch import Record
from shared.consuming.dead_letters import DeadLetter
from shared.consuming.dlq_limit import Absurd, DlqLimit
from shared.consuming.health import Health
from shared.postgres.database import Database
from shared.telemetry import metrics
from shared.telemetry.logging import get_logger

log = get_logger()

LOOK_SECONDS = 1.0
#: limit on a bad record's bytes and reason in the halt's row; Kafka holds the whole record
_SHOWN_BYTES = 500

_OPEN = text("SELECT halted_at, causes FROM consumer_halt WHERE consumer = :consumer AND resumed_at IS NULL")
_ORDERS = text('SELECT topic, partition, "offset", ordered_at FROM consumer_bury_to WHERE consumer = :consumer')
_HALT = text("""
    INSERT INTO consumer_halt (consumer, rejected, records, causes, batch)
    VALUES (:consumer, :rejected, :records, CAST(:causes AS jsonb), CAST(:batch AS jsonb))
    ON CONFLICT (consumer) WHERE resumed_at IS NULL DO NOTHING
""")


class Halting:
    """The halt of one subscription, and the offsets up to which an operator has ordered bad records to be buried."""

    def __init__(self, service: str, consumer: str, database: Database, health: Health, limit: DlqLimit) -> None:
        self._service = service
        self._consumer = consumer
        self._database = database
        self._health = health
        self._limit = limit
        self._orders: dict[tuple[str, int], tuple[int, float]] = {}  # partition -> up to where, given when (ms)
        self._looked = False
        self._writing = False  # a halt not yet stored in the database
        metrics.CONSUMER_HALTED.labels(consumer)

    @property
    def halted(self) -> bool:
        return self._health.halted

    def excused(self, record: Record) -> bool:
        """Whether an operator has ordered this record to be buried if it is bad."""
        offset, ordered_ms = self._orders.get((record.topic, record.partition), (-1, 0.0))
        return record.offset <= offset and (record.written_ms is None or record.written_ms <= ordered_ms)

    async def look(self) -> bool:
        """Read halts and orders. Returns whether the consumer may continue. Raises what the database raises."""
        async with self._database.read_transaction() as snapshot:
            row = (await snapshot.execute(_OPEN, {"consumer": self._consumer})).one_or_none()
            orders = await snapshot.execute(_ORDERS, {"consumer": self._consumer})
            self._orders = {
                (order.topic, order.partition): (order.offset, order.ordered_at.timestamp() * 1000) for order in orders
            }
        self._looked = True
        if row is not None:
            self._halted(f"since {row.halted_at:%F %T%z}, {_most(row.causes)}")
        elif self._health.halted and not self._writing:
            self._health.halted = False
            self._limit.clear()
            metrics.CONSUMER_HALTED.labels(self._consumer).set(0)
            log.info("The consumer was resumed.", action="consumer.resumed", consumer=self._consumer)
        return not self._health.halted

    async def may_go_on(self, pause: Callable[[float], Awaitable[None]]) -> None:
        """Return once the consumer may continue. `pause` waits for some seconds and raises when the service stops."""
        while not self._looked or self._health.halted:
            try:
                if await self.look():
                    return
            except Exception as error:
                log.warning(
                    "Cannot read yet whether the consumer is halted.",
                    action="consumer.halt_unknown",
                    consumer=self._consumer,
                    error=repr(error)[:500],
                )
            await pause(LOOK_SECONDS)

    async def halt(self, absurd: Absurd, pause: Callable[[float], Awaitable[None]]) -> None:
        """Store the halt and return once it ends. Raises what `pause` raises."""
        self._writing = True
        causes = [asdict(cause) for cause in absurd.causes]
        self._halted(_most(causes))
        log.critical(
            "Too many records are bad; this looks like a broken deploy. The consumer has halted; nothing is lost.",
            action="consumer.halted",
            consumer=self._consumer,
            rejected=absurd.rejected,
            records=absurd.records,
            causes=causes[:3],
            next=f"python -m services.{self._service} consumers show {self._consumer}; docs/stuck-events.md",
        )
        values = {
            "consumer": self._consumer,
            "rejected": absurd.rejected,
            "records": absurd.records,
            "causes": _stored(causes),
            "batch": _stored([_shown(letter) for letter in absurd.letters]),
        }
        while True:
            try:
                async with self._database.transaction() as tx:
                    await tx.execute(_HALT, values)
                break
            except Exception as error:
                log.warning(
                    "Could not record the halt yet; trying again.",
                    action="consumer.halt_not_written",
                    consumer=self._consumer,
                    error=repr(error)[:500],
                )
                await pause(LOOK_SECONDS)
        self._writing = False
        await self.may_go_on(pause)

    async def watch(self, stopping: asyncio.Event) -> None:
        """Poll for halts of other instances and for the operator's orders."""
        while not stopping.is_set():
            try:
                await self.look()
            except Exception as error:
                log.info(
                    "Cannot read which consumers are halted.", action="consumer.halt_unknown", error=repr(error)[:500]
                )
            try:
                await asyncio.wait_for(stopping.wait(), LOOK_SECONDS)
            except TimeoutError:
                continue

    def _halted(self, why: str) -> None:
        self._health.halted = True
        self._health.halted_for = (
            f"{why}; python -m services.{self._service} consumers show {self._consumer}, docs/stuck-events.md"
        )
        metrics.CONSUMER_HALTED.labels(self._consumer).set(1)


def _most(causes: list[dict[str, Any]]) -> str:
    if not causes:
        return "too many records are bad"
    return f"{causes[0]['records']} records of {causes[0]['senders']} senders: {causes[0]['cause']}"


def _shown(letter: DeadLetter) -> dict[str, Any]:
    record = letter.record
    return {
        "place": f"{record.topic}-{record.partition}@{record.offset}",
        "event_id": str(letter.event_id) if letter.event_id else None,
        "key": (record.key or b"")[:_SHOWN_BYTES].decode("utf-8", "replace"),
        "type": letter.type,
        "error_class": letter.error_class,
        "error": letter.error_text[:_SHOWN_BYTES],
        "value": (record.value or b"")[:_SHOWN_BYTES].decode("utf-8", "replace"),
    }


def _stored(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\\u0000", "\ufffd")
