"""A dead letter is one record at one place: a place that is given out again by a log that was lost hides no record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from shared.consuming.batch import Record
from shared.consuming.dead_letters import DeadLetter, bury
from shared.contract.events import SUBMISSIONS
from shared.contract.ids import new_id
from shared.postgres.database import Database
from tests.integration.shared.rig import rows

NOW = datetime(2026, 1, 20, tzinfo=UTC)
EVENT, OTHER = new_id(), new_id()


def letter(value: bytes | None, event_id: Any = EVENT, *, key: bytes | None = b"H99.01", **changes: Any) -> DeadLetter:
    headers = [("ce_id", str(event_id).encode())] if event_id else []
    record = Record(SUBMISSIONS, 0, changes.get("offset", 7), key, value, changes.get("headers", headers))
    return DeadLetter(record, event_id, "vn.test", "ValueError", "broken", 1, NOW)


async def reject(database: Database, *letters: DeadLetter) -> None:
    async with database.transaction() as tx:
        await bury(tx, "scoring", "scoring.follow", letters)


async def stored(database: Database) -> tuple[list[Any], list[Any]]:
    """(letters, what goes to the dead-letter topic), each oldest first."""
    return (
        await rows(database, "SELECT * FROM dead_letter ORDER BY id"),
        await rows(database, "SELECT * FROM outbox WHERE topic = 'scoring.dlq' ORDER BY id"),
    )


@pytest.mark.parametrize(
    "other",
    [
        letter(b"second", OTHER),
        letter(b"second"),
        letter(None),
        letter(b"first", headers=[("ce_id", str(EVENT).encode()), ("more", b"")]),
        letter(b"first", None, headers=[("ce_id", str(EVENT).encode())]),
    ],
    ids=["another event", "another body", "no body", "other headers", "no id that can be read"],
)
async def test_another_bad_record_at_a_known_place_is_another_letter(database: Database, other: DeadLetter) -> None:
    await reject(database, letter(b"first"))
    await reject(database, other)
    letters, sent = await stored(database)
    assert [letter.value for letter in letters] == [b"first", other.record.value]
    assert [letter.event_id for letter in letters] == [EVENT, other.event_id]
    assert [letter.attempts for letter in letters] == [1, 1]
    assert [row.body for row in sent] == [b"first", other.record.value]
    assert [letter.key for letter in sent] == [str(letter.dead_letter_id) for letter in letters]


async def test_records_without_an_id_are_told_apart_by_their_keys(database: Database) -> None:
    await reject(database, letter(b"x", None, key=b"a"), letter(b"x", None, key=b"b"), letter(b"x", None, key=None))
    letters, sent = await stored(database)
    assert ([letter.key for letter in letters], len(sent)) == ([b"a", b"b", None], 3)


@pytest.mark.parametrize(
    "same",
    [letter(b"first"), letter(b"first", key=None), letter(b"first", key=rb"H99.01\377")],
    ids=["byte for byte", "replayed without key", "replayed with its key as text"],
)
async def test_the_same_record_rejected_again_is_the_same_letter(database: Database, same: DeadLetter) -> None:
    await reject(database, letter(b"first"))
    await reject(database, same)
    letters, sent = await stored(database)
    assert [(letter.attempts, letter.value) for letter in letters] == [(2, b"first")]
    assert len(sent) == 1


async def test_known_by_its_place_alone_the_second_record_would_be_nowhere(database: Database) -> None:
    """Negative control: a digest that says nothing leaves the place alone."""
    async with database.transaction() as tx:
        await tx.execute(
            text(
                "CREATE FUNCTION no_digest() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN NEW.digest = ''; RETURN NEW; END $$"
            )
        )
        await tx.execute(
            text("CREATE TRIGGER no_digest BEFORE INSERT ON dead_letter FOR EACH ROW EXECUTE FUNCTION no_digest()")
        )
    await reject(database, letter(b"first"))
    await reject(database, letter(b"second", OTHER))
    letters, sent = await stored(database)
    assert [letter.value for letter in letters] == [b"first"]
    assert [row.body for row in sent] == [b"first"]
