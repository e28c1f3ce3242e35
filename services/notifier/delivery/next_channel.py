"""Tells a person by the next channel of the rung where the one before has failed for good. Nothing here commits.

The new notice is of the same step and person, so the unique key of the ledger holds that it is planned once. A gateway
that is away, or that the file does not describe any more, fails nothing: what has waited for it too long goes on as
well, else whoever is above hears of a matter before the person does.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from services.notifier import metrics
from services.notifier.delivery import ledger
from services.notifier.delivery.states import message_id
from services.notifier.escalation.store import look_at_refused
from services.notifier.ladders.domain import EMAIL
from services.notifier.planning.store import STILL_SO
from shared.contract.ids import new_id
from shared.postgres import bulk
from shared.postgres.database import Transaction
from shared.runtime.clock import Clock
from shared.telemetry.logging import get_logger

log = get_logger()

#: for which a text waits for its gateway where the rung names another channel; system time
PATIENCE = timedelta(hours=1)
#: texts in a transaction
AT_ONCE = 100

_FAILED = text(f"""
    SELECT n.id, n.obligation, n.step, n.officer_id, n.next_channels, n.message_id, p.phone,
           coalesce(f.email, p.email, '') AS email
      FROM notifications n
      JOIN obligations o ON o.obligation = n.obligation
      LEFT JOIN people p ON p.person_id = n.officer_id
      LEFT JOIN officers f ON f.officer_id = n.officer_id AND f.active
     WHERE n.id = ANY(CAST(:ids AS uuid[])) AND n.state = 'failed' AND n.next_channels <> '{{}}' AND {STILL_SO}
     ORDER BY n.id
""")  # noqa: S608 - constants
_PLANNED = {
    "before": "uuid", "id": "uuid", "channel": "text", "recipient": "text", "message_id": "text", "behind": "int",
}  # fmt: skip
# It waits for its window where the one before has waited; else it is due since that one ended.
_PLAN = text(f"""
    INSERT INTO notifications (id, obligation, agency, regime, period, kind, step, officer_id, channel, recipient,
                               message_id, submission_version, facts, state, created_at, due_at, wait_until, urgent,
                               traceparent, next_channels)
    SELECT row.id, n.obligation, n.agency, n.regime, n.period, n.kind, n.step, n.officer_id, row.channel, row.recipient,
           row.message_id, n.submission_version, n.facts - 'matters',
           CASE WHEN n.released_at IS NULL THEN 'pending' ELSE 'waiting' END, :at,
           CASE WHEN n.released_at IS NULL
                THEN (SELECT coalesce(max(coalesce(a.ended_at, a.claimed_at)), :at) FROM attempts a
                       WHERE a.notification_id = n.id) END,
           CASE WHEN n.released_at IS NOT NULL THEN CAST(:at AS timestamptz) END, n.urgent, n.traceparent,
           n.next_channels[row.behind + 1:]
      FROM {bulk.unnest(_PLANNED)} JOIN notifications n ON n.id = row.before
     ORDER BY row.id
    ON CONFLICT ON CONSTRAINT notifications_once DO NOTHING
    RETURNING id
""")  # noqa: S608 - column names of this module

# One that was ordered to be sent again has told by another channel, or is not to. Where no gateway is described, nobody
# ever takes it: that is told as a failure, so that the ladder goes on and operators see it.
_WAITING = text("""
    SELECT id, obligation FROM notifications
     WHERE channel = ANY(CAST(:channels AS text[])) AND due_at IS NOT NULL AND state IN ('pending', 'retry')
       AND unknowns = 0 AND coalesce(first_tried_at, due_at) < :before
       AND (resends = 0 AND next_channels <> '{}' OR channel <> ALL(CAST(:described AS text[])))
     ORDER BY id LIMIT :limit
""")


class NextChannelSweep:
    """`tick` is a ticker's; one instance sweeps at a time. described: channels of which the file has a gateway."""

    def __init__(self, business: Clock, system: Clock, *, described: Collection[str]) -> None:
        self._described = sorted(described)
        self._business = business
        self._system = system

    async def tick(self, tx: Transaction) -> int:
        """Have texts that have waited too long told by the next channel, or by the next rung; return how many."""
        asked = {
            "channels": list(metrics.TEXT_CHANNELS), "described": self._described,
            "before": self._system.now() - PATIENCE, "limit": AT_ONCE,
        }  # fmt: skip
        waiting = {row.id: row.obligation for row in await tx.execute(_WAITING, asked)}
        if not waiting:
            return 0
        at = self._business.now()
        failed = await ledger.give_up(tx, waiting, "no_gateway: waited too long", at)
        await tell_by_next_channel(tx, failed, at)
        await look_at_refused(tx, failed, at)
        for event in await ledger.publish_outcomes(tx, failed, at):
            metrics.count_outcome(event)
        log.warning("Texts waited too long; the next channel tells.", action="text.next_channel", count=len(failed))
        return len(failed)


async def tell_by_next_channel(tx: Transaction, failed: Collection[UUID], at: datetime) -> int:
    """Plan what these notices told once more, by the next channel on which the person can be reached.

    at: business time. Returns how many. What is no longer so is not told.
    """
    if not failed:
        return 0
    rows = []
    for row in (await tx.execute(_FAILED, {"ids": sorted(failed)})).mappings():
        addresses = {EMAIL: row["email"], **dict.fromkeys(metrics.TEXT_CHANNELS, row["phone"])}
        for place, channel in enumerate(row["next_channels"], 1):
            if recipient := addresses.get(channel):
                domain = row["message_id"].rpartition("@")[2].rstrip(">")
                identity = message_id(row["obligation"], row["step"], row["officer_id"], channel, domain)
                rows.append((row["id"], new_id(), channel, recipient, identity, place))
                break
    if not rows:
        return 0
    return len((await tx.execute(_PLAN, {**bulk.parameters(_PLANNED, rows), "at": at})).all())
