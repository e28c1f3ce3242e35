"""What a notice states and to whom it goes: the letter says what is known of the obligation, and nothing of another."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from services.notifier.planning import domain
from services.notifier.planning.directory import Agency, Directory, NotYetRegistered, Officer
from services.notifier.planning.domain import LetterFacts, Notice, Obligation
from shared.contract.events import ObligationChanged, VerdictReached
from shared.contract.hierarchy import Parents
from tests.fakes.compliance import obligation_changed

KEY = "H99.1/R/2026-M10"
DEADLINE = datetime(2026, 10, 19, 10, tzinfo=UTC)
AT = DEADLINE + timedelta(minutes=1)
OPEN = Obligation(KEY, "H99.1", "R", 1, "2026-M10", DEADLINE, "nothing_sent", 1)

PROVINCE = Agency("H99", "Tỉnh Mẫu", "Mau Province")
DEPARTMENT = Agency("H99.1", "Sở Nội vụ", "Department of Home Affairs", above=Parents("H99"))
FOR_R = Officer("r", "H99.1", "Lê Thị R", "Chuyên viên", "r@h99.example", "reporting_officer", ("R",))
FOR_X = Officer("b", "H99.1", "Ngô Văn X", "Văn thư", "x@h99.example", "reporting_officer", ("X",))
DIRECTOR = Officer("d", "H99.1", "Trần Văn D", "Giám đốc", "d@h99.example", "head")
CHAIR = Officer("c", "H99", "Phạm Thị C", "Chủ tịch", "c@h99.example", "head")


def directory(*people: Officer, agencies: tuple[Agency, ...] = (PROVINCE, DEPARTMENT)) -> Directory:
    return Directory.of(agencies, people)


def told(**state: Any) -> ObligationChanged:
    given = {"deadline": DEADLINE, "at": AT, **state}
    return obligation_changed("H99.1", "R", "2026-M10", version=9, **given)


def notices(everyone: Directory, **state: Any) -> tuple[Notice, ...]:
    return domain.apply_obligation_event(OPEN, told(**state), everyone).notices


def letter(**parts: Any) -> LetterFacts:
    """What every letter about this obligation states, with what is particular to one."""
    common: dict[str, Any] = {
        "recipient_name": "", "recipient_title": "", "agency": "H99.1", "agency_name": "Sở Nội vụ",
        "agency_name_en": "Department of Home Affairs", "regime": "R", "regime_version": 1, "period": "2026-M10",
        "deadline": DEADLINE, "standing": "nothing_sent",
    }  # fmt: skip
    return LetterFacts(**common | parts)


def notice(kind: Any, step: str, officer: Officer | None, facts: LetterFacts, **parts: Any) -> Notice:
    return Notice(KEY, "H99.1", "R", "2026-M10", kind, step, officer, facts, **{"at": AT} | parts)


TO_R = {"recipient_name": "Lê Thị R", "recipient_title": "Chuyên viên"}


def test_a_reminder_goes_to_the_officer_named_for_the_regime() -> None:
    assert notices(directory(FOR_X, FOR_R, DIRECTOR), reminded_at=AT) == (
        notice("reminder", "due_soon", FOR_R, letter(**TO_R)),
    )


def test_an_overdue_report_is_told_to_the_officer_and_to_the_head_each_hearing_of_the_other() -> None:
    head = {"head_title": "Giám đốc", "head_agency": "Sở Nội vụ", "head_agency_en": "Department of Home Affairs"}
    assert notices(directory(FOR_X, FOR_R, DIRECTOR, CHAIR), overdue=True) == (
        notice("overdue", "overdue", FOR_R, letter(**TO_R, **head)),
        notice(
            "escalation", "overdue/rung-1", DIRECTOR,
            letter(recipient_name="Trần Văn D", recipient_title="Giám đốc", officer_name="Lê Thị R", rung=1),
        ),
    )  # fmt: skip


def test_where_the_agency_has_no_head_the_next_one_above_is_told_and_the_letter_names_who_was_passed_over() -> None:
    head = {"head_title": "Chủ tịch", "head_agency": "Tỉnh Mẫu", "head_agency_en": "Mau Province"}
    passed = {"passed_over": ("Sở Nội vụ",), "passed_over_en": ("Department of Home Affairs",)}
    assert notices(directory(FOR_R, CHAIR), overdue=True) == (
        notice("overdue", "overdue", FOR_R, letter(**TO_R, **head)),
        notice(
            "escalation", "overdue/rung-1", None, letter(officer_name="Lê Thị R", rung=1, **passed),
            skipped="no_head:H99.1",
        ),
        notice(
            "escalation", "overdue/rung-2", CHAIR,
            letter(
                recipient_name="Phạm Thị C", recipient_title="Chủ tịch", officer_name="Lê Thị R", rung=2, **passed
            ),
        ),
    )  # fmt: skip


def test_an_agency_without_an_english_name_is_named_in_vietnamese_in_both_languages() -> None:
    bare = Agency("H99.1", "Sở Nội vụ", above=Parents("H99"))
    plain = Agency("H99", "Tỉnh Mẫu")
    to_officer, rung_1, rung_2 = notices(directory(FOR_R, CHAIR, agencies=(bare, plain)), overdue=True)
    assert (to_officer.facts.head_agency, to_officer.facts.head_agency_en) == ("Tỉnh Mẫu", "Tỉnh Mẫu")
    assert rung_1.facts.passed_over_en == rung_2.facts.passed_over_en == ("Sở Nội vụ",)


def test_where_nobody_is_there_the_notices_are_kept_with_the_reason_and_name_nobody() -> None:
    assert notices(directory(), overdue=True) == (
        notice("overdue", "overdue", None, letter(), skipped="no_reporting_officer"),
        *(
            notice(
                "escalation", f"overdue/rung-{number}", None,
                letter(
                    rung=number, passed_over=("Sở Nội vụ", "Tỉnh Mẫu"),
                    passed_over_en=("Department of Home Affairs", "Mau Province"),
                ),
                skipped=f"no_head:{agency}",
            )
            for number, agency in ((1, "H99.1"), (2, "H99"))
        ),
    )  # fmt: skip


def test_where_an_address_cannot_be_written_to_the_reason_says_so() -> None:
    odd = [dataclasses.replace(person, email="nobody") for person in (FOR_R, FOR_X, DIRECTOR)]
    to_officer, rung_1, *_ = notices(directory(*odd, CHAIR), overdue=True)
    assert (to_officer.officer, to_officer.skipped) == (None, "unusable_address_of_reporting_officer")
    assert (rung_1.officer, rung_1.skipped) == (None, "unusable_address_of_head:H99.1")
    came_back = returned_notice(directory(*odd), returned("error"))
    assert (came_back.officer, came_back.skipped) == (None, "unusable_address_of_reporting_officer")


@pytest.mark.parametrize(
    ("hour_utc", "first"),
    [(16, "d"), (17, None)],  # 23:00 on the last day in Vietnam; midnight, the first day on which it is no more
)
def test_whether_an_agency_still_exists_is_asked_of_the_day_in_vietnam(hour_utc: int, first: str | None) -> None:
    closing = Agency("H99.1", "Sở Nội vụ", above=Parents("H99"), closed_on=date(2026, 10, 19))
    everyone = directory(FOR_R, DIRECTOR, CHAIR, agencies=(PROVINCE, closing))
    rungs = notices(everyone, overdue=True, at=datetime(2026, 10, 19, hour_utc, tzinfo=UTC))[1:]
    assert (rungs[0].officer.officer_id if rungs[0].officer else None) == first
    assert rungs[-1].officer in (DIRECTOR, CHAIR)


def returned(*severities: str, **parts: Any) -> VerdictReached:
    """A verdict with a finding of each severity, numbered in the order of the report."""
    findings = [
        {
            "code": "C01", "tier": "completeness", "severity": severity, "path": f"/figures/A{number}",
            "message": "thiếu", "message_en": "missing", "fix": "bổ sung", "fix_en": "add",
        }
        for number, severity in enumerate(severities)
    ]  # fmt: skip
    return VerdictReached.model_validate(
        {
            "verdict_id": "00000000-0000-0000-0000-000000000001",
            "submission_id": "00000000-0000-0000-0000-000000000002",
            "obligation": KEY, "agency": "H99.1", "regime": "R", "regime_version": 3, "period": "2026-M10",
            "version": 2, "officer_id": "b", "received_at": DEADLINE - timedelta(hours=2), "decided_at": AT,
            "outcome": "returned", "errors": severities.count("error"), "warnings": severities.count("warning"),
            "required_items": 1, "present_items": 1, "findings": findings,
        }
        | parts
    )  # fmt: skip


def returned_notice(everyone: Directory, verdict: VerdictReached, before: Obligation = OPEN) -> Notice:
    (only,) = domain.apply_returned_verdict(before, verdict, everyone).notices
    return only


def test_a_returned_report_is_told_to_who_sent_it_with_what_is_wrong() -> None:
    before = replace(OPEN, standing="awaiting_verdict", accepted_version=1)
    assert returned_notice(directory(FOR_R, FOR_X), returned("error"), before) == notice(
        "returned", "returned/2", FOR_X,
        letter(
            recipient_name="Ngô Văn X", recipient_title="Văn thư", regime_version=3, standing=None,
            submission_version=2, received_at=DEADLINE - timedelta(hours=2), accepted_version=1, errors=1, named=True,
            findings=(
                {
                    "code": "C01", "severity": "error", "path": "/figures/A0", "provided": None, "expected": None,
                    "difference": None, "message": "thiếu", "message_en": "missing", "fix": "bổ sung",
                    "fix_en": "add", "legal_basis": None, "weight": None, "explain": None, "waived": None,
                },
            ),
        ),
        submission_version=2,
    )  # fmt: skip


def test_a_returned_report_of_who_has_left_is_told_to_who_answers_for_the_regime_now() -> None:
    moved = Officer("b", "H99", "Ngô Văn X", "Văn thư", "x@h99.example", "reporting_officer", ("X",))
    other = Officer("a", "H99.1", "Đỗ Thị A", "", "a@h99.example", "reporting_officer", ("Y",))
    assert returned_notice(directory(other, FOR_R, moved), returned("error")).officer == FOR_R
    left_alone = returned_notice(directory(moved), returned("error"))
    assert (left_alone.officer, left_alone.skipped) == (None, "no_reporting_officer")
    with pytest.raises(NotYetRegistered, match="officer/b"):
        returned_notice(directory(FOR_R), returned("error"))


def test_a_letter_lists_errors_before_warnings_and_counts_what_it_leaves_out() -> None:
    facts = returned_notice(directory(FOR_X), returned("warning", "error", "warning", "error")).facts
    assert [finding["path"] for finding in facts.findings] == [f"/figures/A{number}" for number in (1, 3, 0, 2)]
    assert (facts.errors, facts.warnings, facts.findings_left_out) == (2, 2, 0)
    many = returned_notice(directory(FOR_X), returned(*["warning"] * 3, *["error"] * 40)).facts
    assert [finding["severity"] for finding in many.findings] == ["error"] * 40
    assert many.findings_left_out == 3
    # the verdict itself lists fewer than it counts
    cut = returned_notice(directory(FOR_X), returned("error", errors=70, warnings=5)).facts
    assert cut.findings_left_out == 74


@pytest.mark.parametrize(("outcome", "needed"), [("returned", True), ("accepted", False)])
def test_people_are_asked_for_where_a_report_came_back_and_not_where_it_was_accepted(
    outcome: str, needed: bool
) -> None:
    assert domain.needs_directory(returned(outcome=outcome)) is needed
