"""What waits can be looked into, tried again and given up by command; nothing of its key is overtaken or lost."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from shared.consuming import deferred_events, deferred_tool
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
    assert "regime/BC/1 · 2 (1 khóa / keys)" in told
    assert "regime/BC/2 · 1 (1 khóa / keys)" in told
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
    assert await following.release(database) == 1  # the one behind it
    assert await replay(database) == 0
    assert await following.release(database) == 1
    assert await count(database, "applied") == 2


async def test_nothing_is_done_where_nothing_is_named(following: Following, database: Database) -> None:
    assert await hand(database, "retry") == 2
    assert await hand(database, "bury", reason="x") == 2
    assert await count(database, "deferred_events") == 3


async def behind(database: Database) -> Following:
    """An event that lacks nothing, behind one of its key that does: it carries the name that the first one awaits."""
    following = Following()
    following.there = {"regime/BC/2"}
    await following.take(database, submission("H99.01", 1), submission("H99.01", 2, regime_version=2))
    assert {row.awaits for row in await rows(database, "SELECT awaits FROM deferred_events")} == {"regime/BC/1"}
    return following


async def bury_the_first(database: Database) -> None:
    first = (await rows(database, "SELECT min(id) FROM deferred_events"))[0][0]
    assert await hand(database, "bury", first, reason="it never comes") == 0


async def test_once_the_first_is_buried_the_next_of_its_key_has_its_turn(database: Database) -> None:
    following = await behind(database)
    await bury_the_first(database)
    assert await following.release(database) == 1
    assert [row.version for row in await rows(database, "SELECT version FROM applied")] == [2]


async def test_the_next_is_deferred_for_what_it_lacks_itself(database: Database) -> None:
    following = await behind(database)
    following.there = set()
    await bury_the_first(database)
    assert await following.release(database) == 0
    assert [row.awaits for row in await rows(database, "SELECT awaits FROM deferred_events")] == ["regime/BC/2"]


async def test_the_control_without_its_turn_the_next_waits_for_what_the_buried_one_lacked(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def retry(*_: object) -> int:
        return 0

    following = await behind(database)
    monkeypatch.setattr(deferred_tool, "_retry", retry)
    await bury_the_first(database)
    assert await following.release(database) == 0
    assert await count(database, "deferred_events") == 1


async def test_many_are_buried_in_small_transactions_and_replayed_in_order(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    following, sizes = Following(), list[int]()
    bury_some = deferred_tool._bury_some

    async def counted(tx: Transaction, service: str, ids: Sequence[int], why: str) -> list[tuple[str, str]]:
        sizes.append(len(ids))
        return await bury_some(tx, service, ids, why)

    monkeypatch.setattr(deferred_tool, "BURIED_AT_ONCE", 3)
    monkeypatch.setattr(deferred_tool, "_bury_some", counted)
    await following.take(database, *(submission("H99.01", version) for version in range(1, 9)))
    assert await hand(database, "bury", awaits=["regime/BC/1"], reason="it never comes") == 0
    assert sizes == [3, 3, 2]
    assert await count(database, "dead_letter") == 8
    following.there = {"regime/BC/1"}
    assert await replay(database) == 0
    assert await following.release(database) == 8
    applied = [row.version for row in await rows(database, "SELECT version FROM applied ORDER BY place")]
    assert applied == list(range(1, 9))


LARGE = {"N": "x" * 10_000}


@pytest.mark.parametrize(("most_bytes", "released"), [(25_000, 3), (1, 1), (10**9, 8)])  # the last is the control
async def test_a_release_takes_no_more_than_fits_into_memory(
    database: Database, monkeypatch: pytest.MonkeyPatch, most_bytes: int, released: int
) -> None:
    monkeypatch.setattr(deferred_events, "READY_BYTES", most_bytes)
    following = Following()
    await following.take(database, *(submission("H99.01", version, narratives=LARGE) for version in range(1, 9)))
    following.there = {"regime/BC/1"}
    assert await hand(database, "retry", all=True) == 0
    assert await following.release(database) == released
    while await count(database, "deferred_events"):
        assert await hand(database, "retry", all=True) == 0
        assert await following.release(database)
    applied = [row.version for row in await rows(database, "SELECT version FROM applied ORDER BY place")]
    assert applied == list(range(1, 9))


async def test_the_list_counts_what_it_does_not_show(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    following = Following()
    await following.take(
        database, *(submission(f"H99.{n}", regime_version=n) for n in range(1, 6)), submission("H99.6", 1)
    )
    monkeypatch.setattr(deferred_tool, "_GROUPS", text(str(deferred_tool._GROUPS).replace("LIMIT 1000", "LIMIT 2")))
    assert await hand(database, "list") == 0
    told = capsys.readouterr().out
    assert told.count("regime/BC/") == 2
    assert "6 sự kiện tạm hoãn" in told
