"""A figure that the text gives otherwise than the form is asked about; what may mean something else is left alone."""

from __future__ import annotations

import pytest

from services.validator.domain import Judgement, judge
from services.validator.rules.forms import compile_form
from shared.contract.events import FigureField, Form, NarrativeField
from tests.unit.growth import SQUARE_FROM, growth
from tests.unit.validator.office_prose import GOOD

FORM = Form(
    figures=(
        FigureField(code="A1", label="Tổng thu ngân sách trên địa bàn", unit="triệu đồng", fraction_digits=3),
        FigureField(code="B1", label="Tổng số hồ sơ phải giải quyết", unit="hồ sơ"),
        FigureField(code="B2", label="Hồ sơ đã giải quyết", unit="hồ sơ"),
        FigureField(code="B3", label="Hồ sơ đã giải quyết quá hạn", unit="hồ sơ"),
        FigureField(code="C1", label="Tỷ lệ giải quyết đúng hạn", unit="%", fraction_digits=2),
        FigureField(code="D1", label="Thu phí, lệ phí", unit="triệu đồng", fraction_digits=3),
        FigureField(code="E1", label="Dân số trung bình", unit="người"),
    ),
    narratives=(NarrativeField(code="N", label="Đánh giá"),),
)
COMPILED = compile_form(FORM)
FIGURES: dict[str, str | None] = {
    "A1": "12347.5", "B1": "1234", "B2": "1200", "B3": "15", "C1": "97.58", "D1": "350", "E1": "2874512",
}  # fmt: skip


def said(text: str) -> Judgement:
    return judge(COMPILED, FIGURES, {"N": text}, nil=False)


@pytest.mark.parametrize(
    ("text", "quote", "code"),
    [
        ("Tổng số hồ sơ phải giải quyết là 1.324 hồ sơ.", "Tổng số hồ sơ phải giải quyết là 1.324 hồ sơ", "B1"),
        ("Trong kỳ, hồ sơ đã giải quyết: 1.020, đạt kết quả tốt.", "hồ sơ đã giải quyết: 1.020", "B2"),
        ("Hồ sơ đã giải quyết quá hạn là 51 hồ sơ", "Hồ sơ đã giải quyết quá hạn là 51 hồ sơ", "B3"),
        ("Kết quả: tổng thu ngân sách trên địa bàn ước đạt 21,3 tỷ đồng, tăng 8%.",
         "tổng thu ngân sách trên địa bàn ước đạt 21,3 tỷ đồng", "A1"),
        ("Tỷ lệ giải quyết đúng hạn đạt 79,6%.", "Tỷ lệ giải quyết đúng hạn đạt 79,6%", "C1"),
        ("- Thu phí, lệ phí đạt 530 triệu đồng;", "Thu phí, lệ phí đạt 530 triệu đồng", "D1"),
        ("Dân số trung bình gần 5 triệu người.", "Dân số trung bình gần 5 triệu người", "E1"),
        ("Trong kỳ TỔNG SỐ HỒ SƠ PHẢI GIẢI QUYẾT LÀ 99.", "TỔNG SỐ HỒ SƠ PHẢI GIẢI QUYẾT LÀ 99", "B1"),
    ],
)  # fmt: skip
def test_a_number_that_contradicts_the_form_is_asked_about(text: str, quote: str, code: str) -> None:
    (finding,) = said(text).findings
    assert (finding.code, finding.severity, finding.provided) == ("N11", "warning", quote)
    assert finding.expected == FIGURES[code]
    assert finding.path == "/narratives/N"


