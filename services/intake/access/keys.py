"""Keys of principals: at most two live ones each, kept as SHA-256; every change is published with it.

Making, rotating and revoking keys is serial with all loads of the registry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from services.intake.registry import store
from shared.access import BY_TOKENS, SCOPES, Principal, PrincipalKind, Scope
from shared.access.rights import OF_AGENCIES, OF_OPERATORS
from shared.contract.events import KeyRegistered
from shared.contract.events.fields import is_code
from shared.outbox import publish
from shared.postgres.bulk import parameters, unnest
from shared.postgres.database import ReadTransaction, Transaction
from shared.web.authentication import NewKey, PresentedKey, is_live, new_key
from shared.web.exports import Export
from shared.web.tokens import SignersKey, key_id_of

MAX_LIVE_KEYS = 2

#: the scopes that a key of each kind may have; what a person may do with them follows from the offices
ALLOWED: Mapping[PrincipalKind, frozenset[Scope]] = {
    "agency": OF_AGENCIES,
    "person": frozenset(SCOPES),
    "operator": OF_OPERATORS,
    "issuer": BY_TOKENS,
}
#: those that a new key has where nothing else is asked for: to operate is asked for by name
USUAL: Mapping[PrincipalKind, frozenset[Scope]] = {**ALLOWED, "person": frozenset(SCOPES) - OF_OPERATORS}

_STORED = """key_id, principal_kind, principal_id, scopes, sha256, created_at, expires_at, revoked_at, last_used_at,
           version, public_key"""
_KEYS = text(f"""
    SELECT {_STORED} FROM api_keys
    WHERE revision > :after AND (CAST(:principal AS text) IS NULL OR principal_id = :principal)
    ORDER BY principal_id, created_at
""")  # noqa: S608 - constant names
_KNOWN = text("SELECT key FROM registry WHERE kind IN ('agency', 'officer', 'person') ORDER BY key")
_NEW = {"key_id": "text", "principal_kind": "text", "principal_id": "text", "scopes": "text", "sha256": "bytea"}
_ADD = text(f"""
    INSERT INTO api_keys (key_id, principal_kind, principal_id, scopes, sha256, created_at, expires_at, version,
                          revision)
    SELECT key_id, principal_kind, principal_id, string_to_array(scopes, ','), sha256, :created_at, :expires_at, 1,
           :revision
      FROM {unnest(_NEW)}
    RETURNING {_STORED}
""")  # noqa: S608 - constant names
_TRUST = text(f"""
    INSERT INTO api_keys (key_id, principal_kind, principal_id, scopes, sha256, public_key, created_at, expires_at,
                          version, revision)
    VALUES (:key_id, 'issuer', :issuer, string_to_array(:scopes, ','), :sha256, :public_key, :now, :expires_at, 1,
            :revision)
    RETURNING {_STORED}
""")  # noqa: S608 - constant names
_REVOKE = text(f"""
    UPDATE api_keys SET revoked_at = :now, version = version + 1, revision = :revision
    WHERE key_id = :key_id AND revoked_at IS NULL RETURNING {_STORED}
""")  # noqa: S608 - constant names
_END = text(f"""
    UPDATE api_keys SET expires_at = least(expires_at, :ends_at), version = version + 1, revision = :revision
    WHERE key_id = :key_id RETURNING {_STORED}
""")  # noqa: S608 - constant names
_USES = {"key_id": "text", "at": "timestamptz"}
_USED = text(f"""
    UPDATE api_keys SET last_used_at = greatest(last_used_at, used.at)
    FROM (SELECT key_id, at FROM {unnest(_USES)} ORDER BY key_id) AS used
    WHERE api_keys.key_id = used.key_id
