"""A NUL in a header, which PostgreSQL stores nowhere, stops no partition: good events are applied, bad ones buried."""

from __future__ import annotations

import json
from uuid import uuid4

from shared.consuming.batch import Batch
from shared.contract.cloudevents import decode_headers, encode_headers
from shared.contract.events import SubmissionReceived
from shared.outbox import publish
from shared.postgres.database import Database, Transaction
from shared.runtime.settings import KafkaSettings
from tests.integration.shared.rig import consumers, count, record, rows, submission, subscription
from tests.integration.shared.test_consumer import applied, headers, produce, run_until

NUL_NAME = ("a\x00b", b"\x00\xff")


async def test_headers_with_a_nul_in_their_names_are_buried_parked_and_applied(
    database: Database, kafka: KafkaSettings
) -> None:
    bad, waits, good = submission("H99.01"), submission("H99.01", 2), submission("H99.01", 3)
    key = bad.key.encode()

    async def parks_the_second(batch: Batch[SubmissionReceived], tx: Transaction) -> None:
        for event in batch:
            if event.body.version == 2:
                batch.defer(event, "submission/unknown")
        await record(batch, tx)
        await publish(tx, [event.body for event in batch])

    await produce(
        kafka,
        (key, b"{not json", [*headers(bad), NUL_NAME]),
        (key, good.encode(), [*headers(good), NUL_NAME, ("traceparent", b"00-\x00")]),
        (key, waits.encode(), [*headers(waits), NUL_NAME]),
    )

    async def settled() -> bool:
        return [await count(database, table) for table in ("applied", "dead_letter", "deferred_events")] == [1, 1, 1]

    await run_until(consumers(kafka, subscription(database, kafka, parks_the_second)), settled, "each in its place")
    assert await applied(database) == [(good.key, 3)]
    for table in ("dead_letter", "deferred_events"):
        (row,) = await rows(database, f"SELECT headers FROM {table}")
        assert decode_headers(row.headers)[-1] == NUL_NAME, "byte for byte"


def test_headers_survive_being_stored() -> None:
    original = [("", b""), ("tên", b"\xff\x00"), NUL_NAME, ("ce_id", str(uuid4()).encode()), NUL_NAME]
    stored = encode_headers(original)
    assert "\\u0000" not in stored, "jsonb would refuse it"
    assert decode_headers(stored) == decode_headers(json.loads(stored)) == original
