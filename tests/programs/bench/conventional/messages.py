"""The messages, as pydantic models."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel


class Submitted(BaseModel):
    submission_id: str
    obligation: str
    agency: str
    regime: str
    period: str
    version: int
    officer_id: str
    received_at: datetime
    sha256: str
    figures: dict[str, Decimal]
    narratives: dict[str, str]


class Finding(BaseModel):
    code: str
    path: str
    difference: Decimal | None = None


class Judged(BaseModel):
    verdict_id: str
    submission_id: str
    obligation: str
    agency: str
    regime: str
    period: str
    version: int
    officer_id: str
    received_at: datetime
    decided_at: datetime
    outcome: str
    required_items: int
    present_items: int
    findings: list[Finding]


class Line(BaseModel):
    component: str
    points: Decimal
    cause: str


class Scored(BaseModel):
    obligation: str
    agency: str
    period: str
    version: int
    standing: str
    on_time: bool
    score: Decimal
    lines: list[Line]
