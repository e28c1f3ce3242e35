"""A report posted over HTTP is answered by a receipt that is true, or by a problem that says what to do."""

from __future__ import annotations

import hashlib
import json
from uuid import UUID

from shared.events import SubmissionReceived
from tests.integration.intake.province import NOW, Province, intake, report, rows


async def test_a_good_report_gets_a_receipt_of_the_exact_bytes_and_an_event_with_exact_figures(
    province: Province,
) -> None:
    body = (
        '{"regime":"KTXH","period":"2026-M10","officer":"cb-01",'
        '"figures":{"A01":12345678901234567.89,"A02":1.50,"A03":-0,"A04":"0012","A05":null,'
        '"A06":123456789012345678901234567890,"A07":1E-7},"narratives":{"danh_gia":"Thu đạt khá."}}'
    )
    async with intake(province) as door:
        answer = await door.post(body)
        assert answer.status_code == 201, answer.text
        receipt = answer.json()
        assert answer.headers["location"] == f"/v1/submissions/{receipt['submission_id']}"
        assert UUID(receipt["submission_id"]).version == 7
        assert receipt == {
            "submission_id": receipt["submission_id"],
            "obligation": "H99.01/KTXH/2026-M10",
            "version": 1,
            "received_at": NOW.isoformat(),
            "sha256": hashlib.sha256(body.encode()).hexdigest(),
            "status": "received",
        }
        detail = (await door.get(answer.headers["location"])).json()
    figures = {
        "A01": "12345678901234567.89", "A02": "1.50", "A03": "-0", "A04": "0012", "A05": None,
        "A06": "123456789012345678901234567890", "A07": "1E-7",
    }  # fmt: skip
    assert detail["figures"] == figures
    assert detail["status"] == "received"
    assert detail["verdict"] is None
    [(event,)] = await rows(province.url, "SELECT body FROM outbox WHERE topic = 'submissions'")
    sent = SubmissionReceived.model_validate_json(event)
    assert sent.figures == figures
    assert sent.received_at == NOW
    assert (sent.version, sent.regime_version, sent.sha256) == (1, 1, receipt["sha256"])
    [(stored,)] = await rows(province.url, "SELECT body FROM submissions")
    assert stored == body.encode()


async def test_smoke_json(province: Province) -> None:
    async with intake(province) as door:
        answer = await door.post(json.dumps(report()))
        assert answer.status_code == 201
