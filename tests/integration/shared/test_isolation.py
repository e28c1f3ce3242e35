"""One event that makes every transaction fail stops nobody, however its error looks.

A database in trouble defers and buries nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from shared.consuming import until_done
from shared.consuming.batch import Batch, Event, Record
from shared.consuming.isolating import Part
from shared.consuming.preparing import Prepared
from shared.consuming.releasing import Patience
from shared.consuming.subscription import Subscription
from shared.contract.cloudevents import source_of
from shared.contract.events import SUBMISSIONS, SubmissionReceived
from shared.postgres.database import Database, Transaction
from shared.runtime.settings import KafkaSettings
from tests.integration.shared.rig import count, eventually, record, rows, submission, subscription

CULPRIT = "H99.66"
HASTY = Patience(failures=3, seconds=0.5, first_pause_seconds=0.05, longest_pause_seconds=0.1)
Harm = Callable[[Transaction], Awaitable[None]]


async def _takes_too_long(tx: Transaction) -> None:
    await tx.execute(text("SELECT pg_sleep(5)"))


async def _loses_its_connection(tx: Transaction) -> None:
    await tx.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


async def _stays_idle(tx: Transaction) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 1)
    await tx.execute(text("SELECT 1"))


async def _needs_too_much_memory(tx: Transaction) -> None:
    raise MemoryError


HARMS = [_takes_too_long, _loses_its_connection, _stays_idle, _needs_too_much_memory]


@pytest.fixture
async def impatient(database: Database, database_url: str) -> AsyncIterator[Database]:
    """The consumer's, which gives up statements and idle transactions soon; the test looks through another."""
    impatient = Database(
        database_url,
        statement_timeout_seconds=0.5,
        server_settings={"idle_in_transaction_session_timeout": "300"},
    )
    yield impatient
    await impatient.close()


def records(*events: SubmissionReceived) -> list[Record]:
    return [
        Record(
            SUBMISSIONS,
            0,
            place,
            event.key.encode(),
            event.encode(),
            [
                ("ce_id", str(event.submission_id).encode()),
                ("ce_type", event.TYPE.encode()),
                ("ce_source", source_of("intake")),
            ],
        )
        for place, event in enumerate(events)
    ]


def harmful(harm: Harm) -> Callable[[Batch[Any], Transaction], Awaitable[None]]:
    async def handle(batch: Batch[SubmissionReceived], tx: Transaction) -> None:
        await record(batch, tx)
        if any(event.body.agency == CULPRIT and event.body.version == 2 for event in batch):
            await harm(tx)

    return handle


def crowd() -> list[SubmissionReceived]:
    """Forty neighbours and, in the middle, three versions of the culprit's key, the second of which does the harm."""
    neighbours = [submission(f"H99.1{n:02}") for n in range(40)]
    return [*neighbours[:20], *(submission(CULPRIT, version) for version in (1, 2, 3)), *neighbours[20:]]


async def applied(database: Database) -> set[tuple[str, int]]:
    return {(row.key.split("/")[0], row.version) for row in await rows(database, "SELECT key, version FROM applied")}


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
async def test_neighbours_are_applied_and_the_culprit_ends_as_a_dead_letter(
    database: Database, impatient: Database, kafka: KafkaSettings, harm: Harm
) -> None:
    following = subscription(impatient, kafka, harmful(harm), release_seconds=0.05, patience=HASTY)
    events = crowd()
    await asyncio.wait_for(following.process(records(*events)), 60)
    done = await applied(database)
    assert len(done) == 41, "all neighbours and the culprit's first version"
    assert (CULPRIT, 1) in done
    assert [
        (r.event_id, r.awaits) for r in await rows(database, "SELECT event_id, awaits FROM deferred_events ORDER BY id")
    ] == [
        (events[21].submission_id, f"alone/{events[21].submission_id}"),
        (events[22].submission_id, f"alone/{events[21].submission_id}"),
    ]
    releasing = asyncio.create_task(following.release_loop())
    try:
        version = 1

        async def buried() -> bool:
            nonlocal version
            version += 1
            await following.process(records(submission("H99.77", version)))  # a neighbour that goes on
            return await count(database, "dead_letter") == 1

        await eventually(buried, "the culprit is given up")

        async def freed() -> bool:
            return (CULPRIT, 3) in await applied(database) and await count(database, "deferred_events") == 0

        await eventually(freed, "what was behind it is applied")
    finally:
        following.stop()
        await releasing
    (letter,) = await rows(database, "SELECT event_id, value, error_text, attempts FROM dead_letter")
    assert letter.event_id == events[21].submission_id
    assert letter.value == events[21].encode()
    assert "applied alone it failed" in letter.error_text
    assert (CULPRIT, 2) not in await applied(database)


