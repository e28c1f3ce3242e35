"""Rows 23 and 24: the clock jumps by an hour, and file descriptors and memory are scarce."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import psutil

from deploy.local.process import poll_until
from shared.contract.services import SERVICES
from tests.fakes.smtp import Answer, Slow
from tests.programs.faults.ground import Province
from tests.programs.faults.load import Ledger, merged
from tests.programs.faults.mailserver import MailServer
from tests.programs.faults.matrix import Field, Unproved, row

HOUR_SECONDS = 3600
#: what a process may map beyond what it has, bytes
SPARE_BYTES = 24 * 1024 * 1024


#: the clock's offsets, in order. The last is ahead, so that what waits for an hour that was taken back is due
JUMPS = (0, HOUR_SECONDS, 0, -HOUR_SECONDS, 0, HOUR_SECONDS)


@row("23", "the clock jumps an hour ahead and back, and behind and back, and ahead", "I1", "I2", "I5", "I6", "I7")
def clock_jumps(field: Field) -> None:
    with MailServer() as server, _settable_clock(field, server) as (province, clock):
        ledgers: list[Ledger] = []
        for offset in JUMPS:
            ledgers.append(_jump_under_load(field, province, server, clock, offset))
            if offset == max(JUMPS):  # elsewhere some mails wait for an hour that was taken back
                field.settle(province, ledgers[-1], 60)
        field.happened("slow and 4xx answers around the jumps", server.played())
        spans = [_span_seconds(ledger) for ledger in ledgers]
        field.happened("jumps that a load met", sum(1 for span in spans if span > HOUR_SECONDS / 2))
        whole = _span_seconds(merged(ledgers))
        field.figure("receipts spread over, s", round(whole))
        if whole <= HOUR_SECONDS:
            raise Unproved(f"all receipts lie within {whole:.0f} s: the clock has not jumped")
        field.judge(province, merged(ledgers), mails=server.mails)


@row(
    "23c",
    "mails that are put off when the clock falls back an hour",
    "I5",
    "I6",
)
def clock_falls_back(field: Field) -> None:
    with MailServer() as server, _settable_clock(field, server) as (province, clock):
        clock.write_text(str(HOUR_SECONDS), encoding="ascii")
        ledger = _jump_under_load(field, province, server, clock, 0)
        field.happened("slow and 4xx answers around the jump", server.played())
        field.judge(province, ledger, mails=server.mails, drain_seconds=20)


@contextmanager
def _settable_clock(field: Field, server: MailServer) -> Iterator[tuple[Province, Path]]:
    """Make a province whose clocks are off by the seconds in the file."""
    clock = field.ground.directory / "clock"
    clock.write_text("0", encoding="ascii")
    with field.province(smtp_address=server.address, env={"FAULT_CLOCK": str(clock)}) as province:
        yield province, clock


def _jump_under_load(field: Field, province: Province, server: MailServer, clock: Path, offset: int) -> Ledger:
    """Set the clock while some mails are in transmission and others have just been deferred."""
    with field.load(province, 80, versions=3, clients=8, pause_seconds=0.8) as running:
        running.wait_for(20)
        played = server.played()
        server.order("MAIL", *(Answer(451) for _ in range(3)))
        server.order("BODY", *(Slow(1.5) for _ in range(4)))
        poll_until(lambda: server.played() >= played + 4, 15, 0.05)
        clock.write_text(str(offset), encoding="ascii")
        return running.finish()


def _span_seconds(ledger: Ledger) -> float:
    """Return the span between the earliest and the latest server time of its receipts."""
    moments = [datetime.fromisoformat(receipt.received_at) for receipt in ledger.receipts]
    return (max(moments) - min(moments)).total_seconds()


def _starve(process: psutil.Process) -> tuple[tuple[int, int], tuple[int, int]]:
    """Allow two more file descriptors and little more memory than now. Returns the former limits."""
    files, memory = process.rlimit(psutil.RLIMIT_NOFILE), process.rlimit(psutil.RLIMIT_AS)
    process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() + 2, files[1]))
    process.rlimit(psutil.RLIMIT_AS, (process.memory_info().vms + SPARE_BYTES, memory[1]))
    return files, memory


@row(
    "24",
    "few file descriptors, little memory",
    "I1",
    "I2",
    "I6",
    controls={"no_retry_after_trouble": ["I2", "I6"]},
)
def starved(field: Field) -> None:
    names = SERVICES
    with field.province() as province:
        with field.stream(province, clients=40, pause_seconds=0.2, patience_seconds=90) as running:
            running.wait_for(40)
            limits = {}
            for name in names:
                process = psutil.Process(province.component(name).pid)
                limits[name] = (process, _starve(process))
            # new connections of every kind: clients', the pool's, Kafka's
            field.ground.database_proxy.reset()
            field.ground.kafka_proxy.reset()
            time.sleep(10)
            died = [name for name in names if province.component(name).crashed]
            for name in names:
                if name in died:
                    province.revive(name)
                else:
                    process, (files, memory) = limits[name]
                    process.rlimit(psutil.RLIMIT_NOFILE, files)
                    process.rlimit(psutil.RLIMIT_AS, memory)
            running.wait_for(running.stored + 40)
            ledger = running.stop()
        field.figure("processes that ended and were started again", len(died))
        field.happened("signs of want in the logs", _wants(province, names))
        field.judge(province, ledger)
    if not field.controls:
        return
    with field.province(service_env={"scoring": {"FAULT_CONTROL": "no_retry_after_trouble"}}) as province:
        with field.stream(province) as running:
            running.wait_for(20)
            process = psutil.Process(province.component("scoring").pid)
            files, _ = _starve(process)
            process.rlimit(psutil.RLIMIT_NOFILE, (4, files[1]))  # no new connection at all
            field.ground.database_proxy.reset()
            running.wait_for(running.stored + 40)
            time.sleep(3)
            province.component("scoring").kill()
            province.revive("scoring")
            ledger = running.stop()
        field.control("no_retry_after_trouble", province, ledger)


def _wants(province: Province, names: tuple[str, ...]) -> int:
    texts = [province.component(name).log_path.read_text(encoding="utf-8", errors="replace") for name in names]
    return sum(text.count("Too many open files") + text.count("MemoryError") for text in texts)
