"""A dry run says what the verdict would say, for whoever may send the report, and stores nothing."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from services.board.acting import Actor, Done
from services.board.entry import domain as board_form
from services.board.entry.domain import Content
from services.board.entry.views import Notes, notes, of_findings
from services.validator.tables import metadata
from shared.contract.events import Form, OfficerRegistered
from shared.runtime.clock import SystemClock
from tests.fakes.operators import OPERATOR, let_agency_in, let_issuer_in
from tests.integration.validator.rig import FORM, GOOD, Rig, regime, submission
from tests.integration.validator.test_rules import RULED, of_period
from tests.integration.validator.test_validator_service import Served, served

__all__ = ["served"]

AGENCY = "H99.02"
COUNTED = "SELECT (SELECT count(*) FROM verdict) + (SELECT count(*) FROM finding) + (SELECT count(*) FROM outbox) AS n"


@pytest.fixture
async def key(served: Served, validator_url: str) -> dict[str, str]:
    return await let_agency_in(validator_url, metadata, AGENCY)


def report(**others: Any) -> dict[str, Any]:
    return {"regime": "BC", "period": "2026-M03", "officer": "o1", "figures": GOOD, **others}


async def tried(
    client: httpx.AsyncClient, key: dict[str, str], body: dict[str, Any], query: str = ""
) -> httpx.Response:
    return await client.post(
        f"/v1/validations{query}",
        content=json.dumps(body, ensure_ascii=False),
        headers={**key, "Content-Type": "application/json"},
    )


async def stored(rig: Rig) -> int:
    (row,) = await rig.rows(COUNTED)
    return int(row["n"])


async def test_a_dry_run_says_what_the_verdict_then_says_and_stores_nothing(
    served: Served, key: dict[str, str]
) -> None:
    client, rig = served
    await rig.keep(regime(form=RULED))
    await rig.judge(of_period("2025-M03", 1), of_period("2026-M02", 8))
    before = await stored(rig)
    figures = GOOD | {"T": "7", "A": "1,5", "B": "0"}
    answer = await tried(client, key, report(figures=figures, narratives={"N": "a"}))
    assert answer.status_code == 200, answer.text
    assert await stored(rig) == before
    said = answer.json()
    body = submission(figures=figures, narratives={"N": "a"})
    await rig.judge(body)
    (verdict,) = [one for one in await rig.published() if one.submission_id == body.submission_id]
    shared = ("agency", "regime", "regime_version", "period", "outcome", "errors", "warnings", "required_items",
              "present_items", "findings_truncated", "rule_pack")  # fmt: skip
    assert {name: said[name] for name in shared} == {name: getattr(verdict, name) for name in shared}
    assert said["findings"] == [finding.model_dump() for finding in verdict.findings]
    assert said["compared_with"] == [str(one) for one in verdict.compared_with or ()]
    assert {"QT-01", "V02"} <= {finding["code"] for finding in said["findings"]}
    assert len(said["compared_with"]) == 2


@pytest.mark.parametrize(("total", "outcome", "to_explain"), [(9, "accepted", False), (7, "accepted", True)])
async def test_it_says_whether_an_explanation_would_be_asked_for(
    served: Served, key: dict[str, str], total: int, outcome: str, to_explain: bool
) -> None:
    client, rig = served
    await rig.keep(regime(form=RULED))
    await rig.judge(of_period("2025-M03", 1), of_period("2026-M02", 8))
    said = (await tried(client, key, report(figures=GOOD | {"T": str(total), "A": str(total), "B": "0"}))).json()
    assert (said["outcome"], said["to_explain"]) == (outcome, to_explain)


async def test_the_period_says_by_which_version_and_a_version_can_be_named(served: Served, key: dict[str, str]) -> None:
    client, rig = served
    strict = Form.model_validate(FORM.model_dump(mode="json") | {"nil_allowed": False})
    await rig.keep(regime(effective_from="2025-01-01"), regime(regime_version=2, form=strict))
    assert (await tried(client, key, report())).json()["regime_version"] == 2
    assert (await tried(client, key, report(period="2025-M03"))).json()["regime_version"] == 1
    assert (await tried(client, key, report(), "?regime_version=1")).json()["regime_version"] == 1
    # whoever was judged under a version that is withdrawn is judged under the one in its place
    await rig.keep(regime(regime_version=3, replaces=2, effective_from="2027-01-01"))
    assert (await tried(client, key, report(), "?regime_version=2")).json()["regime_version"] == 3


@pytest.mark.parametrize(
    ("body", "query", "pointer"),
    [
        (report(regime="KHAC"), "", "/regime"),
        (report(period="2026-Q1"), "", "/period"),
        (report(period="2025-M03"), "", "/period"),
        (report(period="2026-M99"), "", "/period"),
        (report(), "?regime_version=7", "/regime_version"),
        (report(figures=[]), "", "/figures"),
    ],
)
async def test_what_can_be_judged_under_no_form_is_said_with_its_place(
    served: Served, key: dict[str, str], body: dict[str, Any], query: str, pointer: str
) -> None:
    client, rig = served
    await rig.keep(regime())
    answer = await tried(client, key, body, query)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert all(error["fix"] and error["fix_en"] for error in answer.json()["errors"])


async def test_a_version_kept_before_its_validity_was_is_asked_for_by_its_number(
    served: Served, key: dict[str, str], validator_url: str
) -> None:
    client, rig = served
    await rig.keep(regime())
    async with rig.database.transaction() as tx:
        await tx.exec_driver_sql("UPDATE regime SET validity = NULL")
    assert (await tried(client, key, report())).json()["errors"][0]["pointer"] == "/regime_version"
    assert (await tried(client, key, report(), "?regime_version=1")).status_code == 200


async def test_only_whoever_may_send_reports_has_them_tried(
    served: Served, key: dict[str, str], validator_url: str
) -> None:
    client, rig = served
    await rig.keep(regime())
    reads = await let_agency_in(validator_url, metadata, AGENCY, ["read"])
    assert [(await tried(client, one, report())).status_code for one in ({}, OPERATOR, reads, key)] == [
        401, 403, 403, 200,
    ]  # fmt: skip
    plain = await client.post("/v1/validations", content=b"{}", headers={**key, "Content-Type": "text/plain"})
    assert plain.status_code == 415


@pytest.fixture
def poor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comes before the service is built."""
    monkeypatch.setenv("VALIDATOR_AGENCY_BURST_MILLISECONDS", "20")


