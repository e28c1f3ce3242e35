"""SQL of accounts, invitations, sessions, devices and wrong passwords. Nothing here commits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import TextClause, text

from services.board.accounts.domain import Failures, Guesses, Session
from shared.postgres.database import ReadTransaction, Transaction


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it is stored."""

    person_id: str
    password_hash: str | None
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who tries to sign in: the id that was given, the address as it is counted, and the tokens of its devices.

    Ids and tokens are known by their SHA-256: people type passwords into the field of the id.
    """

    whom: bytes
    address: str
    devices: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Tried:
    """The wrong passwords that count for a caller, and which of its devices is known for this id."""

    guesses: Guesses
    device: bytes | None


@dataclass(frozen=True, slots=True)
class Known:
    """A session with its person."""

    session_id: UUID
    person_id: str
    csrf: str
    session: Session


#: the address of the row that counts wrong passwords over all addresses
ANYWHERE = ""
#: rows of wrong passwords that are kept, some 150 bytes each; each costs who makes it an argon2 hash and its turn
MOST_FAILURES = 200_000

_ACCOUNT = "SELECT person_id, password_hash, closed_at FROM accounts WHERE person_id = :person_id"
_LOCKED_ACCOUNT = text(f"{_ACCOUNT} FOR UPDATE")
# also of an id that has no row
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('board: sign-in'), hashtext(encode(:whom, 'hex')))")
_FAILURES = text("""
    SELECT address, failures, failed_at FROM failures WHERE whom = :whom AND address IN (:address, :anywhere)
""")
_DEVICE = text("""
    SELECT sha256, failures, failed_at FROM devices
     WHERE sha256 = ANY(CAST(:devices AS bytea[])) AND person_id = :person_id ORDER BY seen_at DESC, sha256 LIMIT 1
""")
_COUNT = text("""
    INSERT INTO failures (whom, address, failures, failed_at) VALUES (:whom, :address, :failures, :failed_at)
    ON CONFLICT (whom, address) DO UPDATE SET failures = EXCLUDED.failures, failed_at = EXCLUDED.failed_at
""")
_COUNT_DEVICE = text("UPDATE devices SET failures = :failures, failed_at = :failed_at WHERE sha256 = :sha256")
_FORGET = text("DELETE FROM failures WHERE whom = :whom AND address = :address")
_KEEP_DEVICE = text("""
    INSERT INTO devices (sha256, person_id, made_at, seen_at) VALUES (:sha256, :person_id, :now, :now)
    ON CONFLICT (sha256) DO UPDATE SET seen_at = EXCLUDED.seen_at, failures = 0, failed_at = NULL
""")
_FORGET_DEVICES = text("DELETE FROM devices WHERE person_id = :person_id")
_REHASHED = text("UPDATE accounts SET password_hash = :hash WHERE person_id = :person_id")
_SET_PASSWORD = text("""
    UPDATE accounts SET password_hash = :hash, changed_at = :now
     WHERE person_id = :person_id AND closed_at IS NULL
""")
_OPEN_ACCOUNT = text("""
    INSERT INTO accounts (person_id, created_at, changed_at) VALUES (:person_id, :now, :now)
    ON CONFLICT (person_id) DO UPDATE SET closed_at = NULL, closed_why = NULL
""")
_INVITE = text("""
    INSERT INTO invitations (sha256, person_id, made_by, made_at, expires_at)
    VALUES (:sha256, :person_id, :made_by, :now, :expires_at)
""")
_INVITED = text("""
    SELECT i.person_id FROM invitations i JOIN accounts a USING (person_id)
     WHERE i.sha256 = :sha256 AND i.used_at IS NULL AND i.expires_at > :now AND a.closed_at IS NULL
       FOR UPDATE OF i
""")
_USE_INVITATIONS = text("""
    UPDATE invitations SET used_at = :now WHERE person_id = :person_id AND used_at IS NULL
