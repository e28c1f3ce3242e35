"""The relay sends the outbox to Kafka in id order and deletes a row only after Kafka has acknowledged it.

Each service has one leader: it holds a session advisory lock on the connection that deletes. A leader that loses its
session cannot delete, so at worst an event is sent twice, and inboxes drop the second. The relay sets aside a row that
Kafka never takes (shared/outbox/set_aside.py), and no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import asyncpg
from aiokafka import AIOKafkaProducer

from shared.contract.cloudevents import source_of
from shared.contract.events import OWNERS
from shared.kafka import aiokafka_internals
from shared.kafka.clients import cluster_id, end_offsets, make_producer, topic_limits
from shared.outbox import archive, set_aside
from shared.outbox.purge import purge_discarded
from shared.outbox.replay import ReplayState, resend_archive
from shared.outbox.sending import LAST_WORD_TOPICS, Place, Row, Sent, send_rows
from shared.postgres.connecting import connect
from shared.postgres.database import is_infrastructure, plain_url
from shared.runtime import failpoints
from shared.runtime.clock import Clock, monotonic_seconds
from shared.runtime.retry import Backoff
from shared.runtime.settings import KafkaSettings
from shared.telemetry import metrics, tracing
from shared.telemetry.background_loop import BackgroundLoop
from shared.telemetry.logging import get_logger
from shared.telemetry.pulse import Pulse

log = get_logger()

#: pause between two reads of the outbox: the shortest while rows come, what each row of the last batch adds, and the
#: longest. A turn costs two statements, and a batch with its acknowledgement for each partition, however few rows
GATHER_SECONDS, GATHER_SECONDS_A_ROW, LONGEST_SECONDS = 0.04, 0.002, 0.1
#: time to finish the current batch at a stop; time for a producer to stop
STOP_SECONDS, PRODUCER_STOP_SECONDS = 5, 3
#: the same failure is logged again only after the relay has worked for this long
WORKED_SECONDS = 2
#: between two rounds of maintenance (archive, discarded letters), system time; partitions exist three days ahead
MAINTENANCE = timedelta(hours=1)
#: the relay is not ready once it has neither sent nor read the outbox for this long
RELAY_PATIENCE_SECONDS = 60.0
#: attempts for a refused row that may not be at fault itself, and the pause between them
SUSPECT_ATTEMPTS, SUSPECT_PAUSE_SECONDS = 3, 0.2
#: the relay's advisory lock; each service has its own database, so all use the same number
LEADER_LOCK = 0x7468_6F6E

#: bytes of bodies in one batch of the relay; a larger row goes alone
BATCH_BYTES = 16 * 1024 * 1024

_COLUMNS = "id, event_id, topic, key, type, traceparent, headers, body, created_at"
#: front: the id of the first row of its key that is set aside; this row must queue behind it
_SELECT = f"""
    SELECT {_COLUMNS},
           CASE WHEN (SELECT EXISTS (SELECT FROM outbox_set_aside WHERE closed_at IS NULL))
                THEN (SELECT min(a.id) FROM outbox_set_aside a
                       WHERE a.topic = o.topic AND a.key = o.key AND a.closed_at IS NULL) END AS front
      FROM (SELECT *, sum(octet_length(body)) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
                     AS before
              FROM (SELECT * FROM outbox ORDER BY id LIMIT $1) AS first) AS o
     WHERE coalesce(before, 0) < {BATCH_BYTES}
     ORDER BY id
"""  # noqa: S608 - constant names
#: one statement, so that rows are deleted, archived and the partitions' positions stored together or not at all
_SENT = f"""
    WITH sent AS (DELETE FROM outbox WHERE id = ANY($1::bigint[]) RETURNING {_COLUMNS}),
         kept AS (INSERT INTO outbox_archive ({_COLUMNS}) SELECT {_COLUMNS} FROM sent ORDER BY id),
         placed AS (
           INSERT INTO relay_position (topic, partition, last_offset)
           SELECT * FROM unnest($2::text[], $3::int[], $4::bigint[])
           ON CONFLICT (topic, partition) DO UPDATE
              SET last_offset = greatest(relay_position.last_offset, excluded.last_offset))
    SELECT count(*) FROM sent
