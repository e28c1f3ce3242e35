"""Classified content leaves no trace: neither in the database, nor in logs, nor in spans."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text

from shared.postgres.database import Database
from shared.telemetry import tracing
from tests.fakes.spans import recorded_spans
from tests.integration.intake.rig import Province, intake, report

SECRET = "KHOGAOXYZ"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    with recorded_spans() as spans:
        yield spans


async def stored(url: str, words: str) -> list[str]:
    """Tables that hold the words anywhere, bytes included."""
    database = Database(url, pool_size=1)
    found = []
    try:
        async with database.read_transaction() as tx:
            tables = (await tx.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))).scalars()
            for table in list(tables):
                rows = await tx.execute(text(f'SELECT CAST(t AS text) FROM "{table}" AS t'))
                if any(words in row or words.encode().hex() in row for row in rows.scalars()):
                    found.append(table)
    finally:
        await database.close()
    return sorted(found)


@pytest.mark.parametrize(
    "more",
    [
        {"narratives": {"danh_gia": f"TUYỆT MẬT: {SECRET}"}},
        {"narratives": {"danh_gia": f"tối mật\n{SECRET}"}},
        {"figures": {"A01": f"MAT: {SECRET}"}},
        {"classification": f"mật {SECRET}"},
        {"classified": True, "narratives": {"danh_gia": SECRET}},
        {"nil": True, "nil_reason": f"Mật. {SECRET}", "figures": {}, "narratives": {}},
    ],
)
async def test_what_is_classified_is_refused_and_nothing_of_it_is_kept(
    province: Province, spans: InMemorySpanExporter, capfd: pytest.CaptureFixture[str], more: dict[str, object]
) -> None:
    async with intake(province) as client:
        answer = await client.post(report(**more))
    assert answer.status_code == 422
    assert SECRET not in answer.text
    assert any("mật" in error["message_vi"] for error in answer.json()["errors"])
    assert await stored(province.url, SECRET) == []
    said = capfd.readouterr()
    assert SECRET not in said.out + said.err
    assert not any(SECRET in span.to_json() for span in spans.get_finished_spans())


async def test_control_what_is_not_classified_is_found_where_it_is_kept(
    province: Province, spans: InMemorySpanExporter, capfd: pytest.CaptureFixture[str]
) -> None:
    async with intake(province) as client:
        assert (await client.post(report(narratives={"danh_gia": f"Mật độ dân số: {SECRET}"}))).status_code == 201
    assert await stored(province.url, SECRET) == ["outbox", "submissions"]
    with tracing.span(f"control {SECRET}"):
        print(SECRET)
    assert SECRET in capfd.readouterr().out
    assert any(SECRET in span.to_json() for span in spans.get_finished_spans())


async def test_the_reason_of_a_step_is_held_to_the_same(province: Province) -> None:
    async with intake(province) as client:
        name = (await client.post(report())).json()["submission_id"]
        path = f"/v1/submissions/{name}/withdrawal"
        answer = await client.client.post(path, json={"reason": f"MẬT: {SECRET}"}, headers=client.headers())
    assert (answer.status_code, [error["pointer"] for error in answer.json()["errors"]]) == (422, ["/reason"])
    assert await stored(province.url, SECRET) == []


async def test_a_nil_report_says_why_and_the_reason_is_kept(province: Province) -> None:
    nil = {"nil": True, "figures": {}, "narratives": {}}
    async with intake(province) as client:
        for reason in ({}, {"nil_reason": " "}, {"nil_reason": 1}):
            answer = await client.post(report(**nil, **reason))
            assert (answer.status_code, [error["pointer"] for error in answer.json()["errors"]]) == (
                422, ["/nil_reason"],
            )  # fmt: skip
        stray = await client.post(report(nil_reason="Không có"))
        assert [error["pointer"] for error in stray.json()["errors"]] == ["/nil_reason"]
        kept = await client.post(report(**nil, nil_reason="Trong tháng không có thiên tai."))
        assert kept.status_code == 201
        shown = (await client.get(f"/v1/submissions/{kept.json()['submission_id']}")).json()
        assert shown["nil_reason"] == "Trong tháng không có thiên tai."
        other = await client.post(report(**nil, nil_reason="Trong tháng không có bão."))
        assert other.status_code == 201, "another reason is another content"
