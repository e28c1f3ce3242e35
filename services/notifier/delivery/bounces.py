"""Takes a mail back that bounced: what was sent has told nobody, and whoever is next hears of it.

A delivery status notification (RFC 3464) names the message by its Message-ID, in the copy of it that comes along; only
`Action: failed` counts. The notice, and every one that shared the mail, becomes `failed`; the attempts keep that the
server had taken it. Nothing here commits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.message import Message
from uuid import UUID

from sqlalchemy import text

from services.notifier.delivery.blanking import blank_ended
from services.notifier.delivery.ledger import publish_outcomes
from services.notifier.delivery.next_channel import tell_by_next_channel
from services.notifier.escalation.store import look_at_refused
from shared.contract.events import RecordedEvent
from shared.contract.ids import new_id
from shared.postgres.database import ReadTransaction, Transaction

#: of a notification: the report, and perhaps the whole letter that came back
MAX_DSN_BYTES = 512 * 1024
MAX_WHY_CHARACTERS = 300
#: servers repeat the address; the ledger has it where it is blanked once its owner has left
_ADDRESS = re.compile(r"[^\s<>\"':;,]+@[^\s<>\"':;,]+")
#: parts of a notification that are looked at
_MAX_PARTS = 50

_OBLIGATIONS = text("""
    SELECT DISTINCT m.obligation FROM notifications c JOIN notifications m ON coalesce(m.mail_id, m.id) = c.id
     WHERE c.message_id = :message_id
""")
_LOCK_OBLIGATIONS = text("""
    SELECT obligation FROM obligations WHERE obligation = ANY(CAST(:keys AS text[])) ORDER BY obligation FOR UPDATE
""")
_FAIL = text("""
    WITH mine AS (
        SELECT m.id FROM notifications c JOIN notifications m ON coalesce(m.mail_id, m.id) = c.id
         WHERE c.message_id = :message_id AND m.state IN ('sent', 'unknown') ORDER BY m.id FOR UPDATE OF m
    )
    UPDATE notifications n SET state = 'failed', reason = :reason, due_at = NULL, settled_at = :at
      FROM mine WHERE n.id = mine.id
    RETURNING n.id
""")
_KEEP = text("""
    INSERT INTO bounces (id, notification_id, message_id, reported_by, why, at, idempotency_key, sha256, notices)
    SELECT :record, c.id, c.message_id, :by, :why, :at, :key, :sha256, CAST(:notices AS uuid[])
      FROM notifications c WHERE c.message_id = :message_id
    ON CONFLICT (reported_by, idempotency_key) DO NOTHING RETURNING id
""")
_TAKEN_BEFORE = text("""
    SELECT message_id, why, sha256, notices FROM bounces WHERE reported_by = :by AND idempotency_key = :key
""")
_STATES = text("SELECT state FROM notifications WHERE message_id = :message_id")


@dataclass(frozen=True, slots=True)
class Bounce:
    """A message that came back, and the status with what the last server said."""

    message_id: str
    why: str


@dataclass(frozen=True, slots=True)
class Report:
    """Who reports a bounce, under which Idempotency-Key, and the SHA-256 of what was sent, hexadecimal."""

    by: str
    key: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What an earlier report with the same key told, and which notices became failed then."""

    bounce: Bounce
    sha256: str
    notices: list[UUID]


class NoBounce(ValueError):
    """The message is no notification of a failed delivery of ours; the text says why, Vietnamese / English."""


def read_dsn(content: bytes) -> Bounce:
    """The bounce that a delivery status notification tells of. Raises NoBounce."""
    parts = list(message_from_bytes(content, policy=policy.compat32).walk())[:_MAX_PARTS]
    status = next((part for part in parts if part.get_content_type() == "message/delivery-status"), None)
    if status is None:
        raise NoBounce("không có phần message/delivery-status / it has no part message/delivery-status")
    blocks = status.get_payload()
    said = [block for block in blocks if isinstance(block, Message)] if isinstance(blocks, list) else []
    failed = next((block for block in said if _field(block, "Action").lower() == "failed"), None)
    if failed is None:
        raise NoBounce("không báo Action: failed / it does not say Action: failed")
    message_id = next((found for part in parts[1:] if (found := _of_ours(part))), "")
    if not message_id:
        raise NoBounce("không có Message-ID của thư bị trả về / it lacks the Message-ID of what came back")
    why = _ADDRESS.sub("…", " ".join(f"{_field(failed, 'Status')} {_field(failed, 'Diagnostic-Code')}".split()))
    return Bounce(message_id, why[:MAX_WHY_CHARACTERS] or "failed")


def _of_ours(part: Message) -> str:
    """The Message-ID in a part that holds what came back: the message, or its header."""
    kind = part.get_content_type()
    if kind == "text/rfc822-headers":
        payload = part.get_payload(decode=True)
        part = message_from_bytes(payload if isinstance(payload, bytes) else b"")
    elif kind == "message/rfc822":
        inner = part.get_payload()
        if not isinstance(inner, list) or not isinstance(inner[0], Message):
            return ""
        part = inner[0]
    else:
        return ""
    found = re.search(r"<[^<>\s]{3,250}>", _field(part, "Message-ID"))
    return found[0] if found else ""


def _field(part: Message, name: str) -> str:
    # what somebody else's server says may hold anything; a NUL cannot be stored
    return "".join(character if character.isprintable() else " " for character in str(part.get(name) or "")).strip()


class KeyTaken(Exception):
    """The key has just come with another report: roll back, then look at `taken_before`."""


async def taken_before(tx: ReadTransaction, report: Report) -> Taken | None:
    """What this key was used for before by whoever reports."""
    row = (await tx.execute(_TAKEN_BEFORE, {"by": report.by, "key": report.key})).mappings().one_or_none()
    if row is None:
        return None
    return Taken(Bounce(row["message_id"], row["why"]), row["sha256"], list(row["notices"]))


async def take(
    tx: Transaction, bounce: Bounce, *, by: str, at: datetime, report: Report | None = None
) -> tuple[list[UUID], list[RecordedEvent]] | None:
    """Mark what the mail told as failed, and publish it. None where no mail has this Message-ID.

    at: business time. Empty where it is known already. The escalations of these notices are looked at: whoever is above
    hears of it sooner. report: kept with its key, whether or not it is news. Raises KeyTaken.
    """
    asked = {"message_id": bounce.message_id}
    if (await tx.execute(_STATES, asked)).first() is None:
        return None
    keys = sorted((await tx.execute(_OBLIGATIONS, asked)).scalars())
    await tx.execute(_LOCK_OBLIGATIONS, {"keys": keys})
    failed = sorted((await tx.execute(_FAIL, {**asked, "reason": f"bounced: {bounce.why}", "at": at})).scalars())
    if failed or report is not None:
        key, sha256 = (None, None) if report is None else (report.key, report.sha256)
        kept = {"record": new_id(), "by": by[:MAX_WHY_CHARACTERS], "why": bounce.why, "at": at, "notices": failed}
        if (await tx.execute(_KEEP, {**asked, **kept, "key": key, "sha256": sha256})).first() is None:
            raise KeyTaken
    if not failed:
        return [], []
    await tell_by_next_channel(tx, failed, at)
    await blank_ended(tx, failed)
    await look_at_refused(tx, failed, at)
    return failed, await publish_outcomes(tx, failed, at)
