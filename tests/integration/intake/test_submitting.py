"""A report posted over HTTP is answered by a receipt that is true, or by a problem that says what to do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import text

from shared.contract.events import SubmissionReceived
from shared.postgres.database import Database
from shared.runtime.clock import LOCAL_ZONE, ManualClock
from tests.integration.intake.rig import (
    COMMUNE,
    DEPARTMENT,
    DISTRICT,
    NOW,
    Province,
    intake,
    load,
    regime,
    report,
    rows,
)
from tests.integration.intake.test_following import apply, opened

#: 2026-M11 holds 15/10 to 14/11
M11 = datetime(2026, 10, 15, tzinfo=LOCAL_ZONE)


def places(answer: httpx.Response) -> list[str]:
    return [error["pointer"] for error in answer.json()["errors"]]


def assert_problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["type"] == f"/problems/{slug}"
    assert problem["title_vi"]
    assert problem["title_en"]
    assert problem["detail_vi"]
    assert problem["detail_en"]
    return problem


async def test_a_report_before_its_figures_exist_is_refused_with_the_hour_from_which_it_is_taken(
    province: Province,
) -> None:
    await load(province.url, [regime("SOM", early_allowed=True)])
    await apply(
        province.url,
        [opened(DEPARTMENT, "2026-M11", deadline=M11 + timedelta(34), opens_at=M11, cutoff_to=date(2026, 11, 14))],
    )
    clock = ManualClock(datetime(2026, 11, 14, 23, 59, 59, 999_999, tzinfo=LOCAL_ZONE))
    async with intake(province, clock=clock) as client:
        answer = await client.post(report(period="2026-M11"), key="early")
        [error] = assert_problem(answer, 422, "invalid-report")["errors"]
        assert error["pointer"] == "/period"
        assert "nhận báo cáo từ 00:00 ngày 15/11/2026 (giờ Việt Nam" in error["message_vi"]
        assert "taken from 00:00 on 2026-11-15 (Vietnam time" in error["message_en"]
        assert "15/11/2026" in error["fix_vi"]
        assert await rows(province.url, "SELECT 1 FROM submissions") == []
        assert (await client.post(report(period="2026-M11", regime="SOM"))).status_code == 201, "its regime allows it"
        # what the agency reads says the same hour
        [duty] = (await client.get("/v1/me")).json()["owed"]
        shown = (await client.get("/v1/regimes/KTXH")).json()
        whole = (await client.get("/v1/obligations/KTXH/2026-M11")).json()
        said = {duty["accepted_from"], shown["next_deadline"]["accepted_from"], whole["accepted_from"]}
        assert said == {"2026-11-15T00:00:00+07:00"}
        allowed = (await client.get("/v1/regimes/SOM")).json()["early_allowed"]
        assert (shown["early_allowed"], allowed) == (False, True)
        assert shown["example"]["period"] == "2026-M10", "the example is one that is taken now"
        clock.set(clock.now() + timedelta(microseconds=1))
        receipt = await client.post(report(period="2026-M11"), key="early")  # nothing of the refusal is kept
        assert (receipt.status_code, receipt.json()["version"]) == (201, 1)
        assert receipt.json()["received_at"] == "2026-11-15T00:00:00+07:00"


async def test_a_good_report_gets_a_receipt_of_the_exact_bytes_and_an_event_with_exact_figures(
    province: Province,
) -> None:
    body = (
        '{"regime":"KTXH","period":"2026-M10","officer":"cb-01",'
        '"figures":{"A01":12345678901234567.89,"A02":1.50,"A03":-0,"A04":"0012","A05":null,'
        '"A06":123456789012345678901234567890,"A07":1E-7},"narratives":{"danh_gia":"Thu đạt khá."}}'
    )
    async with intake(province) as client:
        answer = await client.post(body)
        assert answer.status_code == 201, answer.text
        receipt = answer.json()
        assert answer.headers["location"] == f"/v1/submissions/{receipt['submission_id']}"
        assert UUID(receipt["submission_id"]).version == 7
        assert receipt == {
            "submission_id": receipt["submission_id"],
            "obligation": "H99.01/KTXH/2026-M10",
            "version": 1,
            "received_at": NOW.isoformat(),
            "deadline": None,
            "sha256": hashlib.sha256(body.encode()).hexdigest(),
            "status": "received",
        }
        detail = (await client.get(answer.headers["location"])).json()
    figures = {
        "A01": "12345678901234567.89",
        "A02": "1.50",
        "A03": "-0",
        "A04": "0012",
        "A05": None,
        "A06": "123456789012345678901234567890",
        "A07": "1E-7",
    }
    assert detail["figures"] == figures
    assert detail["status"] == "received"
    assert detail["verdict"] is None
    [(event, traceparent)] = await rows(
        province.url, "SELECT body, traceparent FROM outbox WHERE topic = 'submissions'"
    )
    sent = SubmissionReceived.model_validate_json(event)
    assert sent.figures == figures
    assert sent.received_at == NOW
    assert (sent.version, sent.regime_version, sent.sha256) == (1, 1, receipt["sha256"])
    assert traceparent
    [(stored,)] = await rows(province.url, "SELECT body FROM submissions")
    assert stored == body.encode()


async def test_runs_of_marks_travel_parted_and_the_bytes_stay_as_sent(province: Province) -> None:
    body = json.dumps(report(narratives={"danh_gia": "a" + "\u0301" * 40}), ensure_ascii=False)
    async with intake(province) as client:
        answer = await client.post(body)
        assert answer.status_code == 201
        detail = (await client.get(answer.headers["location"])).json()
        again = await client.post(body, key="another")
        assert_problem(again, 409, "unchanged")
    parted = {"danh_gia": "a" + "\u0301" * 30 + "\u034f" + "\u0301" * 10}
    [(event,)] = await rows(province.url, "SELECT body FROM outbox WHERE topic = 'submissions'")
    assert SubmissionReceived.model_validate_json(event).narratives == detail["narratives"] == parted
    [(stored,)] = await rows(province.url, "SELECT body FROM submissions")
    assert stored == body.encode()
    assert answer.json()["sha256"] == hashlib.sha256(body.encode()).hexdigest()


async def test_the_trace_of_a_request_goes_on_in_its_event(province: Province) -> None:
    async with intake(province) as client:
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        await client.post(report(), traceparent=f"00-{trace}-00f067aa0ba902b7-01")
    [(traceparent,)] = await rows(province.url, "SELECT traceparent FROM outbox WHERE topic = 'submissions'")
    assert traceparent.split("-")[1] == trace


async def test_every_error_of_a_body_is_told_at_once_with_its_place_and_its_cure(province: Province) -> None:
    async with intake(province) as client:
        answer = await client.post(
            '{"regime":"KTXH","period":5,"figures":{"A":true,"b c":1},"narratives":{"n":1},"agency":"H99.50"}'
        )
        problem = assert_problem(answer, 422, "invalid-report")
        wrong = {"/period", "/officer", "/figures/A", "/figures/b c", "/narratives/n", "/agency"}
        assert set(places(answer)) == wrong
        for error in problem["errors"]:
            assert error["message_vi"]
            assert error["message_en"]
            assert error["fix_vi"]
            assert error["fix_en"]
        # form and envelope in one answer
        answer = await client.post(report(regime="NONE", officer="nobody", period="2026-M13", figures={"A": []}, x=1))
        assert_problem(answer, 422, "invalid-report")
        assert set(places(answer)) == {"/regime", "/officer", "/period", "/figures/A", "/x"}
        answer = await client.post(report(officer="cb-90", period="2025-M08", x=1), of=DISTRICT)
        assert_problem(answer, 422, "invalid-report")
        assert set(places(answer)) == {"/period", "/x"}
        assert COMMUNE in answer.text
        answer = await client.post(report(x=1))
        assert places(answer) == ["/x"]
        answer = await client.post(report(regime="NONE", officer="nobody"))
        assert_problem(answer, 422, "invalid-report")
        assert set(places(answer)) == {"/regime", "/officer"}
        answer = await client.post(report(classification="mật"))
        assert_problem(answer, 422, "invalid-report")
        assert places(answer) == ["/classification"]
    assert await rows(province.url, "SELECT 1 FROM submissions") == []


async def test_what_is_no_json_is_a_bad_request(province: Province) -> None:
    async with intake(province) as client:
        for body in (b"", b"[]", b"{", b"\xff\xfe"):
            assert_problem(await client.post(body), 400, "bad-request")


async def test_an_idempotency_key_is_needed_and_visible(province: Province) -> None:
    async with intake(province) as client:
        headers = client.headers()
        del headers["Idempotency-Key"]
        answer = await client.client.post("/v1/submissions", content=json.dumps(report()), headers=headers)
        assert_problem(answer, 400, "idempotency-key-missing")
        for bad in ("", "a b", "é", "x" * 256):
            raw = [*headers.items(), ("Idempotency-Key", bad.encode("latin-1"))]
            answer = await client.client.post("/v1/submissions", content=json.dumps(report()), headers=raw)  # type: ignore[arg-type]
            assert_problem(answer, 400, "idempotency-key-missing")
        assert (await client.post(report(), key="x" * 255)).status_code == 201


async def test_only_plain_json_is_taken(province: Province) -> None:
    async with intake(province) as client:
        for kind in ("text/plain", "application/xml", "application/json; charset=latin-1", ""):
            answer = await client.post(report(), **{"Content-Type": kind})
            assert_problem(answer, 415, "unsupported-media-type")
        assert_problem(await client.post(report(), **{"Content-Encoding": "gzip"}), 415, "unsupported-media-type")
        answer = await client.post(report(), **{"Content-Type": 'Application/JSON; charset="UTF-8"'})
        assert answer.status_code == 201


async def test_a_body_is_counted_while_it_streams_whatever_its_length_header_claims(province: Province) -> None:
    limit = 256 * 1024
    sent = 0

    async def stream() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 4096
            yield b" " * 4096

    async with intake(province) as client:
        answer = await client.client.post("/v1/submissions", content=stream(), headers=client.headers())
        problem = assert_problem(answer, 413, "too-large")
        assert problem["limit_bytes"] == limit
        padded = json.dumps(report()).encode().ljust(limit)
        assert (await client.post(padded)).status_code == 201
        assert_problem(await client.post(padded + b" "), 413, "too-large")


async def test_a_report_is_received_when_its_head_arrives(province: Province) -> None:
    async with intake(province) as client:
        body = json.dumps(report()).encode()

        async def slowly() -> AsyncIterator[bytes]:
            yield body[:10]
            client.clock.advance(seconds=30)
            yield body[10:]

        answer = await client.client.post("/v1/submissions", content=slowly(), headers=client.headers())
        assert answer.json()["received_at"] == NOW.isoformat()
        # the clock has moved: the next one is received later
        later = await client.post(report(2))
        assert later.json()["received_at"] == (NOW + timedelta(seconds=30)).isoformat()
    stored = await rows(province.url, "SELECT received_at FROM submissions ORDER BY version")
    assert [moment for (moment,) in stored] == [NOW, NOW + timedelta(seconds=30)]


async def test_a_closed_district_is_told_its_successor(province: Province) -> None:
    async with intake(province) as client:
        answer = await client.post(report(officer="cb-90", period="2025-M08"), of=DISTRICT)
        problem = assert_problem(answer, 422, "agency-closed")
        assert problem["successors"] == [COMMUNE]
        assert COMMUNE in problem["detail_vi"]
        assert (await client.post(report(officer="cb-90", period="2025-M07"), of=DISTRICT)).status_code == 201


async def test_a_nil_report_and_an_answer_to_a_request_are_stored(province: Province) -> None:
    async with intake(province) as client:
        assert (
            await client.post(report(nil=True, nil_reason="Không phát sinh.", figures={}, narratives={}))
        ).status_code == 201
        answer = await client.post(report(regime="THIENTAI", period="DX-2026-001"))
        assert answer.json()["obligation"] == "H99.01/THIENTAI/DX-2026-001"
    [(nil,)] = await rows(province.url, "SELECT nil FROM submissions WHERE regime = 'KTXH'")
    assert nil is True


async def test_the_openapi_document_knows_the_raw_route_and_every_property_it_takes(province: Province) -> None:
    from shared.reports.report_parser import _FIELDS

    async with intake(province) as client:
        document = (await client.client.get("/openapi.json")).json()
    operation = document["paths"]["/v1/submissions"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    assert set(schema["properties"]) == set(_FIELDS)
    assert {"201", "200", "400", "401", "409", "413", "415", "422", "429", "503"} <= set(operation["responses"])
    assert "get" in document["paths"]["/v1/submissions"]
    assert "ProblemDetails" in document["components"]["schemas"]


async def test_requests_are_measured_under_their_route(province: Province) -> None:
    async with intake(province) as client:
        await client.post(report())
        text = (await client.client.get("/metrics")).text
    assert 'thongsuot_http_requests_total{method="POST",route="/v1/submissions",status="2xx"}' in text
    assert 'thongsuot_intake_submissions_total{outcome="stored"}' in text


async def tried(client: Any, body: dict[str, Any], query: str = "dry_run=true") -> httpx.Response:
    answer: httpx.Response = await client.client.post(
        f"/v1/submissions?{query}",
        content=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {client.province.keys[DEPARTMENT]}", "Content-Type": "application/json"},
    )
    return answer


async def test_a_dry_run_says_what_would_become_of_the_report_and_stores_nothing(province: Province) -> None:
    async with intake(province) as client:
        answer = await tried(client, report())
        assert answer.status_code == 200, answer.text
        said = answer.json()
        assert (said["dry_run"], said["obligation"], said["version"]) == (True, f"{DEPARTMENT}/KTXH/2026-M10", 1)
        assert said["deadline"] is None
        assert said["validation"] == f"/v1/validations?regime_version={said['regime_version']}"
        assert await rows(province.url, "SELECT 1 FROM submissions UNION ALL SELECT 1 FROM obligations") == []
        assert await rows(province.url, "SELECT 1 FROM outbox WHERE topic = 'submissions'") == []
        receipt = await client.post(report())
        assert (receipt.status_code, receipt.json()["version"]) == (201, 1)
        assert_problem(await tried(client, report()), 409, "unchanged")
        changed = report() | {"figures": {"A01": "9"}}
        assert (await tried(client, changed)).json()["version"] == 2
        # dry_run=false sends, and so needs its key
        assert_problem(await tried(client, changed, "dry_run=false"), 400, "idempotency-key-missing")


async def test_a_dry_run_is_refused_as_the_report_would_be(province: Province) -> None:
    async with intake(province) as client:
        answer = await tried(client, report(officer="ai-do", period="2026-Q1"))
        assert places(answer) == ["/officer", "/period"]
        assert_problem(answer, 422, "invalid-report")
        assert places(await tried(client, report() | {"figures": []})) == ["/figures"]
        wrong = await tried(client, report(), "dry_run=perhaps")
        assert (assert_problem(wrong, 422, "unprocessable")["errors"][0]["pointer"]) == "/dry_run"
        await client.post(report())
        database = Database(province.url, pool_size=1)
        async with database.transaction() as tx:
            await tx.execute(text("UPDATE obligations SET locks_at = now() - interval '10 years'"))
        await database.close()
        assert_problem(await tried(client, report() | {"figures": {"A01": "9"}}), 409, "obligation-locked")
        anonymous = await client.client.post("/v1/submissions?dry_run=true", content=b"{}")
        assert anonymous.status_code == 401
