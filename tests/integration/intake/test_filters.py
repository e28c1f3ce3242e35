"""What is overdue, and what has changed since: nothing missed, nothing twice, each read found by its index."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from services.intake import consumer, views
from services.intake.obligations import queries as obligations
from services.intake.submissions import queries as submissions
from shared.consuming.batch import Batch
from shared.contract.ids import new_id
from shared.postgres.database import Database
from tests.integration.intake.rig import COMMUNE, DEPARTMENT, Intake, Province, intake, report
from tests.integration.intake.test_following import apply, fulfilled, opened, overdue, verdict
from tests.integration.intake.test_regimes_and_me import explained
from tests.integration.intake.test_submitting import assert_problem

LONG_AGO = "2020-01-01T00:00:00Z"
LISTS = ("/v1/obligations", "/v1/submissions")


async def whole(client: Intake, path: str, name: str, *, limit: int = 2, **filters: Any) -> list[str]:
    """Every row of a list, page by page, by its name; no page repeats what another has."""
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        answer = await client.get(path, limit=limit, **filters, **after)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        seen += [item[name] for item in page["items"]]
        if page["next"] is None:
            return seen
        after = {"after": page["next"]}


async def until(client: Intake, path: str, name: str, expected: Sequence[str], **filters: Any) -> None:
    """What is written while a list is read is shown once it cannot be missed any more."""
    deadline = time.monotonic() + 20
    while (seen := await whole(client, path, name, **filters)) != list(expected):
        assert time.monotonic() < deadline, (seen, expected)
        await asyncio.sleep(0.02)


async def test_what_is_overdue_and_what_is_not_are_told_apart(province: Province) -> None:
    months = [f"2026-M{month:02}" for month in range(1, 7)]
    done = fulfilled(DEPARTMENT, "2026-M02", on_time=False)
    await apply(province.url, [opened(DEPARTMENT, month) for month in months])
    await apply(
        province.url,
        [overdue(DEPARTMENT, "2026-M02"), overdue(DEPARTMENT, "2026-M04"), overdue(DEPARTMENT, "2026-M05"), done],
    )
    await apply(province.url, [opened(COMMUNE, "2026-M04")])
    async with intake(province) as client:
        assert await whole(client, "/v1/obligations", "period", overdue="true") == ["2026-M04", "2026-M05"]
        late = ["2026-M01", "2026-M02", "2026-M03", "2026-M06"]
        assert await whole(client, "/v1/obligations", "period", overdue="false") == late
        both = await whole(client, "/v1/obligations", "period", overdue="true", period="2026-M05")
        assert both == ["2026-M05"]
        await until(
            client, "/v1/obligations", "period", ["2026-M04", "2026-M05"], overdue="true", updated_after=LONG_AGO
        )


async def test_what_has_changed_since_comes_in_the_order_of_change(province: Province) -> None:
    months = [f"2026-M{month:02}" for month in range(1, 6)]
    async with intake(province) as client:
        sent = [(await client.post(report(n))).json()["submission_id"] for n in range(5)]
        await apply(province.url, [opened(DEPARTMENT, month) for month in months])
        await until(client, "/v1/submissions", "submission_id", sent, updated_after=LONG_AGO)
        await until(client, "/v1/obligations", "period", months, updated_after=LONG_AGO)
        marks = {
            path: (await client.get(path, updated_after=LONG_AGO)).json()["items"][-1]["updated_at"] for path in LISTS
        }

        await apply(province.url, [verdict(sent[1], "returned"), overdue(DEPARTMENT, "2026-M03")])
        await apply(province.url, [verdict(sent[0]), overdue(DEPARTMENT, "2026-M01")])
        await apply(province.url, [verdict(sent[1], seconds=1), opened(COMMUNE)])
        await until(
            client, "/v1/submissions", "submission_id", [sent[0], sent[1]], updated_after=marks["/v1/submissions"]
        )
        await until(client, "/v1/submissions", "submission_id", [*sent[2:], sent[0], sent[1]], updated_after=LONG_AGO)
        await until(client, "/v1/submissions", "submission_id", sent[2:], status="received", updated_after=LONG_AGO)
        await until(client, "/v1/submissions", "submission_id", sent[:2], status="accepted", updated_after=LONG_AGO)
        await until(
            client, "/v1/obligations", "period", ["2026-M03", "2026-M01"], updated_after=marks["/v1/obligations"]
        )
        # a stale event changes nothing, so nothing is told again
        before = await whole(client, "/v1/obligations", "updated_at")
        await apply(province.url, [opened(DEPARTMENT, "2026-M02"), verdict(sent[0], "returned", seconds=-9)])
        assert await whole(client, "/v1/obligations", "updated_at") == before
        future = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        for path in LISTS:
            assert (await client.get(path, updated_after=future)).json() == {"items": [], "next": None}


@pytest.mark.parametrize("protected", [True, False], ids=["as it is", "control: no horizon"])
async def test_a_change_that_is_committed_late_is_not_missed(
    province: Province, protected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader goes on after the last moment it saw; what began before that and was committed after it still comes."""
    if not protected:

        async def no_horizon(tx: object) -> datetime:
            return datetime.now(UTC) + timedelta(days=1)

        monkeypatch.setattr(views, "horizon", no_horizon)
    database = Database(province.url, pool_size=1)
    async with intake(province) as client:

        async def read_on(after: str) -> tuple[list[str], str]:
            items = (await client.get("/v1/obligations", updated_after=after)).json()["items"]
            return [item["period"] for item in items], items[-1]["updated_at"] if items else after

        mark, seen = LONG_AGO, list[str]()
        async with database.transaction() as tx:
            await consumer.apply(Batch.of([opened(DEPARTMENT, "2026-M01")]), tx)
            await apply(province.url, [opened(DEPARTMENT, "2026-M02")])  # later, and committed first
            more, mark = await read_on(mark)
            seen += more
        deadline = time.monotonic() + (20 if protected else 2)
        while len(seen) < 2 and time.monotonic() < deadline:
            more, mark = await read_on(mark)
            seen += more
            await asyncio.sleep(0.02)
    await database.close()
    assert seen == (["2026-M01", "2026-M02"] if protected else ["2026-M02"])


