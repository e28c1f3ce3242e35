"""The main path on the whole stack: post → verdict → score → mail; on Kafka and on Tansu."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.runtime.clock import ClockLeader
from tests.e2e.rig import COMMUNE, DEPARTMENT, NOW, PERIOD, REGIME, REQUEST, Province, eventually
from tests.programs.fuzz.__main__ import CHECKS, known_values
from tests.programs.fuzz.walks import walk
from tests.stack import Infra

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

OBLIGATION = f"{DEPARTMENT}/{REGIME}/{PERIOD}"
NARRATIVE = {"N": "Kết quả trong tháng đạt kế hoạch đề ra."}


@pytest.fixture(scope="module")
def leader(tmp_path_factory: pytest.TempPathFactory) -> ClockLeader:
    """Business time, which runs as the system's does until a test leads it on."""
    leader = ClockLeader(tmp_path_factory.mktemp("clock") / "business", datetime.fromisoformat(NOW))
    leader.lead(rate=1.0, until=None)
    return leader


@pytest.fixture(scope="module", params=["session", pytest.param("tansu", marks=pytest.mark.whole)])
def province(
    request: pytest.FixtureRequest, infra: Infra, leader: ClockLeader, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Province]:
    """The small province on the session's broker, and on a Tansu broker of its own: what stands in without Java.

    Its services migrate their databases, as an operator has them do.
    """
    own: dict[str, Any] = {"env": {"BUSINESS_CLOCK": leader.specification}}
    if request.param == "tansu":
        own |= {"broker": "tansu", "infrastructure": frozenset({"kafka", "mail"})}
        own |= {"kafka_bootstrap": None, "kafka_idempotence": False}
    with infra.stack(tmp_path_factory.mktemp("main-path"), migrating=True, **own) as stack:
        yield Province(stack, tmp_path_factory.mktemp("registry"), leader.clock)


def settled(province: Province, submission_id: str) -> dict[str, Any] | None:
    """The submission once its verdict is known."""
    shown = province.get(DEPARTMENT, f"/v1/submissions/{submission_id}")
    return shown if shown["status"] != "received" else None


def test_a_report_is_returned_with_findings_corrected_accepted_and_scored(province: Province) -> None:
    wrong = {"A": 100, "A1": 90, "A2": 5, "B": 12345678901234567.5}
    answer = province.post(DEPARTMENT, "first", figures=wrong, narratives=NARRATIVE)
    assert answer.status_code == 201, answer.text
    receipt = answer.json()
    assert receipt["obligation"] == OBLIGATION
    assert receipt["version"] == 1

    returned = eventually(lambda: settled(province, receipt["submission_id"]), "a verdict on the first version")
    assert returned["status"] == "returned"
    finding = next(f for f in returned["findings"] if f["tier"] == "consistency")
    assert finding["path"] == "/figures/A"
    assert (finding["provided"], finding["expected"]) == ("100", "95")
    assert finding["message"]
    assert finding["fix"]

    mail = eventually(
        lambda: next((m for m in province.mails_to("hanh@sonoivu.example") if "trả lại" in m.subject.lower()), None),
        "a mail about the returned report",
    )
    assert finding["fix"] in mail.text or finding["message"] in mail.text

    right = {"A": 95, "A1": 90, "A2": 5, "B": "0.10"}
    answer = province.post(DEPARTMENT, "second", figures=right, narratives=NARRATIVE)
    assert answer.status_code == 201, answer.text
    assert answer.json()["version"] == 2
    accepted = eventually(lambda: settled(province, answer.json()["submission_id"]), "a verdict on the second version")
    assert accepted["status"] == "accepted"

    def fulfilled() -> dict[str, Any] | None:
        shown = province.operator("scoring", f"/v1/obligations/{OBLIGATION}").json()
        return shown if shown.get("standing") == "fulfilled" else None

    obligation = eventually(fulfilled, "the obligation is fulfilled")
    assert obligation["on_time"] is True
    assert Decimal(obligation["score"]) == 100
    assert sum(Decimal(line["points"]) for line in obligation["lines"]) == Decimal(obligation["score"])
    assert all(line["cause"] and line["cause_en"] for line in obligation["lines"])

    def shown_to_agency() -> bool:
        items = province.get(DEPARTMENT, "/v1/obligations")["items"]
        return any(item["obligation"] == OBLIGATION and item["standing"] == "fulfilled" for item in items)

    assert eventually(shown_to_agency, "the agency sees that it has fulfilled")

    def own_page() -> dict[str, Any] | None:
        shown: dict[str, Any] = province.get(DEPARTMENT, f"/v1/obligations/{REGIME}/{PERIOD}")
        return shown if shown["lines"] and any(notice["kind"] == "returned" for notice in shown["notices"]) else None

    page = eventually(own_page, "the agency sees its score lines and the notice about the return")
    every_line = {line["line_id"]: (line["points"], line["cause"]) for line in obligation["lines"]}
    assert all(every_line[line["line_id"]] == (line["points"], line["cause"]) for line in page["lines"])
    assert sum(Decimal(line["points"]) for line in page["lines"]) == Decimal(page["score"]) == 100
    assert [submission["version"] for submission in page["submissions"]] == [2, 1]
    assert {notice["to"]["role"] for notice in page["notices"]} == {"reporting_officer"}


def test_the_same_idempotency_key_gets_the_same_receipt_and_stores_once(province: Province) -> None:
    figures = {"A": 1, "A1": 1, "A2": 0, "B": 1}
    first = province.post(COMMUNE, "again", figures=figures, narratives=NARRATIVE)
    second = province.post(COMMUNE, "again", figures=figures, narratives=NARRATIVE)
    assert first.status_code == 201
    assert second.json()["submission_id"] == first.json()["submission_id"]
    other = province.post(COMMUNE, "again", figures={**figures, "B": 2}, narratives=NARRATIVE)
    assert other.status_code == 422
    assert other.headers["content-type"].startswith("application/problem+json")


def test_what_is_overdue_is_told_to_the_officer_and_to_the_head(province: Province, leader: ClockLeader) -> None:
    province.request(seconds=300)  # a busy machine takes long to store it
    overdue = leader.clock.now() + timedelta(seconds=300)
    leader.lead(rate=100.0, until=overdue)
    eventually(lambda: leader.clock.now() >= overdue, "the deadline has passed")
    leader.lead(rate=1.0, until=None)

    def told(address: str) -> Any:
        return next((m for m in province.mails_to(address) if "quá hạn" in (m.subject + m.text).lower()), None)

    officer = eventually(lambda: told("sen@anbinh.example"), "the officer is told")
    head = eventually(lambda: told("lua@anbinh.example"), "the head is told")
    assert "chưa nộp" in officer.text.lower()
    assert REQUEST in officer.text or "Thiệt hại do mưa đá" in officer.text
    assert officer.message_id != head.message_id


def test_the_stores_agree_at_the_end(province: Province) -> None:
    """`reconcile` finds no difference once everything has drained."""
    province.agree()


def test_walks_made_from_the_documents_are_answered_as_documented(province: Province) -> None:
    """A few walks through each service that has an API; `make fuzz` makes many more, and single calls beside them.

    That a walk takes what it was answered: tests/unit/fuzz.
    """
    known = known_values(province)
    for service in ("intake", "validator", "scoring", "notifier"):
        token = province.keys[DEPARTMENT] if service == "intake" else province.stack.operator_key()
        walked = walk(province.stack.url(service), token, known, CHECKS, seed=1, walks=5)
        assert walked.faults == []
        assert walked.requests >= 5, service
