"""Claims a channel's due messages and sends each over a few connections; safe beside other processes.

Each connection takes the next mail as soon as its own has ended, and claims more when none is left: a mail that waits
for the server's answer holds up no other. While the mail server is away nothing is claimed, so an outage touches no
row. `in_data` is committed before DATA, and the outcome writer has the outcome before anything else happens on the
connection, above all QUIT.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.notifier import metrics
from services.notifier.channels.health import MailHealth
from services.notifier.channels.outcome_writer import OutcomeWriter
from services.notifier.channels.seam import Channel, Connection, Outage
from services.notifier.channels.sending_queue import SendingQueue
from services.notifier.delivery import ledger
from services.notifier.delivery.backlog import anything_due, backlog, bring_forward
from services.notifier.delivery.ledger import ClaimedMail, DayIsFull, Room
from services.notifier.delivery.states import (
    MailDeferred,
    MailReleased,
    MailUncertain,
    MailUnsendable,
    RetryPolicy,
    SendResult,
)
from services.notifier.ladders.domain import EMAIL
from services.notifier.templates import CannotRender
from shared.contract.events import RecordedEvent
from shared.postgres.database import Database, Transaction, is_infrastructure
from shared.postgres.each_alone import each_alone
from shared.runtime import failpoints
from shared.runtime.clock import Clock, monotonic_seconds
from shared.runtime.retry import Backoff
from shared.telemetry import tracing
from shared.telemetry.logging import get_logger
from shared.telemetry.pulse import Pulse
from shared.telemetry.readiness import Check

log = get_logger()

#: how long a stopping dispatcher waits for outcomes to be committed
LAST_COMMIT_SECONDS = 2.0

#: called with a state's name and the notice's id when that state is reached; tests end the dispatcher there
At = Callable[[str, UUID], None]


def _silence(result: SendResult) -> bool:
    """Whether the server gave no answer about this mail: it may do so about each mail to that address."""
    return isinstance(result, MailUncertain) or (isinstance(result, MailDeferred) and result.code is None)


def _failpoint(state: str, notice: UUID) -> None:
    failpoints.hit(f"mail.{state}")


@dataclass(frozen=True, slots=True)
class Pace:
    """How much at once and how often; seconds of system time."""

    connections: int = 4
    claim: int = 64  # mails leased at once by one process
    lease_seconds: float = 300.0
    idle_poll_seconds: float = 0.5
    sweep_seconds: float = 5.0  # between searches for expired leases
    outage_seconds: float = 1.0  # first wait in an outage; doubles
    outage_ceiling_seconds: float = 60.0
    keep_idle_seconds: float = 20.0  # idle connections are closed after it
    smtp_patience_seconds: float = 300.0  # without an accepted mail while some are due: then not ready
    round_patience_seconds: float = 240.0  # for a step of the loop or one mail, then not ready; above the longest


class MailDispatcher:
    """One process's dispatcher of one channel, with its own claims, limits and breaker; a background."""

    def __init__(
        self,
        database: Database,
        outcomes: OutcomeWriter,
        channel: Channel,
        *,
        system: Clock,
        business: Clock,
        retry_policy: RetryPolicy,
        pace: Pace,
        worker: str,
        grace_seconds: float = 15.0,
        at: At = _failpoint,
    ) -> None:
        self._database = database
        self._outcomes = outcomes
        self._channel = channel
        self._composer = channel.composer
        self._watch = channel.watch
        self.name = "mail-dispatcher" if channel.name == EMAIL else f"{channel.name}-dispatcher"
        self._system = system
        self._business = business
        self._retry_policy = retry_policy
        self._pace = pace
        self._worker = worker
        self._grace_seconds = grace_seconds
        self._at = at
        self._connections = list(channel.connections)
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._queue = SendingQueue(connections=len(channel.connections), silence_seconds=retry_policy.backoff_seconds)
        self._at_work: dict[Connection, asyncio.Task[None]] = {}
        self._rests_until: dict[Connection, float] = {}  # a connection that the server did not take
        self._claiming = asyncio.Lock()
        self._claimed = 0
        self._endings: set[asyncio.Future[bool]] = set()  # outcomes that are not yet committed
        self._unwritten: list[BaseException] = []  # why an outcome could not be committed
        self._wake = asyncio.Event()  # a connection is free, or mails were claimed
        self._swept_at = float("-inf")
        self.health = MailHealth(
            patience_seconds=pace.smtp_patience_seconds, watch=channel.watch, needed=channel.needed
        )
        self._room = Room(channel.name, channel.a_day)
        self._day_is_full = False
        self._pulse = Pulse(
            "mail dispatcher" if channel.name == EMAIL else f"{channel.name} dispatcher",
            patience_seconds=pace.round_patience_seconds,
        )
        self.pulses = (self._pulse,)
        self._used_at = 0.0

    async def start(self) -> None:
        """Begin sending in the background."""
        self._stopping.clear()
        self._task = asyncio.create_task(self.run(), name=self.name)
        self._pulse.watch(self._task)

    async def stop(self) -> None:
        """Finish the mails in progress and release the others; after the grace period, leave them to their leases."""
        self._stopping.set()
        self._wake.set()
        self._pulse.rest()
        if self._task is None:
            return
        _, pending = await asyncio.wait({self._task}, timeout=self._grace_seconds)
        for task in pending:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None
        try:
            await asyncio.wait_for(self._outcomes.settle(), LAST_COMMIT_SECONDS)
        except TimeoutError:  # the database is away: leases settle what could not be written
            self._outcomes.abandon()

    def checks(self) -> dict[str, Check]:
        """For readiness."""
        if self._channel.name == EMAIL:
            return {"mail server": self.health.check()}
        return {f"{self._channel.name} gateway": self.health.check()}

    async def run(self) -> None:
        """Send until stopped. Waits while server or database is away; logs and counts any other error."""
        outage = Backoff(self._pace.outage_seconds, self._pace.outage_ceiling_seconds)
        try:
            while self._at_work or not self._stopping.is_set():
                try:
                    working = await self.step()
                except Outage as error:
                    self._pulse.beat()  # waiting is what the loop should do now
                    self.health.failed(str(error))
                    self.health.publish()
                    self._watch.up(False)
                    log.warning(
                        "A channel is away; waiting.",
                        action="mail.outage",
                        channel=self._channel.name,
                        error=str(error),
                    )
                    await self._pause(outage.next_seconds())
                    continue
                except Exception as error:
                    self._pulse.failed(error)
                    if is_infrastructure(error):
                        log.warning("The database is away; waiting.", action="mail.database_away", error=repr(error))
                        await self._pause(1.0)
                    else:  # ending the loop would leave every other mail unsent
                        metrics.SENDER_FAULTS_TOTAL.inc()
                        log.exception("A round of the mail dispatcher failed.", action="mail.round_failed")
                        await self._pause(5.0)
                    continue
                if self._queue.longest_seconds() < self._pace.round_patience_seconds:
                    self._pulse.beat()
                self.health.publish()
                if not working or (self._server_answers() and not self._day_is_full):
                    outage.reset()
                if working:
                    await self._woken()
                else:
                    await self._close_idle()
                    await self._pause(self._pace.idle_poll_seconds)
            for mail in self._queue.drain():
                self._end(mail, MailReleased())
            await self._committed()
        finally:
            tasks = list(self._at_work.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._close_all()

    async def step(self) -> bool:
        """Note what ended, take back expired leases, put idle connections to work. Returns whether any works.

        Raises what ended a connection's work; Outage only where mails are due and no connection has the server.
        """
        self._wake.clear()
        self._note_ended()
        if not self._stopping.is_set():
            await self._sweep()
            for connection in await self._wanted():
                self._at_work[connection] = asyncio.create_task(self._work(connection), name="notifier-mail")
        return bool(self._at_work)

    async def round(self) -> int:
        """Send all that is due and wait for it. Returns how many mails were claimed. Raises as `step` does."""
        before = self._claimed
        try:
            while await self.step():
                await self._woken()
            await self._committed()
        except Outage:
            await self._committed()
            raise
        finally:
            if self._at_work:
                await asyncio.wait(self._at_work.values())
        return self._claimed - before

    async def _wanted(self) -> list[Connection]:
        """Idle connections that find work; until the server answers, one tries it alone."""
        now = monotonic_seconds()
        idle = [
            connection
            for connection in self._connections
            if connection not in self._at_work and self._rests_until.get(connection, float("-inf")) <= now
        ]
        answers = self._server_answers()
        if not idle or (self._at_work and not answers):
            return []
        ready = self._queue.ready(self._system.now()) or int(await self._anything_due())
        idle.sort(key=lambda connection: not connection.is_open)
        return idle[: ready if answers else min(ready, 1)]

    def _server_answers(self) -> bool:
        return any(connection.is_open for connection in self._connections)

    def _note_ended(self) -> None:
        if self._unwritten:
            raise self._unwritten.pop(0)
        outage: Outage | None = None
        for connection, task in list(self._at_work.items()):
            if task.done():
                del self._at_work[connection]
                try:
                    task.result()
                except Outage as error:
                    outage = error
                    self._rests_until[connection] = monotonic_seconds() + self._pace.outage_seconds
        if outage is not None and not any(connection.is_open for connection in self._at_work):
            self._rests_until.clear()  # the loop waits, with a pause that grows
            for mail in self._queue.drain():
                self._end(mail, MailReleased("the mail server went away"))
            raise outage

    async def _work(self, connection: Connection) -> None:
        """Send one mail after the other over the connection, until none is due. Raises Outage."""
        try:
            while not self._stopping.is_set():
                await connection.open()  # before a mail is taken: an outage touches none
                self._watch.up(True)
                taken = self._queue.take(self._system.now()) or await self._claim()
                if taken is None:
                    return
                mail, not_after = taken
                try:
                    await self._deliver(connection, mail, not_after)
                finally:
                    self._queue.done(mail.recipient)
        finally:
            self._used_at = monotonic_seconds()
            self._wake.set()

    async def _claim(self) -> tuple[ClaimedMail, datetime] | None:
        """Claim due mails to addresses that are free; the first of them."""
        async with self._claiming:
            now = self._system.now()
            if (taken := self._queue.take(now)) is not None:  # another connection has just claimed
                return taken
            try:
                async with self._database.transaction() as tx:
                    claimed = await ledger.claim(
                        tx,
                        now,
                        lease_seconds=self._pace.lease_seconds,
                        limit=self._pace.claim,
                        worker=self._worker,
                        not_to=self._queue.unavailable(),
                        room=self._room,
                    )
            except DayIsFull as error:  # the loop waits as in an outage, and says why
                self._day_is_full = True
                raise Outage(str(error)) from error
            self._day_is_full = False
            self._claimed += len(claimed)
            for mail in claimed:
                self._at("claimed", mail.id)
            # a mail is begun only while its lease still covers a whole transaction
            self._queue.add(claimed, now + timedelta(seconds=self._pace.lease_seconds / 2))
        taken = self._queue.take(now)
        if self._queue.ready(now):
            self._wake.set()
        return taken

    async def _deliver(self, connection: Connection, mail: ClaimedMail, not_after: datetime) -> None:
        now = self._system.now()
        if now >= not_after:
            self._end(mail, MailReleased())
            return
        if (said := self._queue.put_off(mail.recipient, now)) is not None:
            # each further letter to that address would hold a connection for another timeout
            self._end(mail, MailDeferred("mail", None, said))
            return
        try:
            with tracing.span(f"mail {mail.kind}", tracing.parse(mail.traceparent), tracing.SpanKind.CLIENT):
                result = await self._send(connection, mail)
        except Outage:
            self._end(mail, MailReleased("the mail server went away"))
            raise
        if result is None:
            return
        if _silence(result):
            said = f"not tried: another letter to this address met {result.answer}"
            self._queue.silent(mail.recipient, said, self._system.now())
        elif not isinstance(result, MailUnsendable):
            self._queue.answered(mail.recipient)
        self._end(mail, result)
        self._at("after_outcome", mail.id)

    def _end(self, mail: ClaimedMail, result: SendResult) -> None:
        """Hand the outcome to the writer; what it cannot write is raised by the next step."""

        def written(ending: asyncio.Future[bool]) -> None:
            self._endings.discard(ending)
            if not ending.cancelled() and (error := ending.exception()) is not None:
                self._unwritten.append(error)
                self._wake.set()

        ending = self._outcomes.end(mail, result)
        self._endings.add(ending)
        ending.add_done_callback(written)

    async def _committed(self) -> None:
        while self._endings:
            await asyncio.wait(self._endings)
        if self._unwritten:
            raise self._unwritten.pop(0)

    async def _send(self, connection: Connection, mail: ClaimedMail) -> SendResult | None:
        try:
            message = self._composer.compose(mail)
        except CannotRender as error:
            log.error(
                "Cannot compose a mail.",
                action="mail.unsendable",
                notification=str(mail.id),
                obligation=mail.obligation,
                error=str(error),
            )
            return MailUnsendable(str(error))
        composed = dataclasses.replace(mail, content_sha256=hashlib.sha256(message).hexdigest())
        held = False

        async def before_data() -> bool:
            nonlocal held
            self._at("before_mark", mail.id)
            held = await self._outcomes.mark_in_data(composed)
            if held:
                self._at("in_data", mail.id)
            return held

        began = monotonic_seconds()
        try:
            result = await connection.send(
                self._composer.sender_address, mail.recipient, message, before_data, message_id=mail.message_id
            )
        except Outage:
            raise
        except Exception as error:
            if is_infrastructure(error):
                raise
            # only this mail failed: the others are sent
            metrics.SENDER_FAULTS_TOTAL.inc()
            log.exception("Sending a mail failed unexpectedly.", action="mail.fault", notification=str(mail.id))
            connection.abandon()
            fault = f"{type(error).__name__}: {error}"
            return MailUncertain(fault) if held else MailUnsendable(fault)
        if result is None:
            log.info("A mail was withdrawn before DATA.", action="mail.withdrawn", notification=str(mail.id))
            return None
        self.health.ended(mail.recipient, result)
        self._watch.attempt(mail.kind, result.label, monotonic_seconds() - began)
        self._at("answered", mail.id)
        return result

    async def _sweep(self) -> None:
        """Take back expired leases and set the queue's gauges, at most every `sweep_seconds`."""
        if monotonic_seconds() - self._swept_at < self._pace.sweep_seconds:
            return
        now = self._system.now()
        async with self._database.transaction() as tx:
            expired, recorded = await self._expire(tx, now)
            forward = await bring_forward(tx, now, self._retry_policy, lease_seconds=self._pace.lease_seconds)
            counts = await backlog(tx, now, self._channel.name)
        self._swept_at = monotonic_seconds()
        if not (counts.waiting or counts.leased):
            self.health.nothing_due()
        self._watch.backlog(counts, now)
        for event in recorded:
            metrics.count_outcome(event)
        if expired:
            metrics.LEASES_EXPIRED_TOTAL.inc(expired)
            log.warning("Took back expired leases.", action="mail.leases_expired", count=expired)
        if forward:
            log.warning(
                "The system clock was set back; mails that it postponed are due now.",
                action="mail.brought_forward",
                count=forward,
            )

    async def _expire(self, tx: Transaction, now: datetime) -> tuple[int, list[RecordedEvent]]:
        at = self._business.now()
        keys = await ledger.expired(tx, now, limit=500)
        parts, failed = await each_alone(
            tx, keys, lambda part: ledger.expire(tx, part, now=now, at=at, policy=self._retry_policy)
        )
        for key, error in failed:
            log.error(
                "Could not take back an expired lease.",
                action="mail.expiry_failed", obligation=key, error=repr(error)[:2000],
            )  # fmt: skip
        return sum(count for count, _ in parts), [event for _, recorded in parts for event in recorded]

    async def _anything_due(self) -> bool:
        async with self._database.read_transaction() as snapshot:
            return await anything_due(
                snapshot, self._system.now(), not_to=self._queue.unavailable(), channel=self._channel.name
            )

    def abandon(self) -> None:
        """Drop everything unfinished, as a dying process would."""
        self._outcomes.abandon()
        for task in self._at_work.values():
            task.cancel()
        self._queue.drain()
        for connection in self._connections:
            connection.abandon()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _woken(self) -> None:
        """Wait until a connection is free or more mails are claimed, and no longer than between two looks."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), self._pace.idle_poll_seconds)

    async def _close_idle(self) -> None:
        if self._used_at and monotonic_seconds() - self._used_at > self._pace.keep_idle_seconds:
            await self._close_all()
            self._used_at = 0.0

    async def _close_all(self) -> None:
        await asyncio.gather(*(connection.close() for connection in self._connections))
