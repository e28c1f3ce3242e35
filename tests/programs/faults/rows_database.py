"""Rows 13 to 15: PostgreSQL crashes, is slow, locked, deadlocked, short of connections, and its disk is full."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import asyncpg
import psutil

from deploy.local import Component
from deploy.local.calls import call
from deploy.local.process import poll_until
from shared.contract.services import SERVICES
from tests.programs.faults.ground import Ground
from tests.programs.faults.load import TIMED_OUT, merged
from tests.programs.faults.matrix import Field, Unproved, row
from tests.programs.faults.sql import execute

#: seconds that intake waits for its registry and then for its commit, and what a busy machine may add
PATIENCE_SECONDS = 5.0 + 5.0 + 3.0


def _crash(ground: Ground) -> None:
    """Do what `pg_ctl stop -m immediate` does (SIGQUIT, no checkpoint), then start the server again."""
    server = ground.component("postgres")
    os.kill(server.pid, signal.SIGQUIT)
    if not poll_until(lambda: not server.running, 30):
        raise TimeoutError("PostgreSQL has not ended after SIGQUIT")
    server.start()
    server.wait_ready()


def _kill_backend(admin_url: str, database: str) -> int:
    """SIGKILL the process of one busy session of a database. Returns how many died."""
    pid = call(lambda: _backend(admin_url, database))
    # 0 would be our own process group: kill only a process that is a session of that database
    if pid <= 1:
        raise Unproved(f"no session of {database} was found")
    process = psutil.Process(pid)
    if database not in " ".join(process.cmdline()):
        raise Unproved(f"process {pid} is no session of {database}: {process.cmdline()}")
    process.kill()
    _, alive = psutil.wait_procs([process], timeout=10)
    return 0 if alive else 1


async def _backend(admin_url: str, database: str) -> int:
    """Return the process of one busy session of a database; 0 if there is none."""
    return await execute(
        admin_url,
        "SELECT pid FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend' "
        "ORDER BY state_change DESC LIMIT 1",
        database,
    )


async def _durable(url: str) -> list[str]:
    connection = await asyncpg.connect(url, timeout=20)
    try:
        names = ("fsync", "synchronous_commit", "full_page_writes")
        return [name for name in names if await connection.fetchval(f"SHOW {name}") != "on"]
    finally:
        await connection.close()


async def _started_at(url: str) -> int:
    """Return when the server last started, microseconds."""
    return await execute(url, "SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint")


async def _recovered_at(url: str) -> int:
    """Return when the server's last recovery ended (killing one session ends all), microseconds."""
    return await execute(
        url,
        "SELECT (extract(epoch FROM min(backend_start)) * 1000000)::bigint FROM pg_stat_activity "
        "WHERE backend_type = 'checkpointer'",
    )


@row(
    "13",
    "PostgreSQL crashes; a backend is killed",
    "I1",
    "I2",
    "I6",
    controls={"synchronous_commit off": ["I1"]},
)
def database_crashes(field: Field) -> None:
    admin = field.ground.stack.admin_database_url
    with field.province() as province:
        for service, url in province.database_urls.items():
            if off := call(lambda url=url: _durable(url)):  # type: ignore[misc]
                raise AssertionError(f"{service}: not on: {', '.join(off)}")
        with field.stream(province) as running:
            running.wait_for(40)
            before = call(lambda: _started_at(admin))
            _crash(field.ground)
            field.happened("crashes of the server", int(call(lambda: _started_at(admin)) > before))
            running.wait_for(running.stored + 40)
            before = call(lambda: _recovered_at(admin))
            field.happened("sessions killed", _kill_backend(admin, f"{province.name}_intake"))
            running.wait_for(running.stored + 40)
            field.happened("recoveries after it", int(call(lambda: _recovered_at(admin)) > before))
            ledger = running.stop()
        field.judge(province, ledger)
    if not field.controls:
        return
    with field.province() as province:
        # a counter of the whole server: one session that waits for its commit writes everybody's log
        call(lambda: execute(admin, "ALTER SYSTEM SET synchronous_commit = off"))
        call(lambda: execute(admin, "ALTER SYSTEM SET wal_writer_delay = '10s'"))
        try:
            call(lambda: execute(admin, "SELECT pg_reload_conf()"))
            with field.stream(province, clients=24, pause_seconds=0.02) as running:
                running.wait_for(150)
                _crash(field.ground)
                ledger = running.stop()
        finally:
            call(lambda: execute(admin, "ALTER SYSTEM RESET wal_writer_delay"))
            call(lambda: execute(admin, "ALTER SYSTEM RESET synchronous_commit"))
            call(lambda: execute(admin, "SELECT pg_reload_conf()"))
        field.control("synchronous_commit off", province, ledger)


