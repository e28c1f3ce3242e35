"""The only module that constructs Kafka clients, so that their settings cannot differ by accident."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError
from faststream.kafka import KafkaBroker
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from shared.kafka import aiokafka_internals
from shared.runtime.settings import KafkaSettings
from shared.runtime.tls import tls_context
from shared.telemetry.logging import get_logger

#: A dead letter carries an original of up to 1 MiB plus its evidence.
MAX_REQUEST_BYTES = 3 * 1024 * 1024
#: for a client that is used once, to close its connections
STOP_SECONDS = 3.0


def _ssl_context(settings: KafkaSettings) -> ssl.SSLContext | None:
    if "SSL" not in settings.security_protocol.replace("SASL", ""):
        return None
    return tls_context(settings.ssl_cafile)


def _client_options(settings: KafkaSettings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers.split(","),
        "security_protocol": settings.security_protocol,
        "request_timeout_ms": int(settings.request_timeout_seconds * 1000),
    }
    context = _ssl_context(settings)
    if context is not None:
        options["ssl_context"] = context
    if settings.security_protocol.startswith("SASL"):
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.sasl_username
        options["sasl_plain_password"] = settings.sasl_password.get_secret_value()
    return options


def make_producer(settings: KafkaSettings, client_id: str) -> AIOKafkaProducer:
    """The relay's producer: waits for all in-sync replicas; idempotent if the broker supports it."""
    return AIOKafkaProducer(
        client_id=client_id,
        acks="all",
        enable_idempotence=settings.idempotence,
        linger_ms=2,
        max_batch_size=256 * 1024,
        max_request_size=MAX_REQUEST_BYTES,
        metadata_max_age_ms=30_000,
        **_client_options(settings),
    )


def make_admin(settings: KafkaSettings, client_id: str) -> AIOKafkaAdminClient:
    return AIOKafkaAdminClient(client_id=client_id, **_client_options(settings))


def make_reader(settings: KafkaSettings, client_id: str) -> AIOKafkaConsumer:
    """A consumer without a group that reads offsets and topics; it never commits."""
    return AIOKafkaConsumer(
        client_id=client_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        **_client_options(settings),
    )


async def end_offsets(settings: KafkaSettings, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """The next offset of each partition; 0 for a partition that does not exist."""
    reader = make_reader(settings, "thongsuot-offsets")
    wanted = list(partitions)

    async def ask() -> dict[tuple[str, int], int]:
        await reader.start()
        existing: dict[str, set[int]] = {}
        for topic in sorted({topic for topic, _ in wanted}):
            await aiokafka_internals.know_topic(reader, topic)
            existing[topic] = set(reader.partitions_for_topic(topic) or ())
        there = [TopicPartition(topic, number) for topic, number in wanted if number in existing[topic]]
        found = await reader.end_offsets(there) if there else {}
        return {(place.topic, place.partition): int(offset) for place, offset in found.items()}

    try:
        offsets = await aiokafka_internals.while_alive(reader, ask())
    finally:
        await aiokafka_internals.close(reader, reader.stop, STOP_SECONDS)
    return {place: offsets.get(place, 0) for place in wanted}


async def kept_offsets(settings: KafkaSettings, topics: Iterable[str]) -> dict[tuple[str, int], range]:
    """The offsets that each partition of the topics holds now; a topic that does not exist has no partitions."""
    reader = make_reader(settings, "thongsuot-offsets")

    async def ask() -> dict[tuple[str, int], range]:
        await reader.start()
        places = []
        for topic in topics:
            await aiokafka_internals.know_topic(reader, topic)
            places += [TopicPartition(topic, number) for number in sorted(reader.partitions_for_topic(topic) or ())]
        if not places:
            return {}
        begins, ends = await reader.beginning_offsets(places), await reader.end_offsets(places)
        return {(place.topic, place.partition): range(begins[place], ends[place]) for place in places}

    try:
        return await aiokafka_internals.while_alive(reader, ask())
    finally:
        await aiokafka_internals.close(reader, reader.stop, STOP_SECONDS)


async def cluster_id(settings: KafkaSettings) -> str:
    """The cluster's own id; a different id means a different, possibly empty, cluster."""
    admin = make_admin(settings, "thongsuot-admin")

    async def ask() -> str:
        await admin.start()
        description = await admin.describe_cluster()
        return str(description.get("cluster_id") or "")

    try:
        return await aiokafka_internals.while_alive(admin, ask())
    finally:
        await aiokafka_internals.close(admin, admin.close, STOP_SECONDS)


async def topic_limits(settings: KafkaSettings, topics: Iterable[str]) -> dict[str, int]:
    """`max.message.bytes` of each of our topics; empty if the cluster does not report it (it may deny us)."""
    names = {settings.topic(topic): topic for topic in topics}
    admin = make_admin(settings, "thongsuot-admin")

    async def ask() -> dict[str, int]:
        await admin.start()
        found: dict[str, int] = {}
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        for response in await admin.describe_configs(resources):
            for code, _, _, name, entries in response.resources:
                values = {entry[0]: entry[1] for entry in entries}
                if not code and str(values.get("max.message.bytes") or "").isdigit():
                    found[names[name]] = int(values["max.message.bytes"])
        return found

    try:
        return await aiokafka_internals.while_alive(admin, ask())
    except (KafkaError, TypeError, ValueError) as error:  # the client cannot read Tansu's answer
        get_logger().info(
            "Kafka does not report the topics' limits.", action="kafka.limits_unknown", error=repr(error)[:500]
        )
        return {}
    finally:
        await aiokafka_internals.close(admin, admin.close, STOP_SECONDS)


def _security(settings: KafkaSettings) -> BaseSecurity | None:
    if settings.security_protocol == "PLAINTEXT":
        return None
    context = _ssl_context(settings)
    if not settings.security_protocol.startswith("SASL"):
        return BaseSecurity(ssl_context=context, use_ssl=True)
    kind = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}[
        settings.sasl_mechanism
    ]
    return kind(
        username=settings.sasl_username,
        password=settings.sasl_password.get_secret_value(),
        ssl_context=context,
        use_ssl=context is not None,
    )


def make_broker(settings: KafkaSettings, client_id: str, *, graceful_timeout_seconds: float) -> KafkaBroker:
    """FastStream's broker, for consuming only: only the relay publishes."""
    return KafkaBroker(
        settings.bootstrap_servers.split(","),
        client_id=client_id,
        security=_security(settings),
        request_timeout_ms=int(settings.request_timeout_seconds * 1000),
        metadata_max_age_ms=30_000,
        allow_auto_create_topics=False,
        consumer_only=True,
        graceful_timeout=graceful_timeout_seconds,
        apply_types=False,
        logger=logging.getLogger("faststream"),
    )
