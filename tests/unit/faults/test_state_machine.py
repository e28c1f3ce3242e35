"""The pure domains of intake, validator and scoring over a fake bus, against a small model: whatever is repeated,
reordered across keys, rebalanced or crashed, what stands in the end is what the posts alone give.

The same machine must fail as soon as one rule of the backbone is taken away.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from services.intake.submissions import domain
from services.intake.submissions.domain import Fresh, InForce, Pending, Receipt
from services.intake.submissions.event_encoding import outgoing
from services.scoring.obligations import domain as scoring
from services.scoring.obligations.domain import Cause, Obligation
from services.validator import domain as validator
from services.validator.rules.forms import compile_form
from shared.contract.events import (
    FigureField,
    Form,
    NarrativeField,
    SubmissionReceived,
    SumRule,
    VerdictReached,
    obligation_key,
)
from tests.unit.faults.fake_bus import Bus, Consumer, End, Lying, Outbox, RelayEnd, Rules
from tests.unit.scoring.samples import CALENDAR, DEADLINE, POLICY, obligation

AGENCIES = ("H99.01", "H99.02", "H99.03")
FORM = compile_form(
    Form(
        figures=(
            FigureField(code="T", label="Tổng", minimum="0"),
            FigureField(code="A", label="Đúng hạn", minimum="0"),
            FigureField(code="B", label="Quá hạn", minimum="0"),
        ),
        narratives=(NarrativeField(code="N", label="Đánh giá", min_characters=5),),
        sums=(SumRule(code="S", total="T", terms=("A", "B")),),
    )
)
Content = tuple[str, str | None]  # what T and B say; A is 1
GOOD, WRONG, LACKING = ("3", "2"), ("4", "2"), ("1", None)


@dataclass
class Posted:
    """The model's whole knowledge of one stored version."""

    content: Content
    received_at: datetime
    submission_id: UUID


def follow(state: dict[str, Any], batch: Sequence[Lying]) -> list[tuple[str, str, Any]]:
    """Scoring: fold, as its handler does; obligations are there from the start."""
    told: list[tuple[str, str, Any]] = []
    for lying in batch:
        before: Obligation = state[lying.key]
        facts = scoring.with_reports(before.facts, [(lying.event_id, lying.body)])
        cause = Cause(lying.body.received_at, uuid4(), lying.event_id)
        decision = scoring.settle(before, before.terms, facts, POLICY, CALENDAR, cause)
        state[lying.key] = decision.obligation
        if decision.event is not None:
            told.append(("compliance", lying.key, decision.event))
    return told


def judge(state: dict[str, Any], batch: Sequence[Lying]) -> list[tuple[str, str, Any]]:
    """Validator: one verdict for each submission."""
    told: list[tuple[str, str, Any]] = []
    for lying in batch:
        body: SubmissionReceived = lying.body
        found = validator.judge(FORM, body.figures, body.narratives, nil=body.nil)
        state.setdefault(str(body.submission_id), found.outcome)
        given = body.model_dump(exclude={"sha256", "figures", "narratives"})
        verdict = VerdictReached(
            **given, verdict_id=uuid4(), decided_at=DEADLINE + timedelta(days=9), outcome=found.outcome,
            errors=found.errors, warnings=found.warnings, required_items=found.required_items,
            present_items=found.present_items,
        )  # fmt: skip
        told.append(("verdicts", lying.key, verdict))
    return told


def note(state: dict[str, Any], batch: Sequence[Lying]) -> list[tuple[str, str, Any]]:
    """Intake: what was said of each submission, and the newest version of each obligation's standing."""
    for lying in batch:
        if isinstance(lying.body, VerdictReached):
            state[str(lying.body.submission_id)] = lying.body.outcome
        elif state.get(lying.key, (0, ""))[0] < lying.body.version:
            state[lying.key] = (lying.body.version, lying.body.standing)
    return []


