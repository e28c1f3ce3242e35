"""The copy of keys and offices by which every service but intake authenticates; a revoked key ends within seconds.

Keys that may operate, and those that sign tokens, are in memory, polled every second. Any other is read by its id when
it is presented, and then remembered for a few seconds, so memory stays small however many agencies have keys. What is
in memory is never used once it is older than a stated age.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, get_args

import msgspec
from sqlalchemy import MetaData, text

from shared.access import BY_TOKENS, SCOPES, Office, Principal, PrincipalKind, Scope, Term, delegated_by, duty_of
from shared.consuming.applying import Handle
from shared.consuming.batch import Batch
from shared.contract.events import KeyRegistered, OfficerRegistered, PersonRegistered
from shared.postgres.bulk import parameters, unnest
from shared.postgres.database import Database, ReadTransaction, Transaction
from shared.projection.projection import Projection
from shared.runtime.clock import Clock, monotonic_seconds
from shared.telemetry.background_loop import BackgroundLoop
from shared.telemetry.logging import get_logger
from shared.telemetry.pulse import Pulse
from shared.web.authentication import PresentedKey, is_live
from shared.web.key_uses import KeyUses
from shared.web.tokens import SignersKey

log = get_logger()

POLL_SECONDS, MAX_AGE_SECONDS = 1.0, 5.0
#: other keys that are remembered; the oldest go first
MAX_REMEMBERED = 10_000

#: the records of the heads by whom the person's offices are delegated
_HEADS = """
    (SELECT CAST(json_agg(json_build_object('id', named.id, 'offices', h.offices, 'agency', d.agency, 'role', d.role))
                 AS text)
       FROM (SELECT DISTINCT held ->> 'delegated_by' AS id FROM jsonb_array_elements(p.offices) AS held
              WHERE held ->> 'delegated_by' IS NOT NULL) AS named
       LEFT JOIN access_people h ON h.person_id = named.id
       LEFT JOIN access_officers d ON d.officer_id = named.id AND d.active)
"""
_COLUMNS = f"""
    k.key_id, k.sha256, k.principal_kind, k.principal_id, k.scopes, k.expires_at, k.revoked_at,
    p.agency, CAST(p.offices AS text), o.agency, o.role, o.regimes, {_HEADS}
"""
# an officer on duty has an office too: a person may have a record of either kind, or of both
_HOLDERS = """
    access_people p ON k.principal_kind = 'person' AND p.person_id = k.principal_id
    LEFT JOIN access_officers o ON k.principal_kind = 'person' AND o.officer_id = k.principal_id AND o.active
"""
_ONE = text(f"SELECT {_COLUMNS} FROM access_keys k LEFT JOIN {_HOLDERS} WHERE k.key_id = :key_id")  # noqa: S608
_OPERATING = text(
    f"SELECT {_COLUMNS} FROM access_keys k LEFT JOIN {_HOLDERS} WHERE 'operate' = ANY (k.scopes)"  # noqa: S608
)
_SIGNERS = text("""
    SELECT key_id, principal_id, public_key, scopes, expires_at, revoked_at FROM access_keys
     WHERE principal_kind = 'issuer' AND public_key IS NOT NULL
""")
_PERSON = text(f"""
    SELECT p.agency, CAST(p.offices AS text), o.agency, o.role, o.regimes, {_HEADS}
      FROM (SELECT CAST(:id AS text) AS id) AS asked
      LEFT JOIN access_people p ON p.person_id = asked.id
      LEFT JOIN access_officers o ON o.officer_id = asked.id AND o.active
     WHERE p.person_id IS NOT NULL OR o.officer_id IS NOT NULL
""")  # noqa: S608 - text of this module
_USES = {"key_id": "text", "at": "timestamptz"}
_USED = text(f"""
    INSERT INTO access_key_uses AS kept (key_id, last_used_at) SELECT key_id, at FROM {unnest(_USES)} ORDER BY key_id
    ON CONFLICT (key_id) DO UPDATE SET last_used_at = greatest(kept.last_used_at, excluded.last_used_at)
