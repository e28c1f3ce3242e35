"""A witness records each applied event in the transaction that applies it, independent of the inbox.

So it shows an event applied twice even if the service's own protection (inbox, versions, unique keys) is off or hides
it, and it keeps the order of application per key.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
from typing import Any

from sqlalchemy import text

from shared.consuming.applying import Handle
from shared.consuming.batch import Batch
from shared.consuming.subscription import Subscription
from shared.contract.events import EscalationChanged
from shared.postgres.database import Transaction
from shared.runtime import failpoints

TABLE = (
    "CREATE TABLE IF NOT EXISTS fault_witness (place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, consumer text, "
    "event_id uuid, topic text, key text, version int, climb int, type text)"
)
_RECORD = text("""
    INSERT INTO fault_witness (consumer, event_id, topic, key, version, climb, type)
    SELECT :consumer, id, topic, key, version, climb, type
      FROM unnest(CAST(:ids AS uuid[]), CAST(:topics AS text[]), CAST(:keys AS text[]), CAST(:versions AS int[]),
                  CAST(:climbs AS int[]), CAST(:types AS text[]))
           WITH ORDINALITY AS row (id, topic, key, version, climb, type, place)
     ORDER BY place
""")
#: `scoring.follow=0.2`: every batch of that consumer takes 0.2 s longer, before its effects
SLOW = dict(part.partition("=")[::2] for part in os.environ.get("FAULT_SLOW", "").split(",") if part)


def watch(subscription: Subscription) -> None:
    """Wrap the witness around the handler of a subscription that has not started yet."""
    applier = subscription._applier
    applier.inbound = dataclasses.replace(applier.inbound, handle=_recorded(applier.consumer, applier.inbound.handle))


def _recorded(consumer: str, handle: Handle) -> Handle:
    slow_seconds = float(SLOW.get(consumer, 0))

    async def recorded(batch: Batch[Any], tx: Transaction) -> None:
        if slow_seconds:
            await asyncio.sleep(slow_seconds)
        await handle(batch, tx)
        events = batch.events  # neither deferred nor rejected
        if events:
            await tx.execute(
                _RECORD,
                {
                    "consumer": consumer,
                    "ids": [event.id for event in events],
                    "topics": [event.topic for event in events],
                    "keys": [event.key for event in events],
                    "versions": [getattr(event.body, "version", 0) for event in events],
                    "climbs": [
                        event.body.number if isinstance(event.body, EscalationChanged) else 0 for event in events
                    ],
                    "types": [event.type for event in events],
                },
            )
        failpoints.hit(f"witness.{consumer}")

    return recorded
