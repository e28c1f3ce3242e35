"""Scoring as it is served: its HTTP door, its exports, and reports on their way through the real Kafka."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from services.scoring.calendar.api import CalendarHead, Calendars, CalendarShown, YearShown
from services.scoring.main import build
from services.scoring.scores.policy import shipped_policies
from services.scoring.scores.policy.api import Policies, PolicyHead, PolicyShown
from services.scoring.scores.policy.data import parse_policy
from services.scoring.scores.policy.store import load_policies
from services.scoring.settings import ScoringSettings
from services.scoring.tables import metadata
from shared.contract.cloudevents import source_of
from shared.contract.events import MODELS, OWNERS, EventModel
from shared.contract.ids import new_id
from shared.postgres.database import Database
from shared.runtime.clock import ManualClock, monotonic_seconds
from shared.runtime.settings import CommonSettings, KafkaSettings
from shared.service.service import Service
from tests.fakes.operators import OPERATOR, let_operator_in
from tests.forged import try_every_paged_route
from tests.integration.scoring.rig import KEY, Rig, agency, key_of, local, officer, regime
from tests.unit.scoring.samples import DEADLINE, submission, verdict

DEADLINE_SECONDS = 90
AFTER = DEADLINE + timedelta(minutes=1)


def service_on(url: str, kafka: KafkaSettings, clock: ManualClock) -> Service:
    return build(
        settings=ScoringSettings(
            database_url=url, database_pool_size=6, settle_seconds=0.1, generate_interval_seconds=0.1,
            mark_interval_seconds=0.1,
        ),
        common=CommonSettings(),
        kafka=kafka,
        clock=clock,
    )  # fmt: skip


@pytest.fixture
async def client(scoring_url: str, rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app; nothing runs behind it but the rig's handlers on the same database."""
    await let_operator_in(scoring_url, metadata)
    service = service_on(scoring_url, KafkaSettings(bootstrap_servers="127.0.0.1:1"), rig.clock)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=service.app), base_url="http://scoring", headers=OPERATOR
    ) as opened:
        yield opened
    await service.database.close()


