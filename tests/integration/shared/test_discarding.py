"""A discarded letter is out of sight, not lost: who, when and why are kept, and it can be restored for 30 days."""

from __future__ import annotations

import argparse

import pytest
from sqlalchemy import text

from shared.consuming.dead_letters_tool import dead_letters
from shared.contract.events import SUBMISSIONS
from shared.postgres.database import Database
from tests.integration.shared.rig import count, rows, submission
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
