"""What a verdict says of single faults: the code, the place, the exact difference, and what to do in two languages."""

from __future__ import annotations

import random
from decimal import Decimal, localcontext

import pytest
from pydantic import ValidationError

from services.validator import domain
from services.validator.rules import catalogue
from services.validator.rules.forms import FormError, compile_form
from shared.contract.events import FigureField, Finding, Form, NarrativeField, SumRule
from tests.unit.validator.reports import FIGURES, FORM, NARRATIVE, NARRATIVES, codes, judged


def only(judgement: domain.Judgement) -> Finding:
    """The one finding; a validated copy, so that a field of the wrong type fails here."""
    assert len(judgement.findings) == 1, codes(judgement)
    return Finding.model_validate(judgement.findings[0].model_dump())


def test_a_valid_report_is_accepted_and_its_items_are_counted() -> None:
    assert judged() == domain.Judgement("accepted", 0, 0, required_items=5, present_items=5)


@pytest.mark.parametrize(
    ("text", "code", "reading"),
    [
        ("abc", "V01", None),
        ("-", "V01", None),
        ("không có", "V01", None),
        ("12%", "V01", "12"),
        (" 100", "V01", "100"),
        ("+100", "V01", "100"),
        ("100.", "V01", "100"),
        (".5", "V01", "0.5"),
        ("１００", "V01", "100"),
        ("−100", "V01", "-100"),
        ("0x10", "V01", None),
        ("1,,2", "V01", None),
        ("1234,56", "V02", "1234.56"),
        ("1,234.56", "V02", "1234.56"),
        ("1.234,56", "V02", "1234.56"),
        ("1.234.567", "V02", "1234567"),
        ("1 234 567", "V02", "1234567"),
        ("1\u00a0234,5", "V02", "1234.5"),
        ("1'234", "V02", "1234"),
        ("1_000", "V02", "1000"),
        ("-1.234.567", "V02", "-1234567"),
        ("1,234", "V02", "1234"),  # this figure has no fractions
        ("0,234", "V02", "0.234"),
        ("1,234,567", "V02", "1234567"),
        ("1,23,456", "V01", None),
        ("1e5", "V03", "100000"),
        ("1.5E-3", "V03", "0.0015"),
        ("1e999999999", "V03", None),
        ("0e9", "V03", "0"),
        ("NaN", "V04", None),
        ("Infinity", "V04", None),
        ("-inf", "V04", None),
        ("sNaN", "V04", None),
        ("9" * 39, "V05", "38"),
        ("0." + "1" * 38, "V05", "38"),
    ],
)
def test_a_text_that_is_not_a_number_is_named_with_the_likely_reading(text: str, code: str, reading: str) -> None:
    judgement = judged(FIGURES | {"A": text})
    finding = only(judgement)
    assert (finding.code, finding.path, finding.provided, finding.expected) == (code, "/figures/A", text, reading)
    assert judgement.outcome == "returned"
    assert judgement.present_items == 4  # given, but not of the right type


def test_a_decimal_comma_is_answered_with_the_text_to_write() -> None:
    finding = only(judged(FIGURES | {"P": "1.234,56"}))
    assert finding.fix == "Viết 1234.56."
    assert finding.fix_en == "Write 1234.56."


def test_an_ambiguous_comma_is_asked_about_and_never_guessed() -> None:
    finding = only(judged(FIGURES | {"O": "1,234"}))
    assert finding.expected == "1.234 | 1234"
    assert "Viết 1.234 nếu là số thập phân, hoặc 1234 nếu dấu phẩy phân cách hàng nghìn." in finding.fix


def test_a_point_that_groups_thousands_is_suspected_where_fractions_are_not_allowed() -> None:
    judgement = judged(FIGURES | {"A": "1.234", "T": None})
    (finding,) = [finding for finding in judgement.findings if finding.code == "V06"]
    assert "nếu dấu chấm dùng để phân cách hàng nghìn, viết 1234." in finding.fix.lower()
    assert finding.difference == "3"


def test_fraction_digits_are_those_written_and_zeros_are_told_how_to_go() -> None:
    finding = only(judged(FIGURES | {"A": "100.0"}))
    assert (finding.code, finding.expected, finding.fix) == ("V06", "100", "Viết 100.")
    assert only(judged(FIGURES | {"P": "83.335"})).expected is None
    assert "thành số nguyên" in judged(FIGURES | {"A": "100.5"}).findings[0].fix


