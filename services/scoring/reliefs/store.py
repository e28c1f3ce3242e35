"""Reliefs in PostgreSQL; nothing here commits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import text

from services.scoring.obligations.facts import Relief
from shared.postgres.database import ReadTransaction, Transaction

_COLUMNS = "relief_id, starts_at, ends_at, status, hold_until, version, agencies, regimes, obligations, applied_until"
_STANDING = text(f"SELECT {_COLUMNS} FROM reliefs WHERE status <> 'rejected' ORDER BY starts_at, relief_id")  # noqa: S608
_UNAPPLIED = text(f"""
    SELECT {_COLUMNS} FROM reliefs WHERE applied_version < version ORDER BY relief_id LIMIT 1 FOR UPDATE
""")  # noqa: S608
_APPLIED = text("UPDATE reliefs SET applied_version = :version, applied_until = '' WHERE relief_id = :relief_id")
_APPLIED_UNTIL = text("UPDATE reliefs SET applied_until = :key WHERE relief_id = :relief_id")
_APPLY_AGAIN = text(
    "UPDATE reliefs SET applied_version = 0, applied_until = '' WHERE status <> 'rejected' AND ends_at >= :earliest"
)


class ScopedRelief(Struct, frozen=True):
    """A relief and whom it covers; an empty tuple: all."""

    relief: Relief
    agencies: tuple[str, ...] = ()
    regimes: tuple[str, ...] = ()
    obligations: tuple[str, ...] = ()
    applied_until: str = ""  # every obligation up to this key has it

    def covers(self, key: str) -> bool:
        """Whether the obligation `agency/regime/period` is in its scope."""
        agency, regime, _ = key.split("/", 2)
        return (
            (not self.agencies or agency in self.agencies)
            and (not self.regimes or regime in self.regimes)
            and (not self.obligations or key in self.obligations)
        )


async def read_standing(tx: ReadTransaction) -> list[ScopedRelief]:
    """Those proposed or granted."""
    return [_scoped(row) for row in await tx.execute(_STANDING)]


async def lock_unapplied(tx: Transaction) -> ScopedRelief | None:
    """A relief that some obligation it covers may not have yet."""
    row = (await tx.execute(_UNAPPLIED)).first()
    return None if row is None else _scoped(row)


async def applied(tx: Transaction, relief: Relief) -> None:
    """Every obligation it covers has this version."""
    await tx.execute(_APPLIED, {"relief_id": relief.relief_id, "version": relief.version})


async def applied_until(tx: Transaction, relief: Relief, key: str) -> None:
    """Every obligation up to this key has it."""
    await tx.execute(_APPLIED_UNTIL, {"relief_id": relief.relief_id, "key": key})


async def apply_again(tx: Transaction, earliest: datetime) -> None:
    """Have reliefs looked at again for new obligations whose deadlines are not before `earliest`."""
    await tx.execute(_APPLY_AGAIN, {"earliest": earliest})


def _scoped(row: Sequence[Any]) -> ScopedRelief:
    relief = Relief(row[0], row[1], row[2], row[3], row[4], row[5])
    return ScopedRelief(relief, tuple(row[6]), tuple(row[7]), tuple(row[8]), row[9])
