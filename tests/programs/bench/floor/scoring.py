"""Scoring by hand: submissions and verdicts folded into obligations under their row locks, with lines and events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from aiokafka import ConsumerRecord

from tests.programs.bench.floor.base import Process, event_id, new_id, pool, province, worker

TABLES = """
CREATE TABLE obligations (
    obligation text PRIMARY KEY, agency text NOT NULL, regime text NOT NULL, period text NOT NULL,
    deadline timestamptz NOT NULL, version int NOT NULL, received_version int NOT NULL DEFAULT 0,
    last_received_at timestamptz, decided_version int NOT NULL DEFAULT 0, accepted_version int,
    accepted_submission_id uuid, accepted_received_at timestamptz, required_items int, present_items int,
    officer_id text, score numeric NOT NULL DEFAULT 0, line_count int NOT NULL DEFAULT 0) WITH (fillfactor = 75);
CREATE TABLE score_lines (
    obligation text NOT NULL, seq int NOT NULL, line_id uuid NOT NULL, component text NOT NULL, points numeric NOT NULL,
    cause text NOT NULL, event_id uuid, created_at timestamptz NOT NULL, PRIMARY KEY (obligation, seq));
"""
_GENERATE = """
INSERT INTO obligations (obligation, agency, regime, period, deadline, version)
SELECT a || '/' || $1 || '/' || p, a, $1, p, $2, 1 FROM unnest($3::text[]) AS p, unnest($4::text[]) AS a
"""
_CLAIM = """
INSERT INTO inbox (consumer, event_id) SELECT 'follow', id FROM unnest($1::uuid[]) AS id ORDER BY id
ON CONFLICT DO NOTHING RETURNING event_id
"""
_LOCK = """
SELECT obligation, deadline, version, received_version, last_received_at, decided_version, accepted_version,
       accepted_submission_id, accepted_received_at, required_items, present_items, officer_id, score, line_count
  FROM obligations WHERE obligation = ANY($1::text[]) ORDER BY obligation FOR UPDATE
"""
_SAVE = """
WITH changed AS (
    UPDATE obligations AS o SET version = s.version, received_version = s.received_version,
        last_received_at = s.last_received_at, decided_version = s.decided_version,
        accepted_version = s.accepted_version, accepted_submission_id = s.accepted_submission_id,
        accepted_received_at = s.accepted_received_at, required_items = s.required_items,
        present_items = s.present_items, officer_id = s.officer_id, score = s.score, line_count = s.line_count
      FROM unnest($1::text[], $2::int[], $3::int[], $4::timestamptz[], $5::int[], $6::int[], $7::uuid[],
                  $8::timestamptz[], $9::int[], $10::int[], $11::text[], $12::numeric[], $13::int[])
           AS s (obligation, version, received_version, last_received_at, decided_version, accepted_version,
                 accepted_submission_id, accepted_received_at, required_items, present_items, officer_id, score,
                 line_count)
     WHERE o.obligation = s.obligation
), lines AS (
    INSERT INTO score_lines SELECT * FROM unnest($14::text[], $15::int[], $16::uuid[], $17::text[], $18::numeric[],
                                                 $19::text[], $20::uuid[], $21::timestamptz[])
)
INSERT INTO outbox (event_id, topic, key, type, body)
SELECT event_id, 'compliance', key, type, body
  FROM unnest($22::uuid[], $23::text[], $24::text[], $25::bytea[]) WITH ORDINALITY
       AS e (event_id, key, type, body, place) ORDER BY place