async def test_without_isolation_one_event_stops_all(
    database: Database, impatient: Database, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: the batch is waited out as if the database were away."""

    async def never(database: Database) -> bool:
        return False

    monkeypatch.setattr(until_done, "answers", never)
    following = subscription(impatient, kafka, harmful(_needs_too_much_memory))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(following.process(records(*crowd())), 6)
    assert await applied(database) == set()


async def _process(following: Subscription, events: list[SubmissionReceived]) -> None:
    await asyncio.wait_for(following.process(records(*events)), 60)


@pytest.mark.parametrize("answering", [True, False])
async def test_trouble_of_all_is_waited_out_and_buries_and_defers_nothing(
    database: Database, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch, answering: bool
) -> None:
    """A table that is locked, a database that comes and goes: also where the probe finds it in order each time."""
    tries = 0

    async def flapping(batch: Batch[SubmissionReceived], tx: Transaction) -> None:
        nonlocal tries
        await record(batch, tx)
        tries += 1
        if tries <= 12:
            raise ConnectionResetError

    async def probe(database: Database) -> bool:
        return answering

    monkeypatch.setattr(until_done, "answers", probe)
    monkeypatch.setattr(until_done, "LONGEST_BACKOFF_SECONDS", 0.1)
    following = subscription(database, kafka, flapping)
    events = crowd()
    await _process(following, events)
    assert len(await applied(database)) == len(events)
    assert await count(database, "deferred_events") == await count(database, "dead_letter") == 0
    in_order = await rows(
        database, "SELECT version FROM applied WHERE key LIKE :key ORDER BY place", key=f"{CULPRIT}/%"
    )
    assert [row.version for row in in_order] == [1, 2, 3]


async def test_an_event_that_fails_alone_for_a_while_is_applied_in_the_end(
    database: Database, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deferred is not given up: while no neighbour was applied, or the failures do not go on, nothing is buried."""
    failing = {UUID(int=0)}

    async def handle(batch: Batch[SubmissionReceived], tx: Transaction) -> None:
        await record(batch, tx)
        if any(event.body.submission_id in failing for event in batch):
            raise ConnectionResetError

    following = subscription(database, kafka, handle, release_seconds=0.05, patience=HASTY)
    lonely = submission(CULPRIT)
    failing.add(lonely.submission_id)
    await _process(following, [lonely])
    assert await count(database, "deferred_events") == 1
    releasing = asyncio.create_task(following.release_loop())
    try:

        async def tried_often() -> bool:
            trials = following._releaser._trials
            return any(trial.failures > 2 * HASTY.failures for trial in trials.values())

        await eventually(tried_often, "it is tried again and again")
        assert await count(database, "dead_letter") == 0
        failing.clear()

        async def came() -> bool:
            return await count(database, "deferred_events") == 0

        await eventually(came, "it is applied once it can be")
    finally:
        following.stop()
        await releasing
    assert await applied(database) == {(CULPRIT, 1)}
    assert await count(database, "dead_letter") == 0


async def test_a_deferred_event_that_makes_its_release_fail_stops_no_other(
    database: Database, kafka: KafkaSettings
) -> None:
    known = False

    async def names(tx: Transaction, names: Any) -> set[str]:
        return set(names) if known else set()

    async def handle(batch: Batch[SubmissionReceived], tx: Transaction) -> None:
        for event in batch:
            if not known:
                batch.defer(event, "regime/BC/1")
        await record(batch, tx)
        if any(event.body.agency == CULPRIT for event in batch):
            raise ConnectionResetError

    following = subscription(database, kafka, handle, names, release_seconds=0.05)
    await _process(following, [submission(f"H99.1{n:02}") for n in range(9)] + [submission(CULPRIT)])
    await _process(following, [submission(f"H99.2{n:02}") for n in range(20)])
    assert await count(database, "deferred_events") == 30
    known = True
    releasing = asyncio.create_task(following.release_loop())
    try:

        async def others_applied() -> bool:
            return await count(database, "applied") == 29

        await eventually(others_applied, "the others are released")
    finally:
        following.stop()
        await releasing
    (left,) = await rows(database, "SELECT key, awaits FROM deferred_events")
    assert left.key.startswith(CULPRIT)
    assert left.awaits.startswith("alone/")


def test_an_event_is_never_tried_beside_what_lies_behind_it() -> None:
    """Parts have no key in common; of a single key, the first event goes ahead of the rest."""
    events: list[Event[Any]] = list(Batch.of(crowd())._events)
    part = Part(events, records=len(events))
    parts = part.split()
    assert sorted(len(part.events) for part in parts)[-1] <= 8
    keys = [key for part in parts for key in {event.key for event in part.events}]
    assert len(keys) == len(set(keys)) == 41
    (mixed,) = [part for part in parts if len({e.key for e in part.events}) < len(part.events)]
    (lone,) = [part for part in mixed.split() if part.events[0].body.agency == CULPRIT]
    (head,) = lone.split()
    assert [event.body.version for event in head.events] == [1]
    (behind,) = head.rest()
    assert [event.body.version for event in behind.events] == [2, 3]


async def test_what_was_applied_already_is_not_prepared_again(database: Database, kafka: KafkaSettings) -> None:
    """A topic that is told again costs no computing, from its second batch on; the inbox alone decides, as ever."""
    prepared: list[int] = []

    async def prepare(events: Any, snapshots: Any, *, apart: bool) -> Prepared:
        prepared.append(len(events))
        return Prepared()

    following = subscription(database, kafka)
    following._applier.inbound = replace(following.inbound, prepare=prepare)
    events = [submission(f"H99.1{n:02}") for n in range(10)]
    for _ in range(3):
        await _process(following, events)
    await _process(following, [*events, submission("H99.99")])
    assert prepared == [10, 10, 0, 1]
    assert await count(database, "applied") == 11
