"""Applies each topic's records to the read model: a batch is one statement for each kind of record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from services.board.readmodel import store
from shared.consuming.batch import Batch
from shared.contract.events import (
    AgencyRegistered,
    EscalationChanged,
    EventModel,
    LatenessStep,
    NoticeRecorded,
    NotificationRecorded,
    NotJudged,
    ObligationChanged,
    OfficerRegistered,
    PersonRegistered,
    RegimePublished,
    RequestIssued,
    StepTaken,
    SubmissionReceived,
    VerdictReached,
)
from shared.postgres.database import Transaction
from shared.projection import Projection

E = TypeVar("E", bound=EventModel)

#: kind of record -> where it is kept
KEPT: Sequence[tuple[type[EventModel], Projection[Any]]] = (
    (AgencyRegistered, store.AGENCIES),
    (OfficerRegistered, store.OFFICERS),
    (PersonRegistered, store.PEOPLE),
    (RegimePublished, store.REGIMES),
    (RequestIssued, store.REQUESTS),
    (ObligationChanged, store.OBLIGATIONS),
    (ObligationChanged, store.DOCUMENTS),
    (SubmissionReceived, store.REPORTS),
    (VerdictReached, store.VERDICTS),
    (NotJudged, store.VERDICTS),
    (StepTaken, store.STEPS),
    (LatenessStep, store.LATENESS),
    (NotificationRecorded, store.NOTICES),
    (NoticeRecorded, store.OTHER_NOTICES),
    (EscalationChanged, store.ESCALATIONS),
)


async def follow(batch: Batch[Any], tx: Transaction) -> None:
    """Keep the newest of each record of the batch."""
    bodies = [event.body for event in batch]
    for kind, projection in KEPT:
        await projection.save(tx, (body for body in bodies if type(body) is kind))
