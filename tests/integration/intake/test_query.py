"""What a request asks for in words that nobody knows is refused, not left out of what is done."""

from __future__ import annotations

import json
import re

import pytest

from tests.forged import try_every_paged_route
from tests.integration.intake.rig import OPERATOR_KEY, Province, intake, report, rows


@pytest.mark.parametrize("query", ["dryrun=true", "limit=1", "%00=1"])
async def test_a_submission_with_a_query_stores_nothing(province: Province, query: str) -> None:
    body = json.dumps(report())
    async with intake(province) as client:
        answer = await client.client.post(f"/v1/submissions?{query}", content=body, headers=client.headers())
        assert answer.status_code == 400
        assert answer.json()["type"] == "/problems/bad-request"
        assert len(answer.json()["errors"]) == 1
        assert await rows(province.url, "SELECT 1 FROM submissions") == []
        # control: the same without it
        assert (await client.post(body)).status_code == 201


async def test_allow_names_every_method_of_submissions(province: Province) -> None:
    async with intake(province) as client:
        for path, allow in (("/v1/submissions", "GET, POST"), ("/v1/obligations", "GET")):
            answer = await client.client.delete(path, headers=client.headers())
            assert (answer.status_code, answer.headers["allow"]) == (405, allow)


async def test_forged_cursors_are_bad_requests(province: Province) -> None:
    async with intake(
        province, agency_burst_milliseconds=1e9, agency_milliseconds_per_second=1e6, unauthorized_burst=10_000
    ) as client:
        app = client.service.app
        changed = "updated_after=2026-01-01T00:00:00%2B07:00"
        own = {
            "/v1/submissions", "/v1/obligations", "/v1/regimes", "/v1/information-requests", "/v1/shared/submissions",
            "/v1/reviews/open", "/v1/webhooks", "/v1/reference-tables", "/v1/waivers",
        }  # fmt: skip
        listings = {
            "/v1/submissions": ("submissions", ""),
            "/v1/obligations": ("obligations", ""),
            "/v1/regimes": ("regimes", ""),
            "/v1/audit": ("audit", ""),
            "/v1/registry/{kind}": ("registry/agency", ""),
            "/v1/agencies/without-officer": ("without-officer", ""),
            "/v1/information-requests": ("information-requests/None/None", ""),
            "/v1/shared/submissions": ("shared/submissions", ""),
            "/v1/reviews/open": ("open reviews", ""),
            "/v1/webhooks": ("webhooks", ""),
            "/v1/reference-tables": ("reference-tables", ""),
            "/v1/waivers": ("waivers/None", ""),
        }

        def of(paths: set[str], wrong: list[str]) -> list[str]:
            return [line for line in wrong if re.split(r"[?:]", line)[0] in paths]

        agency = await try_every_paged_route(app, client.headers(), listings)
        assert of(own, agency) == []
        assert not any("is not tried here" in line for line in agency)
        changes = {
            "/v1/submissions": ("submissions by change", changed),
            "/v1/obligations": ("obligations by change", changed),
        }
        assert await try_every_paged_route(app, client.headers(), changes, only=changes.keys()) == []
        operator = await try_every_paged_route(app, {"Authorization": f"Bearer {OPERATOR_KEY.secret_text}"}, listings)
        assert [line for line in operator if not of(own, [line])] == []