def test_digits_are_counted_before_and_after_the_point_together() -> None:
    form = Form(figures=(FigureField(code="A", label="", fraction_digits=12),))
    assert judged({"A": "-" + "1" * 26 + "." + "1" * 12}, {}, form=form).outcome == "accepted"
    finding = only(judged({"A": "1" * 27 + "." + "1" * 12}, {}, form=form))
    assert (finding.code, finding.difference) == ("V05", "1")


@pytest.mark.parametrize("value", ["0", "100", "100.00", "-0", "007"])
def test_bounds_are_inclusive(value: str) -> None:
    assert judged(FIGURES | {"P": value}).outcome == "accepted"


def test_a_value_out_of_range_carries_its_exact_signed_difference() -> None:
    low = only(judged(FIGURES | {"P": "-0.01"}))
    assert (low.code, low.expected, low.difference) == ("V07", ">= 0", "-0.01")
    high = only(judged(FIGURES | {"P": "100.01"}))
    assert (high.code, high.expected, high.difference) == ("V08", "<= 100", "0.01")
    assert judged(FIGURES | {"P": "100.01"}).present_items == 5  # out of range is still there


@pytest.mark.parametrize("blank", [None, "", "   "])
def test_a_blank_required_figure_is_missing_rather_than_zero_or_a_bad_number(blank: str | None) -> None:
    judgement = judged(FIGURES | {"P": blank})
    assert (only(judgement).code, only(judgement).path) == ("C01", "/figures/P")
    assert (judgement.required_items, judgement.present_items) == (5, 4)


def test_a_missing_key_is_missing_as_null_is() -> None:
    without = {code: text for code, text in FIGURES.items() if code != "P"}
    assert codes(judged(without)) == ["C01"]


def test_an_optional_figure_may_be_blank_but_not_wrong() -> None:
    assert judged(FIGURES | {"O": " "}).outcome == "accepted"
    assert codes(judged(FIGURES | {"O": "-5.001"})) == ["V07"]


def test_a_sum_that_differs_says_by_how_much_and_which_terms() -> None:
    finding = only(judged(FIGURES | {"T": "121"}))
    assert (finding.code, finding.tier, finding.path) == ("K01", "consistency", "/figures/T")
    assert (finding.provided, finding.expected, finding.difference) == ("121", "120", "1")
    assert "A + B = 120" in finding.message
    assert "Sửa tổng T thành 120" in finding.fix


def test_a_sum_of_38_digit_terms_is_exact() -> None:
    terms = ("X0", "X1", "X2")
    form = Form(
        figures=tuple(FigureField(code=code, label="", fraction_digits=12) for code in (*terms, "S")),
        sums=(SumRule(code="R", total="S", terms=terms),),
    )
    big = "9" * 26 + "." + "9" * 12
    figures: dict[str, str | None] = {"X0": big, "X1": f"-{big}", "X2": "0.000000000001", "S": "0.000000000001"}
    assert judged(figures, {}, form=form).outcome == "accepted"
    assert only(judged(figures | {"S": "0.000000000002"}, {}, form=form)).difference == "0.000000000001"
    largest = figures | {"X1": big, "X2": big, "S": big}
    assert only(judged(largest, {}, form=form)).expected == "2" + "9" * 26 + "." + "9" * 11 + "7"


def test_negative_control_the_default_context_would_round_such_a_sum() -> None:
    terms = [Decimal("1" + "0" * 30), Decimal("0.01"), Decimal("-1" + "0" * 30)]
    with localcontext(prec=28):
        assert sum(terms) != Decimal("0.01")
    with localcontext(domain.EXACT):
        assert sum(terms) == Decimal("0.01")


def test_tolerance_is_inclusive_and_absolute() -> None:
    form = FORM.model_copy(update={"sums": (SumRule(code="K", total="T", terms=("A", "B"), tolerance="1"),)})
    for optional in (None, "1"):  # a form filled in whole is compared by a shorter way
        figures = FIGURES | {"O": optional}
        assert judged(figures | {"T": "121"}, form=form).outcome == "accepted"
        assert judged(figures | {"T": "119"}, form=form).outcome == "accepted"
        assert only(judged(figures | {"T": "122"}, form=form)).difference == "2"
        finding = only(judged(figures | {"T": "118"}, form=form))
        assert finding.difference == "-2"
    assert "(cho phép lệch 1)" in finding.message


def _optional_terms() -> Form:
    return Form(
        figures=tuple(FigureField(code=code, label="", required=code == "T") for code in ("T", "A", "B", "C")),
        sums=(SumRule(code="K", total="T", terms=("A", "B", "C")),),
    )


