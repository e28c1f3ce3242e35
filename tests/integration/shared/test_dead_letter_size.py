"""A record whose letter is too large for the dead-letter topic is kept whole, told shortened and replayed whole."""

from __future__ import annotations

from hashlib import sha256

import pytest
from msgspec.structs import replace

from shared.consuming import dead_letters
from shared.consuming.applying import Seen
from shared.postgres.database import Database
from shared.runtime.settings import KafkaSettings
from tests.integration.shared.rig import count, eventually, relay, rows, submission
from tests.integration.shared.test_dead_letter_replay import NOW, applier, broken, fed, received, replay
from tests.integration.shared.test_outbox import read_topic

MIB = 1024 * 1024


async def bury(database: Database, *headers: tuple[str, bytes], narrative: int = 10) -> None:
    event = received(submission("H99.01", narratives={"N": "x" * narrative}))
    record = replace(event.record, headers=[*event.record.headers, *headers])
    async with database.transaction() as tx:
        await applier(broken).apply(tx, [replace(event, record=record)], [], Seen(1, NOW), isolate=True)


#: each fits into a record of 1 MiB; as evidence, base64 in JSON, they do not fit into 2.25 MiB
LARGE = {
    "a name of many NULs": [("\x00" * 900_000, b"")],
    "very many headers": [("a", b"")] * 250_000,
    "a large value and large headers": [("note", b"x" * 900_000)],
}


@pytest.mark.parametrize("headers", LARGE.values(), ids=LARGE.keys())
async def test_a_letter_too_large_for_its_topic_is_told_shortened_and_replayed_whole(
    database: Database, kafka: KafkaSettings, headers: list[tuple[str, bytes]]
) -> None:
    await bury(database, *headers, narrative=1_200_000 if headers[0][0] == "note" else 10)
    sender = relay(database, kafka, service="scoring")
    await sender.start()

    async def sent() -> bool:
        return await count(database, "outbox") == 0

    try:
        await eventually(sent, "the letter is sent")
        (message,) = await read_topic(kafka, "scoring.dlq", 1)
    finally:
        await sender.stop()
    assert await count(database, "outbox_set_aside") == 0
    (letter,) = await rows(database, "SELECT * FROM dead_letter")
    told = dict(message.headers)
    assert told["dlq_shortened"] == b"true"
    assert told["dlq_value_sha256"].decode() == sha256(letter.value).hexdigest()
    assert str(letter.dead_letter_id).encode() in told["dlq_whole"]
    assert letter.value.startswith(message.value)
    assert len(letter.headers) == 3 + len(headers)  # the row has all of it
    assert await replay(database) == 0
    assert await fed(database) == 1
    assert await count(database, "applied") == 1


async def test_a_letter_that_is_not_shortened_would_be_set_aside_by_the_relay_and_the_letter_stay_whole(
    database: Database, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control of the shortening; and what is set aside hinders nobody, the letter's own row least."""
    monkeypatch.setattr(dead_letters, "declared_limit", lambda topic: 2**31)
    await bury(database, *LARGE["a name of many NULs"])
    sender = relay(database, kafka, service="scoring")
    await sender.start()

    async def aside() -> bool:
        return await count(database, "outbox_set_aside") == 1 and await count(database, "outbox") == 0

    try:
        await eventually(aside, "it is set aside")
    finally:
        await sender.stop()
    assert await count(database, "dead_letter") == 1
    assert await replay(database) == 0
    assert await fed(database) == 1
