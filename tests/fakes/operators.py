"""Keys of the tests, put into a service's copy of keys as the topic would bring them; one operator's a session."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import MetaData

from shared.access import BY_TOKENS, PrincipalKind, Scope
from shared.consuming.batch import Batch
from shared.contract.events import KeyRegistered, OfficerRegistered, PersonRegistered
from shared.postgres.database import Database
from shared.projection import Projection
from shared.projection.keyring import access_copy
from shared.web.authentication import NewKey, new_key
from shared.web.tokens import SigningKey

_KEY = new_key()
OPERATOR = {"Authorization": f"Bearer {_KEY.secret_text}"}


async def let_operator_in(url: str, metadata: MetaData) -> None:
    """Keep the key in the database of a service (validator, scoring, notifier) with these tables."""
    await _keep(url, metadata, _KEY, "operator", "tests", ("operate",))


async def let_agency_in(
    url: str, metadata: MetaData, agency: str, scopes: Sequence[Scope] = ("submit", "read")
) -> dict[str, str]:
    """Keep a new key of the agency; returns the headers that present it."""
    key = new_key()
    await _keep(url, metadata, key, "agency", agency, scopes)
    return {"Authorization": f"Bearer {key.secret_text}"}


async def let_person_in(url: str, metadata: MetaData, person: PersonRegistered, scope: Scope) -> dict[str, str]:
    """Keep a person with a new key of one scope; returns the headers that present it."""
    key = new_key()
    await _keep(url, metadata, key, "person", person.person_id, (scope,))
    database = Database(url, pool_size=1)
    try:
        async with database.transaction() as tx:
            await access_copy(metadata)(Batch.of([person]), tx)
    finally:
        await database.close()
    return {"Authorization": f"Bearer {key.secret_text}"}


async def let_issuer_in(
    url: str, metadata: MetaData, issuer: str, people: Sequence[PersonRegistered | OfficerRegistered] = ()
) -> SigningKey:
    """Trust a new key of a service that signs tokens, and keep these people; returns the key."""
    key = SigningKey.new()
    registered = KeyRegistered(
        key_id=key.key_id, sha256=hashlib.sha256(key.public).hexdigest(), principal_kind="issuer",
        principal_id=issuer, scopes=tuple(BY_TOKENS), created_at=datetime.now(UTC), version=1,
        public_key=key.public.hex(),
    )  # fmt: skip
    database = Database(url, pool_size=1)
    try:
        async with database.transaction() as tx:
            await access_copy(metadata)(Batch.of([registered, *people]), tx)
    finally:
        await database.close()
    return key


async def _keep(
    url: str, metadata: MetaData, key: NewKey, kind: PrincipalKind, principal: str, scopes: Sequence[Scope]
) -> None:
    registered = KeyRegistered(
        key_id=key.key_id,
        sha256=key.sha256.hex(),
        principal_kind=kind,
        principal_id=principal,
        scopes=tuple(scopes),
        created_at=datetime.now(UTC),
        version=1,
    )
    database = Database(url, pool_size=1)
    try:
        async with database.transaction() as tx:
            await Projection(metadata.tables["access_keys"], KeyRegistered).save(tx, [registered])
    finally:
        await database.close()
