"""Why a report is late: explained by its head, looked at above, told to those who follow, and no point moves by it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from services.intake.lifecycle.deciding import Impossible, NotYours, Wanted
from services.intake.lifecycle.handlers import TakenNow, Unknown
from shared.contract.events import LatenessStep
from tests.integration.intake.rig import COMMUNE, DEPARTMENT, NOW, Province, intake, rows
from tests.integration.intake.test_following import apply, fulfilled, opened, overdue
from tests.integration.intake.test_lifecycle import HEAD, KEY, OFFICER, REVIEWER, person, post, published, sent, take

PATH = "/v1/obligations/KTXH/2026-M10/lateness"
WHY: dict[str, Any] = {
    "reason": "Kho bạc chốt chậm",
    "remedy": "Chốt số liệu với kho bạc trước ngày 12",
    "until": "2026-11-12T17:00:00+07:00",
}
EXPLAIN = Wanted("lateness_explained", reason="Kho bạc chốt chậm", remedy="Chốt sớm hơn")


async def told(url: str) -> list[LatenessStep]:
    found = await rows(url, "SELECT body FROM outbox WHERE type = :type ORDER BY id", type=LatenessStep.TYPE)
    return [LatenessStep.model_validate_json(bytes(row.body)) for row in found]


async def test_an_explanation_is_stored_once_published_shown_and_kept_in_the_trail(province: Province) -> None:
    async with intake(province) as client:
        await apply(province.url, [overdue(DEPARTMENT)])
        first = await post(client, PATH, WHY, key="cham-1")
        assert first.status_code == 201, first.text
        assert (first.json()["kind"], first.json()["state"], first.json()["remedy"]) == (
            "lateness_explained", "given", WHY["remedy"],
        )  # fmt: skip
        again = await post(client, PATH, WHY, key="cham-1")
        assert (again.status_code, again.json()["step_id"]) == (200, first.json()["step_id"])
        other = await post(client, PATH, {**WHY, "remedy": "khác"}, key="cham-1")
        assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
        twice = await post(client, PATH, WHY)
        assert (twice.status_code, twice.json()["type"], twice.json()["state"]) == (
            409, "/problems/step-not-possible", "given",
        )  # fmt: skip
        (event,) = await told(province.url)
        assert (event.kind, event.obligation, event.reason, event.remedy, event.regime_version) == (
            "lateness_explained", KEY, WHY["reason"], WHY["remedy"], 1,
        )  # fmt: skip
        assert await published(province.url) == [], "scoring and validator follow steps; of this they hear nothing"
        whole = (await client.get("/v1/obligations/KTXH/2026-M10")).json()
        assert [(step["kind"], step["remedy"]) for step in whole["steps"]] == [("lateness_explained", WHY["remedy"])]
        (entry,) = await rows(province.url, "SELECT action, why FROM audit_trail WHERE key = :key", key=KEY)
        assert (entry.action, entry.why) == ("lateness_explained", WHY["reason"])


async def test_what_is_not_late_has_nothing_to_explain_and_every_fault_is_named_at_once(province: Province) -> None:
    async with intake(province) as client:
        assert (await post(client, PATH, WHY)).status_code == 404, "nobody knows of such an obligation"
        await apply(province.url, [opened(DEPARTMENT, deadline=NOW + timedelta(days=1))])
        early = await post(client, PATH, WHY)
        assert (early.status_code, early.json()["possible"], early.json()["state"]) == (409, [], "none")
        assert "không chậm" in early.json()["detail"]
        await apply(province.url, [overdue(DEPARTMENT)])
        bad = await post(client, PATH, {"reason": " ", "remedy": "TUYỆT MẬT: x", "until": "2026-10-01T17:00:00+07:00"})
        assert (bad.status_code, [error["pointer"] for error in bad.json()["errors"]]) == (
            422, ["/reason", "/remedy", "/until"],
        )  # fmt: skip
        await apply(province.url, [fulfilled(DEPARTMENT)])
        assert (await post(client, PATH, WHY)).status_code == 409, "it came in time after all"
        await apply(province.url, [fulfilled(DEPARTMENT, version=4, on_time=False)])
        assert (await post(client, PATH, WHY)).status_code == 201, "it counts, and came late"


async def test_the_head_explains_an_office_above_asks_for_more_and_notes_it(province: Province) -> None:
    async with intake(province) as client:
        await apply(province.url, [overdue(DEPARTMENT)])
        assert isinstance(await take(client, OFFICER, EXPLAIN, obligation=KEY), NotYours)
        assert isinstance(await take(client, person("head", COMMUNE), EXPLAIN, obligation=KEY), Unknown)
        given = await take(client, HEAD, EXPLAIN, obligation=KEY)
        assert isinstance(given, TakenNow)
        about = given.step.step_id
        assert isinstance(await take(client, HEAD, Wanted("lateness_noted", answers=about)), NotYours)
        more = Wanted("lateness_questioned", answers=about, reason="Nêu rõ xã nào", until=NOW + timedelta(days=2))
        asked = await take(client, REVIEWER, more)
        assert isinstance(asked, TakenNow)
        assert isinstance(await take(client, REVIEWER, Wanted("lateness_noted", answers=about)), Impossible)
        again = await take(client, HEAD, EXPLAIN, obligation=KEY)
        assert isinstance(again, TakenNow)
        noted = await take(client, REVIEWER, Wanted("lateness_noted", answers=again.step.step_id))
        assert isinstance(noted, TakenNow)
        events = await told(province.url)
        assert [(one.kind, one.asked_by, one.asked_reason) for one in events] == [
            ("lateness_explained", None, ""),
            ("lateness_questioned", HEAD.id, EXPLAIN.reason),
            ("lateness_explained", None, ""),
            ("lateness_noted", HEAD.id, EXPLAIN.reason),
        ]
        assert await rows(province.url, "SELECT * FROM open_reviews") == [], "nothing waits any more"


async def test_of_another_steps_id_there_is_nothing_to_note(province: Province) -> None:
    """Control of the above: only an explanation of lateness is noted."""
    async with intake(province) as client:
        await apply(province.url, [overdue(DEPARTMENT)])
        wish = Wanted("extension_requested", reason="x", until=NOW + timedelta(days=30))
        extension = await take(client, HEAD, wish, obligation=KEY)
        assert isinstance(extension, TakenNow)
        assert isinstance(
            await take(client, REVIEWER, Wanted("lateness_noted", answers=extension.step.step_id)), Unknown
        )


async def test_the_timeline_of_the_report_tells_cause_and_remedy(province: Province) -> None:
    async with intake(province) as client:
        name = UUID(await sent(client))
        await apply(province.url, [overdue(DEPARTMENT)])
        assert (await post(client, PATH, WHY)).status_code == 201
        timeline = (await client.get(f"/v1/submissions/{name}/timeline")).json()
        assert (
            f"Giải trình chậm báo cáo, do hệ thống của cơ quan {DEPARTMENT}: {WHY['reason']}. "
            f"Khắc phục: {WHY['remedy']}"
        ) in [step["text"] for step in timeline["steps"]]
