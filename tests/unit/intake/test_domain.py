"""Deciding a group: versions without gap, one submission per idempotency key, nothing unchanged stored again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from services.intake.submissions.domain import (
    Fresh,
    InForce,
    KeyReused,
    Lock,
    Locked,
    NilAfterFigures,
    Outdated,
    Receipt,
    Replayed,
    Stored,
    TooManyVersions,
    Unchanged,
    decide,
)
from services.intake.submissions.event_encoding import outgoing
from shared.contract.events import SubmissionReceived
from shared.contract.ids import new_id
from shared.reports.limits import MAX_VERSIONS
from tests.unit.intake.samples import pending

OBLIGATION = "H99.01/KTXH/2026-M10"


def test_several_submissions_for_one_obligation_in_one_group_get_consecutive_versions() -> None:
    group = [
        pending("1", key="a"),
        pending("2", key="b"),
        pending("3", key="c", obligation="other"),
        pending("4", key="d"),
    ]
    outcomes, fresh = decide(group, {OBLIGATION: 7, "other": 0}, {}, {})
    assert [item.version for item in fresh] == [8, 9, 1, 10]
    assert all(isinstance(outcome, Stored) for outcome in outcomes)


def test_the_same_key_twice_in_one_group_is_stored_once_and_answered_twice() -> None:
    first, second = pending("1"), pending("1")
    outcomes, fresh = decide([first, second], {OBLIGATION: 0}, {}, {})
    assert [item.pending for item in fresh] == [first]
    stored, replayed = outcomes
    assert isinstance(stored, Stored)
    assert isinstance(replayed, Replayed)
    assert stored.receipt == replayed.receipt
    assert stored.receipt.submission_id == first.submission_id


def test_the_same_key_with_another_body_in_one_group_is_refused() -> None:
    outcomes, fresh = decide([pending("1"), pending("2")], {OBLIGATION: 0}, {}, {})
    assert isinstance(outcomes[1], KeyReused)
    assert len(fresh) == 1


def test_our_own_commit_whose_answer_was_lost_is_no_replay() -> None:
    ours = pending("1")
    receipt = Receipt(ours.submission_id, OBLIGATION, 3, ours.received_at, ours.sha256)
    outcomes, fresh = decide([ours], {OBLIGATION: 3}, {ours.idempotency: receipt}, {})
    assert outcomes == [Stored(receipt)]
    assert fresh == []


def test_an_answer_says_the_deadline_of_its_own_obligation() -> None:
    deadline = datetime(2026, 10, 18, 10, tzinfo=UTC)
    first, second, again = pending("1"), pending("2", key="b", obligation="other"), pending("1")
    told = {OBLIGATION: deadline, "third": deadline.replace(day=19)}
    outcomes, _ = decide([first, second, again], {OBLIGATION: 0, "other": 0}, {}, {}, deadlines=told)
    assert [outcome.deadline for outcome in outcomes if isinstance(outcome, Stored | Replayed)] == [
        deadline, None, deadline,
    ]  # fmt: skip


def test_what_the_version_in_force_says_already_is_not_stored_again() -> None:
    again = pending("1", key="new", body="the same, spaced")
    receipt = Receipt(new_id(), OBLIGATION, 2, again.received_at, b"x" * 32)
    in_force = {OBLIGATION: InForce(receipt, again.content_sha256)}
    outcomes, fresh = decide([again], {OBLIGATION: 2}, {}, in_force)
    assert outcomes == [Unchanged(receipt)]
    assert fresh == []


def test_nothing_to_report_does_not_take_the_place_of_accepted_figures() -> None:
    accepted = Receipt(new_id(), OBLIGATION, 2, pending().received_at, b"x" * 32)
    nil, figures, elsewhere = (
        pending("nil", key="a", nil=True),
        pending("2", key="b"),
        pending("nil", key="c", nil=True, obligation="other"),
    )
    outcomes, fresh = decide([nil, figures, elsewhere], {OBLIGATION: 2, "other": 1}, {}, {}, 0, {OBLIGATION: accepted})
    assert outcomes[0] == NilAfterFigures(accepted)
    assert [(item.pending, item.version) for item in fresh] == [(figures, 3), (elsewhere, 2)]
    # without accepted figures it is a version like another
    assert isinstance(decide([nil], {OBLIGATION: 2}, {}, {}, 0, {})[0][0], Stored)


def test_an_obligation_takes_so_many_versions_and_its_repetitions_still_get_their_receipts() -> None:
    last, one_more = pending("1", key="a"), pending("2", key="b")
    receipts: dict[tuple[str, str], Receipt] = {}
    outcomes, fresh = decide([last, one_more, last], {OBLIGATION: MAX_VERSIONS - 1}, receipts, {})
    assert [item.version for item in fresh] == [MAX_VERSIONS]
    assert isinstance(outcomes[0], Stored)
    assert outcomes[1] == TooManyVersions(OBLIGATION)
    assert outcomes[2] == outcomes[0]
    # what equals the version in force is told so, also then
    again = pending("1", key="c")
    in_force = {OBLIGATION: InForce(receipts[last.idempotency], last.content_sha256)}
    assert isinstance(decide([again], {OBLIGATION: MAX_VERSIONS}, {}, in_force)[0][0], Unchanged)


TICK = timedelta(microseconds=1)
LOCKS_AT = datetime(2026, 10, 20, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("received_at", "unlocked_until", "holds"),
    [
        (LOCKS_AT, None, False),
        (LOCKS_AT + TICK, None, True),
        (LOCKS_AT + TICK, LOCKS_AT + TICK, False),
        (LOCKS_AT + 2 * TICK, LOCKS_AT + TICK, True),
        (LOCKS_AT, LOCKS_AT - TICK, False),
    ],
)
def test_a_lock_takes_what_is_received_at_its_hour_and_until_it_is_unlocked(
    received_at: datetime, unlocked_until: datetime | None, holds: bool
) -> None:
    assert Lock(LOCKS_AT, unlocked_until).holds(received_at) is holds


def test_nothing_is_stored_for_a_locked_obligation_and_the_others_of_the_group_are_stored() -> None:
    late, early, other = (
        pending("1", key="a", received_at=LOCKS_AT + TICK),
        pending("2", key="b", received_at=LOCKS_AT),
        pending("3", key="c", received_at=LOCKS_AT + TICK, obligation="other"),
    )
    outcomes, fresh = decide(
        [late, early, other], {OBLIGATION: 0, "other": 0}, {}, {}, locks={OBLIGATION: Lock(LOCKS_AT)}
    )
    assert outcomes[0] == Locked(OBLIGATION, LOCKS_AT)
    assert [item.pending for item in fresh] == [early, other]


def test_what_an_older_registry_admitted_is_judged_again_before_it_is_stored() -> None:
    older, same = pending("1", key="a", registry_revision=4), pending("2", key="b", registry_revision=5)
    outcomes, fresh = decide([older, same], {OBLIGATION: 0}, {}, {}, 5)
    assert outcomes[0] == Outdated()
    assert [item.pending for item in fresh] == [same]


def test_what_is_stored_is_answered_with_its_receipt_whatever_has_changed_since() -> None:
    sent = pending("1", registry_revision=4, received_at=LOCKS_AT + TICK)
    receipt = Receipt(new_id(), OBLIGATION, 1, LOCKS_AT, sent.sha256)
    outcomes, fresh = decide([sent], {OBLIGATION: 1}, {sent.idempotency: receipt}, {}, 5,
                             locks={OBLIGATION: Lock(LOCKS_AT)})  # fmt: skip
    assert (outcomes, fresh) == ([Replayed(receipt)], [])
    other = replace(sent, sha256=b"y" * 32)
    assert decide([other], {OBLIGATION: 1}, {sent.idempotency: receipt}, {}, 5)[0] == [KeyReused(receipt)]
    agency = replace(sent, agency="H99.02")
    assert decide([agency], {OBLIGATION: 1}, {sent.idempotency: receipt}, {}, 5)[0] == [Outdated()], "another's key"


def test_a_receipt_says_what_was_stored_and_the_next_of_the_group_meets_it() -> None:
    first, same, other = pending("1", key="a"), pending("1", key="b", body="1 "), pending("1", key="c", obligation="x")
    last_versions, receipts, in_force = {OBLIGATION: 3, "x": 0}, {}, {}  # type: ignore[var-annotated]
    outcomes, fresh = decide([first, same, other], last_versions, receipts, in_force)
    receipt = Receipt(first.submission_id, OBLIGATION, 4, first.received_at, first.sha256)
    of_other = Receipt(other.submission_id, "x", 1, other.received_at, other.sha256)
    assert outcomes == [Stored(receipt), Unchanged(receipt), Stored(of_other)]
    assert fresh == [Fresh(first, 4), Fresh(other, 1)]
    assert last_versions == {OBLIGATION: 4, "x": 1}
    assert receipts == {first.idempotency: receipt, other.idempotency: of_other}
    assert in_force == {
        OBLIGATION: InForce(receipt, first.content_sha256), "x": InForce(of_other, other.content_sha256),
    }  # fmt: skip


def test_going_back_to_an_earlier_content_is_a_change() -> None:
    group = [pending("1", key="a"), pending("2", key="b"), pending("1", key="c")]
    _, fresh = decide(group, {OBLIGATION: 0}, {}, {})
    assert [item.version for item in fresh] == [1, 2, 3]


def test_the_fast_encoding_is_the_model_field_for_field() -> None:
    fresh = Fresh(pending(), 12)
    said = fresh.pending
    event = outgoing(fresh)
    assert event.body is not None
    assert SubmissionReceived.model_validate_json(event.body) == SubmissionReceived(
        submission_id=said.submission_id, obligation=said.obligation, agency=said.agency, regime=said.regime,
        regime_version=said.regime_version, period=said.period, version=12, officer_id=said.officer_id,
        received_at=said.received_at, sha256=said.sha256.hex(), nil=said.nil, figures=dict(said.figures),
        narratives=dict(said.narratives),
    )  # fmt: skip
    assert (event.topic, event.type, event.key) == (
        SubmissionReceived.TOPIC, SubmissionReceived.TYPE, SubmissionReceived.model_validate_json(event.body).key
    )  # fmt: skip


def test_the_fast_encoding_leaves_no_field_of_the_model_out() -> None:
    """A field with a default that the model gains would else be missing from every event, unnoticed."""
    body = outgoing(Fresh(pending(tables={"T": []}), 1)).body
    assert body is not None
    assert list(json.loads(body)) == list(SubmissionReceived.model_fields)
