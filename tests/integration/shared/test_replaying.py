"""The archive is sent again when the cluster is another one, or when an operator asks for a part of it."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from shared.contract.events import SUBMISSIONS
from shared.postgres.database import Database
from shared.runtime.settings import KafkaSettings
from tests.integration.shared.rig import count, eventually, relay, rows, send, submission
from tests.integration.shared.test_outbox import read_topic

MORNING = datetime(2026, 1, 20, 1, tzinfo=UTC)


async def _ids(kafka: KafkaSettings, at_least: int) -> list[bytes]:
    return [dict(record.headers)["ce_id"] for record in await read_topic(kafka, SUBMISSIONS, at_least)]


async def _sent(database: Database, kafka: KafkaSettings, versions: range) -> None:
    """A relay's whole life: it checks the log, sends these, stops."""
    sender = relay(database, kafka)
    await sender.start()
    try:
        await send(database, [submission(version=n) for n in versions])

        async def drained() -> bool:
            return await count(database, "outbox") == 0 and not await rows(
                database, "SELECT 1 FROM relay_state WHERE name = 'replay_after'"
            )

        await eventually(drained, "sent, and no replay pending")
    finally:
        await sender.stop()


async def test_another_cluster_gets_the_whole_archive_again(database: Database, kafka: KafkaSettings) -> None:
    await _sent(database, kafka, range(1, 6))
    cluster = await rows(database, "SELECT value FROM relay_state WHERE name = 'cluster'")
    async with database.transaction() as tx:
        await tx.exec_driver_sql("UPDATE relay_state SET value = 'the cluster before' WHERE name = 'cluster'")
    await _sent(database, kafka, range(6, 7))
    ids = await _ids(kafka, 11)
    assert ids == [*ids[:5], *ids[:5], ids[10]], "all again in their order, under their own ids, before what is new"
    assert len(set(ids)) == 6
    assert await rows(database, "SELECT value FROM relay_state WHERE name = 'cluster'") == cluster


async def test_the_same_cluster_gets_nothing_again(database: Database, kafka: KafkaSettings) -> None:
    """Negative control."""
    await _sent(database, kafka, range(1, 6))
    await _sent(database, kafka, range(6, 7))
    ids = await _ids(kafka, 6)
    assert len(ids) == len(set(ids)) == 6


async def _archived(database: Database, hours: range, kind: str, agency: str) -> None:
    connection = await asyncpg.connect(database.url)
    for hour in hours:
        event = submission(agency, hour + 1)
        await connection.execute(
            "INSERT INTO outbox_archive (id, event_id, topic, key, type, body, created_at) "
            "SELECT coalesce(max(id), 0) + 1, $1, $2, $3, $4, $5, $6 FROM outbox_archive",
            event.submission_id, event.TOPIC, event.key, kind, event.encode(), MORNING + timedelta(hours=hour),
        )  # fmt: skip
    await connection.close()


async def replay(database: Database, kafka: KafkaSettings, *arguments: str) -> tuple[int, str, str]:
    """`python -m services.intake replay …`: exit code, stdout, stderr."""
    environment = {
        **os.environ,
        "INTAKE_DATABASE_URL": database.url,
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        "KAFKA_IDEMPOTENCE": str(kafka.idempotence),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.intake", "replay", *arguments,
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


async def test_the_command_counts_and_sends_what_is_selected(database: Database, kafka: KafkaSettings) -> None:
    await _archived(database, range(6), "vn.test.wanted", "H99.01")
    await _archived(database, range(6), "vn.test.other", "H99.02")
    # hours 2 and 3 of one type: the first moment counts, the last does not
    selection = ["--since", "2026-01-20T10:00:00+07:00", "--until", "2026-01-20T05:00:00+00:00"]
    selection += ["--type", "vn.test.wanted"]

    code, out, err = await replay(database, kafka, *selection, "--dry-run")
    assert code == 0, err
    assert out.split() == ["2", "vn.test.wanted", "2", "tổng", "số", "/", "in", "all"]
    code, out, err = await replay(database, kafka, *selection, "--rate", "1000")
    assert code == 0, err
    assert "Đã gửi lại 2 sự kiện" in out
    code, _, err = await replay(database, kafka, "--key", submission("H99.02").key, "--since", "2026-01-20T06:00+00:00")
    assert code == 0, err

    records = await read_topic(kafka, SUBMISSIONS, 3)
    found = [(dict(r.headers)["ce_type"], dict(r.headers)["ce_time"]) for r in records]
    assert sorted(found) == [
        (b"vn.test.other", b"2026-01-20T06:00:00+00:00"),
        (b"vn.test.wanted", b"2026-01-20T03:00:00+00:00"),
        (b"vn.test.wanted", b"2026-01-20T04:00:00+00:00"),
    ], "and the dry run sent nothing"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rate", "0"], "tốc độ phải là số lớn hơn 0"),
        (["--rate", "-5"], "the rate is a number above 0"),
        (["--rate", "nan"], "the rate is a number above 0"),
        (["--rate", "nhanh"], "the rate is a number above 0"),
        (["--since", "2026-01-20T10:00:00"], "needs an offset"),
    ],
)
async def test_what_cannot_be_meant_is_refused_with_a_sentence(
    database: Database, kafka: KafkaSettings, arguments: list[str], said: str
) -> None:
    code, out, err = await replay(database, kafka, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
