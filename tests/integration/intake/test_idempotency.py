"""A repeated request never stores twice and always gets the first receipt, whichever instance it meets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from services.intake.submissions import handlers
from services.intake.submissions.domain import Decided, KeyReused, Pending, Replayed, Stored
from shared.postgres.database import Database, Transaction
from tests.integration.intake.rig import COMMUNE, Province, all_of, intake, report, rows
from tests.integration.intake.test_submitting import assert_problem
from tests.unit.intake.samples import pending


async def test_the_same_key_and_body_gets_the_original_receipt(province: Province) -> None:
    async with intake(province) as client:
        first = await client.post(report(), key="k")
        again = await client.post(report(), key="k")
        await client.post(report(2), key="later")
        last = await client.post(report(), key="k")
    assert first.status_code == 201
    assert "idempotent-replayed" not in first.headers
    for repeated in (again, last):
        assert repeated.status_code == 200
        assert repeated.headers["idempotent-replayed"] == "true"
        assert repeated.headers["location"] == first.headers["location"]
        assert repeated.content == first.content
    assert len(await rows(province.url, "SELECT 1 FROM submissions")) == 2


async def test_the_same_key_with_another_body_is_refused_and_names_the_first(province: Province) -> None:
    async with intake(province) as client:
        first = await client.post(report(), key="k")
        problem = assert_problem(await client.post(report(2), key="k"), 422, "idempotency-key-reused")
        assert problem["submission_id"] == first.json()["submission_id"]
        # another period is another obligation: the key is still the agency's one key
        assert_problem(await client.post(report(period="2026-M09"), key="k"), 422, "idempotency-key-reused")
        # and another agency's key of the same name is its own
        other = await client.post(report(officer="cb-50"), of=COMMUNE, key="k")
        assert other.status_code == 201


async def test_an_unchanged_report_under_a_new_key_is_told_which_submission_says_the_same(province: Province) -> None:
    async with intake(province) as client:
        first = await client.post(report(), key="a")
        reordered = json.dumps(dict(reversed(report().items())), indent=1)
        problem = assert_problem(await client.post(reordered, key="b"), 409, "unchanged")
    assert problem["submission_id"] == first.json()["submission_id"]
    assert problem["version"] == 1
    assert len(await rows(province.url, "SELECT 1 FROM submissions")) == 1


async def test_a_repetition_while_the_first_still_runs_is_told_to_come_back(province: Province) -> None:
    running, go_on = asyncio.Event(), asyncio.Event()

    async def slow(tx: Transaction, group: Sequence[Pending]) -> list[Decided]:
        running.set()
        await go_on.wait()
        return await handlers.accept(tx, group)

    async with intake(province, accept=slow) as client:
        first = asyncio.create_task(client.post(report(), key="k"))
        await running.wait()
        second = await client.post(report(), key="k")
        assert_problem(second, 409, "request-in-progress")
        assert second.headers["retry-after"] == "1"
        go_on.set()
        assert (await first).status_code == 201
        third = await client.post(report(), key="k")
    assert third.status_code == 200
    assert third.content == (await first).content


async def test_two_equal_keys_inside_one_group_are_one_submission(province: Province) -> None:
    database = Database(province.url, pool_size=1)
    first, same, other = pending("1", key="k"), pending("1", key="k"), pending("2", key="k")
    async with database.transaction() as tx:
        outcomes = await handlers.accept(tx, [first, same, other])
    await database.close()
    assert [type(outcome) for outcome in outcomes] == [Stored, Replayed, KeyReused]
    assert len(await rows(province.url, "SELECT 1 FROM submissions")) == 1
    assert len(await rows(province.url, "SELECT 1 FROM outbox WHERE topic = 'submissions'")) == 1


async def test_the_same_requests_sent_to_two_instances_at_once_are_stored_once_each(province: Province) -> None:
    async with intake(province) as one, intake(province) as two:
        answers = await all_of(
            *(
                client.post(report(n, period=f"2026-M{n % 9 + 1:02}"), key=f"k{n}")
                for n in range(30)
                for client in (one, two)
            )
        )
    assert {answer.status_code for answer in answers} == {200, 201}
    for first, second in zip(answers[::2], answers[1::2], strict=True):
        assert first.content == second.content
        assert {first.status_code, second.status_code} == {200, 201}
    assert len(await rows(province.url, "SELECT 1 FROM submissions")) == 30
    assert len(await rows(province.url, "SELECT 1 FROM outbox WHERE topic = 'submissions'")) == 30


async def test_one_key_for_different_reports_at_two_instances_stores_exactly_one(province: Province) -> None:
    """The two meet on the unique key, not on a lock: whoever loses must look again, and leave no gap."""
    async with intake(province) as one, intake(province) as two:
        for turn in range(15):
            answers = await all_of(
                one.post(report(f"{turn}a", period="2026-M08"), key=f"k{turn}"),
                two.post(report(f"{turn}b", period="2026-M09"), key=f"k{turn}"),
            )
            assert sorted(answer.status_code for answer in answers) == [201, 422]
    found = await rows(province.url, "SELECT obligation, version FROM submissions ORDER BY obligation, version")
    assert len(found) == 15
    for obligation in {row[0] for row in found}:
        versions = [version for key, version in found if key == obligation]
        assert versions == list(range(1, len(versions) + 1))