async def every_page(client: httpx.AsyncClient, path: str, **query: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    while True:
        answer = await client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        items += page["items"]
        if page["next"] is None:
            assert "link" not in answer.headers
            return items
        assert 'rel="next"' in answer.headers["link"]
        query["after"] = page["next"]


async def a_few(rig: Rig) -> None:
    await rig.registry(regime(), agency(), agency("H99.32"), agency("H99.310"))
    await rig.generate()
    await rig.follow(verdict(outcome="returned", present=2), verdict(2, received_at=DEADLINE))
    await rig.at(AFTER)


async def test_an_obligation_is_shown_with_all_its_lines_and_their_causes(rig: Rig, client: httpx.AsyncClient) -> None:
    await a_few(rig)
    answer = await client.get(f"/v1/obligations/{KEY}")
    shown = answer.json()
    assert answer.status_code == 200
    assert (shown["standing"], shown["standing_vi"], shown["on_time"]) == ("fulfilled", "đã nộp, đạt", True)
    assert (shown["score"], shown["overdue"]) == ("100", False)
    lines = [(line["clause"], line["points"], line["in_force"]) for line in shown["lines"]]
    assert lines == [("1.a", "60", True), ("2.a", "40", True)]
    assert shown["lines"][0]["cause"] == "Nhận báo cáo lúc 17:00:00 19/10/2026"
    assert shown["lines"][0]["cause_en"] == "Report received 17:00:00 19/10/2026"
    assert [version["verdicts"][0]["outcome"] for version in shown["versions"]] == ["returned", "accepted"]
    assert sum(Decimal(line["points"]) for line in shown["lines"]) == Decimal(shown["score"])


async def test_what_does_not_exist_is_a_problem_in_both_languages(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/obligations/H99.99/X/2026")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "nghĩa vụ báo cáo" in answer.json()["detail_vi"]
    assert "obligation" in answer.json()["detail_en"]


async def test_listings_are_filtered_and_paged_without_repeating_or_missing(
    rig: Rig, client: httpx.AsyncClient
) -> None:
    await a_few(rig)
    everything = [item["obligation"] for item in await every_page(client, "/v1/obligations", limit="2")]
    assert everything == sorted(await rig.keys())
    ours = await every_page(client, "/v1/obligations", agency="H99.31", limit="1")
    assert {item["agency"] for item in ours} == {"H99.31"}
    assert len(ours) == len([key for key in everything if key.startswith("H99.31/")])
    fulfilled = await every_page(client, "/v1/obligations", standing="fulfilled")
    assert [item["obligation"] for item in fulfilled] == [KEY]
    overdue = await every_page(client, "/v1/obligations", overdue="true", period="2026-M10", regime="KTXH-THANG")
    assert {item["agency"] for item in overdue} == {"H99.32", "H99.310"}
    assert await every_page(client, "/v1/obligations", regime="OTHER") == []


@pytest.mark.parametrize(
    "path",
    [
        "/v1/obligations?standing=late", "/v1/obligations?limit=0", "/v1/obligations?after=x",
        "/v1/obligations?agency=%00", "/v1/obligations/a/b/%00", "/v1/calendar/1800", "/v1/obligations?overdue=maybe",
        "/v1/calendars/%00", "/v1/policies/%00",
    ],
)  # fmt: skip
async def test_a_bad_query_is_a_problem_not_a_failure(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/obligations", f"/v1/obligations/{KEY}", "/v1/exports/obligations", "/v1/exports/score-lines",
        "/v1/setbacks", "/v1/reliefs",
    ],
)  # fmt: skip
@pytest.mark.parametrize("token", ["", "Bearer wrong"])
async def test_what_is_about_agencies_is_for_the_operator_only(
    client: httpx.AsyncClient, path: str, token: str
) -> None:
    assert (await client.get(path, headers={"Authorization": token})).status_code == 401


@pytest.mark.parametrize(
    "path",
    ["/v1/calendar/2026", "/v1/calendars", "/v1/calendars/VN-2026.2", "/v1/policies", "/v1/policies/2019.1"],
)
async def test_by_which_rules_people_are_judged_anybody_may_read(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path, headers={"Authorization": ""})).status_code == 200


async def test_the_calendar_of_a_year_is_shown_with_its_version(client: httpx.AsyncClient) -> None:
    shown = (await client.get("/v1/calendar/2026")).json()
    days = {day["day"]: day["work"] for day in shown["days"]}
    assert (shown["version"], days["2026-01-02"], days["2026-01-10"]) == ("VN-2026.2", False, True)
    assert (shown["status"], shown["provisional"]) == ("announced", False)
    assert [announcement["number"] for announcement in shown["announcements"]] == ["9441/TB-BNV", "12729/VPCP-KGVX"]
    provisional = (await client.get("/v1/calendar/2027")).json()
    assert (provisional["status"], provisional["provisional"], provisional["announcements"]) == (
        "provisional",
        True,
        [],
    )
    assert (await client.get("/v1/calendar/2050")).status_code == 404


async def test_calendars_are_shown_by_version(client: httpx.AsyncClient) -> None:
    items = (await client.get("/v1/calendars")).json()["items"]
    assert [(item["version"], item["current"]) for item in items] == [("VN-2026.1", False), ("VN-2026.2", True)]
    shown = (await client.get("/v1/calendars/VN-2026.2")).json()
    assert {name: shown[name] for name in items[1]} == items[1]
    assert len(shown["years"]) == 17
    assert {"day": "2026-02-17", "work": False, "name": "Mùng Một Tết", "name_en": "Day 1 of Lunar New Year",
            "source": ""} in shown["days"]  # fmt: skip
    assert shown["loaded_at"].endswith("+07:00")
    missing = await client.get("/v1/calendars/VN-1900.1")
    assert missing.status_code == 404
    assert "phiên bản lịch VN-1900.1" in missing.json()["detail_vi"]


