"""Sums that contradict each other are refused; what is refused really has no report, and what is not keeps passing."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import pytest

from services.intake.registry import narrowing, sums
from tests.unit.intake.test_registry_gate import figures, form, messages

Rules = list[tuple[str, str]]


def asked(rules: Rules, tolerance: str = "0", /, **bounds: Any) -> list[str]:
    """What the gate says of sums such as ("A", "BC") over figures of one letter, each at least 0 unless told."""
    letters = sorted({letter for total, terms in rules for letter in total + terms})
    return messages(
        form(
            figures=[
                code for letter in letters for code in figures(letter, **{"minimum": "0", **bounds.get(letter, {})})
            ],
            sums=[
                {"code": f"S{n}", "total": total, "terms": list(terms), "tolerance": tolerance}
                for n, (total, terms) in enumerate(rules)
            ],
        )
    )


ONE = {"minimum": "1"}
TEN = {"maximum": "10"}
TWENTY = {"minimum": "20"}

CONTRADICTIONS: list[tuple[Rules, dict[str, Any], dict[str, Any]]] = [
    # rules, bounds that make them impossible, bounds with which they hold
    ([("A", "BC"), ("A", "BCD")], {"D": ONE}, {}),
    ([("A", "BC"), ("A", "DE")], {"B": TEN, "C": TEN, "D": {"minimum": "21"}}, {"B": TEN, "C": TEN, "D": TWENTY}),
    ([("A", "BC"), ("B", "DE"), ("A", "DEF")], {"C": ONE, "F": {"maximum": "0"}}, {"C": ONE}),
    ([("A", "BC"), ("D", "BC"), ("D", "AE")], {"E": ONE}, {}),
    ([("A", "BC"), ("B", "DE"), ("C", "FG"), ("A", "DEFGH")], {"H": ONE}, {"D": ONE}),
    ([("A", "BC"), ("D", "AE")], {"B": TWENTY, "D": TEN}, {"B": TWENTY, "D": TWENTY}),
]


@pytest.mark.parametrize(("rules", "impossible", "possible"), CONTRADICTIONS)
def test_sums_that_never_hold_together_are_refused(
    rules: Rules, impossible: dict[str, Any], possible: dict[str, Any]
) -> None:
    [told] = asked(rules, **impossible)
    assert "never hold together within the bounds" in told
    assert asked(rules, **possible) == [], "the same sums with other bounds are taken"


def test_the_message_names_the_sums_that_contradict_each_other_and_no_other() -> None:
    rules = [("X", "YZ"), ("A", "BC"), ("A", "BCD"), ("P", "QR")]
    [told] = asked(rules, D=ONE)
    assert told.startswith("form/sums/2: ")
    assert "“S1”, “S2” never" in told


def test_without_the_balances_that_follow_from_several_sums_the_forced_zero_is_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Negative control."""
    monkeypatch.setattr(sums, "MAX_MADE", 0)
    assert asked([("A", "BC"), ("A", "BCD")], D=ONE) == []


def test_a_tolerance_that_bears_the_difference_lets_both_sums_hold() -> None:
    rules = [("A", "BC"), ("A", "BCD")]
    assert asked(rules, "1", D={"minimum": "2"}) == []
    assert len(asked(rules, "1", D={"minimum": "3"})) == 1


@pytest.mark.parametrize("left_out", ["A", "D"])
def test_what_may_be_left_out_contradicts_nothing(left_out: str) -> None:
    bounds: dict[str, dict[str, Any]] = {"D": ONE}
    bounds[left_out] = {**bounds.get(left_out, {}), "required": False}
    assert asked([("A", "BC"), ("A", "BCD")], **bounds) == []


def test_sums_wrong_by_themselves_are_told_once() -> None:
    [told] = asked([("A", "BC"), ("D", "AE")], B=TWENTY, A={"maximum": "10"})
    assert "its terms add up to" in told


def test_sums_that_go_round_are_told_as_a_circle_alone() -> None:
    [told] = asked([("A", "BC"), ("B", "AD")], C=ONE, D=ONE)
    assert "contains itself" in told


def test_what_is_refused_has_no_report_and_what_has_one_is_taken() -> None:
    """Against all reports, one by one: small figures, random sums. Also that the search finds most contradictions."""
    dice = random.Random(20261127)
    refused = impossible = 0
    for _ in range(300):
        letters = "ABCDE"
        rules = []
        for _ in range(dice.randint(2, 3)):
            total, *terms = dice.sample(letters, dice.randint(2, 4))
            rules.append((total, "".join(terms)))
        ranges = {letter: sorted((dice.randint(0, 3), dice.randint(0, 3))) for letter in letters}
        holds = any(
            all(value[total] == sum(value[term] for term in terms) for total, terms in rules)
            for values in product(*(range(low, high + 1) for low, high in ranges.values()))
            for value in [dict(zip(letters, values, strict=True))]
        )
        bounds = {code: {"minimum": str(low), "maximum": str(high)} for code, (low, high) in ranges.items()}
        used = {code: bounds[code] for code in letters if any(code in total + terms for total, terms in rules)}
        told = [message for message in asked(rules, **used) if "contains itself" not in message]
        assert not (told and holds), (rules, ranges, told)
        refused, impossible = refused + bool(told), impossible + (not holds)
    assert refused > 0.8 * impossible > 50, (refused, impossible)


def test_the_cost_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    class Counted(narrowing.Narrowing):
        def settle(self, rules: Any) -> None:
            nonlocal looks
            try:
                super().settle(rules)
            finally:
                looks = self._steps

    monkeypatch.setattr(sums, "Narrowing", Counted)
    codes = [f"F{n}" for n in range(400)]
    rules = [{"code": f"S{n}", "total": codes[n], "terms": codes[n + 1 : n + 60]} for n in range(300)]
    assert messages(form(figures=figures(*codes, minimum="0"), sums=rules)) == []
    assert 0 < looks <= narrowing.MAX_STEPS + 60
