"""Notifier by hand: stores the standing of each obligation in one statement; this load causes no mail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from aiokafka import ConsumerRecord

from tests.programs.bench.floor.base import Process, event_id, pool, worker

TABLES = """
CREATE TABLE obligations (
    obligation text PRIMARY KEY, standing text, version int NOT NULL DEFAULT 0);
CREATE TABLE notifications (id uuid PRIMARY KEY, obligation text NOT NULL, state text NOT NULL);
CREATE INDEX notifications_stoppable ON notifications (obligation) WHERE state = 'pending';
"""
_VERDICTS = """
WITH claim AS (
    INSERT INTO inbox (consumer, event_id) SELECT 'verdicts', id FROM unnest($1::uuid[]) AS id ORDER BY id
    ON CONFLICT DO NOTHING RETURNING event_id
), stopped AS (
    UPDATE notifications SET state = 'cancelled'
     WHERE state = 'pending' AND obligation = ANY($2::text[])
)
SELECT count(*) FROM claim
"""
_COMPLIANCE = """
WITH claim AS (
    INSERT INTO inbox (consumer, event_id) SELECT 'compliance', id FROM unnest($1::uuid[]) AS id ORDER BY id
    ON CONFLICT DO NOTHING RETURNING event_id
), kept AS (
    INSERT INTO obligations (obligation, standing, version)
    SELECT DISTINCT ON (obligation) obligation, standing, version
      FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int[]) AS e (event_id, obligation, standing, version)
      JOIN claim USING (event_id) ORDER BY obligation, version DESC
    ON CONFLICT (obligation) DO UPDATE SET standing = excluded.standing, version = excluded.version
     WHERE obligations.version < excluded.version
), stopped AS (
    UPDATE notifications SET state = 'cancelled' WHERE state = 'pending' AND obligation = ANY($2::text[])
)
SELECT count(*) FROM claim
"""


class Told(msgspec.Struct):
    obligation: str
    version: int
    standing: str = ""


_decode = msgspec.json.Decoder(Told).decode


class Notifier(Process):
    """The process."""

    def __init__(self) -> None:
        super().__init__("notifier")

    async def begin(self) -> None:
        self.pool = await pool(self.url)
        self.consume("verdicts", ("verdicts",), self.verdicts)
        self.consume("compliance", ("compliance",), self.compliance)

    async def verdicts(self, records: Sequence[ConsumerRecord]) -> int:
        ids = [event_id(record) for record in records]
        keys = [_decode(record.value).obligation for record in records]
        return int(await self.pool.fetchval(_VERDICTS, ids, keys))

    async def compliance(self, records: Sequence[ConsumerRecord]) -> int:
        read = [
            (event_id(record), told.obligation, told.standing, told.version)
            for record in records
            for told in (_decode(record.value),)
        ]
        return int(await self.pool.fetchval(_COMPLIANCE, *(list(column) for column in zip(*read, strict=True))))


def build() -> tuple[Process, Any]:
    """The process and its application."""
    notifier = Notifier()
    return notifier, worker(notifier, notifier.begin)
