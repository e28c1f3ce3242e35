"""Versions of an obligation are 1, 2, … without gap, however many clients and instances race for them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.intake.submissions import handlers, store
from shared.contract.events import SubmissionReceived
from shared.postgres.database import Database, Transaction
from tests.integration.intake.rig import COMMUNE, DEPARTMENT, Province, all_of, intake, report, rows
from tests.unit.intake.samples import pending


async def test_fifty_posts_to_one_obligation_on_two_instances_get_versions_1_to_50(province: Province) -> None:
    async with intake(province) as one, intake(province) as two:
        answers = await all_of(*((one if n % 2 else two).post(report(n)) for n in range(50)))
    assert [answer.status_code for answer in answers] == [201] * 50
    assert sorted(answer.json()["version"] for answer in answers) == list(range(1, 51))
    stored = await rows(province.url, "SELECT version FROM submissions ORDER BY version")
    assert [version for (version,) in stored] == list(range(1, 51))
    events = await rows(province.url, "SELECT body FROM outbox WHERE topic = 'submissions' ORDER BY id")
    published = [SubmissionReceived.model_validate_json(body).version for (body,) in events]
    assert published == list(range(1, 51)), "the order of events is the order of versions"


async def test_an_obligation_takes_so_many_versions_and_no_more(province: Province) -> None:
    async with intake(province) as client:
        first = await client.post(report(), key="first")
        database = Database(province.url, pool_size=1)
        async with database.transaction() as tx:
            await tx.execute(text("UPDATE obligations SET last_version = 199"))
        await database.close()
        last = await client.post(report(2))
        assert last.json()["version"] == 200
        answer = await client.post(report(3))
        assert answer.status_code == 409
        problem = answer.json()
        assert (problem["type"], problem["versions"]) == ("/problems/too-many-versions", 200)
        assert "cơ quan nhận báo cáo" in problem["detail_vi"]
        # what is stored is answered as ever, and the next period is open
        again = await client.post(report(), key="first")
        assert (again.status_code, again.json()) == (200, first.json())
        assert (await client.post(report(period="2026-M09"))).status_code == 201
    assert len(await rows(province.url, "SELECT 1 FROM submissions")) == 3


async def test_many_clients_at_once_first_to_use_a_period_are_all_stored(province: Province) -> None:
    """What another system loses here: a unique violation at the first use of a period, swallowed behind a 200."""
    async with intake(province) as one, intake(province) as two:
        answers = await all_of(
            *(
                client.post(report(f"{n}", period=f"2026-M{month:02}", officer=officer), of=of)
                for n in range(4)
                for month in range(1, 11)
                for client in (one, two)
                for of, officer in ((DEPARTMENT, "cb-01"), (COMMUNE, "cb-50"))
            )
        )
    # the two instances send equal contents: of each pair one may find that nothing has changed
    good = [answer for answer in answers if answer.status_code == 201]
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len(good) >= 80
    stored = {str(row[0]) for row in await rows(province.url, "SELECT submission_id FROM submissions")}
    assert {answer.json()["submission_id"] for answer in good} == stored
    gaps = await rows(
        province.url, "SELECT obligation FROM submissions GROUP BY obligation HAVING max(version) <> count(*)"
    )
    assert gaps == []


async def race(url: str) -> list[BaseException | None]:
    """Two transactions give a version to the same obligation at the same time."""
    database = Database(url, pool_size=2)
    both = asyncio.Barrier(2)

    async def one(content: str) -> None:
        async with database.transaction() as tx:
            await tx.execute(text("SELECT 1"))
            await both.wait()
            await handlers.accept(tx, [pending(content, key=content)])

    found = await asyncio.gather(one("a"), one("b"), return_exceptions=True)
    await database.close()
    return list(found)


async def test_two_transactions_at_once_wait_for_each_other(province: Province) -> None:
    assert await race(province.url) == [None, None]
    assert await rows(province.url, "SELECT version FROM submissions ORDER BY 1") == [(1,), (2,)]


async def test_without_the_row_lock_versions_collide(province: Province, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control of the lock."""
    meeting = asyncio.Barrier(2)

    async def unlocked(tx: Transaction, keys: Sequence[str]) -> store.Known:
        found = await tx.execute(
            text("SELECT obligation, last_version FROM obligations WHERE obligation = ANY(CAST(:keys AS text[]))"),
            {"keys": keys},
        )
        last = {**dict.fromkeys(keys, 0), **{row[0]: row[1] for row in found}}
        await meeting.wait()
        return store.Known(last, 0, {}, {})

    monkeypatch.setattr(store, "lock_obligations", unlocked)
    collided = [error for error in await race(province.url) if error is not None]
    assert len(collided) == 1
    assert isinstance(collided[0], IntegrityError)
    assert "submissions_one_row_per_version" in str(collided[0])
