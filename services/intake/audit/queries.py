"""Reads the audit trail page by page, the newest entry first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import text

from services.intake.audit.domain import Via
from services.intake.views import Moment
from shared.postgres.database import ReadTransaction

_ENTRIES = text("""
    SELECT audit_id, at, by, via, action, kind, key, before, after, why FROM audit_trail
     WHERE audit_id < :before_id
       AND (CAST(:kind AS text) IS NULL OR kind = :kind) AND (CAST(:key AS text) IS NULL OR key = :key)
       AND (CAST(:by AS text) IS NULL OR by = :by) AND (CAST(:action AS text) IS NULL OR action = :action)
       AND (CAST(:since AS timestamptz) IS NULL OR at >= :since)
       AND (CAST(:until AS timestamptz) IS NULL OR at < :until)
     ORDER BY audit_id DESC LIMIT :limit
""")
#: above every id
NEWEST = 2**63 - 1


class AuditEntry(BaseModel):
    """One change of one thing."""

    audit_id: int
    at: Moment
    by: str = Field(description="Ai: người, khóa hoặc dịch vụ / who: a person, a key's principal, or the service")
    via: Via = Field(description="Bằng lệnh, qua API, hay dịch vụ tự làm / by command, over the API, by the service")
    action: str = Field(description="created, changed, revoked, withdrawn, …")
    kind: str
    key: str
    before: dict[str, Any] | None = Field(description="Các trường trước khi đổi / the changed fields before")
    after: dict[str, Any] | None = Field(description="Các trường sau khi đổi / the changed fields after")
    why: str


class AuditPage(BaseModel):
    items: list[AuditEntry]
    next: str | None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What is asked for; None: any. `since` inclusive, `until` exclusive."""

    kind: str | None = None
    key: str | None = None
    by: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def entries(tx: ReadTransaction, wanted: AuditFilter, *, before_id: int, limit: int) -> list[AuditEntry]:
    """Entries older than `before_id`, the newest first."""
    asked = {name: getattr(wanted, name) for name in AuditFilter.__slots__}
    rows = await tx.execute(_ENTRIES, {**asked, "before_id": before_id, "limit": limit})
    return [AuditEntry.model_construct(**row) for row in rows.mappings()]
