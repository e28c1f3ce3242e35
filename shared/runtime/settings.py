"""Settings are read once, from the environment, at the composition root, and handed down; never a global."""

from __future__ import annotations

import socket
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class KafkaSettings(BaseSettings):
    """How to reach the cluster. `topic_prefix` lets several systems share one."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_", frozen=True)

    bootstrap_servers: str = "127.0.0.1:29092"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str = ""
    sasl_password: SecretStr = SecretStr("")
    ssl_cafile: str = ""
    idempotence: bool = True
    topic_prefix: str = ""
    request_timeout_seconds: float = 15
    #: how long one batch may take before the group takes the member for dead
    max_poll_interval_seconds: float = 300
    session_timeout_seconds: float = 10
    #: a busy consumer commits its offsets so often. They only say where to go on after a restart: what is read again
    #: is dropped by the inbox, and each commit costs a request of all partitions and as many records in Kafka's own
    #: log. Deadlines are judged so much later: set it lower where business time runs faster than the world's
    commit_every_seconds: float = 1.0

    def topic(self, name: str) -> str:
        """The topic's name on the cluster."""
        return self.topic_prefix + name


class CommonSettings(BaseSettings):
    """What every service shares; without prefix."""

    model_config = SettingsConfigDict(frozen=True)

    business_clock: str = ""
    log_level: str = "INFO"
    instance: str = socket.gethostname()
    #: where spans are exported to; empty: tracing is off. The SDK reads the other OTEL_… variables itself
    otel_exporter_otlp_endpoint: str = ""


class ServiceSettings(BaseSettings):
    """Base of each service's own settings; subclasses set the prefix `<NAME>_`."""

    model_config = SettingsConfigDict(frozen=True)

    database_url: str
    database_pool_size: int = 10
    host: str = "127.0.0.1"
    port: int
    #: how long a stop waits for what is in hand, all backgrounds at once, before it is left to the next owner;
    #: with requests and closing (shared/service/service.py) it stays below the 15 s after which supervisors kill
    grace_seconds: float = 8
    #: largest batch a consumer takes in one transaction, events
    consumer_max_records: int = 500
    #: what one operator's requests may cost: milliseconds of CPU per second for ever, and at one go; and how many may
    #: be in work, and wait, at the same time. A minute of exports is free; beyond it agencies keep half of the loop
    operator_milliseconds_per_second: float = Field(default=500, gt=0)
    operator_burst_milliseconds: float = Field(default=30_000, gt=0)
    operator_requests_at_once: int = Field(default=32, ge=1)
    operator_waiting: int = Field(default=200, ge=0)
