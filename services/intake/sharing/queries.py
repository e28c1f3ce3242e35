"""Reads the feed of shared reports: what changed, in the order in which it was stored, and what the versions say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import text

from services.intake.registry.records import record_of
from services.intake.sharing.feed import Change
from shared.contract.events import SharingGranted
from shared.postgres.database import ReadTransaction

#: changes that one read looks through, of all regimes and agencies: its cost does not grow with what is not shared
SCANNED = 1_000

_SHARINGS = text("""
    SELECT key, version, record FROM registry WHERE kind = 'sharing' AND record ->> 'reader' = :reader ORDER BY key
""")
_AFTER = "> (CAST(:moment AS timestamptz), CAST(:id AS uuid))"
_CHANGES = text(f"""
    SELECT changed.moment, changed.id, submission_id, submissions.obligation, submissions.agency, submissions.regime,
           coalesce(verdicts.was_accepted, false), verdicts.updated_at, changed.is_step
      FROM (
        SELECT * FROM (
            (SELECT updated_at AS moment, submission_id AS id, submission_id, false AS is_step
               FROM verdicts WHERE (updated_at, submission_id) {_AFTER} AND updated_at < :horizon
              ORDER BY updated_at, submission_id LIMIT :limit)
            UNION ALL
            (SELECT stored_at, step_id, submission_id, true
               FROM steps WHERE submission_id IS NOT NULL AND (stored_at, step_id) {_AFTER} AND stored_at < :horizon
              ORDER BY stored_at, step_id LIMIT :limit)
        ) AS found ORDER BY moment, id LIMIT :limit
      ) AS changed
      JOIN submissions USING (submission_id) LEFT JOIN verdicts USING (submission_id)
     ORDER BY changed.moment, changed.id
""")  # noqa: S608 - constants
_SIZES = text("""
    SELECT submission_id, octet_length(body) FROM submissions WHERE submission_id = ANY(CAST(:ids AS uuid[]))
""")
_BODIES = text("""
    SELECT submission_id, encode(sha256, 'hex'), body FROM submissions
     WHERE submission_id = ANY(CAST(:ids AS uuid[]))
""")
_BEGINNING = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))


async def sharings(tx: ReadTransaction, reader: str) -> list[SharingGranted]:
    """The reader's permissions as they are stored now, whatever their days."""
    found = []
    for key, version, record in await tx.execute(_SHARINGS, {"reader": reader}):
        sharing = record_of(key, version, record)
        assert isinstance(sharing, SharingGranted), "by its key"
        found.append(sharing)
    return found


async def changes(tx: ReadTransaction, after: tuple[datetime, UUID] | None, horizon: datetime) -> list[Change]:
    """At most SCANNED changes behind a position and before the horizon, of everybody."""
    moment, last = after or _BEGINNING
    rows = await tx.execute(_CHANGES, {"moment": moment, "id": last, "horizon": horizon, "limit": SCANNED})
    return [Change(row[0], UUID(int=row[1].int), *row[2:]) for row in rows]  # the driver's UUID is a subclass of ours


async def sizes(tx: ReadTransaction, ids: Sequence[UUID]) -> dict[UUID, int]:
    """How many bytes each of these reports has."""
    return {row[0]: row[1] for row in await tx.execute(_SIZES, {"ids": list(ids)})}


async def bodies(tx: ReadTransaction, ids: Sequence[UUID]) -> dict[UUID, tuple[str, bytes]]:
    """SHA-256 (hex) and bytes of each."""
    return {row[0]: (row[1], bytes(row[2])) for row in await tx.execute(_BODIES, {"ids": list(ids)})}
