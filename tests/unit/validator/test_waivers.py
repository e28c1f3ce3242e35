"""A waived rule returns nobody, asks nobody to explain and is still shown; everything else stays as it is."""

from __future__ import annotations

from datetime import date
from typing import Any

from services.validator.domain import Judgement, in_force, judge, under_waivers, with_finding
from services.validator.rules import catalogue
from services.validator.rules.flaws import Flaw, render
from services.validator.rules.forms import compile_form
from shared.contract.events import FigureField, Form, NarrativeField, SumRule, TableColumn, TableField, WaiverGranted
from shared.contract.events.rules import PackRule
from shared.contract.events.verdicts import WAIVABLE

LABEL = "Tổng thu ngân sách trên địa bàn"
FORM = compile_form(
    Form(
        figures=(
            FigureField(code="T", label=LABEL, unit="triệu đồng", key=True),
            *(FigureField(code=code, label=code) for code in ("A", "B")),
        ),
        narratives=(NarrativeField(code="N", label="Đánh giá", roles=("assessment",)),),
        sums=(SumRule(code="K", total="T", terms=("A", "B")),),
        severities={"N11": "error", "N14": "error"},
    )
)
FIGURES = {"T": "9", "A": "1", "B": "2"}
VAGUE = {"N": "Nhìn chung, công tác chỉ đạo kịp thời, còn một số hạn chế."}


def waiver(rule: str, **others: Any) -> WaiverGranted:
    values = {
        "waiver_id": "MN-1", "regime": "BC", "rule": rule, "agencies": ("H99.02",), "asked_by": "cb-01",
        "approved_by": "vp-01", "reason": "Biểu mẫu chưa tách số liệu", "since": "2026-03-01", "until": "2026-03-31",
        "version": 1,
    }  # fmt: skip
    return WaiverGranted.model_validate(values | others)


def said(judgement: Judgement) -> list[tuple[str, str, str | None, bool]]:
    return [(one.code, one.severity, one.weight, one.waived is not None) for one in judgement.findings]


def test_a_waived_error_is_shown_and_returns_nobody() -> None:
    judged = judge(FORM, FIGURES, VAGUE, nil=False)
    assert (judged.outcome, judged.errors, judged.warnings) == ("returned", 2, 0)
    one = under_waivers(judged, {"K01": waiver("K01")})
    assert (one.outcome, one.errors, one.warnings, one.waived) == ("returned", 1, 0, 1)
    assert said(one) == [("N14", "error", "error", False), ("K01", "warning", "info", True)]
    why = one.findings[1].waived
    assert why is not None
    assert why.model_dump(mode="json") == {
        "waiver_id": "MN-1", "asked_by": "cb-01", "approved_by": "vp-01", "reason": "Biểu mẫu chưa tách số liệu",
        "until": "2026-03-31", "weight": "error",
    }  # fmt: skip
    both = under_waivers(judged, {code: waiver(code) for code in ("N14", "K01")})
    assert (both.outcome, both.errors, both.warnings, both.waived) == ("accepted", 0, 0, 2)
    assert both.required_items == both.present_items == judged.present_items, "what can be waived spoils no item"


def test_what_is_found_later_is_waived_too_and_asks_for_no_explanation() -> None:
    zeros = render(Flaw(catalogue.ALL_ZERO, "/figures", {"before": "2026-M02"}))
    words = {"name": "N", "name_en": "N", "percent": "90", "before": "2026-M02"}
    copied = render(Flaw(catalogue.LIKE_LAST, "/narratives/N", words))
    plain = Judgement("accepted", 0, 0, 3, 3)
    without = with_finding(plain, copied)
    assert (without.to_explain, with_finding(plain, zeros).outcome) == (True, "returned")
    waived = under_waivers(plain, {code: waiver(code) for code in ("H01", "N12")})
    found = with_finding(with_finding(waived, copied), zeros)
    assert (found.outcome, found.errors, found.warnings, found.waived) == ("accepted", 0, 0, 2)
    assert not found.to_explain


def test_what_is_not_listed_is_waived_as_well() -> None:
    tests = ({"tables": {"T": [{"A": 9}]}, "fires": ["B-01"]},)
    words = dict.fromkeys(("message", "message_en", "fix", "fix_en"), "x" * 900)
    rules = [
        PackRule.model_validate(
            {"id": f"B-{number:02}", "tier": "consistency", "severity": "error", "table": "T",
             "assert": f"[T.A] <= {number}", "tests": tests, **words}
        )
        for number in range(20)
    ]  # fmt: skip
    columns = (TableColumn(code="A", label="A", type="integer"),)
    form = compile_form(Form(tables=(TableField(code="T", label="x", columns=columns),), rules=tuple(rules)))
    judged = judge(form, {}, {}, {"T": [{"A": "99"}] * 20}, nil=False)
    assert judged.findings_truncated
    assert sum(many for _, _, many in judged.unlisted) + len(judged.findings) == judged.errors
    codes = [rule.id for rule in rules]
    found = under_waivers(judged, {code: waiver(code) for code in codes})
    assert (found.outcome, found.errors, found.waived) == ("accepted", 0, judged.errors)
    assert under_waivers(judged, {code: waiver(code) for code in codes[:-1]}).outcome == "returned"


def test_a_waiver_is_in_force_for_its_agencies_from_its_first_day_to_its_last() -> None:
    given = [waiver("K01"), waiver("K01", waiver_id="MN-2", until="2026-04-30"), waiver("N14", waiver_id="MN-3")]
    on = {day: in_force(given, "H99.02", date.fromisoformat(day)) for day in ("2026-02-28", "2026-03-01", "2026-04-30")}
    assert {day: {code: one.waiver_id for code, one in found.items()} for day, found in on.items()} == {
        "2026-02-28": {}, "2026-03-01": {"K01": "MN-2", "N14": "MN-3"}, "2026-04-30": {"K01": "MN-2"},
    }  # fmt: skip
    assert in_force(given, "H99.03", date(2026, 3, 1)) == {}


def test_what_can_be_waived_is_judged_beside_what_makes_a_report_complete() -> None:
    assert catalogue.RULES.keys() >= WAIVABLE
    assert {catalogue.RULES[code].tier for code in WAIVABLE} == {"consistency", "history", "narrative"}
    contradicted = {"N": f"{LABEL} đạt 8 triệu đồng."}
    judged = judge(FORM, FIGURES, contradicted, nil=False)
    assert {finding.code for finding in judged.findings} == {"K01", "N11"}
    assert judged.present_items == judged.required_items
