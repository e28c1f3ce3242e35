"""One agency asks others for information: the answer goes to the asker, both see the state, and nobody else does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from services.intake.information import asking
from services.intake.information.store import Numbers, numbers
from services.intake.registry import load as loading
from services.intake.registry import store
from shared.contract.events import Deadline
from shared.postgres.database import Database
from tests.fakes.compliance import obligation_changed
from tests.integration.intake import rig
from tests.integration.intake.rig import COMMUNE, DEPARTMENT, NOW, OFFICE, Intake, Province, load, rows
from tests.integration.intake.test_following import apply, verdict
from tests.integration.intake.test_principals import key_of, person

DEADLINE = NOW + timedelta(days=5)
REQUEST, REGIME = f"TT-{OFFICE}-1", f"TT-{OFFICE}"
PATH = "/v1/information-requests"
FIGURES = {"figures": [{"code": "A01", "label": "Số hộ nghèo", "minimum": "0"}]}


@asynccontextmanager
async def intake(province: Province, **settings: Any) -> AsyncIterator[Intake]:
    settings = {"neighbours": (), "agency_burst_milliseconds": 10_000_000, **settings}
    async with rig.intake(province, **settings) as client:
        yield client


def question(**others: Any) -> dict[str, Any]:
    return {
        "title": "Số hộ nghèo", "question": "Đề nghị cung cấp số hộ nghèo.\nKèm nhận xét.",
        "deadline": DEADLINE.isoformat(), "agencies": [COMMUNE, DEPARTMENT], **others,
    }  # fmt: skip


async def ask(client: Intake, body: dict[str, Any] | None = None, *, of: str = OFFICE, key: str = "hoi-1") -> Any:
    headers = client.headers(of, key)
    return await client.client.post(PATH, json=question() if body is None else body, headers=headers)


async def withdraw(client: Intake, reason: str = "Đã có số liệu", *, of: str = OFFICE, request: str = REQUEST) -> Any:
    url = f"{PATH}/{request}/withdrawal"
    return await client.client.post(url, json={"reason": reason}, headers=client.headers(of))


def answering(officer: str = "cb-50", *, regime: str = REGIME, period: str = REQUEST, **others: Any) -> dict[str, Any]:
    said = others or {"narratives": {"TL": "Toàn xã còn 41 hộ nghèo."}}
    return {"regime": regime, "period": period, "officer": officer, **said}


def declining(kind: str = "refusal", **others: Any) -> dict[str, Any]:
    return answering(nil=True, nil_reason="Xã không quản lý số liệu này.", declines=kind, **others)


async def accepted(client: Intake, sent: httpx.Response, of: str = COMMUNE) -> None:
    assert sent.status_code == 201, sent.text
    receipt = sent.json()
    agency, regime, period = receipt["obligation"].split("/")
    told = verdict(
        receipt["submission_id"], agency=agency, obligation=receipt["obligation"], regime=regime, period=period
    )
    await apply(client.province.url, [told])


async def told(client: Intake, agency: str, *, version: int = 1, **state: Any) -> None:
    """What scoring says of the agency's obligation."""
    event = obligation_changed(
        agency, REGIME, REQUEST, version=version, **{"deadline": DEADLINE.astimezone(UTC), "at": NOW, **state}
    )
    await apply(client.province.url, [event])


def states(shown: httpx.Response) -> dict[str, str]:
    assert shown.status_code in (200, 201), shown.text
    return {row["agency"]: row["state"] for row in shown.json()["addressees"]}


