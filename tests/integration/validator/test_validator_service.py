"""Validator as it is served: its HTTP interface, and one submission's way through the real Kafka."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from services.validator.main import build
from services.validator.rules.catalogue import RULES
from services.validator.settings import ValidatorSettings
from services.validator.tables import metadata
from shared.contract.events import EventModel, VerdictReached
from shared.postgres.database import Database
from shared.runtime.clock import ManualClock, monotonic_seconds
from shared.runtime.settings import CommonSettings, KafkaSettings
from shared.service.service import Service
from tests.fakes.operators import OPERATOR, let_operator_in
from tests.forged import try_every_paged_route
from tests.integration.validator.rig import GOOD, NOW, Rig, event_of, regime, submission

DEADLINE_SECONDS = 60


def service_on(url: str, kafka: KafkaSettings) -> Service:
    return build(
        settings=ValidatorSettings(database_url=url, database_pool_size=5),
        common=CommonSettings(),
        kafka=kafka,
        clock=ManualClock(NOW),
    )


@pytest.fixture
async def served(validator_url: str) -> AsyncIterator[tuple[httpx.AsyncClient, Rig]]:
    """A client of the app (nothing runs behind it) and a rig on the same database."""
    await let_operator_in(validator_url, metadata)
    service = service_on(validator_url, KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    database = Database(validator_url, pool_size=2)
    transport = httpx.ASGITransport(app=service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://validator") as client:
        yield client, Rig(database)
    await database.close()
    await service.database.close()


Served = tuple[httpx.AsyncClient, Rig]


async def test_a_verdict_is_read_by_its_submission(served: Served) -> None:
    client, rig = served
    await rig.keep(regime())
    body = submission(figures=GOOD | {"A": "1,5"})
    await rig.judge(body)
    answer = await client.get(f"/v1/verdicts/{body.submission_id}", headers=OPERATOR)
    assert answer.status_code == 200
    (published,) = await rig.published()
    # the answer lists what was looked back to, also where the form has no such rules
    assert VerdictReached.model_validate(answer.json()) == published.model_copy(
        update={"compared_with": (), "looked_up": ()}
    )
    assert answer.json()["findings"][0]["fix"].endswith("chỉ tiêu A chỉ nhận số nguyên: viết số đã làm tròn.")


async def test_an_unknown_submission_is_a_problem_in_both_languages(served: Served) -> None:
    client, _ = served
    answer = await client.get(f"/v1/verdicts/{uuid4()}", headers=OPERATOR)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Không tìm thấy kết quả kiểm tra" in answer.json()["detail_vi"]
    assert "no verdict on submission" in answer.json()["detail_en"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/verdicts/0197a1b2-0000-7000-8000-000000000000",
        "/v1/verdicts?obligation=a/b/c",
        "/v1/exports/verdicts",
        "/v1/exports/findings",
    ],
)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
async def test_verdicts_are_for_the_operator_only(served: Served, path: str, headers: dict[str, str]) -> None:
    client, _ = served
    assert (await client.get(path, headers=headers)).status_code == 401


async def test_verdicts_of_an_obligation_come_newest_first_page_by_page(served: Served) -> None:
    client, rig = served
    await rig.keep(regime())
    await rig.judge(*(submission(version=version) for version in range(1, 6)), submission("H99.77"))
    seen: list[int] = []
    query: str | None = "/v1/verdicts?obligation=H99.02/BC/2026-M03&limit=2"
    while query:
        answer = await client.get(query, headers=OPERATOR)
        page = answer.json()
        seen += [item["version"] for item in page["items"]]
        after = page["next"]
        query = f"/v1/verdicts?obligation=H99.02/BC/2026-M03&limit=2&after={after}" if after else None
    assert seen == [5, 4, 3, 2, 1]


@pytest.mark.parametrize("query", ["obligation=%00", "limit=5", "obligation=a&after=garbage", "obligation=a&limit=0"])
async def test_a_bad_query_is_a_problem_not_a_failure(served: Served, query: str) -> None:
    client, _ = served
    answer = await client.get(f"/v1/verdicts?{query}", headers=OPERATOR)
    assert answer.status_code in (400, 422)
    assert answer.json()["errors"] or answer.status_code == 400


async def test_finding_codes_are_public(served: Served) -> None:
    client, _ = served
    items = (await client.get("/v1/findings")).json()["items"]
    assert {item["code"]: (item["meaning"], item["meaning_en"]) for item in items} == {
        code: (rule.meaning, rule.meaning_en) for code, rule in RULES.items()
    }


async def test_exports_show_every_verdict_and_finding_page_by_page(served: Served) -> None:
    client, rig = served
    await rig.keep(regime())
    bodies = [submission(f"H99.{i:02}", figures=GOOD | {"T": "9", "z": None}) for i in range(7)]
    await rig.judge(*bodies)
    for name, expected, limit in (("verdicts", 7, 3), ("findings", 14, 5)):
        items: list[dict[str, object]] = []
        after = ""
        while True:
            page = (await client.get(f"/v1/exports/{name}?limit={limit}{after}", headers=OPERATOR)).json()
            items += page["items"]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        assert len(items) == expected
        assert {item["submission_id"] for item in items} == {str(body.submission_id) for body in bodies}
    assert set(page["items"][0]) >= {"code", "tier", "severity", "path", "difference"}


async def _send(producer: AIOKafkaProducer, prefix: str, body: EventModel) -> None:
    event = event_of(body)
    await producer.send_and_wait(
        prefix + body.TOPIC, event.record.value, key=event.record.key, headers=list(event.record.headers)
    )


async def test_submissions_that_come_before_their_regime_are_judged_through_kafka_exactly_once(
    rig: Rig, validator_url: str, kafka_bootstrap: str, topics: str
) -> None:
    kafka = KafkaSettings(bootstrap_servers=kafka_bootstrap, topic_prefix=topics)
    service = service_on(validator_url, kafka)
    bodies = [submission(f"H99.{i % 5}", version=i // 5 + 1, figures=GOOD | {"T": str(i)}) for i in range(20)]
    producer = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap)
    consumer = AIOKafkaConsumer(f"{topics}verdicts", bootstrap_servers=kafka_bootstrap, auto_offset_reset="earliest")
    await producer.start()
    await consumer.start()
    try:
        async with service.lifespan(service.app):
            for body in [*bodies, *bodies[:3]]:  # three come twice, as other events
                await _send(producer, topics, body)
            await _send(producer, topics, regime())
            verdicts: list[VerdictReached] = []
            deadline = monotonic_seconds() + DEADLINE_SECONDS
            while len(verdicts) < len(bodies) and monotonic_seconds() < deadline:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        assert dict(record.headers)["ce_type"] == VerdictReached.TYPE.encode()
                        verdicts.append(VerdictReached.model_validate_json(record.value))
            transport = httpx.ASGITransport(app=service.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://validator") as client:
                ready = await client.get("/readyz")
                assert ready.status_code == 200, json.dumps(ready.json())
                metrics = (await client.get("/metrics")).text
        assert sorted(verdict.submission_id for verdict in verdicts) == sorted(body.submission_id for body in bodies)
        for key in {body.key for body in bodies}:
            assert [verdict.version for verdict in verdicts if verdict.key == key] == [1, 2, 3, 4]
        assert [verdict.outcome for verdict in verdicts].count("accepted") == 1  # the one whose total is 3
        assert {verdict.decided_at for verdict in verdicts} == {NOW}
        assert 'thongsuot_validator_verdicts_total{outcome="returned"}' in metrics
        stored = await rig.rows(
            "SELECT (SELECT count(*) FROM verdict) AS verdicts, (SELECT count(*) FROM deferred_events) AS deferred,"
            " (SELECT count(*) FROM outbox) + (SELECT count(*) FROM outbox_archive) AS events"
        )
        assert stored == [{"verdicts": 20, "deferred": 0, "events": 20}]
    finally:
        await consumer.stop()
        await producer.stop()


async def test_forged_cursors_are_bad_requests(validator_url: str) -> None:
    await let_operator_in(validator_url, metadata)
    service = service_on(validator_url, KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    obligation = "H99.01/KTXH/2026-M10"
    listings = {"/v1/verdicts": (f"verdicts/{obligation}", f"obligation={obligation}")}
    assert await try_every_paged_route(service.app, OPERATOR, listings) == []
    await service.database.close()
