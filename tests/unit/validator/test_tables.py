"""Tables are judged cell by cell, in the tiers of everything else, and a table of mistakes stays a short verdict."""

from __future__ import annotations

from typing import Any

import pytest

from services.validator.domain import Judgement, judge
from services.validator.rules import tables
from services.validator.rules.forms import FormError, compile_form
from shared.contract.events import FigureField, Form, TableColumn, TableField

COLUMNS = (
    TableColumn(code="TEN", label="Tên", label_en="Name", type="text", max_characters=20),
    TableColumn(code="SL", label="Số lượng", label_en="Number", type="integer", unit="hộ", minimum="0", maximum="500"),
    TableColumn(code="TL", label="Tỷ lệ", type="percent", required=False, maximum="100", fraction_digits=2),
    TableColumn(code="NGAY", label="Ngày", label_en="Day", type="date", required=False),
    TableColumn(code="LOAI", label="Loại", label_en="Kind", type="choice", choices=("Tốt", "Khá"), required=False),
)
TABLE = TableField(code="T1", label="Danh sách", label_en="List", columns=COLUMNS, min_rows=2, max_rows=30)
FORM = Form(tables=(TABLE,), nil_allowed=True)
ROW = {"TEN": "Thôn Đông", "SL": "12", "TL": "99.50", "NGAY": "2026-03-31", "LOAI": "Khá"}


def judged(rows: Any, form: Form = FORM, *, nil: bool = False, code: str = "T1") -> Judgement:
    return judge(compile_form(form), {}, {}, {} if rows is None else {code: rows}, nil=nil)


def told(judgement: Judgement) -> list[tuple[str, str]]:
    return [(finding.code, finding.path) for finding in judgement.findings]


def test_a_good_table_is_one_required_item_and_no_finding() -> None:
    judgement = judged([ROW, {"TEN": "Thôn Đoài", "SL": "0"}])
    assert (judgement.outcome, judgement.findings) == ("accepted", ())
    assert (judgement.required_items, judgement.present_items) == (1, 1)


@pytest.mark.parametrize(
    ("rows", "code", "path"),
    [
        (None, "C04", "/tables/T1"),
        ([], "C04", "/tables/T1"),
        ([ROW], "C05", "/tables/T1"),
        ([ROW] * 31, "V13", "/tables/T1"),
        ([ROW, {**ROW, "TEN": None}], "C06", "/tables/T1/1/TEN"),
        ([ROW, {"TEN": "a"}], "C06", "/tables/T1/1/SL"),
        ([ROW, {**ROW, "TEN": " "}], "C06", "/tables/T1/1/TEN"),
        ([ROW, {**ROW, "TEN": "x" * 21}], "V10", "/tables/T1/1/TEN"),
        ([ROW, {**ROW, "SL": "nhiều"}], "V01", "/tables/T1/1/SL"),
        ([ROW, {**ROW, "SL": "1.234.567"}], "V02", "/tables/T1/1/SL"),
        ([ROW, {**ROW, "SL": "1.5"}], "V06", "/tables/T1/1/SL"),
        ([ROW, {**ROW, "SL": "-1"}], "V07", "/tables/T1/1/SL"),
        ([ROW, {**ROW, "SL": "501"}], "V08", "/tables/T1/1/SL"),
        ([ROW, {**ROW, "TL": "100.01"}], "V08", "/tables/T1/1/TL"),
        ([ROW, {**ROW, "NGAY": "31/03/2026"}], "V11", "/tables/T1/1/NGAY"),
        ([ROW, {**ROW, "NGAY": "2026-02-30"}], "V11", "/tables/T1/1/NGAY"),
        ([ROW, {**ROW, "LOAI": "tốt"}], "V12", "/tables/T1/1/LOAI"),
        ([ROW, {**ROW, "KHAC": "1"}], "S06", "/tables/T1/1/KHAC"),
        ([ROW, {**ROW, "TEN": "Đang cập nhật…"}], "N15", "/tables/T1/1/TEN"),
        ([ROW, {**ROW, "TEN": "---"}], "N15", "/tables/T1/1/TEN"),
    ],
)
def test_each_thing_wrong_has_its_code_and_its_place(rows: Any, code: str, path: str) -> None:
    judgement = judged(rows)
    assert told(judgement) == [(code, path)]
    assert judgement.outcome == "returned"
    # a column that the table does not have takes nothing from what is there, as a figure does that the form lacks
    assert judgement.present_items == (1 if code == "S06" else 0)


def test_a_finding_names_the_row_as_people_count_and_says_what_to_write() -> None:
    by_code = {
        finding.code: finding
        for finding in judged([ROW, {**ROW, "SL": "1,5", "NGAY": "31/3/2026", "LOAI": "tốt"}]).findings
    }
    number, day, choice = by_code["V02"], by_code["V11"], by_code["V12"]
    assert number.message.startswith("Bảng T1, dòng 2, cột SL (Số lượng): “1,5”")
    assert number.message_en.startswith("Table T1, row 2, column SL (Number): “1,5”")
    assert "cột SL chỉ nhận số nguyên" in number.fix
    assert (day.expected, "2026-03-31" in day.fix, "day first" in day.fix_en) == ("2026-03-31", True, True)
    assert choice.expected == "Tốt"
    assert "“Tốt”" in choice.fix


def test_an_unknown_table_is_told_with_the_one_that_may_be_meant() -> None:
    judgement = judged([ROW, ROW], code="t1")
    assert told(judgement) == [("S05", "/tables/t1"), ("C04", "/tables/T1")]
    assert "“tables”" in judgement.findings[0].fix


