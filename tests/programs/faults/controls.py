"""Runs the services with a witness in them and, if FAULT_CONTROL names one, with a protection removed.

    python -m tests.programs.faults.controls scoring serve

The switches exist only here, not in production code. Each stands for a mistake that teams make.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import asyncpg
from faststream import AckPolicy

from services.intake.submissions.group_commit import Entry, GroupCommit
from services.notifier.channels.outcome_writer import OutcomeWriter
from services.notifier.delivery.ledger import ClaimedMail
from shared.outbox.relay import Relay
from shared.runtime import clock, failpoints
from shared.service.command import run
from shared.service.service import Service
from tests.programs.faults import witness
from tests.programs.faults.careless import CARELESS, hurry, resolve_by
from tests.programs.faults.mistakes import MISTAKES
from tests.programs.faults.unguarded import UNGUARDED

_COLUMNS = "id, event_id, topic, key, type, traceparent, headers, body, created_at"


def no_inbox(service: Service) -> None:
    """Applies events without claiming them: a repeated event is applied twice."""
    for subscription in _subscriptions(service):
        subscription._applier._claim = False


def ack_first(service: Service) -> None:
    """Commits offsets before the batch is applied (FastStream's default): a crash between the two loses the batch."""
    for subscription in _subscriptions(service):
        subscription._ack_policy = AckPolicy.ACK_FIRST


def delete_before_ack(service: Service) -> None:
    """Lets the relay delete rows before Kafka has acknowledged them: a crash or a refused send loses them."""

    async def send_batch(self: Relay, connection: asyncpg.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        ids = [row["id"] for row in rows]
        await connection.execute(
            f"WITH sent AS (DELETE FROM outbox WHERE id = ANY($1::bigint[]) RETURNING {_COLUMNS}) "
            f"INSERT INTO outbox_archive ({_COLUMNS}) SELECT {_COLUMNS} FROM sent ORDER BY id",
            ids,
        )
        failpoints.hit("relay.between_ack_and_delete")
        await self.send(rows)

    Relay._send_batch = send_batch  # type: ignore[method-assign]


def competing_relays(service: Service) -> None:
    """Removes the leader: each instance takes rows that no other holds (SKIP LOCKED); versions overtake slow ones."""

    async def lead(self: Relay) -> None:
        connection = await asyncpg.connect(self._url, timeout=5, command_timeout=60)
        try:
            while not self._stopping.is_set():
                async with connection.transaction():
                    rows = await connection.fetch(
                        f"SELECT {_COLUMNS} FROM outbox ORDER BY id LIMIT 25 FOR UPDATE SKIP LOCKED"
                    )
                    if rows:
                        await asyncio.sleep(random.uniform(0, 0.6))
                        await self._send_batch(connection, rows)
                await asyncio.sleep(0.01)
        finally:
            await connection.close(timeout=5)

    Relay._lead = lead  # type: ignore[method-assign]


def naive_cursor(service: Service) -> None:
    """Lets the relay read on from the last id it saw: it never sees a row that commits later."""

    async def pump(self: Relay, connection: asyncpg.Connection) -> None:
        last = 0
        while not self._stopping.is_set():
            rows = await connection.fetch(
                f"SELECT {_COLUMNS} FROM outbox WHERE id > $1 ORDER BY id LIMIT 1000",
                last,
            )
            if rows:
                last = rows[-1]["id"]
                await self._send_batch(connection, rows)
            await asyncio.sleep(0.005)

    Relay._pump = pump  # type: ignore[method-assign]


def answer_before_commit(service: Service) -> None:
    """Lets intake answer 201 when the rows are inserted, before they are committed."""

    async def commit(self: GroupCommit, group: Sequence[Entry], deadline: float) -> None:
        async with self._database.transaction() as tx:
            outcomes = await self._accept(tx, [entry.pending for entry in group])
            for entry, outcome in zip(group, outcomes, strict=True):
                entry.resolve(outcome)
            await asyncio.sleep(0.05)  # the answers leave
            failpoints.hit("intake.before_commit")

    GroupCommit._commit = commit  # type: ignore[method-assign]


def in_data_not_committed(service: Service) -> None:
    """Lets the sender go on to DATA without recording it first."""

    async def mark(self: OutcomeWriter, claimed: ClaimedMail) -> bool:
        return True

    OutcomeWriter.mark_in_data = mark  # type: ignore[method-assign]


def no_retry_after_trouble(service: Service) -> None:
    """Acknowledges a batch that meets database trouble as if it had been applied."""
    for subscription in _subscriptions(service):

        async def apply(events: Any, bad: Any, records: int, _original: Any = subscription._apply_until_done) -> None:
            try:
                await asyncio.wait_for(_original(events, bad, records), 0.5)
            except TimeoutError:
                return

        subscription._apply_until_done = apply


class _JumpingTime:
    """Shifts `time`, as shared.runtime.clock sees it, by the seconds in the file FAULT_CLOCK, if there is one."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def offset_seconds(self) -> float:
        try:
            return float(self._path.read_text(encoding="ascii") or 0)
        except (OSError, ValueError):
            return 0.0

    def time(self) -> float:
        return time.time() + self.offset_seconds()

    def monotonic(self) -> float:
        return time.monotonic()


def _let_the_clock_jump(path: str) -> None:
    jumping = _JumpingTime(path)

    def now(self: clock.SystemClock) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=jumping.offset_seconds())

    clock.time = jumping  # type: ignore[attr-defined, assignment]
    clock.SystemClock.now = now  # type: ignore[method-assign]


CONTROLS: dict[str, Callable[[Service], None]] = (
    {
        function.__name__: function
        for function in (
            no_inbox,
            ack_first,
            delete_before_ack,
            competing_relays,
            naive_cursor,
            answer_before_commit,
            in_data_not_committed,
            no_retry_after_trouble,
        )
    }
    | MISTAKES
    | UNGUARDED
    | CARELESS
)


def _subscriptions(service: Service) -> tuple[Any, ...]:
    return service.consumers.subscriptions if service.consumers is not None else ()


def build(name: str) -> Service:
    """Build the service by its own composition root, with the witness and the requested controls."""
    if path := os.environ.get("FAULT_CLOCK"):
        _let_the_clock_jump(path)
    if name == "notifier":
        resolve_by(os.environ.get("FAULT_NAMES", ""))
    service: Service = import_module(f"services.{name}.main").build()
    for subscription in _subscriptions(service):
        witness.watch(subscription)
    if name == "notifier":
        hurry(service)
    for control in filter(None, os.environ.get("FAULT_CONTROL", "").split(",")):
        CONTROLS[control](service)
    return service


__all__ = ["CONTROLS", "build"]

if __name__ == "__main__":
    chosen = sys.argv.pop(1)
    run(chosen, lambda: build(chosen))
