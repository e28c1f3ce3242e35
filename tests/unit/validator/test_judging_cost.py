"""Judging costs what a report is long, whatever is in it; the old ways, which cost its square, are kept as controls."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.validator.domain import judge
from services.validator.rules import fingerprints, narratives, numbers
from services.validator.rules.flaws import Flaw
from services.validator.rules.forms import FormError, compile_form
from shared.contract.events import FigureField, Form, NarrativeField
from shared.runtime.cpu import work_seconds
from tests.unit.growth import SQUARE_FROM, growth

NARRATIVE = NarrativeField(
    code="N",
    label="N",
    min_characters=1,
    max_characters=10**7,
    min_syllables=10**7,
    min_sentences=10**7,
    roles=("results", "assessment", "causes", "proposals"),
)
NARRATIVE_FORM = compile_form(
    Form(
        figures=(FigureField(code="A", label="A", required=False),),
        narratives=(NARRATIVE,),
        severities={"N12": "confirm", "N13": "confirm"},
    )
)
MARKS = sorted(
    (chr(point) for point in range(0x300, 0x34F) if unicodedata.combining(chr(point))),
    key=unicodedata.combining,
    reverse=True,
)


def descending(count: int) -> str:
    """One letter and so many combining marks, sorted the wrong way round."""
    repeats = -(-count // len(MARKS))
    return "a" + "".join(mark * repeats for mark in MARKS)[:count]


#: words enough that what follows is taken neither for filler nor for too short to be compared with other texts
PROSE = " ".join(f"từ{number} khác" for number in range(150)) + " "
HOSTILE: dict[str, Callable[[int], str]] = {
    "marks in descending class": descending,
    "invisible and white in turns": lambda count: "\u200b " * count + "x" + " \u200b" * count,
    "runs just too short": lambda count: "aaaaaaaaab" * count,
    "control characters": lambda count: "a\x01" * count,
    "one long run": lambda count: "a" * count,
    "one word": lambda count: "ab" * count,
    "words": lambda count: "ab " * count,
    "white only": lambda count: " \n" * count,
    "composed": lambda count: "ế" * count,
    "decomposed": lambda count: "e\u0302\u0301" * count,
    "mojibake": lambda count: "Ã¡" * count,
    "nearly mojibake": lambda count: "á»" * count,
    "an old font": lambda count: "nghÜa ViÖt " * count,
    "question marks": lambda count: "a?" * count,
    "sentences": lambda count: "a. " * count,
    "semicolons": lambda count: "; " * count,
    "marks that end no sentence": lambda count: PROSE + "!?" * count + "a",
    "opening quotation marks": lambda count: PROSE + "“«" * count + "a",
}


@pytest.mark.parametrize("shape", HOSTILE)
@pytest.mark.parametrize("code", ["N", "unknown"])
def test_a_narrative_costs_its_length(shape: str, code: str) -> None:
    def work(text: str) -> object:
        return judge(NARRATIVE_FORM, {}, {code: text}, nil=True)

    grown = growth(work, HOSTILE[shape], 12_000)
    assert grown < SQUARE_FROM, f"four times the text took {grown:.1f} times as long"


@pytest.mark.parametrize(
    "make",
    [
        lambda count: "1" * count + "x",
        lambda count: "1 " * count + "x",
        lambda count: "1" * count + "%",
        lambda count: "1," * count,
        lambda count: "1." * count + "e",
        lambda count: "." * count,
        lambda count: "1" * count + "e",
    ],
)
def test_a_figure_costs_its_length_also_where_it_is_explained(make: Callable[[int], str]) -> None:
    grown = growth(numbers._diagnose, make, 4_000)
    assert grown < SQUARE_FROM, f"four times the text took {grown:.1f} times as long"


def test_codes_that_the_form_does_not_have_cost_their_number() -> None:
    def work(text: str) -> object:
        codes = [f"{'k' * 40}{place}" for place in range(len(text))]
        return judge(NARRATIVE_FORM, dict.fromkeys(codes, "1"), {}, nil=False)

    grown = growth(work, lambda count: "." * count, 500)
    assert grown < SQUARE_FROM, f"four times the codes took {grown:.1f} times as long"


def test_all_codes_that_the_form_does_not_have_are_counted_and_the_first_are_told() -> None:
    figures = {f"k{place:05}": None for place in range(2_000)}
    judgement = judge(NARRATIVE_FORM, figures, {"N": "đủ", "z": "x"}, nil=False)
    assert (judgement.errors, judgement.findings_truncated) == (2_001, True)
    assert [finding.path for finding in judgement.findings] == [f"/figures/{code}" for code in list(figures)[:500]]
    assert all(finding.provided and finding.fix for finding in judgement.findings)


def test_a_finding_stays_short_however_long_the_form_s_words_are() -> None:
    field = FigureField(code="A", label="nhãn " * 100_000, unit="đồng " * 100_000)
    judgement = judge(compile_form(Form(figures=(field,))), {}, {}, nil=False)
    (finding,) = judgement.findings
    assert len(finding.model_dump_json()) < 3_000


NUMERIC_BEFORE = re.compile(r"[+-]?[0-9.,' _]*[0-9][0-9.,' _]*")
EXPONENT_BEFORE = re.compile(r"[+-]?(?:[0-9]+[.,]?[0-9]*|[.,][0-9]+)[eE][+-]?[0-9]+")


@given(st.text(st.sampled_from("01.,' _eE+-x"), max_size=12))
def test_the_linear_patterns_take_what_the_old_ones_took(text: str) -> None:
    assert bool(numbers._NUMERIC.fullmatch(text)) == bool(NUMERIC_BEFORE.fullmatch(text))
    assert bool(numbers._EXPONENT_ANY.fullmatch(text)) == bool(EXPONENT_BEFORE.fullmatch(text))


SENTENCE_ENDS_BEFORE = re.compile(r"[.!?…]+(?=\s|\Z)|[;\n]+")


@given(st.text(st.sampled_from(".!?…;\n a"), max_size=12))
def test_sentences_end_where_they_ended(text: str) -> None:
    assert narratives._SENTENCE_ENDS.split(text) == SENTENCE_ENDS_BEFORE.split(text)


def test_of_quotations_in_each_other_the_inner_one_is_left_out() -> None:
    text = "theo Nghị định “về chế độ «báo cáo định kỳ» của cơ quan” đã ban hành"
    assert " ".join(fingerprints.own_words(text)) == "theo nghị định về chế độ của cơ quan đã ban hành"


def _trimmed_in_turns(text: str) -> str:
    text = text.strip()
    while text and (text[0] in narratives._INVISIBLE or text[-1] in narratives._INVISIBLE):
        text = text.strip(narratives._INVISIBLE).strip()
    return text


@pytest.mark.parametrize(
    ("old", "make", "count"),
    [
        (lambda text: unicodedata.normalize("NFC", text), descending, 1_000),
        (_trimmed_in_turns, HOSTILE["invisible and white in turns"], 8_000),
        (NUMERIC_BEFORE.fullmatch, lambda count: "1" * count + "x", 1_500),
        (EXPONENT_BEFORE.fullmatch, lambda count: "1" * count + "x", 1_500),
        (SENTENCE_ENDS_BEFORE.split, lambda count: "!?" * count + "a", 500),
    ],
)
def test_control_the_old_ways_cost_the_square(
    old: Callable[[str], object], make: Callable[[int], str], count: int
) -> None:
    # a neighbour that slows only the shorter text hides the growth: one clear showing is enough
    assert any(growth(old, make, count) > SQUARE_FROM for _ in range(5)), "four times the text takes 16 times as long"


@pytest.mark.parametrize("text", ["\u200b \u200b x y \u00ad", "x\u200by", "\u200b", "\u3000\ufeff a", "", " \u2060 "])
def test_trimming_at_once_is_trimming_in_turns(text: str) -> None:
    assert narratives.trimmed(text) == _trimmed_in_turns(text)
    assert all(not chr(point).isspace() for point in range(0x3001, 0x110000))


# --- rules about other reports, which are asked within the transaction ----------------------------------------------


def _looking_back(rules: Sequence[dict[str, str]], rows: int = 1) -> Form:
    texts = {"message": "{[A]}", "message_en": "{[A]}", "fix": "Sửa.", "fix_en": "Correct it."}
    columns = [{"code": "C", "label": "C", "type": "decimal"}, {"code": "D", "label": "D", "type": "text"}]
    return Form.model_validate(
        {
            "figures": [{"code": code, "label": code} for code in ("A", *(f"F{place}" for place in range(250)))],
            "tables": [{"code": "T", "label": "T", "max_rows": rows, "columns": columns}],
            "rules": [
                {"id": f"QT-{number:03}", "tier": "history", "severity": "confirm", "tests": [{}], **texts, **rule}
                for number, rule in enumerate(rules)
            ],
        }
    )


#: the costliest kinds, so many times or for so many rows
COSTLIEST: dict[str, Callable[[int], Form]] = {
    "rows": lambda count: _looking_back([{"table": "T", "assert": "[T.C] <= PREV([A]) - 10"}], 50 * count),
    "texts of rows": lambda count: _looking_back(
        [{"table": "T", "assert": 'AND(MATCHES([T.D]; "a+b"); PREV([A]) > 0)'}], 50 * count
    ),
    "sums of rows": lambda count: _looking_back([{"assert": "SUM([T.C]) < PREV([A]) - 10"}] * count, 500),
    "sums of figures": lambda count: _looking_back([{"assert": "PREV([A]) < SUM([F0]:[F249]) * 0 - 1"}] * count),
    "roots": lambda count: _looking_back([{"assert": "[A] ^ 0.5 + PREV([A]) < 0 - 1"}] * count),
    "agencies beneath": lambda count: _looking_back(
        [{"assert": f"CHILDREN_SUM([F{place}]) < 0 - 1"} for place in range(min(count, 250))]
    ),
}


@pytest.mark.parametrize("kind", COSTLIEST)
def test_the_costliest_rules_that_are_published_take_a_bounded_part_of_a_transaction(kind: str) -> None:
    """One report takes some 20 ms, of a thousand agencies beneath some 200; ten times that is not taken."""
    costliest, count = None, 1
    with suppress(FormError):
        while count < 5_000:
            form = COSTLIEST[kind](count)
            costliest = compile_form(form), form.tables[0].max_rows
            count = count * 5 // 4 + 1
    assert costliest is not None
    assert count < 5_000, "more is refused"
    (compiled, rows), figures = costliest, {"A": "5", **{f"F{place}": "1234567890123.25" for place in range(250)}}
    table = [{"C": "1234567890123.25", "D": "a" * 20 + "c"}] * rows
    assert compiled.pack is not None
    spent = []
    for _ in range(2):
        flaws: list[Flaw] = []
        begun = work_seconds()
        compiled.pack.look_back(figures, figures, None, flaws, tables={"T": table}, children=[figures] * 1_000)
        spent.append(work_seconds() - begun)
        assert flaws, "they say something, which costs most"
    assert min(spent) < 2
