"""Mails sent again by an operator's hand: only what has come to an end, only what still tells the truth, on record.

To the same address it keeps its Message-ID, so that a mailbox which has it shows it once; another address gets another
one. Nothing here commits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import text

from services.notifier.delivery.states import other_message_id
from services.notifier.planning.store import STILL_SO
from shared.contract.events.fields import usable_address
from shared.contract.ids import new_id
from shared.postgres.database import Reading, Transaction

Listed = Literal["failed", "unknown", "sent", "retry", "pending", "skipped", "cancelled"]

_LIST = text("""
    SELECT id, state, kind, step, obligation, recipient, reason, settled_at, attempts, resends FROM notifications
     WHERE state = :state AND (CAST(:before AS uuid) IS NULL OR id < :before) ORDER BY id DESC LIMIT :limit
""")
_LOCK_OBLIGATIONS = text("""
    SELECT obligation FROM obligations
     WHERE obligation IN (SELECT obligation FROM notifications WHERE id = ANY(CAST(:ids AS uuid[])))
     ORDER BY obligation FOR UPDATE
""")
_LOCK = text(f"""
    SELECT n.id, n.state, n.reason, n.recipient, n.message_id, n.due_at, n.obligation, {STILL_SO} AS still_so
      FROM notifications n JOIN obligations o ON o.obligation = n.obligation
     WHERE n.id = ANY(CAST(:ids AS uuid[])) ORDER BY n.id FOR UPDATE OF n
""")  # noqa: S608 - constants
_AGAIN = text("""
    UPDATE notifications
       SET state = 'retry', reason = NULL, due_at = :now, recipient = :recipient, message_id = :message_id,
           resends = resends + 1, refusals = 0, first_tried_at = NULL
     WHERE id = :id
""")
_RECORD = text("""
    INSERT INTO resends (id, notification_id, by, why, at, from_state, from_reason, from_recipient, from_message_id,
                         recipient, message_id)
    VALUES (:record, :id, :by, :why, :now, :from_state, :from_reason, :from_recipient, :from_message_id, :recipient,
            :message_id)
""")


@dataclass(frozen=True, slots=True)
class Order:
    """Who wants which mails sent again, and why.

    `to`: another address. `bounced`: sent ones too, for they came back.
    """

    ids: Sequence[UUID]
    by: str
    why: str
    to: str | None = None
    bounced: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """What became of one of them; `vi` and `en` say why not."""

    id: UUID
    again: bool
    recipient: str = ""
    vi: str = ""
    en: str = ""


async def listed(tx: Reading, state: Listed, *, before: UUID | None, limit: int) -> Sequence[Mapping[str, Any]]:
    """Notifications in a state, newest first, before the id `before`."""
    rows = await tx.execute(_LIST, {"state": state, "before": before, "limit": limit})
    return [dict(row) for row in rows.mappings()]


async def resend(tx: Transaction, order: Order, *, now: datetime, domain: str) -> list[Said]:
    """Have mails sent again where that may be; `now` is system time. Raises ValueError for an unusable address."""
    if order.to is not None and not usable_address(order.to):
        raise ValueError(order.to)
    ids = sorted(set(order.ids))
    await tx.execute(_LOCK_OBLIGATIONS, {"ids": ids})
    found = {row["id"]: row for row in (await tx.execute(_LOCK, {"ids": ids})).mappings()}
    said = []
    for each in ids:
        row = found.get(each)
        if row is None:
            said.append(Said(each, False, vi="không có thư này", en="there is no such mail"))
        elif refusal := _refusal(dict(row), order):
            said.append(Said(each, False, vi=refusal[0], en=refusal[1]))
        else:
            recipient = order.to or row["recipient"]
            first = row["message_id"]
            again = {
                "id": each,
                "now": now,
                "recipient": recipient,
                "message_id": first if recipient == row["recipient"] else other_message_id(first, recipient, domain),
            }
            await tx.execute(_AGAIN, again)
            await tx.execute(
                _RECORD,
                again
                | {
                    "record": new_id(),
                    "by": order.by,
                    "why": order.why,
                    "from_state": row["state"],
                    "from_reason": row["reason"],
                    "from_recipient": row["recipient"],
                    "from_message_id": first,
                },
            )
            said.append(Said(each, True, recipient))
    return said


def _refusal(row: Mapping[str, Any], order: Order) -> tuple[str, str] | None:
    match row["state"]:
        case "failed":
            pass
        case "unknown" if row["due_at"] is None:
            pass
        case "unknown":
            return "sẽ tự gửi lại", "it is about to be sent again by itself"
        case "sent" if order.bounced:
            pass
        case "sent":
            return (
                "máy chủ thư đã nhận; nếu thư bị trả về, thêm --bounced",
                "taken by the server; if it bounced: --bounced",
            )
        case state:
            return f"đang ở trạng thái {state}", f"its state is {state}"
    if not row["still_so"]:
        return "nội dung không còn đúng (đã nộp, hoặc đã có thông báo mới hơn)", "it is no longer so"
    return None