@pytest.mark.parametrize(
    "text",
    [
        "Tổng số hồ sơ phải giải quyết là 1.234 hồ sơ.",
        "Tổng số hồ sơ phải giải quyết là 1234.",
        "Tổng số hồ sơ phải giải quyết khoảng 1.200 hồ sơ.",
        "Tổng thu ngân sách trên địa bàn đạt 12,35 tỷ đồng.",
        "Tổng thu ngân sách trên địa bàn đạt 12,3 tỷ đồng, tăng 8,2% so với cùng kỳ.",
        "Tổng thu ngân sách trên địa bàn đạt 12.347,5 triệu đồng.",
        "Tổng thu ngân sách trên địa bàn đạt 12.347.500.000 đồng.",
        "Tổng thu ngân sách trên địa bàn hơn 12 tỷ đồng.",
        "Tổng thu ngân sách trên địa bàn đạt 71,4% dự toán.",
        "Tổng thu ngân sách trên địa bàn tăng 8,2 tỷ đồng.",
        "Tổng thu ngân sách trên địa bàn đạt 21.",
        "Lũy kế tổng thu ngân sách trên địa bàn đạt 45 tỷ đồng.",
        "Năm 2025, tổng thu ngân sách trên địa bàn đạt 45 tỷ đồng.",
        "Cùng kỳ năm trước tổng thu ngân sách trên địa bàn đạt 10 tỷ đồng.",
        "Tại thôn Gò Me, hồ sơ đã giải quyết là 12 hồ sơ.",
        "Hồ sơ đã giải quyết là 12 hồ sơ đất đai.",
        "Hồ sơ đã giải quyết trong 15 ngày.",
        "Hồ sơ đã giải quyết của lĩnh vực đất đai là 120.",
        "Hồ sơ đã giải quyết 1.200/1.234 hồ sơ.",
        "Hồ sơ đã giải quyết là 1.200 đạt",
        "Số hồ sơ đã giải quyết trực tuyến là 450.",
        "Tỷ lệ giải quyết đúng hạn đạt 97,6%, phấn đấu 99%.",
        "Dân số trung bình gần 3 triệu người; dân số trung bình trên 2,8 triệu người.",
        "Thu phí lệ phí đạt 350 triệu đồng.",
    ],
)
def test_what_agrees_or_may_mean_something_else_is_left_alone(text: str) -> None:
    assert said(text).findings == ()


def quoted(text: str) -> list[str | None]:
    return [finding.provided for finding in said(text).findings if finding.code == "N11"]


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("Kết quả:\nHồ sơ đã giải quyết là 1.020 hồ sơ\nHết.", "Hồ sơ đã giải quyết là 1.020 hồ sơ"),
        ("Hồ sơ đã giải quyết : 1.020 hồ sơ.", "Hồ sơ đã giải quyết : 1.020 hồ sơ"),
        ("Hồ sơ đã giải quyết = 1.020.", "Hồ sơ đã giải quyết = 1.020"),
        ("Hồ sơ  đã giải quyết là 1.020.", None),  # the label is written otherwise
        ("Hồ sơ đã giải quyết  là  1.020.", "Hồ sơ đã giải quyết là 1.020"),
        ("Đạt kết quả (hồ sơ đã giải quyết: 1.020).", "hồ sơ đã giải quyết: 1.020"),
        ("Hồ sơ đã giải quyết là 1.020 (đạt 90%).", "Hồ sơ đã giải quyết là 1.020"),
        ("Hồ sơ đã giải quyết là 1.020 – đạt.", "Hồ sơ đã giải quyết là 1.020"),
        ("Hồ sơ đã giải quyết là 1.020 - đạt.", "Hồ sơ đã giải quyết là 1.020"),
        ("Hồ sơ đã giải quyết là 1.020 percent.", None),
        ("Hồ sơ đã giải quyết là 1.020 so với kỳ trước.", "Hồ sơ đã giải quyết là 1.020"),
        ("Hồ sơ đã giải quyết là 1.020 hồ sơ và tăng.", "Hồ sơ đã giải quyết là 1.020 hồ sơ"),
        ("Hồ sơ đã giải quyết là 1.020 vụ.", None),  # of something else
        ("Tổng thu ngân sách trên địa bàn là 9,5 nghìn tỷ đồng.",
         "Tổng thu ngân sách trên địa bàn là 9,5 nghìn tỷ đồng"),
        ("Dân số trung bình là 3 triệu.", None),
        ("Dân số trung bình là 4 triệu.", "Dân số trung bình là 4 triệu"),
        ("Tỷ lệ giải quyết đúng hạn là 79,6.", None),  # without the sign it may be anything
        ("Hồ sơ đã giải quyết là 90%.", None),
        ("Hồ sơ đã giải quyết đạt " + "9" * 38 + ".", "Hồ sơ đã giải quyết đạt " + "9" * 38),
        ("Hồ sơ đã giải quyết đạt " + "9" * 39 + ".", None),  # more digits than a figure holds
    ],
)  # fmt: skip
def test_what_stands_between_label_number_and_clauses_end(text: str, quote: str | None) -> None:
    assert quoted(text) == ([] if quote is None else [quote])


