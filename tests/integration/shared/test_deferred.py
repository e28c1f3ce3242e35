"""What waits can be looked into, tried again and given up by command; nothing of its key is overtaken or lost."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.consuming.applying import Applier, Inbound, Seen
from shared.consuming.batch import Batch
from shared.consuming.deferred_tool import deferred
from shared.contract.events import SUBMISSIONS, SubmissionReceived
from shared.postgres.database import Database, Transaction
from tests.integration.shared.rig import count, record, rows, submission
from tests.integration.shared.test_dead_letter_replay import received, replay

NOW = datetime(2026, 1, 20, tzinfo=UTC)


class Following:
    """A consumer that needs what `there` holds; `known` tells less than is there: only a retry finds it."""

    def __init__(self) -> None:
        self.there: set[str] = set()
        self.applier = Applier(
            "scoring", Inbound("follow", (SUBMISSIONS,), (SubmissionReceived,), self.handle, self.known)
        )

    async def handle(self, batch: Batch[SubmissionReceived], tx: Transaction) -> None:
        for event in batch:
            if (name := f"regime/BC/{event.body.regime_version}") not in self.there:
                batch.defer(event, name)
        await record(batch, tx)

    async def known(self, tx: Transaction, names: Sequence[str]) -> set[str]:
        return set()

    async def take(self, database: Database, *events: SubmissionReceived) -> None:
        async with database.transaction() as tx:
            batch = [received(event, place) for place, event in enumerate(events)]
            await self.applier.apply(tx, batch, [], Seen(1, NOW), isolate=True)

    async def release(self, database: Database) -> int:
        async with database.transaction() as tx:
            return await self.applier.release(tx, NOW)


async def hand(database: Database, what: str, *ids: int, **options: Any) -> int:
    given = argparse.Namespace(what=what, ids=list(ids), **{"awaits": [], "all": False, **options})
    return await deferred("scoring", database.url, given)


@pytest.fixture
async def following(database: Database) -> Following:
    made = Following()
    await made.take(
        database, submission("H99.01", 1), submission("H99.01", 2), submission("H99.02", 1, regime_version=2)
    )
    assert await count(database, "deferred_events") == 3
    return made


async def test_list_and_show_tell_what_awaits_what(
    following: Following, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await hand(database, "list") == 0
    told = capsys.readouterr().out
    assert "regime/BC/1 · 2 (1 khoá / keys)" in told
    assert "regime/BC/2 · 1 (1 khoá / keys)" in told
    assert await hand(database, "show", name="regime/BC/1") == 0
    assert capsys.readouterr().out.count("H99.01/BC/2026-M01") == 2
    assert await hand(database, "show", name="regime/BC/2") == 0
    assert '"agency": "H99.02"' in capsys.readouterr().out.replace('\\"', '"').replace('":"', '": "')
    assert await hand(database, "show", name="regime/BC/3") == 1


async def test_a_retry_applies_what_can_be_and_defers_the_rest_again(following: Following, database: Database) -> None:
    following.there = {"regime/BC/1"}
    assert await following.release(database) == 0  # control: nothing releases it by itself
    assert await hand(database, "retry", all=True) == 0
    assert await following.release(database) == 2
    assert [(r.key, r.awaits) for r in await rows(database, "SELECT key, awaits FROM deferred_events")] == [
        ("H99.02/BC/2026-M01", "regime/BC/2")
    ]
    applied = await rows(database, "SELECT version FROM applied ORDER BY place")
    assert [row.version for row in applied] == [1, 2]
    assert await following.release(database) == 0


async def test_what_is_buried_can_be_replayed_and_lets_its_key_go_on(following: Following, database: Database) -> None:
    first = (await rows(database, "SELECT min(id) FROM deferred_events"))[0][0]
    assert await hand(database, "bury", first, reason="the agency withdrew it") == 0
    assert await hand(database, "bury", first, reason="again") == 1
    (letter,) = await rows(database, "SELECT * FROM dead_letter")
    assert letter.error_class == "Buried"
    assert "the agency withdrew it" in letter.error_text
    assert await count(database, "outbox") == 1  # its message
    following.there = {"regime/BC/1"}
    assert await hand(database, "retry", awaits=["regime/BC/1"]) == 0
    assert await following.release(database) == 1
    assert await replay(database) == 0
    assert await following.release(database) == 1
    assert await count(database, "applied") == 2


async def test_nothing_is_done_where_nothing_is_named(following: Following, database: Database) -> None:
    assert await hand(database, "retry") == 2
    assert await hand(database, "bury", reason="x") == 2
    assert await count(database, "deferred_events") == 3
