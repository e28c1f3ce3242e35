"""Intake follows verdicts and compliance: newest known wins, whatever the order in which they come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from services.intake import consumer
from services.intake.submissions import handlers
from services.intake.submissions.domain import Stored, Unchanged
from shared.consuming.batch import Batch
from shared.contract.events import (
    EventModel,
    Finding,
    NotJudged,
    ObligationChanged,
    VerdictReached,
)
from shared.contract.ids import new_id
from shared.postgres.database import Database
from tests.fakes.compliance import obligation_changed
from tests.integration.intake.rig import COMMUNE, DEPARTMENT, Intake, Province, intake, load, officer, report, rows
from tests.unit.intake.samples import pending

DECIDED = datetime(2026, 10, 20, 3, tzinfo=UTC)


def verdict(submission_id: str, outcome: str = "accepted", *, seconds: float = 0, **others: Any) -> VerdictReached:
    agency = others.pop("agency", DEPARTMENT)
    findings = (
        Finding(
            code="K01", tier="validity", severity="error", path="/figures/A01", provided="x", expected="số",
            message="Sai.", message_en="Wrong.", fix="Sửa.", fix_en="Correct it.",
        ),
    )  # fmt: skip
    record = {
        "verdict_id": new_id(), "submission_id": UUID(submission_id), "obligation": f"{agency}/KTXH/2026-M10",
        "agency": agency, "regime": "KTXH", "regime_version": 1, "period": "2026-M10", "version": 1,
        "officer_id": "cb-01", "received_at": DECIDED, "decided_at": DECIDED + timedelta(seconds=seconds),
        "outcome": outcome, "errors": int(outcome == "returned"), "warnings": 0, "required_items": 2,
        "present_items": 2, "findings": findings if outcome == "returned" else (),
    }  # fmt: skip
    return VerdictReached.model_validate({**record, **others})


def not_judged(submission_id: str, *, seconds: float = 0) -> NotJudged:
    said = verdict(submission_id, seconds=seconds).model_dump(include=set(NotJudged.model_fields) - {"outcome"})
    finding = Finding(
        code="X01", tier="narrative", severity="warning", path="", message="Chưa kiểm tra được.",
        message_en="Not judged.", fix="Chưa phải làm gì.", fix_en="Nothing yet.", weight="info",
    )  # fmt: skip
    return NotJudged.model_validate({**said, "warnings": 1, "findings": (finding,)})


def changed(agency: str, period: str = "2026-M10", *, version: int, **state: Any) -> ObligationChanged:
    """An obligation of the monthly regime in any state."""
    told = {"deadline": datetime(2026, 10, 18, 10, tzinfo=UTC), "at": DECIDED, **state}
    window = {"cutoff_from": date(2026, 9, 15), "cutoff_to": date(2026, 10, 14)}
    return obligation_changed(agency, "KTXH", period, version=version, **{**window, **told})


def opened(agency: str, period: str = "2026-M10", version: int = 1, **state: Any) -> ObligationChanged:
    return changed(agency, period, version=version, **{"changes": ("opened",), **state})


def overdue(agency: str, period: str = "2026-M10", version: int = 2, **state: Any) -> ObligationChanged:
    return changed(agency, period, version=version, **{"changes": ("overdue", "score"), "overdue": True, **state})


def fulfilled(agency: str, period: str = "2026-M10", version: int = 3, **state: Any) -> ObligationChanged:
    told = {"changes": ("fulfilled", "score"), "answer_version": 1, "answer_received_at": DECIDED, **state}
    return changed(agency, period, version=version, **told)


async def apply(url: str, events: Sequence[EventModel]) -> Batch[Any]:
    """Hand a batch to the handler in a transaction of its own, as the runtime does."""
    database = Database(url, pool_size=1)
    batch: Batch[Any] = Batch.of(events)
    async with database.transaction() as tx:
        await consumer.apply(batch, tx)
    await database.close()
    return batch


async def test_the_status_of_a_submission_follows_its_verdict(province: Province) -> None:
    async with intake(province) as client:
        sent = (await client.post(report())).json()
        path = f"/v1/submissions/{sent['submission_id']}"
        await apply(province.url, [verdict(sent["submission_id"], "returned")])
        detail = (await client.get(path)).json()
        assert (detail["status"], detail["verdict"]["outcome"], detail["verdict"]["errors"]) == (
            "returned",
            "returned",
            1,
        )
        assert detail["findings"][0]["path"] == "/figures/A01"
        assert detail["findings"][0]["fix"] == "Sửa."
        in_both = {"message_vi": "Sai.", "message_en": "Wrong.", "fix_vi": "Sửa.", "fix_en": "Correct it."}
        for accepted, language, message, fix in (
            ("", "vi", "Sai.", "Sửa."),
            ("en", "en", "Wrong.", "Correct it."),
            ("en;q=0.5, vi", "vi", "Sai.", "Sửa."),
        ):
            answer = await client.client.get(path, headers={**client.headers(), "Accept-Language": accepted})
            [finding] = answer.json()["findings"]
            assert (finding["message"], finding["fix"]) == (message, fix)
            assert {name: finding[name] for name in in_both} == in_both
            assert (answer.headers["content-language"], answer.headers["vary"]) == (language, "Accept-Language")
        assert detail["verdict"]["decided_at"] == "2026-10-20T10:00:00+07:00"
        assert [
            item["status"] for item in (await client.get("/v1/submissions", status="returned")).json()["items"]
        ] == ["returned"]
        assert (await client.get("/v1/submissions", status="received")).json()["items"] == []
        # the receipt of a repetition stays the receipt
        assert (await client.post(report(), key="other")).status_code == 201, (
            "a returned report may be sent again as it is"
        )


async def test_an_older_verdict_never_overwrites_a_newer_one_in_any_order(province: Province) -> None:
    async with intake(province) as client:
        ids = [(await client.post(report(n, period=f"2026-M{n:02}"))).json()["submission_id"] for n in (1, 2, 3)]
        older = [verdict(one, "returned") for one in ids]
        newer = [verdict(one, "accepted", seconds=1) for one in ids]
        await apply(province.url, [older[0], newer[0], newer[1], older[1]])
        await apply(province.url, [newer[2]])
        await apply(province.url, [older[2]])
        for one in ids:
            detail = (await client.get(f"/v1/submissions/{one}")).json()
            assert (detail["status"], detail["findings"]) == ("accepted", [])


async def test_a_verdict_on_an_unknown_submission_waits_for_it(province: Province) -> None:
    missing = str(new_id())
    batch = await apply(province.url, [verdict(missing)])
    assert list(batch.deferred.values()) == [f"submission/{missing}"]
    assert await rows(province.url, "SELECT 1 FROM verdicts") == []
    database = Database(province.url, pool_size=1)
    stored = pending()
    async with database.transaction() as tx:
        await handlers.accept(tx, [stored])
        names = [f"submission/{missing}", f"submission/{stored.submission_id}"]
        assert await handlers.stored(tx, names) == {f"submission/{stored.submission_id}"}
    await database.close()


async def test_a_returned_version_does_not_count_as_in_force(province: Province) -> None:
    database = Database(province.url, pool_size=1)
    first, second = pending("1", key="a"), pending("2", key="b")
    async with database.transaction() as tx:
        await handlers.accept(tx, [first])
        await handlers.accept(tx, [second])
    await apply(province.url, [verdict(str(second.submission_id), "returned")])
    async with database.transaction() as tx:
        # version 1 is in force again: its content is unchanged, that of the returned version 2 is not
        [unchanged] = await handlers.accept(tx, [pending("1", key="c")])
        assert isinstance(unchanged, Unchanged)
        assert unchanged.receipt.submission_id == first.submission_id
        [stored] = await handlers.accept(tx, [pending("2", key="d")])
        assert isinstance(stored, Stored)
        assert stored.receipt.version == 3
    await database.close()


async def test_nothing_to_report_is_refused_once_figures_are_accepted(province: Province) -> None:
    nil = report(nil=True, nil_reason="Không phát sinh.", figures={}, narratives={})
    async with intake(province) as client:
        figures = (await client.post(report())).json()["submission_id"]
        # not judged yet: it may have been sent by mistake, and the agency says so
        assert (await client.post(nil)).status_code == 201
        await apply(province.url, [verdict(figures, "returned")])
        assert (await client.post(report(2))).status_code == 201
        assert (await client.post({**nil, "narratives": {"danh_gia": "Không có."}})).status_code == 201
        accepted = (await client.post(report(3))).json()
        await apply(province.url, [verdict(accepted["submission_id"], "accepted")])
        answer = await client.post(nil)
        assert answer.status_code == 409, answer.text
        problem = answer.json()
        assert problem["type"] == "/problems/nil-after-figures"
        assert (problem["submission_id"], problem["version"]) == (accepted["submission_id"], accepted["version"])
        assert "zeros included" in problem["detail_en"]
        assert "kể cả số 0" in problem["detail_vi"]
        # zeros are figures, and another agency's NIL is its own affair
        assert (await client.post(report(0))).status_code == 201
        assert (await client.post({**nil, "officer": "cb-50"}, of=COMMUNE)).status_code == 201


async def test_an_agency_sees_what_it_owes_by_deadline_with_standing_and_score(province: Province) -> None:
    await apply(province.url, [opened(DEPARTMENT), opened(DEPARTMENT, "2026-M11", deadline=DECIDED), opened(COMMUNE)])
    await apply(province.url, [overdue(DEPARTMENT, version=3, score=Decimal("-2.50"))])
    async with intake(province) as client:
        [owed, later] = (await client.get("/v1/obligations")).json()["items"]
        assert later["period"] == "2026-M11"
        assert owed == {
            "obligation": "H99.01/KTXH/2026-M10",
            "regime": "KTXH",
            "regime_version": 1,
            "regime_name": "Báo cáo kinh tế – xã hội",
            "regime_name_en": "Báo cáo kinh tế – xã hội",
            "period": "2026-M10",
            "deadline": "2026-10-18T17:00:00+07:00",
            "grace_until": None,
            "cutoff_from": "2026-09-15",
            "cutoff_to": "2026-10-14",
            "accepted_from": "2026-10-15T00:00:00+07:00",
            "standing": "nothing_sent",
            "owed": True,
            "overdue": True,
            "on_time": None,
            "score": "-2.50",
            "changed_at": "2026-10-20T10:00:00+07:00",
            "updated_at": owed["updated_at"],
            "links": {
                "self": "/v1/obligations/KTXH/2026-M10",
                "regime": "/v1/regimes/KTXH?version=1",
            },
        }
        await apply(province.url, [fulfilled(DEPARTMENT, version=4, on_time=False, score=Decimal("-2.50"))])
        await apply(province.url, [opened(DEPARTMENT), overdue(DEPARTMENT, version=2)])
        [owed] = (await client.get("/v1/obligations", standing="fulfilled")).json()["items"]
        assert (owed["overdue"], owed["on_time"], owed["score"]) == (False, False, "-2.50")
        assert owed["cutoff_from"] == "2026-09-15"


async def test_the_answer_to_a_report_says_the_deadline_as_it_was_told_last(province: Province) -> None:
    async with intake(province) as client:

        async def deadline(body: dict[str, Any], key: str) -> object:
            answer = await client.post(body, key=key)
            assert answer.status_code in (200, 201), answer.text
            return answer.json()["deadline"]

        assert await deadline(report(1), "a") is None, "scoring has told nothing yet"
        await apply(province.url, [opened(DEPARTMENT), opened(COMMUNE, deadline=DECIDED)])
        assert await deadline(report(2), "b") == "2026-10-18T17:00:00+07:00"
        moved = changed(DEPARTMENT, version=2, deadline=datetime(2026, 10, 21, 10, tzinfo=UTC))
        await apply(province.url, [moved])
        assert await deadline(report(1), "a") == "2026-10-21T17:00:00+07:00", "a repetition says what holds by then"
        await load(province.url, [officer("cb-01", DEPARTMENT, active=False)])
        assert await deadline(report(1), "a") == "2026-10-21T17:00:00+07:00", "also where it would be refused today"


async def test_a_debt_that_falls_leaves_what_is_owed_and_keeps_its_page(province: Province) -> None:
    async with intake(province) as client:

        async def owed() -> list[str]:
            return [duty["period"] for duty in (await client.get("/v1/me")).json()["owed"]]

        await apply(province.url, [overdue(DEPARTMENT, "2026-M09"), opened(DEPARTMENT)])
        assert await owed() == ["2026-M09", "2026-M10"]
        fallen = changed(DEPARTMENT, "2026-M09", version=3, changes=("not_owed", "score"), owed=False)
        await apply(province.url, [fallen])
        assert await owed() == ["2026-M10"]
        assert await whole_list(client, overdue="true") == []
        shown = (await client.get("/v1/obligations/KTXH/2026-M09")).json()
        assert (shown["owed"], shown["overdue"], shown["standing"]) == (False, False, "nothing_sent")
        # what is older brings it back no more; what is newer does
        await apply(province.url, [overdue(DEPARTMENT, "2026-M09")])
        assert await owed() == ["2026-M10"]
        await apply(province.url, [changed(DEPARTMENT, "2026-M09", version=4, changes=("owed_again",))])
        assert await owed() == ["2026-M09", "2026-M10"]


async def test_overdue_taken_back_is_overdue_no_more(province: Province) -> None:
    async with intake(province) as client:
        await apply(province.url, [overdue(DEPARTMENT)])
        assert await whole_list(client, overdue="true") == ["2026-M10"]
        taken_back = changed(DEPARTMENT, version=3, changes=("overdue_withdrawn", "score"), standing="awaiting_verdict")
        await apply(province.url, [taken_back])
        assert await whole_list(client, overdue="true") == []
        assert await whole_list(client, overdue="false") == ["2026-M10"]
        # in whatever order they come
        await apply(province.url, [overdue(DEPARTMENT)])
        assert (await client.get("/v1/obligations/KTXH/2026-M10")).json()["overdue"] is False


async def test_the_moment_of_a_copy_moves_with_every_newer_event_and_no_other(province: Province) -> None:
    async with intake(province) as client:

        async def updated() -> str:
            [item] = (await client.get("/v1/obligations")).json()["items"]
            return str(item["updated_at"])

        moments = []
        await apply(province.url, [opened(DEPARTMENT)])
        moments.append(await updated())
        # the columns stay: only the document says that the officer is another
        for version in (2, 3):
            await apply(province.url, [opened(DEPARTMENT, version=version, officer_id=f"cb-{version}")])
            moments.append(await updated())
        assert moments == sorted(set(moments))
        await apply(province.url, [opened(DEPARTMENT, version=3), overdue(DEPARTMENT, version=2)])
        assert await updated() == moments[-1]


async def whole_list(client: Intake, **filters: str) -> list[str]:
    return [item["period"] for item in (await client.get("/v1/obligations", **filters)).json()["items"]]


async def test_pages_follow_each_other_without_hole_or_repetition(province: Province) -> None:
    async with intake(province) as client:
        sent = [(await client.post(report(n))).json()["submission_id"] for n in range(7)]
        await apply(province.url, [opened(DEPARTMENT, f"2026-M{month:02}") for month in range(1, 8)])
        for path, name, expected in (
            ("/v1/submissions", "submission_id", sent[::-1]),
            ("/v1/obligations", "period", [f"2026-M{month:02}" for month in range(1, 8)]),
        ):
            seen: list[str] = []
            after: dict[str, str] = {}
            while True:
                answer = await client.get(path, limit=3, **after)
                page = answer.json()
                seen += [item[name] for item in page["items"]]
                if page["next"] is None:
                    assert "link" not in answer.headers
                    break
                assert 'rel="next"' in answer.headers["link"]
                after = {"after": page["next"]}
            assert seen == expected
        assert (await client.get("/v1/submissions", after="x")).status_code == 400
        assert (await client.get("/v1/submissions", regime="a\x00b")).status_code == 400
        assert (await client.get("/v1/submissions", limit=0)).status_code == 422


async def test_what_could_not_be_judged_says_so_until_it_is_whatever_comes_first(province: Province) -> None:
    async with intake(province) as client:
        sent = (await client.post(report())).json()["submission_id"]
        path = f"/v1/submissions/{sent}"
        unable, judged = not_judged(sent), verdict(sent, seconds=60, revision=2)
        await apply(province.url, [unable])
        shown = (await client.get(path)).json()
        assert (shown["status"], shown["verdict"]["outcome"], shown["lifecycle"]["state"]) == ("not_judged",) * 3
        assert [finding["code"] for finding in shown["findings"]] == ["X01"]
        assert "withdrawn" in {step["step"] for step in shown["lifecycle"]["possible"]}
        timeline = (await client.get(f"{path}/timeline")).json()["steps"]
        assert [step["step"] for step in timeline] == ["received", "verdict"]
        listed = await client.get("/v1/submissions", status="not_judged")
        assert [item["submission_id"] for item in listed.json()["items"]] == [sent]
        assert (await client.post(report(), key="again")).status_code == 409, "it waits as it is"
        await apply(province.url, [judged])
        await apply(province.url, [unable])
        assert (await client.get(path)).json()["status"] == "accepted"
