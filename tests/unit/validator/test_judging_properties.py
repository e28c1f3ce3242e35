"""What holds of every form and every report, not only of the ones that somebody thought of."""

from __future__ import annotations

import unicodedata
from decimal import Decimal, localcontext
from uuid import UUID

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.validator.domain import EXACT, judge
from services.validator.rules import catalogue
from services.validator.rules.forms import compile_form
from services.validator.rules.numbers import Misread, Number, read, thousands_reading
from shared.contract.events import FigureField, Finding, Form, NarrativeField, SubmissionReceived, SumRule
from tests.unit.validator.reports import FORM, codes, decimals, forms_and_reports

_Case = tuple[Form, dict[str, str | None], dict[str, str]]


@settings(max_examples=50)
@given(forms_and_reports())
def test_a_report_that_obeys_its_form_is_accepted_without_findings(case: _Case) -> None:
    form, figures, narratives = case
    judgement = judge(compile_form(form), figures, narratives, nil=False)
    assert codes(judgement) == []
    required = sum(field.required for field in form.figures) + sum(field.required for field in form.narratives)
    assert (judgement.required_items, judgement.present_items) == (required, required)


@settings(max_examples=60)
@given(forms_and_reports(), st.data())
def test_one_fault_gives_exactly_its_finding(case: _Case, data: st.DataObject) -> None:
    form, figures, narratives = case
    assume(form.figures)
    target = data.draw(st.sampled_from(form.figures))
    text = figures[target.code]
    assert text is not None
    in_sum = {rule.total for rule in form.sums} | {term for rule in form.sums for term in rule.terms}
    assert target.code in in_sum
    fault = data.draw(st.sampled_from(["missing", "word", "comma", "exponent", "nan", "digits", "unknown"]))
    expected = {
        "missing": ["C01"] if target.required else None,
        "word": ["V01"],
        "comma": ["V02"],
        "exponent": ["V03"],
        "nan": ["V04"],
        "digits": ["V05"],
        "unknown": ["S01"],
    }[fault]
    assume(expected is not None)
    whole, _, fraction = text.partition(".")
    faults: dict[str, dict[str, str | None]] = {
        "missing": {target.code: None},
        "word": {target.code: "chưa rõ"},
        "comma": {target.code: f"{whole},{fraction or '5'}"},
        "exponent": {target.code: f"{whole}e0"},
        "nan": {target.code: "NaN"},
        "digits": {target.code: "1" * 39},
        "unknown": {"không có trong mẫu": text},
    }
    mutated = figures | faults[fault]
    judgement = judge(compile_form(form), mutated, narratives, nil=False)
    assert [code for code in codes(judgement) if code != "K02"] == expected
    assert codes(judgement).count("K02") <= 1  # its sum can no longer be checked
    assert judgement.outcome == "returned"
    lost = 0 if fault == "unknown" or not target.required else 1
    assert judgement.present_items == judgement.required_items - lost


@given(st.lists(decimals(30, 8), min_size=2, max_size=12), st.integers(-(10**6), 10**6))
def test_sums_of_38_digit_figures_are_compared_exactly(terms: list[Decimal], off: int) -> None:
    """The difference is known by construction in integers of 10^-12; no decimal context takes part."""
    units = sum(int(format(term, "f").replace(".", "")) * 10 ** (12 + int(term.as_tuple().exponent)) for term in terms)
    total_units = units + off
    assume(abs(total_units) < 10**38)

    def written(number: int) -> str:
        digits = f"{abs(number):013d}"
        return f"{'-' if number < 0 else ''}{digits[:-12]}.{digits[-12:]}"

    names = tuple(f"A{i}" for i in range(len(terms)))
    form = Form(
        figures=tuple(FigureField(code=code, label="", fraction_digits=12) for code in (*names, "T")),
        sums=(SumRule(code="R", total="T", terms=names),),
    )
    figures: dict[str, str | None] = {name: format(term, "f") for name, term in zip(names, terms, strict=True)}
    figures["T"] = written(total_units)
    judgement = judge(compile_form(form), figures, {}, nil=False)
    if off == 0:
        assert codes(judgement) == []
    else:
        (finding,) = judgement.findings
        assert finding.code == "K01"
        assert finding.difference is not None
        with localcontext(EXACT):
            assert Decimal(finding.difference) == Decimal(written(off))