class Machine(RuleBasedStateMachine):
    """Three keys on two partitions, three services; rules are everything that can happen."""

    protection: ClassVar[Rules] = Rules()
    came_again: ClassVar[Counter[str]] = Counter()  # over all examples: how much rebalances brought again

    def __init__(self) -> None:
        super().__init__()
        self.bus = Bus()
        self.keys = [obligation_key(agency, "R", "2026-M10") for agency in AGENCIES]
        self.model: dict[str, list[Posted]] = {key: [] for key in self.keys}
        self.now = DEADLINE - timedelta(hours=3)
        self.versions = dict.fromkeys(self.keys, 0)
        self.receipts: dict[tuple[str, str], Receipt] = {}
        self.in_force: dict[str, InForce] = {}
        self.outbox = Outbox(self.protection)
        obligations = {key: obligation(key=key) for key in self.keys}
        self.validator = Consumer.of(("submissions",), judge, self.protection, {})
        self.scoring = Consumer.of(("submissions", "verdicts"), follow, self.protection, dict(obligations))
        self.status = Consumer.of(("verdicts", "compliance"), note, self.protection, {})
        self.consumers = [self.validator, self.scoring, self.status]
        self.outboxes = [self.outbox, self.validator.outbox, self.scoring.outbox]

    # ------------------------------------------------------------------ what happens

    @rule(which=st.integers(0, 2), content=st.sampled_from([GOOD, WRONG, LACKING]), lost=st.booleans())
    def post(self, which: int, content: Content, lost: bool) -> None:
        """An agency posts; where the answer is lost, it posts the same again under the same key."""
        self.now += timedelta(minutes=40)
        key, idempotency = self.keys[which], str(uuid4())
        # Always something new to say: what is unchanged is not stored.
        serial = len(self.model[key])
        first = self._pending(key, content, idempotency, serial)
        before = self.versions[key]
        self._accept(first)
        if self.versions[key] > before:
            self.model[key].append(Posted(content, first.received_at, first.submission_id))
        if lost:
            outcome = self._accept(self._pending(key, content, idempotency, serial))
            assert isinstance(outcome, domain.Replayed)
            assert outcome.receipt.submission_id == first.submission_id

    @rule(which=st.integers(0, 2), count=st.integers(1, 4), end=st.sampled_from(["sent", "sent", "died_after_ack"]))
    def relay(self, which: int, count: int, end: RelayEnd) -> None:
        self.outboxes[which].relay(self.bus, count, end)

    @rule(
        which=st.integers(0, 2),
        place=st.integers(0, 5),
        count=st.integers(1, 5),
        end=st.sampled_from(["applied", "applied", "applied", "died_before_database", "died_before_offsets"]),
    )
    def deliver(self, which: int, place: int, count: int, end: End) -> None:
        consumer = self.consumers[which]
        if places := consumer.waiting(self.bus):
            consumer.deliver(self.bus, places[place % len(places)], count, end)

    @rule(which=st.integers(0, 2))
    def commit_offsets(self, which: int) -> None:
        self.consumers[which].commit()

    @rule(which=st.integers(0, 2))
    def rebalance(self, which: int) -> None:
        """Whatever was applied since the last commit of offsets comes again."""
        self.came_again["events"] += self.consumers[which].rebalance()

    # ------------------------------------------------------------------ what must hold

    @invariant()
    def nothing_is_applied_twice(self) -> None:
        for consumer in self.consumers:
            assert all(times == 1 for times in consumer.applied.values())

    @invariant()
    def versions_have_no_gap(self) -> None:
        for key, posts in self.model.items():
            assert self.versions[key] == len(posts)

    def teardown(self) -> None:
        """Faults stop; everything drains; what stands is what the posts alone give."""
        for _ in range(50):
            for outbox in self.outboxes:
                outbox.relay(self.bus, 1000, "sent")
            for consumer in self.consumers:
                for place in consumer.waiting(self.bus):
                    consumer.deliver(self.bus, place, 3, "applied")
                consumer.commit()
        assert not any(outbox.rows for outbox in self.outboxes)
        assert not any(consumer.waiting(self.bus) for consumer in self.consumers)
        for key, posts in self.model.items():
            self._check(key, posts)

    def _check(self, key: str, posts: list[Posted]) -> None:
        for posted in posts:
            wanted = "accepted" if posted.content == GOOD else "returned"
            assert self.validator.state.get(str(posted.submission_id)) == wanted, "one verdict for each submission"
            assert self.status.state.get(str(posted.submission_id)) == wanted, "intake was told"
        stands: Obligation = self.scoring.state[key]
        standing, on_time, score = _expected(posts)
        state = stands.state
        assert (state.standing, state.on_time, state.score) == (standing, on_time, score)
        assert [version.number for version in stands.facts.versions] == list(range(1, len(posts) + 1))
        if posts:
            assert self.status.state.get(key, (0, ""))[0] == stands.version, "the newest standing is shown"

    # ------------------------------------------------------------------ intake

    def _pending(self, key: str, content: Content, idempotency: str, serial: int) -> Pending:
        total, late = content
        figures = {"T": total, "A": "1", "B": late}
        body = f"{content} {serial}".encode()
        agency, regime, period = key.split("/")
        return Pending(
            submission_id=uuid4(), obligation=key, agency=agency, regime=regime, regime_version=1, period=period,
            officer_id="o", received_at=self.now, idempotency_key=idempotency, sha256=hashlib.sha256(body).digest(),
            content_sha256=hashlib.sha256(body).digest(), body=body, nil=False, figures=figures,
            narratives={"N": f"Đánh giá lần {serial}"},
        )  # fmt: skip

    def _accept(self, pending: Pending) -> domain.Decided:
        outcomes, fresh = domain.decide([pending], self.versions, self.receipts, self.in_force)
        self.outbox.publish([("submissions", item.pending.obligation, event_of(item)) for item in fresh])
        return outcomes[0]