@pytest.mark.parametrize(
    ("links", "found"),
    [("", True), ("là ước đạt được ở", True), ("là ước đạt được ở mức", False), ("vẫn", False)],
)
def test_only_some_words_and_not_many_part_a_label_from_its_number(links: str, found: bool) -> None:
    assert bool(quoted(f"Hồ sơ đã giải quyết {links} 1.020.".replace("  ", " "))) is found


@pytest.mark.parametrize(
    ("before", "found"),
    [
        ("Trong kỳ này và tháng này", True),
        ("Trong kỳ này và trong tháng này", False),
        ("Kết quả: trong kỳ này và tháng này", True),
        ("Kết quả: trong kỳ này và trong tháng này", False),
        ("Báo cáo trong kỳ", False),
        ("Vẫn trong", False),
        ("Năm 2025 đã qua. Trong kỳ", True),
        ("Tháng 9,", False),
        ("Tháng này,", True),
        ("Theo kế hoạch,", False),
        ("Theo kế hoạch đã giao; trong kỳ", True),
        (f"Kế hoạch {'a ' * 38}a,", False),
        (f"Kế hoạch {'a ' * 39}a,", True),  # more than forty words before
    ],
)
def test_the_label_begins_its_clause_in_a_sentence_about_this_period(before: str, found: bool) -> None:
    assert bool(quoted(f"{before} hồ sơ đã giải quyết là 1.020.")) is found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # a number is rounded to its last digit
        ("Tổng thu ngân sách trên địa bàn đạt 12,34 tỷ đồng.", False),
        ("Tổng thu ngân sách trên địa bàn đạt 12,36 tỷ đồng.", True),
        ("Tổng thu ngân sách trên địa bàn đạt 12,33 tỷ đồng.", True),
        ("Tổng thu ngân sách trên địa bàn đạt 12.347 triệu đồng.", False),
        ("Tổng thu ngân sách trên địa bàn đạt 12.346 triệu đồng.", True),
        ("Tổng thu ngân sách trên địa bàn đạt 0,0123 nghìn tỷ đồng.", False),
        ("Tổng thu ngân sách trên địa bàn đạt 0,0122 nghìn tỷ đồng.", True),
        # zeros at its end are rounding from a thousand on
        ("Hồ sơ đã giải quyết là 1.000.", False),
        ("Hồ sơ đã giải quyết là 2.000.", False),
        ("Hồ sơ đã giải quyết là 3.000.", True),
        ("Hồ sơ đã giải quyết là 900.", True),
        ("Hồ sơ đã giải quyết là 1.200.", False),
        ("Hồ sơ đã giải quyết là 1.201.", True),
        # "gần", "hơn" and their like leave a quarter of the larger number
        ("Hồ sơ đã giải quyết gần 1.600.", False),
        ("Hồ sơ đã giải quyết gần 1.601.", True),
        ("Hồ sơ đã giải quyết hơn 900.", False),
        ("Hồ sơ đã giải quyết hơn 899.", True),
        ("Hồ sơ đã giải quyết là 1.599.", True),
    ],
)
def test_a_rounding_is_no_difference(text: str, found: bool) -> None:
    assert bool(quoted(text)) is found


def test_a_finding_says_what_the_form_has_in_both_languages_with_its_unit() -> None:
    figure = FigureField(code="B1", label="Tổng số hồ sơ phải giải quyết", label_en="Cases to settle", unit="hồ sơ")
    form = Form(figures=(figure,), narratives=FORM.narratives, severities={"N11": "error"})
    text = "Tổng số hồ sơ phải giải quyết là 1.324 hồ sơ."
    told = judge(compile_form(form), {"B1": "1234"}, {"N": text}, nil=False)
    (finding,) = told.findings
    assert (told.outcome, finding.severity) == ("returned", "error")
    assert "“Tổng số hồ sơ phải giải quyết là 1.324 hồ sơ”" in finding.message
    assert finding.message.endswith("B1 (Tổng số hồ sơ phải giải quyết) là 1234 (hồ sơ).")
    assert finding.message_en.endswith("B1 (Cases to settle) is 1234 (hồ sơ).")
    left_out = judge(compile_form(form), {"B1": None}, {"N": text}, nil=False)
    assert "N11" not in [finding.code for finding in left_out.findings]