"""  # noqa: S608 - constant names


def pause_after(rows: int, last_pause_seconds: float) -> float:
    """Seconds until the outbox is read again, after a batch of so many rows; while none come, ever longer."""
    gathering = GATHER_SECONDS + GATHER_SECONDS_A_ROW * rows if rows else last_pause_seconds * 1.2
    return min(gathering, LONGEST_SECONDS)


class Relay(BackgroundLoop):
    """The relay of one service; `start` and `stop` it with the service. Only the leader among instances works."""

    def __init__(
        self,
        service: str,
        database_url: str,
        kafka: KafkaSettings,
        clock: Clock,
        *,
        batch_rows: int = 1000,
        retention_days: int = 400,
        check_seconds: float = 30,
    ) -> None:
        pulse = Pulse("relay", patience_seconds=RELAY_PATIENCE_SECONDS, needs_kafka=True)
        super().__init__(f"{service} relay", pulse, stop_seconds=STOP_SECONDS)
        self._service = service
        self._url = plain_url(database_url)
        self._kafka = kafka
        self._clock = clock
        self._batch_rows = batch_rows
        self._retention_days = retention_days
        self._check_seconds = check_seconds
        self._source = source_of(service)
        self._producer: AIOKafkaProducer | None = None
        self._producer_failed = False  # whether the last producer failed, so that the next counts as recreated
        self._limits: dict[str, int] = {}  # max.message.bytes by topic, as the cluster reports
        self.leading = False
        # a failed round is a warning: meanwhile the DEFAULT partition takes the rows
        self._archive_pulse = Pulse("archive", patience_seconds=3 * MAINTENANCE.total_seconds(), warns=True)
        self.pulses = (self._pulse, self._archive_pulse)

    async def stop(self) -> None:
        """Finish the current batch and give up the lead."""
        await super().stop()
        await self._drop_producer()

    def _cancelled(self) -> None:
        log.info("A batch was not finished; it will be sent again.", action="relay.stop_unfinished")

    async def _run(self) -> None:
        backoff, last_error = Backoff(0.2, 5), ""
        while not self._stopping.is_set():
            started = monotonic_seconds()
            try:
                await self._lead()
            except Exception as error:
                # whatever failed, the rows are still in the outbox: drop the producer and start again
                self._pulse.failed(error)
                worked_seconds = monotonic_seconds() - started
                # log an ongoing failure once
                if type(error).__name__ != last_error or worked_seconds > WORKED_SECONDS:
                    log.warning(
                        "The relay failed and starts again.",
                        action="relay.interrupted",
                        error=repr(error),
                        infrastructure=is_infrastructure(error),
                    )
                last_error = type(error).__name__
                await self._drop_producer()
                if worked_seconds > 30:
                    backoff.reset()
                await self._pause(backoff.next_seconds())
            finally:
                self.leading = False
                metrics.RELAY_LEADER.set(0)

    async def _lead(self) -> None:
        connection = await connect(
            self._url, timeout=5, command_timeout=60, server_settings={"application_name": f"{self._service} relay"}
        )
        try:
            while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LEADER_LOCK):
                self._pulse.beat()
                self._archive_pulse.beat()  # the leader maintains the archive
                await self._pause(0.5)
                if self._stopping.is_set():
                    return
            self.leading = True
            metrics.RELAY_LEADER.set(1)
            log.info("This instance leads the relay.", action="relay.leading")
            await self._pump(connection)
        finally:
            await connection.close(timeout=5)

    async def _pump(self, connection: asyncpg.Connection) -> None:
        maintained = await self._keep_house(connection)
        checked, pause_seconds = await self._check_log(connection), GATHER_SECONDS
        while not self._stopping.is_set():
            if not maintained <= self._clock.now() < maintained + MAINTENANCE:
                maintained = await self._keep_house(connection)
            if monotonic_seconds() - checked > self._check_seconds:
                checked = await self._check_log(connection)
            rows = await connection.fetch(_SELECT, self._batch_rows)
            if rows:
                with metrics.RELAY_BATCH_DURATION_SECONDS.time():
                    await self._send_batch(connection, rows)
                metrics.RELAY_BATCH_ROWS.observe(len(rows))
            self._pulse.beat()
            # a full batch means that more rows wait; after a small one, a short pause makes the next one larger
            if len(rows) < self._batch_rows:
                pause_seconds = pause_after(len(rows), pause_seconds)
                await self._pause(pause_seconds)

    async def _keep_house(self, connection: asyncpg.Connection) -> datetime:
        now = self._clock.now()
        try:
            await archive.maintain(connection, now, retention_days=self._retention_days)
            self._archive_pulse.beat()
        except asyncpg.PostgresError as error:
            if connection.is_closed():
                raise
            self._archive_pulse.failed(error)
            # sending continues: the DEFAULT partition takes the rows until the next round
            log.warning("The archive could not be maintained.", action="archive.not_maintained", error=repr(error))
        try:
            await purge_discarded(connection, now)
        except asyncpg.PostgresError as error:
            if connection.is_closed():
                raise
            log.warning("Dead letters were not purged.", action="dead_letter.not_purged", error=repr(error))
        return now

    async def _send_batch(self, connection: asyncpg.Connection, rows: Sequence[Row]) -> None:
        failpoints.hit("relay.before_send")
        fronted = [row for row in rows if row.get("front") is not None and row["topic"] not in LAST_WORD_TOPICS]
        held = {row["id"] for row in fronted}
        sent = await self.send([row for row in rows if row["id"] not in held])
        sent.behind += [(row, row["front"]) for row in fronted]
        failpoints.hit("relay.between_ack_and_delete")
        topics, partitions, offsets = _columns(sent.positions)
        statement = _SENT, [row["id"] for row in sent.rows], topics, partitions, offsets
        if sent.refused or sent.behind or any(row.get("front") is not None for row in rows):
            async with connection.transaction():
                await set_aside.put(connection, sent)
                await connection.execute(*statement)
                await set_aside.supersede(connection, sent.rows)
            set_aside.report(sent)
        else:
            await connection.execute(*statement)
        failpoints.hit("relay.after_delete")
        for topic in {row["topic"] for row in sent.rows}:
            metrics.RELAY_PUBLISHED_TOTAL.labels(topic).inc(sum(1 for row in sent.rows if row["topic"] == topic))
        if sent.trouble is not None:
            raise sent.trouble

    async def send(self, rows: Sequence[Row]) -> Sent:
        """Send rows and wait for every acknowledgement; if a batch is refused, find the row at fault.

        Raises KafkaError or TimeoutError if Kafka is in trouble; then any of the rows may have been sent.
        """
        if not tracing.recording():
            return await self._send(rows)
        links = tracing.links_to(row["traceparent"] for row in rows)
        attributes = {
            "messaging.system": "kafka",
            "messaging.operation.type": "send",
            "messaging.batch.message_count": len(rows),
        }
        with tracing.span("send outbox", kind=tracing.SpanKind.PRODUCER, links=links, attributes=attributes):
            return await self._send(rows)

    async def _send(self, rows: Sequence[Row]) -> Sent:
        sent = Sent(left=list(rows))
        singly = False
        for attempt in range(1, SUSPECT_ATTEMPTS + 1):
            while sent.left:
                if sent.producer_spent:
                    log.warning(
                        "Kafka refused a batch; a new producer sends the remaining rows one by one.",
                        action="relay.isolating",
                        rows=len(sent.left),
                    )
                    self._producer_failed, sent.producer_spent = True, False
                    await self._drop_producer()
                sent.take(await self._send_once(sent.left, sent, singly))
                singly = True
            # a passing fault of a broker may hit a single row
            if attempt == SUSPECT_ATTEMPTS or not sent.take_back_suspects():
                break
            await self._pause(SUSPECT_PAUSE_SECONDS)
        if sent.producer_spent:
            self._producer_failed = True
            await self._drop_producer()
        sent.settle()
        self._pulse.beat()
        return sent

    async def _send_once(self, rows: Sequence[Row], before: Sent, singly: bool) -> Sent:
        producer = await self._ready_producer()
        try:
            return await aiokafka_internals.while_alive(
                producer,
                send_rows(
                    producer,
                    rows,
                    prefix=self._kafka.topic_prefix,
                    source=self._source,
                    timeout_seconds=self._kafka.request_timeout_seconds * 4,
                    limits=self._limits,
                    fronts=before.fronts(),
                    singly=singly,
                ),
            )
        except Exception:
            self._producer_failed = True
            raise

    async def _check_log(self, connection: asyncpg.Connection) -> float:
        """Replay the archive if the cluster is a different one or has lost acknowledged events."""
        state = ReplayState(connection)
        cluster = await cluster_id(self._kafka)
        self._limits = await topic_limits(self._kafka, published_topics(self._service))
        positions = await state.positions()
        ends = await end_offsets(self._kafka, [(self._kafka.topic(t), p) for t, p in positions]) if positions else {}
        lost = [
            (topic, partition)
            for (topic, partition), last in positions.items()
            if ends[(self._kafka.topic(topic), partition)] <= last
        ]
        cluster_before = await state.cluster()
        if lost or (cluster_before is not None and cluster_before != cluster):
            log.error(
                "Kafka has lost acknowledged events; sending the archive again.",
                action="relay.log_lost",
                partitions=[f"{topic}-{partition}" for topic, partition in sorted(lost)],
                cluster=cluster,
                known_cluster=cluster_before,
            )
            await state.begin(cluster)
            failpoints.hit("replay.begun")
        elif cluster_before is None:
            await state.remember_cluster(cluster)
        if await state.pending():
            await resend_archive(connection, state, self.send, set_aside.put_archived, self._stopping)
        return monotonic_seconds()

    async def _ready_producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = make_producer(self._kafka, f"{self._service}-relay")
            try:
                await aiokafka_internals.while_alive(producer, producer.start())
            except BaseException:
                await aiokafka_internals.close(producer, producer.stop, PRODUCER_STOP_SECONDS)
                raise
            self._producer = producer
            if self._producer_failed:
                self._producer_failed = False
                metrics.RELAY_PRODUCER_RECREATED_TOTAL.inc()
        return self._producer

    async def _drop_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await aiokafka_internals.close(producer, producer.stop, PRODUCER_STOP_SECONDS)


def published_topics(service: str) -> list[str]:
    """The topics that the service's relay sends to: those it owns, and its dead-letter topic."""
    return [*(topic for topic, owner in OWNERS.items() if owner == service), f"{service}.dlq"]


def _columns(positions: Mapping[Place, int]) -> tuple[list[str], list[int], list[int]]:
    places = sorted(positions)
    return [t for t, _ in places], [p for _, p in places], [positions[place] for place in places]


__all__ = ["LEADER_LOCK", "Relay", "published_topics"]