def event_of(fresh: Fresh) -> SubmissionReceived:
    """The event as whoever follows intake reads it."""
    body = outgoing(fresh).body
    assert body is not None
    return SubmissionReceived.model_validate_json(body)


def _expected(posts: list[Posted]) -> tuple[str, bool | None, Decimal | None]:
    """60 in time, 50 on the day after the deadline's hour, 40 for all four items; no score before one is accepted."""
    if not posts:
        return "nothing_sent", None, None
    accepted = [posted for posted in posts if posted.content == GOOD]
    if not accepted:
        return "returned", None, None
    on_time = accepted[0].received_at <= DEADLINE
    return "fulfilled", on_time, 40 + _timeliness(accepted[0].received_at)


def _timeliness(received_at: datetime) -> Decimal:
    if received_at <= DEADLINE:
        return Decimal(60)
    days, day = 0, DEADLINE.date()
    while day < received_at.astimezone(DEADLINE.tzinfo).date():
        day += timedelta(days=1)
        days += day.weekday() < 5  # no holiday is near
    return Decimal(60 - min(60, 10 * max(1, days)))


_BOUNDS = settings(
    max_examples=120, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


def test_whatever_happens_on_the_way_the_same_stands_in_the_end() -> None:
    Machine.came_again.clear()
    run_state_machine_as_test(Machine, settings=_BOUNDS)
    assert Machine.came_again["events"] > 0, "no rebalance brought anything again: nothing was tried of it"


@pytest.mark.parametrize(
    "broken",
    [Rules(inbox=False), Rules(offsets_after_database=False), Rules(delete_after_ack=False)],
    ids=["without the inbox", "offsets before the database", "delete before the acknowledgement"],
)
def test_without_one_rule_of_the_backbone_the_machine_fails(broken: Rules) -> None:
    class Broken(Machine):
        protection = broken

    bounds = settings(_BOUNDS, max_examples=400, phases=[Phase.generate], database=None)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Broken, settings=bounds)
