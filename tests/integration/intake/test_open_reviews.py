"""The list of what waits for a person: by reach and office, the oldest first, and gone when it is done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import TextClause, text

from services.intake.lifecycle import open_queries
from services.intake.lifecycle.deciding import Wanted
from services.intake.lifecycle.handlers import TakenNow
from services.intake.lifecycle.open_queries import Reach
from services.intake.registry.records import Registry
from shared.postgres.database import Database
from tests.integration.intake.rig import COMMUNE, DEPARTMENT, NOW, Intake, Province, intake, load, records, regime
from tests.integration.intake.test_following import apply, changed, verdict
from tests.integration.intake.test_lifecycle import CHAIR, HEAD, REVIEWER, accepted, post, sent, take
from tests.integration.intake.test_principals import get, key_of, person

PEOPLE = [
    person("chu-tich", "chair", "H99"),
    person("duyet", "reviewer", "H99"),
    person("duyet-tuan", "reviewer", "H99", regimes=("TUAN",)),
    person("duyet-xa", "reviewer", COMMUNE),
    person("thu-truong", "head", DEPARTMENT),
    person("quan-tri", "administrator", "H99"),
]


@pytest.fixture
async def keys(province: Province) -> dict[str, str]:
    """Keys of people by id; the monthly regime is certified and reviewed."""
    asking = regime(
        certification="head", review="required", regime_version=2, replaces=1, replaces_reason="Thêm ký xác nhận"
    )
    await load(province.url, [*records(), *PEOPLE, asking])
    return {one.person_id: await key_of(province.url, "person", one.person_id) for one in PEOPLE}


async def listed(client: Intake, key: str, **params: Any) -> list[Any]:
    answer = await get(client, key, "/v1/reviews/open", **params)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


async def who_sees(client: Intake, keys: dict[str, str]) -> dict[str, list[str]]:
    return {name: found for name, key in keys.items() if (found := [one["kind"] for one in await listed(client, key)])}


async def test_a_report_waits_for_the_head_then_for_the_reviewers_and_then_for_nobody(
    province: Province, keys: dict[str, str]
) -> None:
    async with intake(province) as client:
        locks_at = NOW + timedelta(days=7)
        await apply(province.url, [changed(DEPARTMENT, version=1, deadline=NOW, locks_at=locks_at)])
        name = await sent(client)
        assert await who_sees(client, keys) == {}, "nobody signs what validation has not accepted"
        await apply(province.url, [verdict(name, regime_version=2)])
        assert await who_sees(client, keys) == {"thu-truong": ["certification"]}
        (item,) = await listed(client, keys["thu-truong"])
        assert (item["about"], item["submission_id"], item["version"]) == (name, name, 1)
        assert (item["due_at"], item["route"]) == (
            "2026-10-27T09:30:00+07:00",
            f"POST /v1/submissions/{name}/certification",
        )
        assert isinstance(await take(client, HEAD, Wanted("certified", UUID(name))), TakenNow)
        assert await who_sees(client, keys) == {"chu-tich": ["review"], "duyet": ["review"]}
        (item,) = await listed(client, keys["duyet"])
        assert (item["since"], item["due_at"]) == ("2026-10-20T10:00:00+07:00", "2026-10-20T09:30:00+07:00")
        assert isinstance(await take(client, REVIEWER, Wanted("approved", UUID(name))), TakenNow)
        assert await who_sees(client, keys) == {}


async def test_without_the_step_it_would_wait_for_ever(province: Province, keys: dict[str, str]) -> None:
    async with intake(province) as client:
        name = await accepted(client, regime_version=2)
        again = verdict(name, seconds=5, regime_version=2)
        await apply(province.url, [again])
        assert await who_sees(client, keys) == {"thu-truong": ["certification"]}, "the control: it is still there"
        await apply(province.url, [verdict(name, "returned", seconds=9, regime_version=2)])
        assert await who_sees(client, keys) == {}, "a later verdict took it back"


async def test_what_is_asked_for_waits_for_those_who_may_decide_it(province: Province, keys: dict[str, str]) -> None:
    async with intake(province) as client:
        await apply(province.url, [changed(DEPARTMENT, version=1, deadline=NOW + timedelta(days=1))])
        path = "/v1/obligations/KTXH/2026-M10"
        wish = {"reason": "Mất điện", "until": "2026-10-28T17:00:00+07:00"}
        extension = (await post(client, f"{path}/extensions", wish)).json()["step_id"]
        client.clock.advance(seconds=60)
        appeal = (await post(client, f"{path}/appeals", {"reason": "Đã nộp đúng hạn"})).json()["step_id"]
        assert await who_sees(client, keys) == {"chu-tich": ["extension", "appeal"], "duyet": ["extension"]}
        first, second = await listed(client, keys["chu-tich"])
        assert (first["about"], second["about"]) == (extension, appeal), "the oldest first"
        assert (first["reason"], first["asked_by"], first["until"]) == (
            "Mất điện",
            DEPARTMENT,
            "2026-10-28T17:00:00+07:00",
        )
        assert (first["regime_name"], first["period"], first["submission_id"]) == (
            "Báo cáo kinh tế – xã hội", "2026-M10", None,
        )  # fmt: skip
        assert first["route"] == f"POST /v1/extensions/{extension}/decision"
        assert [one["kind"] for one in await listed(client, keys["chu-tich"], kind="appeal")] == ["appeal"]
        assert isinstance(
            await take(client, REVIEWER, Wanted("extension_refused", answers=UUID(extension), reason="x")), TakenNow
        )
        assert isinstance(
            await take(client, CHAIR, Wanted("appeal_dismissed", answers=UUID(appeal), reason="x")), TakenNow
        )
        assert await who_sees(client, keys) == {}


async def test_the_list_is_paged_and_shows_only_what_the_key_may_do(province: Province, keys: dict[str, str]) -> None:
    async with intake(province) as client:
        wish = {"reason": "x", "until": "2026-10-28T17:00:00+07:00"}
        for of in (DEPARTMENT, COMMUNE):
            await apply(province.url, [changed(of, version=1, deadline=NOW + timedelta(days=1))])
            assert (await post(client, "/v1/obligations/KTXH/2026-M10/extensions", wish, of=of)).status_code == 201
        assert [one["agency"] for one in await listed(client, keys["duyet-xa"])] == [COMMUNE]
        found, after = [], None
        while True:
            onward: dict[str, Any] = {"after": after} if after else {}
            answer = await get(client, keys["duyet"], "/v1/reviews/open", limit=1, **onward)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found += [one["agency"] for one in page["items"]]
            if (after := page["next"]) is None:
                break
        assert sorted(found) == [DEPARTMENT, COMMUNE]
        reading = await key_of(province.url, "person", "duyet", ["read"])
        assert await listed(client, reading) == [], "a key that reviews nothing"
        assert await listed(client, province.keys[DEPARTMENT]) == [], "an agency's system signs nothing"
        bad = await get(client, keys["duyet"], "/v1/reviews/open", kind="anything")
        assert bad.status_code == 422


OPEN = 100_000
_FILL = text("""
    INSERT INTO open_reviews (kind, about, obligation, agency, regime, since)
    SELECT 'review', gen_random_uuid(), 'H99.' || n % 130 || '/' || regime || '/' || n, 'H99.' || n % 130, regime,
           CAST(:since AS timestamptz) + n * interval '1 second'
      FROM generate_series(1, :count) AS n
      CROSS JOIN LATERAL (SELECT CASE WHEN n > :count - 38 THEN 'RARE' ELSE 'R' || n % 20 END) AS r (regime)
