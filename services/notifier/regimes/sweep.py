"""Plans the letters about new regime versions, some agencies at a time; one that was interrupted goes on behind the
last agency done, and the ledger takes each version, person and agency once. Nothing here commits.
"""

from __future__ import annotations

from services.notifier import metrics
from services.notifier.planning import store as planning
from services.notifier.planning.domain import Obligation
from services.notifier.regimes import domain, store
from shared.contract.hierarchy import Tree
from shared.contract.reporting_window import local_day
from shared.postgres.database import Transaction
from shared.runtime.clock import Clock


class RegimeSweep:
    """`tick` is a ticker's; one instance sweeps at a time. waits: notices wait for their window."""

    def __init__(self, business: Clock, system: Clock, *, message_id_domain: str, waits: bool) -> None:
        self._business = business
        self._system = system
        self._domain = message_id_domain
        self._waits = waits

    async def tick(self, tx: Transaction) -> int:
        """Go on with the oldest telling; return 0 where there is none."""
        telling = await store.take(tx)
        if telling is None:
            return 0
        version, before = await store.versions(tx, telling)
        codes = await store.agencies_after(tx, telling.after)
        if version is None or version.number != telling.number or version.content is None or not codes:
            await store.save(tx, telling, after=telling.after, done=True)
            return 1
        now = self._business.now()
        directory = await planning.directory(tx, codes)
        tree = Tree({code: agency.above for code, agency in directory.agencies.items()})
        on = max(version.effective_from, local_day(now))
        told = domain.told(version, codes, directory, tree, on)
        notices = [domain.notice(one, version, before, directory, tree, telling.at) for one in told]
        seeds = {
            one.obligation: Obligation(one.obligation, one.agency, one.regime, version.number, one.period)
            for one in notices
        }
        await planning.lock_obligations(tx, seeds)
        for state in await planning.insert_notices(
            tx,
            notices,
            now=self._system.now(),
            domain=self._domain,
            waits_from=now if self._waits else None,
        ):
            metrics.PLANNED_TOTAL.labels(*state).inc()
        await store.save(tx, telling, after=codes[-1], done=len(codes) < store.AGENCIES_AT_ONCE)
        return len(codes)
