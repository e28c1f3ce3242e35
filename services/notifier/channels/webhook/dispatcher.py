"""Sends due messages: one webhook's one after the other, many webhooks at once, at most half of them in trouble.

So a receiver that is silent delays its own messages alone. Outcomes of one webhook's messages are committed together; a
process that dies before leaves them to their leases, and they are sent again under the same id.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import UUID

from services.notifier import metrics
from services.notifier.channels.webhook import signing, store
from services.notifier.channels.webhook.post import Poster
from services.notifier.channels.webhook.states import Away, Gone, Result, Unsigned, Untried
from services.notifier.channels.webhook.store import Claimed, Ending, Work
from services.notifier.channels.webhook.telling import today
from shared.contract.webhook_secrets import MasterKeys
from shared.postgres.database import Database, is_infrastructure
from shared.runtime import failpoints
from shared.runtime.clock import Clock, monotonic_seconds
from shared.runtime.retry import Backoff
from shared.runtime.watched_file import WatchedFile
from shared.telemetry.background_loop import BackgroundLoop
from shared.telemetry.logging import get_logger
from shared.telemetry.pulse import Pulse

log = get_logger()


@dataclass(frozen=True, slots=True)
class WebhookPace:
    """How much at once and how often; seconds of system time."""

    webhooks: int = 16  # at the same time, of one process
    each: int = 20  # messages of one webhook, leased together
    lease_seconds: float = 240.0
    idle_poll_seconds: float = 1.0
    sweep_seconds: float = 10.0


class WebhookDispatcher(BackgroundLoop):
    """One process's dispatcher of webhooks."""

    name = "webhook-dispatcher"

    def __init__(
        self,
        database: Database,
        poster: Poster,
        master_keys: WatchedFile[MasterKeys],
        *,
        system: Clock,
        business: Clock,
        pace: WebhookPace | None = None,
        grace_seconds: float = 15.0,
    ) -> None:
        super().__init__(self.name, Pulse.every("webhook dispatcher", 30.0), stop_seconds=grace_seconds)
        self._database = database
        self._poster = poster
        self._master_keys = master_keys
        self._system = system
        self._business = business
        self._pace = pace or WebhookPace()
        self._at_work: dict[UUID, tuple[asyncio.Task[None], bool]] = {}  # webhook -> its task, and whether in trouble
        self._wake = asyncio.Event()
        self._swept_at = float("-inf")
        self.pulses = (self._pulse,)

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                await self.step()
                self._pulse.beat()
            except Exception as error:
                self._pulse.failed(error)
                if not is_infrastructure(error):
                    metrics.WEBHOOK_FAULTS_TOTAL.inc()
                log.warning(
                    "A round of the webhook dispatcher failed.", action="webhook.round_failed", error=repr(error)
                )
                await self._pause(5.0)
                continue
            await self._woken()
        if self._at_work:
            await asyncio.wait([task for task, _ in self._at_work.values()])

    async def step(self) -> int:
        """Take back expired leases, claim what is due for idle webhooks. Returns for how many."""
        self._wake.clear()
        await self._sweep()
        room = self._pace.webhooks - len(self._at_work)
        if room <= 0:
            return 0
        troubled = sum(suspect for _, suspect in self._at_work.values())
        async with self._database.transaction() as tx:
            found = await store.claim(
                tx,
                self._system.now(),
                today(self._business),
                lease_seconds=self._pace.lease_seconds,
                webhooks=room,
                each=self._pace.each,
                busy=list(self._at_work),
                suspects=troubled < max(1, self._pace.webhooks // 2),
            )
        if found:
            failpoints.hit("webhook.claimed")
        for work in found:
            task = asyncio.create_task(self._deliver(work), name="notifier-webhook")
            self._at_work[work.webhook_id] = task, work.failures > 0
        return len(found)

    async def drain(self) -> None:
        """Send all that is due now and wait for it."""
        while await self.step() or self._at_work:
            await asyncio.gather(*(task for task, _ in self._at_work.values()))

    async def _deliver(self, work: Work) -> None:
        try:
            endings = await self._attempts(work)
            await self._write(work, endings)
        except Exception:
            metrics.WEBHOOK_FAULTS_TOTAL.inc()
            log.exception("Sending to a webhook failed.", action="webhook.fault", webhook=str(work.webhook_id))
        finally:
            self._at_work.pop(work.webhook_id, None)
            self._wake.set()

    async def _attempts(self, work: Work) -> list[Ending]:
        """One attempt for each message, until the receiver is in trouble or the lease would run out."""
        endings: list[Ending] = []
        begun, untried = monotonic_seconds(), ""
        for message in work.messages:
            started = self._system.now()
            if not untried and (self._stopping.is_set() or monotonic_seconds() - begun > self._pace.lease_seconds / 2):
                untried = "not begun in time"
            result = Untried(untried) if untried else await self._attempt(work, message)
            failpoints.hit("webhook.answered")
            ended = max(self._system.now(), started)
            endings.append(Ending(message, result, started, ended))
            metrics.WEBHOOK_ATTEMPTS_TOTAL.labels(result.label).inc()
            if isinstance(result, Away | Gone | Untried):
                untried = untried or f"after {result.label}"
            if not isinstance(result, Untried | Unsigned):
                metrics.WEBHOOK_SECONDS.observe((ended - started).total_seconds())
        return endings

    async def _attempt(self, work: Work, message: Claimed) -> Result:
        now = self._system.now()
        keys = self._master_keys.value()
        live = [secret for secret in work.secrets if secret.until is None or now < secret.until]
        if keys is None or not live or any(secret.master_key not in keys.keys for secret in live[:1]):
            return Unsigned()
        secrets = [
            keys.secret(secret.master_key, work.webhook_id, secret.generation)
            for secret in live
            if secret.master_key in keys.keys
        ]
        body = message.body.encode()
        return await self._poster.post(work.url, body, signing.headers(message.delivery_id, now, body, secrets))

    async def _write(self, work: Work, endings: list[Ending]) -> None:
        """Commit the outcomes; while the database is away they are repeated, until the leases have run out."""
        backoff = Backoff(0.1, 5.0)
        until = monotonic_seconds() + self._pace.lease_seconds / 2
        while True:
            try:
                async with self._database.transaction() as tx:
                    now = self._system.now()
                    stopped = await store.end(tx, work, endings, now)
                    await store.tell_health(tx, now, work.webhook_id)
                    failpoints.hit("webhook.before_commit_of_outcome")
                failpoints.hit("webhook.outcome_committed")
            except Exception as error:
                if not is_infrastructure(error) or monotonic_seconds() > until:
                    raise
                await asyncio.sleep(backoff.next_seconds())
                continue
            if stopped:
                log.warning(
                    "A webhook's receiver wants nothing more.",
                    action="webhook.stopped", webhook=str(work.webhook_id), agency=work.agency,
                )  # fmt: skip
            return

    async def _sweep(self) -> None:
        if monotonic_seconds() - self._swept_at < self._pace.sweep_seconds:
            return
        now = self._system.now()
        async with self._database.transaction() as tx:
            expired = await store.expire(tx, now)
            await store.cancel_left(tx, now)
            set_back = await store.bring_forward(tx, now, self._pace.lease_seconds)
            await store.tell_health(tx, now)
            counts = await store.backlog(tx, now)
        self._swept_at = monotonic_seconds()
        metrics.observe_webhooks(counts, now)
        if set_back:
            log.warning(
                "The system clock was set back; webhooks' messages that it postponed are due now.",
                action="webhook.clock_set_back", count=set_back,
            )  # fmt: skip
        if expired:
            log.warning("Took back expired leases of webhooks.", action="webhook.leases_expired", count=expired)

    async def _woken(self) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), self._pace.idle_poll_seconds)
        except TimeoutError:
            return
