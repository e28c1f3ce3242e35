"""What a check refuses before a rule is published: unknown codes, wrong types, misplaced columns, cost; all at once."""

from __future__ import annotations

import pytest

from services.validator.formula import Names, Type, bind, check, cycles, expected, figures_of, parse, sides
from services.validator.formula.check import MAX_COST, MAX_SUGGESTIONS
from services.validator.formula.nodes import Range, walk
from tests.unit.validator.formula_rig import NAMES, NUMBER, errors_of


@pytest.mark.parametrize(
    ("text", "marked", "words"),
    [
        ("[ct1] + 1", "[ct1]", "“CT01”"),
        ("[KHAC]", "[KHAC]", "không có chỉ tiêu"),
        ("COUNTIF([B.slx]; 1)", "[B.slx]", "“sl”"),
        ("SUM([D.x])", "[D.x]", "không có bảng"),
        ("SUM([CT01]:[CT9])", "[CT01]:[CT9]", "[CT9]"),
        ("SUM([CT03]:[CT01])", "[CT03]:[CT01]", "đứng sau"),
        ("[CT01]:[CT03] = 1", "[CT01]:[CT03]", "Dải"),
        ('[CT01] = "x"', '[CT01] = "x"', "so sánh số với văn bản"),
        ("[TEN] + 1", "[TEN]", "&"),
        ("-[TEN]", "[TEN]", "cần số"),
        ('[TEN] < "a"', '[TEN] < "a"', "= hoặc <>"),
        ('[TEN] = ""', '""', "ISBLANK"),
        ("[NGAY] + [NGAY]", "[NGAY]", "hai ngày"),
        ("1 - [NGAY]", "[NGAY]", "trừ đi ngày"),
        ("[CT01] / 0", "[CT01] / 0", "chia cho 0"),
        ("[B.sl] > 1", "[B.sl]", "từng dòng"),
        ("SUM([B.sl] + [C.tong])", "[B.sl] + [C.tong]", "một bảng"),
        ("SUMBY([B.sl]; [B.nhom])", "SUMBY([B.sl]; [B.nhom])", "từng dòng"),
        ("COUNTDISTINCT([CT01])", "[CT01]", "cột"),
        ("ISUNIQUE([B.ma]; [C.nhom])", "ISUNIQUE([B.ma]; [C.nhom])", "cùng một bảng"),
        ("SUM([TEN])", "[TEN]", "cần số"),
        ("MAX([TEN])", "MAX([TEN])", "số hoặc ngày"),
        ('IF(TRUE; 1; "a")', '"a"', "cùng loại"),
        ("IF(1; 2; 3)", "1", "đúng/sai"),
        ('IN([CT01]; 1; "a")', '"a"', "so sánh"),
        ("SUMIF([B.nhom]; 1; [B.sl])", "1", "so sánh"),
        ('SUMIF([B.nhom]; "x"; [C.tong])', 'SUMIF([B.nhom]; "x"; [C.tong])', "cùng một bảng"),
        ('SUMIF([B.nhom]; "x"; [B.ma])', "[B.ma]", "dải số"),
        ("MATCHES([TEN]; [TEN])", "[TEN]", "viết thẳng"),
        ('MATCHES([TEN]; "(")', '"("', "RE2"),
        ('MATCHES([TEN]; "(?=a)b")', '"(?=a)b"', "RE2"),
        ('LOOKUP("xx"; 1; "ten")', '"xx"', "danh mục"),
        ('LOOKUP("xa"; 1; "tn")', '"tn"', "“ten”"),
        ('REF("BC03"; [X1])', '"BC03"', "chế độ báo cáo"),
        ('REF("BC02"; [CT01])', "[CT01]", "không có chỉ tiêu"),
        ("PREV(PREV([CT01]))", "PREV([CT01])", "bên trong PREV"),
        ("PREV([B.sl])", "[B.sl]", "báo cáo khác"),
        ("CHILDREN_SUM([CT01] + 1)", "[CT01] + 1", "một chỉ tiêu"),
    ],
)
def test_refused_with_its_place(text: str, marked: str, words: str) -> None:
    errors = errors_of(text)
    assert errors
    assert any(words in error.message_vi and text[error.start : error.end] == marked for error in errors), errors
    assert all(error.message_en for error in errors)


def test_a_criterion_that_would_compare_every_row_with_every_row_is_refused() -> None:
    assert errors_of('COUNTIF([B.sl]; "<" & [B.sl]) = 0', row="B")
    assert not errors_of("COUNTIF([B.ma]; [B.ma]) = 1", row="B")
    assert not errors_of('COUNTIF([B.sl]; "<" & [CT01]) = 0', row="B")


