"""What validator consumes from Kafka: a signature and one call each."""

from __future__ import annotations

from collections.abc import Sequence

from services.validator import handlers, store, tables
from services.validator.judging import Judging
from shared.consuming.applying import GATHER_FOR_A_SCORE_MILLISECONDS, Inbound
from shared.consuming.batch import Batch
from shared.contract.events import ReferenceTablePublished, RegimePublished, SubmissionReceived, WaiverGranted
from shared.postgres.database import Transaction
from shared.projection.keyring import access_copy
from shared.runtime.clock import Clock


def inbounds(judging: Judging, clock: Clock) -> list[Inbound]:
    """The registry, withdrawals, and submissions: judged before the transaction, recorded in it."""

    async def registry(
        batch: Batch[RegimePublished | ReferenceTablePublished | WaiverGranted], tx: Transaction
    ) -> None:
        await handlers.keep_references(batch, tx)
        await handlers.keep_regimes(batch, tx)
        await handlers.keep_waivers(batch, tx)

    async def submissions(batch: Batch[SubmissionReceived], tx: Transaction) -> None:
        await handlers.record(batch, tx, clock=clock, looking=judging.looking)

    async def resolved(tx: Transaction, names: Sequence[str]) -> set[str]:
        return set(await store.in_place(tx, names))

    return [
        Inbound.of("validator.registry", registry),
        Inbound.of("validator.agencies", handlers.keep_agencies),
        Inbound.of(
            "validator.submissions",
            submissions,
            resolved,
            judging.prepare,
            gather_milliseconds=GATHER_FOR_A_SCORE_MILLISECONDS,
        ),
        Inbound.of("validator.steps", handlers.keep_withdrawals),
        Inbound.of("validator.access", access_copy(tables.metadata)),
    ]