async def test_a_question_becomes_a_request_that_each_addressee_reports_to_and_the_asker_reads(
    province: Province,
) -> None:
    async with intake(province) as client:
        made = await ask(client)
        assert (made.status_code, made.headers["location"]) == (201, f"{PATH}/{REQUEST}"), made.text
        assert states(made) == {COMMUNE: "open", DEPARTMENT: "open"}
        for agency in (COMMUNE, DEPARTMENT):
            shown = (await client.get(f"/v1/regimes/{REGIME}", of=agency)).json()
            assert [one["code"] for one in shown["form"]["narratives"]] == ["TL"]
        await told(client, COMMUNE)
        sent = await client.post(answering(), of=COMMUNE)
        await told(client, COMMUNE, version=2, standing="awaiting_verdict", last_received_at=NOW)
        assert states(await client.get(made.headers["location"], of=OFFICE))[COMMUNE] == "received"
        await accepted(client, sent)
        shown = await client.get(made.headers["location"], of=OFFICE)
        assert states(shown) == {COMMUNE: "answered", DEPARTMENT: "open"}
        answer = next(row for row in shown.json()["addressees"] if row["agency"] == COMMUNE)["answer"]
        assert answer["submission_id"] == sent.json()["submission_id"]
        whole = (await client.get(answer["link"], of=OFFICE)).json()
        assert whole["narratives"] == {"TL": "Toàn xã còn 41 hộ nghèo."}
        # the other one that was asked sees neither the state nor the answer of this one
        assert states(await client.get(made.headers["location"], of=DEPARTMENT)) == {DEPARTMENT: "open"}
        assert (await client.get(answer["link"], of=DEPARTMENT)).status_code == 404
        assert states(await client.get(made.headers["location"], of=COMMUNE)) == {COMMUNE: "answered"}


async def test_a_refusal_and_a_referral_are_answers_with_a_reason(province: Province) -> None:
    async with intake(province) as client:
        await ask(client)
        await accepted(client, await client.post(declining("referral", refer_to="H99"), of=COMMUNE))
        refusal = declining(period=REQUEST) | {"officer": "cb-01"}
        await accepted(client, await client.post(refusal, of=DEPARTMENT), DEPARTMENT)
        shown = (await client.get(f"{PATH}/{REQUEST}", of=OFFICE)).json()
        found = {row["agency"]: (row["state"], row["answer"]["reason"], row["answer"]["refer_to"])
                 for row in shown["addressees"]}  # fmt: skip
        why = "Xã không quản lý số liệu này."
        assert found == {COMMUNE: ("referred", why, "H99"), DEPARTMENT: ("refused", why, None)}
        listed = (await client.get("/v1/submissions", of=COMMUNE)).json()["items"]
        own = (await client.get(f"/v1/submissions/{listed[0]['submission_id']}", of=COMMUNE)).json()
        assert (own["declines"], own["refer_to"]) == ("referral", "H99")
        # the same words without the referral are another content; and a real answer takes its place
        plain = {name: value for name, value in declining().items() if name != "declines"}
        assert (await client.post(plain, of=COMMUNE)).status_code == 201
        await accepted(client, await client.post(answering(), of=COMMUNE))
        assert states(await client.get(f"{PATH}/{REQUEST}", of=OFFICE))[COMMUNE] == "answered"


async def test_nothing_else_can_be_declined_and_a_referral_leads_somewhere(province: Province) -> None:
    async with intake(province) as client:
        await ask(client)
        for body, pointers in (
            (declining(regime="KTXH", period="2026-M10"), ["/declines"]),
            (declining(regime="THIENTAI", period="DX-2026-002"), ["/declines"]),
            (declining("referral"), ["/refer_to"]),
            (declining("referral", refer_to="H77"), ["/refer_to"]),
            (declining("referral", refer_to=COMMUNE), ["/refer_to"]),
            (declining("referral", refer_to=OFFICE), ["/refer_to"]),
            (declining("referral", refer_to=rig.DISTRICT), ["/refer_to"]),
            (declining("refusal", refer_to="H99"), ["/refer_to"]),
            (declining("never"), ["/declines"]),
            (answering(declines="refusal"), ["/declines"]),
            (answering(refer_to="H99"), ["/refer_to"]),
        ):
            refused = await client.post(body, of=COMMUNE)
            assert refused.status_code == 422, body
            assert [error["pointer"] for error in refused.json()["errors"]] == pointers, body