def test_a_table_of_mistakes_lists_the_first_and_counts_the_rest() -> None:
    wrong = {**ROW, "SL": "nhiều", "TEN": None}
    judgement = judged([wrong] * 30)
    cells = [finding for finding in judgement.findings if finding.path.count("/") > 2]
    rest = [finding for finding in judgement.findings if finding.code == "V14"]
    assert len(cells) == tables.LISTED_CELLS
    assert [finding.difference for finding in rest] == [str(60 - tables.LISTED_CELLS)]
    assert judgement.errors == len(cells) + 1
    # negative control: without the bound every cell would be a finding
    tables_of_one = compile_form(FORM).tables[0]
    flaws: list[Any] = []
    for number in range(30):
        for column in tables_of_one.columns[:2]:
            tables._check_cell(tables_of_one, number, column, wrong[column.code] or "?" * 99, flaws, {"N15": "error"})
    assert len(flaws) == 60


def test_what_is_unclear_beyond_the_listed_cells_is_no_error() -> None:
    form = Form(tables=(TableField(code="T1", label="", columns=(
        TableColumn(code="A", label="", type="decimal", fraction_digits=3),), max_rows=100),))  # fmt: skip
    judgement = judged([{"A": "1.234"}] * 60, form)  # 1.234 may mean 1234: a warning asks
    assert (judgement.outcome, judgement.errors, judgement.warnings) == ("accepted", 0, tables.LISTED_CELLS)
    assert judgement.present_items == 1


def test_rows_beyond_the_limit_are_not_looked_at() -> None:
    judgement = judged([ROW] * 30 + [{"SL": "nhiều"}] * 5)
    assert told(judgement) == [("V13", "/tables/T1")]
    assert judgement.findings[0].difference == "5"


@pytest.mark.parametrize(
    ("required", "min_rows", "rows", "outcome", "present"),
    [
        (True, 0, [], "accepted", 1),
        (True, 0, None, "returned", 0),
        (False, 2, None, "accepted", 0),
        (False, 2, [], "accepted", 0),
        (False, 2, [ROW], "returned", 0),
    ],
)
def test_an_empty_table_counts_as_the_form_says(
    required: bool, min_rows: int, rows: Any, outcome: str, present: int
) -> None:
    table = TABLE.model_copy(update={"required": required, "min_rows": min_rows})
    form = Form(figures=(FigureField(code="A", label="", required=False),), tables=(table,))
    judgement = judge(compile_form(form), {"A": "1"}, {}, {} if rows is None else {"T1": rows}, nil=False)
    assert (judgement.outcome, judgement.present_items) == (outcome, present)
    assert judgement.required_items == required


def test_a_nil_report_with_rows_is_none_and_one_without_owes_no_table() -> None:
    assert (judged(None, nil=True).outcome, judged(None, nil=True).required_items) == ("accepted", 0)
    assert "S03" in [finding.code for finding in judged([ROW, ROW], nil=True).findings]
    assert [finding.code for finding in judged(None, Form(tables=(TABLE,)), nil=True).findings] == ["S04"]


def test_rows_are_something_where_every_figure_is_zero() -> None:
    form = Form(figures=(FigureField(code="A", label=""),), tables=(TABLE,))
    compiled = compile_form(form)
    assert judge(compiled, {"A": "0"}, {}, {"T1": [ROW, ROW]}, nil=False).any_nonzero is True
    assert judge(compiled, {"A": "0"}, {}, {}, nil=False).any_nonzero is False


@pytest.mark.parametrize(
    ("row", "something"),
    [
        ({**ROW, "SL": "0", "TL": "0.00"}, False),  # zeros, whatever stands beside them
        ({"TEN": "Thôn Đông", "SL": "0"}, False),
        ({"TEN": "Thôn Đông", "SL": "0", "TL": "0.01"}, True),
        ({"TEN": "Thôn Đông", "SL": "nhiều"}, True),  # nobody can say that it is none
    ],
)
def test_rows_of_zeros_say_as_little_as_figures_of_zeros(row: dict[str, str], something: bool) -> None:
    compiled = compile_form(Form(figures=(FigureField(code="A", label=""),), tables=(TABLE,)))
    assert judge(compiled, {"A": "0"}, {}, {"T1": [row, row]}, nil=False).any_nonzero is something
    names = compile_form(Form(figures=(FigureField(code="A", label=""),), tables=(TABLE.model_copy(
        update={"columns": COLUMNS[:1]}),)))  # fmt: skip
    assert judge(names, {"A": "0"}, {}, {"T1": [{"TEN": "a"}] * 2}, nil=False).any_nonzero is True, "no numbers asked"


def test_placeholders_that_ask_for_an_explanation_return_no_table_however_many() -> None:
    rows = [{**ROW, "TEN": "sẽ cập nhật sau"}] * 30
    assert judged(rows).outcome == "returned"
    explained = judged(rows, FORM.model_copy(update={"filler": "explain"}))
    assert {finding.code for finding in explained.findings} == {"N15"}
    assert (explained.outcome, explained.present_items, len(explained.findings)) == ("accepted", 0, 20)
    optional = TABLE.model_copy(update={"columns": (COLUMNS[0].model_copy(update={"required": False}), *COLUMNS[1:])})
    assert judged(rows, Form(tables=(optional,))).findings == (), "nobody asked for it"


@pytest.mark.parametrize(
    "table",
    [
        TABLE.model_copy(update={"columns": ()}),
        TABLE.model_copy(update={"columns": (COLUMNS[0], COLUMNS[0])}),
        TABLE.model_copy(update={"min_rows": 31}),
        TABLE.model_copy(update={"columns": (TableColumn(code="A", label="", type="choice"),)}),
        TABLE.model_copy(update={"columns": (TableColumn(code="A", label="", type="integer", minimum=2, maximum=1),)}),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(table: TableField) -> None:
    with pytest.raises(FormError):
        compile_form(Form(tables=(table,)))
