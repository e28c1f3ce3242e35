"""The judged sees every line about itself: submissions, score lines with their causes, notices; newest word wins."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any

from services.intake.obligations import handlers, queries
from shared.consuming.batch import Batch
from shared.contract.events import NotificationRecorded, ObligationChanged, ScoreLine
from shared.contract.ids import new_id
from shared.postgres.database import Database
from tests.integration.intake.rig import COMMUNE, DEPARTMENT, NOW, OFFICE, Province, intake, load, officer, report
from tests.integration.intake.test_following import DECIDED, apply, changed, opened, verdict
from tests.integration.intake.test_submitting import assert_problem

PATH = "/v1/obligations/KTXH/2026-M10"


def notice(version: int, outcome: str = "sent", **others: Any) -> NotificationRecorded:
    agency = others.pop("agency", DEPARTMENT)
    record = {
        "notification_id": new_id(), "obligation": f"{agency}/KTXH/2026-M10", "agency": agency, "kind": "overdue",
        "step": "overdue", "officer_id": "cb-01", "outcome": outcome, "message_id": "<x@example.vn>", "attempts": 1,
        "at": NOW + timedelta(minutes=version), "version": version,
    }  # fmt: skip
    return NotificationRecorded.model_validate({**record, **others})


async def tell(url: str, notices: list[NotificationRecorded]) -> None:
    database = Database(url, pool_size=1)
    async with database.transaction() as tx:
        await handlers.apply_notices(Batch.of(notices), tx)
    await database.close()


def line(seq: int, points: str, cause: str, **others: Any) -> ScoreLine:
    told = {
        "line_id": new_id(), "seq": seq, "component": "timeliness", "points": points, "cause": cause,
        "cause_en": f"en {cause}", "clause": "§1", "policy_version": "vn-2026-1", "event_id": new_id(),
        "created_at": DECIDED + timedelta(seconds=seq), "in_force": True, "clause_text": "Trừ 10 điểm mỗi ngày.",
        "clause_text_en": "10 points off a day.", "legal_basis": "NĐ 09/2019/NĐ-CP, Điều 8",
    }  # fmt: skip
    return ScoreLine.model_validate({**told, **others})


def scored(version: int, *lines: ScoreLine, **state: Any) -> ObligationChanged:
    score = sum((line.points for line in lines if line.in_force), Decimal(0))
    told = {"standing": "returned", "overdue": True, "score": score, "lines": lines, **state}
    return changed(DEPARTMENT, version=version, **told)


async def test_an_agency_sees_the_whole_of_its_obligation(province: Province) -> None:
    await load(province.url, [officer("tt-99", OFFICE, role="head")])
    first, second, head = (
        notice(1, "unknown"),
        notice(2, kind="reminder"),
        notice(4, kind="escalation", officer_id="tt-99"),
    )
    stranger = notice(5, kind="returned", officer_id="gone")
    async with intake(province) as client:
        assert_problem(await client.get(PATH), 404, "not-found")
        ids = [(await client.post(report(n))).json()["submission_id"] for n in (1, 2)]
        await apply(province.url, [opened(DEPARTMENT), opened(COMMUNE), verdict(ids[0], "returned")])
        await apply(province.url, [scored(2, line(1, "-2.50", "Chậm 1 ngày"), line(2, "100", "Đủ"))])
        again = first.model_copy(
            update={"outcome": "sent", "attempts": 2, "version": 3, "at": NOW + timedelta(minutes=3)}
        )
        await tell(province.url, [first, second, head, again, stranger, notice(1, agency=COMMUNE, officer_id="cb-50")])
        shown = (await client.get(PATH)).json()

        assert (shown["standing"], shown["overdue"], shown["score"], shown["policy_version"]) == (
            "returned", True, "97.50", "vn-2026-1",
        )  # fmt: skip
        assert [(line["points"], line["cause"], line["cause_en"], line["clause"]) for line in shown["lines"]] == [
            ("-2.50", "Chậm 1 ngày", "en Chậm 1 ngày", "§1"),
            ("100", "Đủ", "en Đủ", "§1"),
        ]
        assert (shown["lines"][0]["clause_text"], shown["lines"][0]["legal_basis"], shown["provisional"]) == (
            "Trừ 10 điểm mỗi ngày.", "NĐ 09/2019/NĐ-CP, Điều 8", False,
        )  # fmt: skip
        assert sum(Decimal(line["points"]) for line in shown["lines"]) == Decimal(shown["score"])
        assert (shown["links"]["policy"], shown["links"]["calendar"]) == (
            "/v1/policies/vn-2026-1", f"/v1/calendars/{shown['calendar_version']}",
        )  # fmt: skip
        assert [(submission["version"], submission["status"]) for submission in shown["submissions"]] == [
            (2, "received"),
            (1, "returned"),
        ]
        told = [
            (notice["kind"], notice["to"]["role"], notice["to"]["agency"], notice["outcome"], notice["attempts"])
            for notice in shown["notices"]
        ]
        assert told == [
            ("returned", None, None, "sent", 1),
            ("escalation", "head", OFFICE, "sent", 1),
            ("overdue", "reporting_officer", DEPARTMENT, "sent", 2),
            ("reminder", "reporting_officer", DEPARTMENT, "sent", 1),
        ]
        assert shown["notices"][2]["at"] == "2026-10-20T09:33:00+07:00"
        assert "tt-99" not in str(shown), "told by office, not by name"
        other = (await client.get(PATH, of=COMMUNE)).json()
        assert (other["lines"], other["submissions"], len(other["notices"])) == ([], [], 1)
        for foreign in ("/v1/obligations/KTXH/2026-M09", "/v1/obligations/a b/x", f"/v1/obligations/{COMMUNE}/KTXH"):
            assert_problem(await client.get(foreign), 404, "not-found")


async def test_lines_and_notices_are_the_newest_whatever_the_order(province: Province) -> None:
    lines = [line(1, "1", "một"), line(1, "2", "hai"), line(1, "3", "ba")]
    base = notice(1)
    async with intake(province) as client:
        for number, order in enumerate(permutations(range(3))):
            start = 10 * number
            scores = [scored(start + 2 + place, lines[place]) for place in range(3)]
            words = [
                base.model_copy(update={"version": start + place + 1, "attempts": place + 1}) for place in range(3)
            ]
            for place in order:
                await apply(province.url, [scores[place]])
                await tell(province.url, [words[place]])
            shown = (await client.get(PATH)).json()
            assert [line["cause"] for line in shown["lines"]] == ["ba"], order
            assert [notice["attempts"] for notice in shown["notices"]] == [3], order
            # a later event says everything anew, also that there are no lines
            await apply(province.url, [opened(DEPARTMENT, version=start + 5)])
            assert (await client.get(PATH)).json()["lines"] == []


async def test_every_line_ever_is_shown_with_what_it_takes_back_and_why_the_deadline_is_what_it_is(
    province: Province,
) -> None:
    late, found = line(1, "-12.00", "Chưa nộp", in_force=False), new_id()
    back = line(2, "12.00", "Hủy dòng 1", reverses=late.line_id, in_force=False, event_id=found)
    stands = line(3, "-1.00", "Muộn 9 giây", clause="1.b", event_id=found)
    extended = {
        "planned_deadline": DECIDED - timedelta(days=9), "reliefs": ("gia-han-1", "ngung-tre-2"),
        "officer_id": "cb-02", "officer_basis": "designated", "policy_version": "vn-2027-1",
        "calendar_version": "2026.2",
    }  # fmt: skip
    async with intake(province) as client:
        await apply(province.url, [opened(DEPARTMENT)])
        fresh = (await client.get(PATH)).json()
        assert (fresh["score"], fresh["lines"], fresh["reliefs"]) == (None, [], [])
        assert (fresh["officer_id"], fresh["officer_basis"]) == (None, None)
        assert fresh["planned_deadline"] == fresh["deadline"]

        await apply(province.url, [scored(2, late, back, stands, **extended)])
        shown = (await client.get(PATH)).json()
    assert shown["score"] == "-1.00"
    assert sum(Decimal(line["points"]) for line in shown["lines"] if line["in_force"]) == Decimal(shown["score"])
    assert [(line["seq"], line["points"], line["in_force"]) for line in shown["lines"]] == [
        (1, "-12.00", False), (2, "12.00", False), (3, "-1.00", True),
    ]  # fmt: skip
    assert [line["reverses"] for line in shown["lines"]] == [None, str(late.line_id), None]
    assert [line["event_id"] for line in shown["lines"]] == [str(late.event_id), str(found), str(found)]
    assert [line["clause"] for line in shown["lines"]] == ["§1", "§1", "1.b"]
    assert shown["lines"][2]["created_at"] == "2026-10-20T10:00:03+07:00", "to the second, in Vietnam's time"
    assert shown["planned_deadline"] == "2026-10-11T10:00:00+07:00"
    assert shown["deadline"] == "2026-10-18T17:00:00+07:00"
    assert shown["reliefs"] == ["gia-han-1", "ngung-tre-2"]
    assert (shown["officer_id"], shown["officer_basis"]) == ("cb-02", "designated")
    assert (shown["policy_version"], shown["calendar_version"]) == ("vn-2027-1", "2026.2")


async def test_an_obligations_page_is_bounded_and_says_what_it_leaves_out(province: Province) -> None:
    await apply(province.url, [opened(DEPARTMENT)])
    await tell(province.url, [notice(number, at=DECIDED + timedelta(minutes=number)) for number in range(1, 131)])
    async with intake(province) as client:
        for number in range(101):
            assert (await client.post(report(number))).status_code == 201
        shown = (await client.get(PATH)).json()
        assert (len(shown["notices"]), shown["notices_truncated"]) == (queries.MAX_LISTED, True)
        assert (len(shown["submissions"]), shown["submissions_truncated"]) == (queries.MAX_LISTED, True)
        assert shown["submissions"][0]["version"] == 101


async def test_a_submissions_timeline_goes_from_receipt_to_score_and_is_its_agencys_alone(province: Province) -> None:
    async with intake(province) as client:
        posted = await client.post(report(1))
        path = f"/v1/submissions/{posted.json()['submission_id']}/timeline"
        assert [step["step"] for step in (await client.get(path)).json()["steps"]] == ["received"]
        await apply(province.url, [opened(DEPARTMENT), verdict(posted.json()["submission_id"], "accepted")])
        state = {"standing": "fulfilled", "overdue": False, "answer_version": 1}
        await apply(province.url, [scored(2, line(1, "60", "Đúng hạn"), line(2, "40", "Đủ"), **state)])
        await tell(province.url, [notice(10_000)])
        shown = (await client.get(path)).json()
        steps = [(step["step"], step["text"]) for step in shown["steps"]]
        assert [name for name, _ in steps] == ["received", "verdict", "score_line", "score_line", "notice"]
        assert steps[2][1] == "+60 điểm, khoản §1: Đúng hạn"
        assert shown["counts"] is True
        assert shown["links"]["obligation"] == PATH
        assert (await client.get(shown["links"]["submission"])).status_code == 200
        assert_problem(await client.get(path, of=COMMUNE), 404, "not-found")
        assert_problem(await client.get("/v1/submissions/x/timeline"), 404, "not-found")
