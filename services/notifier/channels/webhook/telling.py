"""Who hears of what: an agency's own webhooks, and those of the agencies above it that cover what is below.

Who stands above is asked when a message is queued, and again before it is sent (store.claim).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from sqlalchemy import text

from services.notifier import metrics
from services.notifier.channels.webhook import store
from services.notifier.channels.webhook.messages import Message
from services.notifier.planning.store import tree_above
from shared.contract.events.registry import EVENTS_BELOW
from shared.postgres.database import ReadTransaction, Transaction
from shared.runtime.clock import LOCAL_ZONE, Clock

_LISTENING = text("""
    SELECT DISTINCT agency, covers FROM webhooks
     WHERE state <> 'deleted' AND (agency = ANY(CAST(:agencies AS text[])) OR covers = 'below')
""")


@dataclass(frozen=True, slots=True)
class Audience:
    """own: agencies with webhooks of their own; above: agency -> those above it with webhooks that cover it."""

    own: frozenset[str] = frozenset()
    above: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __contains__(self, agency: object) -> bool:
        return agency in self.own or agency in self.above


async def audience(tx: ReadTransaction, agencies: Collection[str], on: date) -> Audience:
    """Who hears of these agencies on that day; two statements where anybody above listens, else one."""
    if not agencies:
        return Audience()
    rows = (await tx.execute(_LISTENING, {"agencies": sorted(agencies)})).all()
    supervisors = {row.agency for row in rows if row.covers == "below"}
    own = frozenset(row.agency for row in rows if row.covers == "own")
    if not supervisors:
        return Audience(own)
    tree = await tree_above(tx, agencies)
    above = {agency: tuple(code for code in tree.above(agency, on) if code in supervisors) for agency in agencies}
    return Audience(own, {agency: codes for agency, codes in above.items() if codes})


async def queue(tx: Transaction, told: Sequence[Message], heard: Audience, business: Clock, system: Clock) -> None:
    """Queue messages for webhooks, but for what is long past: a topic may be read from its start."""
    since = business.now() - store.KEPT
    recent = [one for one in told if one.at >= since]
    addressed = [(one, one.agency, "own") for one in recent if one.agency in heard.own]
    addressed += [
        (one, code, "below") for one in recent if one.event in EVENTS_BELOW for code in heard.above.get(one.agency, ())
    ]
    for event in await store.add(tx, addressed, system.now()):
        metrics.WEBHOOK_QUEUED_TOTAL.labels(event).inc()


def today(business: Clock) -> date:
    return business.now().astimezone(LOCAL_ZONE).date()