def test_an_optional_blank_term_adds_nothing_and_the_finding_says_so() -> None:
    assert judged({"T": "3", "A": "1", "B": "2"}, {}, form=_optional_terms()).outcome == "accepted"
    finding = only(judged({"T": "4", "A": "1", "B": "2"}, {}, form=_optional_terms()))
    assert finding.difference == "1"
    assert "Để trống, tính là không có: C." in finding.message


def test_a_total_alone_or_terms_alone_are_not_compared() -> None:
    assert judged({"T": "4"}, {}, form=_optional_terms()).outcome == "accepted"
    assert codes(judged({"A": "4"}, {}, form=_optional_terms())) == ["C01"]


def test_a_misread_term_is_reported_once_and_not_again_as_a_difference() -> None:
    assert codes(judged(FIGURES | {"A": "1oo"})) == ["V01"]
    assert codes(judged({"T": "4", "A": "x", "B": "2"}, {}, form=_optional_terms())) == ["V01"]


def test_narratives_are_measured_after_nfc_and_trimming() -> None:
    decomposed = "e\u0302\u0301" * 40  # ế in three code points
    assert len(decomposed) == 120
    form = Form(narratives=(NarrativeField(code="N", label="", min_characters=41, max_characters=50),))
    finding = only(judged({}, {"N": f"  {decomposed}\n"}, form=form))
    assert (finding.code, finding.provided, finding.expected, finding.difference) == ("N01", "40", ">= 41", "-1")


def test_length_bounds_are_inclusive_and_differences_exact() -> None:
    short = NARRATIVE[:39].ljust(39, "x")
    assert only(judged(narratives={"N1": short})).difference == "-1"
    assert judged(narratives={"N1": NARRATIVE[:39].strip().ljust(40, "x")}).outcome == "accepted"
    long = (NARRATIVE * 3)[:399].strip() + "x" * 10
    assert only(judged(narratives={"N1": long[:401]})).difference == "1"
    assert judged(narratives={"N1": long[:400]}).outcome == "accepted"


@pytest.mark.parametrize("blank", ["", "  \n\t ", "\u200b\ufeff", " \u00ad \u200d"])
def test_an_invisible_narrative_is_missing(blank: str) -> None:
    judgement = judged(narratives={"N1": blank})
    assert (only(judgement).code, only(judgement).path) == ("C02", "/narratives/N1")
    assert judgement.present_items == 4


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x7f", "\x85", "\u202e", "\ud800"])
def test_a_control_character_is_an_error_that_can_be_stored(character: str) -> None:
    finding = only(judged(narratives={"N1": NARRATIVE[:50] + character + NARRATIVE[50:]}))
    assert (finding.code, finding.provided) == ("N03", f"U+{ord(character):04X}")
    assert "ở vị trí 51" in finding.message
    finding.model_dump_json()


@pytest.mark.parametrize("text", ["Không có gì.", "…", "N/A", "ĐANG CẬP NHẬT...", "như trên", "-----"])
def test_an_empty_phrase_is_a_warning_and_does_not_return_the_report(text: str) -> None:
    judgement = judged(narratives=NARRATIVES | {"N2": text})
    assert (only(judgement).code, only(judgement).severity) == ("N04", "warning")
    assert (judgement.outcome, judgement.errors, judgement.warnings) == ("accepted", 0, 1)


@pytest.mark.parametrize("text", ["a" * 60, "Báo cáo " + "." * 90, "tốt " * 40, "báo cáo xong " * 20])
def test_padding_is_a_warning(text: str) -> None:
    assert codes(judged(narratives={"N1": text})) == ["N05"]


def test_an_honest_long_narrative_is_no_padding_though_words_repeat() -> None:
    form = Form(narratives=(NarrativeField(code="N", label="", max_characters=20_000),))
    words = sorted(set(NARRATIVE.split()))
    chosen = random.Random(7)
    text = " ".join(chosen.choice(words) for _ in range(4000))[:20_000]  # some forty words, again and again
    assert judged({}, {"N": text}, form=form).findings == ()


def test_unknown_codes_are_errors_and_the_likely_code_is_named() -> None:
    judgement = judged(FIGURES | {"t": "1", "a/b~c": None}, NARRATIVES | {"N9": ""})
    by_path = {finding.path: finding for finding in judgement.findings}
    assert list(by_path) == ["/figures/a~1b~0c", "/figures/t", "/narratives/N9"]
    assert by_path["/figures/t"].expected == "T"
    assert by_path["/figures/t"].fix == "Mã đúng là T, đặt trong “figures”."
    assert by_path["/figures/a~1b~0c"].provided == "a/b~c"


