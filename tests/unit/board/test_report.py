"""A report is laid out by its form, with the period before beside it; what the form does not know is not lost."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.board.pages import report
from services.board.pages.report import Figure, Narrative, Table

FORM: dict[str, Any] = {
    "figures": [{"code": "B", "label": "Chi", "label_en": "Spending", "unit": "triệu đồng"}, {"code": "A"}],
    "narratives": [{"code": "DG", "label": "Đánh giá"}],
    "tables": [{"code": "T", "label": "Công trình", "columns": [{"code": "TEN", "label": "Tên"}, {"code": "HAN"}]}],
}


def test_what_was_sent_stands_in_the_order_of_the_form_beside_the_period_before() -> None:
    sent = {
        "figures": {"A": "1", "B": "2.50", "MOI": None},
        "narratives": {"KHAC": "x", "DG": "Khá"},
        "tables": {"T": [{"HAN": "2026-09-30", "TEN": "Kè"}, {"TEN": "Cống", "THEM": "y"}]},
    }
    shown = report.content_of(sent, FORM, {"figures": {"B": "2"}})
    assert shown.figures == (
        Figure("B", ("Chi", "Spending"), "triệu đồng", "2.50", "2"),
        Figure("A", ("A", "A"), "", "1", None),
        Figure("MOI", ("MOI", "MOI"), "", None, None),
    )
    assert shown.narratives == (
        Narrative("DG", ("Đánh giá", "Đánh giá"), "Khá"),
        Narrative("KHAC", ("KHAC", "KHAC"), "x"),
    )
    columns = (("Tên", "Tên"), ("HAN", "HAN"), ("THEM", "THEM"))
    assert shown.tables == (
        Table("T", ("Công trình", "Công trình"), columns, (("Kè", "2026-09-30", ""), ("Cống", "", "y")), 0),
    )


def test_a_figure_that_was_not_sent_is_shown_as_that_and_a_section_is_not() -> None:
    shown = report.content_of({"figures": {}, "narratives": {}, "tables": {}}, FORM)
    assert [(one.code, one.value) for one in shown.figures] == [("B", None), ("A", None)]
    assert (shown.narratives, shown.tables) == ((), ())


def test_a_long_table_shows_its_first_rows_and_how_many_there_are_besides() -> None:
    rows = [{"TEN": str(number)} for number in range(report.MOST_ROWS + 3)]
    (table,) = report.content_of({"tables": {"T": rows}}).tables
    assert (len(table.rows), table.rows[0], table.more) == (report.MOST_ROWS, ("0",), 3)


_JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_PARTS = st.dictionaries(st.sampled_from(["figures", "narratives", "tables"]), _JSON, max_size=3)


@given(_PARTS, _PARTS, _PARTS)
def test_whatever_comes_is_shown_as_far_as_it_can_be(sent: Any, form: Any, before: Any) -> None:
    report.content_of(sent, form, before)
