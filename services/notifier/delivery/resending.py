"""Sends a mail again at an operator's order: only one that is settled and still true, and the ledger keeps the order.

To the same address the mail keeps its Message-ID, so that a mailbox that has it shows it once; to another address it
gets another one. Nothing here commits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import text

from services.notifier.channels.gateway.numbers import number_of
from services.notifier.delivery.states import other_message_id
from services.notifier.ladders.domain import EMAIL
from services.notifier.planning.store import STILL_SO
from shared.contract.events.fields import usable_address
from shared.contract.ids import new_id
from shared.postgres.database import ReadTransaction, Transaction

Listed = Literal["failed", "unknown", "sent", "retry", "pending", "skipped", "cancelled", "waiting"]

_LIST = text("""
    SELECT id, state, kind, step, obligation, recipient, reason, settled_at, attempts, resends FROM notifications
     WHERE state = :state AND (CAST(:before AS uuid) IS NULL OR id < :before)
       AND (CAST(:channel AS text) IS NULL OR channel = :channel)
     ORDER BY id DESC LIMIT :limit
""")
_LOCK_OBLIGATIONS = text("""
    SELECT obligation FROM obligations
     WHERE obligation IN (SELECT obligation FROM notifications WHERE id = ANY(CAST(:ids AS uuid[])))
     ORDER BY obligation FOR UPDATE
""")
_LOCK = text(f"""
    SELECT n.id, n.channel, n.mail_id, n.state, n.reason, n.recipient, n.message_id, n.due_at, n.obligation,
           {STILL_SO} AS still_so,
           EXISTS (SELECT FROM notifications m
                    WHERE m.obligation = n.obligation AND m.state NOT IN ('failed', 'cancelled', 'skipped')
                      AND (m.step = n.step AND (n.next_contact = 'person:' || m.officer_id
                                                OR m.officer_id = n.officer_id AND m.channel <> n.channel)
                           OR n.kind = 'escalation' AND m.kind = 'escalation' AND m.id > n.id AND m.step <> n.step
                              AND m.officer_id <> n.officer_id)) AS told_instead
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
class ResendOrder:
    """Which mails to send again, by whose order and why.

    `to`: another address. `bounced`: also mails that are recorded as sent, because they bounced. `gone_on`: also where
    somebody else was told instead, or the person by another channel.
    """

    ids: Sequence[UUID]
    by: str
    why: str
    to: str | None = None
    bounced: bool = False
    gone_on: bool = False


@dataclass(frozen=True, slots=True)
class ResendAnswer:
    """Whether one mail is sent again; if not, `vi` and `en` say why."""

    id: UUID
    accepted: bool
    recipient: str = ""
    vi: str = ""
    en: str = ""


async def listed(
    tx: ReadTransaction, state: Listed, *, before: UUID | None, limit: int, channel: str | None = None
) -> Sequence[Mapping[str, Any]]:
    """Notifications in a state, newest first, before the id `before`; of one channel where it is given."""
    rows = await tx.execute(_LIST, {"state": state, "before": before, "limit": limit, "channel": channel})
    return [dict(row) for row in rows.mappings()]


async def resend(tx: Transaction, order: ResendOrder, *, now: datetime, domain: str) -> list[ResendAnswer]:
    """Make due again what may be sent again; `now` is system time. Raises ValueError for an unusable address.

    `order.to` of a text is a telephone number.
    """
    if order.to is not None and not (usable_address(order.to) or number_of(order.to)):
        raise ValueError(order.to)
    ids = sorted(set(order.ids))
    await tx.execute(_LOCK_OBLIGATIONS, {"ids": ids})
    found = {row["id"]: row for row in (await tx.execute(_LOCK, {"ids": ids})).mappings()}
    answers = []
    for notice_id in ids:
        row = found.get(notice_id)
        if row is None:
            answers.append(ResendAnswer(notice_id, False, vi="không có thư này", en="there is no such mail"))
        elif refusal := _refusal(dict(row), order):
            answers.append(ResendAnswer(notice_id, False, vi=refusal[0], en=refusal[1]))
        else:
            recipient = _address(row["channel"], order.to) or row["recipient"]
            first = row["message_id"]
            again = {
                "id": notice_id,
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
            answers.append(ResendAnswer(notice_id, True, recipient))
    return answers


def _address(channel: str, to: str | None) -> str | None:
    """The other address as the channel keeps it; None where it is none of that channel."""
    if to is None:
        return None
    return (to if usable_address(to) else None) if channel == EMAIL else number_of(to)


def _refusal(row: Mapping[str, Any], order: ResendOrder) -> tuple[str, str] | None:
    if row["mail_id"] not in (None, row["id"]):
        return (
            f"thư {row['mail_id']} báo việc này; hãy gửi lại thư đó",
            f"mail {row['mail_id']} tells of it: resend that",
        )
    if order.to is not None and _address(row["channel"], order.to) is None:
        return (
            f"--to không phải địa chỉ của kênh {row['channel']}",
            f"--to is no address of the channel {row['channel']}",
        )
    if row["recipient"] == "" and order.to is None:
        return (
            "địa chỉ đã xóa vì người nhận đã thôi nhiệm vụ; dùng --to ĐỊA_CHỈ",
            "the address is blanked, since its owner has left; give --to ADDRESS",
        )
    match row["state"]:
        case "failed" if row["told_instead"] and not order.gone_on:
            return (
                "đã báo người khác, hoặc qua kênh khác, thay thư này; vẫn gửi thì thêm --gone-on",
                "somebody else was told instead, or by another channel; to send it all the same, add --gone-on",
            )
        case "failed":
            pass
        case "unknown" if row["due_at"] is None:
            pass
        case "unknown":
            return "hệ thống sẽ tự gửi lại", "it will be sent again automatically"
        case "sent" if order.bounced:
            pass
        case "sent":
            return (
                "máy chủ thư đã nhận; nếu thư bị trả về, thêm --bounced",
                "the mail server accepted it; if it bounced, add --bounced",
            )
        case state:
            return f"đang ở trạng thái {state}", f"its state is {state}"
    if not row["still_so"]:
        return "nội dung không còn đúng (đã nộp, hoặc đã có thông báo mới hơn)", "what it says is no longer true"
    return None
