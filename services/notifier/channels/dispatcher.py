"""Claims due mails and carries each through its states over a few reused connections; safe beside other processes.

Nothing is claimed while the mail server is away, so an outage touches no row. `in_data` is committed before DATA and
the outcome is handed to the journal before anything else happens on the connection, QUIT above all.
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
from services.notifier.channels.outcome_writer import Journal
from services.notifier.channels.smtp import Connection, Outage, Server
from services.notifier.delivery import ledger
from services.notifier.delivery.backlog import anything_due, backlog, bring_forward
from services.notifier.delivery.ledger import Claimed
from services.notifier.delivery.states import Policy, Released, Result, Uncertain, Unsendable
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

#: how long a stopping sender waits for outcomes to be written
LAST_WORDS_SECONDS = 2.0

#: called with a state's name and the notification's id when that state is reached; tests end the sender there
At = Callable[[str, UUID], None]


def _failpoint(state: str, notification: UUID) -> None:
    failpoints.hit(f"mail.{state}")


@dataclass(frozen=True, slots=True)
class Pace:
    """How much at once and how often; seconds of system time."""

    connections: int = 4
    claim: int = 64  # mails leased at once by one process
    lease_seconds: float = 300.0
    idle_poll_seconds: float = 0.5
    sweep_seconds: float = 5.0  # between looks for leases that ran out
    outage_seconds: float = 1.0  # first wait after the server was found away; doubles
    outage_ceiling_seconds: float = 60.0
    keep_idle_seconds: float = 20.0  # an idle connection is closed after it
    smtp_patience_seconds: float = 300.0  # mails may wait in vain for so long before the instance is not ready
    round_patience_seconds: float = 240.0  # and the sender for its next step: the longest transaction and outage pause


class Sender:
    """One process's mail sender; a background with start and stop."""

    name = "mail-sender"

    def __init__(
        self,
        database: Database,
        journal: Journal,
        composer: Composer,
        server: Server,
        *,
        system: Clock,
        business: Clock,
        policy: Policy,
        pace: Pace,
        worker: str,
        grace_seconds: float = 15.0,
        at: At = _failpoint,
    ) -> None:
        self._database = database
        self._journal = journal
        self._composer = composer
        self._system = system
        self._business = business
        self._policy = policy
        self._pace = pace
        self._worker = worker
        self._grace_seconds = grace_seconds
        self._at = at
        self._connections = [Connection(server) for _ in range(pace.connections)]
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._swept_at = float("-inf")
        self.health = MailHealth(patience_seconds=pace.smtp_patience_seconds)
        self._pulse = Pulse("mail sender", patience_seconds=pace.round_patience_seconds)
        self.pulses = (self._pulse,)
        self._used_at = 0.0

    async def start(self) -> None:
        """Begin sending in the background."""
        self._stopping.clear()
        self._task = asyncio.create_task(self.run(), name=self.name)
        self._pulse.watch(self._task)

    async def stop(self) -> None:
        """Finish the mails under way, give back the others; after the grace, leave them to their leases."""
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
            await asyncio.wait_for(self._journal.settle(), LAST_WORDS_SECONDS)
        except TimeoutError:  # the database is away: what was not written is left to its lease
            self._journal.abandon()

    def checks(self) -> dict[str, Check]:
        """For readiness."""
        return {"mail server": self.health.check()}

    async def run(self) -> None:
        """Send until stopped; an outage of server or database is waited out, any other fault is logged and counted."""
        outage = Backoff(self._pace.outage_seconds, self._pace.outage_ceiling_seconds)
        try:
            while not self._stopping.is_set():
                try:
                    sent = await self.round()
                except Outage as error:
                    self._pulse.beat()  # the loop does what it should: it waits
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
                    else:  # a sender that died of it would leave every other mail lying
                        metrics.SENDER_FAULTS_TOTAL.inc()
                        log.exception("A round of the sender failed.", action="mail.round_failed")
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

    async def _deliver(self, claimed: list[Claimed]) -> None:
        for mail in claimed:
            self._at("claimed", mail.id)
        work = deque(claimed)
        begun_at = self._system.now()
        # a claim is begun only while its lease still covers a whole transaction
        not_after = begun_at + timedelta(seconds=self._pace.lease_seconds / 2)
        endings: list[asyncio.Future[bool]] = []

        async def carry(connection: Connection) -> None:
            while work:
                mail = work.popleft()
                if self._stopping.is_set() or self._system.now() >= not_after:
                    endings.append(self._journal.end(mail, Released()))
                    continue
                try:
                    with tracing.span(f"mail {mail.kind}", tracing.parse(mail.traceparent), tracing.SpanKind.CLIENT):
                        result = await self._send(connection, mail)
                except Outage:
                    endings.append(self._journal.end(mail, Released("the mail server went away")))
                    raise
                self._pulse.beat()
                if result is not None:
                    endings.append(self._journal.end(mail, result))
                    self._at("after_outcome", mail.id)

        carriers = [asyncio.create_task(carry(each)) for each in self._connections[: len(claimed)]]
        try:
            results = await asyncio.gather(*carriers, return_exceptions=True)
        except asyncio.CancelledError:
            for carrier in carriers:
                carrier.cancel()
            raise
        trouble = [each for each in results if isinstance(each, BaseException)]
        for error in trouble:
            if not isinstance(error, Outage):
                raise error
        while work:  # every connection met the outage
            endings.append(self._journal.end(work.popleft(), Released("the mail server went away")))
        if endings:
            await asyncio.gather(*endings)
        if trouble and len(trouble) == len(carriers):
            raise trouble[0]

    async def _send(self, connection: Connection, mail: Claimed) -> Result | None:
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
            return Unsendable(str(error))

        held = False

        async def before_data() -> bool:
            nonlocal held
            self._at("before_mark", mail.id)
            held = await self._journal.mark_in_data(mail)
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
            # whatever it is, it is this mail's alone: its neighbours go out
            metrics.SENDER_FAULTS_TOTAL.inc()
            log.exception("A mail met a fault.", action="mail.fault", notification=str(mail.id))
            connection.abandon()
            fault = f"{type(error).__name__}: {error}"
            return Uncertain(fault) if held else Unsendable(fault)
        if result is None:
            log.info("A mail was withdrawn before DATA.", action="mail.withdrawn", notification=str(mail.id))
            return None
        self.health.ended(result)
        outcome = type(result).__name__.lower()
        metrics.SMTP_SECONDS.labels(outcome).observe(monotonic_seconds() - began)
        metrics.ATTEMPTS_TOTAL.labels(mail.kind, outcome).inc()
        self._at("answered", mail.id)
        return result

    async def _sweep(self) -> None:
        """Take back leases that ran out and look at the queue, at most every `sweep_seconds`."""
        if monotonic_seconds() - self._swept_at < self._pace.sweep_seconds:
            return
        now = self._system.now()
        async with self._database.transaction() as tx:
            taken, recorded = await self._expire(tx, now)
            forward = await bring_forward(tx, now, self._policy, lease_seconds=self._pace.lease_seconds)
            seen = await backlog(tx, now)
        self._swept_at = monotonic_seconds()
        if not (seen.waiting or seen.leased):
            self.health.nothing_waits()
        metrics.observe_backlog(seen, now)
        for event in recorded:
            metrics.count_outcome(event)
        if taken:
            metrics.LEASES_EXPIRED_TOTAL.inc(taken)
            log.warning("Took back leases that ran out.", action="mail.leases_expired", count=taken)
        if forward:
            log.warning(
                "The clock went back; mails put off by it are due now.", action="mail.brought_forward", count=forward
            )

    async def _expire(self, tx: Transaction, now: datetime) -> tuple[int, list[NotificationRecorded]]:
        at = self._business.now()
        keys = await ledger.expired(tx, now, limit=500)
        parts, failed = await each_alone(
            tx, keys, lambda part: ledger.expire(tx, part, now=now, at=at, policy=self._policy)
        )
        for key, error in failed:
            log.error(
                "Could not take back an expired lease.",
                action="mail.expiry_failed", obligation=key, error=repr(error)[:2000],
            )  # fmt: skip
        return sum(taken for taken, _ in parts), [event for _, recorded in parts for event in recorded]

    async def _anything_due(self) -> bool:
        async with self._database.reading() as snapshot:
            return await anything_due(snapshot, self._system.now())

    def abandon(self) -> None:
        """Let go of everything unfinished, as a dying process would."""
        self._journal.abandon()
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
        await asyncio.gather(*(each.close() for each in self._connections))