async def _hold_table(url: str, table: str, seconds: float) -> None:
    connection = await asyncpg.connect(url, timeout=20)
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            await asyncio.sleep(seconds)
    finally:
        await connection.close()


async def _deadlocks(url: str, keys: list[str], seconds: float) -> int:
    """Lock obligations in the wrong order repeatedly, against sessions that lock them in the right one."""
    connection = await asyncpg.connect(url, timeout=20)
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            try:
                async with connection.transaction():
                    for key in sorted(keys, reverse=True):
                        await connection.execute("SELECT FROM obligations WHERE obligation = $1 FOR UPDATE", key)
                        await asyncio.sleep(0.02)
            except asyncpg.PostgresError:
                continue
            await asyncio.sleep(0.1)
        name = await connection.fetchval("SELECT current_database()")
        await asyncio.sleep(1.5)  # statistics are written now and then
    finally:
        await connection.close()
    return await execute(url, "SELECT deadlocks FROM pg_stat_database WHERE datname = $1", name)


@row(
    "14",
    "PostgreSQL slow, locked, deadlocked; one connection only",
    "I1",
    "I2",
    "I6",
    controls={"no_retry_after_trouble": ["I2", "I6"]},
)
def database_slow(field: Field) -> None:
    one = {f"{name.upper()}_DATABASE_POOL_SIZE": "1" for name in SERVICES}
    proxy = field.ground.database_proxy
    with field.province(env={**one, "INTAKE_GROUP_LANES": "1"}) as province:
        url = province.database_urls["intake"]
        ledgers = []
        with field.stream(province, request_timeout_seconds=20) as running:
            running.wait_for(40)
            proxy.delay(0.15)
            time.sleep(8)
            proxy.restore()
            call(lambda: _hold_table(url, "submissions", 12))
            running.wait_for(running.stored + 30)
            for service in ("intake", "scoring"):
                keys = sorted({receipt.obligation for receipt in running.ledger.receipts[-60:]})
                where = province.database_urls[service]
                count = call(lambda where=where, keys=keys: _deadlocks(where, keys, 6))  # type: ignore[misc]
                field.figure(f"deadlocks in {service}", count)
            ledgers.append(running.stop())
        ledger = merged(ledgers)
        field.happened("503 while its table was locked", ledger.answers["503"])
        field.happened("deadlocks", sum(field.result.figures[f"deadlocks in {s}"] for s in ("intake", "scoring")))
        field.figure("slowest answer, s", round(ledger.slowest_seconds, 1))
        if ledger.slowest_seconds > PATIENCE_SECONDS or ledger.answers[TIMED_OUT]:
            raise AssertionError(f"an answer took {ledger.slowest_seconds:.1f} s: 503 was due after {PATIENCE_SECONDS}")
        if ledger.answers["500"]:
            raise AssertionError(f"{ledger.answers['500']} posts were answered with 500: 503 was due")
        field.judge(province, ledger)
    if not field.controls:
        return
    with field.province(service_env={"scoring": {"FAULT_CONTROL": "no_retry_after_trouble"}}) as province:
        with field.stream(province) as running:
            running.wait_for(20)
            call(lambda: _hold_table(province.database_urls["scoring"], "obligations", 6))
            running.wait_for(running.stored + 20)
            ledger = running.stop()
        field.control("no_retry_after_trouble", province, ledger)