async def test_a_filter_that_cannot_be_read_is_told_how_to_be_written(province: Province) -> None:
    bad = {
        "overdue": ["", "1", "True", "yes", "true "],
        "updated_after": [
            "", "yesterday", "2026-03-31", "2026-03-31T17:00:00", "0001-01-01T00:00:00+07:00",
            "9999-12-31T23:59:59-07:00", "2026-03-31T17:00:00Z" + "0" * 100, "1e9", "２０２６-03-31T17:00:00Z",
        ],
    }  # fmt: skip
    async with intake(province) as client:
        for name, values in bad.items():
            for path in LISTS if name == "updated_after" else ("/v1/obligations",):
                for value in values:
                    problem = assert_problem(await client.get(path, **{name: value}), 400, "bad-request")
                    [error] = problem["errors"]
                    assert (error["in"], error["pointer"]) == ("query", f"/{name}")
                    assert name in error["fix"]
        for path in (*LISTS, "/v1/me", "/v1/regimes", "/v1/regimes/KTXH"):
            [error] = assert_problem(await client.get(path, late="true"), 400, "bad-request")["errors"]
            assert "late" in error["pointer"], "a filter that is not known is not passed over"
        # an offset whose `+` was not escaped is still meant
        for moment in ("2026-03-31T17:00:00+07:00", quote("2026-03-31T17:00:00+07:00"), "2026-03-31T10:00:00Z"):
            assert (await client.get(f"/v1/obligations?updated_after={moment}")).status_code == 200, moment


async def test_a_cursor_belongs_to_the_order_it_was_given_in(province: Province) -> None:
    await apply(province.url, [opened(DEPARTMENT, f"2026-M{month:02}") for month in range(1, 4)])
    async with intake(province) as client:
        cursor = (await client.get("/v1/obligations", limit=1)).json()["next"]
        assert_problem(await client.get("/v1/obligations", after=cursor, updated_after=LONG_AGO), 400, "bad-request")


@pytest.mark.parametrize(
    ("index", "query"),
    [
        ("standings_overdue", lambda: obligations._obligations_query((), True, by_change=False, onward=False)),
        ("standings_updated", lambda: obligations._obligations_query((), None, by_change=True, onward=True)),
        ("submissions_stored", lambda: submissions._submissions_query((), by_change=True)),
        ("verdicts_updated", lambda: submissions._submissions_query((), by_change=True)),
    ],
)
async def test_each_filter_is_found_by_its_index(province: Province, index: str, query: Any) -> None:
    """With many agencies, one agency's page reads no other's rows."""
    await apply(province.url, [opened(f"H98.{n:03}", f"2026-M{m:02}") for n in range(300) for m in range(1, 13)])
    await apply(province.url, [overdue(DEPARTMENT, f"2026-M{m:02}") for m in range(1, 13)])
    database = Database(province.url, pool_size=1)
    async with database.transaction() as tx:
        from sqlalchemy import text

        await tx.execute(
            text("""
            INSERT INTO submissions (submission_id, obligation, version, agency, regime, regime_version, period,
                officer_id, nil, received_at, idempotency_key, sha256, content_sha256, body)
            SELECT gen_random_uuid(), 'o' || n, 1, 'H98.' || n % 300, 'KTXH', 1, '2026-M01', 'x', false, now(),
                   'k' || n, sha256('a'), sha256('a'), 'a' FROM generate_series(1, 6000) AS n""")
        )
        await tx.execute(
            text("""
            INSERT INTO verdicts (submission_id, verdict_id, outcome, decided_at, errors, warnings, findings,
                findings_truncated, agency)
            SELECT submission_id, gen_random_uuid(), 'accepted', now(), 0, 0, '[]', false, agency FROM submissions""")
        )
    await database.close()
    now = datetime.now(UTC)
    # where little has changed since, the index of everybody's changes (of the feed of shared reports) does as well
    since = now - timedelta(days=365) if index == "verdicts_updated" else now
    parameters = {
        "agency": DEPARTMENT, "limit": 101, "after_moment": since, "horizon": now, "after_id": new_id(),
        "after_key": "",
    }  # fmt: skip
    sql = str(query())
    used = {name: value for name, value in parameters.items() if f":{name}" in sql}
    assert index in await explained(province.url, sql, used)
