"""What the generated function is certain of, the closures say too; what the analyst writes is no part of its source."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.validator.formula import (
    BLANK,
    CannotEvaluate,
    Context,
    Field,
    Formula,
    Names,
    Operator,
    Tolerance,
    Type,
    Value,
    bind,
    check,
    compare,
    compile_formula,
    nodes,
    pair_holds,
    parse,
)
from services.validator.formula.compiling import Missing
from services.validator.formula.generating import MAX_DEPTH, MAX_NODES, Asked, Generated, generate
from services.validator.formula.values import NUMBERS
from services.validator.rules.forms import compile_form
from services.validator.rules.packs import Pack
from shared.contract.events import FigureField, Form

CODES = ("A", "B", "C", "D")
NAMES = Names({code: Field() for code in CODES} | {"T": Field(Type.TEXT)})
Figures = dict[str, Value | None]

_CONSTANTS = ("0", "1", "2.5", "100", "20%", "0.1234567890123456789012345678")
_ELSEWHERE = [f"{of}({what})" for of in ("PREV", "YOY") for what in ("[A]", "[B] + [C]", "MAX([A]:[D])")]
_NUMBERS = st.recursive(
    st.sampled_from([*(f"[{code}]" for code in CODES), *_CONSTANTS]),
    lambda parts: st.one_of(
        st.builds("({0} + {1})".format, parts, parts),
        st.builds("({0} - {1} + {0})".format, parts, parts),
        st.builds("({0} * {1})".format, parts, parts),
        st.builds("({0} / {1})".format, parts, parts),
        st.builds("-{0}".format, parts),
        st.builds("{0}%".format, parts),
        st.builds("ABS({0})".format, parts),
        st.builds("PCT({0}; {1})".format, parts, parts),
        st.builds("ROUND({0}; 1)".format, parts),
        st.builds("{0}({1}; {2})".format, st.sampled_from(["SUM", "AVERAGE", "MIN", "MAX"]), parts, parts),
        st.sampled_from(["SUM([A]:[D])", "AVERAGE([B]:[C])", "MAX([A]:[C])", "SUM([A])", "COUNT([A]:[D])"]),
        st.builds("IFBLANK([{0}]; {1})".format, st.sampled_from(CODES), parts),
        st.builds("IF({0} > {1}; {1}; {0})".format, parts, parts),
        st.sampled_from(_ELSEWHERE),
    ),
    max_leaves=5,
)  # fmt: skip
_COMPARISONS = st.one_of(
    st.builds("{0} {1} {2}".format, _NUMBERS, st.sampled_from(get_args(Operator)), _NUMBERS),
    st.builds("[{0}] = [{1}] + [{2}]".format, *[st.sampled_from(CODES)] * 3),
)
_CONDITIONS = st.recursive(
    st.one_of(
        _COMPARISONS,
        st.builds("{0} IN ({1}; {2})".format, _NUMBERS, _NUMBERS, _NUMBERS),
        st.sampled_from(["ISBLANK([A])", "ISBLANK([T])", '[T] = "a"', "TRUE"]),
    ),
    lambda parts: st.one_of(
        st.builds("AND({0}; {1})".format, parts, parts),
        st.builds("OR({0}; {1})".format, parts, parts),
        st.builds("NOT({0})".format, parts),
        st.builds("IF({0}; {1})".format, parts, parts),
        st.builds("IF({0}; {1}; {2})".format, parts, parts, parts),
    ),
    max_leaves=4,
)
_VALUES = st.one_of(
    st.none(),
    st.integers(-3, 12).map(Decimal),
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-1000, max_value=1000),
    # beside each other at 34 digits, and apart at 38
    st.integers(0, 20).map(lambda last: Decimal(10**37 + last)),
    st.integers(0, 20).map(lambda last: Decimal(10**37 + last).scaleb(-37)),
)
_REPORTS = st.fixed_dictionaries(dict.fromkeys(CODES, _VALUES) | {"T": st.sampled_from([None, "", "a", "b"])})
_MISSING = st.sampled_from(get_args(Missing))
_TOLERANCES = st.builds(
    Tolerance, st.sampled_from([Decimal(0), Decimal("0.5")]), st.sampled_from([Decimal(0), Decimal("0.01")])
)


def asked(
    text: str,
    when: str = "",
    operator: str = "",
    right: str = "",
    missing: Missing = "skip_if_any_missing",
    tolerance: Tolerance | None = None,
) -> Asked:
    formulas = [bind(parse(part), NAMES)[0] if part else None for part in (when, text, right)]
    assert formulas[1] is not None
    return Asked(formulas[0], formulas[1], missing, formulas[2], missing, operator, tolerance or Tolerance())


def generated(*rules: Asked | None) -> Generated:
    return generate(rules, frozenset(CODES), frozenset({"T"}))


def unsure(
    found: Generated, figures: Figures, previous: Figures | None = None, year: Figures | None = None
) -> list[int]:
    with localcontext(NUMBERS):
        return found.unsure(figures, previous, year)


def answer_of(rule: Asked, context: Context) -> Value:
    """As rules/packs.py asks it."""
    if rule.when is not None and (when := compile_formula(rule.when, NAMES)(context)) is not True:
        return when if isinstance(when, CannotEvaluate) else BLANK
    left = compile_formula(rule.left, NAMES, missing=rule.left_missing)(context)
    if rule.right is None:
        return left
    right = compile_formula(rule.right, NAMES, missing=rule.right_missing)(context)
    if rule.operator.endswith("_pair"):
        return pair_holds(left, rule.operator, right)  # type: ignore[arg-type]
    return compare(left, rule.operator, right, rule.tolerance)  # type: ignore[arg-type]


def agrees(rule: Asked, figures: Figures, previous: Figures | None, year_ago: Figures | None) -> bool:
    """Whether the closures are silent where the function is certain; returns whether it was."""
    if unsure(generated(rule), figures, previous, year_ago):
        return False
    answer = answer_of(rule, Context(figures, previous=previous, year_ago=year_ago))
    assert answer is True or answer is BLANK, answer
    return True


@given(_CONDITIONS, st.just("") | _CONDITIONS, _MISSING, _REPORTS, st.none() | _REPORTS, st.none() | _REPORTS)
def test_what_the_function_is_certain_of_holds(
    text: str, when: str, missing: Missing, figures: Figures, previous: Figures | None, year_ago: Figures | None
) -> None:
    if not check(parse(text), NAMES)[1]:
        agrees(asked(text, when, missing=missing), figures, previous, year_ago)


@given(
    _NUMBERS, st.sampled_from([*get_args(Operator), "compulsory_pair", "exclusive_pair"]), _NUMBERS, _MISSING,
    _TOLERANCES, _REPORTS,
)  # fmt: skip
def test_what_the_function_is_certain_of_two_sides_holds(
    left: str, operator: str, right: str, missing: Missing, tolerance: Tolerance, figures: Figures
) -> None:
    rule = asked(left, operator=operator, right=right, missing=missing, tolerance=tolerance)
    agrees(rule, figures, {"A": Decimal(3)}, None)


HOLDING: Figures = {"A": Decimal(10), "B": Decimal("7.5"), "C": Decimal("2.5"), "D": Decimal(0), "T": "a"}


@pytest.mark.parametrize(
    ("text", "differently"),
    [
        ("[A] = [B] + [C]", {"A": Decimal(11)}),
        ("[A] = SUM([B]:[D])", {"D": Decimal(1)}),
        ("[A] >= [B]", {"B": Decimal(11)}),
        ("AND([B] >= 0; [C] <= [A])", {"C": Decimal(11)}),
        ("OR([D] = 0; [A] > 0)", {"D": Decimal(1), "A": Decimal(-1)}),
        ("NOT([A] < [B])", {"A": Decimal(1)}),
        ("IF([B] > 0; PCT([C]; [B]) < 50; ISBLANK([C]))", {"C": Decimal(7)}),
        ("ABS([A] - PREV([A])) <= 20% * PREV([A])", {"A": Decimal(13)}),
        ("[A] <= 3 * YOY([A] + [B])", {"A": Decimal(91)}),
        ("[D] IN (0; 1)", {"D": Decimal(2)}),
        ("IFBLANK([A]; 0) <> [D]", {"A": None}),
        ("MAX([A]:[C]) = [A]", {"B": Decimal(12)}),
        ("ISBLANK([T]) = FALSE", None),  # truth values are not compared here: the closures are asked
        ("ROUND([B]) = 8", {"B": Decimal("7.4")}),
        ("ROUND([A]; [D]) = [A]", None),
        ('[T] = "a"', None),
    ],
)
def test_usual_rules_are_certain_while_they_hold(text: str, differently: Figures | None) -> None:
    """A control for the properties, which let pass what the function leaves to the closures."""
    found = generated(asked(text))
    previous: Figures = {"A": Decimal(10)}
    year_ago: Figures = {"A": Decimal(20), "B": Decimal(10)}
    if differently is None:
        assert not found.sure_of
        assert unsure(found, HOLDING, previous, year_ago) == [0]
    else:
        assert unsure(found, HOLDING, previous, year_ago) == []
        assert unsure(found, HOLDING | differently, previous, year_ago) == [0]


ALIKE: Figures = {"A": Decimal(10**37 + 1), "B": Decimal(10**37 + 2)}  # the same at 34 digits


@pytest.mark.parametrize(
    ("rule", "figures"),
    [
        (asked("[A]", operator="<>", right="[B]"), ALIKE),
        (asked("[A]", operator="<", right="[B]"), ALIKE),
        (asked("NOT([A] = [B])"), ALIKE),
        # a blank decides nothing beside what cannot be evaluated
        (asked("OR([A] = [B]; 1 / [D] > 0)"), {"A": None, "B": None, "D": Decimal(0)}),
        # a missing figure that counts as 0 is given
        (asked("[A]", operator="exclusive_pair", right="[B]", missing="never_skip"), {"A": None, "B": Decimal(1)}),
        # what cannot be rounded equals nothing
        (asked("ROUND([A]; 99) = ROUND([B]; 99)"), {"A": Decimal(1), "B": Decimal(1)}),
        # a tolerance widens what is equal
        (
            asked("[A]", operator="<>", right="[B]", tolerance=Tolerance(Decimal(1))),
            {"A": Decimal(1), "B": Decimal(2)},
        ),
    ],
)
def test_what_only_seems_certain_is_asked(rule: Asked, figures: Figures) -> None:
    answer = answer_of(rule, Context(figures))
    assert answer is False or isinstance(answer, CannotEvaluate)
    assert unsure(generated(rule), figures) == [0]


def test_one_bad_rule_does_not_hide_another() -> None:
    """A division by zero, a missing figure or a missing report makes its own rule unsure, no other."""
    found = generated(asked("1 / [D] > 0"), asked("[A] > 0"), None, asked("PREV([A]) = [A]"), asked("[B] < [C]"))
    assert unsure(found, HOLDING | {"B": None}) == [0, 2, 3, 4]


@pytest.mark.parametrize("terms", [MAX_NODES, 600])
def test_long_rules_are_left_to_the_closures(terms: int) -> None:
    rule = asked("[A] <= " + " + ".join(["[B]"] * terms))
    assert generated(rule, asked("[A] > 0")).sure_of == {1}


def test_deep_rules_are_left_to_the_closures() -> None:
    deep = "ABS(-" * (MAX_DEPTH // 2) + "[A]" + ")" * (MAX_DEPTH // 2)
    assert generated(asked(f"{deep} > 0"), asked("[A] > 0")).sure_of == {1}


def test_no_text_of_the_analyst_is_part_of_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = 'x"]); __import__("os").abort(); (["'
    sources: list[str] = []
    real: Callable[..., Any] = builtins.compile

    def seen(source: Any, *others: Any) -> Any:
        sources.append(source)
        return real(source, *others)

    monkeypatch.setattr(builtins, "compile", seen)
    terms = tuple(nodes.Term(False, node) for node in (nodes.Literal(Decimal(12345)), nodes.Figure(hostile)))
    equal = Formula(hostile, nodes.Comparison("=", nodes.Figure(hostile), nodes.Sum(terms)))
    rule = Asked(None, equal, "skip_if_any_missing", None, "skip_if_any_missing", "", Tolerance())
    found = generate([rule], frozenset({hostile}), frozenset())
    assert unsure(found, {hostile: Decimal(1)}) == [0]
    assert found.figures == {hostile}
    (source,) = sources
    assert "import" not in source
    assert "12345" not in source


TEXTS = {"message": "{[A]} {[B]}", "message_en": "{[A]} {[B]}", "fix": "Sửa.", "fix_en": "Mend."}


def pack_of(*asserted: str) -> Pack:
    form = Form.model_validate(
        {
            "figures": [FigureField(code=code, label=code, fraction_digits=2, required=False) for code in CODES],
            "rules": [
                {"id": f"QT-{place}", "tier": "consistency", "severity": "confirm", **TEXTS, "assert": text,
                 "tests": [{}]}
                for place, text in enumerate(asserted)
            ],
        }
    )  # fmt: skip
    pack = compile_form(form).pack
    assert pack is not None
    return pack


PACK = pack_of("[A] = [B] + [C]", "[A] >= [B]", "OR([C] > 0; [D] > 0)", "[A] / [D] > 1", "ISBLANK([D])")


@given(st.fixed_dictionaries({code: st.none() | st.integers(-1, 3).map(str) for code in CODES}))
def test_a_pack_says_the_same_with_every_rule_asked(figures: dict[str, str | None]) -> None:
    """With `enter` the closures are asked every rule, as in the process beside."""
    values = PACK.numbers(figures)
    quick: list[Any] = []
    slow: list[Any] = []
    PACK.check(values, figures, {}, quick)
    PACK.check(values, figures, {}, slow, enter=lambda tier, rule: None)
    assert quick == slow


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        # 35 digits, one after the point: to begin with 0 rounds the first up before the second is taken off
        (("1000000000000000000000000000000000.5", "-0.1"), "1000000000000000000000000000000000"),
    ],
)
def test_a_sum_is_rounded_as_plus_is(numbers: tuple[str, str], expected: str) -> None:
    """SUM and + of the same figures are the same, beyond 34 digits too."""
    figures: Figures = dict(zip("AB", map(Decimal, numbers), strict=True))
    answers = [compile_formula(parse(text), NAMES)(Context(figures)) for text in ("SUM([A]:[B])", "[A] + [B]")]
    assert answers == [Decimal(expected)] * 2
