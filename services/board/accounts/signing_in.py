"""Signing in and out, and setting a password by an invitation: one transaction each."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from services.board.accounts import store
from services.board.accounts.domain import failed, may_try, password_faults
from services.board.accounts.passwords import Passwords
from services.board.accounts.store import Caller, Known, Live, Noted
from shared.contract.ids import new_id
from shared.postgres.database import Database
from shared.runtime.clock import Clock
from shared.web.limits import address_key

#: a session's use is written down at most so often
NOTED_EVERY = timedelta(seconds=60)
MAX_CLIENT_CHARACTERS = 250  # Edge names itself at the end of some 130

#: of one person, what a page shows
MOST_SESSIONS, MOST_NOTED = 50, 20

#: how a caller without an address is counted
NO_ADDRESS = "-"

#: for operators: people are told the same of both
Refused = Literal["wrong", "locked"]


@dataclass(frozen=True, slots=True)
class Terms:
    """How long things of accounts live."""

    idle: timedelta
    session: timedelta


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session, and the device that this person is known by from now on.

    Both tokens are what cookies carry, and are stored nowhere.
    """

    token: str
    lasts: timedelta
    device: str


@dataclass(frozen=True, slots=True)
class PasswordSet:
    """A password is set; `device` is the token of the device on which it was."""

    device: str


def sha256_of(token: str) -> bytes:
    """What is stored of a token: 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).digest()


class Accounts:
    """The use cases of accounts."""

    def __init__(self, database: Database, system: Clock, terms: Terms, passwords: Passwords) -> None:
        self._database = database
        self._system = system
        self._terms = terms
        self._passwords = passwords

    async def sign_in(
        self, person_id: str, password: str, *, address: str, client: str, devices: Sequence[str] = ()
    ) -> SignedIn | Refused:
        """Begin a session. Raises Crowded.

        An unknown person, a closed account, a wrong password and one that came too early cost the same work and leave
        the same rows behind, so that neither answer nor time says which it was. The password is looked at before the
        transaction opens; what counts are account and failures as they stand then, so that of many tries at once no
        more than the free ones are answered.
        """
        now = self._system.now()
        tokens = {sha256_of(token): token for token in devices}
        caller = Caller(sha256_of(person_id), address_key(address) or NO_ADDRESS, list(tokens))
        async with self._database.read_transaction() as snapshot:
            seen = await store.account(snapshot, person_id)
            before = await store.tried(snapshot, caller, person_id)
        stored = seen.password_hash if seen is not None and seen.closed_at is None else None
        right = await self._passwords.matches(stored, password, known=before.device is not None)
        newer = None
        if right and stored and may_try(before.guesses, now) and self._passwords.is_outdated(stored):
            newer = await self._passwords.hash(password)
        async with self._database.transaction() as tx:
            await store.one_at_a_time(tx, caller)
            account = await store.locked_account(tx, person_id)
            tried = await store.tried(tx, caller, person_id)
            whose = account.person_id if account is not None else None
            if not may_try(tried.guesses, now):
                await store.note(tx, "locked", whose, address, now)
                return "locked"
            if not right or account is None or account.closed_at is not None or account.password_hash != stored:
                await store.count(tx, caller, failed(tried.guesses, now), tried.device)
                await store.note(tx, "wrong", whose, address, now)
                return "wrong"
            if newer is not None:
                await store.rehashed(tx, person_id, newer)
            if tried.device is None:
                await store.forget(tx, caller)
            device = tokens[tried.device] if tried.device is not None else secrets.token_urlsafe(32)
            await store.keep_device(tx, sha256_of(device), person_id, now)
            token = secrets.token_urlsafe(32)
            await store.begin_session(
                tx, sha256_of(token), new_id(), person_id,
                csrf=secrets.token_urlsafe(24), now=now, expires_at=now + self._terms.session,
                client=client[:MAX_CLIENT_CHARACTERS],
            )  # fmt: skip
            await store.note(tx, "in", person_id, address, now)
        return SignedIn(token, self._terms.session, device)

    async def session_of(self, token: str, *, is_used: bool = True) -> Known | None:
        """The live session of a cookie. It rests on, and ends by that, unless somebody uses it."""
        now, sha256 = self._system.now(), sha256_of(token)
        async with self._database.read_transaction() as snapshot:
            known = await store.known(snapshot, sha256)
        if known is None or not known.session.is_live(now, self._terms.idle):
            return None
        if is_used and known.session.seen_at < now - NOTED_EVERY:
            async with self._database.transaction() as tx:
                await store.seen(tx, sha256, now, now - NOTED_EVERY)
        return known

    async def sign_out(self, known: Known, *, address: str) -> None:
        """End the session."""
        now = self._system.now()
        async with self._database.transaction() as tx:
            await store.end_sessions(tx, known.person_id, now, "signed out", known.session_id)
            await store.note(tx, "out", known.person_id, address, now)

    async def sessions_of(self, person_id: str) -> tuple[list[Live], list[Noted]]:
        """The person's live sessions, the last used first, and what was written of the newest sign-ins."""
        now = self._system.now()
        async with self._database.read_transaction() as snapshot:
            live = await store.live_sessions(snapshot, person_id, now, now - self._terms.idle, MOST_SESSIONS)
            return live, await store.noted(snapshot, person_id, MOST_NOTED)

    async def end_session(self, known: Known, session_id: UUID, *, address: str) -> int:
        """End that session of the same person; returns 0 for one that has ended, or is somebody else's."""
        return await self._revoke(known, address, session_id)

    async def end_others(self, known: Known, *, address: str) -> int:
        """End every session of the person but this one; returns how many."""
        return await self._revoke(known, address, but=known.session_id)

    async def _revoke(
        self, known: Known, address: str, session_id: UUID | None = None, *, but: UUID | None = None
    ) -> int:
        now = self._system.now()
        async with self._database.transaction() as tx:
            ended = await store.end_sessions(tx, known.person_id, now, "revoked", session_id, but=but)
            if ended:
                await store.note(tx, "revoked", known.person_id, address, now)
        return ended

    async def invited(self, token: str) -> str | None:
        """Whose password the link sets, if it is live."""
        async with self._database.transaction() as tx:
            return await store.invited(tx, sha256_of(token), self._system.now())

    async def set_password(
        self, token: str, password: str, name: str, *, address: str
    ) -> PasswordSet | list[str] | None:
        """Set the password of the person of that name by a link, which is used up. Raises Crowded.

        The device on which it is set is known from then on: who cannot sign in beside an attack gets a link and can.
        Returns what is wrong with the password; None: the link is dead.
        """
        person_id = await self.invited(token)
        if person_id is None:
            return None
        if faults := password_faults(password, person_id, name):
            return faults
        made = await self._passwords.hash(password)
        now, device = self._system.now(), secrets.token_urlsafe(32)
        async with self._database.transaction() as tx:
            if await store.invited(tx, sha256_of(token), now) is None:
                return None  # somebody used it meanwhile
            await store.set_password(tx, person_id, made, now)
            await store.keep_device(tx, sha256_of(device), person_id, now)
            await store.note(tx, "password", person_id, address, now)
        return PasswordSet(device)


async def invite(database: Database, person_id: str, *, by: str, now: datetime, lasts: timedelta) -> str:
    """Make a link that sets the person's password; returns its token, which is shown once."""
    token = secrets.token_urlsafe(32)
    async with database.transaction() as tx:
        await store.invite(tx, person_id, sha256_of(token), by=by, now=now, expires_at=now + lasts)
        await store.note(tx, "invited", person_id, by, now)
    return token
