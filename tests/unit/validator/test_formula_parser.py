"""What the language takes, and where and how it says what it does not take."""

from __future__ import annotations

import unicodedata
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.validator.formula import FormulaError, caret, parse
from services.validator.formula.nodes import Column, Comparison, Figure, Literal, Range, Span
from services.validator.formula.parser import MAX_CHARACTERS, MAX_DEPTH
from tests.unit.validator.formula_rig import shown, value_of


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("10 - 2 - 3", "5"),
        ("100 / 5 / 2", "10"),
        ("-2^2", "4"),  # as in a spreadsheet: the sign binds before the power
        ("2^3^2", "64"),
        ("5%", "0.05"),
        ("200 * 5%", "10"),
        ('1 & 2 & 3 = 123 & ""', "TRUE"),
        ("2 + 3 = 5", "TRUE"),
        ("1 <> 2", "TRUE"),
        ("1 ≤ 2", "TRUE"),
        ("6 × 2 ÷ 3 − 1", "3"),
        ("đúng", "TRUE"),
        ("SAI", "FALSE"),
        ('"nói ""có"""', '"nói "có""'),
        ("“chữ”", '"chữ"'),
        ("= 1", "1"),
        ("sum(1, 2; 3)", "6"),
        ("SUM (1)", "1"),
        ("2 IN (1; 2)", "TRUE"),
        ("in(2; 1; 3)", "FALSE"),
    ],
)
def test_operators_bind_as_in_a_spreadsheet(text: str, value: str) -> None:
    assert shown(value_of(text)) == value


def test_codes_ranges_and_columns() -> None:
    assert parse("[ CT01 ]").root == Figure("CT01")
    assert parse("[B.sl]").root == Column("B", "sl")
    assert parse("[CT01]:[CT04]").root == Range("CT01", "CT04")
    assert parse("[Chỉ tiêu 1]").root == Figure("Chỉ tiêu 1")


def test_spans_count_in_nfc() -> None:
    formula = parse(unicodedata.normalize("NFD", '"Hòa Bình" = [CT01]'))
    assert isinstance(formula.root, Comparison)
    assert formula.text_of(formula.root.left) == '"Hòa Bình"'
    assert formula.root.left == Literal("Hòa Bình")
    assert formula.text_of(formula.root.right) == "[CT01]"


@pytest.mark.parametrize(
    ("text", "marked", "words"),
    [
        ("", "", "trống"),
        ("=", "=", "trống"),
        ("1 +", "", "chưa hết"),
        ("SUM([A]", "", "đóng ngoặc"),
        ("(1))", ")", "Thừa"),
        ("[A", "[", "[CT01]"),
        ('"a', '"a', "ngoặc kép"),
        ("[ ]", "[ ]", "không có mã"),
        ("[A] [B]", "[B]", "dấu phép tính"),
        ("[A] + * 2", "*", "Thiếu một giá trị"),
        ("1 < 2 < 3", "<", "AND("),
        ("[A] * 1,5", ",", "1.5"),
        ("CT01 + 1", "+", "[CT01]"),
        ("CT01", "", "[CT01]"),
        ("SUMM([A])", "SUMM", "“SUM”"),
        ("IF(TRUE)", "IF(TRUE)", "IF(điều kiện; giá trị khi đúng"),
        ("SUMIFS([A]; [B])", "SUMIFS([A]; [B])", "2 đối số"),
        ("1 ! 2", "!", "“!”"),
        (f"{'1' * 35}", "1" * 35, "34 chữ số"),
    ],
)
def test_an_error_says_where_and_what_to_do(text: str, marked: str, words: str) -> None:
    with pytest.raises(FormulaError) as raised:
        parse(text)
    error = raised.value
    assert words in error.message_vi
    assert error.message_en
    assert not marked or text[error.start : error.end] == marked


def test_the_caret_stands_under_the_error_of_its_line() -> None:
    text = "[A] =\n  SUMM([B])"
    with pytest.raises(FormulaError) as raised:
        parse(text)
    assert caret(text, raised.value) == "  SUMM([B])\n  ^^^^"


def test_length_and_depth_are_limited() -> None:
    long = "+".join(["1"] * (MAX_CHARACTERS // 2))
    assert value_of(long) == Decimal(MAX_CHARACTERS // 2)  # flat, however long
    for text in (long + "+1", "(" * 100 + "1" + ")" * 100 + "*1" * (MAX_DEPTH + 1), "-" * 1_000 + "1"):
        with pytest.raises(FormulaError):
            parse(text)


_MARKS = '[A] [B.c] : SUM( IF( AND( IN ( ) ; , 1 1.5 "a" ĐÚNG + - * / ^ & = <> < % " [ x \0 \ud800 –'
_PIECES = st.sampled_from(_MARKS.split(" "))


@given(st.one_of(st.text(max_size=60), st.lists(_PIECES, max_size=30).map(" ".join)))
@example("\ud800")
@example("=\ud800")
def test_any_text_is_a_formula_or_a_formula_error(text: str) -> None:
    try:
        span = parse(text).root.span
    except FormulaError as error:
        span = Span(error.start, error.end)
        marked = caret(text, error)
        line, marks = marked.rsplit("\n", 1)
        assert marks.strip(" ^") == ""
        assert len(marks) <= len(line) + 1
    assert 0 <= span.start < span.end
