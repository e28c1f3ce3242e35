"""Principal × route × agency: what each operation of the services answers whoever calls it.

The routes are those of the OpenAPI documents, and what is expected follows from `x-scope` alone: a new route is in the
matrix as soon as it is served.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI

from services.board.main import build as board
from services.board.settings import BoardSettings
from services.intake.access import keys
from services.intake.access.callers import Access
from services.intake.receipts.signing import SigningKey
from services.notifier.main import build as notifier
from services.notifier.settings import NotifierSettings
from services.scoring.main import build as scoring
from services.scoring.settings import ScoringSettings
from services.validator.main import build as validator
from services.validator.settings import ValidatorSettings
from shared.access import SCOPES, Office, Principal, Scope, Term
from shared.contract.events import Finding
from shared.postgres.database import Database
from shared.projection.keyring import CopiedKeyring
from shared.runtime.settings import CommonSettings, KafkaSettings
from tests.integration.intake.rig import COMMUNE, DEPARTMENT, NOW, OFFICE, Intake, Province, intake, load, report
from tests.integration.intake.test_following import apply, opened, overdue, verdict
from tests.integration.intake.test_information_requests import question
from tests.integration.intake.test_principals import PEOPLE as OFFICES
from tests.integration.intake.test_principals import key_of, person
from tests.integration.intake.test_waivers import asked as waiver
from tests.integration.intake.test_webhooks import BODY as WEBHOOK
from tests.integration.intake.test_webhooks import key_file
from tests.integration.matrix import NOBODY, Caller, Thing, asking, trespasses, unstated, untold, violations
from tests.unit.shared.web.asking import bare_app

__all__ = ["key_file"]

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
OTHERS: dict[str, tuple[Callable[..., Any], type]] = {
    "validator": (validator, ValidatorSettings),
    "scoring": (scoring, ScoringSettings),
    "notifier": (notifier, NotifierSettings),
    "board": (board, BoardSettings),
}
EVERY = frozenset({DEPARTMENT, COMMUNE, OFFICE})
#: forms and reference tables are for whoever has a key
OF_NOBODY = ("/v1/regimes/", "/v1/reference-tables/")
LISTS = {"/v1/registry/{kind}": "/v1/registry/person"}
ADMINISTERS = frozenset({"administer", "operate"})
#: who reviews for others keeps none of their webhooks
KEEPS_WEBHOOKS = frozenset({"submit", "administer", "operate"})
PEOPLE = [
    *OFFICES,
    person("duyet-so", "reviewer", DEPARTMENT),
    person("quan-tri", "administrator", "H99"),
    person("quan-tri-so", "administrator", DEPARTMENT),
    *(
        person(f"nguoi-cua-{code}", "reporting_officer", code).model_copy(update={"agency": code})
        for code in (DEPARTMENT, COMMUNE)
    ),
]


async def callers(province: Province) -> list[Caller]:
    """One of each kind, and of each kind one that may less."""
    await load(province.url, PEOPLE)
    url, own, other = province.url, frozenset({DEPARTMENT}), frozenset({COMMUNE})
    revoked = await key_of(url, "agency", COMMUNE)
    await revoke(url, revoked)
    # over before it is presented: the other keys are made meanwhile
    expired = await key_of(url, "agency", COMMUNE, expires_at=datetime.now(UTC) + timedelta(milliseconds=100))
    department = {"submit": own, "read": own}
    return [
        NOBODY,
        Caller("agency", province.keys[DEPARTMENT], DEPARTMENT, department),
        Caller("other agency", province.keys[COMMUNE], COMMUNE, {"submit": other, "read": other}),
        Caller("reading key", await key_of(url, "agency", DEPARTMENT, ["read"]), DEPARTMENT, {"read": own}),
        Caller("revoked key", revoked, COMMUNE, {"submit": other, "read": other}, dead=True),
        Caller("expired key", expired, COMMUNE, {"submit": other, "read": other}, dead=True),
        Caller("chair", await key_of(url, "person", "chu-tich"), DEPARTMENT, {"read": EVERY, "review": EVERY}),
        Caller("reviewer of one", await key_of(url, "person", "duyet-so"), DEPARTMENT, {"read": own, "review": own}),
        Caller(
            "administrator", await key_of(url, "person", "quan-tri"), DEPARTMENT, {"read": EVERY, "administer": EVERY}
        ),
        Caller(
            "administrator of one",
            await key_of(url, "person", "quan-tri-so"),
            DEPARTMENT,
            {"read": own, "administer": own},
        ),
        Caller("officer", await key_of(url, "person", "so"), DEPARTMENT, {"submit": own, "read": own}),
        Caller("out of office", await key_of(url, "person", "cu"), DEPARTMENT, {}),
        Caller("operator", await key_of(url, "operator", "van-hanh"), None, {"operate": frozenset({"*"})}),
    ]


async def revoke(url: str, key: str) -> None:
    database = Database(url, pool_size=1)
    try:
        async with database.transaction() as tx:
            await keys.revoke(tx, key.split("_")[1], datetime.now(UTC))
    finally:
        await database.close()


async def values_of(client: Intake) -> dict[str, str]:
    """What the department has, by the names of path parameters."""
    sent = await client.post(report())
    await apply(client.province.url, [opened(DEPARTMENT)])
    return {
        "submission_id": sent.json()["submission_id"],
        "regime": "KTXH",
        "code": "KTXH",
        "period": "2026-M10",
    }


async def test_intake_answers_each_principal_for_each_agency_as_its_document_says(province: Province) -> None:
    async with intake(province, unauthorized_burst=10_000) as client:
        assert unstated(client.service.app) == []
        values = await values_of(client)
        found = await violations(
            client.service.app, await callers(province), values, asking(client.client), [DEPARTMENT, COMMUNE]
        )
    assert found == []


async def test_what_an_agency_has_is_found_by_those_alone_who_reach_it(
    province: Province, key_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signs = tmp_path / "key.pem"
    signs.write_bytes(SigningKey.generate().pem())
    limits: dict[str, Any] = {"unauthorized_burst": 10_000, "agency_burst_milliseconds": 1e9}
    async with intake(province, neighbours=(), webhook_key_file=key_file, receipt_key_file=signs, **limits) as client:
        things, who = await things_of(client), await callers(province)
        app, ask, values = client.service.app, asking(client.client), {"addressee": OFFICE}
        unanswered = ["/v1/information-requests/{request_id}/answers/{addressee}"]
        assert await trespasses(app, who, things, ask, values, unanswered, OF_NOBODY, LISTS) == []
        # negative control: readers of everything
        monkeypatch.setattr(Access, "_may", lambda *_: True)
        other = [caller for caller in who if caller.name == "other agency"]
        found = await trespasses(app, other, things[:1], ask, values, unanswered)
        path = f"/v1/submissions/{things[0].id}"
        assert f"other agency: get {path} of {DEPARTMENT}: 200, not reached" in found


async def things_of(client: Intake) -> list[Thing]:
    """What the department and the commune have, each of everything that has an id."""
    return [thing for agency, officer in ((DEPARTMENT, "cb-01"), (COMMUNE, "cb-50")) for thing in
            await of_one(client, agency, officer)]  # fmt: skip


async def of_one(client: Intake, agency: str, officer: str) -> list[Thing]:
    async def post(path: str, body: Any, of: str = agency) -> dict[str, Any]:
        answer = await client.client.post(path, json=body, headers=client.headers(of))
        assert answer.status_code == 201, (path, answer.text)
        return answer.json()  # type: ignore[no-any-return]

    sent = (await post("/v1/submissions", report(officer=officer)))["submission_id"]
    finding = Finding(
        code="N04", tier="narrative", severity="warning", path="/narratives/danh_gia", message="Ngắn.",
        message_en="Short.", fix="Viết thêm.", fix_en="Write more.",
    )  # fmt: skip
    judged = verdict(sent, agency=agency, officer_id=officer, warnings=1, findings=(finding,))
    await apply(client.province.url, [judged, opened(agency)])
    explained = await post(f"/v1/submissions/{sent}/explanation", {"reason": "Kỳ này không có đợt kiểm tra."})
    appealed = await post(f"/v1/submissions/{sent}/appeals", {"reason": "Đúng theo biểu mẫu"})
    later = {"reason": "Mất điện", "until": (NOW + timedelta(days=30)).isoformat()}
    await apply(client.province.url, [opened(agency, "2026-M11", deadline=NOW + timedelta(days=20))])
    extended = await post("/v1/obligations/KTXH/2026-M11/extensions", later)
    await apply(client.province.url, [overdue(agency, "2026-M08")])
    late = await post("/v1/obligations/KTXH/2026-M08/lateness", {"reason": "Số liệu về muộn", "remedy": "Chốt sớm"})
    asked = await post("/v1/information-requests", question(agencies=[OFFICE]))
    waived = await post("/v1/waivers", waiver(asked_by=officer))
    hooked = await post("/v1/webhooks", WEBHOOK)
    person_id = f"nguoi-cua-{agency}"
    steps = {"extensions": extended, "explanations": explained, "appeals": appealed, "lateness": late}
    return [
        Thing("/v1/submissions/{submission_id}", agency, sent),
        *(Thing(f"/v1/{kind}/{{step_id}}", agency, str(made["step_id"])) for kind, made in steps.items()),
        Thing("/v1/information-requests/{request_id}", agency, str(asked["request_id"])),
        Thing("/v1/waivers/{waiver_id}", agency, str(waived["waiver_id"])),
        Thing("/v1/webhooks/{webhook_id}", agency, str(hooked["webhook_id"]), KEEPS_WEBHOOKS),
        *(
            Thing(
                "/v1/obligations/{regime}/{period}",
                agency,
                f"{agency}/KTXH/{period}",
                more=(("regime", "KTXH"), ("period", period)),
            )
            for period in ("2026-M10", "2026-M11")
        ),
        Thing("/v1/people/{person_id}", agency, person_id, ADMINISTERS),
        Thing("/v1/registry/{kind}/{key}", agency, person_id, ADMINISTERS, (("kind", "person"), ("version", "1"))),
    ]


def principal(caller: Caller) -> Principal:
    """As a service's copy would give it."""
    scopes = frozenset(scope for scope in SCOPES if scope in caller.may)
    if "operate" in scopes:
        return Principal("operator", caller.name, caller.own, scopes)
    if caller.name in ("agency", "other agency", "reading key"):
        return Principal("agency", caller.own or "", caller.own, scopes)
    role = {"officer": "reporting_officer", "reviewer of one": "reviewer", "administrator of one": "administrator"}.get(
        caller.name, caller.name
    )
    offices = () if not scopes else (Office(role, caller.own or "", Term(date(2020, 1, 1))),)
    return Principal("person", caller.name, caller.own, scopes, offices)


