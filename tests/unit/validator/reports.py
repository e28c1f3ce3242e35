"""Forms and valid reports to vary from; every valid report made here must be accepted without a finding."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from hypothesis import strategies as st

from services.validator.domain import Judgement, judge
from services.validator.rules.forms import compile_form
from shared.contract.events import FigureField, Form, NarrativeField, SumRule

NARRATIVE = (
    "Trong kỳ, Ủy ban nhân dân xã đã tiếp nhận và giải quyết hồ sơ đúng hạn; công tác phối hợp với các sở "
    "được duy trì thường xuyên. Khó khăn chủ yếu là thiếu cán bộ chuyên trách."
)

FORM = Form(
    nil_allowed=True,
    figures=(
        FigureField(code="T", label="Tổng số hồ sơ", label_en="Cases", unit="hồ sơ", minimum="0", maximum="1000000"),
        FigureField(code="A", label="Đúng hạn", label_en="On time", minimum="0", maximum="1000000"),
        FigureField(code="B", label="Quá hạn", label_en="Late", minimum="0", maximum="1000000"),
        FigureField(code="P", label="Tỷ lệ", label_en="Rate", unit="%", minimum="0", maximum="100", fraction_digits=2),
        FigureField(code="O", label="Ghi thêm", required=False, minimum="-5", fraction_digits=3),
    ),
    narratives=(
        NarrativeField(code="N1", label="Đánh giá", label_en="Assessment", min_characters=40, max_characters=400),
        NarrativeField(code="N2", label="Kiến nghị", required=False, max_characters=400),
    ),
    sums=(SumRule(code="K-T", total="T", terms=("A", "B")),),
)

FIGURES: dict[str, str | None] = {"T": "120", "A": "100", "B": "20", "P": "83.33", "O": None}
NARRATIVES = {"N1": NARRATIVE}


def judged(
    figures: Mapping[str, str | None] | None = None,
    narratives: Mapping[str, str] | None = None,
    *,
    form: Form = FORM,
    nil: bool = False,
) -> Judgement:
    """The judgement on a report; what is not given is the valid one's."""
    return judge(
        compile_form(form),
        FIGURES if figures is None else figures,
        NARRATIVES if narratives is None else narratives,
        nil=nil,
    )


def codes(judgement: Judgement) -> list[str]:
    return [finding.code for finding in judgement.findings]


@st.composite
def decimals(draw: st.DrawFn, whole_digits: int = 25, fraction_digits: int = 12) -> Decimal:
    """Exact decimals of up to `whole_digits` + `fraction_digits` digits, either sign."""
    whole = draw(st.integers(0, 10**whole_digits - 1))
    places = draw(st.integers(0, fraction_digits).filter(lambda places: places != 3))  # 1.234 may mean thousands
    fraction = draw(st.integers(0, 10**places - 1)) if places else 0
    sign = draw(st.sampled_from(["", "-"]))
    return Decimal(f"{sign}{whole}.{fraction:0{places}d}" if places else f"{sign}{whole}")


@st.composite
def forms_and_reports(draw: st.DrawFn) -> tuple[Form, dict[str, str | None], dict[str, str]]:
    """A random form with sum rules and a report that obeys it. Totals come first, each with terms of its own."""
    fields: list[FigureField] = []
    figures: dict[str, str | None] = {}
    rules: list[SumRule] = []
    for group in range(draw(st.integers(0, 3))):
        terms = {f"G{group}.{i}": draw(decimals()) for i in range(draw(st.integers(1, 4)))}
        values = terms | {f"G{group}": _exact_sum(list(terms.values()))}
        for code, value in values.items():
            margin = draw(st.integers(0, 100))
            fields.append(
                FigureField(
                    code=code,
                    label=draw(st.sampled_from(["Chỉ tiêu", "Số hộ nghèo", ""])),
                    required=draw(st.booleans()),
                    minimum=draw(st.sampled_from([None, value, _exact_sum([value, Decimal(-margin)])])),
                    maximum=draw(st.sampled_from([None, value, _exact_sum([value, Decimal(margin)])])),
                    fraction_digits=12,
                )
            )
            figures[code] = format(value, "f")
        tolerance = Decimal(draw(st.sampled_from(["0", "0.5", "3"])))
        rules.append(SumRule(code=f"R{group}", total=f"G{group}", terms=tuple(terms), tolerance=tolerance))
    narratives: dict[str, str] = {}
    sections = []
    for section in range(draw(st.integers(0, 3))):
        sections.append(
            NarrativeField(
                code=f"N{section}",
                label="Thuyết minh",
                required=draw(st.booleans()),
                min_characters=20,
                max_characters=len(NARRATIVE),
            )
        )
        narratives[f"N{section}"] = NARRATIVE
    form = Form(figures=tuple(fields), narratives=tuple(sections), sums=tuple(rules), nil_allowed=draw(st.booleans()))
    return form, figures, narratives


def _exact_sum(values: list[Decimal]) -> Decimal:
    """An exact sum by integers, so that the tests do not lean on the arithmetic that they test."""
    scale = 12
    total = sum(_scaled(value, scale) for value in values)
    sign = "-" if total < 0 else ""
    digits = f"{abs(total):0{scale + 1}d}"
    return Decimal(f"{sign}{digits[:-scale]}.{digits[-scale:]}")


def _scaled(value: Decimal, scale: int) -> int:
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    number: int = int("".join(map(str, digits))) * 10 ** (exponent + scale)
    return -number if sign else number