@pytest.mark.parametrize(
    "before", ["Trong 5 ngày.", "Dân số trung bình là 4 triệu người.", "Hồ sơ đã giải quyết quá hạn là 15 hồ sơ."]
)
def test_one_number_of_which_nothing_is_said_hides_no_other(before: str) -> None:
    figures = FIGURES | {"E1": None}
    told = judge(COMPILED, figures, {"N": f"{before} Hồ sơ đã giải quyết là 1.020."}, nil=False)
    assert [finding.provided for finding in told.findings if finding.code == "N11"] == ["Hồ sơ đã giải quyết là 1.020"]


def test_small_fractions_are_written_out_and_long_quotes_are_cut() -> None:
    label = "Tỷ lệ " + "nghiêng " * 22 + "theo mẫu"
    figure = FigureField(code="A", label=label, fraction_digits=7)
    form = compile_form(Form(figures=(figure,), narratives=FORM.narratives))
    (finding,) = judge(form, {"A": "0.0000001"}, {"N": f"{label} là 5."}, nil=False).findings
    assert finding.expected == "0.0000001"
    assert finding.provided is not None
    assert (len(finding.provided), finding.provided[-1]) == (161, "…")


def test_good_office_prose_contradicts_nothing() -> None:
    for text, _ in GOOD:
        assert said(text).findings == (), text


def test_a_figure_is_asked_about_once() -> None:
    text = " ".join(f"Hồ sơ đã giải quyết là {number}. Bộ phận {number} làm tốt." for number in range(2, 9))
    assert [finding.code for finding in said(text).findings] == ["N11"]


def test_five_figures_at_most_are_asked_about() -> None:
    labels = [f"Số việc {word} trong kỳ" for word in ("một", "hai", "ba", "bốn", "năm", "sáu", "bảy")]
    figures = tuple(FigureField(code=f"F{place}", label=label) for place, label in enumerate(labels))
    form = compile_form(Form(figures=figures, narratives=(NarrativeField(code="N", label="N"),)))
    text = "; ".join(f"{label} là 9" for label in labels)
    findings = judge(form, {f"F{place}": "1" for place in range(len(labels))}, {"N": text}, nil=False).findings
    assert [finding.code for finding in findings] == ["N11"] * 5


def test_labels_that_are_short_or_shared_are_not_looked_for() -> None:
    form = Form(
        figures=(
            FigureField(code="A", label="Thu khác"),
            FigureField(code="B", label="Số vụ vi phạm"),
            FigureField(code="C", label="Số vụ vi phạm"),
        ),
        narratives=(NarrativeField(code="N", label="N"),),
    )
    text = "Thu khác là 9. Số vụ vi phạm là 9."
    assert judge(compile_form(form), dict.fromkeys("ABC", "1"), {"N": text}, nil=False).findings == ()


@pytest.mark.parametrize("unit", ["hồ sơ đã ", "hồ sơ đã giải quyết là 7, ", "là 1.2.3, ", "trong kỳ, ", "a, 1 "])
def test_looking_for_figures_costs_the_length_of_the_text(unit: str) -> None:
    def work(text: str) -> object:
        return said(f"1 {text}")

    grown = growth(work, lambda count: unit * count, 1_500)
    assert grown < SQUARE_FROM, f"four times the text took {grown:.1f} times as long"


def test_many_labels_with_one_beginning_cost_no_more_than_few() -> None:
    figures = tuple(FigureField(code=f"F{place}", label=f"số hồ sơ loại {'a' * place}") for place in range(1, 400))
    form = compile_form(Form(figures=figures, narratives=(NarrativeField(code="N", label="N"),)))
    grown = growth(
        lambda text: judge(form, {}, {"N": f"1 {text}"}, nil=True), lambda count: "số hồ sơ loại, " * count, 800
    )
    assert grown < SQUARE_FROM
