"""Moves escalations that are due and plans their notices, in batches; one instance sweeps at a time.

One that fails is put off with its error and delays nobody else. Nothing here commits.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from services.notifier import metrics
from services.notifier.channels.webhook import telling
from services.notifier.escalation import store
from services.notifier.escalation.domain import LOOK_AGAIN, Escalation, Facts, Resolution, climb
from services.notifier.escalation.publishing import ERROR
from services.notifier.ladders.store import LadderShelf
from services.notifier.planning import store as planning
from services.notifier.planning.domain import Notice, Obligation
from services.notifier.planning.handlers import escalated
from shared.postgres.database import Transaction
from shared.runtime.clock import Clock
from shared.telemetry.logging import get_logger

log = get_logger()

#: escalations in a transaction
AT_ONCE = 200
#: an escalation due for so long has been left behind (business time)
LEFT_BEHIND = timedelta(minutes=1)


class EscalationSweep:
    """`tick` and `audit` are tickers'."""

    def __init__(
        self,
        business: Clock,
        system: Clock,
        ladders: LadderShelf,
        *,
        message_id_domain: str,
        waits: bool = False,
        channels: frozenset[str] = frozenset(),
    ) -> None:
        self._ladders = ladders
        self._business = business
        self._system = system
        self._domain = message_id_domain
        self._waits = waits
        self._channels = channels

    async def tick(self, tx: Transaction) -> int:
        """Move up to AT_ONCE escalations; return how many were looked at."""
        now = self._business.now()
        keys = await store.due(tx, now, AT_ONCE)
        if not keys:
            return 0
        obligations = await planning.lock(tx, keys)
        due = await store.take(tx, keys, now)
        agencies = {obligations[escalation.obligation].agency for escalation in due}
        directory = await planning.directory(tx, agencies, reviewers=True)
        calendar, until, failed = (
            await planning.calendar(tx), await store.told_until(tx), await store.failed(tx, keys)
        )  # fmt: skip
        moved: list[tuple[Escalation, Escalation]] = []  # before, after
        notices: list[Notice] = []
        over: dict[str, tuple[Resolution, datetime]] = {}
        for escalation in due:
            obligation = obligations[escalation.obligation]
            if (why := _over(obligation)) is not None:  # never left to chance: nobody hears of what is not so
                over[obligation.key] = why, now
                continue
            facts = Facts(obligation, directory, calendar, until, failed.get(obligation.key, ()))
            try:
                after, told = climb(escalation, facts, now)
            except Exception as error:
                log.exception("An escalation cannot be moved.", action="escalation.failed", obligation=obligation.key)
                after, told = replace(escalation, next_at=now + LOOK_AGAIN, reason=f"{ERROR}{error!r}"[:300]), ()
            moved.append((escalation, after))
            notices += told
            for passed in after.climb.passed[len(escalation.climb.passed) :]:
                metrics.ESCALATIONS_MOVED_TOTAL.labels("told" if passed.told else "skipped").inc()
        await store.save(tx, moved, now)
        resolved, ended = await store.resolve(tx, over, obligations, now)
        for resolution in ended:
            metrics.ESCALATIONS_RESOLVED_TOTAL.labels(resolution).inc()
        for kind, state in await planning.insert_notices(
            tx, [*notices, *resolved], now=self._system.now(), domain=self._domain,
            waits_from=now if self._waits else None, channels=self._channels,
        ):  # fmt: skip
            metrics.PLANNED_TOTAL.labels(kind, state).inc()
        heard = await telling.audience(tx, {notice.agency for notice in notices}, telling.today(self._business))
        messages = [message for message in escalated(notices) if message.agency in heard]
        await telling.queue(tx, messages, heard, self._business, self._system)
        return len(keys)

    async def audit(self, tx: Transaction) -> int:
        """Count the open escalations, and those that should have moved and have not.

        The first one loads the ladders that ship, before anything climbs them.
        """
        await self._ladders.book(tx)
        found = await store.counts(tx, self._business.now(), LEFT_BEHIND)
        metrics.observe_escalations(found)
        if found.overdue:
            log.warning(
                "Escalations should have moved and have not.", action="escalation.left_behind", count=found.overdue
            )
        return 0


def _over(obligation: Obligation) -> Resolution | None:
    if not obligation.owed:
        return "not_owed"
    if obligation.accepted_version:
        return "answered"
    return None if obligation.overdue else "not_overdue"
