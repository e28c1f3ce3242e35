"""An agency sees and sends only its own, by its key alone; keys end when they are told to."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from services.intake.access import keys
from services.intake.access.keys import KeyRefused
from services.intake.registry import store
from shared.contract.events import RegistryEvent
from shared.postgres.database import Database, ReadTransaction
from shared.web import allowance
from tests.integration.intake.rig import (
    COMMUNE,
    DEPARTMENT,
    NOW,
    OPERATOR_KEY,
    Intake,
    Province,
    agency,
    intake,
    load,
    make_keys,
    officer,
    regime,
    report,
    rows,
)
from tests.integration.intake.test_following import apply, opened, verdict
from tests.integration.intake.test_submitting import assert_problem

#: only a look on a miss can tell of what is new
NO_POLL: dict[str, Any] = {"registry_poll_seconds": 3600, "registry_max_age_seconds": 3600}


async def until_refused(client: Intake) -> None:
    """Returns once the department's key opens nothing any more."""
    deadline = time.monotonic() + 5
    while (await client.get("/v1/submissions")).status_code != 401:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def sent(client: Intake) -> tuple[str, str]:
    """One submission of each of two agencies; their ids."""
    first = (await client.post(report())).json()["submission_id"]
    second = (await client.post(report(officer="cb-50"), of=COMMUNE)).json()["submission_id"]
    return first, second


async def test_no_route_shows_one_agency_what_is_anothers(province: Province) -> None:
    async with intake(province) as client:
        of_department, of_commune = await sent(client)
        [(commune_id,)] = await rows(province.url, "SELECT submission_id FROM submissions WHERE agency = 'H99.50'")
        await apply(province.url, [verdict(str(commune_id), agency=COMMUNE), opened(COMMUNE), opened(DEPARTMENT)])

        foreign = await client.get(f"/v1/submissions/{of_commune}")
        unknown = await client.get("/v1/submissions/01890000-0000-7000-8000-000000000000")
        malformed = await client.get("/v1/submissions/1")
        for answer in (foreign, unknown, malformed):
            assert_problem(answer, 404, "not-found")
        for page in ("receipt", "timeline"):
            for submission_id in (of_commune, "01890000-0000-7000-8000-000000000000", "1"):
                assert_problem(await client.get(f"/v1/submissions/{submission_id}/{page}"), 404, "not-found")
        assert (await client.get(f"/v1/submissions/{of_commune}", of=COMMUNE)).status_code == 200

        listed = (await client.get("/v1/submissions")).json()["items"]
        assert [item["submission_id"] for item in listed] == [of_department]
        for filters in ({"regime": "KTXH"}, {"period": "2026-M10"}, {"status": "accepted"}):
            for item in (await client.get("/v1/submissions", **filters)).json()["items"]:
                assert item["submission_id"] == of_department
        cursor = (await client.get("/v1/submissions", of=COMMUNE, limit=1)).json()
        assert [item["submission_id"] for item in cursor["items"]] == [of_commune]

        owed = (await client.get("/v1/obligations")).json()["items"]
        assert [item["obligation"] for item in owed] == [f"{DEPARTMENT}/KTXH/2026-M10"]

        await apply(province.url, [opened(COMMUNE, "2026-M11")])
        assert_problem(await client.get("/v1/obligations/KTXH/2026-M11"), 404, "not-found")
        assert (await client.get("/v1/obligations/KTXH/2026-M11", of=COMMUNE)).status_code == 200
        for path in OWN:
            shown, other = (await client.get(path)).text, (await client.get(path, of=COMMUNE)).text
            assert COMMUNE not in shown, path
            assert "cb-50" not in shown, path
            assert DEPARTMENT not in other, path
            assert "cb-01" not in other, path

        # a report names no agency: the key does, and a foreign officer is unknown
        assert_problem(await client.post(report(2, officer="cb-50")), 422, "invalid-report")
        assert_problem(await client.post(report(2, agency=COMMUNE)), 422, "invalid-report")
        # the same idempotency key of two agencies is two keys
        assert (await client.post(report(3), key="same")).status_code == 201
        assert (await client.post(report(3, officer="cb-50"), of=COMMUNE, key="same")).status_code == 201


