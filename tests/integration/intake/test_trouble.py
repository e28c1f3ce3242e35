"""Whatever happens to the database, a receipt means stored, a refusal means not stored, and 503 means ask again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import httpx
import pytest
from sqlalchemy import text

from services.intake.submissions import handlers
from services.intake.submissions.domain import Decided, Defect, Pending, Stored, SubmissionOutcome, Unknown
from services.intake.submissions.group_commit import GroupCommit
from shared.postgres.database import Database, Transaction
from tests.integration.intake.proxy import proxied
from tests.integration.intake.rig import Province, all_of, intake, report, rows
from tests.integration.intake.test_submitting import assert_problem
from tests.unit.intake.samples import pending


async def refuse_officer(url: str, officer: str) -> None:
    """Let the database refuse every submission of one officer, for a reason that admission cannot know."""
    database = Database(url, pool_size=1)
    async with database.transaction() as tx:
        await tx.execute(text(f"ALTER TABLE submissions ADD CHECK (officer_id <> '{officer}')"))
    await database.close()


async def offered(url: str, group: Sequence[Pending], **options: object) -> list[SubmissionOutcome]:
    commits = GroupCommit(Database(url, pool_size=2), handlers.accept, **options)  # type: ignore[arg-type]
    await commits.start()
    try:
        return list(await asyncio.gather(*(commits.offer(item) for item in group)))
    finally:
        await commits.stop()


async def test_one_bad_submission_never_fails_its_neighbours(province: Province) -> None:
    await refuse_officer(province.url, "bad")
    group = [
        pending(
            str(n),
            key=f"k{n}",
            officer_id="bad" if n in (3, 17, 18) else "cb-01",
            obligation=f"A/R/{n % 5}",
            agency="A",
        )
        for n in range(30)
    ]
    outcomes = await offered(province.url, group, lanes=1)
    for item, outcome in zip(group, outcomes, strict=True):
        assert isinstance(outcome, Defect if item.officer_id == "bad" else Stored), item
    stored = {row[0] for row in await rows(province.url, "SELECT idempotency_key FROM submissions")}
    assert stored == {item.idempotency_key for item in group if item.officer_id != "bad"}
    gaps = await rows(
        province.url, "SELECT obligation FROM submissions GROUP BY obligation HAVING max(version) <> count(*)"
    )
    assert gaps == []


async def test_without_halving_the_neighbours_fail_too(province: Province) -> None:
    """Negative control: the group's transaction as a whole is refused."""
    await refuse_officer(province.url, "bad")
    database = Database(province.url, pool_size=1)
    with pytest.raises(Exception, match="violates check constraint"):
        async with database.transaction() as tx:
            await handlers.accept(tx, [pending("1", key="a"), pending("2", key="b", officer_id="bad")])
    await database.close()
    assert await rows(province.url, "SELECT 1 FROM submissions") == []


async def test_a_full_queue_is_told_as_503_and_nothing_of_it_is_stored(province: Province) -> None:
    go_on = asyncio.Event()

    async def slow(tx: Transaction, group: Sequence[Pending]) -> list[Decided]:
        await go_on.wait()
        return await handlers.accept(tx, group)

    async with intake(province, accept=slow, queue_limit=5, group_size=1, group_lanes=1) as client:
        posts = [asyncio.create_task(client.post(report(n), key=f"k{n}")) for n in range(12)]
        refused: list[str] = []
        async with asyncio.timeout(10):
            while len(done := [post for post in posts if post.done()]) < 6:
                await asyncio.wait([post for post in posts if not post.done()], return_when=asyncio.FIRST_COMPLETED)
        for post in done:
            answer = await post
            assert_problem(answer, 503, "unavailable")
            assert int(answer.headers["retry-after"]) >= 1
            refused.append(answer.request.headers["idempotency-key"])
        go_on.set()
        answers = await all_of(*posts)
    stored = {row[0] for row in await rows(province.url, "SELECT idempotency_key FROM submissions")}
    assert len(stored) == 6
    assert stored.isdisjoint(refused)
    assert sorted(answer.status_code for answer in answers) == [201] * 6 + [503] * 6


async def test_a_backend_killed_within_the_group_costs_no_request(province: Province) -> None:
    """The group is tried again on a new connection."""
    kills = 3

    async def killed(tx: Transaction, group: Sequence[Pending]) -> list[Decided]:
        nonlocal kills
        outcomes = await handlers.accept(tx, group)
        if kills > 0:
            kills -= 1
            await tx.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return outcomes

    async with intake(province, accept=killed) as client:
        answers = await all_of(*(client.post(report(n)) for n in range(20)))
    assert [answer.status_code for answer in answers] == [201] * 20
    assert kills == 0
    assert sorted(answer.json()["version"] for answer in answers) == list(range(1, 21))
    assert len(await rows(province.url, "SELECT 1 FROM submissions")) == 20