async def test_a_large_report_is_judged_in_the_process_beside_and_costs_its_agency_alone(
    poor: None, served: Served, key: dict[str, str], validator_url: str
) -> None:
    client, rig = served
    await rig.keep(regime())
    large = report(narratives={"N": "Kết quả thực hiện. " * 1000})
    answers = [await tried(client, key, large)]
    assert "N02" in [finding["code"] for finding in answers[0].json()["findings"]], answers[0].text
    while answers[-1].status_code == 200 and len(answers) < 50:
        answers.append(await tried(client, key, large))
    assert answers[-1].json()["type"] == "/problems/too-many-requests"
    assert int(answers[-1].headers["retry-after"]) >= 1
    other = await let_agency_in(validator_url, metadata, "H99.03")
    assert (await tried(client, other, report())).status_code == 200


async def test_the_boards_form_is_judged_in_the_officers_name_and_findings_stand_at_its_fields(
    served: Served, validator_url: str
) -> None:
    client, rig = served
    await rig.keep(regime())
    officer = OfficerRegistered(
        officer_id="o1", agency=AGENCY, name="Lê Thị A", email="a@h99.example", role="reporting_officer", version=1
    )
    key = await let_issuer_in(validator_url, metadata, "board", [officer])
    actor = Actor(lambda: key, {"validator": ["http://validator"]}, SystemClock(), transport=client._transport)

    async def check(figures: dict[str, str]) -> Notes:
        typed = Content(officer="o1", figures=figures)
        path, body = "/v1/validations?regime_version=1", board_form.report(typed, "BC", "2026-M03")
        answer = await actor.post("o1", "validator", path, body, language="vi")
        assert isinstance(answer, Done), answer
        return notes(of_findings(answer.document["findings"]), FORM, typed)

    figures = {code: text for code, text in GOOD.items() if text}
    assert [note.code for _, note in (await check(figures)).all if note.weight == "error"] == []
    wrong = await check({**figures, "A": "1,5"})
    assert wrong.returns("/figures/A")
    assert {pointer for pointer, _ in wrong.all} <= {f"/figures/{one.code}" for one in FORM.figures}