_any_text = st.text(st.characters(), max_size=60)
_number_like = st.text(st.sampled_from("0123456789.,-+eE' _%NaIf\u00a0−٣"), max_size=45)
_texts = st.one_of(_any_text, _number_like)


@given(
    st.dictionaries(st.one_of(st.sampled_from(["T", "A", "B", "P", "O"]), _any_text), st.one_of(st.none(), _texts)),
    st.dictionaries(st.one_of(st.sampled_from(["N1", "N2"]), _any_text), _any_text),
    st.booleans(),
    st.booleans(),
)
def test_no_submission_makes_it_raise_and_every_finding_is_whole(
    figures: dict[str, str | None], narratives: dict[str, str], nil: bool, nil_allowed: bool
) -> None:
    event = SubmissionReceived(
        submission_id=UUID(int=1), obligation="a/r/p", agency="a", regime="r", regime_version=1, period="p",
        version=1, officer_id="o", received_at="2026-01-01T00:00:00+07:00", sha256="", nil=nil,
        figures=figures, narratives=narratives,
    )  # fmt: skip
    form = compile_form(FORM.model_copy(update={"nil_allowed": nil_allowed}))
    judgement = judge(form, event.figures, event.narratives, nil=event.nil)
    assert judgement == judge(form, dict(reversed(figures.items())), dict(reversed(narratives.items())), nil=nil)
    assert judgement.outcome == ("returned" if judgement.errors else "accepted")
    assert 0 <= judgement.present_items <= judgement.required_items
    assert judgement.errors + judgement.warnings == len(judgement.findings) or judgement.findings_truncated
    for finding in judgement.findings:
        Finding.model_validate(finding.model_dump())
        line = finding.model_dump_json()
        assert "\\u0000" not in line.replace("\\\\u0000", "")
        assert all((finding.message, finding.message_en, finding.fix, finding.fix_en))
        assert finding.code in catalogue.RULES
        assert finding.path == "" or finding.path.startswith("/")


@given(st.one_of(_number_like, _any_text))
def test_a_suggested_reading_would_itself_be_read(text: str) -> None:
    outcome = read(text)
    if isinstance(outcome, Misread):
        assert all(isinstance(read(reading), Number) for reading in outcome.readings)


@given(decimals(26, 12))
def test_a_number_is_read_as_it_was_written(value: Decimal) -> None:
    text = format(value, "f")
    assert read(text) == Number(value, len(text.partition(".")[2]))


@given(_texts, st.integers(0, 3))
def test_the_quick_check_and_the_slow_one_agree(text: str, fraction_digits: int) -> None:
    """The quick check may only pass what the slow one finds no fault with."""
    form = compile_form(Form(figures=(FigureField(code="A", label="", fraction_digits=fraction_digits),)))
    ((_, well_written, _, _, _),) = form.steps
    slow = read(text)
    if len(text) <= 38 and well_written(text):
        assert isinstance(slow, Number)
        assert slow.fraction_digits <= fraction_digits
        assert slow.value == Decimal(text)
    elif isinstance(slow, Number) and len(text) <= 38:
        assert slow.fraction_digits > fraction_digits or thousands_reading(text) is not None


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_composed_and_decomposed_narratives_are_judged_alike(text: str) -> None:
    form = compile_form(Form(narratives=(NarrativeField(code="N", label="", min_characters=10, max_characters=50),)))
    composed, decomposed = (unicodedata.normalize(kind, text) for kind in ("NFC", "NFD"))
    first = judge(form, {}, {"N": composed}, nil=False)
    assert first == judge(form, {}, {"N": decomposed}, nil=False)
