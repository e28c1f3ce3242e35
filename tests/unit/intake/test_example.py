"""Every example is judged by the validator's own code: found or not, never wrong; and never dear."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.sample import generate
from services.intake.registry import example
from services.intake.registry.example import NoExample
from services.validator.domain import Judgement, judge
from services.validator.rules.forms import compile_form
from shared.contract.events import FigureField, Form, NarrativeField, RegimePublished, SumRule
from shared.runtime.cpu import work_seconds

SAMPLES = sorted((Path(generate.__file__).parent / "regimes").glob("*.yaml"))


def figure(code: str, **others: Any) -> FigureField:
    return FigureField(code=code, label=code, **others)


def bounded(code: str, minimum: str | None, maximum: str | None, digits: int = 0) -> FigureField:
    low, high = (None if bound is None else Decimal(bound) for bound in (minimum, maximum))
    return figure(code, minimum=low, maximum=high, fraction_digits=digits)


def total(code: str, *terms: str, tolerance: str = "0") -> SumRule:
    return SumRule(code=f"S-{code}-{'-'.join(terms)}"[:60], total=code, terms=terms, tolerance=Decimal(tolerance))


def judged(form: Form, figures: dict[str, str]) -> Judgement:
    return judge(compile_form(form), dict(figures), example.narratives(form), example.tables(form), nil=False)


def assert_accepted(form: Form) -> dict[str, str]:
    figures = example.figures(form)
    judgement = judged(form, figures)
    assert (judgement.outcome, judgement.findings) == ("accepted", ())
    return figures


def test_texts_are_filled_in_the_order_of_the_form_and_left_alone_by_sums() -> None:
    texts = (figure("X", kind="text"), figure("Y", kind="text", max_characters=3, required=False))
    form = Form(figures=(texts[0], figure("T"), figure("A"), texts[1]), sums=(total("T", "A"),))
    figures = assert_accepted(form)
    assert list(figures) == ["X", "T", "A", "Y"]
    assert (figures["T"], len(figures["Y"])) == (figures["A"], 3)
    assert list(assert_accepted(Form(figures=texts))) == ["X", "Y"]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_the_example_of_every_sample_form_is_accepted_without_a_finding(path: Path) -> None:
    form = RegimePublished.model_validate({**yaml.safe_load(path.read_text()), "version": 1}).form
    figures = assert_accepted(form)
    assert figures.keys() == {figure.code for figure in form.figures}
    # negative control: the validator would have noticed a wrong one
    rule = form.sums[0]
    wrong = {**figures, rule.total: str(Decimal(figures[rule.total]) + 1)}
    assert judged(form, wrong).outcome == "returned"


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(
            Form(
                figures=tuple(map(figure, "ABCDEFG")),
                sums=(total("A", "B", "C"), total("B", "D", "E"), total("A", "F", "G"), total("C", "F")),
            ),
            id="chained, two ways to one total, a term shared",
        ),
        pytest.param(
            Form(
                figures=(bounded("A", None, "7"), bounded("B", "3", None), bounded("C", "4", None)),
                sums=(total("A", "B", "C"),),
            ),
            id="one solution alone",
        ),
        pytest.param(
            Form(
                figures=(figure("A"), bounded("B", "0.25", None, 2), bounded("C", None, None, 3)),
                sums=(total("A", "B", "C"),),
            ),
            id="a whole total of broken terms",
        ),
        pytest.param(
            Form(figures=(figure("A", fraction_digits=1, minimum=Decimal("0.5"), maximum=Decimal("0.5")), figure("B")),
                 sums=(total("A", "B", tolerance="0.5"),)),
            id="only within the tolerance",
        ),
        pytest.param(
            Form(figures=(figure("A", minimum=Decimal(-9), maximum=Decimal(-5)), figure("B", maximum=Decimal(0))),
                 sums=(total("A", "B"),)),
            id="negative",
        ),
        pytest.param(
            Form(figures=(bounded("A", "1" + "0" * 37, None), figure("B"), figure("C")), sums=(total("A", "B", "C"),)),
            id="as long as a number may be",
        ),
        pytest.param(
            Form(figures=(figure("A"), figure("B", required=False, minimum=Decimal(5))),
                 sums=(total("A", "A", "B"),)),
            id="only without the optional figure",
        ),
        pytest.param(
            Form(narratives=(NarrativeField(code="N", label="", min_characters=20_000),
                             NarrativeField(code="M", label="", min_characters=1, max_characters=1),
                             NarrativeField(code="O", label="", required=False, max_characters=0))),
            id="the longest and the shortest text",
        ),
    ],
)  # fmt: skip
def test_a_form_that_needs_thought_has_an_example(form: Form) -> None:
    assert_accepted(form)


def test_where_there_is_none_it_is_said() -> None:
    low, high = Decimal(1), Decimal(2)
    with pytest.raises(NoExample):
        example.figures(Form(figures=(figure("A", maximum=low), figure("B", minimum=high)), sums=(total("A", "B"),)))
    with pytest.raises(NoExample):
        example.report_content(Form(narratives=(NarrativeField(code="N", label="", max_characters=0),)))
    with pytest.raises(NoExample):
        example.report_content(
            Form(narratives=tuple(NarrativeField(code=f"N{n}", label="", min_characters=20_000) for n in range(20)))
        )
    with pytest.raises(NoExample):
        example.figures(Form(figures=(figure("A", minimum=Decimal("1E+90")),)))


@pytest.mark.parametrize("minimum", [None, Decimal(1)])
def test_the_cost_is_bounded_whatever_the_form(minimum: Decimal | None) -> None:
    """Sums over everything, each sharing all of its figures with the others: the dearest there is."""
    codes = [f"C{n}" for n in range(2000)]
    form = Form(
        figures=tuple(figure(code, minimum=minimum) for code in codes),
        sums=tuple(total(codes[n], *codes[n + 1 :]) for n in range(0, 1000, 10)),
    )
    begun = work_seconds()
    try:
        figures = example.figures(form)
    except NoExample:
        figures = None
    assert work_seconds() - begun < 5
    if figures is not None:
        assert judged(form, figures).outcome == "accepted"


@st.composite
def forms(draw: st.DrawFn) -> Form:
    codes = [f"C{n}" for n in range(draw(st.integers(1, 8)))]
    figures = []
    for code in codes:
        digits = draw(st.integers(0, 3))
        low = draw(st.none() | st.decimals(-100, 100, places=digits))
        high = draw(st.none() | st.decimals(-100, 100, places=2))
        if low is not None and high is not None and low > high:
            low, high = high, low
        required = draw(st.booleans())
        figures.append(figure(code, minimum=low, maximum=high, fraction_digits=digits, required=required))
    sums = []
    for n in range(draw(st.integers(0, 4))):
        terms = draw(st.lists(st.sampled_from(codes), min_size=1, max_size=4))
        tolerance = draw(st.decimals(0, 2, places=2))
        sums.append(SumRule(code=f"S{n}", total=draw(st.sampled_from(codes)), terms=tuple(terms), tolerance=tolerance))
    return Form(figures=tuple(figures), sums=tuple(sums))


@settings(max_examples=200, deadline=None)
@given(forms())
def test_what_is_found_is_accepted(form: Form) -> None:
    try:
        figures = example.figures(form)
    except NoExample:
        return
    assert judged(form, figures).outcome == "accepted"
