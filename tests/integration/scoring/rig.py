"""Drives scoring's handlers and tickers on a real database, and reads back what they stored and told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from services.scoring.calendar import shipped_calendars
from services.scoring.calendar.store import load_calendars
from services.scoring.obligations import handlers, store
from services.scoring.obligations.deadline_sweep import DeadlineSweep, Settled
from services.scoring.obligations.domain import Obligation, in_force
from services.scoring.obligations.generation_sweep import Generator
from services.scoring.reference_data import Rules
from services.scoring.scores.policy import shipped_policies
from services.scoring.scores.policy.store import load_policies
from shared.consuming.batch import Batch
from shared.contract.events import (
    AgencyRegistered,
    Change,
    EventModel,
    Form,
    ObligationChanged,
    OfficerRegistered,
    RegimePublished,
    RequestIssued,
    obligation_key,
)
from shared.contract.events.registry import Cutoff, Deadline
from shared.postgres.database import Database
from shared.runtime.clock import ManualClock
from tests.in_no_order import rows_of
from tests.unit.scoring.samples import KEY, local

__all__ = ["KEY", "Rig", "agency", "local", "officer", "regime", "request"]

REGIME = "KTXH-THANG"


def agency(code: str = "H99.31", **changes: Any) -> AgencyRegistered:
    fields: dict[str, Any] = {
        "code": code, "name": f"UBND xã {code}", "kind": "commune", "opened_on": date(2025, 7, 1), "version": 1,
    }  # fmt: skip
    return AgencyRegistered(**(fields | changes))


def officer(officer_id: str = "officer-31", of: str = "H99.31", **changes: Any) -> OfficerRegistered:
    fields: dict[str, Any] = {
        "officer_id": officer_id, "agency": of, "name": "Nguyễn Văn A", "email": f"{officer_id}@example.vn",
        "role": "reporting_officer", "version": 1,
    }  # fmt: skip
    return OfficerRegistered(**(fields | changes))


def regime(code: str = REGIME, regime_version: int = 1, **changes: Any) -> RegimePublished:
    fields: dict[str, Any] = {
        "code": code,
        "regime_version": regime_version,
        "name": "Báo cáo kinh tế - xã hội tháng",
        "frequency": "monthly",
        "effective_from": date(2025, 1, 1),
        "submitter_kinds": ("commune",),
        "receiver": "H99.01",
        "cutoff": Cutoff(),
        "deadline": Deadline(rule="day_of_month", day=18),
        "remind_working_days": 2,
        "form": Form(),
        "version": 1,
    }
    return RegimePublished(**(fields | changes))


def request(request_id: str = "DX-2026-003", **changes: Any) -> RequestIssued:
    fields: dict[str, Any] = {
        "request_id": request_id,
        "regime": "THIENTAI-DX",
        "title": "Báo cáo thiệt hại",
        "issued_at": local(2026, 10, 5, 8),
        "deadline": local(2026, 10, 9, 17),
        "version": 1,
    }
    return RequestIssued(**(fields | changes))


@dataclass
class Rig:
    """`clock` is business time and stands still; it begins on Thursday 1 October 2026, 8:00 local."""

    database: Database
    clock: ManualClock
    rules: Rules
    generator: Generator
    sweep: DeadlineSweep

    @classmethod
    async def ready(cls, database: Database) -> Rig:
        clock, rules = ManualClock(local(2026, 10, 1, 8)), Rules()
        async with database.transaction() as tx:
            await load_calendars(tx, shipped_calendars())
            await load_policies(tx, shipped_policies(), clock.now().date())
        return cls(
            database,
            clock,
            rules,
            Generator(rules, clock, horizon_days=45, catch_up_days=7),
            DeadlineSweep(rules, clock, Settled(clock, 0), rows_a_tick=3),
        )

    async def registry(self, *models: EventModel) -> None:
        async with self.database.transaction() as tx:
            await handlers.take_registry(Batch.of(models), tx, self.clock.now())  # type: ignore[arg-type]

    async def follow(self, *models: EventModel) -> Batch[Any]:
        batch: Batch[Any] = Batch.of(models)
        async with self.database.transaction() as tx:
            await handlers.follow(batch, tx, self.rules)
        return batch

    async def generate(self) -> int:
        """Tick until there is nothing left; returns the ticks it took."""
        ticks = 0
        while True:
            async with self.database.transaction() as tx:
                if not await self.generator.tick(tx):
                    return ticks
            ticks += 1
            assert ticks < 200, "the generator does not come to an end"

    async def mark(self) -> int:
        """Sweep until nothing is due any more; returns the obligations gone through."""
        rows = 0
        while True:
            async with self.database.transaction() as tx:
                swept = await self.sweep.tick(tx)
            if not swept:
                return rows
            rows += swept

    async def at(self, moment: datetime) -> None:
        """Move business time and let every ticker run to its end."""
        self.clock.set(moment)
        await self.generate()
        await self.mark()

    async def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        async with self.database.read_transaction() as snapshot:
            return [dict(row._mapping) for row in await rows_of(snapshot, query, parameters)]

    async def one(self, key: str = KEY) -> dict[str, Any]:
        """The row's columns, and what its documents say of state and terms."""
        rows = await self.rows("SELECT * FROM obligations WHERE obligation = :key", key=key)
        assert len(rows) == 1, f"{len(rows)} obligations {key}"
        made = await self.obligation(key)
        state, terms = msgspec.structs.asdict(made.state), msgspec.structs.asdict(made.terms)
        for column in ("standing", "owed", "overdue", "deadline", "next_at"):
            assert rows[0][column] == state[column], f"the column {column} is not what the document says"
        return {**terms, **state, **rows[0]}

    async def obligation(self, key: str = KEY) -> Obligation:
        async with self.database.transaction() as tx:
            return (await store.lock_obligations(tx, [key]))[key]

    async def keys(self) -> list[str]:
        return [row["obligation"] for row in await self.rows("SELECT obligation FROM obligations ORDER BY 1")]

    async def periods(self, of: str = "H99.31") -> list[str]:
        return [row["period"] for row in await self.rows(
            "SELECT period FROM obligations WHERE agency = :of AND owed ORDER BY deadline, period", of=of
        )]  # fmt: skip

    async def published(self, change: Change | None = None, key: str | None = None) -> list[ObligationChanged]:
        """Events in the outbox in the order in which they will be sent; of one change, of one obligation."""
        found = []
        no_obligation = "starts_with(key, 'calendar/') OR starts_with(key, 'policy/')"
        for row in await self.rows(f"SELECT key, body FROM outbox WHERE NOT ({no_obligation}) ORDER BY id"):
            event = ObligationChanged.model_validate_json(bytes(row["body"]))
            if (change is None or change in event.changes) and key in (None, row["key"]):
                found.append(event)
        return found

    async def changes(self, key: str = KEY) -> list[tuple[str, ...]]:
        return [event.changes for event in await self.published(key=key)]

    async def check_scores(self) -> None:
        """Scores, lines in force, all lines in the document and all lines in the ledger agree, exactly."""
        ledger: dict[str, list[dict[str, Any]]] = {}
        for row in await self.rows("SELECT * FROM score_lines ORDER BY obligation, seq"):
            ledger.setdefault(row["obligation"], []).append(row)
        for key in await self.keys():
            obligation, written = await self.obligation(key), ledger.get(key, [])
            assert [msgspec.structs.asdict(line) for line in obligation.lines] == [
                {name: value for name, value in row.items() if name != "obligation"} for row in written
            ]
            assert sum((row["points"] for row in written), Decimal(0)) == (obligation.state.score or 0)
            assert sum((line.points for line in in_force(obligation.lines)), Decimal(0)) == (
                obligation.state.score or 0
            )
            assert [row["seq"] for row in written] == list(range(1, len(written) + 1))


def key_of(code: str, period: str, of: str = REGIME) -> str:
    return obligation_key(code, of, period)
