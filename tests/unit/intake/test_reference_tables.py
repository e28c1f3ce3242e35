"""Reference tables at the registry's gate: columns, cells, keys, what later versions keep, and what the plan says."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from services.intake.registry.planning import described
from services.intake.registry.records import Registry
from shared.contract.events import ReferenceTablePublished
from tests.integration.intake.rig import NOW
from tests.unit.intake.test_registry_gate import asked, messages

COLUMNS = [
    {"code": "MA", "label": "Mã", "type": "number"},
    {"code": "TEN", "label": "Tên"},
    {"code": "TU", "label": "Từ ngày", "type": "date"},
]
ROWS: list[list[str | None]] = [["1", "Xã A", "2025-07-01"], ["2", "Xã B", None]]


def table(version: int = 1, **others: Any) -> ReferenceTablePublished:
    record = {"code": "XA", "table_version": version, "name": "Xã", "effective_from": date(2026, 1, 1),
              "columns": COLUMNS, "rows": ROWS, "version": 0}  # fmt: skip
    return ReferenceTablePublished.model_validate({**record, **others})


@pytest.mark.parametrize(
    ("given", "place", "what"),
    [
        (table(columns=[]), "columns", "no columns"),
        (table(rows=[]), "rows", "no rows"),
        (table(columns=[COLUMNS[0], COLUMNS[0], COLUMNS[2]]), "columns/1/code", "repeated"),
        (table(rows=[["1", "A"]]), "rows/0", "2 cells"),
        (table(rows=[["1", "A", "01/07/2025"]]), "rows/0/2", "ISO 8601"),
        (table(rows=[["1,5", "A", None]]), "rows/0/0", "exact decimal"),
        (table(rows=[[None, "A", None]]), "rows/0/0", "no key"),
        (table(rows=[["1", "A", None], ["1.0", "B", None]]), "rows/1/0", "row 1 already"),
        (table(rows=[["1", "A\nB", None]]), "rows/0/1", "line break"),
        (table(code="X/A"), "code", "not valid"),
        (table(rows=[[str(n), None, None] for n in range(10_001)]), "rows", "At most"),
    ],
)
def test_a_table_that_does_not_fit_is_told_where_and_why(given: ReferenceTablePublished, place: str, what: str) -> None:
    told = messages(given)
    assert any(one.startswith(f"{place}:") and what in one for one in told), told


def test_everything_wrong_is_told_at_once() -> None:
    wrong = table(rows=[["x", "A", None], ["2", "B", "hôm nay"], [None, "C", None]])
    assert len(messages(wrong)) == 3


def test_the_control_a_table_in_order_is_admitted_and_a_whole_number_needs_no_quotes() -> None:
    assert messages(table()) == []
    assert messages(table(rows=[[1, "A", None]])) == []


def test_a_published_version_never_changes_and_the_same_again_is_none() -> None:
    published = table().model_copy(update={"version": 1})
    assert messages(table(), stored=[published]) == []
    (said,) = messages(table(rows=ROWS[:1]), stored=[published])
    assert said.startswith("rows:")
    assert "cannot change" in said
    admission = asked(table(rows=ROWS[:1]), stored=[published])
    assert "table_version: 2" in admission.errors[0].fix


def test_a_later_version_keeps_the_columns_that_rules_may_name() -> None:
    published = table().model_copy(update={"version": 1})
    more = [*COLUMNS, {"code": "DAN_SO", "label": "Dân số", "type": "number"}]
    good = table(2, columns=more, rows=[["1", "Xã A", None, "900"]])
    assert messages(good, stored=[published]) == []
    for columns in (COLUMNS[:2], [COLUMNS[0], {**COLUMNS[1], "type": "date"}, COLUMNS[2]],
                    [COLUMNS[1], COLUMNS[0], COLUMNS[2]]):  # fmt: skip
        rows = [[None if column["code"] == "TU" else "1" for column in columns]]
        told = messages(table(2, columns=columns, rows=rows), stored=[published])
        assert any(one.startswith("columns:") and "keep columns" in one for one in told), told


def test_the_checksum_is_of_columns_and_rows_alone() -> None:
    assert table().checksum == table(2, name="Khác", effective_from=date(2027, 1, 1)).checksum
    assert table().checksum != table(rows=ROWS[:1]).checksum
    assert table().checksum != table(columns=[{**COLUMNS[0], "type": "text"}, *COLUMNS[1:]]).checksum


def test_the_plan_says_how_many_rows_from_when_and_the_checksum() -> None:
    words = "\n".join(described([table()], [], NOW.date()))
    assert f"2 rows, for periods that end from 01/01/2026 on; sha256 {table().checksum}" in words


def test_the_registry_in_memory_keeps_no_rows() -> None:
    registry = Registry()
    registry.put(table())
    assert registry.references["XA"][1].rows == ()
    assert registry.sizes()["reference"] == 1
