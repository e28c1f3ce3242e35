"""Which request was made under which idempotency key. Rows are only ever added; nothing here commits."""

from __future__ import annotations

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


class Made(Struct, frozen=True):
    """A request that is stored, and the SHA-256 of what was asked for."""

    request_id: str
    sha256: bytes


async def by_key(tx: ReadTransaction, asker: str, key: str) -> Made | None:
    row = (await tx.execute(_BY_KEY, {"asker": asker, "key": key})).first()
    return None if row is None else Made(row[0], bytes(row[1]))


async def insert(tx: Transaction, request_id: str, asker: str, made_by: str, key: str, sha256: bytes) -> None:
    """Call it under the registry's lock: two requests of one key come one after the other."""
    row = {"request_id": request_id, "asker": asker, "made_by": made_by, "key": key, "sha256": sha256}
    await tx.execute(_INSERT, row)
