"""Reliefs in PostgreSQL; nothing here commits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import text

from services.scoring.obligations.facts import Relief, ReliefStatus
from shared.postgres.database import ReadTransaction, Transaction

_COLUMNS = "relief_id, starts_at, ends_at, status, hold_until, version, agencies, regimes, obligations, applied_until"
_STANDING = text(f"SELECT {_COLUMNS} FROM reliefs WHERE status <> 'rejected' ORDER BY starts_at, relief_id")  # noqa: S608
_ALL = text(f"SELECT {_COLUMNS} FROM reliefs ORDER BY starts_at, relief_id")  # noqa: S608
# The last decision about each relief by that moment: reliefs hold only the newest, relief_decisions all.
_AS_OF = text("""
    SELECT r.relief_id, r.starts_at, r.ends_at, d.after, r.hold_until, d.version, r.agencies, r.regimes, r.obligations,
           ''
      FROM reliefs AS r
      JOIN LATERAL (SELECT version, after FROM relief_decisions AS d
                     WHERE d.relief_id = r.relief_id AND d.decided_at <= :moment ORDER BY version DESC LIMIT 1) AS d
        ON true
     ORDER BY r.starts_at, r.relief_id
""")
_UNAPPLIED = text(f"""
    SELECT {_COLUMNS} FROM reliefs WHERE applied_version < version ORDER BY relief_id LIMIT 1 FOR UPDATE
""")  # noqa: S608
_ADD = text("""
    INSERT INTO reliefs (relief_id, version, status, starts_at, ends_at, hold_until, agencies, regimes, obligations,
                         reason, proposed_by, proposed_at, evidence)
    VALUES (:relief_id, 1, 'proposed', :starts_at, :ends_at, :hold_until, CAST(:agencies AS text[]),
            CAST(:regimes AS text[]), CAST(:obligations AS text[]), :reason, :proposed_by, :proposed_at,
            CAST(:evidence AS jsonb))
    ON CONFLICT (relief_id) DO NOTHING RETURNING relief_id
""")
_LOCK = text("SELECT status, starts_at, version FROM reliefs WHERE relief_id = :relief_id FOR UPDATE")
_DECIDE = text("""
    UPDATE reliefs SET status = :status, version = version + 1, applied_until = '', decided_by = :decided_by,
                       decided_at = :decided_at
     WHERE relief_id = :relief_id RETURNING version
""")
_APPEND_DECISION = text("""
    INSERT INTO relief_decisions (relief_id, version, before, after, decided_by, decided_at, reason)
    VALUES (:relief_id, :version, :before, :after, :decided_by, :decided_at, :reason)
""")
_UNKNOWN = text("""
    SELECT 'agency' AS kind, given FROM unnest(CAST(:agencies AS text[])) AS given
     WHERE NOT EXISTS (SELECT FROM agencies WHERE code = given)
    UNION ALL
    SELECT 'regime', given FROM unnest(CAST(:regimes AS text[])) AS given
     WHERE NOT EXISTS (SELECT FROM regimes WHERE code = given)
    UNION ALL
    SELECT 'obligation', given FROM unnest(CAST(:obligations AS text[])) AS given
     WHERE NOT EXISTS (SELECT FROM obligations WHERE obligation = given)
    ORDER BY 1, 2
""")
SHOWN = (
    "relief_id", "status", "version", "starts_at", "ends_at", "hold_until", "agencies", "regimes", "obligations",
    "reason", "proposed_by", "proposed_at", "decided_by", "decided_at", "evidence",
)  # fmt: skip
DECISIONS_SHOWN = ("version", "before", "after", "decided_by", "decided_at", "reason")
_SHOWN = f"{', '.join(SHOWN)}, applied_version = version AS applied"
_LIST = text(f"""
    SELECT {_SHOWN} FROM reliefs
     WHERE relief_id > :after AND (CAST(:status AS text) IS NULL OR status = :status) ORDER BY relief_id LIMIT :limit
""")  # noqa: S608
_ONE = text(f"SELECT {_SHOWN} FROM reliefs WHERE relief_id = :relief_id")  # noqa: S608
_DECISIONS = text(f"""
    SELECT {", ".join(DECISIONS_SHOWN)} FROM relief_decisions WHERE relief_id = :relief_id ORDER BY version
""")  # noqa: S608 - constants
_PROPOSED = text("""
    SELECT count(*) AS reliefs, min(relief_id) AS first, min(hold_until) AS hold_until
      FROM reliefs WHERE status = 'proposed'
""")
_APPLIED = text("UPDATE reliefs SET applied_version = :version, applied_until = '' WHERE relief_id = :relief_id")
_APPLIED_UNTIL = text("UPDATE reliefs SET applied_until = :key WHERE relief_id = :relief_id")
_APPLY_AGAIN = text(
    "UPDATE reliefs SET applied_version = 0, applied_until = '' WHERE status <> 'rejected' AND ends_at >= :earliest"
)
_HAS_REMINDED = text("""
    SELECT EXISTS (
        SELECT FROM obligations AS o
         WHERE o.deadline > :starts_at AND o.deadline > CAST(o.terms->>'deadline' AS timestamptz)
           AND CAST(o.document->'facts'->'reminder'->>'deadline' AS timestamptz) >= o.deadline
           AND EXISTS (SELECT FROM json_array_elements(o.document->'facts'->'reliefs') AS relief
                        WHERE relief->>'relief_id' = :relief_id))