class Disk:
    """A small tmpfs that can be filled on command. `with Disk(megabytes) as disk:` Needs the right to mount."""

    def __init__(self, megabytes: int) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="thong-suot-faults-disk-"))
        self._megabytes = megabytes

    def __enter__(self) -> Disk:
        command = ["mount", "-t", "tmpfs", "-o", f"size={self._megabytes}m,mode=0755", "none", str(self.path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            self.path.rmdir()
            raise Unproved(f"a small disk needs the right to mount: {done.stderr.strip()}")
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "-l", str(self.path)], check=False)
        self.path.rmdir()

    def fill(self) -> int:
        """Fill the disk; return how many bytes that took."""
        taken = 0
        # unbuffered: a buffer would be written, and fail, when the file is closed
        with (self.path / "ballast").open("ab", buffering=0) as file:
            for chunk in (1024 * 1024, 4096):
                with contextlib.suppress(OSError):
                    while written := file.write(b"\0" * chunk):
                        taken += written
        return taken

    def empty(self) -> None:
        """Free it again."""
        (self.path / "ballast").unlink(missing_ok=True)


def _keep_alive(ground: Ground, stopped: threading.Event) -> None:
    """Start the server again whenever it ends, as an operator's supervisor does."""
    server = ground.component("postgres")
    while not stopped.wait(0.5):
        if not server.running:
            server.start()


def _bring_back(server: Component, seconds: float = 90) -> None:
    """Start the server as often as it takes until it is ready: an attempt on the full disk may still be ending."""

    def back() -> bool:
        if not server.running:
            server.start()
        return server.is_ready()

    if not poll_until(back, seconds, 0.5):
        raise TimeoutError(f"PostgreSQL is not back {seconds} s after its disk was emptied")


@row("15", "the database's disk is full", "I1", "I2", "I6", controls={"answer_before_commit": ["I1"]})
def disk_full(field: Field) -> None:
    settings = {"max_wal_size": "64MB", "min_wal_size": "32MB", "shared_buffers": "32MB"}
    with Disk(600) as disk, Ground(postgres_settings=settings, postgres_directory=disk.path) as ground:
        inner = Field(ground, field.result, field.scale, controls=field.controls)
        with inner.province() as province, inner.stream(province, patience_seconds=120) as running:
            running.wait_for(60)
            field.happened("bytes taken from the disk", disk.fill())
            stopped = threading.Event()
            keeper = threading.Thread(target=_keep_alive, args=(ground, stopped), daemon=True)
            keeper.start()
            before = _stored(running.ledger.answers)
            time.sleep(12)
            field.figure("receipts while full", _stored(running.ledger.answers) - before)
            field.happened("503 while full", running.ledger.answers["503"])
            disk.empty()
            stopped.set()
            keeper.join()
            _bring_back(ground.component("postgres"))
            running.wait_for(running.stored + 40)
            ledger = running.stop()
            field.figure("not answered in time", ledger.answers[TIMED_OUT])
            inner.judge(province, ledger)
            if unforeseen := ledger.answers["500"]:
                field.result.wrongs["I1"].append(f"{unforeseen} posts were answered with 500: 503 is what was due")
        if field.controls:
            _full_without_commit(inner, disk)


def _full_without_commit(field: Field, disk: Disk) -> None:
    """If receipts go out before the commit, a log without room loses submissions that had a receipt."""
    server = field.ground.component("postgres")
    broken = {"intake": {"FAULT_CONTROL": "answer_before_commit"}}
    with field.province(service_env=broken) as province:
        with field.stream(province, clients=24, pause_seconds=0.1, patience_seconds=120) as running:
            for _ in range(3):
                running.wait_for(running.stored + 40, 120)
                disk.fill()
                call(lambda: _want_log(field.ground.stack.admin_database_url))
                poll_until(lambda: not server.running, 10)
                disk.empty()
                _bring_back(server)
            running.wait_for(running.stored + 10, 120)
            ledger = running.stop()
        field.control("answer_before_commit", province, ledger)


async def _want_log(url: str) -> None:
    """Make the server begin new log segments until it cannot; its panic, which cuts the connection, is the proof."""
    with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection = await asyncpg.connect(url, timeout=20)
        try:
            for _ in range(30):
                await connection.execute("SELECT pg_logical_emit_message(false, 'fault', 'x')")
                await connection.execute("SELECT pg_switch_wal()")
        finally:
            connection.terminate()


def _stored(answers: dict[str, int]) -> int:
    return answers.get("201", 0) + answers.get("200", 0)
