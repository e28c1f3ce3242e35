"""Steps on a real database: stored once, published, shown to the agency, and refused with what is possible."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.intake.lifecycle import handlers, store
from services.intake.lifecycle.deciding import Faulty, Impossible, NotYours, Wanted
from services.intake.lifecycle.handlers import Asked, KeyReused, Outcome, TakenNow, Unknown
from services.intake.registry.cache import RegistryCache
from shared.access import Office, Principal, Term
from shared.contract.events import Finding, StepTaken
from shared.postgres.database import Database
from shared.runtime.clock import LOCAL_ZONE, SystemClock
from tests.integration.intake.rig import (
    COMMUNE,
    DEPARTMENT,
    NOW,
    Intake,
    Province,
    intake,
    load,
    records,
    regime,
    report,
    rows,
)
from tests.integration.intake.test_following import apply, changed, verdict

KEY = f"{DEPARTMENT}/KTXH/2026-M10"
ALWAYS = Term(date(2020, 1, 1))
UNCHANGED = "/problems/unchanged"
ALL = frozenset({"submit", "read", "review"})


def person(role: str, agency: str = DEPARTMENT) -> Principal:
    return Principal("person", f"{role}-of-{agency}", agency, ALL, (Office(role, agency, ALWAYS),))  # type: ignore[arg-type]


HEAD, REVIEWER, CHAIR = person("head"), person("reviewer", "H99"), person("chair", "H99")
OFFICER = person("reporting_officer")


async def post(client: Intake, path: str, body: Any, *, of: str = DEPARTMENT, key: str | None = None) -> httpx.Response:
    return await client.client.post(path, content=json.dumps(body), headers=client.headers(of, key))


async def take(
    client: Intake, by: Principal, wanted: Wanted, *, obligation: str | None = None, key: str | None = None
) -> Outcome:
    """As the route does, for a person."""
    asked = Asked(wanted, key or uuid.uuid4().hex, hashlib.sha256(repr(wanted).encode()).digest())
    database = Database(client.province.url, pool_size=1)
    cache = RegistryCache(database, SystemClock(), poll_seconds=60, max_age_seconds=60)
    try:
        await cache.refresh()
        async with database.transaction() as tx:
            return await handlers.take(
                tx, by, asked, cache.registry, client.clock.now(), SystemClock().now(), obligation=obligation
            )
    finally:
        await database.close()


async def sent(client: Intake, value: object = 1, **more: Any) -> str:
    answer = await client.post(report(value, **more))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["submission_id"])


async def accepted(client: Intake, value: object = 1, *, version: int = 1, **more: Any) -> str:
    name = await sent(client, value)
    await apply(client.province.url, [verdict(name, version=version, **more)])
    return name


async def state(client: Intake, submission_id: str) -> Any:
    return (await client.get(f"/v1/submissions/{submission_id}")).json()["lifecycle"]


async def published(url: str) -> list[StepTaken]:
    found = await rows(url, "SELECT body FROM outbox WHERE type = :type ORDER BY id", type=StepTaken.TYPE)
    return [StepTaken.model_validate_json(bytes(row.body)) for row in found]


async def signing(province: Province, **more: Any) -> None:
    """The monthly regime as one that the head certifies."""
    others = [record for record in records() if record.key != "regime/KTXH/1"]
    await load(province.url, [*others, regime(certification="head", **more)])


async def test_a_withdrawal_is_stored_once_published_and_shown(province: Province) -> None:
    async with intake(province) as client:
        name = await accepted(client)
        path, why = f"/v1/submissions/{name}/withdrawal", {"reason": "Gửi nhầm kỳ"}
        first = await post(client, path, why, key="rut-1")
        assert first.status_code == 201, first.text
        assert (first.json()["state"], first.json()["kind"], first.json()["version"]) == ("withdrawn", "withdrawn", 1)
        again = await post(client, path, why, key="rut-1")
        assert (again.status_code, again.json()["step_id"]) == (200, first.json()["step_id"])
        assert again.headers["Idempotent-Replayed"] == "true"
        other = await post(client, path, {"reason": "khác"}, key="rut-1")
        assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
        refused = await post(client, path, why)
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/step-not-possible")
        assert (refused.json()["state"], refused.json()["possible"]) == ("withdrawn", [])
        (event,) = await published(province.url)
        assert (event.kind, event.obligation, event.version, event.by) == ("withdrawn", KEY, 1, DEPARTMENT)
        assert event.submission_id == UUID(name)
        assert (await state(client, name))["state"] == "withdrawn"
        await apply(province.url, [changed(DEPARTMENT, version=1)])
        whole = (await client.get("/v1/obligations/KTXH/2026-M10")).json()
        assert [step["reason"] for step in whole["steps"]] == ["Gửi nhầm kỳ"]
        assert (whole["first_received"]["version"], whole["first_accepted"], whole["last_accepted"]) == (1, None, None)
        timeline = (await client.get(f"/v1/submissions/{name}/timeline")).json()
        assert "Rút, do hệ thống của cơ quan H99.01: Gửi nhầm kỳ" in [step["text"] for step in timeline["steps"]]
        same = await client.post(report())
        assert same.status_code == 201, "what was withdrawn may be sent again as it was"


async def test_a_step_needs_a_key_a_reason_and_a_report_of_ones_own(province: Province) -> None:
    async with intake(province) as client:
        name = await accepted(client)
        path = f"/v1/submissions/{name}/withdrawal"
        headers = {name: value for name, value in client.headers().items() if name != "Idempotency-Key"}
        bare = await client.client.post(path, content='{"reason": "x"}', headers=headers)
        assert (bare.status_code, bare.json()["type"]) == (400, "/problems/idempotency-key-missing")
        blank = await post(client, path, {"reason": " "})
        assert (blank.status_code, [error["pointer"] for error in blank.json()["errors"]]) == (422, ["/reason"])
        assert (await post(client, path, {"reason": "x"}, of=COMMUNE)).status_code == 404
        assert (await post(client, "/v1/submissions/nothing/withdrawal", {"reason": "x"})).status_code == 404
        assert (await post(client, f"/v1/submissions/{uuid.uuid4()}/withdrawal", {"reason": "x"})).status_code == 404
        assert (await post(client, path, {"reason": "x", "by": "me"})).status_code == 422
        assert await rows(province.url, "SELECT * FROM steps") == []
        assert await published(province.url) == []


async def test_only_the_head_certifies_and_only_where_the_regime_asks_for_it(province: Province) -> None:
    async with intake(province) as client:
        unasked = await accepted(client)
        found = await take(client, HEAD, Wanted("certified", UUID(unasked)))
        assert isinstance(found, Impossible)
    await signing(province, regime_version=2, replaces=1, replaces_reason="Thêm ký xác nhận")
    async with intake(province) as client:
        name = await sent(client, 2)
        by_system = await post(client, f"/v1/submissions/{name}/certification", {})
        assert (by_system.status_code, by_system.json()["who"]) == (403, ["head", "deputy"])
        assert isinstance(await take(client, OFFICER, Wanted("certified", UUID(name))), NotYours)
        assert isinstance(await take(client, person("head", COMMUNE), Wanted("certified", UUID(name))), Unknown)
        done = await take(client, HEAD, Wanted("certified", UUID(name)))
        assert isinstance(done, TakenNow)
        assert (done.step.role, done.step.by) == ("head", HEAD.id)
        assert isinstance(await take(client, HEAD, Wanted("certified", UUID(name))), Impossible)
        assert (await state(client, name))["certified"] is True


async def test_a_reviewer_sends_back_and_approves(province: Province) -> None:
    async with intake(province) as client:
        name = await accepted(client)
        assert isinstance(await take(client, person("reviewer", COMMUNE), Wanted("approved", UUID(name))), Unknown)
        assert isinstance(await take(client, REVIEWER, Wanted("rework", UUID(name))), Faulty)
        until = NOW + timedelta(days=3)
        done = await take(client, REVIEWER, Wanted("rework", UUID(name), reason="Thiếu nguyên nhân", until=until))
        assert isinstance(done, TakenNow)
        assert (await state(client, name))["state"] == "rework"
        assert (await client.post(report())).status_code == 201, "the same again: it was sent back"
        (entry,) = await rows(province.url, "SELECT * FROM audit_trail WHERE kind = 'submission'")
        assert (entry.action, entry.key, entry.by, entry.via, entry.why) == (
            "rework", name, REVIEWER.id, "api", "Thiếu nguyên nhân",
        )  # fmt: skip
        assert (entry.before["state"], entry.after["state"]) == ("accepted", "rework")
        back = await take(client, REVIEWER, Wanted("approved", UUID(name)))
        assert isinstance(back, TakenNow)
        kept = await take(client, OFFICER, Wanted("withdrawn", UUID(name), reason="x"))
        assert isinstance(kept, Impossible), "an approved report is not withdrawn; the reviewer may send it back"
        assert [row.kind for row in kept.possible] == ["rework"]
        assert [(event.kind, event.until, event.reason) for event in await published(province.url)] == [
            ("rework", until, "Thiếu nguyên nhân"), ("approved", None, ""),
        ]  # fmt: skip


async def test_an_extension_is_asked_for_by_the_agency_and_decided_by_a_reviewer(province: Province) -> None:
    deadline = datetime(2026, 10, 25, 17, tzinfo=LOCAL_ZONE)
    async with intake(province) as client:
        path = "/v1/obligations/KTXH/2026-M10/extensions"
        wish = {"reason": "Mất điện", "until": "2026-10-28T17:00:00+07:00"}
        assert (await post(client, path, wish)).status_code == 404, "nobody has told of such an obligation"
        await apply(province.url, [changed(DEPARTMENT, version=1, deadline=deadline)])
        asked = await post(client, path, wish)
        assert (asked.status_code, asked.json()["state"]) == (201, "asked")
        assert (await post(client, path, wish)).status_code == 409, "one waits already"
        request = UUID(asked.json()["step_id"])
        assert isinstance(
            await take(client, OFFICER, Wanted("extension_granted", answers=request, reason="x")), NotYours
        )
        wrong = await take(client, CHAIR, Wanted("appeal_dismissed", answers=request, reason="x"))
        assert isinstance(wrong, Unknown), "an extension is no appeal"
        granted = await take(client, REVIEWER, Wanted("extension_granted", answers=request, reason="Có xác nhận"))
        assert isinstance(granted, TakenNow)
        event = (await published(province.url))[-1]
        assert (event.kind, event.asked_at, event.asked_by, event.asked_reason, event.until) == (
            "extension_granted", NOW, DEPARTMENT, "Mất điện", datetime(2026, 10, 28, 17, tzinfo=LOCAL_ZONE),
        )  # fmt: skip
        assert isinstance(
            await take(client, REVIEWER, Wanted("extension_refused", answers=request, reason="x")), Impossible
        )
        assert (await post(client, path, wish)).status_code == 201, "and more may be asked for"


async def test_a_finding_that_asks_is_explained_and_the_explanation_decided(province: Province) -> None:
    asks = Finding(
        code="N04", tier="narrative", severity="warning", path="/narratives/danh_gia", message="x", message_en="x",
        fix="x", fix_en="x",
    )  # fmt: skip
    async with intake(province) as client:
        name = await accepted(client, findings=(asks,), warnings=1)
        assert (await state(client, name))["state"] == "to_explain"
        given = await post(
            client, f"/v1/submissions/{name}/explanation", {"reason": "Kỳ này không có đợt kiểm tra nào."}
        )
        assert given.status_code == 201, given.text
        answer = Wanted("explanation_accepted", answers=UUID(given.json()["step_id"]))
        assert isinstance(await take(client, REVIEWER, answer), TakenNow)
        assert (await state(client, name))["state"] == "accepted"
        again = await post(client, f"/v1/submissions/{name}/explanation", {"reason": "x"})
        assert again.status_code == 409
        told = asks.model_copy(update={"weight": "info"})  # where a finding says it, its code does not
        plain = await accepted(client, 2, version=2, findings=(told,), warnings=1)
        assert (await post(client, f"/v1/submissions/{plain}/explanation", {"reason": "x"})).status_code == 409


async def test_an_appeal_against_a_verdict_is_upheld_by_who_stands_above_the_reviewer(province: Province) -> None:
    async with intake(province) as client:
        name = await sent(client)
        await apply(province.url, [verdict(name, "returned")])
        made = await post(client, f"/v1/submissions/{name}/appeals", {"reason": "Đơn vị tính đúng theo biểu mẫu"})
        assert made.status_code == 201, made.text
        appeal = UUID(made.json()["step_id"])
        upheld = Wanted("appeal_upheld", answers=appeal, reason="Đúng", effect="accepted")
        assert isinstance(await take(client, REVIEWER, upheld), NotYours)
        assert isinstance(await take(client, CHAIR, upheld), TakenNow)
        assert (await state(client, name))["state"] == "accepted"
        event = (await published(province.url))[-1]
        assert (event.kind, event.effect, event.version, event.asked_by) == ("appeal_upheld", "accepted", 1, DEPARTMENT)


async def test_after_the_lock_a_report_is_refused_until_somebody_unlocks_it(province: Province) -> None:
    async with intake(province) as client:
        await apply(province.url, [changed(DEPARTMENT, version=1, locks_at=NOW - timedelta(minutes=1))])
        refused = await client.post(report())
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/obligation-locked")
        assert refused.json()["who"] == ["provincial_office", "chair"]
        assert await rows(province.url, "SELECT * FROM submissions") == []
        until = NOW + timedelta(hours=2)
        wanted = Wanted("unlocked", reason="Đã có công văn", until=until)
        assert isinstance(await take(client, REVIEWER, wanted, obligation=KEY), NotYours)
        by_system = await post(
            client, "/v1/obligations/KTXH/2026-M10/unlock", {"reason": "x", "until": until.isoformat()}
        )  # fmt: skip
        assert by_system.status_code == 403
        assert isinstance(await take(client, CHAIR, wanted, obligation=KEY), TakenNow)
        assert (await client.post(report())).status_code == 201
        client.clock.set(until)
        assert (await client.post(report(2))).status_code == 201, "at that hour itself it is open"
        client.clock.set(until + timedelta(seconds=1))
        assert (await client.post(report(3))).status_code == 409
        await apply(province.url, [changed(DEPARTMENT, version=2, changes=("terms_changed",))])
        assert (await client.post(report(3))).status_code == 201, "a lock that is lifted holds nobody"


async def test_late_is_not_locked(province: Province) -> None:
    async with intake(province) as client:
        late: dict[str, Any] = {"deadline": NOW - timedelta(days=1), "locks_at": NOW}
        await apply(province.url, [changed(DEPARTMENT, version=1, **late)])
        assert (await client.post(report())).status_code == 201


@pytest.mark.parametrize(("scopes", "may"), [({"read", "submit"}, False), ({"read", "review"}, True)])
async def test_a_step_needs_its_scope_on_the_key_too(province: Province, scopes: set[Any], may: bool) -> None:
    both = replace(REVIEWER, scopes=frozenset(scopes), offices=(*REVIEWER.offices, Office("head", DEPARTMENT, ALWAYS)))
    async with intake(province) as client:
        name = await accepted(client)
        found = await take(client, both, Wanted("rework", UUID(name), reason="x"))
        assert isinstance(found, TakenNow if may else NotYours)


async def test_a_key_that_only_submits_withdraws_its_own_report_and_sees_no_other(province: Province) -> None:
    only = frozenset({"submit"})
    async with intake(province) as client:
        wanted = Wanted("withdrawn", UUID(await accepted(client)), reason="x")
        stranger = replace(person("reporting_officer", COMMUNE), scopes=only)
        assert isinstance(await take(client, stranger, wanted), Unknown)
        assert isinstance(await take(client, replace(OFFICER, scopes=only), wanted), TakenNow)


async def test_a_made_up_obligation_leaves_no_row(province: Province) -> None:
    async with intake(province) as client:
        wish = {"reason": "x", "until": "2026-10-28T17:00:00+07:00"}
        for period in ("2026-M10", "2026-M11"):
            assert (await post(client, f"/v1/obligations/NOTHING/{period}/extensions", wish)).status_code == 404
        assert await rows(province.url, "SELECT * FROM obligations") == []
        await apply(province.url, [changed(DEPARTMENT, version=1)])
        assert (await post(client, "/v1/obligations/KTXH/2026-M10/extensions", wish)).status_code == 201
        assert [row.obligation for row in await rows(province.url, "SELECT * FROM obligations")] == [KEY]


async def test_steps_of_one_obligation_have_rising_moments_though_a_clock_is_behind(province: Province) -> None:
    async with intake(province) as client:
        name = UUID(await accepted(client))
        await take(client, REVIEWER, Wanted("rework", name, reason="x"))
        client.clock.advance(seconds=-5)
        await take(client, REVIEWER, Wanted("approved", name))
        events = await published(province.url)
        assert [event.kind for event in sorted(events, key=lambda event: event.at)] == ["rework", "approved"]


async def test_what_was_taken_back_may_be_sent_again_and_what_stands_may_not(province: Province) -> None:
    nil = report(nil=True, nil_reason="Không phát sinh", figures={}, narratives={})
    async with intake(province) as client:
        name = UUID(await accepted(client))
        assert (await client.post(nil)).status_code == 409, "figures are accepted"
        await take(client, REVIEWER, Wanted("rework", name, reason="x"))
        await take(client, REVIEWER, Wanted("approved", name))
        assert (await client.post(report())).json()["type"] == UNCHANGED, "the reviewer took it back"
        await take(client, REVIEWER, Wanted("rework", name, reason="x"))
        assert (await client.post(nil)).status_code == 201, "the figures do not stand any more"


async def test_what_an_upheld_appeal_accepts_is_not_stored_again(province: Province) -> None:
    async with intake(province) as client:
        name = UUID(await sent(client))
        await apply(province.url, [verdict(str(name), "returned")])
        made = await take(client, OFFICER, Wanted("appeal_made", name, reason="x"))
        assert isinstance(made, TakenNow)
        upheld = Wanted("appeal_upheld", answers=made.step.step_id, reason="x", effect="accepted")
        assert isinstance(await take(client, CHAIR, upheld), TakenNow)
        assert (await client.post(report())).json()["type"] == UNCHANGED


async def test_a_key_used_meanwhile_for_another_obligation_names_the_step_that_is_stored(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with intake(province) as client:
        await apply(province.url, [changed(DEPARTMENT, version=1)])
        wish = Wanted("extension_requested", reason="x", until=NOW + timedelta(days=30))
        name = UUID(await accepted(client))
        first = await take(client, OFFICER, Wanted("withdrawn", name, reason="x"), key="same")
        assert isinstance(first, TakenNow)
        looked = store.by_key
        answers = iter([None])

        async def not_yet(*given: Any) -> Any:
            return next(answers, await looked(*given))

        monkeypatch.setattr(store, "by_key", not_yet)
        found = await take(client, OFFICER, wish, obligation=KEY, key="same")
        assert found == KeyReused(first.step)


async def test_two_at_once_take_one_step(province: Province) -> None:
    async with intake(province) as client:
        name = await accepted(client)
        wanted = Wanted("withdrawn", UUID(name), reason="x")
        first = await take(client, OFFICER, wanted, key="same")
        second = await take(client, OFFICER, wanted, key="same")
        assert isinstance(first, TakenNow)
        assert isinstance(second, TakenNow)
        assert (second.replayed, second.step.step_id) == (True, first.step.step_id)
        assert isinstance(
            await take(client, OFFICER, Wanted("withdrawn", UUID(name), reason="y"), key="same"), KeyReused
        )
        assert len(await rows(province.url, "SELECT * FROM steps")) == 1


async def test_a_step_is_never_changed(province: Province) -> None:
    async with intake(province) as client:
        await take(client, OFFICER, Wanted("withdrawn", UUID(await accepted(client)), reason="x"))
    database = Database(province.url, pool_size=1)
    try:
        for statement in ("UPDATE steps SET reason = 'y'", "DELETE FROM steps"):
            with pytest.raises(DBAPIError, match="never changed"):
                async with database.transaction() as tx:
                    await tx.execute(text(statement))
    finally:
        await database.close()
