"""The senders' way to the ledger: what several connections have to say at one moment shares one commit.

A call returns only after its commit, so "in_data is committed before DATA" holds however many calls are grouped. The
database's absence is waited out: an outcome that is known is not dropped while the process lives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.notifier.delivery import ledger
from services.notifier.delivery.ledger import Claimed, Ending
from services.notifier.delivery.states import Policy, Result
from shared.contract.events import NotificationRecorded
from shared.postgres.database import Database, Transaction, is_infrastructure
from shared.runtime import failpoints
from shared.runtime.clock import Clock
from shared.runtime.retry import Backoff
from shared.telemetry.logging import get_logger

log = get_logger()

FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.1, 5.0


@dataclass(slots=True)
class _Call:
    claimed: Claimed
    result: Result | None  # None: mark in_data
    done: asyncio.Future[bool]


class Journal:
    """Group commit for marks and endings of one process."""

    def __init__(
        self,
        database: Database,
        *,
        system: Clock,
        business: Clock,
        policy: Policy,
        lease_seconds: float,
        on_recorded: Callable[[NotificationRecorded], None] = lambda event: None,
    ) -> None:
        self._database = database
        self._system = system
        self._business = business
        self._policy = policy
        self._lease_seconds = lease_seconds
        self._on_recorded = on_recorded
        self._calls: list[_Call] = []
        self._writer: asyncio.Task[None] | None = None

    async def mark_in_data(self, claimed: Claimed) -> bool:
        """Commit that DATA begins now. False: the lease is gone, do not send."""
        return await self._enqueue(claimed, None)

    def end(self, claimed: Claimed, result: Result) -> asyncio.Future[bool]:
        """Have an ending committed; the future resolves after the commit, in the order of the calls."""
        return self._enqueue(claimed, result)

    async def settle(self) -> None:
        """Wait until all that was handed in is committed."""
        while self._writer is not None:
            await asyncio.wait({self._writer})

    def abandon(self) -> None:
        """Drop what is not committed, as a dying process would."""
        if self._writer is not None:
            self._writer.cancel()
        self._calls.clear()

    def _enqueue(self, claimed: Claimed, result: Result | None) -> asyncio.Future[bool]:
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._calls.append(_Call(claimed, result, done))
        if self._writer is None:
            # it writes for several mails: its context is not that of the one which happens to begin it
            self._writer = asyncio.create_task(self._write(), name="notifier-journal", context=Context())
        return done

    async def _write(self) -> None:
        calls: list[_Call] = []
        try:
            while self._calls:
                # let the other connections that are ready in this turn of the loop join the commit
                await asyncio.sleep(0)
                calls, self._calls = self._calls, []
                await self._settle(calls)
        except Exception as error:
            for call in (*calls, *self._calls):
                if not call.done.done():
                    call.done.set_exception(error)
            self._calls = []
        except asyncio.CancelledError:
            for call in (*calls, *self._calls):
                call.done.cancel()
            self._calls = []
            raise
        finally:
            # no await between the last look at _calls and here: a call made later starts a new writer
            self._writer = None

    async def _settle(self, calls: list[_Call]) -> None:
        """Commit them together; where that fails for its data, each alone: one mail's fault is not its neighbours'."""
        try:
            held = await self._commit(calls)
        except Exception as error:
            if len(calls) == 1:
                log.error(
                    "Cannot write the outcome of one attempt.",
                    action="notifier.ledger_refused",
                    notification=str(calls[0].claimed.id),
                    error=repr(error)[:2000],
                )
                if not calls[0].done.done():
                    calls[0].done.set_exception(error)
                return
            for call in calls:
                await self._settle([call])
            return
        for call in calls:
            if not call.done.done():
                call.done.set_result(call.result is not None or call.claimed.token in held)

    async def _commit(self, calls: list[_Call]) -> set[UUID]:
        """One transaction for all; repeated unchanged while the database is away (each statement may be repeated)."""
        backoff = Backoff(FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS)
        while True:
            try:
                return await self._once(calls)
            except Exception as error:
                if not is_infrastructure(error):
                    raise
                wait_seconds = backoff.next_seconds()
                log.warning(
                    "The ledger cannot be written now; waiting.",
                    action="notifier.ledger_waiting",
                    error=str(error),
                    wait_seconds=wait_seconds,
                )
                await asyncio.sleep(wait_seconds)

    async def _once(self, calls: list[_Call]) -> set[UUID]:
        now: datetime = self._system.now()
        endings = [Ending(call.claimed, call.result) for call in calls if call.result is not None]
        marks = [call.claimed for call in calls if call.result is None]
        held: set[UUID] = set()
        recorded: list[NotificationRecorded] = []
        async with self._database.transaction() as tx:
            await ledger.lock(tx, [call.claimed for call in calls], {each.claimed.obligation for each in endings})
            if endings:
                recorded = await ledger.end(tx, endings, now=now, at=self._business.now(), policy=self._policy)
            if marks:
                held = set(await self._mark(tx, marks, now))
                if lost := [each for each in marks if each.token not in held]:
                    await ledger.close_stopped(tx, lost, now)
            failpoints.hit("mail.before_commit_of_outcome" if endings else "mail.before_commit_of_mark")
        failpoints.hit("mail.outcome_committed" if endings else "mail.mark_committed")
        for event in recorded:
            self._on_recorded(event)
        return held

    async def _mark(self, tx: Transaction, marks: list[Claimed], now: datetime) -> set[UUID]:
        return set(await ledger.mark_in_data(tx, marks, now, lease_seconds=self._lease_seconds))
