"""The base of the four processes: a relay that deletes only acknowledged rows, and consumption in batches."""

from __future__ import annotations

import asyncio
import gc
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID
from zlib import crc32

import asyncpg
import uuid_utils
import uvicorn
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder

PREFIX = os.environ.get("KAFKA_TOPIC_PREFIX", "")
BOOTSTRAP = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "")

BACKBONE = """
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id uuid NOT NULL, topic text NOT NULL,
    key text NOT NULL, type text NOT NULL, body bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE outbox_archive (LIKE outbox);
CREATE TABLE inbox (consumer text NOT NULL, event_id uuid NOT NULL, PRIMARY KEY (consumer, event_id));
"""
_SELECT = "SELECT id, event_id, topic, key, type, body, created_at FROM outbox ORDER BY id LIMIT 1000"
_SENT = """
    WITH sent AS (DELETE FROM outbox WHERE id = ANY($1::bigint[]) RETURNING *)
    INSERT INTO outbox_archive SELECT * FROM sent
"""

Apply = Callable[[Sequence[ConsumerRecord]], Awaitable[int]]


def new_id() -> UUID:
    return UUID(int=uuid_utils.uuid7().int)


def province() -> Any:
    """What the load's registry says."""
    return json.loads(Path(os.environ["BENCH_PROVINCE"]).read_text(encoding="utf-8"))


def event_id(record: ConsumerRecord) -> UUID:
    return UUID(next(value for name, value in record.headers if name == "ce_id").decode())


def event_type(record: ConsumerRecord) -> str:
    return str(next(value for name, value in record.headers if name == "ce_type").decode())


async def pool(url: str, size: int = 4) -> asyncpg.Pool:
    return await asyncpg.create_pool(url, min_size=1, max_size=size, server_settings={"jit": "off"})


class Process:
    """A service: its relay, its consumers, and a small HTTP server for readiness and one count."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.url = os.environ[f"{name.upper()}_DATABASE_URL"]
        self.source = f"/floor/{name}".encode()
        self.applied: dict[tuple[str, str], int] = {}
        self.joined = 0
        self.wanted = 0
        self.tasks: list[asyncio.Task[None]] = []

    def start(self, work: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            await work()

        self.tasks.append(asyncio.create_task(run()))

    async def relay(self) -> None:
        connection = await asyncpg.connect(self.url, server_settings={"jit": "off"})
        await connection.fetchval("SELECT pg_advisory_lock(1)")
        producer: AIOKafkaProducer | None = None
        while True:
            rows = await connection.fetch(_SELECT)
            if rows:
                try:
                    if producer is None:
                        producer = AIOKafkaProducer(
                            bootstrap_servers=BOOTSTRAP, acks="all", linger_ms=2, max_batch_size=256 * 1024
                        )
                        await producer.start()
                    await self._send(producer, rows)
                    await connection.execute(_SENT, [row["id"] for row in rows])
                except KafkaError:
                    if producer is not None:
                        await producer.stop()
                    producer = None
                    await asyncio.sleep(0.5)
                    continue
            if len(rows) < 1000:
                await asyncio.sleep(0.02)  # records that arrive meanwhile make a batch

    async def _send(self, producer: AIOKafkaProducer, rows: Sequence[Any]) -> None:
        """Sends one batch per partition: the producer's own way costs a future and two waits per event."""
        building: dict[tuple[str, int], BatchBuilder] = {}
        sent: list[asyncio.Future[Any]] = []

        async def submit(place: tuple[str, int]) -> None:
            builder = building.pop(place)
            builder.close()
            sent.append(await producer.send_batch(builder, place[0], partition=place[1]))

        for row in rows:
            topic, key = PREFIX + row["topic"], row["key"].encode()
            place = topic, crc32(key) % len(await producer.partitions_for(topic))
            message: dict[str, Any] = {
                "timestamp": None,
                "key": key,
                "value": row["body"],
                "headers": [
                    ("ce_specversion", b"1.0"),
                    ("ce_id", str(row["event_id"]).encode()),
                    ("ce_type", row["type"].encode()),
                    ("ce_source", self.source),
                ],
            }
            if place in building and building[place].append(**message) is None:
                await submit(place)
            if place not in building:
                building[place] = producer.create_batch()
                building[place].append(**message)
        for place in list(building):
            await submit(place)
        await asyncio.gather(*sent)

    def consume(self, group: str, topics: Sequence[str], apply: Apply, counted: str = "") -> None:
        """Apply batches of up to 500 records, then commit their offsets. `apply` returns how many were new."""
        self.wanted += 1

        async def run() -> None:
            consumer = AIOKafkaConsumer(
                *(PREFIX + topic for topic in topics),
                bootstrap_servers=BOOTSTRAP,
                group_id=f"{PREFIX}{self.name}.{group}",
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                fetch_min_bytes=64 * 1024,  # or as many as arrive within 50 ms: worth a transaction
                fetch_max_wait_ms=50,
                max_partition_fetch_bytes=256 * 1024,
            )
            await consumer.start()
            joined = False
            while True:
                found = await consumer.getmany(timeout_ms=200, max_records=500)
                if not joined and consumer.assignment():
                    joined = True
                    self.joined += 1
                records = [record for records in found.values() for record in records]
                if not records:
                    continue
                new = await apply(records)
                key = (f"{self.name}.{group}", counted)
                self.applied[key] = self.applied.get(key, 0) + new
                try:
                    await consumer.commit()
                except KafkaError:
                    await asyncio.sleep(0.2)  # the records may come again; the inbox drops them

        self.start(run)

    async def answer(self, scope: Any, send: Any) -> None:
        """/readyz and /metrics."""
        status = 200 if self.joined >= self.wanted and not any(task.done() for task in self.tasks) else 503
        body = b""
        if scope["path"] == "/metrics":
            status = 200
            lines = [
                f'thongsuot_consumer_applied_total{{group="{group}",type="{kind}"}} {count}'
                for (group, kind), count in self.applied.items()
            ]
            body = ("\n".join(lines) + "\n").encode()
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    def serve(self, app: Any) -> None:
        gc.freeze()  # the collector need not look at imported modules again
        upper = self.name.upper()
        uvicorn.run(
            app,
            host=os.environ[f"{upper}_HOST"],
            port=int(os.environ[f"{upper}_PORT"]),
            loop="uvloop",
            http="httptools",
            ws="none",
            access_log=False,
            log_level="warning",
            server_header=False,
            date_header=False,
            backlog=2048,
        )


def worker(process: Process, begin: Callable[[], Awaitable[None]]) -> Any:
    """The ASGI application of a process that only consumes."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await begin()
            process.start(process.relay)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await process.answer(scope, send)

    return app


async def create(url: str, statements: str) -> None:
    """The tables, once."""
    connection = await asyncpg.connect(url)
    try:
        if not await connection.fetchval("SELECT to_regclass('inbox') IS NOT NULL"):
            await connection.execute(BACKBONE + statements)
    finally:
        await connection.close()