@pytest.fixture(params=OTHERS)
def other(request: pytest.FixtureRequest) -> FastAPI:
    build, settings = OTHERS[request.param]
    service = build(
        settings=settings(database_url=NOWHERE),
        common=CommonSettings(),
        kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"),
    )
    service.app.state.strangers._burst = 10_000.0
    return service.app  # type: ignore[no-any-return]


async def test_the_other_services_answer_each_principal_as_their_documents_say(
    other: FastAPI, province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is let in meets a database that is not there: 503."""

    async def nothing(*_: Any) -> None:
        return None

    assert unstated(other) == []
    who = await callers(province)
    known = {caller.key.split("_")[1]: principal(caller) for caller in who if caller.key and not caller.dead}
    monkeypatch.setattr(CopiedKeyring, "at_once", lambda keyring, presented: known.get(presented.key_id))
    monkeypatch.setattr(CopiedKeyring, "be_fresh", nothing)
    monkeypatch.setattr(CopiedKeyring, "principal_of", nothing)
    transport = httpx.ASGITransport(app=other, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert await violations(other, who, {}, asking(client)) == []


@dataclass(frozen=True)
class Careless:
    """A dependency that states a scope and checks nothing."""

    states_scope: Scope = "operate"

    async def __call__(self) -> None:
        return


async def test_a_route_that_forgets_its_check_is_found() -> None:
    """Negative control: one that states nothing, and one that states a scope and lets everybody in."""
    app = bare_app()

    async def shown() -> dict[str, bool]:
        return {"shown": True}

    app.add_api_route("/v1/silent", shown)
    assert unstated(app) == ["get /v1/silent"]
    careless = bare_app()
    careless.add_api_route("/v1/careless", shown, dependencies=[Depends(Careless())])
    assert unstated(careless) == []
    transport = httpx.ASGITransport(app=careless)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        found = await violations(careless, [NOBODY], {}, asking(client))
    assert found == ["nobody: get /v1/careless None: 200, not {401}"]
    bare: dict[str, Any] = {"security": [], "responses": {"default": {}}}
    answer = httpx.Response(200, headers={"RateLimit": "x"}, request=httpx.Request("GET", "http://test/v1/x"))
    assert untold(answer, bare, known=True) == [
        "http://test/v1/x: 200: ratelimit not named", "http://test/v1/x: ratelimit-policy not sent",
    ]  # fmt: skip
