"""Fixtures of the backbone's tests: a database with its tables, Kafka settings under a prefix of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.postgres.database import Database
from shared.runtime.settings import KafkaSettings
from tests.integration.shared.rig import prepare
from tests.stack import Infra


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    await prepare(database)
    yield database
    await database.close()


@pytest.fixture
def kafka(infra: Infra, topics: str) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=infra.kafka_bootstrap, topic_prefix=topics, idempotence=infra.kafka_idempotence
    )
