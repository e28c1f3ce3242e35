"""Writes the states of attempts to the ledger; calls of several connections at one moment share one commit.

A call returns only after its commit, so "in_data is committed before DATA" holds however many calls are grouped. While
the database is away the writer waits: it drops no outcome as long as the process lives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.notifier.delivery import ledger
from services.notifier.delivery.ledger import ClaimedMail, Ending
from services.notifier.delivery.next_channel import tell_by_next_channel
from services.notifier.delivery.states import RetryPolicy, SendResult
from services.notifier.escalation.store import look_at_refused
from shared.contract.events import RecordedEvent
from shared.postgres.database import Database, Transaction, is_infrastructure
from shared.runtime import failpoints
from shared.runtime.clock import Clock
from shared.runtime.retry import Backoff
from shared.telemetry.logging import get_logger

log = get_logger()

FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.1, 5.0


@dataclass(slots=True)
class _Call:
    claimed: ClaimedMail
    result: SendResult | None  # None: mark in_data
    done: asyncio.Future[bool]


class OutcomeWriter:
    """Group commit for marks and endings of one process."""

    def __init__(
        self,
        database: Database,
        *,
        system: Clock,
        business: Clock,
        policy: RetryPolicy,
        lease_seconds: float,
        on_recorded: Callable[[RecordedEvent], None] = lambda event: None,
    ) -> None:
        self._database = database
        self._system = system
        self._business = business
        self._policy = policy
        self._lease_seconds = lease_seconds
        self._on_recorded = on_recorded
        self._calls: list[_Call] = []
        self._writer: asyncio.Task[None] | None = None

    async def mark_in_data(self, claimed: ClaimedMail) -> bool:
        """Commit that DATA begins now. False: the lease is lost, do not send."""
        return await self._enqueue(claimed, None)

    def end(self, claimed: ClaimedMail, result: SendResult) -> asyncio.Future[bool]:
        """Commit how an attempt ended; the future resolves after the commit, in the order of the calls."""
        return self._enqueue(claimed, result)

    async def settle(self) -> None:
        """Wait until every call is committed."""
        while self._writer is not None:
            await asyncio.wait({self._writer})

    def abandon(self) -> None:
        """Drop what is not committed, as a dying process would."""
        if self._writer is not None:
            self._writer.cancel()
        self._calls.clear()

    def _enqueue(self, claimed: ClaimedMail, result: SendResult | None) -> asyncio.Future[bool]:
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._calls.append(_Call(claimed, result, done))
        if self._writer is None:
            # it writes for several mails, so it must not inherit the trace of the mail that happens to start it
            self._writer = asyncio.create_task(self._write(), name="notifier-outcome-writer", context=Context())
        return done

    async def _write(self) -> None:
        calls: list[_Call] = []
        try:
            while self._calls:
                # let other connections that are ready in this turn of the event loop join the commit
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
        """Commit the calls together; after a data error, each alone, so that one bad answer fails only its own mail."""
        try:
            held = await self._commit(calls)
        except Exception as error:
            if len(calls) == 1:
                log.error(
                    "Cannot write the outcome of an attempt to the ledger.",
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
        """Commit the calls in one transaction; repeat it while the database is away (its statements allow that)."""
        backoff = Backoff(FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS)
        while True:
            try:
                return await self._once(calls)
            except Exception as error:
                if not is_infrastructure(error):
                    raise
                wait_seconds = backoff.next_seconds()
                log.warning(
                    "The database is away; waiting to write outcomes to the ledger.",
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
        recorded: list[RecordedEvent] = []
        async with self._database.transaction() as tx:
            await ledger.lock(tx, [call.claimed for call in calls], self._obligations(endings))
            if endings:
                at = self._business.now()
                recorded = await ledger.end(tx, endings, now=now, at=at, policy=self._policy)
                refused = [event.notification_id for event in recorded if event.outcome == "failed"]
                await tell_by_next_channel(tx, refused, at)
                await look_at_refused(tx, refused, at)  # whoever is above hears of it sooner
            if marks:
                held = set(await self._mark(tx, marks, now))
                if lost := [mail for mail in marks if mail.token not in held]:
                    await ledger.close_withdrawn(tx, lost, now)
            failpoints.hit("mail.before_commit_of_outcome" if endings else "mail.before_commit_of_mark")
        failpoints.hit("mail.outcome_committed" if endings else "mail.mark_committed")
        for event in recorded:
            self._on_recorded(event)
        return held

    @staticmethod
    def _obligations(endings: list[Ending]) -> set[str]:
        return {obligation for ending in endings for obligation in ending.claimed.obligations}

    async def _mark(self, tx: Transaction, marks: list[ClaimedMail], now: datetime) -> set[UUID]:
        return set(await ledger.mark_in_data(tx, marks, now, lease_seconds=self._lease_seconds))
