"""Fixtures of all tests; the session's infrastructure is shared by every worker (tests/stack.py)."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from hypothesis import settings

from deploy.kafka import provision
from tests.stack import (
    MARK,
    SHORT_LIVED_JAVA,
    Infra,
    InfraOwner,
    LocalMailSink,
    marked_processes,
    request_infra,
    session_directory,
    unique,
)

DIRECTORY = "LOCAL_STACK_TEST_DIRECTORY"
#: of a topic of one test: Kafka needs 0.3 s of CPU to make the 72 that are declared, and each member reads them all
PARTITIONS = 4
LEFTOVER_GRACE_SECONDS = 5.0
owner_key = pytest.StashKey[InfraOwner]()

# a busy machine is no failure of a case; what must not cost more than it may has a test that counts
settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    """The session's owner makes the folder and the mark; xdist workers inherit both by their environment."""
    if _is_worker(config):
        return
    directory = session_directory()
    os.environ[DIRECTORY] = str(directory)
    os.environ[MARK] = uuid.uuid4().hex
    os.environ.setdefault("LOCAL_KAFKA_JAVA", SHORT_LIVED_JAVA)
    config.stash[owner_key] = InfraOwner(directory)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Every collected test stays until the end: a full collection would walk through all of them again and again.

    It took a sixth of the unit tests' CPU. What the product says of its own collections is tried all the same: an
    explicit one still collects what tests leave.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 20)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """After the workers have ended: stop the infrastructure; any process still alive is a failure."""
    config = session.config
    if _is_worker(config) or owner_key not in config.stash:
        return
    config.stash[owner_key].stop()
    left = marked_processes(os.environ[MARK])
    _, left = psutil.wait_procs(left, timeout=LEFTOVER_GRACE_SECONDS)
    if left:
        for process in left:
            with contextlib.suppress(psutil.Error):
                print(f"\nleft running by a test: pid {process.pid}: {' '.join(process.cmdline())[:300]}")
                process.kill()
        psutil.wait_procs(left, timeout=LEFTOVER_GRACE_SECONDS)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    shutil.rmtree(os.environ[DIRECTORY], ignore_errors=True)


@pytest.fixture(scope="session")
def infra() -> Infra:
    """The session's PostgreSQL and broker."""
    return request_infra(Path(os.environ[DIRECTORY]))


@pytest.fixture
def kafka_bootstrap(infra: Infra) -> str:
    """host:port"""
    return infra.kafka_bootstrap


@pytest.fixture
def database_url(infra: Infra) -> Iterator[str]:
    """A fresh empty database, owned by a role of its own; dropped afterwards."""
    name = unique("t")
    yield infra.create_database(name)
    infra.drop_database(name)


@pytest.fixture
def migrated_database(infra: Infra) -> Iterator[Callable[[str], str]]:
    """`migrated_database("intake")`: the URL of a fresh database with that service's tables; dropped afterwards."""
    made: list[str] = []

    def make(service: str) -> str:
        made.append(unique(f"t_{service}_"))
        return infra.migrated_database(service, made[-1])

    yield make
    for name in made:
        infra.drop_database(name, role=False)


@pytest.fixture
def topic_prefix() -> str:
    """A prefix nobody else uses; no topics yet."""
    return unique("t") + "."


@pytest.fixture
def topics(infra: Infra, topic_prefix: str) -> Iterator[str]:
    """All declared topics under `topic_prefix`, which is the value, in few partitions; deleted afterwards."""
    few = [replace(topic, partitions=min(topic.partitions, PARTITIONS)) for topic in provision.load()]
    infra.provision(topic_prefix, few)
    yield topic_prefix
    infra.drop_topics(topic_prefix)


@pytest.fixture
def mail_sink(tmp_path: Path) -> Iterator[LocalMailSink]:
    """An SMTP server of this test alone: `.address`, `.mails()`."""
    with LocalMailSink(tmp_path) as sink:
        yield sink
