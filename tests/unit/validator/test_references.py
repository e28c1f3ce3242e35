"""Reference tables as rules look them up: values by their columns, the day that counts, what is held at publishing."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from services.validator.check import objections
from services.validator.domain import judge
from services.validator.formula import Field, Type
from services.validator.references import NO_REFERENCES, References, day_of, reference_of
from services.validator.rules.forms import CompiledForm, compile_form
from services.validator.rules.pack_compiler import Elsewhere, tables_looked_up
from shared.contract.events import ReferenceColumn
from tests.integration.validator.rig import submission
from tests.unit.validator.test_packs import form, rule

COLUMNS = [ReferenceColumn.model_validate({"code": code, "label": code, "type": kind})
           for code, kind in (("MA", "number"), ("TEN", "text"), ("TU", "date"))]  # fmt: skip
LIMIT = rule(
    table="T", row=["TEN"], severity="error", message="{[T.SO]}", message_en="{[T.SO]}", fix="x", fix_en="x",
    tests=[{"tables": {"T": [{"TEN": "a", "SO": 6}]}, "references": {"XA": [{"TEN": "a", "TOI_DA": 5}]},
            "fires": ["QT-01"], "verdict": "returned"}],
    **{"assert": '[T.SO] <= LOOKUP("XA"; [T.TEN]; "TOI_DA")'},
)  # fmt: skip
LACKING = rule(
    id="QT-02", severity="error", at="A", message='{MISSINGKEYS("XA"; [T.TEN])}', fix="x", fix_en="x",
    message_en='{MISSINGROWS("XA"; [T.TEN])}', tests=[{"references": {"XA": []}}],
    **{"assert": 'MISSINGROWS("XA"; [T.TEN]) = 0'},
)  # fmt: skip
TABLE = References({"XA": {"a": {"TEN": "a", "TOI_DA": Decimal(5)}, "b": {"TEN": "b"}}}, ("reference/XA/1",))


def said(compiled: CompiledForm, *rows: dict[str, str | None], references: References = TABLE) -> list[tuple[str, str]]:
    judgement = judge(compiled, {"A": "1"}, {}, {"T": rows}, nil=False, references=references)
    return [(finding.code, finding.message) for finding in judgement.findings if finding.code.startswith(("Q", "K03"))]


def test_cells_are_values_of_their_columns_by_the_written_key() -> None:
    found = reference_of(COLUMNS, [["64.0", "Xã A", "2026-03-01"], ["7", None, None]])
    assert found == {"64": {"MA": Decimal("64.0"), "TEN": "Xã A", "TU": date(2026, 3, 1)}, "7": {"MA": Decimal(7)}}


@pytest.mark.parametrize(
    ("period", "day"),
    [("2026-M02", date(2026, 2, 28)), ("2026-Q1", date(2026, 3, 31)), ("2026", date(2026, 12, 31)),
     ("2026-W01", date(2026, 1, 4)), ("2026-9M", date(2026, 9, 30)), ("DX-1", date(2026, 3, 18)),
     ("?", date(2026, 3, 18))],
)  # fmt: skip
def test_the_periods_last_day_counts_or_the_day_of_receipt(period: str, day: date) -> None:
    received = datetime(2026, 3, 17, 18, tzinfo=UTC)  # the next day, here
    assert day_of(submission(period=period, received_at=received)) == day


def test_rules_look_up_by_row_and_name_the_rows_that_a_reference_demands() -> None:
    compiled = compile_form(form(LIMIT, LACKING))
    assert said(compiled, {"TEN": "a", "SO": "6"}) == [("QT-01", "Bảng T, dòng 1 (a): 6"), ("QT-02", "b")]
    assert said(compiled, {"TEN": "a", "SO": "5"}, {"TEN": "b", "SO": "9"}) == []
    assert compiled.pack is not None
    assert compiled.pack.looks_up == {"XA"} == tables_looked_up(form(LIMIT, LACKING))
    assert not compiled.pack.looks_back


def test_without_a_table_in_force_a_rule_cannot_be_evaluated_and_returns_nobody() -> None:
    found = said(compile_form(form(LIMIT, LACKING)), {"TEN": "a", "SO": "6"}, references=NO_REFERENCES)
    assert [code for code, _ in found] == ["K03"]
    assert "Không có danh mục XA cho kỳ này" in found[0][1]


@pytest.mark.parametrize(
    ("references", "message"),
    [
        ({}, "Không có danh mục “XA”"),
        ({"XA": {"TEN": Field(Type.TEXT)}}, "không có cột “TOI_DA”"),
        ({"XA": {"TEN": Field(Type.TEXT), "TOI_DA": Field(Type.TEXT)}}, "văn bản"),
    ],
)
def test_what_is_looked_up_is_held_against_the_tables_at_publishing(references: dict[str, Any], message: str) -> None:
    known = {"XA": {"TEN": Field(Type.TEXT), "TOI_DA": Field(Type.NUMBER)}}
    assert list(objections(form(LIMIT), Elsewhere({}, known))) == []
    assert any(message in objection.message for objection in objections(form(LIMIT), Elsewhere({}, references)))


def test_a_tests_reference_is_read_by_the_columns_types_where_they_are_known() -> None:
    test = {"tables": {"T": [{"TEN": "7"}]}, "references": {"XA": [{"MA": 7}]}}
    given = form(rule(table="T", tests=[test], **{"assert": 'EXISTS("XA"; [T.TEN])'}))
    for fields in ({"MA": Field(Type.TEXT)}, {"MA": Field(Type.NUMBER)}):
        assert list(objections(given, Elsewhere({}, {"XA": fields}))) == []
    assert list(objections(given)) == []
