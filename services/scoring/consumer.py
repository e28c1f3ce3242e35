"""What scoring consumes from Kafka, each a signature and one call."""

from __future__ import annotations

from services.scoring import tables
from services.scoring.obligations import handlers
from services.scoring.reference_data import Rules
from services.scoring.reliefs.late_verdicts import LateVerdicts
from shared.consuming.applying import GATHER_FOR_A_SCORE_MILLISECONDS, Inbound
from shared.consuming.batch import Batch
from shared.contract.events import AgencyRegrouped, RegistryEvent
from shared.postgres.database import Transaction
from shared.projection.keyring import access_copy
from shared.runtime.clock import Clock


def inbounds(rules: Rules, clock: Clock, late: LateVerdicts | None = None) -> tuple[Inbound, ...]:
    """Scoring's subscriptions. `clock` is business time."""

    async def registry(batch: Batch[RegistryEvent | AgencyRegrouped], tx: Transaction) -> None:
        await handlers.take_registry(batch, tx, clock.now())

    async def follow(batch: Batch[handlers.Followed], tx: Transaction) -> None:
        await handlers.follow(batch, tx, rules, late)

    return (
        Inbound.of("scoring.registry", registry),
        Inbound.of(
            "scoring.follow",
            follow,
            handlers.registered_names,
            gather_milliseconds=GATHER_FOR_A_SCORE_MILLISECONDS,
        ),
        Inbound.of("scoring.access", access_copy(tables.metadata)),
    )
