"""The policies by version: by what people are scored, in which words, on what legal basis, and since when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict

from services.scoring.scores.policy.data import Policy
from services.scoring.scores.policy.store import listed, one
from shared.postgres.database import Database
from shared.runtime.clock import LOCAL_ZONE
from shared.web.errors import not_found

_HEAD: dict[str, Any] = {
    "version": "2019.1",
    "effective_from": "2019-03-12",
    "effective_until": "2026-12-31",
    "source": "Trọng số mẫu do tỉnh quyết định / sample weights, to be decided by the province",
    "sha256": "0" * 64,
    "loaded_at": "2026-01-05T08:00:00+07:00",
}
_POLICY: dict[str, Any] = {
    "version": "2019.1",
    "effective_from": "2019-03-12",
    "source": _HEAD["source"],
    "notice_working_days": 3,
    "timeliness": {"full": "60", "off_per_working_day": "10", "floor": "0", "overdue": "0"},
    "completeness": {"full": "40", "fraction_digits": 2, "counts": "accepted"},
    "clauses": {"on_time": "1.a", "late": "1.b", "overdue": "1.c", "complete": "2.a"},
    "texts": {
        "1.b": {
            "text_vi": "Trừ 10 điểm cho mỗi ngày làm việc đã bắt đầu sau thời hạn, ít nhất một ngày.",
            "text_en": "10 points are taken off for each working day begun after the deadline, at least one.",
            "legal_basis": "Mức trừ mẫu do tỉnh quyết định; NĐ 09/2019/NĐ-CP, Điều 7, Điều 8",
        },
        **{clause: {"text_vi": "…", "text_en": "…", "legal_basis": "…"} for clause in ("1.a", "1.c", "2.a")},
    },
}


class PolicyHead(BaseModel):
    """A loaded policy. It governs deadlines from `effective_from` until `effective_until`, both included."""

    model_config = ConfigDict(json_schema_extra={"example": _HEAD})

    version: str
    effective_from: date
    effective_until: date | None
    source: str
    sha256: str
    loaded_at: datetime


class PolicyShown(PolicyHead):
    """A loaded policy whole. `file`: the text as it was loaded; `sha256` is that of its bytes."""

    model_config = ConfigDict(json_schema_extra={"example": _HEAD | {"policy": _POLICY, "file": "version: …"}})

    policy: Policy
    file: str


class Policies(BaseModel):
    """All loaded policies, by first day."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [_HEAD]}})

    items: tuple[PolicyHead, ...]


def mount(routes: APIRouter, database: Database) -> None:
    """Add the routes that read policies."""

    @routes.get("/policies", summary="Các phiên bản quy tắc chấm điểm / versions of the scoring policy")
    async def policies() -> Policies:
        async with database.read_transaction() as snapshot:
            rows = await listed(snapshot)
        return Policies(items=tuple(PolicyHead(**_head(row)) for row in rows))

    @routes.get("/policies/{version}", summary="Một phiên bản quy tắc chấm điểm / one scoring policy")
    async def one_policy(version: Annotated[str, Path(pattern=r"^[0-9A-Za-z._-]{1,64}$")]) -> PolicyShown:
        async with database.read_transaction() as snapshot:
            row = await one(snapshot, version)
        if row is None:
            raise not_found(f"quy tắc chấm điểm {version}", f"scoring policy {version}")
        return PolicyShown(**_head(row), policy=row["policy"], file=row["body"])


def _head(row: Mapping[str, Any]) -> dict[str, Any]:
    policy: Policy = row["policy"]
    return {
        "version": policy.version,
        "effective_from": policy.effective_from,
        "effective_until": row["effective_until"],
        "source": policy.source,
        "sha256": row["sha256"],
        "loaded_at": row["loaded_at"].astimezone(LOCAL_ZONE),
    }
