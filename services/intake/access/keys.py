"""API keys: at most two live ones per agency, kept as SHA-256; making and revoking them is serial with all loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from services.intake.registry import store
from shared.postgres.bulk import names, parameters, unnest
from shared.postgres.database import ReadTransaction, Transaction
from shared.web.authentication import NewKey, PresentedKey, new_key

MAX_LIVE_KEYS = 2

_KEYS = text("""
    SELECT key_id, agency, sha256, created_at, expires_at, revoked_at, last_used_at FROM api_keys
    WHERE revision > :after AND (CAST(:agency AS text) IS NULL OR agency = :agency) ORDER BY agency, created_at
""")
_AGENCIES = text("SELECT key FROM registry WHERE kind = 'agency' ORDER BY key")
_NEW = {"key_id": "text", "agency": "text", "sha256": "bytea"}
_ADD = text(f"""
    INSERT INTO api_keys ({names(_NEW)}, created_at, expires_at, revision)
    SELECT {names(_NEW)}, :created_at, :expires_at, :revision FROM {unnest(_NEW)}
""")  # noqa: S608 - constant names
_REVOKE = text("""
    UPDATE api_keys SET revoked_at = :now, revision = :revision
    WHERE key_id = :key_id AND revoked_at IS NULL RETURNING agency
""")
_USES = {"key_id": "text", "at": "timestamptz"}
_USED = text(f"""
    UPDATE api_keys SET last_used_at = greatest(last_used_at, used.at)
    FROM (SELECT key_id, at FROM {unnest(_USES)} ORDER BY key_id) AS used
    WHERE api_keys.key_id = used.key_id
""")  # noqa: S608 - constant names


class KeyRefused(Exception):
    """The command cannot be done as asked."""

    def __init__(self, message: str, message_en: str) -> None:
        super().__init__(f"{message} / {message_en}")


def unknown_agency(code: str) -> KeyRefused:
    return KeyRefused(
        f"Không có cơ quan {code} trong danh mục; hãy nạp danh mục trước.",
        f"There is no agency {code} in the registry; load it first.",
    )


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored key. Moments are system time."""

    key_id: str
    agency: str
    sha256: bytes
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    def is_live(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def opens_to(self, presented: PresentedKey, now: datetime) -> bool:
        """Whether the presented key is this one and may still be used."""
        return presented.matches(self.sha256) and self.is_live(now)


async def changed_after(tx: ReadTransaction, after: int, agency: str | None = None) -> list[ApiKey]:
    """Keys made or revoked after a revision of the registry (all after -1), in the order of agency and age."""
    rows = await tx.execute(_KEYS, {"after": after, "agency": agency})
    return [ApiKey(*row) for row in rows]


async def create(
    tx: Transaction, agencies: Sequence[str], now: datetime, expires_at: datetime | None = None
) -> dict[str, NewKey]:
    """One new key for each agency, or none. Raises KeyRefused for the first that cannot have one."""
    made, refused = await create_where_possible(tx, agencies, now, expires_at)
    for reason in refused.values():
        raise reason
    return made


async def create_where_possible(
    tx: Transaction, agencies: Sequence[str], now: datetime, expires_at: datetime | None = None
) -> tuple[dict[str, NewKey], dict[str, KeyRefused]]:
    """One new key for each agency that may have one; for every other the reason: unknown, or two keys are live."""
    await store.lock(tx)
    registered = frozenset(await known_agencies(tx))
    live: dict[str, list[str]] = {}
    for key in await changed_after(tx, -1):
        if key.is_live(now):
            live.setdefault(key.agency, []).append(key.key_id)
    refused: dict[str, KeyRefused] = {}
    for agency in agencies:
        if agency not in registered:
            refused[agency] = unknown_agency(agency)
        elif len(live.get(agency, ())) >= MAX_LIVE_KEYS:
            ids = ", ".join(live[agency])
            refused[agency] = KeyRefused(
                f"Cơ quan {agency} đã có {MAX_LIVE_KEYS} khóa đang dùng ({ids}); hãy thu hồi một khóa trước.",
                f"Agency {agency} has {MAX_LIVE_KEYS} live keys ({ids}); revoke one first.",
            )
    made = {agency: new_key() for agency in agencies if agency not in refused}
    if made:
        revision = await store.raise_revision(tx)
        await tx.execute(
            _ADD,
            {
                "created_at": now,
                "expires_at": expires_at,
                "revision": revision,
                **parameters(_NEW, ((key.key_id, agency, key.sha256) for agency, key in made.items())),
            },
        )
    return made, refused


async def known_agencies(tx: Transaction) -> list[str]:
    """Codes of all agencies of the registry."""
    return [key.removeprefix("agency/") for (key,) in await tx.execute(_AGENCIES)]


async def revoke(tx: Transaction, key_id: str, now: datetime) -> str:
    """End a key; the agency it was of. Raises KeyRefused if there is no such live key."""
    await store.lock(tx)
    revision = await store.raise_revision(tx)
    row = (await tx.execute(_REVOKE, {"key_id": key_id, "now": now, "revision": revision})).first()
    if row is None:
        raise KeyRefused(f"Không có khóa {key_id} đang dùng.", f"There is no live key {key_id}.")
    return str(row[0])


async def used(tx: Transaction, last_uses: Mapping[str, datetime]) -> None:
    """Write down when keys were last used."""
    await tx.execute(_USED, parameters(_USES, sorted(last_uses.items())))
