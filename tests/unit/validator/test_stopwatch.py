"""Rules about others are ended between two of them; the rule that took the time is named, and its limit."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from services.validator import stopwatch
from services.validator.domain import Earlier, Overran, Overrun, after_history, judge
from services.validator.rules.forms import CompiledForm, compile_form
from services.validator.stopwatch import Limits, Stopwatch
from shared.contract.events import FigureField, Form, Tier
from shared.contract.ids import new_id


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(stopwatch, "work_seconds", found)
    return found


@pytest.mark.parametrize(
    ("limits", "where"),
    [
        (Limits(1.0), Overrun("report", "history", "B", 1.0)),
        (Limits(5.0, {"history": 0.9}), Overrun("tier", "history", "B", 0.9)),
        (Limits(5.0, {"cross_report": 0.1}), None),  # another tier's
        (Limits(math.inf), None),
    ],
)
def test_the_rule_that_took_the_time_is_named(clock: Clock, limits: Limits, where: Overrun | None) -> None:
    watch = Stopwatch(limits)
    watch.enter("history", "A")
    clock.now = 0.4
    watch.enter("history", "B")
    clock.now = 1.1
    if where is None:
        watch.enter("cross_report", "C")
    else:
        with pytest.raises(Overran) as over:
            watch.enter("cross_report", "C")
        assert over.value.where == where


def test_reading_the_other_reports_is_counted_too(clock: Clock) -> None:
    watch = Stopwatch(Limits(1.0))
    clock.now = 1.1
    with pytest.raises(Overran) as over:
        watch.enter("history", "A")
    assert over.value.where == Overrun("report", "history", "A", 1.0)


def form() -> CompiledForm:
    texts = {"message": "{[A]}", "message_en": "{[A]}", "fix": "Sửa.", "fix_en": "Mend."}
    rules = [
        {"id": f"QT-{place}", "tier": "history", "severity": "confirm", **texts, "assert": text, "tests": [{}]}
        for place, text in enumerate(["[A] = PREV([A])", "[A] < PREV([A])", "[A] > PREV([A])"])
    ]
    return compile_form(Form.model_validate({"figures": [FigureField(code="A", label="A")], "rules": rules}))


def test_what_is_left_is_not_asked_and_a_rule_that_holds_costs_nothing() -> None:
    figures: Mapping[str, str | None] = {"A": "2"}
    judgement = judge(form(), figures, {}, nil=False)
    asked: list[tuple[Tier, str]] = []

    def enter(tier: Tier, rule: str) -> None:
        asked.append((tier, rule))
        if rule == "QT-1":
            raise Overran(Overrun("report", tier, rule, 1.0))

    with pytest.raises(Overran):
        after_history(judgement, figures, "2026-M03", Earlier(new_id(), {"A": "1"}), None, enter=enter)
    assert asked == [("history", "QT-0"), ("history", "QT-1")]
    control = after_history(judgement, figures, "2026-M03", Earlier(new_id(), {"A": "1"}), None)
    assert [finding.code for finding in control.findings] == ["QT-0", "QT-1"]