""")


@asynccontextmanager
async def fed(province: Province) -> AsyncIterator[Database]:
    """A database in which so many reports wait."""
    database = Database(province.url, pool_size=1)
    try:
        async with database.transaction() as tx:
            await tx.execute(_FILL, {"since": NOW, "count": OPEN})
            await tx.execute(text("ANALYZE open_reviews"))
        yield database
    finally:
        await database.close()


async def pages_read(database: Database, statement: TextClause, parameters: dict[str, Any]) -> int:
    """Pages of 8 KB that the statement touches."""
    async with database.read_transaction() as tx:
        plan = text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}")
        (found,) = (await tx.execute(plan, parameters)).scalar_one()
    return int(found["Plan"]["Shared Hit Blocks"] + found["Plan"]["Shared Read Blocks"])


async def test_a_page_costs_what_it_shows_and_not_what_there_is(province: Province) -> None:
    everywhere = frozenset(f"H99.{number}" for number in range(130))
    async with fed(province) as database:
        for reach, expected in (
            (Reach(("review",), everywhere, None), 101),
            (Reach(("review",), frozenset({"H99.7"}), None), 101),
            (Reach(("review",), everywhere, ("RARE",)), 38),
            (Reach(("certification",), frozenset({"H99.7"}), None), 0),
        ):
            async with database.read_transaction() as tx:
                found = await open_queries.open_reviews(tx, [reach], Registry(), kind=None, after=None, limit=101)
            assert len(found) == expected
            query, parameters = open_queries.page_query([reach], kind=None, after=None, limit=101)
            assert await pages_read(database, query, parameters) < 2_500, reach
        whole = text("SELECT count(regime) FROM open_reviews WHERE regime LIKE '%E' AND CAST(:limit AS int) > 0")
        assert await pages_read(database, whole, {"limit": 1}) > 1_000, "the control: all of the table"
