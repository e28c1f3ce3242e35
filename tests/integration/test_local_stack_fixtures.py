"""What the fixtures of all tests promise: one infrastructure for the session, and nothing shared between two tests."""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from deploy.kafka import provision
from deploy.local import migrated
from shared.contract.services import SERVICES
from tests.stack import Infra, LocalMailSink


@pytest.mark.parametrize("attempt", [1, 2])
async def test_every_test_gets_an_empty_database_of_its_own(database_url: str, attempt: int) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
        await connection.execute("CREATE TABLE seen_by_nobody_else (n int)")
    finally:
        await connection.close()


@pytest.mark.parametrize("service", SERVICES)
async def test_a_migrated_database_is_complete_and_writable(
    migrated_database: Callable[[str], str], service: str
) -> None:
    first, second = migrated_database(service), migrated_database(service)
    assert first != second
    connection = await asyncpg.connect(second)
    try:
        tables = {
            r["tablename"]
            for r in await connection.fetch(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tableowner = current_user"
            )
        }
        assert "alembic_version" in tables
        assert any("outbox" in table for table in tables)
        assert any("inbox" in table for table in tables)
        await connection.execute("CREATE TABLE mine (n int)")
    finally:
        await connection.close()


def test_a_migration_is_skipped_only_while_files_and_database_agree(
    migrated_database: Callable[[str], str], database_url: str, tmp_path: Path
) -> None:
    stamp, url = tmp_path / "stamp", migrated_database("validator")
    assert not migrated.is_current(stamp, "validator", url)
    migrated.remember(stamp, "validator", url)
    assert migrated.is_current(stamp, "validator", url)
    assert not migrated.is_current(stamp, "validator", database_url)  # an empty database in its place
    assert not migrated.is_current(stamp, "intake", url)  # other files


async def test_topics_are_made_under_a_prefix_of_their_own(topics: str, infra: Infra) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=infra.kafka_bootstrap)
    await admin.start()
    try:
        present = {name for name in await admin.list_topics() if name.startswith(topics)}
        assert present == {topics + topic.name for topic in provision.load()}
    finally:
        await admin.close()


@pytest.mark.parametrize("attempt", [1, 2])
def test_every_test_gets_a_mail_sink_of_its_own(mail_sink: LocalMailSink, attempt: int) -> None:
    with smtplib.SMTP(*mail_sink.address, timeout=10) as client:
        client.sendmail("a@x.example", ["b@y.example"], b"Subject: xin chao\r\n\r\nnoi dung\r\n")
    (mail,) = mail_sink.mails()
    assert mail.subject == "xin chao"
    assert mail.to == ("b@y.example",)
