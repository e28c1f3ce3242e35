"""Requests for waivers; a row changes once, when it is decided. Nothing here commits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct, structs
from sqlalchemy import text

from services.intake.waivers.domain import Asked, WaiverRequest
from shared.postgres.bulk import names
from shared.postgres.database import ReadTransaction, Transaction

_ASKED = ("regime", "rule", "agencies", "reason", "since", "until", "asked_by")
_DECIDED = ("decision", "decided_by", "decided_at", "decision_reason", "granted_since", "granted_until")
_COLUMNS = ("waiver_id", "agency", "made_by", "asked_at", *_ASKED, *_DECIDED)
_SHOWN = names(_COLUMNS)
_KEPT = (*_COLUMNS[: -len(_DECIDED)], "idempotency_key", "request_sha256")

# serial for one agency: two calls at once would both find room for one more
_SERIAL = text("SELECT pg_advisory_xact_lock(hashtext('waiver requests'), hashtext(:agency))")
_OPEN = text("SELECT count(*) FROM waiver_requests WHERE agency = :agency AND decision IS NULL")
_BY_KEY = text("""
    SELECT waiver_id, request_sha256 FROM waiver_requests WHERE agency = :agency AND idempotency_key = :key
""")
_INSERT = text(f"""
    INSERT INTO waiver_requests ({names(_KEPT)}) VALUES ({", ".join(f":{name}" for name in _KEPT)})
""")  # noqa: S608 - constant names
_DECIDE = text(f"""
    UPDATE waiver_requests SET {", ".join(f"{name} = :{name}" for name in _DECIDED)} WHERE waiver_id = :waiver_id
""")  # noqa: S608 - constant names
_ONE = f"SELECT {_SHOWN} FROM waiver_requests WHERE waiver_id = :waiver_id"  # noqa: S608 - constant names
_READ, _LOCK = text(_ONE), text(f"{_ONE} FOR UPDATE")
_PAGE = text(f"""
    SELECT {_SHOWN} FROM waiver_requests
     WHERE (agency = ANY(CAST(:codes AS text[])) OR agencies && CAST(:codes AS text[])
            OR agency || '/' || regime = ANY(CAST(:pairs AS text[])))
       AND (CAST(:state AS text) IS NULL OR coalesce(decision, 'open') = :state)
       AND (asked_at, waiver_id) < (CAST(:before_at AS timestamptz), CAST(:before_id AS text))
     ORDER BY asked_at DESC, waiver_id DESC LIMIT :limit
""")  # noqa: S608 - constant names


class Seen(Struct, frozen=True):
    """Whose requests a caller sees: of these agencies, and of `pairs` (agency/regime) those under the regime."""

    codes: frozenset[str]
    pairs: frozenset[str] = frozenset()

    def covers(self, request: WaiverRequest) -> bool:
        return (
            not self.codes.isdisjoint({request.agency, *request.asked.agencies})
            or f"{request.agency}/{request.asked.regime}" in self.pairs
        )


async def by_key(tx: Transaction, agency: str, key: str) -> tuple[str, bytes] | None:
    """The request that was made under this idempotency key, and the SHA-256 of what was asked; waits for others'."""
    await tx.execute(_SERIAL, {"agency": agency})
    row = (await tx.execute(_BY_KEY, {"agency": agency, "key": key})).first()
    return None if row is None else (row[0], bytes(row[1]))


async def count_open(tx: ReadTransaction, agency: str) -> int:
    """How many requests of the agency nobody has decided yet."""
    return int((await tx.execute(_OPEN, {"agency": agency})).scalar_one())


async def insert(tx: Transaction, request: WaiverRequest, key: str, sha256: bytes) -> None:
    asked = structs.asdict(request.asked) | {"agencies": list(request.asked.agencies)}
    given = {"idempotency_key": key, "request_sha256": sha256}
    kept = {name: getattr(request, name) for name in ("waiver_id", "agency", "made_by", "asked_at")}
    await tx.execute(_INSERT, kept | asked | given)


async def decide(tx: Transaction, request: WaiverRequest) -> None:
    """Keep the decision of a request that is locked."""
    decided = {name: getattr(request, name) for name in _DECIDED}
    await tx.execute(_DECIDE, decided | {"waiver_id": request.waiver_id})


async def one(tx: ReadTransaction, waiver_id: str, *, lock: bool = False) -> WaiverRequest | None:
    row = (await tx.execute(_LOCK if lock else _READ, {"waiver_id": waiver_id})).mappings().first()
    return None if row is None else request_of(row)


def page(seen: Seen, state: str | None, before: tuple[datetime, str], limit: int) -> tuple[Any, dict[str, Any]]:
    """The query of those that are seen, the newest first, behind `before`, and its parameters."""
    given: dict[str, Any] = {"codes": sorted(seen.codes), "pairs": sorted(seen.pairs), "state": state, "limit": limit}
    return _PAGE, given | {"before_at": before[0], "before_id": before[1]}


def request_of(row: Mapping[Any, Any]) -> WaiverRequest:
    """The request of a row of the columns above."""
    asked = Asked(**{name: row[name] for name in _ASKED} | {"agencies": tuple(row["agencies"])})
    others = {name: row[name] for name in ("waiver_id", "agency", "made_by", "asked_at", *_DECIDED)}
    return WaiverRequest(asked=asked, **others)