async def test_backends_killed_at_random_from_outside_lose_nothing_and_store_nothing_twice(province: Province) -> None:
    """Posting goes on until enough backends were hit, however fast this machine answers."""
    enough, killed = 3, 0
    database = Database(province.url, pool_size=1)

    async def kill() -> None:
        nonlocal killed
        while killed < enough:
            async with database.transaction() as tx:
                found = await tx.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE application_name = 'thongsuot-intake-commit' AND datname = current_database()"
                    )
                )
                killed += len(found.all())
            await asyncio.sleep(0.05)

    answers: list[httpx.Response] = []
    try:
        async with intake(province) as client, asyncio.timeout(60), asyncio.TaskGroup() as both:
            killer = both.create_task(kill())
            turn = 0
            while not killer.done():
                answers += await all_of(*(client.post(report(f"{turn}/{n}")) for n in range(10)))
                turn += 1
    finally:
        await database.close()
    assert killed >= enough
    good = [answer for answer in answers if answer.status_code in (200, 201)]
    assert {answer.status_code for answer in answers} <= {200, 201, 503}
    stored = {str(row[0]) for row in await rows(province.url, "SELECT submission_id FROM submissions")}
    assert {answer.json()["submission_id"] for answer in good} <= stored
    events = await rows(
        province.url, "SELECT count(*), count(DISTINCT key || body) FROM outbox WHERE topic = 'submissions'"
    )
    assert events[0][0] == len(stored)


def is_commit(data: bytes) -> bool:
    return b"COMMIT" in data


async def test_a_commit_whose_answer_is_lost_is_found_again_and_answered_as_stored(province: Province) -> None:
    async with proxied(province.url) as (proxy, url):
        group = [pending(str(n), key=f"k{n}", obligation=f"H99.01/KTXH/{n % 3}") for n in range(9)]
        first = True

        def once(data: bytes) -> bool:
            nonlocal first
            if first and is_commit(data):
                first = False
                return True
            return False

        proxy.deaf_when = once
        outcomes = await offered(url, group, lanes=1)
        assert proxy.swallowed == 1
    assert all(isinstance(outcome, Stored) for outcome in outcomes), "not lost, and no replay of somebody else's"
    assert len(await rows(province.url, "SELECT 1 FROM submissions")) == 9
    assert len(await rows(province.url, "SELECT 1 FROM outbox WHERE topic = 'submissions'")) == 9


async def test_when_no_commit_is_ever_answered_the_outcome_is_unknown_and_a_repetition_tells(
    province: Province,
) -> None:
    async with proxied(province.url) as (proxy, url):
        proxy.only = b"thongsuot-intake-commit"
        proxy.deaf_when = is_commit
        async with intake(replace(province, url=url), patience_seconds=1.5) as client:
            answer = await client.post(report(), key="k")
            assert_problem(answer, 503, "unavailable")
            assert "retry-after" in answer.headers
            assert proxy.swallowed > 0
            [(stored,)] = await rows(province.url, "SELECT submission_id FROM submissions")
            proxy.deaf_when = lambda _: False
            again = await client.post(report(), key="k")
        assert again.status_code == 200
        assert again.json()["submission_id"] == str(stored)
    assert len(await rows(province.url, "SELECT 1 FROM outbox WHERE topic = 'submissions'")) == 1


async def test_a_server_that_falls_silent_makes_no_request_hang(province: Province) -> None:
    async with proxied(province.url) as (proxy, url):
        async with asyncio.timeout(15):
            proxy.cut_after_seconds = None
            proxy.deaf_when = is_commit
            outcomes = await offered(url, [pending()], patience_seconds=1)
            assert outcomes == [Unknown()]


async def test_without_the_second_look_a_lost_answer_would_be_told_as_a_failure(province: Province) -> None:
    """Negative control: one attempt alone cannot tell a stored group from a lost one."""
    async with proxied(province.url) as (proxy, url):
        proxy.deaf_when = is_commit
        database = Database(url, pool_size=1)
        with pytest.raises(Exception, match=r"connection|closed"):
            async with database.transaction() as tx:
                await handlers.accept(tx, [pending()])
        await database.close()
    assert len(await rows(province.url, "SELECT 1 FROM submissions")) == 1


async def test_a_stop_answers_what_waits_and_takes_nothing_more(province: Province) -> None:
    async with intake(province, group_linger_seconds=0.05) as client:
        posts = [asyncio.create_task(client.post(report(n))) for n in range(10)]
        await asyncio.wait(posts, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    answers = await all_of(*posts)
    stored = {str(row[0]) for row in await rows(province.url, "SELECT submission_id FROM submissions")}
    assert {answer.json()["submission_id"] for answer in answers if answer.status_code == 201} == stored