""")  # noqa: S608 - constant names


class _StoredOffice(msgspec.Struct):
    """What is read of an office."""

    role: str
    agency: str
    since: date
    until: date | None = None
    regimes: tuple[str, ...] = ()
    delegated_by: str | None = None


class _Head(msgspec.Struct):
    """Who delegated, with the offices of the records of person and officer."""

    id: str
    offices: list[_StoredOffice] | None
    agency: str | None
    role: str | None

    @property
    def held(self) -> list[Office]:
        duty = [duty_of(self.role, self.agency, ())] if self.role is not None and self.agency is not None else []
        return [*map(_office, self.offices or ()), *duty]


@dataclass(frozen=True, slots=True)
class CopiedKey:
    """A key as intake published it, with the offices of its person. Moments are system time."""

    sha256: bytes
    principal: Principal
    expires_at: datetime | None
    revoked_at: datetime | None

    def opens_to(self, presented: PresentedKey, now: datetime) -> bool:
        """Whether the presented key is this one and may still be used."""
        return presented.matches(self.sha256) and is_live(self.expires_at, self.revoked_at, now)


def access_copy(metadata: MetaData) -> Handle:
    """What keeps the copy in a service's tables, as the handler of its subscription."""
    keys = Projection(metadata.tables["access_keys"], KeyRegistered)
    people = Projection(
        metadata.tables["access_people"],
        PersonRegistered,
        values={"offices": lambda person: msgspec.json.encode(person.model_dump(mode="json")["offices"]).decode()},
    )

    officers = Projection(metadata.tables["access_officers"], OfficerRegistered)

    async def follow(batch: Batch[KeyRegistered | PersonRegistered | OfficerRegistered], tx: Transaction) -> None:
        bodies = [event.body for event in batch]
        await keys.save(tx, (body for body in bodies if isinstance(body, KeyRegistered)))
        await people.save(tx, (body for body in bodies if isinstance(body, PersonRegistered)))
        await officers.save(tx, (body for body in bodies if isinstance(body, OfficerRegistered)))

    return follow


class CopiedKeyring(BackgroundLoop):
    """The keys of one process of a service that copies them."""

    def __init__(
        self,
        audience: str,
        database: Database,
        system_clock: Clock,
        *,
        poll_seconds: float = POLL_SECONDS,
        max_age_seconds: float = MAX_AGE_SECONDS,
    ) -> None:
        self.audience = audience
        super().__init__("keyring-poll", Pulse.every("keyring poll", poll_seconds), stop_seconds=0)
        self._database = database
        self._clock = system_clock
        self._poll_seconds = poll_seconds
        self._max_age_seconds = max_age_seconds
        self._keys: Mapping[str, CopiedKey] = {}
        self._signers: Mapping[str, SignersKey] = {}
        self._remembered: dict[str, tuple[CopiedKey, float]] = {}  # by id, with the moment it was read
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self.uses = KeyUses(_used)
        self.pulses = (self._pulse,)

    async def stop(self) -> None:
        await super().stop()
        await self.uses.flush_at_stop(self._database)

    def at_once(self, presented: PresentedKey) -> Principal | None:
        """The principal by memory alone; None means that the database must be asked."""
        key, read_at = self._keys.get(presented.key_id), self._read_at
        if key is None:
            key, read_at = self._remembered.get(presented.key_id, (None, read_at))
        if key is None or monotonic_seconds() - read_at > self._max_age_seconds:
            return None
        return self._opened(key, presented)

    def holds(self, presented: PresentedKey) -> bool:
        """Whether the key is in memory, live or not."""
        return presented.key_id in self._keys or presented.key_id in self._remembered

    async def be_fresh(self) -> None:
        """Read the database unless memory is young enough. Raises what the database raises."""
        if monotonic_seconds() - self._read_at > self._max_age_seconds:
            called_at = monotonic_seconds()
            async with asyncio.timeout(self._max_age_seconds), self._reading:
                if self._read_at <= called_at:
                    await self._read()

    async def principal_of(self, presented: PresentedKey) -> Principal | None:
        """The principal of this key if it is live, else None."""
        asked_at = monotonic_seconds()
        async with asyncio.timeout(self._max_age_seconds), self._database.read_transaction() as tx:
            row = (await tx.execute(_ONE, {"key_id": presented.key_id})).first()
        key = _key(row) if row is not None else None
        principal = self._opened(key, presented) if key is not None else None
        if key is None or principal is None:
            return None
        self._remembered.pop(presented.key_id, None)
        self._remembered[presented.key_id] = key, asked_at
        if len(self._remembered) > MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        return principal

    def _opened(self, key: CopiedKey, presented: PresentedKey) -> Principal | None:
        now = self._clock.now()
        if not key.opens_to(presented, now):
            return None
        self.uses.note(presented.key_id, now)
        return key.principal

    def now(self) -> datetime:
        """System time, by which keys and tokens end."""
        return self._clock.now()

    def signers_key(self, key_id: str) -> SignersKey | None:
        """The live key of a signer, by memory alone. Notes the use, to be stored later."""
        key, now = self._signers.get(key_id), self._clock.now()
        if key is None or not is_live(key.expires_at, key.revoked_at, now):
            return None
        self.uses.note(key_id, now)
        return key

    async def person(self, person_id: str, scopes: frozenset[Scope]) -> Principal | None:
        """Whoever a token names, with the offices that the copy holds; None for somebody it does not know."""
        async with asyncio.timeout(self._max_age_seconds), self._database.read_transaction() as tx:
            row = (await tx.execute(_PERSON, {"id": person_id})).one_or_none()
        return None if row is None else _holder(person_id, scopes, row)

    async def _read(self) -> None:
        begun = monotonic_seconds()
        async with self._database.read_transaction() as tx:
            self._keys = await _operating(tx)
            self._signers = await _signers(tx)
        self._read_at = begun

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(self._max_age_seconds), self._reading:
                    await self._read()
                self._pulse.beat()
            except Exception as error:
                self._pulse.failed(error)
                log.warning("The keys could not be read.", action="keyring.poll_failed", error=repr(error))
            await self._pause(self._poll_seconds)


