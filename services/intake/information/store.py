"""Which request was made under which idempotency key. Rows are only ever added; nothing here commits."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from sqlalchemy import text

from shared.postgres.database import ReadTransaction, Transaction

_BY_KEY = text("""
    SELECT request_id, request_sha256 FROM information_requests WHERE asker = :asker AND idempotency_key = :key
""")
_INSERT = text("""
    INSERT INTO information_requests (request_id, asker, made_by, idempotency_key, request_sha256)
    VALUES (:request_id, :asker, :made_by, :key, :sha256)
""")


_NUMBERS = text("""
    SELECT count(*) AS made,
           count(*) FILTER (WHERE record ->> 'withdrawn_at' IS NULL
                              AND CAST(record ->> 'deadline' AS timestamptz) > :now) AS running,
           count(*) FILTER (WHERE CAST(record ->> 'issued_at' AS timestamptz) > :lately) AS lately
      FROM registry WHERE kind = 'request' AND record ->> 'asked_by' = :asker
""")


class Numbers(Struct, frozen=True):
    """How many requests an agency has made, how many of them run, how many it made lately, withdrawn or not."""

    made: int
    running: int
    lately: int


class Made(Struct, frozen=True):
    """A request that is stored, and the SHA-256 of what was asked for."""

    request_id: str
    sha256: bytes


async def by_key(tx: ReadTransaction, asker: str, key: str) -> Made | None:
    row = (await tx.execute(_BY_KEY, {"asker": asker, "key": key})).first()
    return None if row is None else Made(row[0], bytes(row[1]))


async def numbers(tx: ReadTransaction, asker: str, now: datetime, lately: datetime) -> Numbers:
    """Counts by business time: `running` at `now`, `lately` after that moment."""
    row = (await tx.execute(_NUMBERS, {"asker": asker, "now": now, "lately": lately})).one()
    return Numbers(row.made, row.running, row.lately)


async def insert(tx: Transaction, request_id: str, asker: str, made_by: str, key: str, sha256: bytes) -> None:
    """Call it under the registry's lock: two requests of one key come one after the other."""
    row = {"request_id": request_id, "asker": asker, "made_by": made_by, "key": key, "sha256": sha256}
    await tx.execute(_INSERT, row)
