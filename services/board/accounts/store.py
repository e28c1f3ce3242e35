"""SQL of accounts, invitations and sessions. Nothing here commits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from services.board.accounts.domain import Session
from shared.postgres.database import ReadTransaction, Transaction


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it is stored."""

    person_id: str
    password_hash: str | None
    failures: int
    failed_at: datetime | None
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Known:
    """A session with its person."""

    session_id: UUID
    person_id: str
    csrf: str
    session: Session


_ACCOUNT = """
    SELECT person_id, password_hash, failures, failed_at, closed_at FROM accounts WHERE person_id = :person_id
"""
_LOCKED_ACCOUNT = text(f"{_ACCOUNT} FOR UPDATE")
_FAILED = text("""
    UPDATE accounts SET failures = failures + 1, failed_at = :now WHERE person_id = :person_id
""")
_SUCCEEDED = text("""
    UPDATE accounts SET failures = 0, failed_at = NULL,
           password_hash = COALESCE(CAST(:newer AS text), password_hash)
     WHERE person_id = :person_id
""")
_SET_PASSWORD = text("""
    UPDATE accounts SET password_hash = :hash, changed_at = :now, failures = 0, failed_at = NULL
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
""")
_NOTE = text("INSERT INTO sign_ins (at, person_id, what, address) VALUES (:at, :person_id, :what, :address)")
_PRUNE = text("DELETE FROM sessions WHERE seen_at < :before")
_PRUNE_INVITATIONS = text("DELETE FROM invitations WHERE expires_at < :before")


async def account(snapshot: ReadTransaction, person_id: str) -> Account | None:
    """The account."""
    row = (await snapshot.execute(text(_ACCOUNT), {"person_id": person_id})).one_or_none()
    return Account(*row) if row is not None else None


async def locked_account(tx: Transaction, person_id: str) -> Account | None:
    """The account, locked until the transaction ends: two tries at once are counted as two."""
    row = (await tx.execute(_LOCKED_ACCOUNT, {"person_id": person_id})).one_or_none()
    return Account(*row) if row is not None else None


async def failed(tx: Transaction, person_id: str, now: datetime) -> None:
    """Count a wrong password."""
    await tx.execute(_FAILED, {"person_id": person_id, "now": now})


async def succeeded(tx: Transaction, person_id: str, newer_hash: str | None) -> None:
    """Forget the wrong passwords; keep the same password's hash by newer parameters, where there is one."""
    await tx.execute(_SUCCEEDED, {"person_id": person_id, "newer": newer_hash})


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
    """Store the password, use up every link of the person, and end the sessions that an older password began."""
    await tx.execute(_SET_PASSWORD, {"person_id": person_id, "hash": password_hash, "now": now})
    await tx.execute(_USE_INVITATIONS, {"person_id": person_id, "now": now})
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
    tx: Transaction, person_id: str, now: datetime, why: str, session_id: UUID | None = None
) -> None:
    """End one session of the person, or all."""
    await tx.execute(_END, {"person_id": person_id, "now": now, "why": why, "session_id": session_id})


async def note(tx: Transaction, what: str, person_id: str | None, address: str, at: datetime) -> None:
    """Write who signed in, out, or failed to."""
    await tx.execute(_NOTE, {"at": at, "person_id": person_id, "what": what, "address": address})


async def prune(tx: Transaction, before: datetime) -> int:
    """Drop sessions and links that ended long ago; returns how many."""
    sessions = await tx.execute(_PRUNE, {"before": before})
    links = await tx.execute(_PRUNE_INVITATIONS, {"before": before})
    return sessions.rowcount + links.rowcount


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
    UPDATE accounts SET closed_at = :now, closed_why = :why, password_hash = NULL, failures = 0, failed_at = NULL
     WHERE person_id = :person_id AND closed_at IS NULL
""")


async def listed(snapshot: ReadTransaction) -> list[Listed]:
    """Every account."""
    return [Listed(*row) for row in (await snapshot.execute(_LISTED)).all()]


async def close(tx: Transaction, person_id: str, now: datetime, why: str) -> bool:
    """Close the account, and end its password, sessions and links. False: there is no open one.

    An invitation opens it again: the password that was the reason to close it must not come back to life with it.
    """
    found = await tx.execute(_CLOSE, {"person_id": person_id, "now": now, "why": why})
    await end_sessions(tx, person_id, now, "closed")
    await tx.execute(_USE_INVITATIONS, {"person_id": person_id, "now": now})
    return bool(found.rowcount)