""")  # noqa: S608 - constant names
#: when intake last saw each of its keys used; the other services have the same export of what they saw
KEY_USES_EXPORT = Export(
    "key-uses",
    "SELECT key_id, last_used_at FROM api_keys WHERE key_id > :after AND last_used_at IS NOT NULL"
    " ORDER BY key_id LIMIT :limit",
    "key_id",
    str,
)


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
    """A stored key. Moments are system time; `owner` has no offices yet."""

    key_id: str
    owner: Principal
    sha256: bytes
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    version: int
    public_key: bytes | None = None  # of an issuer

    def is_live(self, now: datetime) -> bool:
        return is_live(self.expires_at, self.revoked_at, now)

    def opens_to(self, presented: PresentedKey, now: datetime) -> bool:
        """Whether the presented key is this one and may still be used."""
        return presented.matches(self.sha256) and self.is_live(now)

    @property
    def signs(self) -> SignersKey | None:
        """What verifies the tokens of an issuer; None of any other key."""
        if self.public_key is None:
            return None
        return SignersKey(self.owner.id, self.public_key, self.owner.scopes, self.expires_at, self.revoked_at)

    @property
    def event(self) -> KeyRegistered:
        """What the other services learn of it."""
        return KeyRegistered(
            key_id=self.key_id,
            sha256=self.sha256.hex(),
            principal_kind=self.owner.kind,
            principal_id=self.owner.id,
            scopes=in_order(self.owner.scopes),
            created_at=self.created_at,
            expires_at=self.expires_at,
            revoked_at=self.revoked_at,
            version=self.version,
            public_key=None if self.public_key is None else self.public_key.hex(),
        )


@dataclass(frozen=True, slots=True)
class Rotated:
    """A key replaced by a new one: how it was, and how it is now that its end is set."""

    new: NewKey
    before: ApiKey
    after: ApiKey


def owner(kind: PrincipalKind, principal_id: str, scopes: Iterable[Scope] | None = None) -> Principal:
    """Whose key is wanted. Raises KeyRefused for scopes that such a key cannot have."""
    wanted = USUAL[kind] if scopes is None else frozenset(scopes)
    if not wanted or wanted - ALLOWED[kind]:
        allowed = ", ".join(in_order(ALLOWED[kind]))
        raise KeyRefused(f"Khóa loại này chỉ có thể có quyền: {allowed}.", f"Such a key may have the scopes {allowed}.")
    return Principal(kind, principal_id, principal_id if kind == "agency" else None, wanted)


def in_order(scopes: Iterable[Scope]) -> tuple[Scope, ...]:
    """The scopes in the order in which they are shown."""
    given = frozenset(scopes)
    return tuple(scope for scope in SCOPES if scope in given)


async def changed_after(tx: ReadTransaction, after: int, principal: str | None = None) -> list[ApiKey]:
    """Keys made or ended after a revision of the registry (all after -1), in the order of principal and age."""
    rows = await tx.execute(_KEYS, {"after": after, "principal": principal})
    return [_key(row) for row in rows]


async def issue(
    tx: Transaction, owners: Sequence[Principal], now: datetime, expires_at: datetime | None = None
) -> tuple[dict[Principal, NewKey], dict[Principal, KeyRefused]]:
    """One new key for each who may have one; for every other the reason: unknown, or two keys are live."""
    await store.lock(tx)
    known = frozenset(row[0] for row in await tx.execute(_KNOWN))
    live = await _live(tx, now)
    refused: dict[Principal, KeyRefused] = {}
    for principal in owners:
        reason = _unknown(principal, known) or _too_many(principal, live)
        if reason is not None:
            refused[principal] = reason
    made = {principal: new_key() for principal in owners if principal not in refused}
    await _add(tx, made, now, expires_at)
    return made, refused


async def trust(
    tx: Transaction, issuer: str, public_key: bytes, now: datetime, expires_at: datetime | None = None
) -> ApiKey | None:
    """Take the tokens that this key signs for the service `issuer`; None where they are taken already.

    Raises KeyRefused for a key that was revoked or belongs to another service, and where two keys are live.
    """
    await store.lock(tx)
    principal = owner("issuer", issuer)
    if (reason := _unknown(principal, frozenset())) is not None:
        raise reason
    known = {key.key_id: key for key in await changed_after(tx, -1)}.get(key_id_of(public_key))
    if known is not None:
        if known.owner.id == issuer and known.is_live(now):
            return None
        raise KeyRefused(
            f"Khóa {known.key_id} của {known.owner.id} đã được ghi nhận trước đây; hãy tạo khóa mới.",
            f"Key {known.key_id} of {known.owner.id} was registered before; make a new one.",
        )
    if (reason := _too_many(principal, await _live(tx, now))) is not None:
        raise reason
    given = {
        "key_id": key_id_of(public_key), "issuer": issuer, "scopes": ",".join(in_order(principal.scopes)),
        "sha256": hashlib.sha256(public_key).digest(), "public_key": public_key, "now": now, "expires_at": expires_at,
        "revision": await store.raise_revision(tx),
    }  # fmt: skip
    trusted = _key((await tx.execute(_TRUST, given)).one())
    await publish(tx, [trusted.event])
    return trusted


async def rotate(
    tx: Transaction, key_id: str, now: datetime, ends_at: datetime, expires_at: datetime | None = None
) -> Rotated:
    """A new key with the owner and scopes of an old one, which ends at `ends_at`, or sooner if it would anyway.

    Raises KeyRefused if there is no such live key, or a second one is live already.
    """
    await store.lock(tx)
    live = await _live(tx, now)
    old = next((key for keys in live.values() for key in keys if key.key_id == key_id), None)
    if old is None:
        raise _no_live_key(key_id)
    if old.owner.kind == "issuer":
        raise KeyRefused(
            "Khóa ký thẻ do dịch vụ tự tạo: tạo khóa mới, ghi nhận bằng `keys trust`, rồi thu hồi khóa cũ.",
            "The service makes the key that signs tokens: make a new one, `keys trust` it, then revoke the old one.",
        )
    if (reason := _too_many(old.owner, live)) is not None:
        raise reason
    made = {old.owner: new_key()}
    await _add(tx, made, now, expires_at)
    revision = await store.raise_revision(tx)
    row = (await tx.execute(_END, {"key_id": key_id, "ends_at": ends_at, "revision": revision})).one()
    ended = _key(row)
    await publish(tx, [ended.event])
    return Rotated(made[old.owner], old, ended)


async def revoke(tx: Transaction, key_id: str, now: datetime) -> Principal:
    """End a key; whose it was. Raises KeyRefused if there is no such live key."""
    await store.lock(tx)
    revision = await store.raise_revision(tx)
    row = (await tx.execute(_REVOKE, {"key_id": key_id, "now": now, "revision": revision})).first()
    if row is None:
        raise _no_live_key(key_id)
    key = _key(row)
    await publish(tx, [key.event])
    return key.owner


async def known_agencies(tx: Transaction) -> list[str]:
    """Codes of all agencies of the registry."""
    rows = await tx.execute(_KNOWN)
    return [key.removeprefix("agency/") for (key,) in rows if key.startswith("agency/")]


async def used(tx: Transaction, last_uses: Mapping[str, datetime]) -> None:
    """Write down when keys were last used."""
    await tx.execute(_USED, parameters(_USES, sorted(last_uses.items())))


async def _add(tx: Transaction, made: Mapping[Principal, NewKey], now: datetime, expires_at: datetime | None) -> None:
    if not made:
        return
    rows = (
        (key.key_id, principal.kind, principal.id, ",".join(in_order(principal.scopes)), key.sha256)
        for principal, key in made.items()
    )
    revision = await store.raise_revision(tx)
    given = {"created_at": now, "expires_at": expires_at, "revision": revision, **parameters(_NEW, rows)}
    await publish(tx, [_key(row).event for row in await tx.execute(_ADD, given)])


async def _live(tx: Transaction, now: datetime) -> dict[tuple[str, str], list[ApiKey]]:
    """The live keys of each principal."""
    found: dict[tuple[str, str], list[ApiKey]] = {}
    for key in await changed_after(tx, -1):
        if key.is_live(now):
            found.setdefault((key.owner.kind, key.owner.id), []).append(key)
    return found


def _unknown(principal: Principal, known: frozenset[str]) -> KeyRefused | None:
    match principal.kind:
        case "agency":
            return None if f"agency/{principal.id}" in known else unknown_agency(principal.id)
        case "person":
            if {f"person/{principal.id}", f"officer/{principal.id}"} & known:
                return None
            return KeyRefused(
                f"Không có người {principal.id} trong danh mục; hãy nạp danh mục trước.",
                f"There is no person {principal.id} in the registry; load it first.",
            )
        case "operator":
            if is_code(principal.id):
                return None
            return KeyRefused(
                "Tên người vận hành: 1–64 chữ không dấu, số, dấu chấm, gạch ngang, gạch dưới.",
                "An operator's name is 1–64 of ASCII letters, digits, dot, hyphen, underscore.",
            )
        case "issuer":
            if is_code(principal.id):
                return None
            return KeyRefused(
                "Tên dịch vụ: 1–64 chữ không dấu, số, dấu chấm, gạch ngang, gạch dưới.",
                "A service's name is 1–64 of ASCII letters, digits, dot, hyphen, underscore.",
            )


def _too_many(principal: Principal, live: Mapping[tuple[str, str], Sequence[ApiKey]]) -> KeyRefused | None:
    keys = live.get((principal.kind, principal.id), ())
    if len(keys) < MAX_LIVE_KEYS:
        return None
    ids = ", ".join(key.key_id for key in keys)
    return KeyRefused(
        f"{principal.id} đã có {MAX_LIVE_KEYS} khóa đang dùng ({ids}); hãy thu hồi một khóa trước.",
        f"{principal.id} has {MAX_LIVE_KEYS} live keys ({ids}); revoke one first.",
    )


def _no_live_key(key_id: str) -> KeyRefused:
    return KeyRefused(f"Không có khóa {key_id} đang dùng.", f"There is no live key {key_id}.")


#: one set for each combination of scopes: a nation has a hundred thousand keys
_SETS: dict[frozenset[Scope], frozenset[Scope]] = {}


def _key(row: Sequence[Any]) -> ApiKey:
    key_id, kind, principal_id, scopes, *rest = row
    given = frozenset(scopes)
    principal = Principal(
        kind, principal_id, principal_id if kind == "agency" else None, _SETS.setdefault(given, given)
    )
    return ApiKey(key_id, principal, *rest)
