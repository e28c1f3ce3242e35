"""Drives scoring's handlers and tickers on a real database, and reads back what they stored and told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from services.scoring.calendar import shipped_calendars
from services.scoring.calendar.store import load_calendars
from services.scoring.obligations import handlers
from services.scoring.obligations.sweeps import Generator, Marker, Settled
from services.scoring.reference_data import Rules
from services.scoring.scores.policy import shipped_policies
from services.scoring.scores.policy.store import load_policies
from shared.consuming.batch import Batch
from shared.contract.events import (
    MODELS,
    AgencyRegistered,
    EventModel,
    Form,
    OfficerRegistered,
    RegimePublished,
    RequestIssued,
    obligation_key,
)
from shared.contract.events.registry import Cutoff, Deadline
from shared.postgres.database import Database
from shared.runtime.clock import ManualClock
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
    marker: Marker

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
            Marker(rules, clock, Settled(clock, 0), rows_a_tick=3),
        )

    async def registry(self, *models: EventModel) -> None:
        async with self.database.transaction() as tx:
            await handlers.take_registry(Batch.of(models), tx)  # type: ignore[arg-type]

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

    async def remind(self) -> int:
        return await self._until_done(self.marker.remind)

    async def mark_overdue(self) -> int:
        return await self._until_done(self.marker.mark_overdue)

    async def _until_done(self, tick: Any) -> int:
        rows = 0
        while True:
            async with self.database.transaction() as tx:
                marked = await tick(tx)
            if not marked:
                return rows
            rows += marked

    async def at(self, moment: datetime) -> None:
        """Move business time and let every ticker run to its end."""
        self.clock.set(moment)
        await self.generate()
        await self.remind()
        await self.mark_overdue()

    async def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        async with self.database.read_transaction() as snapshot:
            return [dict(row) for row in (await snapshot.execute(text(query), parameters)).mappings()]

    async def one(self, key: str = KEY) -> dict[str, Any]:
        rows = await self.rows("SELECT * FROM obligations WHERE obligation = :key", key=key)
        assert len(rows) == 1, f"{len(rows)} obligations {key}"
        return rows[0]

    async def keys(self) -> list[str]:
        return [row["obligation"] for row in await self.rows("SELECT obligation FROM obligations ORDER BY 1")]

    async def periods(self, of: str = "H99.31") -> list[str]:
        return [row["period"] for row in await self.rows(
            "SELECT period FROM obligations WHERE agency = :of AND owed ORDER BY deadline, period", of=of
        )]  # fmt: skip

    async def told(self, kind: type[EventModel] | None = None, key: str | None = None) -> list[Any]:
        """Events in the outbox in the order in which they will be sent."""
        found = []
        for row in await self.rows("SELECT type, key, body FROM outbox ORDER BY id"):
            model = MODELS[row["type"]]
            if (kind is None or model is kind) and key in (None, row["key"]):
                found.append(model.model_validate_json(bytes(row["body"])))
        return found

    async def check_scores(self) -> None:
        """Scores, lines in force and all lines ever written agree, exactly."""
        lines: dict[str, list[dict[str, Any]]] = {}
        for row in await self.rows("SELECT * FROM score_lines ORDER BY obligation, seq"):
            lines.setdefault(row["obligation"], []).append(row)
        for row in await self.rows(
            "SELECT obligation, score, CAST(lines AS text) AS lines, line_count FROM obligations"
        ):
            written = lines.get(row["obligation"], [])
            countered = {line["counters"] for line in written if line["counters"]}
            in_force = {str(line["line_id"]) for line in written
                        if line["counters"] is None and line["line_id"] not in countered}  # fmt: skip
            kept = json.loads(row["lines"])
            assert sum((line["points"] for line in written), Decimal(0)) == row["score"]
            assert sum((Decimal(line["points"]) for line in kept), Decimal(0)) == row["score"]
            assert {line["line_id"] for line in kept} == in_force
            assert [line["seq"] for line in written] == list(range(1, row["line_count"] + 1))


def kinds(events: Sequence[EventModel]) -> list[str]:
    return [type(event).__name__ for event in events]


def key_of(code: str, period: str, of: str = REGIME) -> str:
    return obligation_key(code, of, period)
