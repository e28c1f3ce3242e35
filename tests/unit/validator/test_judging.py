"""What a verdict says of single faults: the code, the place, the exact difference, and what to do in two languages."""

from __future__ import annotations

import random
import unicodedata
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
    assert judged() == domain.Judgement("accepted", 0, 0, required_items=5, present_items=5, any_nonzero=True)


@pytest.mark.parametrize(
    ("text", "code", "reading"),
    [
        ("abc", "V01", None),
        ("-", "V01", None),
        ("không có", "V01", None),
        ("12%", "V17", "12"),
        (" 100", "V15", "100"),
        ("+100", "V01", "100"),
        ("100.", "V01", "100"),
        (".5", "V01", "0.5"),
        ("１００", "V16", "100"),
        ("−100", "V16", "-100"),
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
        ("1,234", "V02", "1.234 | 1234"),
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
    form = Form(figures=(FigureField(code="A", label="", fraction_digits=4),))
    judgement = judged({"A": text}, {}, form=form)
    finding = only(judgement)
    assert (finding.code, finding.path, finding.provided, finding.expected) == (code, "/figures/A", text, reading)
    assert judgement.outcome == "returned"
    assert (judgement.required_items, judgement.present_items) == (1, 0)  # given, but not of the right type
    for written in (reading or "").split(" | ") if code != "V05" else ():
        if written:  # what is advised is taken
            assert judged({"A": written}, {}, form=form).outcome == "accepted"


@pytest.mark.parametrize(
    ("figure", "text", "reading", "words", "words_en"),
    [
        ("A", "1,5", None, "được hiểu là 1.5, nhưng chỉ tiêu A chỉ nhận số nguyên", "takes whole numbers"),
        ("A", "1.5E-3", None, "chỉ nhận số nguyên", "takes whole numbers"),
        ("P", "83,335", None, "chỉ nhận tối đa 2 chữ số thập phân", "at most 2 digits after the point"),
        ("P", "1.500,5", None, "không được quá 100", "must be 100 or less"),
        ("A", "-1.234.567", None, "phải từ 0 trở lên", "must be 0 or more"),
        ("A", "1,234", "1234", "Viết 1234.", "Write 1234."),  # the one reading that the figure takes
        ("P", "12,5", "12.5", "Viết 12.5.", "Write 12.5."),
    ],
)
def test_only_a_text_that_the_figure_takes_is_advised(
    figure: str, text: str, reading: str | None, words: str, words_en: str
) -> None:
    (finding, *others) = judged(FIGURES | {figure: text}).findings
    assert {other.code for other in others} <= {"K02"}
    assert finding.expected == reading
    assert words in finding.fix
    assert words_en in finding.fix_en


@pytest.mark.parametrize(
    ("text", "digits", "expected", "words", "words_en"),
    [
        ("1,234", 1, None, "làm tròn còn tối đa 1 chữ số thập phân; nếu dấu phẩy phân cách hàng nghìn, viết 1234",
         "round it to at most 1 digit after the point; if the comma groups thousands, write 1234."),
        ("-1,234", 2, None, "viết -1234", "at most 2 digits after the point"),
        ("1,234 %", 1, None, "nếu dấu phẩy phân cách hàng nghìn, viết 1234", "write 1234"),
        ("1.234 %", 1, None, "nếu dấu chấm phân cách hàng nghìn, viết 1234", "the point groups thousands"),
        ("1,234", 3, "1.234 | 1234", "Viết 1.234 nếu là số thập phân", "Write 1.234"),
        ("1,234", 0, "1234", "Viết 1234.", "Write 1234."),
        ("1,230", 2, "1.23 | 1230", "Viết 1.23 nếu là số thập phân", "Write 1.23"),
    ],
)  # fmt: skip
def test_a_decimal_that_is_only_too_exact_is_not_turned_into_thousands(
    text: str, digits: int, expected: str | None, words: str, words_en: str
) -> None:
    form = Form(figures=(FigureField(code="A", label="Tốc độ tăng", unit="%", fraction_digits=digits),))
    finding = only(judged({"A": text}, {}, form=form))
    assert finding.expected == expected
    assert words in finding.fix
    assert words_en in finding.fix_en


def test_a_point_that_may_group_thousands_is_asked_about_and_accepted() -> None:
    form = Form(figures=(FigureField(code="A", label="Thu", unit="triệu đồng", minimum="0", fraction_digits=3),))
    judgement = judged({"A": "1.234"}, {}, form=form)
    finding = only(judgement)
    assert (finding.code, finding.severity, finding.expected) == ("V09", "warning", "1.234 | 1234")
    assert "viết 1234" in finding.fix
    assert (judgement.outcome, judgement.present_items) == ("accepted", 1)
    negative = form.model_copy(update={"figures": (form.figures[0].model_copy(update={"minimum": None}),)})
    assert only(judged({"A": "-12.500"}, {}, form=negative)).expected == "-12.500 | -12500"
    assert judged({"A": "-1.234"}, {}, form=form).findings[0].code == "V07"


@pytest.mark.parametrize("text", ["1.23", "1.2", "0.234", "1234.567", "1234", "012.345"])
def test_a_point_that_can_only_be_decimal_is_not_asked_about(text: str) -> None:
    form = Form(figures=(FigureField(code="A", label="Thu", minimum="0", fraction_digits=3),))
    assert judged({"A": text}, {}, form=form).findings == ()


def test_a_point_is_not_asked_about_where_thousands_are_out_of_range() -> None:
    form = Form(figures=(FigureField(code="A", label="Tỷ lệ", unit="%", maximum="100", fraction_digits=3),))
    assert judged({"A": "83.333"}, {}, form=form).findings == ()


def test_a_decimal_comma_is_answered_with_the_text_to_write() -> None:
    finding = only(judged(FIGURES | {"O": "1.234,56"}))
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
    assert judged(FIGURES | {"P": "100.01"}).present_items == 4  # out of range is of no use
    assert judged(FIGURES | {"P": "100.001"}).present_items == 4  # and so is one fault beside another
    assert judged(FIGURES | {"O": "-6"}).present_items == 5  # nobody requires it


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


@pytest.mark.parametrize(
    ("terms", "fix"),
    [
        (("3", "2"), "Sửa tổng W thành 5, hoặc sửa các thành phần A, B cho đúng."),
        (("1.50", "1.50"), "Sửa tổng W thành 3, hoặc sửa các thành phần A, B cho đúng."),
        (("1.5", "2"), "Sửa các thành phần A, B cho đúng, rồi sửa tổng W theo đó."),
        (("80", "40"), "Sửa các thành phần A, B cho đúng, rồi sửa tổng W theo đó."),
    ],
    ids=["whole", "zeros at the end", "no whole number", "above the maximum"],
)
def test_a_total_is_advised_only_to_what_its_figure_takes(terms: tuple[str, str], fix: str) -> None:
    parts = [FigureField(code=code, label=code, unit="việc", fraction_digits=2) for code in ("A", "B")]
    total = FigureField(code="W", label="W", unit="việc", maximum="100")
    form = Form(figures=(total, *parts), sums=(SumRule(code="S", total="W", terms=("A", "B")),))
    finding = only(judged({"W": "9", "A": terms[0], "B": terms[1]}, {}, form=form))
    assert (finding.code, finding.fix) == ("K01", fix)


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
    optional = _optional_terms()
    total = optional.figures[0].model_copy(update={"required": False})
    optional = optional.model_copy(update={"figures": (total, *optional.figures[1:])})
    assert codes(judged({"A": "4"}, {}, form=optional)) == []


def test_a_misread_term_is_no_difference_but_says_at_once_what_is_left_for_it() -> None:
    misread, unchecked = judged(FIGURES | {"A": "1oo"}).findings
    assert (misread.code, unchecked.code, unchecked.severity) == ("V01", "K02", "warning")
    assert (unchecked.path, unchecked.provided, unchecked.difference) == ("/figures/T", "120", "100")
    assert "chưa kiểm tra được T = A + B vì còn thiếu hoặc chưa đọc được A" in unchecked.message
    assert "các thành phần khác cộng được 20, so với tổng 120 còn lại 100" in unchecked.message
    assert "missing or unreadable: A" in unchecked.message_en
    optional = judged({"T": "4", "A": "x", "B": "2"}, {}, form=_optional_terms())
    assert codes(optional) == ["V01", "K02"]
    assert optional.findings[1].difference == "2"


@pytest.mark.parametrize(("total", "code"), [(None, "C01"), ("12o", "V01")])
def test_a_bad_total_is_told_what_its_terms_add_up_to(total: str | None, code: str) -> None:
    judgement = judged(FIGURES | {"T": total})
    assert codes(judgement) == [code, "K02"]
    assert judgement.findings[1].expected == "120"
    assert "các thành phần cộng được 120" in judgement.findings[1].message


def test_a_missing_term_is_named_beside_its_sum() -> None:
    judgement = judged(FIGURES | {"B": None})
    assert codes(judgement) == ["C01", "K02"]
    assert judgement.findings[1].difference == "20"


def test_nothing_is_said_of_a_sum_of_which_nothing_can_be_said() -> None:
    assert codes(judged(FIGURES | {"A": None, "B": "x"})) == ["C01", "V01"]
    assert codes(judged(FIGURES | {"T": "x", "B": "x"})) == ["V01", "V01"]


def test_narratives_are_measured_after_nfc_and_trimming() -> None:
    composed = "Tiếp nhận, giải quyết hồ sơ đúng hạn là "
    assert len(composed.strip()) == 39
    decomposed = unicodedata.normalize("NFD", composed.strip() + "m")
    assert len(decomposed) > 50
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


EXPLAINING = FORM.model_copy(update={"filler": "explain"})
PHRASES = [
    "Không có gì.", "…", "N/A", "n / a", "ĐANG CẬP NHẬT...", "đang  cập-nhật", "dang cap nhat", "Đ A N G cập nhật",
    "đang\u200b cập\u200d nhật", "\u0111ang c\u00e2\u0323p nh\u00e2\u0323t", "như trên", "-----", "xyz", "TEST", "...",
    "?" * 90, "nội dung:",
]  # fmt: skip
REPETITIONS = [
    "aaaaa", "xxx", "a" * 60, "Báo cáo " + "." * 90, "tốt " * 40, "báo cáo xong " * 20, "báo cáo báo cáo báo cáo",
    "Báo cáo, bao cao – BÁO CÁO.", "abcabcabcab", "abc" * 3000, "a\u200ba\u200ba\u200ba", "1 1 1 1",
]  # fmt: skip
HONEST = [
    "Tốt.", "Đã thực hiện.", "Kết quả thực hiện nhiệm vụ trong tuần, lần 111.", "Không có kiến nghị với cấp trên.",
    "Đang cập nhật phần mềm một cửa theo kế hoạch.", "Rau củ, rau quả, rau thơm đều được mùa.", "Xã có 3 thôn.",
    "Rất, rất tốt", "Báo cáo tuần đã gửi; báo cáo tháng đang soạn.", "Test nhanh 20 người, 0 ca dương tính.",
]  # fmt: skip


def _in_n2(text: str, form: Form = FORM, *, required: bool = True) -> domain.Judgement:
    sections = (form.narratives[0], form.narratives[1].model_copy(update={"required": required}))
    form = form.model_copy(update={"narratives": sections})
    field = sections[1].model_copy(update={"max_characters": 20_000})
    form = form.model_copy(update={"narratives": (sections[0], field)})
    return judged(narratives=NARRATIVES | {"N2": text}, form=form)


@pytest.mark.parametrize(("code", "text"), [*(("N04", x) for x in PHRASES), *(("N05", x) for x in REPETITIONS)])
def test_filler_returns_the_report_or_asks_for_an_explanation_as_the_regime_says(code: str, text: str) -> None:
    returned = _in_n2(text)
    finding = only(returned)
    assert (finding.code, finding.severity, finding.path) == (code, "error", "/narratives/N2")
    assert (returned.outcome, returned.required_items, returned.present_items) == ("returned", 6, 5)
    asked = _in_n2(text, EXPLAINING)
    finding = only(asked)
    assert (finding.code, finding.severity) == (code, "warning")
    assert finding.fix.startswith("Đề nghị giải trình")
    assert finding.fix_en.startswith("Please explain")
    assert (asked.outcome, asked.errors, asked.warnings) == ("accepted", 0, 1)
    assert (asked.required_items, asked.present_items) == (6, 5)  # accepted, yet not there


@pytest.mark.parametrize("text", HONEST)
def test_an_honest_short_text_is_no_filler(text: str) -> None:
    judgement = _in_n2(text)
    assert judgement.findings == ()
    assert judgement.present_items == 6


def test_a_stock_phrase_where_nobody_asked_is_a_warning_and_junk_is_not() -> None:
    phrase = _in_n2("Không có.", required=False)
    assert (codes(phrase), phrase.outcome, phrase.present_items) == (["N04"], "accepted", 5)
    assert _in_n2("aaaaa", required=False).outcome == "returned"


def test_filler_that_is_too_short_is_told_both_at_once() -> None:
    assert codes(judged(narratives={"N1": "đang cập nhật"})) == ["N01", "N04"]


def test_characters_that_nobody_sees_do_not_make_a_text_long_enough() -> None:
    finding = only(judged(narratives={"N1": "Đã làm\u200b" + "\u200b" * 100 + " xong."}))
    assert (finding.code, finding.provided) == ("N01", "12")


@pytest.mark.parametrize(
    ("figures", "narratives", "singular"),
    [
        ({"A": "100.0"}, NARRATIVES, "has 1 digit after the point"),
        ({}, {"N1": "x"}, "has 1 character; at least 40"),
        ({}, {"N1": NARRATIVE + "\x00"}, "has 1 control character; the first"),
        ({}, {"N1": NARRATIVE[:38] + "."}, "Write at least 1 character more"),
    ],
)
def test_one_is_singular_in_english(figures: dict[str, str], narratives: dict[str, str], singular: str) -> None:
    finding = judged(FIGURES | figures, narratives).findings[0]
    assert singular in f"{finding.message_en} {finding.fix_en}"


@pytest.mark.parametrize(
    ("unit", "label", "bounds", "zero"),
    [
        ("hồ sơ", "Hồ sơ tiếp nhận", {"minimum": "0"}, True),
        ("triệu đồng", "Thu ngân sách", {}, True),
        ("%", "Giải ngân", {"minimum": "0"}, False),
        ("", "Tỷ lệ đúng hạn", {"minimum": "0"}, False),
        ("người", "Biên chế được giao", {"minimum": "0"}, False),
        ("việc", "Việc đã làm", {"minimum": "1"}, False),  # 0 would be returned by the next rule
    ],
)
def test_zero_is_advised_only_where_it_says_that_nothing_happened(
    unit: str, label: str, bounds: dict[str, str], zero: bool
) -> None:
    form = Form(figures=(FigureField(code="A", label=label, unit=unit, **bounds),))
    for value in (None, "chưa rõ"):
        finding = judged({"A": value}, {}, form=form).findings[0]
        assert ("ghi 0" in finding.fix) is ("write 0" in finding.fix_en) is zero


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


ZEROS: dict[str, str | None] = {"T": "0", "A": "0", "B": "0", "P": "0.00", "O": None}


@pytest.mark.parametrize(
    ("figures", "any_nonzero"),
    [(ZEROS, False), (FIGURES, True), (ZEROS | {"O": "0.1"}, True), ({}, None), (ZEROS | {"A": "x"}, None)],
)
def test_zeros_are_told_from_figures_and_from_what_cannot_be_read(
    figures: dict[str, str | None], any_nonzero: bool | None
) -> None:
    assert judged(figures).any_nonzero is any_nonzero


def test_zeros_after_a_period_with_figures_return_or_ask_and_are_believed_when_sent_again() -> None:
    returned = domain.after_figures(judged(ZEROS), "2026-M02", confirmed=False)
    finding = only(returned)
    assert (finding.code, finding.tier, finding.severity) == ("H01", "history", "error")
    assert "2026-M02" in finding.message
    assert (returned.outcome, returned.errors) == ("returned", 1)
    again = domain.after_figures(judged(ZEROS), "2026-M02", confirmed=True)
    assert (only(again).severity, again.outcome, again.warnings) == ("warning", "accepted", 1)
    asked = domain.after_figures(judged(ZEROS, form=EXPLAINING), "2026-M02", confirmed=False)
    assert (asked.outcome, only(asked).fix[:18]) == ("accepted", "Đề nghị giải trình")


def test_the_finding_on_zeros_stands_in_its_place_among_the_others() -> None:
    judgement = judged(ZEROS | {"zz": "0"}, NARRATIVES | {"N1": "aaaaa", "N2": "không"})
    compared = domain.after_figures(judgement, "2026-M02", confirmed=False)
    assert codes(compared) == ["S01", "H01", "N01", "N05", "N04"]
    assert compared.errors == judgement.errors + 1


def test_findings_stand_errors_first_then_by_tier_then_in_the_order_of_the_form() -> None:
    judgement = judged({"zz": "1", "T": "5", "A": None, "B": "-1", "P": "200"}, {"N1": "ngắn", "N2": "không có"})
    assert [(finding.code, finding.path) for finding in judgement.findings] == [
        ("S01", "/figures/zz"),
        ("C01", "/figures/A"),
        ("V07", "/figures/B"),
        ("V08", "/figures/P"),
        ("N01", "/narratives/N1"),
        ("K02", "/figures/T"),
        ("N04", "/narratives/N2"),
    ]
    assert (judgement.errors, judgement.warnings) == (5, 2)


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
