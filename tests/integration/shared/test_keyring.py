"""The copy of keys by which the other services authenticate: a revoked key ends, an old event undoes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import MetaData, text
from sqlalchemy.exc import DBAPIError

from shared.access import BY_TOKENS, Principal, duty_of, may
from shared.consuming.batch import Batch
from shared.contract.events import EventModel, KeyRegistered, OfficerRegistered, PersonRegistered
from shared.postgres.database import Database
from shared.postgres.tables import access_tables
from shared.projection.keyring import CopiedKeyring, access_copy
from shared.runtime.clock import ManualClock, SystemClock
from shared.web import exports
from shared.web.authentication import NewKey, PresentedKey, authenticate, new_key
from shared.web.tokens import SigningKey

NOW = datetime.now(UTC)
METADATA = MetaData()
access_tables(METADATA)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, pool_size=2)
    async with database.engine.begin() as connection:
        await connection.run_sync(METADATA.create_all)
    yield database
    await database.close()


def event(key: NewKey, version: int = 1, **changes: Any) -> KeyRegistered:
    given = {
        "key_id": key.key_id, "sha256": key.sha256.hex(), "principal_kind": "operator", "principal_id": "ops",
        "scopes": ("operate",), "created_at": NOW, "version": version,
    }  # fmt: skip
    return KeyRegistered(**{**given, **changes})


def presented(key: NewKey) -> PresentedKey:
    return PresentedKey(key.key_id, key.sha256)


async def follow(database: Database, *events: EventModel) -> None:
    async with database.transaction() as tx:
        await access_copy(METADATA)(Batch.of(events), tx)


async def test_a_key_opens_from_its_event_until_it_is_revoked(database: Database) -> None:
    key = new_key()
    keyring = CopiedKeyring("scoring", database, SystemClock(), poll_seconds=0.05)
    assert await keyring.principal_of(presented(key)) is None
    await follow(database, event(key))
    await keyring.start()
    try:
        await until(lambda: keyring.at_once(presented(key)) is not None)
        await follow(database, event(key, 2, revoked_at=NOW), event(key, 1))
        await until(lambda: keyring.at_once(presented(key)) is None)
    finally:
        await keyring.stop()
    assert keyring.holds(presented(key))
    assert await keyring.principal_of(presented(key)) is None
    assert await keyring.principal_of(PresentedKey(key.key_id, b"x" * 32)) is None


async def until(true: Any) -> None:
    deadline = monotonic() + 10
    while not true():
        assert monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_memory_holds_what_may_operate_and_is_not_used_once_it_is_old(database: Database) -> None:
    agencys, operators = new_key(), new_key()
    of_agency = event(agencys, principal_kind="agency", principal_id="H99.01", scopes=("submit", "read"))
    await follow(database, of_agency, event(operators))
    keyring = CopiedKeyring("scoring", database, SystemClock(), max_age_seconds=5)
    await keyring.be_fresh()
    assert keyring.holds(presented(operators))
    assert not keyring.holds(presented(agencys))
    found = await keyring.principal_of(presented(agencys))
    assert found is not None
    assert (found.kind, found.agency) == ("agency", "H99.01")
    assert keyring.holds(presented(agencys)), "it is remembered: a second request costs no read"
    assert keyring.at_once(presented(agencys)) == found
    assert keyring.at_once(PresentedKey(agencys.key_id, b"x" * 32)) is None
    await follow(database, of_agency.model_copy(update={"version": 2, "revoked_at": NOW}))
    keyring._max_age_seconds = 0
    assert keyring.at_once(presented(agencys)) is None, "the database must be asked"
    keyring._max_age_seconds = 5
    assert await keyring.principal_of(presented(agencys)) is None
    keyring._max_age_seconds = 0
    assert keyring.at_once(presented(operators)) is None, "the database must be asked"


async def test_an_expired_key_and_one_of_a_kind_of_later_open_nothing(database: Database) -> None:
    expired, later = new_key(), new_key()
    await follow(database, event(expired, expires_at=NOW - timedelta(seconds=1)), event(later, principal_kind="robot"))
    keyring = CopiedKeyring("scoring", database, SystemClock())
    for key in (expired, later):
        assert await keyring.principal_of(presented(key)) is None


async def test_a_persons_key_operates_by_the_office_that_the_copy_holds(database: Database) -> None:
    key = new_key()
    office = {"role": "operator", "agency": "H99", "since": date(2026, 1, 1)}
    person = PersonRegistered.model_validate(
        {"person_id": "p1", "agency": "H99.01", "name": "Trần Thị B", "offices": [office], "version": 1,
         "contacts": [{"channel": "email", "address": "b@example.vn"}]}
    )  # fmt: skip
    of_person = event(key, principal_kind="person", principal_id="p1")
    keyring = CopiedKeyring("scoring", database, SystemClock())
    await follow(database, of_person)
    nobody = await keyring.principal_of(presented(key))
    assert nobody is not None
    assert not may(nobody, "operate", None, {}, date(2026, 6, 1)), "the person is not known yet"
    await follow(database, person)
    somebody = await keyring.principal_of(presented(key))
    assert somebody is not None
    assert may(somebody, "operate", None, {}, date(2026, 6, 1))
    assert not may(somebody, "operate", None, {}, date(2025, 6, 1))
    async with database.read_transaction() as tx:
        kept = str((await tx.execute(text("SELECT * FROM access_people"))).all())
    assert "example.vn" not in kept
    assert "Trần" not in kept


async def test_a_deputy_acts_while_a_head_of_the_agency_delegates(database: Database) -> None:
    def holding(person_id: str, version: int = 1, **office: Any) -> PersonRegistered:
        held = {"agency": "H99.01", "since": date(2026, 1, 1), **office}
        fields = {"person_id": person_id, "agency": "H99.01", "name": "Trần Thị B", "offices": [held]}
        return PersonRegistered.model_validate({**fields, "version": version})

    def officer(officer_id: str, role: str) -> OfficerRegistered:
        fields = {"officer_id": officer_id, "agency": "H99.01", "name": "Lê C", "email": "c@example.vn", "role": role}
        return OfficerRegistered.model_validate({**fields, "version": 1})

    keyring, day = CopiedKeyring("validator", database, SystemClock()), date(2026, 6, 1)
    await follow(
        database, holding("head", role="head", until=date(2026, 6, 30)), officer("duty", "head"),
        officer("clerk", "reporting_officer"),
        *(
            holding(f"of-{by}", role="deputy", delegated_by=by, until=date(2026, 12, 31), document="12/GUQ")
            for by in ("head", "duty", "clerk", "nobody")
        ),
    )  # fmt: skip

    async def submits(person_id: str, on: date = day) -> bool:
        found = await keyring.person(person_id, BY_TOKENS)
        assert found is not None
        return may(found, "submit", "H99.01", {}, on)

    assert [await submits(f"of-{by}") for by in ("head", "duty", "clerk", "nobody")] == [True, True, False, False]
    assert not await submits("of-head", date(2026, 7, 1)), "the delegation ends with the head's office"
    key = new_key()
    await follow(database, event(key, principal_kind="person", principal_id="of-head", scopes=("submit",)))
    found = await keyring.principal_of(presented(key))
    assert found is not None
    assert may(found, "submit", "H99.01", {}, day)


async def used(database: Database) -> dict[str, datetime]:
    async with database.read_transaction() as tx:
        return {row.key_id: row.last_used_at for row in await tx.execute(text("SELECT * FROM access_key_uses"))}


async def flushed(database: Database, keyring: CopiedKeyring) -> None:
    async with database.transaction() as tx:
        await keyring.uses.flush(tx)


async def test_the_last_use_of_a_key_is_stored_later_and_never_goes_back(database: Database) -> None:
    operators, agencys, idle = new_key(), new_key(), new_key()
    await follow(
        database,
        event(operators),
        event(agencys, principal_kind="agency", principal_id="H99.01", scopes=("submit", "read")),
        event(idle),
    )
    clock = ManualClock(NOW)
    keyring = CopiedKeyring("scoring", database, clock)
    await keyring.be_fresh()
    assert keyring.at_once(presented(operators)) is not None
    assert await keyring.principal_of(presented(agencys)) is not None
    assert keyring.at_once(PresentedKey(idle.key_id, b"x" * 32)) is None, "a wrong secret is no use of the key"
    assert await used(database) == {}, "no request writes it"
    await flushed(database, keyring)
    assert await used(database) == dict.fromkeys((operators.key_id, agencys.key_id), NOW)

    clock.set(NOW - timedelta(hours=1))
    assert keyring.at_once(presented(agencys)) is not None
    clock.set(NOW + timedelta(seconds=5))
    assert keyring.at_once(presented(operators)) is not None
    await keyring.stop()  # what a stop finds unwritten it writes
    later = {operators.key_id: NOW + timedelta(seconds=5), agencys.key_id: NOW}
    assert await used(database) == later, "nor does a clock that goes back take back what was seen"

    page = await exports.read_page(
        database, exports.COPIED_KEY_USES, text(exports.COPIED_KEY_USES.query), after=None, limit=10
    )
    assert {row["key_id"] for row in page["items"]} == set(later)


async def test_uses_that_could_not_be_stored_are_stored_by_the_next_tick(database: Database) -> None:
    key = new_key()
    await follow(database, event(key))
    keyring = CopiedKeyring("scoring", database, ManualClock(NOW))
    assert await keyring.principal_of(presented(key)) is not None
    async with database.transaction() as tx:
        await tx.execute(text("DROP TABLE access_key_uses"))
    with pytest.raises(DBAPIError):
        await flushed(database, keyring)
    async with database.engine.begin() as connection:
        await connection.run_sync(METADATA.create_all)
    await flushed(database, keyring)
    assert await used(database) == {key.key_id: NOW}


def signers(key: SigningKey, version: int = 1, **changes: Any) -> KeyRegistered:
    given = {
        "key_id": key.key_id, "sha256": key.public.hex(), "principal_kind": "issuer", "principal_id": "board",
        "scopes": ("submit", "read", "review", "administer", "operate"), "created_at": NOW, "version": version,
        "public_key": key.public.hex(),
    }  # fmt: skip
    return KeyRegistered(**{**given, **changes})


async def test_a_token_opens_for_whom_it_names_while_its_key_is_trusted(database: Database) -> None:
    """By the offices of an officer's record too; a token never operates, and one for another service opens nothing."""
    key, other = SigningKey.new(), SigningKey.new()
    keyring = CopiedKeyring("scoring", database, SystemClock())
    head = OfficerRegistered(
        officer_id="TT-1", agency="H99.01", name="Trần Thị B", email="b@example.vn", role="head", regimes=("A",),
        version=1,
    )  # fmt: skip
    charged: list[str] = []

    async def opens(key: SigningKey, person_id: str = "TT-1", service: str = "scoring") -> Principal | None:
        keyring._read_at = float("-inf")  # as after the poll that brings what changed
        token = key.token("board", person_id, service, datetime.now(UTC))
        return await authenticate(token, keyring, lambda: charged.append(person_id))

    assert await opens(key) is None
    assert charged == ["TT-1"], "a key that nobody knows is charged like a wrong one"
    await follow(database, signers(key), head)
    found = await opens(key)
    assert found == Principal("person", "TT-1", "H99.01", BY_TOKENS, (duty_of("head", "H99.01", ()),))
    assert may(found, "submit", "H99.01", {}, date(2026, 10, 1), "B"), "a head's office is for every regime"
    assert not may(found, "operate", None, {}, date(2026, 10, 1))
    assert await opens(key, "nobody") is None
    assert (len(charged), await opens(key, service="notifier"), await opens(other)) == (1, None, None)
    assert charged == ["TT-1"] * 3
    await follow(database, head.model_copy(update={"active": False, "version": 2}))
    assert await opens(key) is None, "who has left is nobody"
    await follow(database, head.model_copy(update={"version": 3}), signers(key, 2, revoked_at=NOW))
    assert await opens(key) is None


async def test_a_signers_key_is_no_key_to_present(database: Database) -> None:
    """Its hash is public: were it compared with a presented key's, whoever reads it could come in."""
    key = SigningKey.new()
    await follow(database, signers(key))
    keyring = CopiedKeyring("scoring", database, SystemClock())
    assert await keyring.principal_of(PresentedKey(key.key_id, bytes.fromhex(signers(key).sha256))) is None


async def test_an_officers_own_key_opens_by_the_duty(database: Database) -> None:
    key = new_key()
    officer = OfficerRegistered(
        officer_id="CB-1", agency="H99.01", name="Trần Thị B", email="b@example.vn", role="reporting_officer",
        regimes=("A",), version=1,
    )  # fmt: skip
    await follow(database, event(key, principal_kind="person", principal_id="CB-1", scopes=("submit",)), officer)
    found = await CopiedKeyring("scoring", database, SystemClock()).principal_of(presented(key))
    assert found is not None
    assert [may(found, "submit", "H99.01", {}, date(2026, 10, 1), regime) for regime in ("A", "B")] == [True, False]
