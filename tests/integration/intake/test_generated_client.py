"""A client made by a stock generator sends a report, reads it back, and is told in full what is wrong."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import httpx

from tests.generated_client import generate
from tests.integration.intake.rig import DEPARTMENT, Province, intake, report


async def test_a_generated_client_sends_and_reads_a_report(province: Province, tmp_path: Path) -> None:
    async with intake(province) as running:
        made = generate(running.service.app.openapi(), tmp_path, "intake_client_at_work")
        client = made.client.AuthenticatedClient(base_url="http://intake.test", token=province.keys[DEPARTMENT])
        transport = httpx.ASGITransport(app=running.service.app)
        headers = {"Authorization": f"Bearer {province.keys[DEPARTMENT]}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://intake.test", headers=headers) as http:
            client.set_async_httpx_client(http)
            body = made.models.Report.from_dict(report())
            submit = made.operation("submissions", "submit").asyncio_detailed
            sent = await submit(client=client, body=body, idempotency_key="generated-1")
            assert sent.status_code == 201, sent.content
            receipt = sent.parsed
            assert (receipt.version, receipt.obligation) == (1, f"{DEPARTMENT}/KTXH/2026-M10")
            again = await submit(client=client, body=body, idempotency_key="generated-1")
            assert again.status_code == 200, again.content
            assert again.parsed.submission_id == receipt.submission_id

            read = made.operation("submissions", "submission").asyncio
            found = await read(str(receipt.submission_id), client=client)
            assert UUID(str(found.submission_id)) == UUID(str(receipt.submission_id))
            listed = await made.operation("submissions", "submissions").asyncio(client=client)
            assert [item.version for item in listed.items] == [1]
            me = await made.operation("agency", "me").asyncio(client=client)
            assert me.agency.code == DEPARTMENT

            wrong = made.models.Report.from_dict({**report(), "period": "2026-M13", "officer": "nobody"})
            refused = await submit(client=client, body=wrong, idempotency_key="generated-2")
            assert refused.status_code == 422
            assert {error.pointer for error in refused.parsed.errors} == {"/period", "/officer"}
            assert all(error.fix_vi and error.fix_en for error in refused.parsed.errors)
