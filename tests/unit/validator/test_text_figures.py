"""Figures that are texts: there, not too long, never read as numbers; rules compare them, sums do not count them."""

from __future__ import annotations

from typing import Any

import pytest

from services.validator.domain import Judgement, judge
from services.validator.rules.forms import CompiledForm, FormError, compile_form
from services.validator.rules.pack_compiler import PackError, compile_pack
from services.validator.rules.pack_tests import flaws_of
from services.validator.rules.placeholders import is_placeholder
from shared.contract.events import Form, RuleTest
from tests.unit.validator.test_packs import TEXTS


def form(*rules: dict[str, Any], **more: Any) -> Form:
    figures = [
        {"code": "HANG", "label": "Xếp hạng", "label_en": "Grade", "kind": "text", "max_characters": 10},
        {"code": "A", "label": "Số việc", "required": False},
        {"code": "GHI", "label": "Ghi chú", "kind": "text", "required": False},
    ]
    return Form.model_validate({"figures": figures, "rules": list(rules), "nil_allowed": True, **more})


def rule(asserts: str, **given: Any) -> dict[str, Any]:
    words = dict.fromkeys(TEXTS, "x")
    return {"id": "QT-01", "tier": "consistency", "severity": "error", "assert": asserts, **words, **given}


PLAIN = compile_form(form())


def judged(figures: dict[str, str | None], compiled: CompiledForm = PLAIN, *, nil: bool = False) -> Judgement:
    return judge(compiled, figures, {}, {}, nil=nil)


def told(judgement: Judgement) -> list[tuple[str, str]]:
    return [(finding.code, finding.path) for finding in judgement.findings]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Loại tốt", []),
        ("12", []),  # a text all the same
        ("x" * 10, []),
        ("  " + "x" * 10 + " ", []),
        ("x" * 11, [("V10", "/figures/HANG")]),
        (None, [("C01", "/figures/HANG")]),
        (" ", [("C01", "/figures/HANG")]),
        ("ĐANG TỔNG HỢP"[:10], []),
        ("sẽ bổ sung", [("N15", "/figures/HANG")]),
        ("T B D", [("N15", "/figures/HANG")]),
        ("...", [("N15", "/figures/HANG")]),
        ("-", [("N15", "/figures/HANG")]),
        ("Không có", []),  # of a grade it may be the answer
    ],
)
def test_a_required_text_is_one_item_that_is_there_says_something_and_is_not_too_long(
    text: str | None, found: list[Any]
) -> None:
    judgement = judged({"HANG": text})
    assert told(judgement) == found
    assert (judgement.required_items, judgement.present_items) == (1, 0 if found else 1)
    assert judgement.outcome == ("returned" if found else "accepted")


def test_a_placeholder_is_what_the_regime_says_of_filler_and_never_a_present_item() -> None:
    explained = judged({"HANG": "chưa có số liệu"}, compile_form(form(filler="explain")))
    assert [finding.weight for finding in explained.findings] == ["error", "confirm"], "it is too long besides"
    accepted = judged({"HANG": "sẽ bổ sung"}, compile_form(form(severities={"N15": "confirm"})))
    assert (accepted.outcome, accepted.present_items, accepted.to_explain) == ("accepted", 0, True)
    (finding,) = accepted.findings
    assert finding.message == "Chỉ tiêu HANG (Xếp hạng): chỉ ghi “sẽ bổ sung”."
    assert finding.message_en == "Figure HANG (Grade): it says only “sẽ bổ sung”."
    assert told(judged({"HANG": "Tốt", "GHI": "đang cập nhật"})) == [], "nobody asked for it"


@pytest.mark.parametrize("text", ["...", "–", "~=~", "TO DO", "X.X.X", "Đang cập-nhật", "dang cap nhat"])
def test_punctuation_and_promises_are_placeholders(text: str) -> None:
    assert is_placeholder(text)


@pytest.mark.parametrize("text", ["✓", "√", "+", "+++", "★★★", "Tô Đô", "Tú Bá", "không có", "0"])
def test_a_sign_and_a_name_may_be_the_answer(text: str) -> None:
    assert not is_placeholder(text)


def test_what_is_too_long_is_told_with_its_measures_in_both_languages() -> None:
    (finding,) = judged({"HANG": "x" * 13}).findings
    assert (finding.provided, finding.expected, finding.difference) == ("13", "<= 10", "3")
    assert finding.message == "Chỉ tiêu HANG (Xếp hạng): nội dung có 13 ký tự, nhiều hơn mức tối đa 10."
    assert finding.message_en == "Figure HANG (Grade): the text has 13 characters; at most 10 are allowed."


def test_a_report_of_nothing_owes_no_text_and_a_misspelt_code_is_told() -> None:
    assert told(judged({}, nil=True)) == []
    (finding,) = judged({"hang": "Tốt", "HANG": "Tốt"}).findings
    assert (finding.path, finding.expected) == ("/figures/hang", "HANG")
    assert "“figures”" in finding.fix


def test_a_text_beside_zeros_does_not_make_them_more_than_zeros() -> None:
    assert judged({"HANG": "Tốt", "A": "0"}).any_nonzero is False
    assert judged({"HANG": "Tốt", "A": "1"}).any_nonzero is True
    assert judged({"HANG": "Tốt"}).any_nonzero is None
    assert judged({"HANG": "Tốt", "A": "x"}).any_nonzero is None, "control: a number that cannot be read"


def test_a_sum_cannot_count_a_text() -> None:
    with pytest.raises(FormError):
        compile_form(form(sums=[{"code": "S", "total": "A", "terms": ["HANG"]}]))


@pytest.mark.parametrize(
    ("asserts", "figures", "fires"),
    [
        ('[HANG] = "Tốt"', {"HANG": "Tốt"}, False),
        ('[HANG] = "Tốt"', {"HANG": "Kém"}, True),
        ('[HANG] = "3"', {"HANG": "3"}, False),  # never the number 3
        ('[HANG] = "3"', {"HANG": "3.0"}, True),
        ('IF([A] > 5; [HANG] <> "Kém"; TRUE)', {"HANG": "Kém", "A": "9"}, True),
        ('IF([A] > 5; [HANG] <> "Kém"; TRUE)', {"HANG": "Kém", "A": "5"}, False),
    ],
)
def test_rules_compare_a_text_as_a_text(asserts: str, figures: dict[str, str | None], fires: bool) -> None:
    given = form(rule(asserts, tests=[{"figures": figures, "fires": ["QT-01"] if fires else []}]))
    assert [finding.code for finding in judged(figures, compile_form(given)).findings] == (["QT-01"] if fires else [])
    pack = compile_pack(given)
    assert pack is not None
    assert bool(flaws_of(pack, RuleTest.model_validate({"figures": figures}))) is fires


@pytest.mark.parametrize("asserts", ["[HANG] + 1 > 2", "[HANG] > 3", "SUM([HANG]; [A]) = 1"])
def test_a_rule_that_calculates_with_a_text_is_refused(asserts: str) -> None:
    tested: dict[str, Any] = {"tests": [{"figures": {}}]}
    with pytest.raises(PackError) as refused:
        compile_pack(form(rule(asserts, **tested)))
    assert {problem.place for problem in refused.value.problems} == {"/form/rules/0/assert"}
    control = asserts.replace("HANG", "A").replace("[A]; [A]", "[A]; 1")
    assert compile_pack(form(rule(control, **tested))) is not None
