"""Edges of a verdict: bounds that are inclusive, how long is too long, from when on repetition is filler."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from services.validator import domain
from services.validator.rules.forms import FormError, compile_form
from services.validator.rules.numbers import MAX_DIGITS, Misread, Number, read, thousands_reading
from shared.contract.events import FigureField, Form, NarrativeField, SumRule
from tests.unit.validator.reports import FIGURES, FORM, NARRATIVES, judged

NINES = "9" * MAX_DIGITS


def codes(judgement: domain.Judgement) -> list[str]:
    return [finding.code for finding in judgement.findings]


def one_figure(text: str | None, **field: object) -> domain.Judgement:
    form = Form(figures=(FigureField.model_validate({"code": "A", "label": "A", **field}),))
    return judged({"A": text}, {}, form=form)


@pytest.mark.parametrize(
    ("text", "found"),
    [("-5", []), ("-5.01", ["V07"]), ("-4.99", []), ("7.5", []), ("7.51", ["V08"]), ("7.49", []), ("0", [])],
)
def test_the_bounds_of_a_figure_belong_to_it(text: str, found: list[str]) -> None:
    assert codes(one_figure(text, minimum="-5", maximum="7.5", fraction_digits=2)) == found


def test_what_lies_outside_is_told_with_the_bound_and_the_difference() -> None:
    (below,) = one_figure("-5.01", minimum="-5", fraction_digits=2).findings
    assert (below.provided, below.expected, below.difference) == ("-5.01", ">= -5", "-0.01")
    (above,) = one_figure("1000001", maximum="1E+6").findings
    assert (above.provided, above.expected, above.difference) == ("1000001", "<= 1000000", "1")


@pytest.mark.parametrize(("text", "found"), [(NINES, []), ("-" + NINES, []), (NINES + "9", ["V05"])])
def test_so_many_digits_are_read_and_not_one_more(text: str, found: list[str]) -> None:
    judgement = one_figure(text)
    assert len(judgement.findings) == len(found)
    if found:
        (finding,) = judgement.findings
        assert (finding.expected, finding.difference) == ("38", "1")
    assert isinstance(read(text), Misread if found else Number)


def test_digits_after_the_point_count_too() -> None:
    assert isinstance(read("9" * 30 + "." + "9" * 8), Number)
    assert isinstance(read("9" * 30 + "." + "9" * 9), Misread)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1.234", "1234"), ("-1.234", "-1234"), ("12.345.678", "12345678"), ("123.456", "123456"),
        ("1234.567", None), ("0.234", None), ("1.23", None), ("1234", None), ("1.234.56", None), ("1.234,567", None),
    ],
)  # fmt: skip
def test_a_point_groups_thousands_only_where_all_groups_are_whole(text: str, meant: str | None) -> None:
    assert thousands_reading(text) == meant


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("1,5", ("1.5",)), ("0,123", ("0.123",)), ("1,234", ("1.234", "1234")), ("1.234,5", ("1234.5",)),
        ("1,234.5", ("1234.5",)), ("1 234 567", ("1234567",)), ("1'234'567", ("1234567",)), ("1 234,5", ("1234.5",)),
        ("1,234,567", ("1234567",)), ("1.234.567", ("1234567",)), ("1,23,4", ()), ("12 34", ()), ("1.23.4", ()),
        ("1,234.567.8", ()), ("50%", ("50",)), ("12,5 %", ("12.5",)), ("%", ()), ("50%%", ()), ("+5", ("5",)),
        ("−5", ("-5",)), ("- 5", ("-5",)), (".5", ("0.5",)), (",5", ("0.5",)), ("-.5", ("-0.5",)), ("5.", ("5",)),
        ("5,", ("5",)), ("１２", ("12",)), ("٣٤", ("34",)), (" 12 ", ("12",)), ("1e3", ("1000",)),
        ("1,5e2", ("150",)), ("2.5E-1", ("0.25",)), ("0e9", ("0",)), ("1e38", ()), ("1e37", ("1" + "0" * 37,)),
        ("1e-38", ()), ("1e-37", ("0." + "0" * 36 + "1",)), ("1e9999", ()), ("abc", ()), ("nan", ()), ("∞", ()),
        ("-Infinity", ()),
    ],
)  # fmt: skip
def test_what_a_misread_figure_may_mean(text: str, readings: tuple[str, ...]) -> None:
    outcome = read(text)
    assert isinstance(outcome, Misread)
    assert outcome.readings == readings


def test_a_long_text_is_not_looked_into() -> None:
    spaced = "1 234"
    assert read(spaced.rjust(120)).readings == ("1234",)  # type: ignore[union-attr]
    assert read(spaced.rjust(121)).readings == ()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("tolerance", "total", "found"), [("0.5", "10.5", []), ("0.5", "9.5", []), ("0.5", "10.51", ["K01"])]
)
def test_a_difference_as_large_as_the_tolerance_is_within_it(tolerance: str, total: str, found: list[str]) -> None:
    fields = tuple(FigureField(code=code, label=code, fraction_digits=2) for code in "TAB")
    form = Form(figures=fields, sums=(SumRule(code="K", total="T", terms=("A", "B"), tolerance=tolerance),))
    assert codes(judged({"T": total, "A": "4", "B": "6"}, {}, form=form)) == found
    optional = form.model_copy(update={"figures": (*fields, FigureField(code="O", label="O", required=False))})
    assert codes(judged({"T": total, "A": "4", "B": "6"}, {}, form=optional)) == found


def narrative(text: str, **field: object) -> list[str]:
    given = {"code": "N", "label": "N", "max_characters": 20_000, **field}
    return codes(judged({}, {"N": text}, form=Form(narratives=(NarrativeField.model_validate(given),))))


def test_a_dozen_words_of_which_each_comes_more_than_six_times_are_filler_in_whatever_order() -> None:
    thirteen = "tốt khá khá tốt khá tốt tốt tốt khá khá khá tốt khá"
    assert narrative(thirteen) == ["N05"]
    assert narrative(thirteen.removesuffix(" khá")) == [], "six times each may be a list"


def test_the_same_character_again_and_again_is_filler_where_it_is_more_than_half_of_the_text() -> None:
    assert narrative("Kết quả " + "." * 9) == []
    assert narrative("Kết quả " + "." * 60) == ["N05"]
    forty = "Kết quả thực hiện nhiệm vụ được giao như sau: "
    assert narrative(forty + "." * len(forty)) == [], "half of it is content"
    words_without_spaces = "abcdefghijklmnopqrstuvwxyz" * 2
    assert narrative(words_without_spaces + "_" * 53) == ["N05"]
    assert narrative(words_without_spaces + "_" * 52) == []


def test_a_unit_of_some_letters_that_comes_three_times_is_filler_and_twice_is_not() -> None:
    chosen = random.Random(3)
    unit = "".join(chosen.choice("abcdeghiklmnopqrstuvxy") for _ in range(160))
    assert narrative(unit * 3) == ["N05"]
    assert narrative(unit * 2) == []
    assert narrative(f"{unit}z" * 3) == [], "longer ones are not looked for"


@pytest.mark.parametrize(
    ("count", "shown"), [(10, "x00, x01, x02, x03, x04, x05, x06, x07, x08, x09"), (11, "x08, x09, …")]
)
def test_a_nil_report_with_content_names_ten_of_it(count: int, shown: str) -> None:
    fields = tuple(FigureField(code=f"x{number:02}", label="x") for number in range(count))
    form = Form(figures=fields, nil_allowed=True)
    (finding,) = judged({field.code: "1" for field in fields}, {}, form=form, nil=True).findings
    assert (finding.path, finding.provided, finding.expected) == ("/nil", "true", "false")
    assert f"{count} nội dung: x00, x01" in finding.message
    assert shown in finding.message
    assert ("…" in finding.message) is (count > 10)


def test_a_nil_report_that_is_not_allowed_is_told_how_much_is_owed() -> None:
    form = FORM.model_copy(update={"nil_allowed": False})
    (finding,) = judged({}, {}, form=form, nil=True).findings
    assert (finding.path, finding.provided, finding.expected) == ("/nil", "true", "false")
    assert "5 mục bắt buộc" in finding.fix
    assert "5 required items" in finding.fix_en


@pytest.mark.parametrize(
    ("form", "found"),
    [
        (Form(narratives=(NarrativeField(code="N", label="", required=False),), nil_allowed=True), ["C03"]),
        (Form(narratives=(NarrativeField(code="N", label="", required=False),), nil_allowed=False), []),
        (Form(figures=(FigureField(code="A", label="", required=False),), nil_allowed=False), []),
        (Form(nil_allowed=True), []),
    ],
)
def test_a_report_without_anything_is_worth_a_warning_where_nil_would_have_said_so(
    form: Form, found: list[str]
) -> None:
    assert codes(judged({}, {}, form=form)) == found
    assert codes(judged({}, {}, form=form, nil=True)) == ([] if form.nil_allowed else ["S04"])


def test_a_code_in_the_wrong_place_or_written_otherwise_is_told_where_it_belongs() -> None:
    found = {f.path: f for f in judged(FIGURES | {" n1 ": "1"}, NARRATIVES | {"t": "x", "zz": "x"}).findings}
    assert (found["/figures/ n1 "].expected, found["/narratives/t"].expected, found["/narratives/zz"].expected) == (
        "N1", "T", None,
    )  # fmt: skip
    assert "“narratives”" in found["/figures/ n1 "].fix
    assert "“figures”" in found["/narratives/t"].fix
    assert 'T, under "figures"' in found["/narratives/t"].fix_en
    assert {f.code for f in found.values()} == {"S01", "S02"}
    assert found["/narratives/zz"].provided == "zz"


def test_what_is_required_and_wrong_is_not_there_and_what_is_only_warned_of_is() -> None:
    wrong = judged(FIGURES | {"A": "-1", "O": "x"})
    assert (wrong.required_items, wrong.present_items) == (5, 4)
    asked = judged(FIGURES | {"O": "1.234"})
    assert (codes(asked), asked.present_items) == (["V09"], 5)
    only_long = judged(narratives=NARRATIVES | {"N2": "đã làm " * 0 + "x" * 3})
    assert only_long.present_items == 5


def test_the_first_finding_is_listed_however_long_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain, "LISTED_CHARACTERS", 1)
    judgement = judged(FIGURES | {"A": "x", "B": "y"})
    assert (len(judgement.findings), judgement.findings_truncated, judgement.errors) == (1, True, 2)


@pytest.mark.parametrize(("others", "listed", "truncated"), [(499, 500, False), (500, 500, True)])
def test_zeros_take_the_place_of_the_last_finding_where_the_list_is_full(
    others: int, listed: int, truncated: bool
) -> None:
    zeros: dict[str, str | None] = {"T": "0", "A": "0", "B": "0", "P": "0"}
    compared = domain.after_figures(
        judged(zeros | {f"x{i:04}": None for i in range(others)}), "2026-M01", confirmed=False
    )
    assert (len(compared.findings), compared.findings_truncated, compared.errors) == (listed, truncated, others + 1)


def test_zeros_that_are_only_asked_about_leave_a_returned_report_returned() -> None:
    zeros: dict[str, str | None] = {"T": "0", "A": "0", "B": "0", "P": "0"}
    returned = domain.after_figures(judged(zeros | {"zz": None}), "2026-M01", confirmed=True)
    assert (returned.outcome, returned.errors, returned.warnings, codes(returned)) == ("returned", 1, 1, ["S01", "H01"])
    assert returned.findings[1].path == "/figures"
    assert Decimal(FIGURES["T"] or 0) == 120


def test_a_warning_about_zeros_stands_behind_every_error() -> None:
    zeros: dict[str, str | None] = {"T": "0", "A": "0", "B": "0", "P": "0"}
    judgement = judged(zeros | {"zz": None}, NARRATIVES | {"N1": "aaaaa", "N2": "không"})
    believed = domain.after_figures(judgement, "2026-M02", confirmed=True)
    assert codes(believed) == ["S01", "N01", "N05", "H01", "N04"]


def test_a_finding_shows_what_was_sent_cut_short() -> None:
    (unknown,) = judged(FIGURES | {"y" * 99: None}).findings
    assert "“" + "y" * 60 + "…”" in unknown.message
    (misread,) = judged(FIGURES | {"O": " " + "x" * 99}).findings
    assert "x" * 60 + "…" in misread.message
    assert "x" * 61 not in misread.message
    assert misread.provided == " " + "x" * 99


def test_too_many_digits_after_the_point_are_told_with_what_to_write() -> None:
    (rounded,) = one_figure("1.255", fraction_digits=2).findings
    assert (rounded.provided, rounded.expected, rounded.difference) == ("1.255", None, "1")
    assert "tối đa 2 chữ số thập phân" in rounded.fix
    assert "at most 2 digits after the point" in rounded.fix_en
    (exact,) = one_figure("1.250", fraction_digits=2).findings
    assert (exact.provided, exact.expected) == ("1.250", "1.25")


@pytest.mark.parametrize(
    ("text", "bounds", "expected", "fix_en"),
    [
        ("5,5", {"minimum": "5.5", "fraction_digits": 1}, "5.5", "Write 5.5."),  # the bound itself may be written
        ("5,5", {"maximum": "5.5", "fraction_digits": 1}, "5.5", "Write 5.5."),
        ("5,4", {"minimum": "5.5", "fraction_digits": 1}, None, "must be 5.5 or more"),
        ("5,6", {"maximum": "5.5", "fraction_digits": 1}, None, "must be 5.5 or less"),
        ("5,0", {"minimum": "5"}, "5", "Write 5."),
        ("5,0", {"maximum": "5"}, "5", "Write 5."),
        ("5,5", {"minimum": "5"}, None, "takes whole numbers: write it rounded"),
        ("5,55", {"fraction_digits": 1}, None, "takes at most 1 digit after the point"),
    ],
)
def test_only_what_the_form_takes_is_advised(
    text: str, bounds: dict[str, object], expected: str | None, fix_en: str
) -> None:
    (finding,) = one_figure(text, **bounds).findings
    assert finding.expected == expected
    assert fix_en in finding.fix_en


def test_no_number_in_a_finding_is_written_with_an_exponent() -> None:
    fields = tuple(FigureField(code=code, label=code, fraction_digits=9) for code in "TAB")
    form = Form(figures=fields, sums=(SumRule(code="K", total="T", terms=("A", "B")),))
    (finding,) = judged({"T": "0.000000001", "A": "0.000000002", "B": "0"}, {}, form=form).findings
    assert (finding.provided, finding.expected, finding.difference) == ("0.000000001", "0.000000002", "-0.000000001")
    (unread, unchecked) = judged({"T": "0.000000003", "A": "0.000000002", "B": "x"}, {}, form=form).findings
    assert (unread.code, unchecked.provided, unchecked.difference) == ("V01", "0.000000003", "0.000000001")
    assert "0.000000002" in unchecked.message


def test_a_finding_names_figures_by_code_and_label_in_each_language() -> None:
    t, o = judged(FIGURES | {"T": None, "O": "x"}).findings[:2]
    assert ("T (Tổng số hồ sơ)" in t.message, "T (Cases)" in t.message_en) == (True, True)
    assert ("O (Ghi thêm)" in o.message, "O (Ghi thêm)" in o.message_en) == (True, True), "no English label"
    (bare,) = judged({}, {}, form=Form(figures=(FigureField(code="A", label=""),))).findings
    assert "(" not in bare.message + bare.message_en


def test_a_sum_says_what_difference_it_allows_and_nothing_where_it_allows_none() -> None:
    fields = tuple(FigureField(code=code, label=code, fraction_digits=2) for code in "TAB")
    for tolerance, vi, en in (("0.5", "(cho phép lệch 0.5)", "(tolerance 0.5)"), ("0", "", "")):
        form = Form(figures=fields, sums=(SumRule(code="K", total="T", terms=("A", "B"), tolerance=tolerance),))
        (finding,) = judged({"T": "9", "A": "4", "B": "6"}, {}, form=form).findings
        assert vi in finding.message
        assert en in finding.message_en
        assert ("tolerance" in finding.message_en, "cho phép lệch" in finding.message) == (bool(vi), bool(vi))
        assert "XX" not in finding.message + finding.message_en


@pytest.mark.parametrize(
    ("text", "provided"), [("Không có gì.", "Không có gì."), ("a" * 90, "a" * 60 + "…"), ("?" * 90, "?" * 60 + "…")]
)
def test_filler_is_shown_as_it_was_sent_cut_short(text: str, provided: str) -> None:
    form = Form(narratives=(NarrativeField(code="N", label="N"),))
    (finding,) = judged({}, {"N": text}, form=form).findings
    assert finding.provided == provided


@pytest.mark.parametrize(
    ("form", "why"),
    [
        (Form(figures=(FigureField(code="A", label=""),) * 2), "figure codes used twice: A"),
        (Form(narratives=(NarrativeField(code="N", label=""),) * 2), "narrative codes used twice: N"),
        (
            Form(figures=(FigureField(code="A", label=""),), sums=(SumRule(code="R", total="A", terms=()),)),
            "sum rule R has no terms",
        ),
        (Form(sums=(SumRule(code="R", total="A", terms=("B",)),)), "sum rule R names figures .*: A, B"),
        (Form(figures=(FigureField(code="A", label="", minimum="1E-39"),)), "a bound of figure A is not a number"),
        (Form(figures=(FigureField(code="A", label="", maximum="1E+39"),)), "a bound of figure A is not a number"),
    ],
)
def test_a_form_that_cannot_be_judged_by_is_refused_with_its_reason(form: Form, why: str) -> None:
    with pytest.raises(FormError, match=why):
        compile_form(form)


def test_a_bound_may_be_as_small_and_as_large_as_a_figure_can_be() -> None:
    for bounds in ({"minimum": "1E-38"}, {"maximum": "1E+38"}, {"minimum": "0", "maximum": "0"}):
        compile_form(Form(figures=(FigureField.model_validate({"code": "A", "label": "", **bounds}),)))


def test_a_report_with_findings_says_too_whether_its_figures_are_zeros() -> None:
    zeros: dict[str, str | None] = {"T": "0", "A": "0", "B": "0", "P": "0"}
    assert judged(zeros | {"zz": None}, NARRATIVES).findings != ()
    assert judged(zeros, NARRATIVES | {"N1": "aaaaa"}).any_nonzero is False
    assert judged(FIGURES, NARRATIVES | {"N1": "aaaaa"}).any_nonzero is True
    explaining = FORM.model_copy(update={"filler": "explain"})
    assert judged(FIGURES, NARRATIVES | {"N1": "x"}, form=explaining).filler == "warning"
