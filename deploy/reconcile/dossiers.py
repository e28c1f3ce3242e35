"""A dossier is all that the stores hold about one obligation, side by side.

It merges the streams of all tables by the obligation's key, so that memory holds one dossier, however many there are.
Rows that belong to no obligation, such as an attempt without its notification, share the empty key.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from deploy.reconcile.stores import Snapshot, Source, Stream
from services.notifier.channels.webhook.messages import Message
from shared.contract.events import EscalationChanged
from shared.contract.events.compliance import CALENDAR_KEY, POLICY_KEY
from shared.contract.events.submissions import INTAKE_KEY

Rows = list[asyncpg.Record]


def _table(service: str, table: str, order: str = "") -> Source:
    columns = f"t.obligation{{c}}{order}"
    sql = f"SELECT t.obligation, t.* FROM {table} AS t WHERE {{only}} ORDER BY {columns}"
    return Source(table, service, sql, "t.obligation")


def _joined(service: str, table: str, owner: str, how: str, order: str) -> Source:
    key = "coalesce(o.obligation, '')"
    sql = (
        f"SELECT {key}, t.* FROM {table} AS t LEFT JOIN {owner} AS o ON {how} WHERE {{only}}"
        f" ORDER BY {key}{{c}}, {order}"
    )
    return Source(table, service, sql, key)


def _events(service: str, topic: str, also_only: str = "") -> Source:
    """Events about obligations; those of the key `intake` are about intake itself (availability.py).

    also_only: SQL that keeps some types alone.
    Those of a key that begins with `calendar/` say the working days, which reconcile reads from scoring's tables;
    those of `webhook/`, that a webhook's receiver wants nothing more (webhooks.py).
    """
    columns = "id, event_id, topic, key, type, headers, body"
    about = f"topic = '{topic}' AND key <> '{INTAKE_KEY}' AND NOT starts_with(key, '{CALENDAR_KEY}')"
    about += f" AND NOT starts_with(key, '{POLICY_KEY}') AND NOT starts_with(key, 'webhook/'){also_only}"
    rows = " UNION ALL ".join(
        f"SELECT {columns}, '{place}' AS place FROM {place} AS t WHERE {about}{also} AND {{only}}"
        for place, also in (("outbox_archive", ""), ("outbox", ""), ("outbox_set_aside", " AND NOT archived"))
    )
    return Source("events", service, f"SELECT key, * FROM ({rows}) AS event ORDER BY key{{c}}, id", "t.key")


_CLIMB = f"type = '{EscalationChanged.TYPE}'"
SOURCES: dict[str, Source] = {
    "submissions": _table("intake", "submissions", ", t.version, t.submission_id"),
    "counters": _table("intake", "obligations"),
    "steps": _table("intake", "steps", ", t.number"),
    "open_reviews": _table("intake", "open_reviews", ", t.kind, t.about"),
    "intake_verdicts": _joined(
        "intake", "verdicts", "submissions", "o.submission_id = t.submission_id", "o.version, t.submission_id"
    ),
    "standings": _table("intake", "standings"),
    "notices": _table("intake", "notices", ", t.notification_id"),
    "received": _events("intake", "submissions"),
    "verdicts": _table("validator", "verdict", ", t.version, t.verdict_id"),
    "earlier_verdicts": _table("validator", "earlier_verdict", ", t.submission_id, t.revision"),
    "not_judged": _table("validator", "not_judged", ", t.version, t.submission_id"),
    "withdrawals": _table("validator", "withdrawal", ", t.submission_id"),
    "findings": _joined("validator", "finding", "verdict", "o.verdict_id = t.verdict_id", "t.verdict_id, t.position"),
    "reached": _events("validator", "verdicts"),
    "obligations": _table("scoring", "obligations"),
    "ledger": _table("scoring", "score_lines", ", t.seq"),
    "changed": _events("scoring", "compliance"),
    "told": _table("notifier", "obligations"),
    "notifications": _table("notifier", "notifications", ", t.id"),
    # the notices whose mails tell of this obligation's
    "mails": Source(
        "notifications",
        "notifier",
        "SELECT o.obligation, t.* FROM notifications AS t JOIN notifications AS o ON o.mail_id = t.id AND o.id <> t.id"
        " WHERE {only} ORDER BY o.obligation{c}, t.id",
        "o.obligation",
    ),
    # the notices that this obligation's mails tell of
    "matters": Source(
        "notifications",
        "notifier",
        "SELECT c.obligation AS mail_of, t.*, o.deadline, o.regime_version, r.name AS regime_name,"
        " r.name_en AS regime_name_en, q.title AS request, q.title_en AS request_en FROM notifications AS c"
        " JOIN notifications AS t ON t.mail_id = c.id JOIN obligations AS o ON o.obligation = t.obligation"
        " LEFT JOIN regimes AS r ON r.code = o.regime AND r.regime_version = o.regime_version"
        " LEFT JOIN requests AS q ON q.request_id = o.period"
        " WHERE c.mail_id = c.id AND {only} ORDER BY c.obligation{c}, t.id",
        "c.obligation",
    ),
    "attempts": _joined("notifier", "attempts", "notifications", "o.id = t.notification_id", "t.claimed_at, t.number"),
    "resends": _joined("notifier", "resends", "notifications", "o.id = t.notification_id", "t.at, t.id"),
    "escalations": _table("notifier", "escalations", ", t.number"),
    "namings": _table("notifier", "namings", ", t.officer_id"),
    # the namings that a letter kept under this obligation tells of
    "letters": Source(
        "namings",
        "notifier",
        "SELECT t.told_with, t.*, o.regime_version FROM namings AS t LEFT JOIN obligations AS o USING (obligation)"
        " WHERE t.told_with IS NOT NULL AND {only} ORDER BY t.told_with{c}, t.officer_id, t.at, t.obligation",
        "t.told_with",
    ),
    "recorded": _events("notifier", "notifications", f" AND NOT {_CLIMB}"),
    "climbed": _events("notifier", "notifications", f" AND {_CLIMB}"),
    "board_obligations": _table("board", "obligations"),
    "board_documents": _table("board", "obligation_documents"),
    "board_reports": _table("board", "reports", ", t.version, t.submission_id"),
    "board_steps": _table("board", "steps", ", t.at, t.step_id"),
    "board_verdicts": _table("board", "verdicts", ", t.version, t.submission_id"),
    "board_notices": _table("board", "notices", ", t.notification_id"),
    "board_escalations": _table("board", "escalations", ", t.number"),
    "webhook_deliveries": _table("notifier", "webhook_deliveries", ", t.number"),
    "webhook_attempts": _joined(
        "notifier", "webhook_attempts", "webhook_deliveries", "o.delivery_id = t.delivery_id", "t.delivery_id, t.number"
    ),
}


@dataclass(slots=True)
class Dossier:
    """All rows about one obligation, each list in the order of its source."""

    key: str
    submissions: Rows = field(default_factory=list)
    counters: Rows = field(default_factory=list)
    steps: Rows = field(default_factory=list)
    open_reviews: Rows = field(default_factory=list)
    intake_verdicts: Rows = field(default_factory=list)
    standings: Rows = field(default_factory=list)
    notices: Rows = field(default_factory=list)
    received: Rows = field(default_factory=list)
    verdicts: Rows = field(default_factory=list)
    earlier_verdicts: Rows = field(default_factory=list)
    not_judged: Rows = field(default_factory=list)
    withdrawals: Rows = field(default_factory=list)
    findings: Rows = field(default_factory=list)
    reached: Rows = field(default_factory=list)
    obligations: Rows = field(default_factory=list)
    ledger: Rows = field(default_factory=list)
    changed: Rows = field(default_factory=list)
    told: Rows = field(default_factory=list)
    notifications: Rows = field(default_factory=list)
    mails: Rows = field(default_factory=list)
    matters: Rows = field(default_factory=list)
    attempts: Rows = field(default_factory=list)
    resends: Rows = field(default_factory=list)
    escalations: Rows = field(default_factory=list)
    namings: Rows = field(default_factory=list)
    letters: Rows = field(default_factory=list)
    recorded: Rows = field(default_factory=list)
    climbed: Rows = field(default_factory=list)
    board_obligations: Rows = field(default_factory=list)
    board_documents: Rows = field(default_factory=list)
    board_reports: Rows = field(default_factory=list)
    board_steps: Rows = field(default_factory=list)
    board_verdicts: Rows = field(default_factory=list)
    board_notices: Rows = field(default_factory=list)
    board_escalations: Rows = field(default_factory=list)
    webhook_deliveries: Rows = field(default_factory=list)
    webhook_attempts: Rows = field(default_factory=list)
    #: what webhooks hear of the obligation's changes, with the id of the event; found while notices are planned again
    news: list[tuple[UUID, Message]] = field(default_factory=list)

    @property
    def agency(self) -> str:
        return self.key.split("/", 1)[0]


def own_facts(notice: asyncpg.Record) -> dict[str, Any]:
    """What a notice states itself, without the table of the mail that it may carry (notices.py compares that)."""
    return {name: value for name, value in json.loads(notice["facts"]).items() if name != "matters"}


async def dossiers(snapshot: Snapshot, keys: Collection[str] | None = None) -> AsyncIterator[Dossier]:
    """Yield the dossiers of all obligations that any store knows, or of these, in the order of their keys."""
    streams: dict[str, Stream] = {name: await snapshot.stream(source, keys) for name, source in SOURCES.items()}
    while True:
        heads = [stream.key for stream in streams.values()]
        waiting = [head for head in heads if head is not None]
        if not waiting:
            return
        key = min(waiting)
        dossier = Dossier(key)
        for (name, stream), head in zip(streams.items(), heads, strict=True):
            if head == key:
                setattr(dossier, name, await stream.take(key))
        yield dossier