""")


class ScopedRelief(Struct, frozen=True):
    """A relief and its scope; an empty tuple covers all."""

    relief: Relief
    agencies: tuple[str, ...] = ()
    regimes: tuple[str, ...] = ()
    obligations: tuple[str, ...] = ()
    applied_until: str = ""  # applied to every obligation up to this key

    def covers(self, key: str) -> bool:
        """Whether the obligation `agency/regime/period` is in its scope."""
        agency, regime, _ = key.split("/", 2)
        return (
            (not self.agencies or agency in self.agencies)
            and (not self.regimes or regime in self.regimes)
            and (not self.obligations or key in self.obligations)
        )


async def read_standing(tx: ReadTransaction) -> list[ScopedRelief]:
    """Return the reliefs that are proposed or granted."""
    return [_scoped(row) for row in await tx.execute(_STANDING)]


async def read_all(tx: ReadTransaction) -> list[ScopedRelief]:
    """Return all reliefs, also rejected ones: an obligation may hold one that was rejected since."""
    return [_scoped(row) for row in await tx.execute(_ALL)]


async def read_as_of(tx: ReadTransaction, moment: datetime) -> list[ScopedRelief]:
    """Return the reliefs proposed by `moment`, as decided by then."""
    return [_scoped(row) for row in await tx.execute(_AS_OF, {"moment": moment})]


async def lock_unapplied(tx: Transaction) -> ScopedRelief | None:
    """Return a relief that some obligation in its scope may not have yet."""
    row = (await tx.execute(_UNAPPLIED)).first()
    return None if row is None else _scoped(row)


async def applied(tx: Transaction, relief: Relief) -> None:
    """Record that every obligation in its scope has this version."""
    await tx.execute(_APPLIED, {"relief_id": relief.relief_id, "version": relief.version})


async def applied_until(tx: Transaction, relief: Relief, key: str) -> None:
    """Record that every obligation up to this key has it."""
    await tx.execute(_APPLIED_UNTIL, {"relief_id": relief.relief_id, "key": key})


async def apply_again(tx: Transaction, earliest: datetime) -> None:
    """Apply reliefs again, to new obligations whose deadlines are not before `earliest`."""
    await tx.execute(_APPLY_AGAIN, {"earliest": earliest})


async def add(tx: Transaction, row: Mapping[str, Any]) -> bool:
    """Store a proposal; return False if its id exists already."""
    return (await tx.execute(_ADD, row)).first() is not None


async def lock_one(tx: Transaction, relief_id: str) -> Any | None:
    """Lock a relief; return its status, starts_at and version, or None."""
    return (await tx.execute(_LOCK, {"relief_id": relief_id})).first()


async def decide(tx: Transaction, relief_id: str, status: ReliefStatus, by: str, at: datetime) -> int:
    """Write a decision as the relief's next version; return that version."""
    decided = {"relief_id": relief_id, "status": status, "decided_by": by, "decided_at": at}
    return int((await tx.execute(_DECIDE, decided)).scalar_one())


async def has_reminded(tx: ReadTransaction, relief_id: str, starts_at: datetime) -> bool:
    """Return whether somebody was reminded of a deadline that lies behind the planned one, under this relief too."""
    return bool((await tx.execute(_HAS_REMINDED, {"relief_id": relief_id, "starts_at": starts_at})).scalar_one())


async def append_decision(tx: Transaction, row: Mapping[str, Any]) -> None:
    await tx.execute(_APPEND_DECISION, row)


async def unknown(
    tx: ReadTransaction, agencies: Sequence[str], regimes: Sequence[str], obligations: Sequence[str]
) -> list[tuple[str, str]]:
    """Return those of these that do not exist: (agency | regime | obligation, the code or key)."""
    given = {"agencies": list(agencies), "regimes": list(regimes), "obligations": list(obligations)}
    return [(row.kind, row.given) for row in await tx.execute(_UNKNOWN, given)]


async def listed(
    tx: ReadTransaction, after: str, limit: int, status: ReliefStatus | None = None
) -> list[dict[str, Any]]:
    """Return up to `limit` reliefs after this id."""
    rows = await tx.execute(_LIST, {"after": after, "limit": limit, "status": status})
    return [dict(row) for row in rows.mappings()]


async def one(tx: ReadTransaction, relief_id: str) -> dict[str, Any] | None:
    """Return a relief with every decision about it, oldest first."""
    row = (await tx.execute(_ONE, {"relief_id": relief_id})).mappings().first()
    if row is None:
        return None
    decisions = await tx.execute(_DECISIONS, {"relief_id": relief_id})
    return dict(row) | {"decisions": [dict(decision) for decision in decisions.mappings()]}


async def proposed(tx: ReadTransaction) -> Any:
    """Return how many reliefs wait for a decision, the first of them, and when the first hold ends."""
    return (await tx.execute(_PROPOSED)).one()


def _scoped(row: Sequence[Any]) -> ScopedRelief:
    relief = Relief(row[0], row[1], row[2], row[3], row[4], row[5])
    return ScopedRelief(relief, tuple(row[6]), tuple(row[7]), tuple(row[8]), row[9])
