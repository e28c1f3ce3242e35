"""Named queries on the registry; none commits. The lock of the revision's row serialises loads and key changes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from sqlalchemy import text

from services.intake.registry.records import content_of, kind_of, record_of
from shared.contract.events import AgencyRegrouped, RegistryEvent
from shared.postgres.bulk import names, parameters, unnest
from shared.postgres.database import ReadTransaction, Transaction

#: reading a province's whole registry at once would make the process large for good: freed memory is not returned
PAGE_RECORDS = 500

_RAISE_REVISION = text("UPDATE registry_revision SET revision = revision + 1 RETURNING revision")
_LOCK_REVISION = text("SELECT revision FROM registry_revision FOR UPDATE")
_REVISION = text("SELECT revision FROM registry_revision")
_RECORDS = text("""
    SELECT key, version, record FROM registry WHERE revision > :after AND key > :behind ORDER BY key LIMIT :limit
""")
_OFFICERS_OF = text("""
    SELECT key, version, record FROM registry WHERE kind = 'officer' AND record ->> 'agency' = ANY (:agencies)
""")
_RECORDS_OF = text("SELECT key, version, record FROM registry WHERE key = ANY (:keys) ORDER BY key")
_COLUMNS = {"key": "text", "kind": "text", "version": "int", "record": "jsonb"}
_SAVE = text(f"""
    INSERT INTO registry ({names(_COLUMNS)}, revision, changed_at)
    SELECT {names(_COLUMNS)}, :revision, :changed_at FROM {unnest(_COLUMNS)}
    ON CONFLICT (key) DO UPDATE SET version = excluded.version, revision = excluded.revision,
                                    record = excluded.record, changed_at = excluded.changed_at
""")  # noqa: S608 - constant names


_REGROUPED = {"agency": "text", "at": "timestamptz", "moved_at": "timestamptz", "version": "bigint"}
_KEEP_REGROUPED = text(f"""
    INSERT INTO regroupings AS kept ({names(_REGROUPED)}) SELECT * FROM {unnest(_REGROUPED)}
    ON CONFLICT (agency) DO UPDATE SET at = excluded.at, moved_at = coalesce(excluded.moved_at, kept.moved_at),
                                       version = excluded.version
    RETURNING {names(_REGROUPED)}
""")  # noqa: S608 - constant names
_READ_REGROUPED = text(f"SELECT {names(_REGROUPED)} FROM regroupings ORDER BY agency")  # noqa: S608 - constant names


async def lock(tx: Transaction) -> int:
    """Lock the registry and keys against other writers until the transaction ends. Returns the current revision."""
    return int((await tx.execute(_LOCK_REVISION)).scalar_one())


async def raise_revision(tx: Transaction) -> int:
    """Increase the revision, so that readers see a change. Returns the new one."""
    return int((await tx.execute(_RAISE_REVISION)).scalar_one())


async def revision(tx: ReadTransaction) -> int:
    return int((await tx.execute(_REVISION)).scalar_one())


async def pages_after(tx: ReadTransaction, after: int) -> AsyncIterator[list[RegistryEvent]]:
    """Records that changed after a revision, by key, in pages; -1 gives all."""
    behind = ""
    while True:
        rows = (await tx.execute(_RECORDS, {"after": after, "behind": behind, "limit": PAGE_RECORDS})).all()
        if rows:
            behind = rows[-1][0]
            yield [record_of(key, version, record) for key, version, record in rows]
        if len(rows) < PAGE_RECORDS:
            return


async def changed_after(tx: ReadTransaction, after: int) -> list[RegistryEvent]:
    """Like `pages_after`, all at once."""
    return [record async for page in pages_after(tx, after) for record in page]


async def records_of(tx: ReadTransaction, keys: Sequence[str]) -> list[RegistryEvent]:
    """Those of these records that there are."""
    rows = (await tx.execute(_RECORDS_OF, {"keys": keys})).all()
    return [record_of(key, version, record) for key, version, record in rows]


async def officers_of(tx: ReadTransaction, agencies: Sequence[str]) -> list[RegistryEvent]:
    """The records of these agencies' present and former officers."""
    rows = (await tx.execute(_OFFICERS_OF, {"agencies": agencies})).all()
    return [record_of(key, version, record) for key, version, record in rows]


async def keep_regrouped(tx: Transaction, regrouped: Sequence[AgencyRegrouped]) -> list[AgencyRegrouped]:
    """Keep when these agencies changed; returns all that is known of each."""
    if not regrouped:
        return []
    rows = ((one.agency, one.at, one.moved_at, one.version) for one in regrouped)
    kept = (await tx.execute(_KEEP_REGROUPED, parameters(_REGROUPED, rows))).mappings()
    return sorted((AgencyRegrouped(**row) for row in kept), key=lambda one: one.agency)


async def regrouped(tx: ReadTransaction) -> list[AgencyRegrouped]:
    """What is known of every agency that changed."""
    return [AgencyRegrouped(**row) for row in (await tx.execute(_READ_REGROUPED)).mappings()]


async def save(tx: Transaction, records: Sequence[RegistryEvent], new_revision: int, changed_at: datetime) -> None:
    """Store the records as the current ones, with their versions."""
    rows = (
        (record.key, kind_of(record.key), record.version, json.dumps(content_of(record), ensure_ascii=False))
        for record in records
    )
    await tx.execute(_SAVE, {"revision": new_revision, "changed_at": changed_at, **parameters(_COLUMNS, rows)})
