"""Whose reports are added up: the nearest that report, as the tree stood on the cut-off's last day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest

from services.validator.beneath import Agency, Beneath, directly_below, ever_above
from services.validator.check import objections
from services.validator.domain import Earlier, after_history, judge
from services.validator.rules.forms import compile_form
from shared.contract.hierarchy import Parents, ParentSince, Tree
from shared.contract.ids import new_id
from tests.unit.validator.test_packs import form, rule

DAY = date(2026, 3, 14)
ADDED = rule(
    severity="confirm", tier="cross_report", at="A", fix="x", fix_en="x",
    message="{[A]}, cấp dưới {CHILDREN_SUM([A])}.",
    message_en="{[A]}, beneath {CHILDREN_SUM([A])}.",
    tests=[
        {"figures": {"A": 3}, "children": [{"A": 1}, {"A": 1}, {}], "fires": ["QT-01"], "verdict": "to_explain"},
        {"figures": {"A": 3}, "children": [{"A": 1}, {"A": 2}]},
        {"figures": {"A": 3}, "children": []},  # nobody beneath reports
        {"figures": {"A": 3}},  # not all have come
    ],
    **{"assert": "[A] = CHILDREN_SUM([A])"},
)  # fmt: skip


def agency(code: str, above: str | None, kind: str = "commune", **others: Any) -> Agency:
    dates = {"opened_on": date(2020, 1, 1), "closed_on": None} | others
    return Agency(code, kind, Parents(above), **dates)


AGENCIES = [
    agency("T", None, "province"), agency("S1", "T", "department"), agency("S2", "T", "department"),
    agency("X1", "S1"), agency("X2", "S1"), agency("X3", "S2"), agency("D", "X1", "department"),
    agency("CU", "S1", closed_on=date(2026, 3, 13)), agency("MOI", "S1", opened_on=date(2026, 3, 15)),
    Agency("DI", "commune", Parents("S1", (ParentSince(date(2026, 3, 14), "S2"),)), date(2020, 1, 1), None),
]  # fmt: skip


def found(root: str, agencies: Sequence[Agency] = AGENCIES, **regime: Any) -> list[str]:
    terms = {"submitter_kinds": (), "submitters": (), "submitters_except": (), "submitter_parents": ()} | regime
    search = Beneath(root, DAY, SimpleNamespace(**terms))
    tree = Tree({one.code: one.above for one in agencies})
    while search.ahead:
        search.look(tree, directly_below([one for one in agencies if search.ahead & set(one.above.ever())], DAY))
    return sorted(search.found)


@pytest.mark.parametrize(
    ("root", "regime", "codes"),
    [
        ("S1", {"submitter_kinds": ("commune",)}, ["X1", "X2"]),  # one closed, one not open yet, one moved away
        ("S2", {"submitter_kinds": ("commune",)}, ["DI", "X3"]),
        ("T", {"submitter_kinds": ("commune",)}, ["DI", "X1", "X2", "X3"]),  # the departments report nothing
        ("T", {"submitter_kinds": ("commune", "department")}, ["S1", "S2"]),  # what is below them is theirs
        ("T", {"submitter_kinds": ("commune",), "submitters_except": ("X2",)}, ["DI", "X1", "X3"]),
        ("T", {"submitter_kinds": ("commune",), "submitter_parents": ("S2",)}, ["DI", "X3"]),
        ("T", {"submitters": ("D",)}, ["D"]),
        ("X2", {"submitter_kinds": ("commune",)}, []),
        ("X1", {"submitter_kinds": ("department",)}, ["D"]),
    ],
)
def test_the_nearest_that_report_are_found(root: str, regime: dict[str, Any], codes: list[str]) -> None:
    assert found(root, **regime) == codes


def test_a_circle_ends() -> None:
    ring = [agency("A", "B", "department"), agency("B", "A", "department")]
    assert found("A", ring, submitter_kinds=("commune",)) == []


def test_those_above_that_are_not_at_hand_are_named() -> None:
    assert ever_above(AGENCIES[3:5], {"X1": AGENCIES[3]}) == ["S1"]


def test_a_sum_over_others_is_held_by_its_tests_and_returns_nobody() -> None:
    assert list(objections(form(ADDED))) == []
    (refused,) = objections(form(ADDED | {"severity": "error"}))
    assert refused.pointer == "/form/rules/0/severity"
    assert "returns nobody" in refused.message_en


def test_who_is_missing_makes_the_sum_unknown_and_nobody_beneath_makes_it_silent() -> None:
    compiled = compile_form(form(ADDED))
    assert compiled.pack is not None
    assert compiled.pack.looks_back
    first = judge(compiled, {"A": "3"}, {}, nil=False)
    waiting = type(first)(first.outcome, 0, 0, 0, 0, looks_back=compiled.pack)
    one, two = Earlier(new_id(), {"A": "1"}), Earlier(new_id(), {})

    def said(children: Sequence[Earlier] | None) -> tuple[list[str], Any]:
        judgement = after_history(waiting, {"A": "3"}, "2026-M03", None, None, children=children)
        return [finding.message for finding in judgement.findings], judgement

    messages, judgement = said([one, two])
    assert messages == ["3, cấp dưới 1."]
    assert (judgement.outcome, judgement.to_explain) == ("accepted", True)
    assert judgement.compared_with == (one.submission_id, two.submission_id)
    assert said([])[0] == []
    (unknown,), judgement = said(None)
    assert "Chưa đủ báo cáo" in unknown
    assert judgement.outcome == "accepted"
