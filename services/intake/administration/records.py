"""Reads records of the registry with their versions; earlier versions follow from the audit trail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import text

from services.intake.administration.reach import Reach
from services.intake.registry.agency_codes import newer, older
from services.intake.registry.records import Kind, kind_of, record_of
from services.intake.views import Moment
from shared.postgres.database import ReadTransaction

#: between the code of a regime and its version, in a path: a key with a slash would be two segments
VERSION_MARK = "@"

_ONE = text("SELECT key, version, record, changed_at FROM registry WHERE key = :key")
_PAGE = text("""
    SELECT key, version, record, changed_at FROM registry
     WHERE kind = :kind AND key > :after ORDER BY key LIMIT :limit
""")
_CHANGES = text("""
    SELECT at, by, why, before FROM audit_trail WHERE kind = :kind AND key = :key
       AND action IN ('created', 'changed') ORDER BY audit_id DESC LIMIT :limit
""")


#: a record as the OpenAPI document shows it
EXAMPLE: dict[str, Any] = {
    "code": "H99.131",
    "name": "Ủy ban nhân dân xã Thượng Nguyên",
    "kind": "commune",
    "parent": "H99",
    "opened_on": "2025-07-01",
}
_RECORD = Field(description="Như trong tệp danh mục / as in the registry's files", examples=[EXAMPLE])
_KEY = Field(
    description="Mã; chế độ báo cáo kèm phiên bản / code or id; a regime with its version: BC-KTXH@2",
    examples=[EXAMPLE["code"]],
)


class RecordView(BaseModel):
    """A record of the registry as it is now."""

    kind: Kind
    key: str = _KEY
    version: int = Field(description="Tăng mỗi lần đổi; là ETag / grows with every change; it is the ETag")
    changed_at: Moment
    older_code: str | None = Field(
        None, description="Mã cơ quan theo QCVN 102:2016/BTTTT / an agency's code in its older form", examples=[None]
    )
    record: dict[str, Any] = _RECORD


class RecordPage(BaseModel):
    items: list[RecordView]
    next: str | None


class VersionView(BaseModel):
    """A record as it was after one of its changes, and who made that change. Contacts are fingerprints."""

    kind: Kind
    key: str = _KEY
    version: int
    at: Moment
    by: str
    why: str
    record: dict[str, Any] = _RECORD


def stored_key(kind: Kind, key: str) -> str:
    """The key under which a record is stored, from its path, where an agency's code may have its older form."""
    if kind == "agency":
        return f"agency/{newer(key)}"
    if kind in ("regime", "reference"):
        code, _, version = key.rpartition(VERSION_MARK)
        return f"{kind}/{code}/{version}"
    return f"{kind}/{key}"


def path_key(stored: str) -> str:
    """The last segment of a record's path."""
    _, _, name = stored.partition("/")
    return name.replace("/", VERSION_MARK)


async def one(tx: ReadTransaction, kind: Kind, key: str, reach: Reach) -> RecordView | None:
    """The record; None where there is none, or it lies outside the reach."""
    row = (await tx.execute(_ONE, {"key": stored_key(kind, key)})).first()
    return None if row is None or not _within(reach, row) else _view(row)


async def page(tx: ReadTransaction, kind: Kind, after: str, limit: int, reach: Reach) -> list[RecordView]:
    """Records of a kind within the reach by key, after the given stored key."""
    found: list[RecordView] = []
    while len(found) < limit:
        rows = (await tx.execute(_PAGE, {"kind": kind, "after": after, "limit": limit})).all()
        found += [_view(row) for row in rows if _within(reach, row)]
        if len(rows) < limit:
            break
        after = rows[-1].key
    return found[:limit]


def _within(reach: Reach, row: Any) -> bool:
    return reach.everywhere or reach.reads(record_of(row.key, row.version, row.record))


def _view(row: Any) -> RecordView:
    return RecordView(
        kind=kind_of(row.key),
        key=path_key(row.key),
        version=row.version,
        changed_at=row.changed_at,
        older_code=older(row.record["code"]) if kind_of(row.key) == "agency" else None,
        record=dict(row.record),
    )


@dataclass(frozen=True, slots=True)
class Made:
    """One change of a record, as the audit trail has it. `before`: what the changed fields held; None: nothing was."""

    at: datetime
    by: str
    why: str
    before: Mapping[str, Any] | None


async def version(
    tx: ReadTransaction, current: RecordView, audited: Mapping[str, Any], number: int
) -> VersionView | None:
    """The record as it was in that version. audited: the current content as the trail keeps it."""
    if not 1 <= number <= current.version:
        return None
    wanted = {"kind": current.kind, "key": stored_key(current.kind, current.key).partition("/")[2]}
    rows = await tx.execute(_CHANGES, {**wanted, "limit": current.version - number + 1})
    changes = [Made(*row) for row in rows]
    if len(changes) <= current.version - number:
        return None  # from before the trail began
    made = changes[-1]
    return VersionView(
        kind=current.kind,
        key=current.key,
        version=number,
        at=made.at,
        by=made.by,
        why=made.why,
        record=undone(audited, changes[:-1]),
    )


def undone(record: Mapping[str, Any], changes: Sequence[Made]) -> dict[str, Any]:
    """The record before the changes, of which the newest comes first."""
    was = dict(record)
    for change in changes:
        was |= change.before or {}
    return was