async def test_policies_are_shown_by_version_with_their_texts_and_checksum(rig: Rig, client: httpx.AsyncClient) -> None:
    (shipped,) = shipped_policies()
    later = parse_policy(
        "later.yaml", shipped.body.replace("2019.1", "2027.1").replace("2019-03-12", "2027-01-01").encode()
    )
    async with rig.database.transaction() as tx:
        await load_policies(tx, [later], rig.clock.now().date())
    items = (await client.get("/v1/policies")).json()["items"]
    assert [(item["version"], item["effective_until"]) for item in items] == [
        ("2019.1", "2026-12-31"),
        ("2027.1", None),
    ]
    shown = (await client.get("/v1/policies/2019.1")).json()
    assert {name: shown[name] for name in items[0]} == items[0]
    assert hashlib.sha256(shown["file"].encode()).hexdigest() == shown["sha256"] == shipped.sha256
    assert shown["policy"]["timeliness"]["full"] == "60"
    assert shown["policy"]["texts"]["1.b"]["text_vi"].startswith("Trừ 10 điểm")
    missing = await client.get("/v1/policies/1900.1")
    assert missing.status_code == 404
    assert "quy tắc chấm điểm 1900.1" in missing.json()["detail_vi"]


@pytest.mark.parametrize(
    "path",
    ["/v1/calendar/{year}", "/v1/calendars", "/v1/calendars/{version}", "/v1/policies", "/v1/policies/{version}"],
)
async def test_answers_are_typed_and_their_examples_are_of_their_type(client: httpx.AsyncClient, path: str) -> None:
    models = {
        model.__name__: model
        for model in (YearShown, Calendars, CalendarHead, CalendarShown, Policies, PolicyHead, PolicyShown)
    }
    document = (await client.get("/openapi.json")).json()
    answer = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    name = answer["$ref"].rpartition("/")[2]
    models[name].model_validate(document["components"]["schemas"][name]["example"])


async def test_exports_hold_all_that_a_recomputation_needs(rig: Rig, client: httpx.AsyncClient) -> None:
    await a_few(rig)
    obligations = await every_page(client, "/v1/exports/obligations", limit="2")
    lines = await every_page(client, "/v1/exports/score-lines", limit="3")
    assert [item["obligation"] for item in obligations] == await rig.keys()
    totals: dict[str, Decimal] = {}
    for line in lines:
        totals[line["obligation"]] = totals.get(line["obligation"], Decimal(0)) + Decimal(line["points"])
    assert totals == {item["obligation"]: Decimal(item["score"]) for item in obligations if item["score"] is not None}


async def test_a_recomputation_from_the_export_finds_a_score_that_was_tampered_with(
    rig: Rig, client: httpx.AsyncClient
) -> None:
    from sqlalchemy import text

    await a_few(rig)
    async with rig.database.transaction() as tx:
        await tx.execute(
            text(
                "UPDATE obligations SET document = jsonb_set(CAST(document AS jsonb), '{state,score}', '\"99\"')::json"
                " WHERE obligation = :key"
            ),
            {"key": KEY},
        )
    obligations = {item["obligation"]: item for item in await every_page(client, "/v1/exports/obligations")}
    lines = await every_page(client, "/v1/exports/score-lines")
    total = sum(Decimal(line["points"]) for line in lines if line["obligation"] == KEY)
    assert Decimal(obligations[KEY]["score"]) != total


# --- through Kafka ---------------------------------------------------------------------------------------------------


async def send(producer: AIOKafkaProducer, prefix: str, body: EventModel, event_id: Any = None) -> None:
    headers = [
        ("ce_id", str(event_id or new_id()).encode()),
        ("ce_type", body.TYPE.encode()),
        ("ce_source", source_of(OWNERS[body.TOPIC])),
    ]
    await producer.send_and_wait(prefix + body.TOPIC, body.encode(), key=body.key.encode(), headers=headers)


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = monotonic_seconds() + DEADLINE_SECONDS
    while not await condition():
        assert monotonic_seconds() < deadline, f"not within {DEADLINE_SECONDS} s: {what}"
        await asyncio.sleep(0.05)


