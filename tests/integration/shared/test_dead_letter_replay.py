"""A dead letter that is replayed is applied once, however often it is replayed, whatever else its consumer awaits."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from shared.consuming.applying import Applier, Inbound, Seen
from shared.consuming.batch import Batch, Event, Record
from shared.consuming.dead_letters_tool import dead_letters
from shared.contract.cloudevents import source_of
from shared.contract.events import SUBMISSIONS, SubmissionReceived
from shared.contract.ids import new_id
from shared.postgres.database import Database, Transaction
from tests.integration.shared.rig import count, record, rows, submission

NOW = datetime(2026, 1, 20, tzinfo=UTC)
Handle = Callable[[Batch[Any], Transaction], Awaitable[None]]


async def broken(batch: Batch[SubmissionReceived], tx: Transaction) -> None:
    """A bad deploy."""
    raise ValueError("cannot handle this")


async def known_submissions(tx: Transaction, names: Sequence[str]) -> set[str]:
    """As strict as a service's own: it reads every name it is asked for."""
    return {name for name in names if UUID(name.removeprefix("submission/")).int == 0}


def applier(handle: Handle) -> Applier:
    return Applier("scoring", Inbound("follow", (SUBMISSIONS,), (SubmissionReceived,), handle, known_submissions))


def received(body: SubmissionReceived, offset: int = 0) -> Event[Any]:
    event_id = new_id()
    source = ("ce_source", source_of("intake"))
    headers = [("ce_type", body.TYPE.encode()), ("ce_id", str(event_id).encode()), source]
    record = Record(SUBMISSIONS, 0, offset, body.key.encode(), body.encode(), headers)
    return Event(event_id, body.TYPE, body.key, body, record)


async def buried(database: Database, *events: Event[Any]) -> None:
    async with database.transaction() as tx:
        await applier(broken).apply(tx, events, [], Seen(1, NOW), isolate=True)
    assert await count(database, "dead_letter") == len(events)


async def replay(database: Database, *ids: int) -> int:
    return await dead_letters("scoring", database.url, argparse.Namespace(what="replay", ids=list(ids), all=not ids))


async def fed(database: Database, handle: Handle = record) -> int:
    async with database.transaction() as tx:
        return await applier(handle).release(tx, NOW)


async def test_a_letter_replayed_twice_is_applied_once(database: Database) -> None:
    await buried(database, received(submission("H99.01")), received(submission("H99.02"), 1))
    assert await replay(database) == 0
    assert await fed(database) == 2
    assert await replay(database) == 1  # nothing to replay
    assert await fed(database) == 0
    assert await count(database, "applied") == 2


async def test_the_replay_of_a_number_that_nothing_has_says_that_nothing_was_found(database: Database) -> None:
    await buried(database, received(submission("H99.01")))
    number = int((await rows(database, "SELECT id FROM dead_letter"))[0][0])
    assert await replay(database, number + 1) == 1
    assert await replay(database, number, number + 1) == 0  # control: one of them is there


async def test_a_letter_whose_record_had_no_key_is_applied_as_the_original_would_be(database: Database) -> None:
    event = received(submission("H99.01"))
    await buried(database, replace(event, record=replace(event.record, key=None)))
    assert await replay(database) == 0
    assert await fed(database) == 1
    assert await count(database, "applied") == 1


async def test_a_letter_whose_stamp_is_lost_is_not_applied_again(database: Database) -> None:
    await buried(database, received(submission("H99.01")))
    await replay(database)
    await fed(database)
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE dead_letter SET replayed_at = NULL"))
    assert await replay(database) == 1  # nothing was fed: it is applied already
    assert await fed(database) == 0
    assert await count(database, "applied") == 1


async def test_without_stamp_and_inbox_it_would_be_applied_again(database: Database) -> None:
    """Negative control of both."""
    await buried(database, received(submission("H99.01")))
    await replay(database)
    await fed(database)
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE dead_letter SET replayed_at = NULL"))
        await tx.execute(text("DELETE FROM inbox"))
    await replay(database)
    await fed(database)
    assert await count(database, "applied") == 2


async def test_a_letter_that_is_bad_again_is_the_same_letter(database: Database) -> None:
    await buried(database, received(submission("H99.01")))
    await replay(database)
    await fed(database, broken)
    (letter,) = await rows(database, "SELECT attempts, replayed_at FROM dead_letter")
    assert (letter.attempts, letter.replayed_at) == (2, None)
    assert await count(database, "deferred_events") == 0
    assert await replay(database) == 0
    assert await fed(database) == 1
    assert await count(database, "applied") == 1


@pytest.mark.parametrize("waiting_too", [True, False], ids=["another waits for its own reason", "nothing else waits"])
async def test_a_replay_is_fed_whatever_else_its_consumer_awaits(database: Database, waiting_too: bool) -> None:
    await buried(database, received(submission("H99.01")))
    if waiting_too:

        async def parks(batch: Batch[SubmissionReceived], tx: Transaction) -> None:
            for event in batch:
                batch.defer(event, f"submission/{new_id()}")

        async with database.transaction() as tx:
            await applier(parks).apply(tx, [received(submission("H99.02"), 1)], [], Seen(1, NOW))
    await replay(database)
    assert await fed(database) == 1
    assert await count(database, "deferred_events") == int(waiting_too)
