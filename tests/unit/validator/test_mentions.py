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
        "Số hồ sơ đã giải quyết trực tuyến là 450.",
        "Tỷ lệ giải quyết đúng hạn đạt 97,6%, phấn đấu 99%.",
        "Dân số trung bình gần 3 triệu người; dân số trung bình trên 2,8 triệu người.",
        "Thu phí lệ phí đạt 350 triệu đồng.",
    ],
)
def test_what_agrees_or_may_mean_something_else_is_left_alone(text: str) -> None:
    assert said(text).findings == ()


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
