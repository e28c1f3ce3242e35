"""Signing in and out, and setting a password by an invitation: one transaction each."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from services.board.accounts import store
from services.board.accounts.domain import locked_until, password_faults
from services.board.accounts.passwords import Passwords
from services.board.accounts.store import Account, Known
from shared.contract.ids import new_id
from shared.postgres.database import Database
from shared.runtime.clock import Clock

#: a session's use is written down at most so often
NOTED_EVERY = timedelta(seconds=60)
MAX_CLIENT_CHARACTERS = 120

Refused = Literal["wrong", "locked"]


@dataclass(frozen=True, slots=True)
class Terms:
    """How long things of accounts live."""

    idle: timedelta
    session: timedelta


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session; `token` is what the cookie carries, and is stored nowhere."""

    token: str
    lasts: timedelta


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

    async def sign_in(self, person_id: str, password: str, *, address: str, client: str) -> SignedIn | Refused:
        """Begin a session. An unknown person, a closed account and a wrong password are told alike. Raises Crowded.

        The password is looked at before the transaction opens; what counts is the account as it stands then, so that
        of many tries at once no more than the free ones are answered.
        """
        now = self._system.now()
        async with self._database.read_transaction() as snapshot:
            seen = await store.account(snapshot, person_id)
        if seen is not None and _is_locked(seen, now):
            return await self._refuse("locked", seen, address, now)
        stored = seen.password_hash if seen is not None and seen.closed_at is None else None
        right = await self._passwords.matches(stored, password)
        newer = (
            await self._passwords.hash(password) if right and stored and self._passwords.is_outdated(stored) else None
        )
        async with self._database.transaction() as tx:
            account = await store.locked_account(tx, person_id)
            if account is None:
                await store.note(tx, "wrong", None, address, now)
                return "wrong"
            if _is_locked(account, now):
                await store.note(tx, "locked", person_id, address, now)
                return "locked"
            if not right or account.closed_at is not None or account.password_hash != stored:
                await store.failed(tx, person_id, now)
                await store.note(tx, "wrong", person_id, address, now)
                return "wrong"
            await store.succeeded(tx, person_id, newer)
            token = secrets.token_urlsafe(32)
            await store.begin_session(
                tx, sha256_of(token), new_id(), person_id,
                csrf=secrets.token_urlsafe(24), now=now, expires_at=now + self._terms.session,
                client=client[:MAX_CLIENT_CHARACTERS],
            )  # fmt: skip
            await store.note(tx, "in", person_id, address, now)
        return SignedIn(token, self._terms.session)

    async def _refuse(self, why: Refused, account: Account, address: str, now: datetime) -> Refused:
        async with self._database.transaction() as tx:
            await store.note(tx, why, account.person_id, address, now)
        return why

    async def session_of(self, token: str) -> Known | None:
        """The live session of a cookie."""
        now, sha256 = self._system.now(), sha256_of(token)
        async with self._database.read_transaction() as snapshot:
            known = await store.known(snapshot, sha256)
        if known is None or not known.session.is_live(now, self._terms.idle):
            return None
        if known.session.seen_at < now - NOTED_EVERY:
            async with self._database.transaction() as tx:
                await store.seen(tx, sha256, now, now - NOTED_EVERY)
        return known

    async def sign_out(self, known: Known, *, address: str) -> None:
        """End the session."""
        now = self._system.now()
        async with self._database.transaction() as tx:
            await store.end_sessions(tx, known.person_id, now, "signed out", known.session_id)
            await store.note(tx, "out", known.person_id, address, now)

    async def invited(self, token: str) -> str | None:
        """Whose password the link sets, if it is live."""
        async with self._database.transaction() as tx:
            return await store.invited(tx, sha256_of(token), self._system.now())

    async def set_password(self, token: str, password: str, name: str, *, address: str) -> list[str] | None:
        """Set the password of the person of that name by a link, which is used up. Raises Crowded.

        Returns what is wrong with it; None: the link is dead.
        """
        person_id = await self.invited(token)
        if person_id is None:
            return None
        if faults := password_faults(password, person_id, name):
            return faults
        made = await self._passwords.hash(password)
        now = self._system.now()
        async with self._database.transaction() as tx:
            if await store.invited(tx, sha256_of(token), now) is None:
                return None  # somebody used it meanwhile
            await store.set_password(tx, person_id, made, now)
            await store.note(tx, "password", person_id, address, now)
        return []


def _is_locked(account: Account, now: datetime) -> bool:
    until = locked_until(account.failures, account.failed_at)
    return until is not None and now < until


async def invite(database: Database, person_id: str, *, by: str, now: datetime, lasts: timedelta) -> str:
    """Make a link that sets the person's password; returns its token, which is shown once."""
    token = secrets.token_urlsafe(32)
    async with database.transaction() as tx:
        await store.invite(tx, person_id, sha256_of(token), by=by, now=now, expires_at=now + lasts)
        await store.note(tx, "invited", person_id, by, now)
    return token
