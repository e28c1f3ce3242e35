"""What scoring publishes of an obligation, field by field: followers and the agency itself see nothing else."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from services.scoring.obligations import domain
from services.scoring.obligations.domain import Cause, Decision, Obligation, line_id
from services.scoring.obligations.facts import Facts, Relief, Terms, with_passing, with_relief
from shared.contract.events import ObligationChanged, SubmissionReceived, VerdictReached
from shared.contract.events.compliance import ScoreLine
from tests.unit.scoring.samples import (
    CALENDAR,
    DEADLINE,
    KEY,
    POLICY,
    TERMS,
    local,
    obligation,
    submission,
    verdict,
)

AT = local(2026, 11, 2, 9)
BY_ITSELF, BY_EVENT, VERDICT_ID = UUID(int=1), UUID(int=2), UUID(int=3)
LATE = DEADLINE + timedelta(hours=1)


def settle(before: Obligation, facts: Facts, terms: Terms = TERMS, **more: Any) -> Decision:
    cause = Cause(AT, BY_ITSELF, more.pop("event_id", None))
    return domain.settle(before, terms, facts, POLICY, CALENDAR, cause, **more)


def event(decision: Decision) -> ObligationChanged:
    assert decision.event is not None
    return decision.event


def expected(**parts: Any) -> ObligationChanged:
    """The event of the sample obligation before anything has come, with what the test says."""
    common: dict[str, Any] = {
        "obligation": KEY, "agency": "H99.31", "regime": "KTXH-THANG", "regime_version": 1, "period": "2026-M10",
        "version": 2, "at": AT, "changes": (), "owed": True, "standing": "nothing_sent", "overdue": False,
        "opens_at": TERMS.opens_at, "cutoff_from": TERMS.cutoff_from, "cutoff_to": TERMS.cutoff_to,
        "planned_deadline": DEADLINE, "deadline": DEADLINE, "calendar_version": CALENDAR.version,
        "policy_version": "2019.1",
    }  # fmt: skip
    return ObligationChanged.model_validate(common | parts)


def line(seq: int, component: Any, clause: str, points: int, cause: tuple[str, str], **parts: Any) -> ScoreLine:
    text = POLICY.texts[clause]
    common: dict[str, Any] = {
        "line_id": line_id(KEY, seq), "seq": seq, "component": component, "points": Decimal(points),
        "cause": cause[0], "cause_en": cause[1], "clause": clause, "policy_version": "2019.1",
        "event_id": BY_ITSELF, "created_at": AT, "in_force": True, "clause_text": text.text_vi,
        "clause_text_en": text.text_en, "legal_basis": text.legal_basis,
    }  # fmt: skip
    return ScoreLine.model_validate(common | parts)


OVERDUE = (
    "Quá hạn 17:00:00 19/10/2026, chưa có báo cáo đạt",
    "Nothing acceptable by the deadline, 17:00:00 19/10/2026",
)


def test_an_opened_obligation_is_published_with_its_terms_and_its_own_version() -> None:
    decision = settle(obligation(), obligation().facts, opening=True)
    assert event(decision) == expected(version=1, changes=("opened",))
    assert (decision.event_id, decision.obligation.version) == (BY_ITSELF, 1)


def test_a_report_accepted_late_is_published_with_what_it_answers_and_every_line_ever() -> None:
    passed = settle(obligation(), with_passing(obligation().facts, LATE, "duty")).obligation
    reports: list[tuple[UUID | None, SubmissionReceived | VerdictReached]] = [
        (None, verdict(1, "returned", DEADLINE - timedelta(hours=1), required=4, present=1)),
        (VERDICT_ID, verdict(2, received_at=LATE, required=4, present=3)),
        (None, submission(3, LATE + timedelta(hours=1))),
    ]
    after = settle(passed, domain.with_reports(passed.facts, reports), event_id=BY_EVENT)
    received = ("Nhận báo cáo lúc 18:00:00 19/10/2026", "Report received 18:00:00 19/10/2026")
    late = (
        "Muộn 1 giờ so với hạn 17:00:00 19/10/2026, tính 1 ngày làm việc theo khoản 1.b",
        "1 h after the deadline, 17:00:00 19/10/2026: counts as 1 working day(s) by clause 1.b",
    )
    reversal = ("Hủy dòng 1: đã có báo cáo đạt", "Reverses line 1: a report was accepted")
    assert event(after) == expected(
        version=3, changes=("fulfilled", "score"), standing="fulfilled", on_time=False, received_version=3,
        last_received_at=LATE + timedelta(hours=1), answer_version=2,
        answer_submission_id=submission(2).submission_id, answer_received_at=LATE, required_items=4, present_items=3,
        officer_id="officer-2", officer_basis="named", score=Decimal(80),
        lines=(
            line(1, "timeliness", "1.c", 0, OVERDUE, in_force=False),
            line(2, "timeliness", "1.c", 0, reversal, event_id=BY_EVENT, reverses=line_id(KEY, 1), in_force=False),
            line(3, "timeliness", "1.a", 60, received, event_id=VERDICT_ID),
            line(4, "timeliness", "1.b", -10, late, event_id=VERDICT_ID),
            line(5, "completeness", "2.a", 30, ("Có 3/4 mục bắt buộc", "3 of 4 required items given"),
                 event_id=VERDICT_ID),
        ),
    )  # fmt: skip
    assert [line.line_id for line in after.lines] == [line_id(KEY, seq) for seq in range(2, 6)]


def test_a_line_that_time_alone_has_caused_names_the_event_that_publishes_it() -> None:
    passed = settle(obligation(), with_passing(obligation().facts, LATE, "duty"), event_id=BY_EVENT)
    assert event(passed) == expected(
        changes=("overdue", "score"), overdue=True, officer_id="duty", officer_basis="designated", score=Decimal(0),
        lines=(line(1, "timeliness", "1.c", 0, OVERDUE),),
    )  # fmt: skip
    # and what falls without an event from outside names it too
    fallen = settle(passed.obligation, passed.obligation.facts, replace(TERMS, owed=False))
    assert [line.event_id for line in fallen.lines] == [BY_ITSELF]
    assert fallen.lines[0].cause == "Hủy dòng 1: không còn phải nộp báo cáo này"


def test_a_reminder_is_published_with_its_moment() -> None:
    before = obligation(provisional=True)
    after = settle(before, domain.reminded(before, AT), before.terms)
    assert event(after) == expected(changes=("due_soon",), reminded_at=AT, provisional=True)


def test_only_reliefs_that_moved_the_deadline_are_named() -> None:
    hour = timedelta(hours=1)
    reliefs = [
        Relief("granted", DEADLINE - hour, DEADLINE + hour),
        Relief("next", DEADLINE + hour, DEADLINE + 3 * hour),
        Relief("over-before", DEADLINE - 9 * hour, DEADLINE),
        Relief("too-late", DEADLINE + 4 * hour, DEADLINE + 5 * hour),
        Relief("proposed", DEADLINE - hour, DEADLINE + hour, "proposed"),
        Relief("rejected", DEADLINE - hour, DEADLINE + hour, "rejected"),
    ]
    facts = obligation().facts
    for relief in reliefs:
        facts = with_relief(facts, relief)
    assert event(settle(obligation(), facts)) == expected(
        changes=("relief",), deadline=DEADLINE + 3 * hour, reliefs=("granted", "next")
    )


def test_each_change_of_terms_that_others_see_is_published_and_no_other() -> None:
    seen: dict[str, Any] = {
        "regime_version": 2, "opens_at": TERMS.opens_at + timedelta(days=1), "deadline": LATE,
        "cutoff_from": None, "cutoff_to": None, "calendar_version": "x", "policy_version": "y", "provisional": True,
    }  # fmt: skip
    for name, value in seen.items():
        decision = settle(obligation(), obligation().facts, replace(TERMS, **{name: value}))
        assert event(decision).changes == ("terms_changed",), name
        assert decision.obligation.version == 2
    unseen = settle(obligation(), obligation().facts, replace(TERMS, remind_at=TERMS.remind_at + timedelta(hours=1)))
    assert (unseen.event, unseen.event_id, unseen.obligation.version) == (None, None, 1)
    assert unseen.obligation.state.next_at == TERMS.remind_at + timedelta(hours=1)


def test_every_return_is_published_once_and_an_answer_that_falls_away_is_a_reopening() -> None:
    once = settle(obligation(), domain.with_reports(obligation().facts, [(None, verdict(1, "returned"))])).obligation
    again = settle(once, domain.with_reports(once.facts, [(None, verdict(2, "returned"))]))
    assert event(again).changes == ("returned",)
    moved = settle(again.obligation, again.obligation.facts, replace(TERMS, deadline=LATE))
    assert event(moved).changes == ("terms_changed",), "the same return is not told twice"
    answered = settle(obligation(), domain.with_reports(obligation().facts, [(None, verdict(1))])).obligation
    reviewed = domain.with_reports(answered.facts, [(None, verdict(1, "returned", revision=2))])
    fallen = settle(answered, reviewed)
    assert event(fallen).changes == ("returned", "reopened", "score")
    assert fallen.lines[0].cause == "Hủy dòng 1: kết quả kiểm tra báo cáo thay đổi"


def test_a_line_that_still_holds_stays_as_it_was_written() -> None:
    first = settle(obligation(), domain.with_reports(obligation().facts, [(VERDICT_ID, verdict(present=2))])).obligation
    better = settle(first, domain.with_reports(first.facts, [(None, verdict(2, present=3))]))
    # timeliness stands; completeness falls and comes anew
    assert [(line.seq, line.component, line.points, line.reverses) for line in better.lines] == [
        (3, "completeness", -Decimal("26.67"), line_id(KEY, 2)),
        (4, "completeness", Decimal(40), None),
    ]
    assert [line.seq for line in better.obligation.lines_in_force] == [1, 4]
    assert better.obligation.lines[:2] == first.lines
    same = settle(first, domain.with_reports(first.facts, [(None, submission(2))]))
    assert same.lines == ()


def test_an_obligation_reads_its_key() -> None:
    of_request = obligation(key="H99.1/DX/DX-2026/7")
    assert (of_request.agency, of_request.regime, of_request.period) == ("H99.1", "DX", "DX-2026/7")
