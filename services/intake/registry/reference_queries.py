"""The queries behind the pages of reference tables (danh mục tra cứu)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import text

from services.intake.registry.records import Registry, record_of
from shared.contract.events import ReferenceColumn, ReferenceTablePublished
from shared.postgres.database import ReadTransaction

_SUMMARY = """
    record->>'code' AS code, CAST(record->>'table_version' AS integer) AS table_version, record->>'name' AS name,
    record->>'name_en' AS name_en, CAST(record->>'effective_from' AS date) AS effective_from,
    record->>'legal_basis' AS legal_basis, jsonb_array_length(record->'rows') AS row_count
"""
_PAGE = text(f"""
    SELECT {_SUMMARY} FROM registry
     WHERE kind = 'reference' AND (CAST(:after_code AS text), CAST(:after_version AS bigint))
                                < (record->>'code', CAST(record->>'table_version' AS integer))
     ORDER BY record->>'code', CAST(record->>'table_version' AS integer) LIMIT :limit
""")  # noqa: S608 - constant text
_ONE = text("SELECT version, record FROM registry WHERE key = :key")


class ReferenceView(BaseModel):
    """A version of a reference table, without its rows."""

    code: str
    table_version: int
    name: str
    name_en: str
    effective_from: date
    legal_basis: str
    row_count: int
    links: dict[str, str]


class ReferencePage(BaseModel):
    items: list[ReferenceView]
    next: str | None


class ReferenceDetail(ReferenceView):
    """A version of a reference table. The first column is the key."""

    columns: tuple[ReferenceColumn, ...]
    rows: tuple[tuple[str | None, ...], ...] = Field(
        description="Mỗi dòng một ô cho mỗi cột, null là trống / a cell for each column, null where it is blank",
        examples=[[["Hộ tịch", "H99.04", "99"]]],
    )
    checksum: str = Field(description="SHA-256 của cột và dòng / of columns and rows", examples=["9f2c…"])


async def page(tx: ReadTransaction, after: tuple[str, int] | None, limit: int) -> Sequence[ReferenceView]:
    """All versions, by code and version."""
    code, version = after or ("", 0)
    rows = await tx.execute(_PAGE, {"after_code": code, "after_version": version, "limit": limit})
    return [ReferenceView(**row, links=_links(row["code"], row["table_version"])) for row in rows.mappings()]


async def detail(
    tx: ReadTransaction, registry: Registry, code: str, *, version: int | None, day: date
) -> ReferenceDetail | None:
    """The table in this version, or in that in force on the day; None where there is none."""
    versions = registry.references.get(code, {})
    begun = [table for table in versions.values() if table.effective_from <= day]
    if version is None and begun:
        version = max(begun, key=lambda table: (table.effective_from, table.table_version)).table_version
    key = f"reference/{code}/{version}"
    row = (await tx.execute(_ONE, {"key": key})).first()
    if row is None:
        return None
    table = record_of(key, row.version, row.record)
    assert isinstance(table, ReferenceTablePublished)
    shown: dict[str, Any] = table.model_dump(exclude={"version"})
    return ReferenceDetail(
        **shown, row_count=len(table.rows), checksum=table.checksum, links=_links(code, table.table_version)
    )


def _links(code: str, version: int) -> dict[str, str]:
    return {"self": f"/v1/reference-tables/{code}?version={version}"}