""")
_BEGIN = text("""
    INSERT INTO sessions (sha256, session_id, person_id, csrf, began_at, seen_at, expires_at, client)
    VALUES (:sha256, :session_id, :person_id, :csrf, :now, :now, :expires_at, :client)
""")
_KNOWN = text("""
    SELECT session_id, person_id, csrf, began_at, seen_at, expires_at, ended_at FROM sessions WHERE sha256 = :sha256
""")
_SEEN = text("UPDATE sessions SET seen_at = :now WHERE sha256 = :sha256 AND seen_at < :before")
_END = text("""
    UPDATE sessions SET ended_at = :now, ended_why = :why
     WHERE person_id = :person_id AND ended_at IS NULL
       AND (CAST(:session_id AS uuid) IS NULL OR session_id = :session_id)
       AND (CAST(:but AS uuid) IS NULL OR session_id <> :but)
""")
_LIVE = text("""
    SELECT session_id, began_at, seen_at, expires_at, client FROM sessions
     WHERE person_id = :person_id AND ended_at IS NULL AND expires_at > :now AND seen_at > :seen_after
     ORDER BY seen_at DESC, session_id LIMIT :limit
""")
_NOTED = text("""
    SELECT at, what, address FROM sign_ins WHERE person_id = :person_id ORDER BY at DESC, id DESC LIMIT :limit
""")
_NOTE = text("INSERT INTO sign_ins (at, person_id, what, address) VALUES (:at, :person_id, :what, :address)")


def _older(table: str, key: str, at: str) -> TextClause:
    """The oldest rows of a table that are older than their term, so many at once."""
    return text(f"""
        DELETE FROM {table} WHERE ({key}) IN (
            SELECT {key} FROM {table} WHERE {at} < :before ORDER BY {at} LIMIT :limit FOR UPDATE SKIP LOCKED
        )
    """)  # noqa: S608 - names of this module


_PRUNE_SESSIONS = _older("sessions", "sha256", "seen_at")
_PRUNE_INVITATIONS = _older("invitations", "sha256", "expires_at")
_PRUNE_DEVICES = _older("devices", "sha256", "seen_at")
_PRUNE_SIGN_INS = _older("sign_ins", "id", "at")
_PRUNE_FAILURES = _older("failures", "whom, address", "failed_at")
_PRUNE_CROWD = text("""
    DELETE FROM failures WHERE (whom, address) IN (
        SELECT whom, address FROM failures ORDER BY failed_at DESC, whom, address OFFSET :most LIMIT :limit
    )
""")


async def account(snapshot: ReadTransaction, person_id: str) -> Account | None:
    """The account."""
    row = (await snapshot.execute(text(_ACCOUNT), {"person_id": person_id})).one_or_none()
    return Account(*row) if row is not None else None


async def one_at_a_time(tx: Transaction, caller: Caller) -> None:
    """Wait for other tries at this id, known or not, to be counted."""
    await tx.execute(_ONE_AT_A_TIME, {"whom": caller.whom})


async def locked_account(tx: Transaction, person_id: str) -> Account | None:
    """The account, locked until the transaction ends: it is not closed while somebody signs in."""
    row = (await tx.execute(_LOCKED_ACCOUNT, {"person_id": person_id})).one_or_none()
    return Account(*row) if row is not None else None


async def tried(snapshot: ReadTransaction, caller: Caller, person_id: str) -> Tried:
    """The wrong passwords that count for the caller."""
    given = {"whom": caller.whom, "address": caller.address, "anywhere": ANYWHERE}
    found = {row[0]: Failures(row[1], row[2]) for row in await snapshot.execute(_FAILURES, given)}
    devices = {"devices": list(caller.devices), "person_id": person_id}
    device = (await snapshot.execute(_DEVICE, devices)).one_or_none()
    guesses = Guesses(
        found.get(caller.address, Failures()), found.get(ANYWHERE, Failures()),
        Failures(device[1], device[2]) if device is not None else None,
    )  # fmt: skip
    return Tried(guesses, device[0] if device is not None else None)


async def count(tx: Transaction, caller: Caller, guesses: Guesses, device: bytes | None) -> None:
    """Store the caller's wrong passwords."""
    if device is not None and guesses.device is not None:
        counted = {"sha256": device, "failures": guesses.device.count, "failed_at": guesses.device.at}
        await tx.execute(_COUNT_DEVICE, counted)
        return
    for address, failures in ((caller.address, guesses.address), (ANYWHERE, guesses.anywhere)):
        counted = {"whom": caller.whom, "address": address, "failures": failures.count, "failed_at": failures.at}
        await tx.execute(_COUNT, counted)


