"""Concurrent submissions share commits, and every one gets a true answer: stored, not stored, or "ask again".

A commit whose answer is lost may have succeeded. So after trouble the same group, with the same ids and idempotency
keys, is tried again on a new connection: the lock on the obligations waits for whatever is still in flight, and what
was stored is found by its key. Only when the patience ends without an answer is the outcome Unknown (503).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from services.intake import metrics
from services.intake.submissions.domain import Decided, Defect, Pending, SubmissionOutcome, Unknown
from shared.postgres.database import Database, Transaction, is_infrastructure
from shared.runtime import failpoints
from shared.runtime.clock import monotonic_seconds
from shared.runtime.retry import Backoff
from shared.telemetry.logging import get_logger
from shared.telemetry.pulse import Pulse

Accept = Callable[[Transaction, Sequence[Pending]], Awaitable[list[Decided]]]

log = get_logger()

#: how long a group gathers while another one is in commit, in lingers, and at most: a group costs five statements and a
#: commit, however few it holds
LINGERS_BESIDE_ANOTHER, LONGEST_LINGER_SECONDS = 5, 0.02


class QueueFull(Exception):
    """As many submissions wait as may wait."""


@dataclass(slots=True, eq=False)
class Entry:
    """One waiting request. Its answer is given once; whoever comes later finds it answered."""

    pending: Pending
    answer: asyncio.Future[SubmissionOutcome]
    waiting_since: float = field(default_factory=monotonic_seconds)

    def resolve(self, outcome: SubmissionOutcome) -> None:
        if not self.answer.done():
            self.answer.set_result(outcome)


class GroupCommit:
    """Takes submissions off a bounded queue in groups, each group one transaction on one of `lanes` connections.

    `database` is its own, with a connection for each lane; it is closed with it.
    """

    def __init__(
        self,
        database: Database,
        accept: Accept,
        *,
        group_size: int = 100,
        linger_seconds: float = 0.002,
        lanes: int = 2,
        queue_limit: int = 2000,
        patience_seconds: float = 5,
        grace_seconds: float = 10,
    ) -> None:
        self._database = database
        self._accept = accept
        self._group_size = group_size
        self._linger_seconds = linger_seconds
        self._last_size = 1  # of the group before: the more come, the longer the next one gathers
        self._lanes = lanes
        self._queue_limit = queue_limit
        self._patience_seconds = patience_seconds
        self._grace_seconds = grace_seconds
        self._queue: deque[Entry] = deque()
        self._arrived = asyncio.Event()
        self._gathering = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._busy = 0
        self._idle = asyncio.Event()
        self._open = False
        #: lanes rest while nothing comes, and answer whatever happens: only their death stops them
        self._pulse = Pulse("group commit", patience_seconds=None)
        self.pulses = (self._pulse,)

    @property
    def waiting(self) -> int:
        """Submissions in the queue."""
        return len(self._queue)

    async def start(self) -> None:
        self._open = True
        self._tasks = [asyncio.create_task(self._lane(), name=f"group-commit-{lane}") for lane in range(self._lanes)]
        self._tasks.append(asyncio.create_task(self._sweep(), name="group-commit-sweep"))
        self._pulse.watch(*self._tasks)

    async def stop(self) -> None:
        """Take nothing more, answer what waits, then end."""
        self._open = False
        deadline = monotonic_seconds() + self._grace_seconds
        while (self._queue or self._busy) and monotonic_seconds() < deadline:
            self._idle.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), 0.1)
        self._pulse.rest()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        while self._queue:
            self._queue.popleft().resolve(Unknown())
        await self._database.close()

    def offer(self, pending: Pending) -> asyncio.Future[SubmissionOutcome]:
        """Queue a submission; the future always gets an outcome, never an exception. Raises QueueFull."""
        if not self._open or len(self._queue) >= self._queue_limit:
            raise QueueFull
        entry = Entry(pending, asyncio.get_running_loop().create_future())
        self._queue.append(entry)
        self._arrived.set()
        return entry.answer

    async def _lane(self) -> None:
        while True:
            group = await self._gather()
            if not group:
                continue
            self._busy += 1
            begun = monotonic_seconds()
            # Whatever hangs below (a paused server keeps even a cancelled statement waiting), the requests do not.
            timer = asyncio.get_running_loop().call_later(self._patience_seconds + 0.5, _give_up, group)
            try:
                await self._commit(group, begun + self._patience_seconds)
            except Exception as error:
                log.exception("A group met a defect.", action="group.defect")
                for entry in group:
                    entry.resolve(Defect(type(error).__name__))
            finally:
                timer.cancel()
                _give_up(group)  # answers only what a cancelled lane left open
                self._busy -= 1
                self._idle.set()
                metrics.GROUP_SUBMISSIONS.observe(len(group))
                metrics.GROUP_DURATION_SECONDS.observe(monotonic_seconds() - begun)

    async def _gather(self) -> list[Entry]:
        """The next group: the first to come, and who comes within the linger after it. One lane gathers at a time."""
        async with self._gathering:
            while not self._queue:
                if not self._busy:
                    self._last_size = 1  # all is answered: who comes next may come alone
                self._arrived.clear()
                await self._arrived.wait()
            if len(self._queue) < self._group_size:
                linger = gathering_seconds(self._linger_seconds, self._last_size, beside=self._busy > 0)
                waited = monotonic_seconds() - self._queue[0].waiting_since
                if waited < linger:
                    await asyncio.sleep(linger - waited)
            group: list[Entry] = []
            while self._queue and len(group) < self._group_size:
                entry = self._queue.popleft()
                if not entry.answer.done():
                    group.append(entry)
            self._last_size = max(1, len(group))
            return group

    async def _sweep(self) -> None:
        """Answer those who have waited in the queue beyond patience: while all lanes wait for a dead database."""
        while True:
            metrics.QUEUE_SUBMISSIONS.set(len(self._queue))
            oldest = monotonic_seconds() - self._patience_seconds
            while self._queue and self._queue[0].waiting_since < oldest:
                self._queue.popleft().resolve(Unknown())
            await asyncio.sleep(min(0.25, self._patience_seconds / 4))

    async def _commit(self, group: Sequence[Entry], deadline: float) -> None:
        """One transaction for the group, tried until it is answered or the deadline (monotonic seconds) is past."""
        pending = [entry.pending for entry in group]
        backoff = Backoff(0.02, 0.5)
        while True:
            try:
                async with asyncio.timeout(max(0.0, min(deadline - monotonic_seconds(), self._patience_seconds / 2))):
                    async with self._database.transaction() as tx:
                        outcomes = await self._accept(tx, pending)
                        failpoints.hit("intake.before_commit")
                failpoints.hit("intake.after_commit")
            except Exception as error:
                if not is_infrastructure(error):
                    await self._split(group, error, deadline)
                    return
                metrics.GROUP_RETRIES_TOTAL.inc()
                log.warning(
                    "A group of submissions is tried again after database trouble.",
                    action="group.retried",
                    submissions=len(group),
                    error=f"{type(error).__name__}: {error}",
                )
                pause_seconds = backoff.next_seconds()
                if monotonic_seconds() + pause_seconds >= deadline:
                    for entry in group:
                        entry.resolve(Unknown())
                    return
                await asyncio.sleep(pause_seconds)
                continue
            for entry, outcome in zip(group, outcomes, strict=True):
                entry.resolve(outcome)
            return

    async def _split(self, group: Sequence[Entry], error: Exception, deadline: float) -> None:
        """The database refuses something of the group: each half is stored on its own, down to the culprit."""
        if len(group) == 1:
            log.error(
                "The database refuses a submission that passed admission.",
                action="group.refused",
                obligation=group[0].pending.obligation,
                error=f"{type(error).__name__}: {error}",
            )
            group[0].resolve(Defect(type(error).__name__))
            return
        metrics.GROUP_SPLITS_TOTAL.inc()
        middle = len(group) // 2
        await self._commit(group[:middle], deadline)
        await self._commit(group[middle:], deadline)


def gathering_seconds(linger_seconds: float, last_size: int, *, beside: bool) -> float:
    """How long a group gathers after its first: `linger_seconds`, or longer where reports come at once.

    They do while another group is in commit (`beside`), and the more the group before held. Who comes alone waits no
    longer for that; where many come, larger groups leave the processor to them.
    """
    lingers = max(last_size, LINGERS_BESIDE_ANOTHER if beside else 1)
    return max(linger_seconds, min(linger_seconds * lingers, LONGEST_LINGER_SECONDS))


def _give_up(group: Sequence[Entry]) -> None:
    for entry in group:
        entry.resolve(Unknown())