async def test_reports_before_their_registry_are_scored_through_kafka_and_the_silent_are_overdue(
    scoring_url: str, kafka_bootstrap: str, topics: str
) -> None:
    clock = ManualClock(local(2026, 10, 1, 8))
    service = service_on(scoring_url, KafkaSettings(bootstrap_servers=kafka_bootstrap, topic_prefix=topics), clock)
    database = Database(scoring_url, pool_size=2)
    rig = Rig(database, clock, None, None, None)  # type: ignore[arg-type]
    producer = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap)
    consumer = AIOKafkaConsumer(f"{topics}compliance", bootstrap_servers=kafka_bootstrap, auto_offset_reset="earliest")
    await producer.start()
    await consumer.start()
    codes = [f"H99.{number}" for number in range(100, 110)]
    keys = [key_of(code, "2026-M10") for code in codes]
    try:
        async with service.lifespan(service.app):
            for key in keys[:8]:
                await send(producer, topics, verdict(key=key))
                await send(producer, topics, submission(key=key))
            twice = new_id()
            for _ in range(3):
                await send(producer, topics, verdict(2, "returned", key=keys[0]), twice)

            async def waiting() -> bool:
                return bool((await rig.rows("SELECT count(*) AS n FROM deferred_events"))[0]["n"] == 17)

            await until(waiting, "17 events wait for their regime")
            for body in (regime(), *(agency(code) for code in codes), officer("o-108", "H99.108")):
                await send(producer, topics, body)

            async def scored() -> bool:
                rows = await rig.rows("SELECT count(*) AS n FROM obligations WHERE standing = 'fulfilled'")
                return bool(rows[0]["n"] == 8) and not (await rig.rows("SELECT 1 FROM deferred_events"))

            await until(scored, "eight are scored and nothing waits")

            async def generated() -> bool:
                return len(await rig.keys()) == 30

            await until(generated, "all are generated")
            clock.set(AFTER)

            async def overdue() -> bool:
                rows = await rig.rows("SELECT count(*) AS n FROM obligations WHERE overdue")
                return bool(rows[0]["n"] == 2)

            await until(overdue, "the two silent ones are overdue")
            told: dict[str, list[Any]] = {}
            deadline = monotonic_seconds() + DEADLINE_SECONDS
            while any("score" not in told[key][-1].changes if key in told else True for key in keys):
                assert monotonic_seconds() < deadline, told.keys()
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        model = MODELS[dict(record.headers)["ce_type"].decode()]
                        body = model.model_validate_json(record.value)
                        told.setdefault(body.key, []).append(body)
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app=service.app), base_url="http://scoring"
            ) as opened:
                ready = await opened.get("/readyz")
                metrics = (await opened.get("/metrics")).text
            assert ready.status_code == 200, ready.text
            assert 'thongsuot_scoring_fulfilled_total{on_time="yes"}' in metrics
        for key in keys:
            assert [event.version for event in told[key]] == list(range(1, len(told[key]) + 1))
        assert [change for event in told[keys[0]] for change in event.changes] == ["opened", "fulfilled", "score"]
        assert [event.changes for event in told[keys[8]]] == [("opened",), ("overdue", "score")]
        assert told[keys[8]][-1].officer_id == "o-108"
        assert await rig.rows("SELECT 1 FROM dead_letter") == []
        await rig.check_scores()
    finally:
        await consumer.stop()
        await producer.stop()
        await database.close()


async def test_forged_cursors_are_bad_requests(scoring_url: str, rig: Rig) -> None:
    await let_operator_in(scoring_url, metadata)
    service = service_on(scoring_url, KafkaSettings(bootstrap_servers="127.0.0.1:1"), rig.clock)
    listings = {
        "/v1/obligations": ("obligations", ""),
        "/v1/setbacks": ("setbacks", ""),
        "/v1/reliefs": ("reliefs", ""),
    }
    assert await try_every_paged_route(service.app, OPERATOR, listings) == []
    await service.database.close()