async def forget(tx: Transaction, caller: Caller) -> None:
    """Forget the wrong passwords from the caller's address; those over all addresses are forgiven by time alone."""
    await tx.execute(_FORGET, {"whom": caller.whom, "address": caller.address})


async def keep_device(tx: Transaction, sha256: bytes, person_id: str, now: datetime) -> None:
    """Know the device by its token: a new one, or one that has signed in again."""
    await tx.execute(_KEEP_DEVICE, {"sha256": sha256, "person_id": person_id, "now": now})


async def rehashed(tx: Transaction, person_id: str, newer_hash: str) -> None:
    """Keep the same password's hash by newer parameters."""
    await tx.execute(_REHASHED, {"person_id": person_id, "hash": newer_hash})


async def invite(
    tx: Transaction, person_id: str, sha256: bytes, *, by: str, now: datetime, expires_at: datetime
) -> None:
    """Open the account, if it is not, and keep a link that sets its password."""
    await tx.execute(_OPEN_ACCOUNT, {"person_id": person_id, "now": now})
    given = {"sha256": sha256, "person_id": person_id, "made_by": by, "now": now, "expires_at": expires_at}
    await tx.execute(_INVITE, given)


async def invited(tx: ReadTransaction, sha256: bytes, now: datetime) -> str | None:
    """Whose password the link may set; None: no link, a used one, or too old."""
    return (await tx.execute(_INVITED, {"sha256": sha256, "now": now})).scalar_one_or_none()


async def set_password(tx: Transaction, person_id: str, password_hash: str, now: datetime) -> None:
    """Store the password, use up every link of the person, and end what an older password began."""
    await tx.execute(_SET_PASSWORD, {"person_id": person_id, "hash": password_hash, "now": now})
    await tx.execute(_USE_INVITATIONS, {"person_id": person_id, "now": now})
    await tx.execute(_FORGET_DEVICES, {"person_id": person_id})
    await end_sessions(tx, person_id, now, "password")


async def begin_session(
    tx: Transaction, sha256: bytes, session_id: UUID, person_id: str, *, csrf: str, now: datetime,
    expires_at: datetime, client: str,
) -> None:  # fmt: skip
    """Store a session."""
    given = {"sha256": sha256, "session_id": session_id, "person_id": person_id, "csrf": csrf, "now": now}
    await tx.execute(_BEGIN, {**given, "expires_at": expires_at, "client": client})


async def known(tx: ReadTransaction, sha256: bytes) -> Known | None:
    """The session of a cookie."""
    row = (await tx.execute(_KNOWN, {"sha256": sha256})).one_or_none()
    return Known(row[0], row[1], row[2], Session(*row[3:])) if row is not None else None


async def seen(tx: Transaction, sha256: bytes, now: datetime, before: datetime) -> None:
    """Note that the session was used, unless it was noted after `before`."""
    await tx.execute(_SEEN, {"sha256": sha256, "now": now, "before": before})


async def end_sessions(
    tx: Transaction, person_id: str, now: datetime, why: str, session_id: UUID | None = None, *, but: UUID | None = None
) -> int:
    """End one session of the person, all, or all but one; returns how many."""
    given = {"person_id": person_id, "now": now, "why": why, "session_id": session_id, "but": but}
    return (await tx.execute(_END, given)).rowcount


