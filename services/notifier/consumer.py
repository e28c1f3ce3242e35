"""The Kafka door: a signature and one call each."""

from __future__ import annotations

from collections.abc import Sequence

from services.notifier.planning import handlers, store
from services.notifier.planning.handlers import Desk
from shared.consuming.applying import Inbound
from shared.consuming.batch import Batch
from shared.contract.events import ComplianceEvent, RegistryEvent, VerdictReached
from shared.postgres.database import Transaction


def inbounds(desk: Desk) -> Sequence[Inbound]:
    """What notifier follows."""

    async def registry(batch: Batch[RegistryEvent], tx: Transaction) -> None:
        await handlers.copy_registry(batch, tx, desk)

    async def compliance(batch: Batch[ComplianceEvent], tx: Transaction) -> None:
        await handlers.follow_compliance(batch, tx, desk)

    async def verdicts(batch: Batch[VerdictReached], tx: Transaction) -> None:
        await handlers.follow_verdicts(batch, tx, desk)

    return (
        Inbound.of("notifier.registry", registry),
        Inbound.of("notifier.compliance", compliance, store.known),
        Inbound.of("notifier.verdicts", verdicts, store.known),
    )