async def test_a_form_of_its_own_and_a_regime_of_its_own_give_the_answer_its_form(province: Province) -> None:
    own = rig.regime(
        "HOI-DX", frequency="adhoc", deadline=Deadline(rule="on_request"), submitter_kinds=(),
        submitters=(COMMUNE,), form={**FIGURES, "nil_allowed": True},
    )  # fmt: skip
    await load(province.url, [own])
    async with intake(province) as client:
        by_form = await ask(client, question(form=FIGURES, agencies=[COMMUNE]))
        assert (by_form.status_code, by_form.json()["regime"]) == (201, REQUEST), by_form.text
        await accepted(client, await client.post(answering(regime=REQUEST, figures={"A01": 41}), of=COMMUNE))
        whole = await client.get(f"{PATH}/{REQUEST}/answers/{COMMUNE}", of=OFFICE)
        assert whole.json()["figures"] == {"A01": "41"}
        by_regime = await ask(client, question(regime="HOI-DX"), key="hoi-2")
        assert (by_regime.status_code, by_regime.json()["regime"]) == (201, "HOI-DX"), by_regime.text
        # neither another's regime, nor one that has to be answered
        for regime in ("THIENTAI", "KTXH", "NONE"):
            refused = await ask(client, question(regime=regime), key=f"hoi-{regime}")
            assert refused.status_code == 422
            assert "/regime" in [error["pointer"] for error in refused.json()["errors"]]


async def test_what_is_asked_reads_only_what_it_needs_of_the_registry(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def whole(*_: object) -> Any:
        raise AssertionError("the whole registry was read")

    read: list[set[str]] = []
    records_of = store.records_of

    async def noted(tx: Any, keys: Sequence[str]) -> Any:
        found = await records_of(tx, keys)
        read.append({record.key for record in found})
        return found

    async with intake(province) as client:
        monkeypatch.setattr(loading, "stored_records", whole)
        monkeypatch.setattr(store, "records_of", noted)
        assert (await ask(client)).status_code == 201
        assert (await ask(client, question(form=FIGURES), key="hoi-2")).status_code == 201
        assert (await ask(client, key="hoi-3")).status_code == 201
        assert (await withdraw(client)).status_code == 200
    agencies = {f"agency/{code}" for code in (OFFICE, COMMUNE, DEPARTMENT)}
    free = f"regime/{REGIME}/1"
    assert read == [agencies, agencies, {*agencies, free}, {*agencies, free, f"request/{REQUEST}"}]


async def test_only_what_runs_and_what_was_made_lately_is_counted(province: Province) -> None:
    asked = {"regime": "HOI", "agencies": (COMMUNE,), "asked_by": OFFICE}
    day_ago = NOW - timedelta(days=1)
    await load(
        province.url,
        [
            rig.regime(
                "HOI", frequency="adhoc", deadline=Deadline(rule="on_request"), form={**FIGURES, "nil_allowed": True}
            ),
            rig.request("TT-1", **asked, issued_at=day_ago),
            rig.request("TT-2", **asked, deadline=NOW),
            rig.request("TT-3", **asked, issued_at=NOW, withdrawn_at=NOW, withdrawal_reason="Nhầm"),
            rig.request("TT-4", **asked, issued_at=day_ago + timedelta(seconds=1)),
            rig.request("TT-5"),
        ],
    )
    database = Database(province.url, pool_size=1)
    try:
        async with database.read_transaction() as tx:
            assert await numbers(tx, OFFICE, NOW, day_ago) == Numbers(made=4, running=2, lately=2)
            assert await numbers(tx, DEPARTMENT, NOW, day_ago) == Numbers(made=0, running=0, lately=0)
    finally:
        await database.close()


async def test_the_neighbours_look_at_what_is_asked(province: Province) -> None:
    async with intake(province, neighbours=None) as client:
        assert (await ask(client, question(form=FIGURES))).status_code == 201
        late = datetime(2120, 1, 1, tzinfo=UTC)
        client.clock.set(late - timedelta(days=5))  # no calendar reaches as far
        refused = await ask(client, question(deadline=late.isoformat()), key="hoi-2")
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/deadline"), refused.text


async def test_a_repetition_gets_the_same_request_and_a_key_names_one_question(province: Province) -> None:
    async with intake(province) as client:
        first, again = [await ask(client) for _ in range(2)]
        assert (first.status_code, again.status_code) == (201, 200)
        assert again.headers["idempotent-replayed"] == "true"
        assert again.json() == first.json()
        other = await ask(client, question(title="Khác"))
        assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
        # a key is its agency's own
        assert (await ask(client, question(agencies=[COMMUNE]), of=DEPARTMENT)).status_code == 201
        assert len(await rows(province.url, "SELECT key FROM registry WHERE record ->> 'asked_by' IS NOT NULL")) == 2
        without = await client.client.post(
            PATH, json=question(), headers={"Authorization": f"Bearer {province.keys[OFFICE]}"}
        )
        assert without.json()["type"] == "/problems/idempotency-key-missing"


async def test_many_at_once_are_each_made_once(province: Province) -> None:
    async with intake(province) as client:
        asked = [ask(client, question(title=f"Hỏi {n % 3}"), key=f"hoi-{n % 3}") for n in range(9)]
        answers = await rig.all_of(*asked)
        assert sorted(answer.status_code for answer in answers) == [200] * 6 + [201] * 3
        assert len({answer.json()["request_id"] for answer in answers}) == 3


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"deadline": (NOW + timedelta(hours=23)).isoformat()}, "/deadline"),
        ({"deadline": (NOW + timedelta(days=400)).isoformat()}, "/deadline"),
        ({"deadline": "2026-11-01T08:00:00"}, "/deadline"),
        ({"agencies": []}, "/agencies"),
        ({"agencies": [f"H99.{n}" for n in range(201)]}, "/agencies"),
        ({"agencies": [COMMUNE, "H77"]}, "/agencies/1"),
        ({"agencies": [COMMUNE, OFFICE]}, "/agencies/1"),
        ({"agencies": [COMMUNE, COMMUNE]}, "/agencies"),
        ({"agencies": [rig.DISTRICT]}, "/agencies/0"),
        ({"agencies": [COMMUNE, "H99\x00"]}, "/agencies/1"),
        ({"regime": "BC\x00"}, "/regime"),
        ({"form": {"figures": [{"code": "A\x00"}]}}, "/form/figures/0/code"),
        ({"title": ""}, "/title"),
        ({"title": "MẬT"}, "/title"),
        ({"question": "TỐI MẬT\nSố liệu"}, "/question"),
        ({"question": "x" * 2001}, "/question"),
        ({"form": {"figures": [{"code": "A", "label": "Mật"}]}}, "/form"),
        ({"form": {}}, "/form"),
        ({"form": {"figures": [{"code": str(n), "label": "x"} for n in range(101)]}}, "/form/figures"),
        ({"form": {"figures": [{"code": "A", "label": "x", "minimum": 0.5}]}}, "/form/figures/0/minimum"),
        ({"form": {"figures": [[[[[[[["x"]]]]]]]]}}, "/form"),
        ({"form": FIGURES, "regime": "KTXH"}, "/form"),
        ({"asked_by": DEPARTMENT}, "/asked_by"),
    ],
)
async def test_what_cannot_be_asked_is_told_where_and_nothing_is_stored(
    province: Province, changes: dict[str, Any], pointer: str
) -> None:
    async with intake(province) as client:
        refused = await ask(client, question(**changes))
        assert refused.status_code == 422, refused.text
        assert pointer in [error["pointer"] for error in refused.json()["errors"]], refused.text
    assert await rows(province.url, "SELECT key FROM registry WHERE record ->> 'asked_by' IS NOT NULL") == []


