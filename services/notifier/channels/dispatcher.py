"""Claims due mails and sends each over a few reused connections; safe beside other processes.

While the mail server is away nothing is claimed, so an outage touches no row. `in_data` is committed before DATA, and
the outcome writer has the outcome before anything else happens on the connection, above all QUIT.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.notifier import metrics
from services.notifier.channels.health import MailHealth
from services.notifier.channels.outcome_writer import OutcomeWriter
from services.notifier.channels.smtp import Connection, Outage, Server
from services.notifier.delivery import ledger
from services.notifier.delivery.backlog import anything_due, backlog, bring_forward
from services.notifier.delivery.ledger import ClaimedMail
from services.notifier.delivery.states import (
    MailDeferred,
    MailReleased,
    MailUncertain,
    MailUnsendable,
    RetryPolicy,
    SendResult,
)
from services.notifier.templates import CannotRender, Composer
from shared.contract.events import NotificationRecorded
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
    keep_idle_seconds: float = 20.0  # an idle connection is closed after it
    smtp_patience_seconds: float = 300.0  # without an accepted mail while some are due: then not ready
    round_patience_seconds: float = 240.0  # between steps of the loop, then not ready; above the longest step


class MailDispatcher:
    """One process's mail dispatcher; a background with start and stop."""

    name = "mail-dispatcher"

    def __init__(
        self,
        database: Database,
        outcomes: OutcomeWriter,
        composer: Composer,
        server: Server,
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
        self._composer = composer
        self._system = system
        self._business = business
        self._retry_policy = retry_policy
        self._pace = pace
        self._worker = worker
        self._grace_seconds = grace_seconds
        self._at = at
        self._connections = [Connection(server) for _ in range(pace.connections)]
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._swept_at = float("-inf")
        self.health = MailHealth(patience_seconds=pace.smtp_patience_seconds)
        self._pulse = Pulse("mail dispatcher", patience_seconds=pace.round_patience_seconds)
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
        return {"mail server": self.health.check()}

    async def run(self) -> None:
        """Send until stopped. Waits while server or database is away; logs and counts any other error."""
        outage = Backoff(self._pace.outage_seconds, self._pace.outage_ceiling_seconds)
        try:
            while not self._stopping.is_set():
                try:
                    sent = await self.round()
                except Outage as error:
                    self._pulse.beat()  # waiting is what the loop should do now
                    self.health.failed(str(error))
                    self.health.publish()
                    metrics.SMTP_UP.set(0)
                    log.warning("The mail server is away; waiting.", action="mail.outage", error=str(error))
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
                self._pulse.beat()
                self.health.publish()
                outage.reset()
                if not sent:
                    await self._close_idle()
                    await self._pause(self._pace.idle_poll_seconds)
        finally:
            await self._close_all()

    async def round(self) -> int:
        """Take back expired leases, claim what is due, send it. Returns how many mails were claimed.

        Raises Outage when mails are due and the server cannot be used.
        """
        await self._sweep()
        if not await self._anything_due():
            return 0
        await self._connections[0].open()
        metrics.SMTP_UP.set(1)
        async with self._database.transaction() as tx:
            claimed = await ledger.claim(
                tx,
                self._system.now(),
                lease_seconds=self._pace.lease_seconds,
                limit=self._pace.claim,
                worker=self._worker,
            )
        if claimed:
            await self._deliver(claimed)
            self._used_at = monotonic_seconds()
        return len(claimed)

    async def _deliver(self, claimed: list[ClaimedMail]) -> None:
        for mail in claimed:
            self._at("claimed", mail.id)
        work = deque(claimed)
        begun_at = self._system.now()
        # a mail is begun only while its lease still covers a whole transaction
        not_after = begun_at + timedelta(seconds=self._pace.lease_seconds / 2)
        endings: list[asyncio.Future[bool]] = []
        silent: dict[str, str] = {}  # addresses at which a letter of this round met silence

        async def send_all(connection: Connection) -> None:
            while work:
                mail = work.popleft()
                if self._stopping.is_set() or self._system.now() >= not_after:
                    endings.append(self._outcomes.end(mail, MailReleased()))
                    continue
                if (said := silent.get(mail.recipient)) is not None:
                    # each further letter to that address would hold up the neighbours' for another timeout
                    endings.append(self._outcomes.end(mail, MailDeferred("mail", None, said)))
                    continue
                try:
                    with tracing.span(f"mail {mail.kind}", tracing.parse(mail.traceparent), tracing.SpanKind.CLIENT):
                        result = await self._send(connection, mail)
                except Outage:
                    endings.append(self._outcomes.end(mail, MailReleased("the mail server went away")))
                    raise
                self._pulse.beat()
                if result is not None:
                    if _silence(result):
                        silent[mail.recipient] = f"not tried: another letter to this address met {result.answer}"
                    endings.append(self._outcomes.end(mail, result))
                    self._at("after_outcome", mail.id)

        tasks = [asyncio.create_task(send_all(connection)) for connection in self._connections[: len(claimed)]]
        try:
            results = await asyncio.gather(*tasks, return_exceptions=True)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            raise
        errors = [result for result in results if isinstance(result, BaseException)]
        for error in errors:
            if not isinstance(error, Outage):
                raise error
        while work:  # no connection is left
            endings.append(self._outcomes.end(work.popleft(), MailReleased("the mail server went away")))
        if endings:
            await asyncio.gather(*endings)
        if errors and len(errors) == len(tasks):
            raise errors[0]

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

        held = False

        async def before_data() -> bool:
            nonlocal held
            self._at("before_mark", mail.id)
            held = await self._outcomes.mark_in_data(mail)
            if held:
                self._at("in_data", mail.id)
            return held

        began = monotonic_seconds()
        try:
            result = await connection.send(self._composer.sender_address, mail.recipient, message, before_data)
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
        metrics.SMTP_SECONDS.labels(result.label).observe(monotonic_seconds() - began)
        metrics.ATTEMPTS_TOTAL.labels(mail.kind, result.label).inc()
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
            counts = await backlog(tx, now)
        self._swept_at = monotonic_seconds()
        if not (counts.waiting or counts.leased):
            self.health.nothing_due()
        metrics.observe_backlog(counts, now)
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

    async def _expire(self, tx: Transaction, now: datetime) -> tuple[int, list[NotificationRecorded]]:
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
            return await anything_due(snapshot, self._system.now())

    def abandon(self) -> None:
        """Drop everything unfinished, as a dying process would."""
        self._outcomes.abandon()
        for connection in self._connections:
            connection.abandon()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _close_idle(self) -> None:
        if self._used_at and monotonic_seconds() - self._used_at > self._pace.keep_idle_seconds:
            await self._close_all()
            self._used_at = 0.0

    async def _close_all(self) -> None:
        await asyncio.gather(*(connection.close() for connection in self._connections))