def test_all_errors_are_told_at_once_in_the_order_of_the_text() -> None:
    errors = errors_of('[K1] + [TEN] > LOOKUP("dm"; [K2]; "x")')
    assert [error.start for error in errors] == [0, 7, 22, 28]


def test_a_rule_for_rows_reads_the_cells_of_its_own_table() -> None:
    assert not errors_of("[B.sl] > 0", row="B")
    assert errors_of("[C.tong] > 0", row="B")
    assert not errors_of("SUMIF([B.nhom]; [C.nhom]; [B.sl]) = [C.tong]", row="C")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("[CT01] + 1", Type.NUMBER),
        ("[NGAY] + 1", Type.DATE),
        ("[NGAY] - [NGAY]", Type.NUMBER),
        ('[TEN] & "x"', Type.TEXT),
        ("[CT01] > 1", Type.BOOLEAN),
        ("MAX([NGAY]; [NGAY])", Type.DATE),
        ('IF(TRUE; [TEN]; "a")', Type.TEXT),
        ('LOOKUP("xa"; [TEN]; "dan_so")', Type.NUMBER),
        ('REF("BC02"; [X1])', Type.NUMBER),
        ("PREV([NGAY])", Type.DATE),
    ],
)
def test_types(text: str, kind: Type) -> None:
    assert check(parse(text), NAMES) == (kind, [])


def test_cost_is_limited() -> None:
    wide = Names({f"A{number}": NUMBER for number in range(2_000)})
    fits, too_much = (" + ".join(["SUM([A0]:[A1999])"] * times) for times in (4, 6))
    assert check(parse(fits), wide)[1] == []
    (error,) = check(parse(too_much), wide)[1]
    assert str(MAX_COST) in error.message_vi


def test_a_pattern_costs_its_length_and_what_its_repetitions_make_of_it() -> None:
    def fits(pattern: str, times: int) -> bool:
        asked = "; ".join([f'MATCHES([TEN]; "{pattern}")'] * times)
        return check(parse(f"AND({asked})"), NAMES)[1] == []

    assert fits("[0-9]{4}", 60), "the control"
    assert fits("x" * 400, 8)
    assert not fits("(a|b|c){1000}", 60)


def test_a_range_follows_the_form_and_a_dotted_code_is_told_apart() -> None:
    bound, errors = bind(parse("SUM([CT02]:[CT04]) + [A.1]"), NAMES)
    assert errors == []
    assert [node.codes for node in walk(bound.root) if isinstance(node, Range)] == [("CT02", "CT03", "CT04")]
    assert figures_of(bound.root) == ["CT02", "CT03", "CT04", "A.1"]


def test_sides_and_what_is_expected() -> None:
    formula = parse("[CT01] = [CT02] + [CT03]")
    split = sides(formula)
    assert split is not None
    left, operator, right = split
    assert (left.text_of(left.root), operator, right.text_of(right.root)) == ("[CT01]", "=", "[CT02] + [CT03]")
    named = expected(formula)
    assert named is not None
    code, expression = named
    assert (code, expression.text_of(expression.root)) == ("CT01", "[CT02] + [CT03]")
    assert expected(parse("2 * [CT02] = [CT01]")) is not None
    assert expected(parse("[CT01] < [CT02]")) is None
    assert sides(parse("AND([CT01] = 1; TRUE)")) is None


def test_circles_among_definitions_are_found() -> None:
    def found(*texts: str) -> list[list[str]]:
        return cycles(parse(text) for text in texts)

    assert found("[a] = [b] + 1", "[b] = SUM([c]; [a])", "[c] = 1") == [["a", "b", "a"]]
    assert found("[a] = [a] + 1") == [["a", "a"]]
    assert found("[a] = [b] + [c]", "[b] = [d]", "[c] = [d]") == []
    assert found("[a] = PREV([a]) + 1") == []
    assert found("[a] >= [b]", "[b] >= [a]") == []
    chain = [f"[x{number}] = [x{number + 1}]" for number in range(3_000)]
    assert found(*chain) == []
    assert len(found(*chain, "[x3000] = [x0]")) == 1


def test_near_misses_are_looked_for_a_few_times_and_every_unknown_code_is_told() -> None:
    """Each costs milliseconds; a thousand of them among two thousand names would hold publishing for all."""
    text = "SUM(" + ";".join(f"[ct1{'x' * number}]" for number in range(3)) + ";[ct1]" * 40 + ")"
    found = check(parse(text), NAMES)[1]
    assert len(found) == 43
    assert sum("“CT01”" in error.message_vi for error in found) <= MAX_SUGGESTIONS
    assert "“CT01”" in found[0].message_vi
