"""An assessment without any key figure is asked about; any mention, by name or by number, is enough."""

from __future__ import annotations

import pytest

from services.validator.domain import judge
from services.validator.rules.forms import CompiledForm, compile_form
from shared.contract.events import FigureField, Form, NarrativeField
from shared.contract.events.registry import NarrativeRole
from shared.contract.events.verdicts import Weight
from tests.unit.growth import SQUARE_FROM, growth


def form(*roles: NarrativeRole, key: bool = True, **severities: Weight) -> CompiledForm:
    return compile_form(
        Form(
            figures=(
                FigureField(code="A", label="Tổng thu ngân sách trên địa bàn", unit="triệu đồng", fraction_digits=1,
                            key=key),
                FigureField(code="B", label="Hồ sơ quá hạn", key=key),
                FigureField(code="C", label="Cuộc họp trong kỳ"),
            ),
            narratives=(NarrativeField(code="N", label="Đánh giá", roles=roles),),
            severities=severities,
        )
    )  # fmt: skip


ASSESSMENT = form("assessment")
FIGURES = {"A": "12347.5", "B": "15", "C": "28"}


def codes(text: str, by: CompiledForm = ASSESSMENT, figures: dict[str, str] = FIGURES) -> list[str]:
    return [finding.code for finding in judge(by, figures, {"N": text}, nil=False).findings]


@pytest.mark.parametrize(
    "text",
    [
        "Công tác chỉ đạo kịp thời, còn một số hạn chế.",
        "Nhìn chung tốt, 28 cuộc họp được tổ chức.",
        "Kết quả tốt, đạt 1 nhiệm vụ; năm 2026 còn hạn chế.",
    ],
)
def test_an_assessment_of_no_key_figure_is_asked_about(text: str) -> None:
    (finding,) = judge(ASSESSMENT, FIGURES, {"N": text}, nil=False).findings
    assert (finding.code, finding.severity, finding.path) == ("N14", "warning", "/narratives/N")
    assert "A (Tổng thu ngân sách trên địa bàn), B (Hồ sơ quá hạn)" in finding.message


@pytest.mark.parametrize(
    "text",
    [
        "Kết quả thu ngân sách trên địa bàn còn hạn chế.",
        "HỒ SƠ  QUÁ HẠN còn nhiều.",
        "Tốt: đạt 12.347,5 triệu đồng.",
        "Tốt: đạt 12,35 tỷ đồng.",
        "Tốt, hơn 12 tỷ đồng.",
        "Còn 15 việc chậm.",
        "Ket qua tot, con han che.",
    ],
)
def test_a_mention_by_name_or_number_is_enough(text: str) -> None:
    assert codes(text) == []


def test_other_sections_forms_without_keys_zeros_and_nil_are_not_asked() -> None:
    text = "Nhìn chung đạt kết quả tốt, còn hạn chế."
    assert codes(text) == ["N14"]
    assert codes(text, form("results")) == []
    assert codes(text, form("assessment", key=False)) == []
    assert codes(text, ASSESSMENT, {"A": "0", "B": "0", "C": "28"}) == []
    assert "N14" not in [finding.code for finding in judge(ASSESSMENT, {}, {"N": text}, nil=True).findings]


def test_the_regime_may_make_it_an_error() -> None:
    assert judge(form("assessment", N14="error"), FIGURES, {"N": "Kết quả tốt."}, nil=False).outcome == "returned"


@pytest.mark.parametrize("unit", ["1,2 ", "hồ sơ ", "9"])
def test_it_costs_the_length_of_the_text(unit: str) -> None:
    grown = growth(lambda text: codes(f"tốt {text}"), lambda count: unit * count, 3_000)
    assert grown < SQUARE_FROM
