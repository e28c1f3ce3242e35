"""A validator on a real database: events to give it, and what it has stored and published."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from services.validator import handlers
from services.validator.consumer import inbounds
from services.validator.form_cache import FormCache
from services.validator.judging import Budget, Judging
from shared.consuming.applying import Applier, BatchOutcome, Inbound, Seen
from shared.consuming.batch import Batch, Event, Record
from shared.consuming.releasing import Releaser
from shared.contract.cloudevents import source_of
from shared.contract.events import (
    OWNERS,
    Deadline,
    EventModel,
    FigureField,
    Form,
    NarrativeField,
    RegimePublished,
    SubmissionReceived,
    SumRule,
    VerdictReached,
    WaiverGranted,
    obligation_key,
)
from shared.contract.ids import new_id
from shared.postgres.database import Database, Transaction
from shared.runtime.clock import ManualClock
from tests.in_no_order import rows_of

NOW = datetime(2026, 3, 18, 9, 30, tzinfo=UTC)

FORM = Form(
    nil_allowed=True,
    figures=(
        FigureField(code="T", label="Tổng số", label_en="Total", minimum="0"),
        FigureField(code="A", label="Đúng hạn", label_en="On time", minimum="0"),
        FigureField(code="B", label="Quá hạn", label_en="Late", minimum="0"),
    ),
    narratives=(NarrativeField(code="N", label="Đánh giá", required=False, max_characters=500),),
    sums=(SumRule(code="K", total="T", terms=("A", "B")),),
)
GOOD: dict[str, str | None] = {"T": "3", "A": "1", "B": "2"}


def regime(
    code: str = "BC", regime_version: int = 1, *, version: int = 1, form: Form = FORM, **others: Any
) -> RegimePublished:
    return RegimePublished.model_validate(
        {
            "code": code,
            "regime_version": regime_version,
            "name": "Báo cáo tháng",
            "name_en": "Monthly report",
            "frequency": "monthly",
            "effective_from": "2026-01-01",
            "receiver": "H99.01",
            "deadline": Deadline(rule="day_of_month"),
            "form": form,
            "version": version,
            **others,
        }
    )


def submission(
    agency: str = "H99.02", version: int = 1, *, code: str = "BC", regime_version: int = 1, **others: Any
) -> SubmissionReceived:
    values: dict[str, Any] = {
        "submission_id": uuid4(),
        "obligation": obligation_key(agency, code, "2026-M03"),
        "agency": agency,
        "regime": code,
        "regime_version": regime_version,
        "period": "2026-M03",
        "version": version,
        "officer_id": "o1",
        "received_at": datetime(2026, 3, 18, 9, tzinfo=UTC),
        "sha256": "0" * 64,
        "figures": GOOD,
        **others,
    }
    return SubmissionReceived.model_validate(values)


def event_of(body: EventModel) -> Event[Any]:
    """The event as it would come from Kafka."""
    event_id = new_id()
    record = Record(
        body.TOPIC,
        0,
        event_id.int % 10**9,
        body.key.encode(),
        body.encode(),
        [
            ("ce_id", str(event_id).encode()),
            ("ce_type", body.TYPE.encode()),
            ("ce_source", source_of(OWNERS[body.TOPIC])),
        ],
    )
    return Event(event_id, body.TYPE, body.key, body, record)


class DoorFailed(Exception):
    """Stands for whatever happens between the handler and the commit."""


class Rig:
    """Handlers on a database; every call of an edge is one committed transaction."""

    def __init__(self, database: Database, budget: Budget | None = None) -> None:
        self.database = database
        self.clock = ManualClock(NOW)
        self.judging = Judging(FormCache(), budget)

    @asynccontextmanager
    async def rolled_back(self) -> AsyncIterator[Transaction]:
        """A transaction whose edge fails before it commits."""
        with suppress(DoorFailed):
            async with self.database.transaction() as tx:
                yield tx
                raise DoorFailed

    async def keep(self, *records: RegimePublished | WaiverGranted) -> Batch[Any]:
        batch: Batch[Any] = Batch.of(records)
        async with self.database.transaction() as tx:
            await handlers.keep_regimes(batch, tx)
            await handlers.keep_waivers(batch, tx)
        return batch

    async def judge(self, *submissions: SubmissionReceived) -> Batch[SubmissionReceived]:
        batch = await self.judged(*submissions)
        async with self.database.transaction() as tx:
            await handlers.record(batch, tx, clock=self.clock)
        return batch

    async def judged(self, *submissions: SubmissionReceived) -> Batch[SubmissionReceived]:
        """A batch as the handler gets it: judged before the transaction."""
        batch = Batch.of(submissions)
        batch.prepared = (await self.judging.prepare(batch.events, self.database.read_transaction, apart=False)).values
        return batch

    def inbound(self, name: str) -> Inbound:
        (found,) = [inbound for inbound in inbounds(self.judging, self.clock) if inbound.name == name]
        return found

    async def consume(self, name: str, events: Sequence[Event[Any]]) -> BatchOutcome:
        """As the batch runtime does it: claimed, and with savepoints where the batch fails for its data."""
        inbound = self.inbound(name)
        applier = Applier("validator", inbound)
        prepared = (
            await inbound.prepare(events, self.database.read_transaction, apart=False) if inbound.prepare else None
        )
        try:
            async with self.database.transaction() as tx:
                return await applier.apply(tx, events, [], Seen(1, NOW), prepared=prepared)
        except Exception:
            async with self.database.transaction() as tx:
                return await applier.apply(tx, events, [], Seen(2, NOW), isolate=True, prepared=prepared)

    async def release(self) -> int:
        return await Releaser(
            Applier("validator", self.inbound("submissions")), self.database, self.clock
        ).release_resolved()

    async def release_alone(self) -> int:
        releaser = Releaser(Applier("validator", self.inbound("submissions")), self.database, self.clock)
        ended = 0
        while in_a_round := await releaser.alone(asyncio.Event()):  # it ends after 5 s, on a busy machine in the midst
            ended += in_a_round
        return ended

    async def rows(self, query: str) -> list[dict[str, Any]]:
        async with self.database.read_transaction() as snapshot:
            return [dict(row._mapping) for row in await rows_of(snapshot, query, {})]

    async def published(self) -> list[VerdictReached]:
        """The verdicts in the outbox, in order."""
        rows = await self.rows("SELECT topic, key, body FROM outbox WHERE type LIKE '%verdict.reached%' ORDER BY id")
        verdicts = [VerdictReached.model_validate_json(row["body"]) for row in rows]
        assert [(row["topic"], row["key"]) for row in rows] == [("verdicts", verdict.key) for verdict in verdicts]
        assert all("null" not in json.loads(row["body"]) for row in rows)
        return verdicts

    async def published_or_sent(self) -> list[VerdictReached]:
        """The verdicts in the outbox and its archive."""
        rows = await self.rows(
            "SELECT body FROM outbox WHERE type LIKE '%verdict.reached%'"
            " UNION ALL SELECT body FROM outbox_archive WHERE type LIKE '%verdict.reached%'"
        )
        return [VerdictReached.model_validate_json(row["body"]) for row in rows]