#: reads that name nothing: whose they are is the key's to say
OWN = (
    "/v1/me",
    "/v1/regimes",
    "/v1/regimes/KTXH",
    "/v1/obligations",
    "/v1/submissions",
    "/v1/obligations/KTXH/2026-M10",
)


#: what stands for the parts of a path
_PARTS = {"kind": "agency", "key": DEPARTMENT, "version": "1", "code": "KTXH", "regime": "KTXH", "period": "2026-M10"}
_SOME_ID = "01890000-0000-7000-8000-000000000000"


async def test_every_route_needs_a_key(province: Province) -> None:
    key = province.keys[DEPARTMENT]
    wrong = [
        "",
        "Bearer",
        "Bearer x",
        f"Basic {key}",
        f"Bearer {key}x",
        f"Bearer {key[:-1]}",
        f"Bearer tsk_{'0' * 16}_{'A' * 43}",
    ]
    async with intake(province, unauthorized_burst=10_000) as client:
        tried = 0
        for path, operations in client.service.app.openapi()["paths"].items():
            url = re.sub(r"\{(\w+)\}", lambda part: _PARTS.get(part[1], _SOME_ID), path)
            for method, authorization in itertools.product(operations, wrong):
                headers = {"Authorization": authorization, "Idempotency-Key": "k", "Content-Type": "application/json"}
                content = b"{}" if method == "post" else None
                answer = await client.client.request(method.upper(), url, headers=headers, content=content)
                assert_problem(answer, 401, "unauthorized")
                assert answer.headers["www-authenticate"].startswith("Bearer")
                tried += 1
        assert tried > 30 * len(wrong)


async def test_an_agencys_key_opens_no_export(province: Province) -> None:
    async with intake(province) as client:
        await sent(client)
        assert (await client.get("/v1/exports/submissions")).status_code == 403
        operator = {"Authorization": f"Bearer {OPERATOR_KEY.secret_text}"}
        answer = await client.client.get("/v1/exports/submissions", headers=operator)
        assert answer.status_code == 200
        [first, second] = answer.json()["items"]
        assert {first["agency"], second["agency"]} == {DEPARTMENT, COMMUNE}
        assert set(first) == {
            "submission_id", "obligation", "agency", "regime", "regime_version", "period", "version", "officer_id",
            "received_at", "sha256", "nil", "status", "verdict_outcome",
        }  # fmt: skip
        assert (first["status"], first["verdict_outcome"]) == ("received", None)
        assert first["received_at"] == NOW.isoformat(), "in the zone of the deadlines, as everywhere"
        page = (await client.client.get("/v1/exports/submissions?limit=1", headers=operator)).json()
        rest = await client.client.get(f"/v1/exports/submissions?limit=1&after={page['next']}", headers=operator)
        assert [*page["items"], *rest.json()["items"]] == [first, second]
        assert rest.json()["next"] is None


async def test_a_revoked_key_ends_within_the_poll_and_an_expired_one_at_its_moment(province: Province) -> None:
    async with intake(province, registry_poll_seconds=0.05) as client:
        assert (await client.get("/v1/submissions")).status_code == 200
        database = Database(province.url, pool_size=1)
        async with database.transaction() as tx:
            await keys.revoke(tx, province.keys[DEPARTMENT].split("_")[1], datetime.now(UTC))
        await until_refused(client)
        soon = datetime.now(UTC) + timedelta(seconds=1.5)
        await database.close()
        client.province.keys.update(await make_keys(province.url, [DEPARTMENT], soon))
        assert (await client.get("/v1/submissions")).status_code == 200
        await until_refused(client)
        assert datetime.now(UTC) >= soon