async def _used(tx: Transaction, last_uses: Mapping[str, datetime]) -> None:
    await tx.execute(_USED, parameters(_USES, sorted(last_uses.items())))


async def _operating(tx: ReadTransaction) -> dict[str, CopiedKey]:
    rows = (await tx.execute(_OPERATING)).all()
    return {row[0]: key for row in rows if (key := _key(row)) is not None}


async def _signers(tx: ReadTransaction) -> dict[str, SignersKey]:
    return {
        key_id: SignersKey(issuer, bytes.fromhex(public), _known(scopes) & BY_TOKENS, expires_at, revoked_at)
        for key_id, issuer, public, scopes, expires_at, revoked_at in (await tx.execute(_SIGNERS)).all()
    }


def _key(row: Sequence[Any]) -> CopiedKey | None:
    """The stored key; None for one whose kind of principal is not known here, which opens nothing."""
    _, sha256, kind, principal_id, given, expires_at, revoked_at, *holder = row
    if kind not in get_args(PrincipalKind) or kind == "issuer":
        return None
    scopes = _known(given)
    if kind == "person":
        principal = _holder(principal_id, scopes, holder)
    else:
        principal = Principal(kind, principal_id, principal_id if kind == "agency" else None, scopes)
    return CopiedKey(bytes.fromhex(sha256), principal, expires_at, revoked_at)


def _known(scopes: Collection[str]) -> frozenset[Scope]:
    return frozenset(scope for scope in SCOPES if scope in scopes)


def _holder(person_id: str, scopes: frozenset[Scope], row: Sequence[Any]) -> Principal:
    """The person with the offices of the records of person and officer."""
    agency, offices, officers_agency, role, regimes, heads = row
    duty = (duty_of(role, officers_agency, regimes),) if role is not None else ()
    held = offices_of(offices, heads) if offices else ()
    return Principal("person", person_id, agency or officers_agency, scopes, (*held, *duty))


def offices_of(stored: str, heads: str | None = None) -> tuple[Office, ...]:
    """The offices of a person as a copy keeps them, in JSON; a delegation counts with the heads who gave it."""
    delegating = {head.id: head.held for head in msgspec.json.decode(heads, type=list[_Head])} if heads else {}
    return tuple(
        delegated_by(_office(held), delegating.get(held.delegated_by, ())) if held.delegated_by else _office(held)
        for held in msgspec.json.decode(stored, type=list[_StoredOffice])
    )


def _office(stored: _StoredOffice) -> Office:
    return Office(stored.role, stored.agency, Term(stored.since, stored.until), stored.regimes)
