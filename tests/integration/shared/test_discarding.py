"""A discarded letter is out of sight, not lost: who, when and why are kept, and it can be restored for 30 days."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text

from shared.consuming.dead_letters_tool import dead_letters
from shared.contract.events import SUBMISSIONS
from shared.outbox import purge
from shared.outbox.purge import RESTORE_DAYS, purge_discarded
from shared.outbox.relay import Relay
from shared.postgres.database import Database
from shared.runtime.clock import ManualClock
from shared.runtime.settings import KafkaSettings
from tests.integration.shared.rig import count, eventually, rows, submission
from tests.integration.shared.test_dead_letter_replay import buried, fed, received, replay


async def hand(database: Database, what: str, *ids: int, **options: object) -> int:
    given = argparse.Namespace(what=what, ids=list(ids), **{"all": False, "discarded": False, **options})
    return await dead_letters("scoring", database.url, given)


async def two_letters(database: Database) -> list[int]:
    await buried(database, received(submission("H99.01")), received(submission("H99.02"), 1))
    return [row.id for row in await rows(database, "SELECT id FROM dead_letter ORDER BY id")]


async def test_what_is_discarded_is_not_replayed_until_it_is_restored(
    database: Database, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPERATOR", "nguyen.thi.a")
    first, second = await two_letters(database)
    assert await hand(database, "discard", first, reason="sent by mistake") == 0
    assert await hand(database, "discard", first, reason="again") == 1
    capsys.readouterr()
    assert await hand(database, "list") == 0
    assert f"{SUBMISSIONS}-0@0" not in capsys.readouterr().out
    assert await hand(database, "list", discarded=True) == 0
    told = capsys.readouterr().out
    assert f"{SUBMISSIONS}-0@0" in told
    assert "nguyen.thi.a: sent by mistake" in told

    assert await replay(database) == 0  # --all: the other one
    assert await fed(database) == 1
    assert await hand(database, "replay", first) == 1  # nothing to replay
    assert await fed(database) == 0
    (letter,) = await rows(database, "SELECT * FROM dead_letter WHERE discarded_at IS NOT NULL")
    assert letter.value

    assert await hand(database, "restore", first) == 0
    assert await hand(database, "restore", first) == 1
    assert await replay(database) == 0
    assert await fed(database) == 1
    assert await count(database, "applied") == 2
    assert await hand(database, "discard", second, reason="it is applied already") == 1


@pytest.mark.parametrize(("days", "code"), [(29, 0), (31, 1)])
async def test_it_can_be_restored_for_thirty_days(database: Database, days: int, code: int) -> None:
    first, _ = await two_letters(database)
    await hand(database, "discard", first, reason="x")
    async with database.transaction() as tx:
        await tx.execute(text(f"UPDATE dead_letter SET discarded_at = discarded_at - interval '{days} days'"))
    assert await hand(database, "restore", first) == code
    assert await count(database, "dead_letter") == 2


NOW = datetime(2040, 5, 10, 12, tzinfo=UTC)


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database.url)
    yield connection
    await connection.close()


async def discarded_at(connection: asyncpg.Connection, moment: datetime, *ids: int) -> None:
    await connection.execute(
        "UPDATE dead_letter SET discarded_at = $1, discarded_by = 'x', discarded_reason = 'x' WHERE id = ANY($2)",
        moment,
        list(ids),
    )


def purged() -> float:
    return REGISTRY.get_sample_value("thongsuot_dead_letters_purged_total", {"group": "scoring.follow"}) or 0.0


async def left(database: Database) -> list[int]:
    return [row.id for row in await rows(database, "SELECT id FROM dead_letter ORDER BY id")]


async def test_what_can_no_longer_be_restored_is_purged_and_its_event_stays_settled(
    database: Database, connection: asyncpg.Connection
) -> None:
    events = [received(submission(f"H99.0{n}"), n) for n in range(3)]
    await buried(database, *events)
    old, young, still_open = await left(database)
    await discarded_at(connection, NOW - timedelta(days=RESTORE_DAYS, seconds=1), old)
    await discarded_at(connection, NOW - timedelta(days=RESTORE_DAYS, seconds=-1), young)
    before = purged()
    assert await purge_discarded(connection, NOW) == 1
    assert await left(database) == [young, still_open]
    assert purged() == before + 1
    settled = await rows(database, "SELECT event_id FROM inbox")
    assert [row.event_id for row in settled] == [events[0].id], "a replay of the archive finds it dealt with"
    assert await purge_discarded(connection, NOW) == 0


async def test_an_event_with_another_open_letter_is_not_settled(
    database: Database, connection: asyncpg.Connection
) -> None:
    await buried(database, received(submission("H99.01")), received(submission("H99.02"), 1))
    first, second = await left(database)
    await connection.execute(
        "UPDATE dead_letter SET event_id = (SELECT event_id FROM dead_letter WHERE id = $1)", first
    )
    await discarded_at(connection, NOW - timedelta(days=40), first)
    assert await purge_discarded(connection, NOW) == 1
    assert await count(database, "inbox") == 0
    assert await replay(database, second) == 0
    assert await fed(database) == 1


async def test_a_round_is_bounded_and_the_next_one_goes_on(
    database: Database, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await buried(database, *(received(submission(f"H99.{n:02}"), n) for n in range(7)))
    await discarded_at(connection, NOW - timedelta(days=40), *await left(database))
    monkeypatch.setattr(purge, "PURGED_ROWS", 2)
    monkeypatch.setattr(purge, "PURGES", 2)
    assert [await purge_discarded(connection, NOW) for _ in range(3)] == [4, 3, 0]


def _letters(database: Database, number: int) -> Callable[[], Awaitable[bool]]:
    async def are() -> bool:
        return await count(database, "dead_letter") == number

    return are


async def test_the_leading_relay_purges_in_its_rounds_as_the_clock_moves(
    database: Database, kafka: KafkaSettings, connection: asyncpg.Connection
) -> None:
    await two_letters(database)
    first, second = await left(database)
    await discarded_at(connection, NOW - timedelta(days=RESTORE_DAYS + 1), first)
    await discarded_at(connection, NOW, second)
    clock = ManualClock(NOW)
    leader = Relay("scoring", database.url, kafka, clock)
    await leader.start()
    try:
        await eventually(_letters(database, 1), "the one that is over thirty days old goes at once")
        assert await left(database) == [second]
        clock.advance(days=RESTORE_DAYS, seconds=1)
        await eventually(_letters(database, 0), "the other one thirty days later")
    finally:
        await leader.stop()
