"""One caller of each kind at a service that keeps a copy of keys and people: as whom the access matrix asks it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import MetaData

from shared.access import Scope
from shared.consuming.batch import Batch
from shared.contract.events import KeyRegistered, PersonRegistered
from shared.contract.events.registry import PersonsOffice
from shared.postgres.database import Database
from shared.projection.keyring import access_copy
from shared.web.authentication import new_key
from tests.fakes.operators import OPERATOR, let_operator_in
from tests.integration.matrix import NOBODY, Caller


async def let_in(database: Database, metadata: MetaData, *, person: tuple[str, str] | None = None, **key: Any) -> str:
    """A new key in the copy; `person`: its owner's role, and where."""
    made = new_key()
    principal = key.pop("agency", None) or f"nguoi-{uuid4().hex[:8]}"
    record = KeyRegistered(
        key_id=made.key_id, sha256=made.sha256.hex(), principal_kind="person" if person else "agency",
        principal_id=principal, created_at=datetime.now(UTC), version=1, **key,
    )  # fmt: skip
    events: list[KeyRegistered | PersonRegistered] = [record]
    if person:
        office = PersonsOffice(role=person[0], agency=person[1], since=date(2020, 1, 1))
        fields: dict[str, Any] = {"person_id": principal, "agency": person[1], "name": "Trần Thị B", "title": ""}
        events.append(PersonRegistered(**fields, offices=(office,), contacts=(), version=1))
    async with database.transaction() as tx:
        await access_copy(metadata)(Batch.of(events), tx)
    return made.secret_text


async def callers(
    database: Database, metadata: MetaData, department: str, commune: str, province: str
) -> Sequence[Caller]:
    """Systems of the department and of the commune, people there and in the province above both, an operator."""
    own, other, every = frozenset({department}), frozenset({commune}), frozenset({department, commune, province})
    all_of: tuple[Scope, ...] = ("submit", "read", "review", "administer")
    sends: tuple[Scope, ...] = ("submit", "read")
    ended = datetime.now(UTC) - timedelta(seconds=1)

    async def agency(code: str, **more: Any) -> str:
        return await let_in(database, metadata, agency=code, **{"scopes": sends, **more})

    async def person(role: str, of: str) -> str:
        return await let_in(database, metadata, person=(role, of), scopes=all_of)

    await let_operator_in(database.url, metadata)
    return [
        NOBODY,
        Caller("agency", await agency(department), department, {"submit": own, "read": own}),
        Caller("other agency", await agency(commune), commune, {"submit": other, "read": other}),
        Caller("reading key", await agency(department, scopes=("read",)), department, {"read": own}),
        Caller("revoked key", await agency(department, revoked_at=ended), department, {"submit": own}, dead=True),
        Caller("expired key", await agency(department, expires_at=ended), department, {"submit": own}, dead=True),
        Caller("officer", await person("reporting_officer", department), department, {"submit": own, "read": own}),
        Caller("reviewer", await person("reviewer", province), province, {"read": every, "review": every}),
        Caller("reviewer of one", await person("reviewer", department), department, {"read": own, "review": own}),
        Caller("chair", await person("chair", province), province, {"read": every, "review": every}),
        Caller(
            "administrator", await person("administrator", province), province,
            {"read": every, "administer": every},
        ),
        Caller(
            "administrator of one", await person("administrator", department), department,
            {"read": own, "administer": own},
        ),
        Caller("operator", OPERATOR["Authorization"].partition(" ")[2], None, {"operate": frozenset({"*"})}),
    ]  # fmt: skip
