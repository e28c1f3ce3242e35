"""Numbers as people write them: each has one clear answer, and who follows it is not told the opposite next."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.validator.domain import Judgement
from services.validator.rules.numbers import is_blank
from services.validator.rules.units import Unit, in_unit, unit_of
from shared.contract.events import FigureField, Form
from tests.unit.validator.reports import codes, judged


def one(text: str, unit: str = "", fraction_digits: int = 0, **others: object) -> Judgement:
    field = FigureField(code="A", label="", unit=unit, fraction_digits=fraction_digits, **others)
    return judged({"A": text}, {}, form=Form(figures=(field,)))


@pytest.mark.parametrize(
    ("text", "digits", "code", "expected"),
    [
        ("64.0", 0, "V06", "64"),
        ("64.0", 1, None, None),
        ("6.4E1", 0, "V03", "64"),
        ("6.45E1", 0, "V03", None),  # 64.5 is no whole number
        ("1.234", 3, "V09", "1.234 | 1234"),
        ("1,5", 0, "V02", None),
        ("1,5", 1, "V02", "1.5"),
        ("5,00", 0, "V02", "5"),
        ("\u00a064", 0, "V15", "64"),
        ("64\u200b", 0, "V15", "64"),
        ("6\u200d4", 0, "V15", "64"),
        ("\ufeff64 ", 0, "V15", "64"),
        ("64\u200e.5", 1, "V15", "64.5"),
        ("６４", 0, "V16", "64"),
        ("٦٤", 0, "V16", "64"),
        ("−64", 0, "V16", "-64"),
        ("–64\u200b", 0, "V16", "-64"),
        ("1\u202f234,5\u200b", 1, "V02", "1234.5"),
    ],
)
def test_each_writing_has_its_own_answer(text: str, digits: int, code: str | None, expected: str | None) -> None:
    judgement = one(text, fraction_digits=digits)
    assert codes(judgement) == ([] if code is None else [code])
    assert [finding.expected for finding in judgement.findings] == ([] if code is None else [expected])


@pytest.mark.parametrize(
    ("text", "unit", "digits", "expected"),
    [
        ("64 %", "%", 0, "64"),
        ("64%", "phần trăm", 0, "64"),
        ("12,5%", "%", 2, "12.5"),
        ("64 %", "hồ sơ", 0, None),
        ("1 tỷ", "triệu đồng", 0, "1000"),
        ("1 tỉ", "đồng", 0, "1000000000"),
        ("1,5 tỷ đồng", "triệu đồng", 3, "1500"),
        ("1.234,5 tỷ đồng", "tỷ đồng", 1, "1234.5"),
        ("1.234 tỷ", "tỷ đồng", 3, "1.234 | 1234"),
        ("12 nghìn", "hồ sơ", 0, "12000"),
        ("12 nghìn", "", 0, "12000"),
        ("500.000 đồng", "triệu đồng", 3, "0.5"),
        ("500.000đ", "đồng", 0, "500 | 500000"),
        ("5 hồ sơ", "hồ sơ", 0, "5"),
        ("5 ha", "hồ sơ", 0, None),
        ("5 tỷ USD", "triệu đồng", 0, None),
        ("5 m²", "m2", 0, "5"),
        ("3 triệu", "%", 0, None),
        (",5 %", "%", 1, "0.5"),
    ],
)
def test_a_unit_beside_the_number_is_named_and_converted_where_that_is_sure(
    text: str, unit: str, digits: int, expected: str | None
) -> None:
    (finding,) = one(text, unit, digits).findings
    assert (finding.code, finding.expected) == ("V17", expected)
    for written in (expected or "").split(" | "):
        if written:
            assert one(written, unit, digits).outcome == "accepted"
            assert written in finding.fix
    if expected is None:
        assert unit in finding.fix


@pytest.mark.parametrize("text", ["12o", "1oo", "l2", "0x10", "12 12 x", "50%%", "1/2", "khoảng"])
def test_a_slip_is_no_unit(text: str) -> None:
    (finding,) = one(text).findings
    assert (finding.code, finding.expected) == ("V01", None)


def test_what_nobody_sees_is_named_by_its_code_point() -> None:
    (finding,) = one("64\u200b\u00a0").findings
    assert "U+200B" in finding.message
    assert "U+00A0" in finding.message
    assert "\\u200b" in finding.message
    assert finding.fix == "Viết 64."


@pytest.mark.parametrize("text", ["\u200b", "\ufeff \u00a0", "\u200b \u2060"])
def test_a_cell_in_which_nothing_can_be_seen_is_blank(text: str) -> None:
    assert is_blank(text)
    assert codes(one(text)) == ["C01"]
    assert not is_blank("\u200b1")


def test_zeros_after_the_point_are_not_advised_away_where_the_value_is_out_of_range() -> None:
    judgement = one("64.0", minimum="100")
    assert codes(judgement) == ["V06", "V07"]
    assert judgement.findings[0].expected is None
    assert "Viết 64" not in judgement.findings[0].fix


def test_a_point_that_groups_thousands_is_suspected_where_the_decimal_is_out_of_range() -> None:
    (finding,) = one("1.234", fraction_digits=3, minimum="100").findings
    assert finding.code == "V07"
    assert "viết 1234." in finding.fix
    assert "write 1234." in finding.fix_en


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("triệu đồng", Unit(6, "đồng")),
        ("Tỷ đồng", Unit(9, "đồng")),
        ("nghìn tỷ đồng", Unit(12, "đồng")),
        ("1.000 đồng", Unit(3, "đồng")),
        ("VNĐ", Unit(0, "đồng")),
        ("trđ", Unit(6, "đồng")),
        ("%", Unit(0, "%")),
        ("lượt người", Unit(0, "lượt người")),
        ("", Unit(0, "")),
    ],
)
def test_a_unit_is_a_magnitude_and_a_thing(text: str, unit: Unit) -> None:
    assert unit_of(text) == unit


def test_a_scale_counts_where_the_unit_names_no_magnitude() -> None:
    assert in_unit("1", "tỷ", unit_of("đồng", 6)) == "1000"
    assert in_unit("1", "tỷ", unit_of("triệu đồng", 6)) == "1000"


_marks = st.sampled_from(["", "", "", " ", "\u00a0", "\u200b", "\ufeff", "\u200e"])
_units = ["", "%", "hồ sơ", "triệu đồng", "tỷ đồng", "đồng", "nghìn lượt", "ha"]
_bodies = st.one_of(
    st.from_regex(r"-?[0-9]{0,6}([.,][0-9]{1,4})?", fullmatch=True),
    st.from_regex(r"[0-9]{1,3}([., '][0-9]{3}){1,3}([.,][0-9]{1,3})?", fullmatch=True),
    st.from_regex(r"-?[0-9]{1,3}([.,][0-9]{1,3})?[eE][+-]?[0-9]{1,2}", fullmatch=True),
    st.text(st.sampled_from("０１２٣٤−-+.,5"), min_size=1, max_size=8),
)


@st.composite
def writings(draw: st.DrawFn) -> str:
    suffix = draw(st.sampled_from(["", "", "%", " %", " tỷ", " nghìn", " triệu đồng", "đ", " hồ sơ", " tỷ USD"]))
    return draw(_marks) + draw(_bodies) + suffix + draw(_marks)


@settings(max_examples=400)
@given(
    writings(),
    st.sampled_from(_units),
    st.integers(0, 4),
    st.one_of(st.none(), st.integers(-100, 1000)),
    st.one_of(st.none(), st.integers(0, 100_000)),
)
def test_who_writes_what_is_advised_is_not_refused_for_it(
    text: str, unit: str, digits: int, minimum: int | None, span: int | None
) -> None:
    """`expected` and every "viết N" of the fix are taken; a question may come back, an error may not."""
    maximum = None if span is None else (minimum or 0) + span
    bounds = {
        "minimum": None if minimum is None else Decimal(minimum),
        "maximum": None if maximum is None else Decimal(maximum),
    }

    for finding in one(text, unit, digits, **bounds).findings:
        advised = set(re.findall(r"[Vv]iết (-?[0-9]+(?:\.[0-9]+)?)(?=[\s.,]|$)", finding.fix))
        if finding.code in ("V05", "V07", "V08"):  # `expected` is a bound there
            advised |= set()
        elif finding.expected is not None:
            advised |= set(finding.expected.split(" | "))
        for written in advised:
            again = one(written, unit, digits, **bounds)
            assert again.outcome == "accepted", (text, finding.code, written, codes(again))
            assert set(codes(again)) <= {"V09"}


def test_control_the_property_sees_an_advice_that_would_be_refused() -> None:
    assert one("64.0", minimum="100").outcome == "returned"
    assert one("64", minimum="100").outcome == "returned"  # what V06 used to advise there
