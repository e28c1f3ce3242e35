"""The Kafka edge: a signature and one call for each subscription."""

from __future__ import annotations

from collections.abc import Sequence

from services.notifier import tables
from services.notifier.planning import handlers, store
from services.notifier.planning.handlers import PlanningContext
from shared.consuming.applying import Inbound
from shared.consuming.batch import Batch
from shared.contract.events import (
    CalendarLoaded,
    ComplianceEvent,
    LatenessStep,
    NotJudged,
    PolicyLoaded,
    RegistryEvent,
    StepTaken,
    SubmissionReceived,
    VerdictReached,
    WebhookRegistered,
)
from shared.postgres.database import Transaction
from shared.projection.keyring import access_copy


def inbounds(context: PlanningContext) -> Sequence[Inbound]:
    """Notifier's subscriptions."""

    async def registry(batch: Batch[RegistryEvent | WebhookRegistered], tx: Transaction) -> None:
        await handlers.apply_registry(batch, tx, context)

    async def compliance(batch: Batch[ComplianceEvent | CalendarLoaded | PolicyLoaded], tx: Transaction) -> None:
        await handlers.apply_compliance(batch, tx, context)

    async def verdicts(batch: Batch[VerdictReached | NotJudged], tx: Transaction) -> None:
        await handlers.apply_verdicts(batch, tx, context)

    async def steps(batch: Batch[StepTaken | LatenessStep | SubmissionReceived], tx: Transaction) -> None:
        await handlers.apply_submissions(batch, tx, context)

    return (
        Inbound.of("notifier.registry", registry),
        Inbound.of("notifier.compliance", compliance, store.registered),
        Inbound.of("notifier.verdicts", verdicts, store.registered),
        Inbound.of("notifier.steps", steps, store.registered),
        Inbound.of("notifier.access", access_copy(tables.metadata)),
    )
