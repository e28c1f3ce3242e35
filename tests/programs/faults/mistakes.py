"""Further removable protections of a service (see controls.py): poison, versions, replay, mail and clocks."""

from __future__ import annotations

import asyncio
import os
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from msgspec import structs

from services.notifier.channels.email.smtp import Connection
from services.notifier.delivery.states import MailDeferred, MailUncertain, SendResult
from services.scoring.obligations import facts as happened
from services.scoring.obligations import generator
from services.scoring.obligations.facts import AboutReport, Facts
from services.scoring.reliefs.standstill import Standstill
from shared.consuming import dead_letters, health
from shared.consuming import subscription as consumer
from shared.consuming.applying import Handle
from shared.consuming.batch import Batch
from shared.consuming.dead_letters import DeadLetter
from shared.contract import text
from shared.kafka import aiokafka_internals
from shared.outbox.relay import Relay
from shared.postgres.database import Transaction
from shared.runtime import clock
from shared.runtime.clock import monotonic_seconds
from shared.service.service import Service


def drop_poison(service: Service) -> None:
    """Logs and forgets what cannot be applied."""

    async def bury(tx: Transaction, service: str, consumer: str, letters: Sequence[DeadLetter]) -> None:
        return

    dead_letters.bury = bury


def bury_later(owner: Service) -> None:
    """Writes dead letters in a task of their own, beside the transaction that gives the record up."""
    original = dead_letters.bury
    tasks: set[asyncio.Task[None]] = set()

    async def write(*arguments: Any) -> None:
        await asyncio.sleep(15)
        async with owner.database.transaction() as tx:
            await original(tx, *arguments)

    async def bury(tx: Transaction, service: str, consumer: str, letters: Sequence[DeadLetter]) -> None:
        if letters:
            tasks.add(asyncio.create_task(write(service, consumer, letters)))

    dead_letters.bury = bury


def any_version_counts(service: Service) -> None:
    """Lets scoring overwrite the facts with whatever came last, instead of joining them."""
    joined = happened.with_report

    def with_report(facts: Facts, event: AboutReport, event_id: UUID | None = None) -> Facts:
        return joined(structs.replace(facts, versions=()), event, event_id)

    happened.with_report = with_report


def no_replay(service: Service) -> None:
    """Stops the relay from checking whether Kafka still holds what it acknowledged."""

    async def check_log(self: Relay, connection: asyncpg.Connection) -> float:
        return monotonic_seconds()

    Relay._check_log = check_log  # type: ignore[method-assign]


def uncertain_is_retried(service: Service) -> None:
    """Takes a missing answer to the message for "not sent", and sends it again."""
    original = Connection._data

    async def data(self: Connection, message: bytes) -> SendResult:
        result = await original(self, message)
        return MailDeferred("body", None, result.answer) if isinstance(result, MailUncertain) else result

    Connection._data = data  # type: ignore[method-assign]


def leases_by_business_time(service: Service) -> None:
    """Uses one clock for everything: leases and retries follow business time."""
    business = clock.business_clock(os.environ.get("BUSINESS_CLOCK", ""))

    def now(self: clock.SystemClock) -> datetime:
        return business.now()

    clock.SystemClock.now = now  # type: ignore[method-assign]


def nothing_watched(service: Service) -> None:
    """Uses aiokafka as it is: a task that meets a closed transport ends unnoticed, and a commit waits for ever."""
    aiokafka_internals._is_closed = lambda error: False
    aiokafka_internals.ended = lambda owner: ""
    consumer.COMMIT_SECONDS = 10.0**9
    health.Health.broken = lambda self: ""  # type: ignore[method-assign]


def defective_handler(service: Service) -> None:
    """Not a missing protection but a bad deploy: events of the agencies of FAULT_REFUSES fail in every handler."""
    refused = tuple(f"{agency}/" for agency in os.environ.get("FAULT_REFUSES", "").split(",") if agency)
    consumers = service.consumers
    for subscription in consumers.subscriptions if consumers is not None else ():
        applier = subscription._applier
        applier.inbound = replace(applier.inbound, handle=_refusing(applier.inbound.handle, refused))


def _refusing(handle: Handle, refused: tuple[str, ...]) -> Handle:
    async def refusing(batch: Batch[Any], tx: Transaction) -> None:
        for event in batch:
            if event.key.startswith(refused):
                raise ValueError(f"cannot handle {event.key}")
        await handle(batch, tx)

    return refusing


def cost_without_bounds(service: Service) -> None:
    """Normalises text as it comes, and judges every report on the event loop, whatever it costs."""
    plain = {
        text.stream_safe: lambda value: value,
        text.nfc: lambda value: unicodedata.normalize("NFC", value),
        text.nfkc: lambda value: unicodedata.normalize("NFKC", value),
    }
    for name, module in list(sys.modules.items()):
        if name.startswith(("services.", "shared.")):
            for attribute, value in list(vars(module).items()):
                if callable(value) and value in plain:
                    setattr(module, attribute, plain[value])
    consumers = service.consumers
    for subscription in consumers.subscriptions if consumers is not None else ():
        judging = getattr(getattr(subscription.inbound, "prepare", None), "__self__", None)
        if judging is not None:
            endless = 1_000_000
            judging._budget = replace(
                judging._budget, batch_seconds=endless, inline_bytes=endless * 1024, slow_seconds=endless
            )


def terms_are_final(service: Service) -> None:
    """Keeps an obligation at the deadline, calendar and policy that it was generated with."""

    async def lock_unlike(*_: Any) -> list[Any]:
        return []

    generator.lock_unlike = lock_unlike  # type: ignore[assignment]


def standstill_unnoticed(service: Service) -> None:
    """Lets scoring go on where it stopped, however long it was away."""

    async def propose(self: Standstill, tx: Transaction, starts_at: datetime, ends_at: datetime) -> bool:
        return False

    Standstill._propose = propose  # type: ignore[method-assign]


MISTAKES: dict[str, Callable[[Service], None]] = {
    function.__name__: function
    for function in (
        drop_poison,
        bury_later,
        any_version_counts,
        no_replay,
        uncertain_is_retried,
        leases_by_business_time,
        nothing_watched,
        defective_handler,
        cost_without_bounds,
        terms_are_final,
        standstill_unnoticed,
    )
}