@dataclass(frozen=True, slots=True)
class Live:
    """A live session as its person sees it."""

    session_id: UUID
    began_at: datetime
    seen_at: datetime
    expires_at: datetime
    client: str


@dataclass(frozen=True, slots=True)
class Noted:
    """What was written of a sign-in: `what` is in, wrong, locked, out, invited, password or revoked."""

    at: datetime
    what: str
    address: str


async def live_sessions(
    snapshot: ReadTransaction, person_id: str, now: datetime, seen_after: datetime, limit: int
) -> list[Live]:
    """The person's sessions that still say who somebody is, the last used first."""
    given = {"person_id": person_id, "now": now, "seen_after": seen_after, "limit": limit}
    return [Live(*row) for row in await snapshot.execute(_LIVE, given)]


async def noted(snapshot: ReadTransaction, person_id: str, limit: int) -> list[Noted]:
    """What was written of the person's sign-ins, the newest first."""
    return [Noted(*row) for row in await snapshot.execute(_NOTED, {"person_id": person_id, "limit": limit})]


async def note(tx: Transaction, what: str, person_id: str | None, address: str, at: datetime) -> None:
    """Write who signed in, out, or failed to."""
    await tx.execute(_NOTE, {"at": at, "person_id": person_id, "what": what, "address": address})


@dataclass(frozen=True, slots=True)
class Kept:
    """Before which moment what ended is dropped: sessions and links, devices, the record of sign-ins."""

    sessions: datetime
    devices: datetime
    sign_ins: datetime
    failures: datetime


async def prune(tx: Transaction, kept: Kept, limit: int = 5_000) -> int:
    """Drop what is older than its term, and the oldest failures beyond MOST_FAILURES; returns how many."""
    rows = 0
    for statement, before in (
        (_PRUNE_SESSIONS, kept.sessions),
        (_PRUNE_INVITATIONS, kept.sessions),
        (_PRUNE_DEVICES, kept.devices),
        (_PRUNE_SIGN_INS, kept.sign_ins),
        (_PRUNE_FAILURES, kept.failures),
    ):
        rows += (await tx.execute(statement, {"before": before, "limit": limit})).rowcount
    rows += (await tx.execute(_PRUNE_CROWD, {"most": MOST_FAILURES, "limit": limit})).rowcount
    return rows


@dataclass(frozen=True, slots=True)
class Listed:
    """An account as an operator sees it."""

    person_id: str
    has_password: bool
    closed_at: datetime | None
    signed_in_at: datetime | None


_LISTED = text("""
    SELECT a.person_id, a.password_hash IS NOT NULL, a.closed_at,
           (SELECT max(s.at) FROM sign_ins s WHERE s.person_id = a.person_id AND s.what = 'in')
      FROM accounts a ORDER BY a.person_id
""")
_CLOSE = text("""
    UPDATE accounts SET closed_at = :now, closed_why = :why, password_hash = NULL
     WHERE person_id = :person_id AND closed_at IS NULL
""")


async def listed(snapshot: ReadTransaction) -> list[Listed]:
    """Every account."""
    return [Listed(*row) for row in (await snapshot.execute(_LISTED)).all()]


async def close(tx: Transaction, person_id: str, now: datetime, why: str) -> bool:
    """Close the account, and end its password, sessions, links and devices. False: there is no open one.

    An invitation opens it again: the password that was the reason to close it must not come back to life with it.
    """
    found = await tx.execute(_CLOSE, {"person_id": person_id, "now": now, "why": why})
    await end_sessions(tx, person_id, now, "closed")
    await tx.execute(_FORGET_DEVICES, {"person_id": person_id})
    await tx.execute(_USE_INVITATIONS, {"person_id": person_id, "now": now})
    return bool(found.rowcount)
