"""SQL of receipts: the facts that a receipt states, and the public keys. Nothing here commits."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from services.intake.receipts.signing import PublicKey, Received
from shared.postgres.database import ReadTransaction, Transaction

_RECEIVED = text("""
    SELECT submission_id, agency, obligation, version, received_at, sha256, content_sha256 FROM submissions
     WHERE agency = :agency AND submission_id = :submission_id
""")
_REGISTER = text("""
    INSERT INTO receipt_keys (key_id, public_key, registered_at) VALUES (:key_id, :raw, :now) ON CONFLICT DO NOTHING
    RETURNING key_id
""")
_KEYS = text("SELECT key_id, public_key, registered_at, withdrawn_at, reason FROM receipt_keys ORDER BY registered_at")
_WITHDRAW = text("""
    UPDATE receipt_keys SET withdrawn_at = :now, reason = :reason
     WHERE key_id = :key_id AND withdrawn_at IS NULL RETURNING key_id
""")


async def received(tx: ReadTransaction, agency: str, submission_id: UUID) -> Received | None:
    """Return what this agency submitted under this id, or None."""
    row = (await tx.execute(_RECEIVED, {"agency": agency, "submission_id": submission_id})).first()
    return None if row is None else Received(*row)


async def register(tx: Transaction, key: PublicKey, now: datetime) -> bool:
    """Store the public part of a signing key. Return False if it is stored already. `now` is system time."""
    return (await tx.execute(_REGISTER, {"key_id": key.key_id, "raw": key.raw, "now": now})).first() is not None


async def public_keys(tx: ReadTransaction) -> list[tuple[PublicKey, datetime]]:
    """Return every key that ever signed, oldest first, each with the system time of its first use."""
    return [
        (PublicKey(row.key_id, row.public_key, row.withdrawn_at, row.reason), row.registered_at)
        for row in await tx.execute(_KEYS)
    ]


async def withdraw(tx: Transaction, key_id: str, reason: str, now: datetime) -> bool:
    """Withdraw a key. Return False if there is no such key, or it is withdrawn already."""
    return (await tx.execute(_WITHDRAW, {"key_id": key_id, "reason": reason, "now": now})).first() is not None