async def test_an_agency_has_at_most_two_live_keys_and_only_hashes_are_stored(province: Province) -> None:
    second = await make_keys(province.url, [DEPARTMENT])
    with pytest.raises(KeyRefused, match="2 live keys"):
        await make_keys(province.url, [DEPARTMENT])
    with pytest.raises(KeyRefused, match="no agency"):
        await make_keys(province.url, ["H99.404"])
    async with intake(province) as client:
        for key in (province.keys[DEPARTMENT], second[DEPARTMENT]):
            answer = await client.client.get("/v1/submissions", headers={"Authorization": f"Bearer {key}"})
            assert answer.status_code == 200
    dumped = str(await rows(province.url, "SELECT * FROM api_keys"))
    assert province.keys[DEPARTMENT][13:] not in dumped


async def test_what_another_process_has_just_published_is_never_refused_for_being_new(province: Province) -> None:
    """The poll is an hour away: only looking again on a miss can know of it."""
    async with intake(province, registry_poll_seconds=3600, registry_max_age_seconds=3600) as client:
        assert (await client.post(report())).status_code == 201
        new: list[RegistryEvent] = [agency("H99.60", parent="H99"), officer("cb-60", "H99.60"), regime("MOI")]
        await load(province.url, new)
        client.province.keys.update(await make_keys(province.url, ["H99.60"]))
        answer = await client.post(report(regime="MOI", officer="cb-60"), of="H99.60")
        assert answer.status_code == 201, answer.text
        await load(province.url, [officer("cb-02", DEPARTMENT)])
        assert (await client.post(report(5, officer="cb-02"))).status_code == 201


#: milliseconds that 429 comes after, whatever this machine is busy with: a request costs at least 0.25
ONE: dict[str, Any] = {"agency_milliseconds_per_second": 0.001, "agency_burst_milliseconds": 0.1}


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.post(report()),
        lambda client: client.post(report(x=1)),
        lambda client: client.post(b"{"),
        lambda client: client.get("/v1/submissions", limit=1000),
        lambda client: client.get("/v1/submissions/1"),
    ],
    ids=["stored", "refused", "no JSON", "a page", "not found"],
)
async def test_every_request_costs_its_agency_and_nobody_else(
    province: Province, ask: Callable[[Intake], Awaitable[httpx.Response]]
) -> None:
    async with intake(province, **ONE) as client:
        assert (await ask(client)).status_code != 429
        answer = await ask(client)
        problem = assert_problem(answer, 429, "too-many-requests")
        assert answer.headers["ratelimit"].startswith('"key";r=0;t=')
        wait = int(answer.headers["retry-after"])
        assert 1 <= wait <= 100  # never longer than a whole burst takes to come back
        assert str(wait) in problem["detail_vi"]
        assert str(wait) in problem["detail_en"]
        assert (await client.post(report(officer="cb-50"), of=COMMUNE)).status_code == 201, "its neighbour is served"


async def test_one_system_of_an_agency_that_sends_too_much_does_not_stop_its_other_system(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allowance, "REQUEST_MILLISECONDS", 1e6)
    other = await make_keys(province.url, [DEPARTMENT])
    limits: dict[str, Any] = ONE | {"agency_burst_milliseconds": 0.9e6}
    async with intake(province, **limits) as client:
        assert (await client.post(report())).status_code == 201
        assert (await client.post(report(2))).status_code == 429
        client.province.keys.update(other)
        assert (await client.post(report(2))).status_code == 201


async def test_a_deadlines_burst_and_large_honest_reports_stay_within_the_allowance(province: Province) -> None:
    large = "Thu ngân sách đạt 92% dự toán, tăng so với cùng kỳ. " * 250
    async with intake(province) as client:
        answers = [
            await client.post(report(number, narratives={f"n{section}": large for section in range(13)}))
            for number in range(20)
        ]
        assert {answer.status_code for answer in answers} == {201}
        at_once = await asyncio.gather(*(client.post(report(100 + number)) for number in range(80)))
        assert {answer.status_code for answer in at_once} == {201}


