"""What one event plans and cancels, by the difference from the state before it; each rule with its other side."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from services.notifier.planning import domain
from services.notifier.planning.directory import Agency, Directory, Officer
from services.notifier.planning.domain import ABOUT_STEPS, Cancel, Notice, NoticeKind, Obligation, Plan
from shared.contract.events import ObligationChanged, VerdictReached
from tests.fakes.compliance import obligation_changed

KEY = "H99.1/R/2026-M10"
DEADLINE = datetime(2026, 10, 19, 10, tzinfo=UTC)
LATER, EARLIER = DEADLINE + timedelta(days=7), DEADLINE - timedelta(days=7)
FIRST, SECOND = DEADLINE - timedelta(days=3), LATER - timedelta(days=3)
DIRECTORY = Directory.of(
    [Agency("H99.1", "Sở")],
    [
        Officer("a", "H99.1", "A", "", "a@h99.example", "reporting_officer", ()),
        Officer("h", "H99.1", "H", "Giám đốc", "h@h99.example", "head", ()),
    ],
)
NEW = Obligation(KEY, "H99.1", "R", 1, "2026-M10")
OPEN = replace(NEW, version=1, deadline=DEADLINE, standing="nothing_sent")
REMINDED = replace(OPEN, version=2, reminded_at=FIRST, reminded_for=DEADLINE, reminder_count=1)
OVERDUE = replace(REMINDED, version=3, overdue=True, overdue_count=1, verdict_version=2)
#: reminded, overdue and returned once, and all of it over: notices of every kind may wait
TOLD = replace(OVERDUE, version=4, overdue=False)
FULFILLED = replace(OVERDUE, version=4, overdue=False, accepted_version=2, standing="fulfilled")
#: its first version was accepted, and none returned
FULFILLED_FIRST = replace(OPEN, version=4, accepted_version=1, standing="fulfilled")
NOT_OWED = replace(OVERDUE, version=4, overdue=False, owed=False)
ALL: tuple[NoticeKind, ...] = ("reminder", "overdue", "escalation", "returned")


def told(version: int = 9, *changes: str, **state: Any) -> ObligationChanged:
    given: dict[str, Any] = {"changes": changes or ("score",), "deadline": DEADLINE, "at": DEADLINE, **state}
    return obligation_changed("H99.1", "R", "2026-M10", version=version, **given)


def planned(before: Obligation, event: ObligationChanged) -> tuple[list[str], list[tuple[tuple[str, ...], str]]]:
    """The steps of the notices; kinds and reason of the cancels."""
    plan = domain.apply_obligation_event(before, event, DIRECTORY)
    return [notice.step for notice in plan.notices], [(cancel.kinds, cancel.reason) for cancel in plan.cancels]


def after(before: Obligation, event: ObligationChanged) -> Obligation:
    return domain.apply_obligation_event(before, event, DIRECTORY).obligation


#: a reviewer sends version 1 back
REWORK: dict[str, Any] = {
    "standing": "returned", "rework_version": 1, "rework_reason": "Thiếu nguyên nhân", "rework_until": LATER,
    "received_version": 1, "last_received_at": FIRST,
}  # fmt: skip


def test_what_a_reviewer_sends_back_is_told_with_his_reason_and_term_once() -> None:
    event = told(9, "returned", "reopened", **REWORK)
    plan = domain.apply_obligation_event(FULFILLED, event, DIRECTORY)
    (notice,) = plan.notices
    assert (notice.kind, notice.submission_version, notice.officer and notice.officer.officer_id) == (
        "returned",
        1,
        "a",
    )
    assert (notice.facts.rework_reason, notice.facts.rework_until) == ("Thiếu nguyên nhân", LATER)
    again = domain.apply_obligation_event(plan.obligation, told(10, "returned", **REWORK), DIRECTORY)
    assert [other.step for other in again.notices] == [notice.step], "the ledger takes a step once"
    for said in ({"rework_reason": "Thiếu biểu"}, {"rework_until": LATER + timedelta(days=1)}):
        other = told(10, "returned", **{**REWORK, **said})
        assert domain.apply_obligation_event(plan.obligation, other, DIRECTORY).notices[0].step != notice.step, said
    score = domain.apply_obligation_event(plan.obligation, told(10, "score", **REWORK), DIRECTORY)
    assert score.notices == ()
    answered = domain.apply_obligation_event(plan.obligation, told(10, "fulfilled", answer_version=2), DIRECTORY)
    assert any(cancel.covers(notice) for cancel in answered.cancels)


@pytest.mark.parametrize(("newest", "received_at"), [(1, FIRST), (2, None)])
def test_a_letter_about_a_review_gives_only_the_receipt_of_the_version_sent_back(
    newest: int, received_at: datetime | None
) -> None:
    event = told(9, "returned", **{**REWORK, "received_version": newest})
    (notice,) = domain.apply_obligation_event(FULFILLED_FIRST, event, DIRECTORY).notices
    assert notice.facts.received_at == received_at


def test_that_a_version_was_sent_back_is_told_also_by_an_event_that_took_the_place_of_the_one_that_said_so() -> None:
    later = told(10, "relief", **REWORK)
    (notice,) = domain.apply_obligation_event(FULFILLED_FIRST, later, DIRECTORY).notices
    (first,) = domain.apply_obligation_event(FULFILLED_FIRST, told(9, "returned", **REWORK), DIRECTORY).notices
    assert notice.step == first.step
    known = after(FULFILLED_FIRST, told(9, "returned", **REWORK))
    assert domain.apply_obligation_event(known, later, DIRECTORY).notices == ()


#: version 1 is accepted but for its certification
TO_CERTIFY: dict[str, Any] = {
    "standing": "awaiting_verdict", "certify_version": 1, "received_version": 1, "last_received_at": FIRST,
    "locks_at": LATER,
}  # fmt: skip
NO_LONGER = (("certification",), "not_to_certify")


def test_the_head_hears_once_that_a_report_waits_for_the_signature_and_by_when() -> None:
    plan = domain.apply_obligation_event(OPEN, told(**TO_CERTIFY), DIRECTORY)
    (notice,) = plan.notices
    assert (notice.kind, notice.step, notice.submission_version) == ("certification", "certify/1", 1)
    assert notice.officer == DIRECTORY.people["h"]
    assert (notice.facts.certify_by, notice.facts.received_at) == (LATER, FIRST)
    assert planned(plan.obligation, told(10, "due_soon", **TO_CERTIFY)) == ([], []), "told once"
    (unlocked,) = domain.apply_obligation_event(OPEN, told(**{**TO_CERTIFY, "locks_at": None}), DIRECTORY).notices
    assert unlocked.facts.certify_by == DEADLINE
    nobody = Directory.of([Agency("H99.1", "Sở")], [])
    (skipped,) = domain.apply_obligation_event(OPEN, told(**TO_CERTIFY), nobody).notices
    assert (skipped.officer, skipped.skipped) == (None, "no_head:H99.1")


@pytest.mark.parametrize(
    ("state", "steps", "cancels"),
    [
        (TO_CERTIFY, [], []),
        ({**TO_CERTIFY, "certify_version": 2, "received_version": 2}, ["certify/2"], [NO_LONGER]),
        ({**TO_CERTIFY, "certify_version": None}, [], [NO_LONGER]),
        ({**TO_CERTIFY, "overdue": True}, ["overdue", "overdue/rung-1"], []),
        ({"answer_version": 1}, [], [(("certification",), "fulfilled")]),
        ({**TO_CERTIFY, "owed": False}, [], [(("certification", *ABOUT_STEPS), "not_owed")]),
    ],
)
def test_what_need_not_be_certified_any_more_is_not_asked_for(
    state: dict[str, Any], steps: list[str], cancels: list[tuple[tuple[str, ...], str]]
) -> None:
    assert planned(after(OPEN, told(**TO_CERTIFY)), told(10, **state)) == (steps, cancels)


SECOND_WAITS = {**TO_CERTIFY, "certify_version": 2, "received_version": 2}


@pytest.mark.parametrize(
    "meanwhile",
    [
        SECOND_WAITS,  # a newer one, which is withdrawn then
        {"standing": "returned", "rework_version": 1, "received_version": 1},  # which is taken back then
        {"answer_version": 2, "standing": "fulfilled"},  # certified, and withdrawn then
        {"owed": False},
    ],
)
def test_the_head_hears_again_of_a_version_that_waits_again(meanwhile: dict[str, Any]) -> None:
    """Its first notice may have been cancelled; without a step of its own the second would be taken for the first."""
    waited = after(OPEN, told(**TO_CERTIFY))
    between = after(waited, told(10, **meanwhile))
    steps, _ = planned(between, told(11, **TO_CERTIFY))
    assert steps == ["certify/1/11"]
    again = after(between, told(11, **TO_CERTIFY))
    assert planned(again, told(12, "due_soon", **TO_CERTIFY)) == ([], []), "told once"


def test_the_head_hears_again_of_a_version_whose_return_is_undone_while_a_newer_one_awaits_its_verdict() -> None:
    waited = after(OPEN, told(**TO_CERTIFY))
    sent_back = after(waited, told(10, standing="returned", rework_version=1, received_version=1))
    newer = after(sent_back, told(11, standing="awaiting_verdict", received_version=2))
    undone = told(12, **{**TO_CERTIFY, "received_version": 2})
    assert planned(newer, undone) == (["certify/1/12"], [])
    assert planned(after(newer, undone), told(13, **{**TO_CERTIFY, "received_version": 2})) == ([], []), "told once"


BY_OVERDUE = (("reminder",), "superseded_by_overdue")
TAKEN_BACK = (("overdue", "escalation"), "overdue_withdrawn")
MOVED = (("reminder",), "deadline_moved")


@pytest.mark.parametrize(
    ("before", "event", "steps", "cancels"),
    [
        (NEW, told(), [], []),
        (OPEN, told(), [], []),
        (OPEN, told(reminded_at=FIRST), ["due_soon"], []),
        (REMINDED, told(reminded_at=FIRST), [], []),
        (REMINDED, told(reminded_at=FIRST, deadline=LATER), [], [MOVED]),
        (REMINDED, told(reminded_at=FIRST, deadline=EARLIER), [], []),
        (REMINDED, told(reminded_at=SECOND, deadline=LATER), ["due_soon/2"], [MOVED]),
        # of the same deadline again: a rebuilt scoring
        (REMINDED, told(reminded_at=SECOND), [], []),
        (REMINDED, told(reminded_at=SECOND, deadline=EARLIER), [], []),
        (REMINDED, told(overdue=True), ["overdue", "overdue/rung-1"], [BY_OVERDUE]),
        (REMINDED, told(overdue=True, reminded_at=FIRST), ["overdue", "overdue/rung-1"], [BY_OVERDUE]),
        # nothing was planned, so there is nothing to cancel
        (OPEN, told(overdue=True, reminded_at=FIRST), ["overdue", "overdue/rung-1"], []),
        (OPEN, told(answer_version=2), [], []),
        (OPEN, told(owed=False), [], [(ABOUT_STEPS, "not_owed")]),
        (OPEN, told(deadline=LATER), [], []),
        (REMINDED, told(answer_version=2), [], [(("reminder",), "fulfilled")]),
        (replace(OPEN, verdict_version=1), told(answer_version=2), [], [(("returned",), "fulfilled")]),
        (OVERDUE, told(overdue=True), [], []),
        (OVERDUE, told(overdue=True, reminded_at=SECOND), [], []),
        (OVERDUE, told(9, "overdue_withdrawn", standing="returned"), [], [TAKEN_BACK]),
        (OVERDUE, told(standing="awaiting_verdict"), [], [TAKEN_BACK]),
        (OVERDUE, told(deadline=LATER), [], [MOVED, TAKEN_BACK]),
        (OVERDUE, told(deadline=LATER, reminded_at=SECOND), ["due_soon/2"], [MOVED, TAKEN_BACK]),
        # not found overdue yet by a rebuilt scoring
        (OVERDUE, told(9, "opened"), [], []),
        (OVERDUE, told(9, "opened", standing="awaiting_verdict"), [], []),
        (OVERDUE, told(9, "returned", standing="returned"), [], []),
        (OVERDUE, told(owed=False), [], [((*ALL, *ABOUT_STEPS), "not_owed")]),
        (OVERDUE, told(answer_version=2), [], [(ALL, "fulfilled")]),
        (OVERDUE, told(answer_version=2, reminded_at=SECOND, deadline=LATER), [], [(ALL, "fulfilled")]),
        (FULFILLED, told(answer_version=2), [], []),
        (FULFILLED, told(answer_version=1), [], [(ALL, "fulfilled")]),
        (FULFILLED, told(overdue=True), ["overdue/2", "overdue/2/rung-1"], [BY_OVERDUE]),
        (FULFILLED, told(9, "reopened"), [], []),
        (NOT_OWED, told(owed=False), [], [((*ALL, *ABOUT_STEPS), "not_owed")]),
        (NOT_OWED, told(overdue=True), ["overdue/2", "overdue/2/rung-1"], [BY_OVERDUE]),
    ],
)  # fmt: skip
def test_what_is_new_is_told_and_what_is_no_longer_so_is_cancelled(
    before: Obligation, event: ObligationChanged, steps: list[str], cancels: list[tuple[tuple[str, ...], str]]
) -> None:
    assert planned(before, event) == (steps, cancels)
    # once: the same state by a newer event tells nothing more
    again = event.model_copy(update={"version": event.version + 1})
    assert planned(after(before, event), again)[0] == []


@pytest.mark.parametrize("version", [1, 3, 4])
def test_an_older_event_changes_nothing_and_a_newer_one_does(version: int) -> None:
    event = told(version, owed=False)
    plan = domain.apply_obligation_event(OVERDUE, event, DIRECTORY)
    if version > OVERDUE.version:
        assert (plan.obligation.owed, len(plan.cancels)) == (False, 1)
    else:
        assert plan == Plan(OVERDUE)


def test_the_state_is_kept_as_the_event_says_it() -> None:
    event = told(12, deadline=LATER, standing="returned", reminded_at=FIRST, overdue=True, regime_version=2)
    assert after(OPEN, event) == Obligation(
        KEY, "H99.1", "R", 2, "2026-M10", LATER, "returned", 12, owed=True, overdue=True, overdue_count=1,
        reminded_at=FIRST, policy_version=event.policy_version,
    )  # fmt: skip
    assert after(OPEN, told(12, answer_version=3)).accepted_version == 3
    assert after(FULFILLED, told(12)).accepted_version == 0
    kept = after(OVERDUE, told(12, "opened"))
    assert kept.overdue, "what was told stays told"
    assert not after(kept, told(13, answer_version=1)).overdue
    assert not after(kept, told(13, owed=False)).overdue
    third = after(after(OVERDUE, told(12, deadline=LATER)), told(13, deadline=LATER, overdue=True))
    assert (third.overdue_count, third.reminder_count) == (2, 1)


def test_the_reminder_that_was_jumped_over_is_not_made_up_for() -> None:
    jumped = after(OPEN, told(5, overdue=True, reminded_at=FIRST))
    assert planned(jumped, told(6, "overdue_withdrawn", deadline=LATER, reminded_at=FIRST))[0] == []
    # the control: the next one is told
    assert planned(jumped, told(6, deadline=LATER, reminded_at=SECOND))[0] == ["due_soon"]


def test_a_reminder_is_kept_with_its_deadline() -> None:
    first = after(OPEN, told(reminded_at=FIRST))
    assert (first.reminded_for, first.reminder_count) == (DEADLINE, 1)
    second = after(first, told(10, reminded_at=SECOND, deadline=LATER))
    assert (second.reminded_for, second.reminder_count) == (LATER, 2)


@pytest.mark.parametrize(
    ("event", "needed"),
    [
        (told(), False), (told(overdue=True), True), (told(reminded_at=FIRST), True),
        (told(overdue=True, owed=False), False), (told(reminded_at=FIRST, answer_version=1), False),
        (told(**TO_CERTIFY), True), (told(**{**TO_CERTIFY, "owed": False}), False),
        (told(9, "returned", **REWORK), True), (told(9, "returned", owed=False, **REWORK), False),
    ],
)  # fmt: skip
def test_people_are_asked_for_only_where_somebody_may_be_told(event: ObligationChanged, needed: bool) -> None:
    assert domain.needs_directory(event) is needed


def returned(version: int) -> VerdictReached:
    return VerdictReached.model_validate(
        {
            "verdict_id": "00000000-0000-0000-0000-000000000001",
            "submission_id": "00000000-0000-0000-0000-000000000002",
            "obligation": KEY, "agency": "H99.1", "regime": "R", "regime_version": 1, "period": "2026-M10",
            "version": version, "officer_id": "a", "received_at": DEADLINE, "decided_at": DEADLINE,
            "outcome": "returned", "errors": 1, "warnings": 0, "required_items": 1, "present_items": 1,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "version", "is_told"),
    [
        (OPEN, 1, True), (replace(OPEN, verdict_version=2), 2, False), (replace(OPEN, verdict_version=2), 3, True),
        (FULFILLED, 2, False), (FULFILLED, 3, True), (NOT_OWED, 1, False),
    ],
)  # fmt: skip
def test_a_return_is_told_while_it_is_the_newest_word_on_what_is_owed(
    before: Obligation, version: int, is_told: bool
) -> None:
    plan = domain.apply_returned_verdict(before, returned(version), DIRECTORY)
    if not is_told:
        assert plan == Plan(before)
        return
    assert [notice.step for notice in plan.notices] == [f"returned/{version}"]
    assert plan.cancels == (Cancel(KEY, ("returned",), "superseded_by_newer_version", version - 1),)
    assert plan.obligation.verdict_version == version


def notices() -> list[Notice]:
    to_all = domain.apply_obligation_event(OPEN, told(overdue=True), DIRECTORY).notices
    reminder = domain.apply_obligation_event(OPEN, told(reminded_at=FIRST), DIRECTORY).notices
    returns = [domain.apply_returned_verdict(OPEN, returned(version), DIRECTORY).notices for version in (1, 2)]
    return [*reminder, *to_all, *returns[0], *returns[1]]


@pytest.mark.parametrize(
    ("before", "event", "left"),
    [
        (TOLD, told(owed=False, received_version=1), []),
        (TOLD, told(answer_version=1), ["returned/2"]),
        (TOLD, told(answer_version=2), []),
        (TOLD, told(overdue=True), ["overdue", "overdue/rung-1", "returned/1", "returned/2"]),
        (OVERDUE, told(9, "overdue_withdrawn"), ["due_soon", "returned/1", "returned/2"]),
        (TOLD, told(deadline=LATER), ["overdue", "overdue/rung-1", "returned/1", "returned/2"]),
        (TOLD, told(), ["due_soon", "overdue", "overdue/rung-1", "returned/1", "returned/2"]),
    ],
)  # fmt: skip
def test_a_cancel_reaches_its_own_notices_and_no_others(
    before: Obligation, event: ObligationChanged, left: list[str]
) -> None:
    cancels = domain.apply_obligation_event(before, event, DIRECTORY).cancels
    marked = domain.apply_cancels(notices(), cancels)
    assert [notice.step for notice in marked if notice.cancelled is None] == left
    foreign = [replace(notice, obligation="H99.2/R/2026-M10") for notice in notices()]
    assert domain.apply_cancels(foreign, cancels) == foreign
    # the first reason stays
    twice = domain.apply_cancels(marked, [Cancel(KEY, ALL, "accepted", domain.ANY_VERSION)])
    assert {notice.cancelled for notice in twice if notice.step in left} <= {"accepted"}
    assert [letter.cancelled for letter in twice if letter.step not in left] == [
        letter.cancelled for letter in marked if letter.step not in left
    ]


_STEPS: tuple[dict[str, Any], ...] = (
    {"reminded_at": FIRST}, {"reminded_at": SECOND, "deadline": LATER}, {"overdue": True}, {"answer_version": 1},
    {"owed": False}, {"standing": "awaiting_verdict"}, {"certify_version": 1},
)  # fmt: skip


@pytest.mark.parametrize("steps", list(itertools.permutations(range(len(_STEPS)), 4)))
def test_only_kinds_of_which_nothing_was_planned_are_left_out_of_a_cancel(steps: tuple[int, ...]) -> None:
    obligation, waiting = NEW, list[Notice]()
    for version, step in enumerate(steps, start=1):
        plan = domain.apply_obligation_event(obligation, told(version, **_STEPS[step]), DIRECTORY)
        for cancel in plan.cancels:
            if cancel.reason in ("fulfilled", "not_owed"):
                assert domain.apply_cancels(waiting, [cancel]) == domain.apply_cancels(
                    waiting, [replace(cancel, kinds=(*ALL, "certification"))]
                )
        over = plan.obligation.accepted_version or not plan.obligation.owed
        waiting = [notice for notice in domain.apply_cancels(waiting, plan.cancels) if notice.cancelled is None]
        waiting += plan.notices
        assert not (over and waiting), "what is over leaves no notice waiting"
        obligation = plan.obligation


ANSWERED = {"answer_version": 2, "officer_id": "a", "officer_basis": "named"}


@pytest.mark.parametrize(
    ("before", "state", "named"),
    [
        (OPEN, ANSWERED, "a"),
        (OVERDUE, ANSWERED, "a"),
        (OPEN, {**ANSWERED, "officer_basis": "designated"}, None),
        (OPEN, {**ANSWERED, "answer_version": None}, None),
        (OPEN, {**ANSWERED, "owed": False}, None),
        (replace(FULFILLED, named_officer="a"), ANSWERED, None),
        (replace(FULFILLED, named_officer="a"), {**ANSWERED, "answer_version": 3}, None),
        (replace(FULFILLED, named_officer="b"), {**ANSWERED, "answer_version": 3}, "a"),
        (replace(OPEN, named_officer="a"), ANSWERED, None),  # a rebuilt scoring
        (replace(FULFILLED, named_officer=""), ANSWERED, None),  # answered before this was kept
        (replace(FULFILLED, named_officer=""), {**ANSWERED, "answer_version": 3}, "a"),
    ],
)
def test_who_is_named_by_the_answer_is_told_once(before: Obligation, state: dict[str, Any], named: str | None) -> None:
    event = told(**state)
    plan = domain.apply_obligation_event(before, event, DIRECTORY)
    assert (plan.naming.officer_id if plan.naming else None) == named
    again = domain.apply_obligation_event(plan.obligation, event.model_copy(update={"version": 10}), DIRECTORY)
    assert again.naming is None


REQUEST = "DX-2026-003"
NEW_REQUEST = Obligation(f"H99.1/R/{REQUEST}", "H99.1", "R", 1, REQUEST)


def of_request(version: int = 1, *changes: str, **state: Any) -> ObligationChanged:
    given: dict[str, Any] = {"changes": changes or ("opened",), "deadline": DEADLINE, "at": FIRST, **state}
    return obligation_changed("H99.1", "R", REQUEST, version=version, **given)


def test_a_request_is_told_to_the_officer_once() -> None:
    event = of_request()
    assert domain.needs_directory(event)
    plan = domain.apply_obligation_event(NEW_REQUEST, event, DIRECTORY)
    (notice,) = plan.notices
    assert (notice.kind, notice.step, notice.officer and notice.officer.officer_id) == ("request", "request", "a")
    # neither a later event, nor a scoring that is built again, tells of it again
    for later in (of_request(2, "terms_changed", deadline=LATER), of_request(9)):
        assert domain.apply_obligation_event(plan.obligation, later, DIRECTORY).notices == ()
    # the first event may stand for others that it replaced on the compacted topic
    assert planned(NEW_REQUEST, of_request(4, "terms_changed"))[0] == ["request"]


@pytest.mark.parametrize(
    ("state", "steps"),
    [
        ({"reminded_at": FIRST}, ["due_soon"]),
        ({"overdue": True}, ["overdue", "overdue/rung-1"]),
        ({"answer_version": 1}, []),
        ({"owed": False}, []),
        ({"standing": "awaiting_verdict"}, []),
    ],
)
def test_a_request_that_is_further_on_already_is_told_as_what_it_is(state: dict[str, Any], steps: list[str]) -> None:
    assert planned(NEW_REQUEST, of_request(3, "score", **state))[0] == steps


def test_a_period_is_no_request() -> None:
    assert planned(NEW, told(1, "opened")) == ([], [])
    assert not domain.needs_directory(told(1, "opened"))


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"answer_version": 1}, "fulfilled"),
        ({"owed": False}, "not_owed"),
        ({"overdue": True}, "superseded_by_overdue"),
    ],
)
def test_a_request_that_has_not_gone_out_is_cancelled_when_it_is_no_longer_so(
    state: dict[str, Any], reason: str
) -> None:
    plan = domain.apply_obligation_event(NEW_REQUEST, of_request(), DIRECTORY)
    (notice,) = plan.notices
    later = domain.apply_obligation_event(plan.obligation, of_request(2, "score", **state), DIRECTORY)
    assert [cancel.reason for cancel in later.cancels if cancel.covers(notice)] == [reason]
    moved = domain.apply_obligation_event(plan.obligation, of_request(2, "relief", deadline=LATER), DIRECTORY)
    assert not any(cancel.covers(notice) for cancel in moved.cancels), "the control: it is still asked"
