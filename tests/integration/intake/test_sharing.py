"""An agency reads the accepted reports of others as far as the registry allows it, on this day, and in no other way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest

from services.intake import views
from services.intake.sharing import api, queries
from services.intake.submissions.store import VERDICTS
from shared.contract.events import SharingGranted
from shared.postgres.database import Database
from tests.integration.intake import rig
from tests.integration.intake.rig import COMMUNE, DEPARTMENT, NOW, OFFICE, Intake, Province, load, report
from tests.integration.intake.test_administrators import put
from tests.integration.intake.test_following import apply, opened, verdict
from tests.integration.intake.test_principals import key_of, person

PATH = "/v1/shared/submissions"
TODAY = NOW.date()


@asynccontextmanager
async def intake(province: Province) -> AsyncIterator[Intake]:
    async with rig.intake(province, neighbours=(), agency_burst_milliseconds=10_000_000) as client:
        yield client


def sharing(sharing_id: str = "CS-1", **others: Any) -> SharingGranted:
    record = {"sharing_id": sharing_id, "reader": OFFICE, "regime": "KTXH", "since": TODAY, "version": 0}
    return SharingGranted.model_validate({**record, **others})


async def sent(client: Intake, value: object = 1, of: str = DEPARTMENT, **others: Any) -> str:
    """The id of a report that is stored, without a verdict."""
    officer = {DEPARTMENT: "cb-01", COMMUNE: "cb-50"}[of]
    answer = await client.post(report(value, officer=officer, **others), of=of)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["submission_id"])


async def judged(
    client: Intake, submission_id: str, outcome: str = "accepted", of: str = DEPARTMENT, **how: Any
) -> None:
    await apply(client.province.url, [verdict(submission_id, outcome, agency=of, **how)])


async def accepted(client: Intake, value: object = 1, of: str = DEPARTMENT) -> str:
    submission_id = await sent(client, value, of)
    await judged(client, submission_id, of=of)
    return submission_id


async def step(client: Intake, key: str, path: str, **said: Any) -> None:
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": path}
    answer = await client.client.post(f"/v1/submissions/{path}", json=said, headers=headers)
    assert answer.status_code == 201, answer.text


async def read(client: Intake, *, of: str = OFFICE, **asked: Any) -> httpx.Response:
    return await client.get(PATH, of=of, **asked)


async def entries(client: Intake, after: str | None = None, **asked: Any) -> tuple[list[tuple[str, str]], str | None]:
    """(event, submission) of everything behind a position, and the position behind it."""
    found: list[tuple[str, str]] = []
    while True:
        answer = await read(client, **asked, **({"after": after} if after else {}))
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += [(item["event"], item["submission_id"]) for item in page["items"]]
        after = page["next"]
        if not page["more"]:
            return found, after


async def test_an_accepted_report_is_read_with_what_it_says_and_no_other_one_is(province: Province) -> None:
    await load(province.url, [sharing()])
    async with intake(province) as client:
        first = await accepted(client, "1.50")
        waiting, returned = await sent(client, 2), await sent(client, 3)
        await judged(client, returned, "returned")
        page = (await read(client)).json()
        (item,) = page["items"]
        assert (item["event"], item["submission_id"], item["version"]) == ("accepted", first, 1)
        assert item["content"]["figures"] == {"A01": "1.50"}
        assert [one["sharing_id"] for one in page["sharings"]] == ["CS-1"]
        assert (await entries(client, page["next"])) == ([], page["next"])
        await judged(client, waiting)
        found, _ = await entries(client, page["next"])
        assert found == [("accepted", waiting), ("superseded", first)]


@pytest.mark.parametrize(
    ("given", "read_of"),
    [
        ([], set()),
        ([sharing()], {DEPARTMENT, COMMUNE}),
        ([sharing(agencies=(COMMUNE,))], {COMMUNE}),
        ([sharing(below="H99")], {DEPARTMENT, COMMUNE}),
        ([sharing(below=DEPARTMENT)], {DEPARTMENT}),
        ([sharing(agencies=(COMMUNE,)), sharing("CS-2", below=DEPARTMENT)], {DEPARTMENT, COMMUNE}),
        ([sharing(regime="TUAN")], set()),
        ([sharing(reader=COMMUNE)], set()),
        ([sharing(since=TODAY + timedelta(days=1))], set()),
        ([sharing(since=date(2020, 1, 1), until=TODAY - timedelta(days=1))], set()),
        ([sharing(since=date(2020, 1, 1), until=TODAY)], {DEPARTMENT, COMMUNE}),
    ],
)
async def test_only_what_is_permitted_today_is_read(
    province: Province, given: Sequence[SharingGranted], read_of: set[str]
) -> None:
    await load(province.url, given)
    async with intake(province) as client:
        for agency in (DEPARTMENT, COMMUNE):
            await accepted(client, of=agency)
        page = (await read(client)).json()
        assert {item["agency"] for item in page["items"]} == read_of
        by_regime = await read(client, regime="KTXH")
        assert by_regime.status_code == (200 if read_of else 404)


async def test_a_permission_that_ends_closes_the_feed_at_once(province: Province) -> None:
    await load(province.url, [sharing(until=TODAY)])
    async with intake(province) as client:
        await accepted(client)
        _, position = await entries(client)
        await accepted(client, 2)
        operator = await key_of(province.url, "operator", "van-hanh")
        ended = sharing(since=TODAY - timedelta(days=9), until=TODAY - timedelta(days=1))
        changed = await put(client, operator, ended, version=1)
        assert changed.status_code == 200, changed.text
        assert any("đọc báo cáo KTXH" in line for line in changed.json()["description"])
        assert await entries(client, position) == ([], position)
        # and it goes on where it stopped, once it is given again; until its last day is over
        assert (await put(client, operator, sharing(until=TODAY), version=2)).status_code == 200
        assert [event for event, _ in (await entries(client, position))[0]] == ["accepted", "superseded"]
        client.clock.set(NOW + timedelta(days=1))
        assert await entries(client, position) == ([], position)


async def test_what_no_longer_stands_is_told_with_what_stands_again(province: Province) -> None:
    await load(province.url, [sharing(), person("chu-tich", "chair", "H99")])
    chair = await key_of(province.url, "person", "chu-tich")
    async with intake(province) as client:
        await apply(province.url, [opened(DEPARTMENT)])
        own = province.keys[DEPARTMENT]
        first, second = await accepted(client, 1), await accepted(client, 2)
        found, position = await entries(client)
        assert found == [("superseded", first), ("accepted", second), ("superseded", first)]
        await step(client, own, f"{second}/withdrawal", reason="Gửi nhầm")
        found, position = await entries(client, position)
        assert found == [("withdrawn", second), ("accepted", first)]
        await step(client, chair, f"{first}/review", decision="rework", reason="Thiếu")
        page = (await read(client, after=position)).json()
        assert [(item["event"], item["submission_id"]) for item in page["items"]] == [("returned", first)]
        assert page["items"][0]["content"] is None
        await step(client, chair, f"{first}/review?", decision="approve")
        found, position = await entries(client, page["next"])
        assert found == [("accepted", first)]
        # a later verdict takes back what an earlier one accepted
        await judged(client, first, "returned", seconds=60)
        assert (await entries(client, position))[0] == [("returned", first)]
        # whoever begins now is told of nothing that does not stand
        contents = [item["content"] for item in (await read(client)).json()["items"]]
        assert contents == [None] * len(contents)


async def test_what_was_withdrawn_before_its_verdict_was_never_there(province: Province) -> None:
    await load(province.url, [sharing()])
    async with intake(province) as client:
        await apply(province.url, [opened(DEPARTMENT)])
        name = await sent(client)
        await step(client, province.keys[DEPARTMENT], f"{name}/withdrawal", reason="Gửi nhầm")
        await judged(client, name)
        assert (await entries(client))[0] == []


async def test_classified_content_never_comes_as_far(province: Province) -> None:
    await load(province.url, [sharing()])
    async with intake(province) as client:
        refused = await client.post(report(narratives={"danh_gia": "MẬT"}))
        assert refused.status_code == 422
        assert (await entries(client))[0] == []


@asynccontextmanager
async def unfinished(client: Intake, submission_id: str) -> AsyncIterator[None]:
    """A verdict that is stored and not committed until the end."""
    database = Database(client.province.url, pool_size=1)
    try:
        async with database.transaction() as tx:
            await VERDICTS.save(tx, [verdict(submission_id)])
            yield
    finally:
        await database.close()


async def overtaken(client: Intake) -> tuple[set[str], set[str]]:
    """What was accepted while an earlier acceptance was not committed yet, and what a reader has got of it."""
    slow, quick = await sent(client, of=DEPARTMENT), await sent(client, of=COMMUNE)
    async with unfinished(client, slow):
        await judged(client, quick, of=COMMUNE)
        before, position = await entries(client)
    after, _ = await entries(client, position)
    return {slow, quick}, {name for _, name in (*before, *after)}


async def test_what_commits_late_is_read_all_the_same(province: Province) -> None:
    await load(province.url, [sharing()])
    async with intake(province) as client:
        made, got = await overtaken(client)
        assert got == made


async def test_the_control_without_the_horizon_it_is_lost(province: Province, monkeypatch: pytest.MonkeyPatch) -> None:
    async def now(_: Database) -> datetime:
        return datetime.now(UTC) + timedelta(days=1)

    monkeypatch.setattr(views, "horizon", now)
    await load(province.url, [sharing()])
    async with intake(province) as client:
        made, got = await overtaken(client)
        assert len(made - got) == 1


async def test_a_reader_that_follows_many_writers_gets_each_report_and_goes_only_forward(province: Province) -> None:
    await load(province.url, [sharing()])
    async with intake(province) as client:
        names = [await sent(client, value, of) for value in range(10) for of in (DEPARTMENT, COMMUNE)]
        of = {name: (DEPARTMENT, COMMUNE)[place % 2] for place, name in enumerate(names)}
        writing = asyncio.gather(*(judged(client, name, of=of[name]) for name in names))
        found: list[tuple[str, str]] = []
        position = None
        while not writing.done():
            more, position = await entries(client, position, limit=3)
            found += more
            await asyncio.sleep(0)
        await writing
        more, position = await entries(client, position, limit=3)
        found += more
        assert {name for _, name in found} == set(names)
        assert (await entries(client, position))[0] == []


async def test_pages_are_bounded_by_changes_and_by_what_is_looked_through(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    await load(province.url, [sharing(agencies=(COMMUNE,))])
    async with intake(province) as client:
        names = []
        for value in range(3):
            await accepted(client, value, DEPARTMENT)
            names.append(await accepted(client, value, COMMUNE))
        whole = [event for event in (await entries(client))[0] if event[0] == "accepted"]
        assert whole == [("accepted", names[-1])]
        monkeypatch.setattr(queries, "SCANNED", 1)
        empty = (await read(client)).json()
        assert (empty["items"], empty["more"]) == ([], True), "the department's comes first"
        assert (await entries(client))[0] == (await entries(client, limit=1))[0]
        for limit in (0, 101):
            assert (await read(client, limit=limit)).status_code == 422
        assert (await read(client, after="x")).status_code == 400


async def test_pages_are_bounded_by_the_bytes_of_the_reports(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    await load(province.url, [sharing()])
    async with intake(province) as client:
        names = [await accepted(client, of=of) for of in (DEPARTMENT, COMMUNE)]
        assert len((await read(client)).json()["items"]) == 2
        monkeypatch.setattr(api, "MAX_BYTES", 1)
        page = (await read(client)).json()
        assert ([item["submission_id"] for item in page["items"]], page["more"]) == (names[:1], True)
        assert (await entries(client))[0] == [("accepted", name) for name in names]


async def test_a_persons_office_reads_for_its_agency(province: Province) -> None:
    people = [
        person("dau-moi", "reporting_officer", OFFICE),
        person("khac", "reporting_officer", OFFICE, regimes=("TUAN",)),
    ]
    await load(province.url, [sharing(), *people])
    keys = [await key_of(province.url, "person", one.person_id) for one in people]
    async with intake(province) as client:
        await accepted(client)
        found = []
        for key in keys:
            headers = {"Authorization": f"Bearer {key}"}
            page = await client.client.get(PATH, params={"agency": OFFICE}, headers=headers)
            found.append(len(page.json()["items"]))
        assert found == [1, 0]