@pytest.mark.parametrize(("at_once", "refused"), [(1, True), (100, False)], ids=["limited", "negative control: not"])
async def test_one_agency_has_few_requests_in_work_and_its_neighbour_its_own(
    province: Province, at_once: int, refused: bool
) -> None:
    async def body() -> AsyncIterator[bytes]:
        being_read.set()
        yield b"{"
        await rest.wait()
        yield b"}"

    being_read, rest = asyncio.Event(), asyncio.Event()
    async with intake(province, agency_sends_at_once=at_once, agency_waiting=0) as client:
        slow = asyncio.create_task(client.client.post("/v1/submissions", content=body(), headers=client.headers()))
        await asyncio.wait_for(being_read.wait(), 10)
        answer = await client.post(report())
        assert answer.status_code == (429 if refused else 201)
        assert (await client.post(report(officer="cb-50"), of=COMMUNE)).status_code == 201
        assert (await client.get("/v1/submissions")).status_code == 200, "what it reads does not wait for what it sends"
        rest.set()
        assert (await slow).status_code == 422
        assert (await client.post(report(2))).status_code == 201


async def test_an_address_that_guesses_keys_is_slowed_and_good_keys_from_it_still_work(province: Province) -> None:
    async with intake(province, unauthorized_rate_per_second=0.1, unauthorized_burst=3) as client:
        bad = {"Authorization": "Bearer tsk_0000000000000000_" + "A" * 43}
        answers = [await client.client.get("/v1/submissions", headers=bad) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
        assert (await client.get("/v1/submissions")).status_code == 200


def made_up(number: int) -> dict[str, str]:
    return {"Authorization": f"Bearer tsk_{number:016x}_" + "A" * 43}


@pytest.mark.parametrize(("burst", "refreshes"), [(3, 3), (20, 20)], ids=["limited", "negative control: no limit"])
async def test_made_up_keys_past_the_limit_have_no_database_read(
    province: Province, monkeypatch: pytest.MonkeyPatch, burst: int, refreshes: int
) -> None:
    read = 0

    async def counted(tx: ReadTransaction) -> int:
        nonlocal read
        read += 1
        return await revision(tx)

    revision = store.revision
    async with intake(province, unauthorized_rate_per_second=0.001, unauthorized_burst=burst, **NO_POLL) as client:
        assert (await client.get("/v1/submissions")).status_code == 200, "the registry has been read"
        monkeypatch.setattr(store, "revision", counted)
        answers = [await client.client.get("/v1/submissions", headers=made_up(n)) for n in range(20)]
        assert [answer.status_code for answer in answers] == [401] * burst + [429] * (20 - burst)
        assert read == refreshes
        assert (await client.get("/v1/submissions")).status_code == 200, "a key that is known costs the address nothing"


async def test_a_key_just_made_opens_at_its_first_use_and_costs_its_address_once(province: Province) -> None:
    async with intake(province, unauthorized_rate_per_second=0.001, unauthorized_burst=2, **NO_POLL) as client:
        assert (await client.get("/v1/submissions")).status_code == 200
        client.province.keys.update(await make_keys(province.url, [DEPARTMENT]))
        answers = [await client.get("/v1/submissions") for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200] * 5
        assert (await client.client.get("/v1/submissions", headers=made_up(1))).status_code == 401
        assert (await client.client.get("/v1/submissions", headers=made_up(2))).status_code == 429


async def test_the_last_use_of_a_key_is_written_later_and_not_by_the_request(province: Province) -> None:
    query = "SELECT last_used_at FROM api_keys WHERE principal_id = 'H99.01'"
    async with intake(province, key_use_flush_seconds=3600) as client:
        await client.post(report())
        assert await rows(province.url, query) == [(None,)]
    [(used,)] = await rows(province.url, query)
    assert used is not None, "a stop writes what is not written yet"
