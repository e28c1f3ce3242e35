"""Who hears of what people did with a report: decisions, withdrawals; each rule with its other side."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from services.notifier.planning import decisions
from services.notifier.planning.decisions import TOLD_WITHIN, Step, apply_not_judged, apply_step, judged_since
from services.notifier.planning.directory import Agency, Directory, NotYetRegistered, Officer, Person
from services.notifier.planning.domain import Obligation
from services.notifier.templates.words import decision_words
from shared.access import Office, Term
from shared.contract.events import Finding, LatenessStep, NotJudged, StepTaken, VerdictReached
from shared.contract.hierarchy import Parents

KEY, AT = "H99.1/R/2026-M10", datetime(2026, 10, 19, 10, tzinfo=UTC)
TERM = Term(date(2025, 7, 1))
OBLIGATION = Obligation(KEY, "H99.1", "R", 1, "2026-M10")


def person(name: str, role: str, agency: str, *regimes: str, email: str = "", term: Term = TERM) -> Person:
    officer = Officer(name, "H99.0", name.upper(), "", email or f"{name}@h99.example", "")
    return Person(officer, (Office(role, agency, term, regimes),))


def directory(*people: Person) -> Directory:
    officers = [
        Officer("a", "H99.1", "A", "", "a@h99.example", "reporting_officer"),
        Officer("h", "H99.1", "H", "", "h@h99.example", "head"),
    ]
    return Directory.of([Agency("H99", "Tỉnh"), Agency("H99.1", "Sở", above=Parents("H99"))], officers, people)


REVIEWER, OFFICE = person("r", "reviewer", "H99"), person("o", "provincial_office", "H99")


def step(kind: str, asked_by: str | None = "H99.1", **more: Any) -> Step:
    fields: dict[str, Any] = {
        "step_id": UUID(int=7), "kind": kind, "obligation": KEY, "agency": "H99.1", "regime": "R",
        "regime_version": 1, "period": "2026-M10", "at": AT, "by": "r", "role": "reviewer", "reason": "Đúng",
        "asked_at": AT - timedelta(days=1), "asked_by": asked_by, "asked_reason": "Mất điện",
    }  # fmt: skip
    model = LatenessStep if kind.startswith("lateness_") else StepTaken
    return model.model_validate(fields | more)


def told(taken: Step, known: Directory | None = None) -> list[tuple[str, str | None, str | None]]:
    plan = apply_step(OBLIGATION, taken, known or directory(REVIEWER), AT)
    return [
        (notice.step, notice.officer.officer_id if notice.officer else None, notice.skipped or notice.cancelled)
        for notice in plan.notices
    ]


STEP = "decision/00000000-0000-0000-0000-000000000007"


@pytest.mark.parametrize("kind", sorted(decisions.DECISIONS))
def test_a_decision_is_told_to_the_officer_and_to_who_asked_but_once_to_each(kind: str) -> None:
    assert told(step(kind)) == [(STEP, "a", None)], "the agency's system asked"
    assert told(step(kind, "a")) == [(STEP, "a", None)], "the officer asked"
    assert told(step(kind, "h")) == [(STEP, "a", None), (f"{STEP}/asker", "h", None)]


@pytest.mark.parametrize(
    "kind",
    [
        "certified",
        "approved",
        "rework",
        "unlocked",
        "extension_requested",
        "explanation_given",
        "appeal_made",
        "lateness_explained",
    ],
)
def test_of_other_steps_nobody_hears_by_this(kind: str) -> None:
    assert told(step(kind)) == []


def test_the_letter_states_who_decided_why_and_what_was_asked() -> None:
    until = AT + timedelta(days=3)
    (notice,) = apply_step(OBLIGATION, step("extension_granted", until=until), directory(), AT).notices
    facts = notice.facts
    assert (facts.decision, facts.decision_role, facts.decision_reason) == ("extension_granted", "reviewer", "Đúng")
    assert (facts.decision_until, facts.asked_reason, facts.asked_at) == (until, "Mất điện", AT - timedelta(days=1))
    assert (notice.at, notice.kind) == (AT, "decision")
    assert (facts.decision_effect, facts.submission_version, notice.submission_version) == ("", 0, 0), "of no version"
    received = AT - timedelta(days=2)
    of_one: dict[str, Any] = {"version": 3, "received_at": received, "submission_id": UUID(int=9), "officer_id": "a"}
    upheld = step("appeal_upheld", effect="accepted", **of_one)
    plan = apply_step(OBLIGATION, upheld, directory(), AT)
    facts = plan.notices[0].facts
    assert (facts.decision_effect, facts.submission_version, facts.received_at) == ("accepted", 3, received)
    assert (plan.notices[0].submission_version, plan.cancels) == (3, ())


def test_the_letter_greets_whom_it_goes_to_and_says_since_when_it_holds() -> None:
    since = AT - timedelta(hours=3)
    (to_officer, to_asker) = apply_step(
        OBLIGATION, step("extension_granted", "h", since=since), directory(), AT
    ).notices  # fmt: skip
    assert (to_officer.facts.recipient_name, to_asker.facts.recipient_name) == ("A", "H")
    assert (to_officer.facts.decision_since, to_officer.skipped, to_asker.skipped) == (since, None, None)
    gone = person("p", "deputy", "H99.1")
    left = Directory.of(
        [Agency("H99", "Tỉnh"), Agency("H99.1", "Sở", above=Parents("H99"))],
        [Officer("a", "H99.1", "A", "", "không phải địa chỉ", "reporting_officer")],
        [replace_officer(gone, active=False)],
    )
    assert told(step("appeal_dismissed", "p"), left) == [
        (STEP, None, "unusable_address_of_reporting_officer"), (f"{STEP}/asker", None, "officer_left:p"),
    ]  # fmt: skip
    (notice,) = apply_not_judged(OBLIGATION, NOT_JUDGED, left, AT).notices
    assert notice.skipped == "unusable_address_of_reporting_officer"


def replace_officer(one: Person, **changes: Any) -> Person:
    return Person(dataclasses.replace(one.officer, **changes), one.offices)


def test_that_nobody_answers_for_the_agency_is_said_where_a_decision_or_verdict_would_be_told() -> None:
    left = [Officer("a", "H99.1", "A", "", "a@h99.example", "reporting_officer", (), active=False)]
    nobody = Directory.of([Agency("H99", "Tỉnh"), Agency("H99.1", "Sở", above=Parents("H99"))], left, [])
    assert told(step("extension_granted"), nobody) == [(STEP, None, "no_reporting_officer")]
    (notice,) = apply_not_judged(OBLIGATION, NOT_JUDGED, nobody, AT).notices
    assert (notice.officer, notice.skipped, notice.facts.named) == (None, "no_reporting_officer", False)


def test_who_asked_and_cannot_be_written_to_is_replaced_by_nobody() -> None:
    known = directory(person("p", "deputy", "H99.1", email="không phải địa chỉ"))
    assert told(step("appeal_dismissed", "p"), known)[1] == (f"{STEP}/asker", None, "unusable_address_of:p")
    with pytest.raises(NotYetRegistered, match="person/q"):
        told(step("appeal_dismissed", "q"), known)


def test_a_withdrawal_is_told_to_the_reviewer_else_to_the_provincial_office() -> None:
    withdrawn = step("withdrawn", None, version=2)
    name = STEP.replace("decision", "withdrawal")
    special = person("s", "reviewer", "H99", "R")
    foreign = person("f", "reviewer", "H99", "ANOTHER")
    gone = person("g", "reviewer", "H99", term=Term(date(2025, 1, 1), date(2025, 12, 31)))
    near = person("z", "reviewer", "H99.1")
    for people, who in (
        ((OFFICE, REVIEWER), "r"), ((REVIEWER, special), "s"), ((special, near), "z"), ((OFFICE, foreign), "o"),
        ((OFFICE, gone), "o"), ((person("m", "administrator", "H99"),), None), ((), None),
    ):  # fmt: skip
        assert told(withdrawn, directory(*people)) == [(name, who, None if who else "no_reviewer")]


def test_what_is_old_or_not_owed_enters_the_ledger_unsent() -> None:
    taken, known = step("extension_refused", "h"), directory()
    for now, owed, reason in (
        (AT + TOLD_WITHIN, True, None),
        (AT + TOLD_WITHIN + timedelta(seconds=1), True, "too_old"),
        (AT, False, "not_owed"),
    ):
        plan = apply_step(replace(OBLIGATION, owed=owed), taken, known, now)
        assert [notice.cancelled for notice in plan.notices] == [reason, reason]


NOT_JUDGED = NotJudged(
    verdict_id=UUID(int=1), submission_id=UUID(int=2), obligation=KEY, agency="H99.1", regime="R", regime_version=1,
    period="2026-M10", version=2, officer_id="a", received_at=AT - timedelta(hours=1), decided_at=AT, warnings=1,
    findings=(
        Finding(
            code="X01", tier="narrative", severity="warning", path="", message="Chưa kiểm tra được",
            message_en="Not judged", fix="Chưa phải làm gì", fix_en="Nothing",
        ),
    ),
)  # fmt: skip


def test_that_a_report_could_not_be_judged_is_told_once_to_who_sent_it_and_why() -> None:
    (notice,) = apply_not_judged(OBLIGATION, NOT_JUDGED, directory(), AT).notices
    assert (notice.kind, notice.step) == ("not_judged", "not_judged/2")
    assert notice.officer is not None
    assert notice.officer.officer_id == "a"
    assert notice.skipped is None
    facts = notice.facts
    assert facts.findings[0]["message"] == "Chưa kiểm tra được"
    assert (facts.findings[0]["severity"], "tier" in facts.findings[0]) == ("warning", False)
    assert (facts.recipient_name, facts.received_at, facts.regime_version) == ("A", AT - timedelta(hours=1), 1)
    newer = apply_not_judged(OBLIGATION, NOT_JUDGED.model_copy(update={"regime_version": 4}), directory(), AT)
    assert newer.notices[0].facts.regime_version == 4
    assert (notice.facts.submission_version, notice.facts.named, notice.cancelled) == (2, True, None)


def test_it_is_not_told_of_what_is_not_owed_or_old() -> None:
    (not_owed,) = apply_not_judged(replace(OBLIGATION, owed=False), NOT_JUDGED, directory(), AT).notices
    (too_old,) = apply_not_judged(OBLIGATION, NOT_JUDGED, directory(), AT + TOLD_WITHIN + timedelta(1)).notices
    assert (not_owed.cancelled, too_old.cancelled) == ("not_owed", "too_old")


def test_the_verdict_cancels_it_and_none_about_a_newer_version() -> None:
    (notice,) = apply_not_judged(OBLIGATION, NOT_JUDGED, directory(), AT).notices

    def verdict(version: int) -> VerdictReached:
        given = NOT_JUDGED.model_dump(exclude={"outcome", "findings", "version", "revision"})
        return VerdictReached(
            **given, version=version, revision=2, outcome="accepted", required_items=1, present_items=1
        )  # fmt: skip

    assert judged_since(verdict(2)).covers(notice)
    assert judged_since(verdict(2)).reason == "judged"
    assert not judged_since(verdict(1)).covers(notice)
    (step_notice,) = apply_step(OBLIGATION, step("extension_granted"), directory(), AT).notices
    assert not judged_since(verdict(2)).covers(step_notice)


def test_who_is_asked_for_more_about_lateness_is_told_by_when() -> None:
    by = datetime(2026, 11, 12, 10, tzinfo=UTC)
    dated, undated = (decision_words("lateness_questioned", "", None, until, 0)[2] for until in (by, None))
    assert ("trước 17:00 ngày 12/11/2026" in dated[0], "by 17:00 on 12 November 2026" in dated[1]) == (True, True)
    assert undated == ("Đề nghị thủ trưởng cơ quan giải trình bổ sung.", "The head of the agency is asked to say more.")