async def test_an_agency_has_few_requests_that_run(province: Province, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MAX_OPEN", 1)
    async with intake(province) as client:
        assert (await ask(client)).status_code == 201
        more = await ask(client, key="hoi-2")
        assert (more.status_code, more.json()["type"]) == (409, "/problems/too-many-open-requests")
        assert (await withdraw(client)).status_code == 200
        assert (await ask(client, key="hoi-2")).status_code == 201


async def test_asking_and_withdrawing_all_day_ends_too(province: Province, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MAX_A_DAY", 1)
    async with intake(province) as client:
        assert (await ask(client)).status_code == 201
        assert (await withdraw(client)).status_code == 200
        more = await ask(client, key="hoi-2")
        assert (more.status_code, more.json()["type"]) == (409, "/problems/too-many-requests-a-day")
        assert (await ask(client)).status_code == 200, "a repetition is answered all the same"
        client.clock.set(NOW + timedelta(days=1))
        assert (await ask(client, key="hoi-2")).status_code == 201


async def test_its_asker_withdraws_it_once_with_a_reason_and_it_is_answered_no_more(province: Province) -> None:
    async with intake(province) as client:
        await ask(client)
        await told(client, COMMUNE)
        assert (await withdraw(client, of=COMMUNE)).status_code == 404
        assert (await withdraw(client, "MẬT")).status_code == 422
        for _ in range(2):
            withdrawn = await withdraw(client)
            assert withdrawn.status_code == 200, withdrawn.text
            assert states(withdrawn) == {COMMUNE: "withdrawn", DEPARTMENT: "withdrawn"}
        assert withdrawn.json()["withdrawal_reason"] == "Đã có số liệu"
        other = await withdraw(client, "Lý do khác")
        assert (other.status_code, other.json()["type"]) == (409, "/problems/request-withdrawn")
        late = await client.post(answering(), of=COMMUNE)
        assert (late.status_code, late.json()["errors"][0]["pointer"]) == (422, "/period")
        listed = await client.get(PATH, of=OFFICE, state="withdrawn")
        assert [row["request_id"] for row in listed.json()["items"]] == [REQUEST]
        assert (await client.get(PATH, of=OFFICE, state="open")).json()["items"] == []


async def test_every_change_of_it_is_in_the_audit_trail(province: Province) -> None:
    async with intake(province) as client:
        await ask(client)
        await withdraw(client)
    query = "SELECT action, key, by, why FROM audit_trail WHERE by = :by ORDER BY audit_id"
    assert [tuple(row) for row in await rows(province.url, query, by=OFFICE)] == [
        ("created", f"{REGIME}/1", OFFICE, "Số hộ nghèo"),
        ("created", REQUEST, OFFICE, "Số hộ nghèo"),
        ("changed", REQUEST, OFFICE, "Đã có số liệu"),
    ]


async def test_asker_and_addressees_list_it_and_for_others_it_is_not_there(province: Province) -> None:
    async with intake(province) as client:
        for number in range(3):
            client.clock.set(NOW + timedelta(minutes=number))
            assert (await ask(client, question(agencies=[COMMUNE]), key=f"hoi-{number}")).status_code == 201
        ids = [f"TT-{OFFICE}-{number}" for number in (3, 2, 1)]
        for agency, role, wanted in (
            (OFFICE, None, ids), (OFFICE, "asker", ids), (OFFICE, "addressee", []), (COMMUNE, "addressee", ids),
            (COMMUNE, "asker", []), (COMMUNE, None, ids), (DEPARTMENT, None, []),
        ):  # fmt: skip
            found: list[str] = []
            asked = {"role": role} if role else {}
            while True:
                page = (await client.get(PATH, of=agency, limit=2, **asked)).json()
                found += [row["request_id"] for row in page["items"]]
                if page["next"] is None:
                    break
                asked["after"] = page["next"]
            assert found == wanted, (agency, role)
        assert (await client.get(f"{PATH}/{REQUEST}", of=DEPARTMENT)).status_code == 404
        assert (await client.get(f"{PATH}/DX-2026-001", of=COMMUNE)).status_code == 404
        assert (await client.get(f"{PATH}/x", of=OFFICE)).status_code == 404


async def test_people_ask_and_read_within_their_offices(province: Province) -> None:
    people = [
        person("chu-tich", "chair", "H99"),
        person("tt", "head", DEPARTMENT),
        person("mot", "reporting_officer", DEPARTMENT, regimes=("KTXH",)),
        person("khac", "chair", COMMUNE),
    ]
    await load(province.url, people)
    keys = {one.person_id: await key_of(province.url, "person", one.person_id) for one in people}
    async with intake(province) as client:

        async def as_person(name: str, method: str, path: str, **how: Any) -> httpx.Response:
            headers = {"Authorization": f"Bearer {keys[name]}", "Idempotency-Key": "hoi-1"}
            return await client.client.request(method, path, headers=headers, **how)

        made = await as_person("tt", "POST", PATH, json=question(agencies=[COMMUNE]))
        assert (made.status_code, made.json()["asked_by"]) == (201, DEPARTMENT), made.text
        for nobody in ("chu-tich", "mot", "khac"):
            assert (await as_person(nobody, "POST", PATH, json=question(agencies=[COMMUNE]))).status_code == 403
        path = made.headers["location"]
        # who is above the asker, and who is above the one that was asked
        for agency in (DEPARTMENT, COMMUNE):
            assert (await as_person("chu-tich", "GET", path, params={"agency": agency})).status_code == 200
        assert (await as_person("chu-tich", "GET", path, params={"agency": OFFICE})).status_code == 404
        assert (await as_person("khac", "GET", path, params={"agency": DEPARTMENT})).status_code == 404
        assert (await as_person("khac", "GET", path, params={"agency": COMMUNE})).status_code == 200
        # an office for other regimes does not cover it
        assert (await as_person("mot", "GET", path)).status_code == 404


async def test_the_heir_of_an_agency_that_was_asked_answers_and_both_see_it(province: Province) -> None:
    async with intake(province) as client:
        await ask(client, question(agencies=[DEPARTMENT]))
        closing = rig.agency(
            DEPARTMENT, parent="H99", closed_on=NOW.date(), successors=(COMMUNE,), open_obligations="transfer"
        )
        await load(province.url, [closing])
        client.clock.set(NOW + timedelta(days=1))
        await told(client, DEPARTMENT, owed=False, transferred_to=COMMUNE)
        await told(client, COMMUNE, transferred_from=(DEPARTMENT,))
        await accepted(client, await client.post(answering(), of=COMMUNE))
        for agency in (OFFICE, COMMUNE):
            shown = await client.get(f"{PATH}/{REQUEST}", of=agency)
            (row,) = shown.json()["addressees"]
            assert (row["agency"], row["answered_by"], row["state"]) == (DEPARTMENT, COMMUNE, "answered")
            assert (await client.get(row["answer"]["link"], of=agency)).status_code == 200
        assert (await client.get(PATH, of=COMMUNE, role="addressee")).json()["items"] != []


async def test_an_heir_reads_what_its_agency_asked_or_was_asked_from_the_closing_on(province: Province) -> None:
    closes_on = NOW.date() + timedelta(days=2)
    async with intake(province) as client:
        for asker, asked in ((OFFICE, DEPARTMENT), (DEPARTMENT, OFFICE)):
            assert (await ask(client, question(agencies=[asked]), of=asker)).status_code == 201
    own, received = (f"{PATH}/TT-{asker}-1" for asker in (DEPARTMENT, OFFICE))
    closing = rig.agency(
        DEPARTMENT, parent="H99", closed_on=closes_on, successors=(COMMUNE,), open_obligations="transfer"
    )
    await load(province.url, [closing])
    async with intake(province) as client:
        for path in (own, received):
            assert (await client.get(path, of=COMMUNE)).status_code == 404, "the agency still works"
        assert (await client.get(PATH, of=COMMUNE)).json()["items"] == []
        assert (await withdraw(client, of=COMMUNE, request=f"TT-{DEPARTMENT}-1")).status_code == 404
        client.clock.set(NOW + timedelta(days=3))
        for path in (own, received):
            seen = await client.get(path, of=COMMUNE)
            assert seen.status_code == 200, (path, seen.text)
        assert len((await client.get(PATH, of=COMMUNE)).json()["items"]) == 2
        assert len((await client.get(PATH, of=COMMUNE, role="asker")).json()["items"]) == 1
        assert (await withdraw(client, of=COMMUNE, request=f"TT-{DEPARTMENT}-1")).status_code == 200
        late = await ask(client, question(agencies=[COMMUNE]), of=DEPARTMENT, key="hoi-2")
        assert "/asked_by" in [error["pointer"] for error in late.json().get("errors", [])], late.text


async def test_what_the_asked_one_took_back_is_no_answer(province: Province) -> None:
    async with intake(province) as client:
        await ask(client)
        sent = await client.post(answering(), of=COMMUNE)
        await accepted(client, sent)
        assert states(await client.get(f"{PATH}/{REQUEST}", of=OFFICE))[COMMUNE] == "answered"
        url = f"/v1/submissions/{sent.json()['submission_id']}/withdrawal"
        await told(client, COMMUNE)
        gone = await client.client.post(url, json={"reason": "Nhầm"}, headers=client.headers(COMMUNE))
        assert gone.status_code == 201, gone.text
        assert states(await client.get(f"{PATH}/{REQUEST}", of=OFFICE))[COMMUNE] == "open"
        assert (await client.get(f"{PATH}/{REQUEST}/answers/{COMMUNE}", of=OFFICE)).status_code == 404
