"""The registry cache: registry and keys in memory, never older than a stated age.

Before something unknown is refused, the cache reads the database, so that a record just published by another process
is found. A revoked key stops working within the poll interval.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from services.intake import metrics
from services.intake.access import keys
from services.intake.access.keys import ApiKey
from services.intake.registry import store
from services.intake.registry.records import Registry
from shared.access import Principal, Scope
from shared.postgres.database import Database
from shared.runtime.clock import LOCAL_ZONE, Clock, monotonic_seconds
from shared.telemetry.background_loop import BackgroundLoop
from shared.telemetry.logging import get_logger
from shared.telemetry.pulse import Pulse
from shared.web.authentication import PresentedKey
from shared.web.key_uses import KeyUses
from shared.web.tokens import SignersKey

log = get_logger()


class RegistryCache(BackgroundLoop):
    """Registry and keys of one process, polled by revision."""

    audience = "intake"

    def __init__(
        self, database: Database, system_clock: Clock, *, poll_seconds: float = 0.5, max_age_seconds: float = 5
    ) -> None:
        pulse = Pulse.every("registry poll", max(poll_seconds, max_age_seconds / 2))
        super().__init__("registry-poll", pulse, stop_seconds=0)
        self.registry = Registry()
        self.revision = -1
        self._keys: dict[str, ApiKey] = {}
        self.uses = KeyUses(keys.used)
        self._database = database
        self._clock = system_clock
        self._poll_seconds = poll_seconds
        self._max_age_seconds = max_age_seconds
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self.pulses = (self._pulse,)

    async def stop(self) -> None:
        await super().stop()
        await self.uses.flush_at_stop(self._database)

    async def be_fresh(self) -> None:
        """Read the database unless the cache is young enough. Raises what the database raises."""
        if monotonic_seconds() - self._read_at > self._max_age_seconds:
            await self.refresh()

    async def refresh(self) -> None:
        """Read changes. On return, the cache holds everything committed before the call.

        Concurrent callers share a read, but never one that began before they called.
        """
        called_at = monotonic_seconds()
        # the timeout includes the wait for the lock: otherwise callers would wait for each other's timeouts in turn
        async with asyncio.timeout(self._max_age_seconds), self._reading:
            if self._read_at > called_at:
                return
            await self._read(lambda: None)

    async def _poll(self) -> None:
        """Read what has changed, however much: it fails only where the database goes silent.

        A request cannot wait for the whole of a large registry. Were the poll as short of time, nobody would ever
        have it: each would throw away what it has read, and begin again.
        """
        async with self._reading, asyncio.timeout(self._max_age_seconds) as limit:
            loop = asyncio.get_running_loop()

            def answered() -> None:
                if not limit.expired():
                    limit.reschedule(loop.time() + self._max_age_seconds)

            await self._read(answered)

    async def _read(self, on_answer: Callable[[], None]) -> None:
        begun = monotonic_seconds()
        async with self._database.read_transaction() as tx:
            revision = await store.revision(tx)
            if revision != self.revision:
                # a database restored from a backup may have a lower revision: then read everything again
                after = self.revision if revision > self.revision else -1
                changed = Registry()
                async for page in store.pages_after(tx, after):
                    on_answer()
                    for record in page:
                        changed.put(record)
                changed_keys = await keys.changed_after(tx, after)
                on_answer()
                # no await from here on, so that no one sees half a revision
                registry = changed
                if after >= 0:
                    registry = self.registry
                    registry.take(changed)
                else:
                    self._keys = {}
                for key in changed_keys:
                    self._keys[key.key_id] = key
                self.registry = registry
                self.revision = revision
                metrics.REGISTRY_REFRESHES_TOTAL.inc()
                today = self._clock.now().astimezone(LOCAL_ZONE).date()
                metrics.AGENCIES_WITHOUT_OFFICER.set(len(registry.unstaffed(today)))
                for kind, size in registry.sizes().items():
                    metrics.REGISTRY_ENTRIES.labels(kind).set(size)
        self._read_at = begun

    def at_once(self, presented: PresentedKey) -> Principal | None:
        """Like `principal_of`, from memory only; None means that the database must be asked."""
        if monotonic_seconds() - self._read_at > self._max_age_seconds:
            return None
        return self._opened(presented, self._clock.now())

    def holds(self, presented: PresentedKey) -> bool:
        """Whether the key is in memory, live or not, so that it needs no database to be judged."""
        return presented.key_id in self._keys

    async def principal_of(self, presented: PresentedKey) -> Principal | None:
        """Whose key this is if it is live, else None. Notes the use in memory, to be stored later."""
        await self.be_fresh()
        now = self._clock.now()
        if presented.key_id not in self._keys:
            await self.refresh()
        return self._opened(presented, now)

    def now(self) -> datetime:
        """System time, by which keys and tokens end."""
        return self._clock.now()

    def signers_key(self, key_id: str) -> SignersKey | None:
        """The live key of a signer, by memory alone. Notes the use, to be stored later."""
        key, now = self._keys.get(key_id), self._clock.now()
        if key is None or key.signs is None or not key.is_live(now):
            return None
        self.uses.note(key_id, now)
        return key.signs

    async def person(self, person_id: str, scopes: frozenset[Scope]) -> Principal | None:
        """Whoever a token names, with the offices of the registry; None for somebody it does not know."""
        holder = self.registry.holder_of(Principal("person", person_id, None, scopes))
        return holder if holder.agency is not None else None

    def _opened(self, presented: PresentedKey, now: datetime) -> Principal | None:
        key = self._keys.get(presented.key_id)
        if key is None or not key.opens_to(presented, now):
            return None
        self.uses.note(key.key_id, now)
        return key.owner if key.owner.kind != "person" else self.registry.holder_of(key.owner)

    async def _run(self) -> None:
        while True:
            try:
                await self._poll()
                self._pulse.beat()
            except Exception as error:
                self._pulse.failed(error)
                log.warning("The registry could not be read.", action="registry.poll_failed", error=repr(error))
            await asyncio.sleep(self._poll_seconds)