def test_a_nil_report_owes_nothing() -> None:
    assert judged({}, {}, nil=True) == domain.Judgement("accepted", 0, 0, 0, 0)
    assert judged({"A": None, "T": " "}, {"N1": ""}, nil=True).outcome == "accepted"


def test_nil_with_content_is_one_error_and_the_content_is_still_checked() -> None:
    finding = only(judged(nil=True))
    assert (finding.code, finding.path) == ("S03", "/nil")
    assert "5 nội dung: A, B, N1, P, T" in finding.message
    assert codes(judged({"A": "x"}, {}, nil=True)) == ["S03", "V01"]


def test_nil_where_it_is_not_allowed_is_one_error_and_everything_is_still_owed() -> None:
    form = FORM.model_copy(update={"nil_allowed": False})
    judgement = judged({}, {}, form=form, nil=True)
    assert only(judgement).code == "S04"
    assert (judgement.required_items, judgement.present_items) == (5, 0)


def test_an_empty_report_that_owes_nothing_is_accepted_with_a_warning() -> None:
    form = Form(figures=(FigureField(code="A", label="", required=False),), nil_allowed=True)
    assert codes(judged({}, {}, form=form)) == ["C03"]
    assert judged({"A": " "}, {"": ""}, form=form).errors == 1
    assert judged({}, {}, form=Form()) == domain.Judgement("accepted", 0, 0, 0, 0)


def test_findings_stand_errors_first_then_by_tier_then_in_the_order_of_the_form() -> None:
    judgement = judged({"zz": "1", "T": "5", "A": None, "B": "-1", "P": "200"}, {"N1": "ngắn", "N2": "không có"})
    assert [(finding.code, finding.path) for finding in judgement.findings] == [
        ("S01", "/figures/zz"),
        ("C01", "/figures/A"),
        ("V07", "/figures/B"),
        ("V08", "/figures/P"),
        ("N01", "/narratives/N1"),
        ("N04", "/narratives/N2"),
    ]
    assert (judgement.errors, judgement.warnings) == (5, 1)


def test_all_findings_are_counted_and_500_are_listed() -> None:
    judgement = judged(FIGURES | {f"x{i:04}": None for i in range(1200)})
    assert judgement.errors == 1200
    assert judgement.findings_truncated
    assert len(judgement.findings) == domain.LISTED_FINDINGS == 500
    few = judged(FIGURES | {f"x{i}": None for i in range(20)})
    assert (len(few.findings), few.findings_truncated) == (20, False)


def test_what_is_listed_stays_small_however_long_the_texts_are() -> None:
    judgement = judged(FIGURES | {f"{i:04}" + "ế" * 5000: "9" * 5000 for i in range(600)})
    assert judgement.errors == 600
    assert judgement.findings_truncated
    assert sum(len(finding.model_dump_json().encode()) for finding in judgement.findings) < 900_000


def test_what_cannot_be_stored_is_shown_as_an_escape() -> None:
    (finding,) = judged(FIGURES | {"x\x00\ud800": None}).findings
    assert finding.path == "/figures/x\\u0000\\ud800"
    assert "\x00" not in finding.model_dump_json()


@pytest.mark.parametrize(
    "form",
    [
        Form(figures=(FigureField(code="A", label=""), FigureField(code="A", label=""))),
        Form(narratives=(NarrativeField(code="N", label=""), NarrativeField(code="N", label=""))),
        Form(sums=(SumRule(code="R", total="A", terms=("B",)),)),
        Form(figures=(FigureField(code="A", label=""),), sums=(SumRule(code="R", total="A", terms=()),)),
        Form(figures=(FigureField(code="A", label="", minimum="2", maximum="1"),)),
        Form(figures=(FigureField(code="A", label="", minimum="1E-60"),)),
        Form(narratives=(NarrativeField(code="N", label="", min_characters=5, max_characters=4),)),
        Form(
            figures=(FigureField(code="A", label=""), FigureField(code="B", label="")),
            sums=(SumRule(code="R", total="A", terms=("B",), tolerance="-1"),),
        ),
    ],
)
def test_a_form_that_contradicts_itself_is_refused(form: Form) -> None:
    with pytest.raises(FormError):
        compile_form(form)


def test_a_float_never_enters_a_form() -> None:
    with pytest.raises(ValidationError):
        FigureField(code="A", label="", minimum=0.1)


def test_every_rule_is_filed_under_its_code() -> None:
    declared = [value for value in vars(catalogue).values() if isinstance(value, catalogue.Rule)]
    assert len(declared) == len(catalogue.RULES)
    assert all(catalogue.RULES[rule.code] is rule for rule in declared)
