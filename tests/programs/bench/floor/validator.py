"""Validator by hand: each report against the form, exact sums; claim, verdict and event in one statement."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from aiokafka import ConsumerRecord

from tests.programs.bench.floor.base import Process, event_id, new_id, pool, province, worker

TABLES = """
CREATE TABLE verdict (
    submission_id uuid PRIMARY KEY, verdict_id uuid NOT NULL, obligation text NOT NULL, version int NOT NULL,
    received_at timestamptz NOT NULL, decided_at timestamptz NOT NULL, outcome text NOT NULL, errors int NOT NULL,
    required_items int NOT NULL, present_items int NOT NULL, findings jsonb NOT NULL, UNIQUE (obligation, version));
"""
_SAVE = """
WITH claim AS (
    INSERT INTO inbox (consumer, event_id) SELECT 'submissions', id FROM unnest($1::uuid[]) AS id ORDER BY id
    ON CONFLICT DO NOTHING RETURNING event_id
), fresh AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::int[], $6::timestamptz[],
                         $7::timestamptz[], $8::text[], $9::int[], $10::int[], $11::int[], $12::text[], $13::uuid[],
                         $14::bytea[])
           WITH ORDINALITY AS f (event_id, submission_id, verdict_id, obligation, version, received_at, decided_at,
                 outcome, errors, required_items, present_items, findings, outgoing_id, event,
                 place) JOIN claim USING (event_id)
), kept AS (
    INSERT INTO verdict SELECT submission_id, verdict_id, obligation, version, received_at, decided_at, outcome,
           errors, required_items, present_items, findings::jsonb FROM fresh ON CONFLICT DO NOTHING
), told AS (
    INSERT INTO outbox (event_id, topic, key, type, body)
    SELECT outgoing_id, 'verdicts', obligation, 'vn.thongsuot.verdict.reached.v1', event FROM fresh ORDER BY place
)
SELECT count(*) FROM claim
"""
_NUMBER = re.compile(r"-?[0-9]{1,38}(?:\.[0-9]{1,12})?").fullmatch


class Received(msgspec.Struct):
    submission_id: UUID
    obligation: str
    agency: str
    regime: str
    regime_version: int
    period: str
    version: int
    officer_id: str
    received_at: datetime
    figures: dict[str, str]
    narratives: dict[str, str]


_decode = msgspec.json.Decoder(Received).decode
_encode = msgspec.json.Encoder().encode


class Validator(Process):
    """The process."""

    def __init__(self) -> None:
        super().__init__("validator")
        form = province()["form"]
        self.figures = [
            (f["code"], Decimal(f["minimum"]), Decimal(f["maximum"]), f.get("fraction_digits", 0))
            for f in form["figures"]
        ]
        self.narratives = [(n["code"], n["min_characters"], n["max_characters"]) for n in form["narratives"]]
        self.sums = [(rule["code"], rule["total"], tuple(rule["terms"])) for rule in form["sums"]]
        self.required = len(self.figures) + len(self.narratives)

    async def begin(self) -> None:
        self.pool = await pool(self.url)
        self.consume("submissions", ("submissions",), self.judge)

    def check(self, report: Received) -> tuple[list[dict[str, str]], int]:
        findings: list[dict[str, str]] = []
        values: dict[str, Decimal] = {}
        present = 0
        for code, minimum, maximum, digits in self.figures:
            text = report.figures.get(code)
            if text is None:
                findings.append({"code": "FIGURE_MISSING", "path": f"/figures/{code}"})
            elif not _NUMBER(text) or len(text.partition(".")[2]) > digits:
                findings.append({"code": "NOT_A_NUMBER", "path": f"/figures/{code}"})
            else:
                values[code] = value = Decimal(text)
                present += 1
                if not minimum <= value <= maximum:
                    findings.append({"code": "RANGE", "path": f"/figures/{code}"})
        for rule, total, terms in self.sums:
            if total in values and all(term in values for term in terms):
                difference = values[total] - sum(values[term] for term in terms)
                if difference:
                    findings.append({"code": rule, "path": f"/figures/{total}", "difference": str(difference)})
        for code, shortest, longest in self.narratives:
            text = report.narratives.get(code)
            if text is None:
                findings.append({"code": "NARRATIVE_MISSING", "path": f"/narratives/{code}"})
            else:
                present += 1
                if not shortest <= len(text) <= longest:
                    findings.append({"code": "NARRATIVE_LENGTH", "path": f"/narratives/{code}"})
        if report.figures.keys() - {code for code, *_ in self.figures}:
            findings.append({"code": "UNKNOWN_FIGURE", "path": "/figures"})
        return findings, present

    async def judge(self, records: Sequence[ConsumerRecord]) -> int:
        rows: list[tuple[Any, ...]] = []
        decided_at = datetime.now(UTC)
        for record in records:
            report = _decode(record.value)
            findings, present = self.check(report)
            outcome, verdict_id = "returned" if findings else "accepted", new_id()
            event = {
                "verdict_id": verdict_id,
                "submission_id": report.submission_id,
                "obligation": report.obligation,
                "agency": report.agency,
                "regime": report.regime,
                "regime_version": report.regime_version,
                "period": report.period,
                "version": report.version,
                "officer_id": report.officer_id,
                "received_at": report.received_at,
                "decided_at": decided_at,
                "nil": False,
                "outcome": outcome,
                "errors": len(findings),
                "warnings": 0,
                "required_items": self.required,
                "present_items": present,
                "findings": findings,
                "findings_truncated": False,
            }
            rows.append(
                (event_id(record), report.submission_id, verdict_id, report.obligation, report.version,
                 report.received_at, decided_at, outcome, len(findings), self.required, present,
                 json.dumps(findings), new_id(), _encode(event))
            )  # fmt: skip
        return int(await self.pool.fetchval(_SAVE, *(list(column) for column in zip(*rows, strict=True))))


def build() -> tuple[Process, Any]:
    """The process and its application."""
    validator = Validator()
    return validator, worker(validator, validator.begin)