"""


CHANGED = "vn.thongsuot.obligation.changed.v1"


class Told(msgspec.Struct):
    """A submission's or a verdict's event; only the latter has an outcome."""

    submission_id: UUID
    obligation: str
    agency: str
    regime: str
    period: str
    version: int
    officer_id: str
    received_at: datetime
    decided_at: datetime | None = None
    outcome: str = ""
    required_items: int = 0
    present_items: int = 0


_decode = msgspec.json.Decoder(Told).decode
_encode = msgspec.json.Encoder(decimal_format="string").encode


class Scoring(Process):
    """The process."""

    def __init__(self) -> None:
        super().__init__("scoring")

    async def begin(self) -> None:
        self.pool = await pool(self.url)
        registry = province()
        if not await self.pool.fetchval("SELECT EXISTS (SELECT FROM obligations)"):
            agencies = [row["agency"] for row in registry["agencies"]]
            deadline = datetime.fromisoformat(registry["deadline"])
            await self.pool.execute(_GENERATE, registry["regime"], deadline, registry["periods"], agencies)
            await self.pool.execute("VACUUM ANALYZE obligations")
        self.consume("follow", ("submissions", "verdicts"), self.follow, "vn.thongsuot.verdict.reached.v1")

    async def follow(self, records: Sequence[ConsumerRecord]) -> int:
        read = [(event_id(record), _decode(record.value)) for record in records]
        verdicts = 0
        async with self.pool.acquire() as connection, connection.transaction():
            claimed = {row[0] for row in await connection.fetch(_CLAIM, [i for i, _ in read])}
            keys = sorted({told.obligation for i, told in read if i in claimed})
            if not keys:
                return 0
            states = {row[0]: list(row) for row in await connection.fetch(_LOCK, keys)}
            changed: set[str] = set()
            lines: list[tuple[Any, ...]] = []
            events: list[tuple[Any, ...]] = []
            for i, told in read:
                if i in claimed:
                    claimed.discard(i)
                    verdicts += bool(told.outcome)
                    if self.fold(states[told.obligation], i, told, lines, events):
                        changed.add(told.obligation)
            rows = [(s[0], *s[2:]) for s in states.values() if s[0] in changed]
            columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(13)]
            columns += [list(column) for column in zip(*lines, strict=True)] or [[] for _ in range(8)]
            columns += [list(column) for column in zip(*events, strict=True)] or [[] for _ in range(4)]
            await connection.execute(_SAVE, *columns)
        return verdicts

    def fold(self, s: list[Any], cause: UUID, told: Told, lines: list[Any], events: list[Any]) -> bool:
        """Return whether the state has changed. s: obligation, deadline, version, received, last received at, decided,
        accepted version, id and moment, required, present, officer, score, line count."""
        newer: bool = told.version > s[3]
        if newer:
            s[3], s[4], s[11] = told.version, told.received_at, told.officer_id
        if not told.outcome or told.version <= s[5]:
            return newer
        s[5], s[9], s[10] = told.version, told.required_items, told.present_items
        if s[6] is not None:
            return True
        s[2] += 1
        state = {
            "obligation": s[0], "agency": told.agency, "regime": told.regime, "regime_version": 1,
            "period": told.period, "version": s[2], "at": told.decided_at, "owed": True, "overdue": False,
            "deadline": s[1], "planned_deadline": s[1], "calendar_version": "floor", "policy_version": "floor",
            "received_version": s[3], "last_received_at": s[4], "officer_id": s[11],
        }  # fmt: skip
        if told.outcome != "accepted":
            state |= {"changes": ["returned"], "standing": "returned"}
            events.append((new_id(), s[0], CHANGED, _encode(state)))
            return True
        s[6], s[7], s[8] = told.version, told.submission_id, told.received_at
        on_time = told.received_at <= s[1]
        deserved = (
            ("timeliness", Decimal(60) if on_time else Decimal(0), "Nộp đúng hạn" if on_time else "Nộp trễ hạn"),
            ("completeness", Decimal(40) * s[10] / s[9], f"Đủ {s[10]}/{s[9]} mục"),
        )
        listed = []
        for component, points, why in deserved:
            s[13] += 1
            line_id = new_id()
            s[12] += points
            lines.append((s[0], s[13], line_id, component, points, why, cause, told.decided_at))
            listed.append({"line_id": line_id, "seq": s[13], "component": component, "points": points, "cause": why,
                           "event_id": cause, "created_at": told.decided_at, "in_force": True})  # fmt: skip
        state |= {
            "changes": ["fulfilled", "score"], "standing": "fulfilled", "answer_version": s[6],
            "answer_submission_id": s[7], "answer_received_at": s[8], "on_time": on_time, "required_items": s[9],
            "present_items": s[10], "score": s[12], "lines": listed,
        }  # fmt: skip
        events.append((new_id(), s[0], CHANGED, _encode(state)))
        return True


def build() -> tuple[Process, Any]:
    """The process and its application."""
    scoring = Scoring()
    return scoring, worker(scoring, scoring.begin)
