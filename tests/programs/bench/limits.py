"""Measures the limits of HTTP, PostgreSQL and Kafka alone on this machine for the same bytes."""

from __future__ import annotations

import asyncio
import math
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local import Stack
from deploy.local.options import ROOT
from deploy.local.postgres import find_binaries
from tests.programs.bench.load import Load, Sent
from tests.programs.bench.systems import answers, wait_until

_TABLES = """
CREATE TABLE obligations (obligation text PRIMARY KEY, last_version int NOT NULL);
CREATE TABLE submissions (id uuid PRIMARY KEY, obligation text NOT NULL, idempotency_key text NOT NULL, body bytea,
    UNIQUE (obligation, idempotency_key));
CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text NOT NULL, body bytea NOT NULL);
"""
#: pgbench scripts: the same inserts, one submission per commit, and a hundred
_SCRIPTS = {
    1: """
\\set a random(1, 1000000000)
BEGIN;
INSERT INTO obligations VALUES ('H98.00.00/BENCH-THANG/' || :a, 1)
    ON CONFLICT (obligation) DO UPDATE SET last_version = obligations.last_version + 1;
INSERT INTO submissions VALUES (gen_random_uuid(), 'H98.00.00/BENCH-THANG/' || :a, gen_random_uuid()::text,
    convert_to(repeat(md5(:a::text), 42), 'UTF8'));
INSERT INTO outbox (key, body) VALUES ('H98.00.00/BENCH-THANG/' || :a, convert_to(repeat(md5(:a::text), 50), 'UTF8'));
COMMIT;
""",
    100: """
\\set a random(1, 1000000000)
BEGIN;
INSERT INTO obligations SELECT 'H98.00.00/BENCH-THANG/' || :a + n, 1 FROM generate_series(1, 100) AS n ORDER BY 1
    ON CONFLICT (obligation) DO UPDATE SET last_version = obligations.last_version + 1;
INSERT INTO submissions SELECT gen_random_uuid(), 'H98.00.00/BENCH-THANG/' || :a + n, gen_random_uuid()::text,
    convert_to(repeat(md5((:a + n)::text), 42), 'UTF8') FROM generate_series(1, 100) AS n;
INSERT INTO outbox (key, body) SELECT 'H98.00.00/BENCH-THANG/' || :a + n,
    convert_to(repeat(md5((:a + n)::text), 50), 'UTF8') FROM generate_series(1, 100) AS n;
COMMIT;
""",
}


@contextmanager
def constant_server(bare: bool) -> Iterator[str]:
    """The constant application as a child, or the constant without it; its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.programs.bench.constant_app", str(port), *["bare"] * bare], cwd=ROOT
    )
    url = f"http://127.0.0.1:{port}"
    try:
        if not wait_until(lambda: answers(f"{url}/readyz"), 30):
            raise RuntimeError("the constant application did not start")
        yield f"{url}/v1/submissions"
    finally:
        child.terminate()
        child.wait(20)


def constant_answers(load: Load, connections: int, seconds: float, bare: bool = False) -> Sent:
    """Measure answers per second of the application that stores nothing; `bare`: of the bare server."""
    with constant_server(bare) as url:
        return load.send(url, connections, seconds)


def pgbench(infra: Stack, rows_per_commit: int, clients: int, seconds: float) -> float:
    """Measure how many submissions per second PostgreSQL stores with the same inserts. NaN: none was done."""
    name = f"limit_{rows_per_commit}"
    url = infra.create_database(name)
    parts = urlsplit(url)
    env = {
        **os.environ,
        "PGHOST": str(parts.hostname),
        "PGPORT": str(parts.port),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": name,
    }
    program = find_binaries() / "pgbench"
    try:
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder) / "script.sql"
            script.write_text(_SCRIPTS[rows_per_commit], encoding="utf-8")
            _execute(url, _TABLES)
            said = subprocess.run(
                [program, "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", f"{seconds:.0f}", "-f", script],
                env=env, capture_output=True, text=True, check=False,
            )  # fmt: skip
        if "actually processed: 0" in said.stdout:
            return math.nan  # not a single commit in the given time
        match = re.search(r"tps = ([0-9.]+)", said.stdout)
        if match is None:
            raise RuntimeError(f"pgbench: {said.stdout}{said.stderr}")
        return float(match[1]) * rows_per_commit
    finally:
        infra.drop_database(name)


def _execute(url: str, statements: str) -> None:
    import asyncpg

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statements)
        finally:
            await connection.close()

    asyncio.run(run())


def make_topic(infra: Stack, name: str) -> None:
    """A topic that no service follows: as many partitions as the others have."""
    asyncio.run(_make_topic(infra.kafka_bootstrap, name))


async def _make_topic(bootstrap: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, num_partitions=12, replication_factor=1)])
    finally:
        await admin.close()


async def _produce(bootstrap: str, topic: str, events: int, body: bytes) -> float:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, linger_ms=2, max_batch_size=256 * 1024
    )
    await producer.start()
    try:
        begun = time.monotonic()
        for first in range(0, events, 1000):
            pending = [
                await producer.send(topic, body, key=f"H98.{n % 5000}/BENCH".encode(), headers=[("ce_id", b"0" * 36)])
                for n in range(first, min(first + 1000, events))
            ]
            await asyncio.gather(*pending)
        return events / (time.monotonic() - begun)
    finally:
        await producer.stop()


def kafka_produce(infra: Stack, topic: str, events: int, body_bytes: int = 1600) -> float:
    """Measure acknowledged events per second of a bare producer, in batches of a thousand as the relay sends them."""
    return asyncio.run(_produce(infra.kafka_bootstrap, topic, events, b"x" * body_bytes))
