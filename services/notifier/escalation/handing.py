"""Hands a matter on to another person, who is told in a notice of their own. Nothing here commits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.notifier import metrics
from services.notifier.escalation import answering
from services.notifier.planning import store as planning
from shared.postgres.database import Transaction
from shared.runtime.clock import Clock
from shared.telemetry.logging import get_logger

log = get_logger()


@dataclass(frozen=True, slots=True)
class Handings:
    """What planning the notice needs. waits: it waits for its window."""

    system: Clock
    message_id_domain: str
    waits: bool = False

    async def plan(self, tx: Transaction, notice: UUID, to: str, reason: str, now: datetime, *, via: str = "") -> None:
        """Hand it on and plan the notice to that person. `now`: business time. Raises Refused."""
        _, letter = await answering.hand_over(tx, notice, to, reason, now, via=via)
        for kind, state in await planning.insert_notices(
            tx, [letter], now=self.system.now(), domain=self.message_id_domain, waits_from=now if self.waits else None
        ):
            metrics.PLANNED_TOTAL.labels(kind, state).inc()
        log.info(
            "A late report is handed on.",
            action="escalation.handed_on", obligation=letter.obligation, notification=str(notice), to=to, via=via,
        )  # fmt: skip
