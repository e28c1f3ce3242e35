"""Tables of a body: cells are kept as they were sent, all errors have their places, and no limit can be passed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.submissions.domain import Fresh
from services.intake.submissions.event_encoding import outgoing
from shared.contract.events import SubmissionReceived
from shared.reports import body_tables
from shared.reports.body_json import items_of
from shared.reports.canonical import content_of
from shared.reports.limits import (
    MAX_CELL_CHARACTERS,
    MAX_CELLS,
    MAX_COLUMNS,
    MAX_ERRORS,
    MAX_TABLE_ROWS,
    MAX_TABLES,
)
from shared.reports.report_parser import Report, Unreadable, read_fast, read_report, read_slow
from tests.unit.intake.samples import pending

HEAD = '{"regime":"KTXH","period":"2026-M10","officer":"cb-01"'


def with_tables(text: str) -> bytes:
    return f'{HEAD},"tables":{text}}}'.encode()


def sent(tables: Any) -> bytes:
    return with_tables(json.dumps(tables, ensure_ascii=False, separators=(",", ":")))


def pointers(found: Report | Unreadable) -> list[str]:
    assert isinstance(found, Unreadable)
    return [error.pointer for error in found.errors]


@pytest.mark.parametrize("number", ["12345678901234567.89", "1.50", "-0", "1e5", "0", "123456789012345678901234567890"])
def test_a_cell_keeps_every_digit_it_was_sent_with(number: str) -> None:
    found = read_report(with_tables('{"T":[{"A":' + number + ',"B":"0012","C":null,"D":""}]}'))
    assert isinstance(found, Report)
    assert found.tables == {"T": [{"A": number, "B": "0012", "C": None, "D": ""}]}


def test_the_order_of_rows_is_content_and_the_order_of_cells_is_none() -> None:
    rows = [{"A": "1", "B": "2"}, {"A": "3"}]
    first, other, turned = (
        read_report(sent({"T": given})) for given in (rows, [{"B": "2", "A": "1"}, {"A": "3"}], list(reversed(rows)))
    )
    assert isinstance(first, Report)
    assert isinstance(other, Report)
    assert isinstance(turned, Report)
    assert first.content_sha256() == other.content_sha256() != turned.content_sha256()


def test_a_report_without_tables_says_what_it_said_before_there_were_any() -> None:
    bare = read_report(f"{HEAD}}}".encode())
    empty = read_report(with_tables("{}"))
    none_sent = read_report(with_tables('{"T":[]}'))
    assert isinstance(bare, Report)
    assert isinstance(empty, Report)
    assert isinstance(none_sent, Report)
    said = content_of(regime="KTXH", period="2026-M10", officer="cb-01", nil=False, figures={}, narratives={})
    assert b"tables" not in said
    assert bare.content_sha256() == empty.content_sha256() != none_sent.content_sha256()
    assert b"tables" not in (outgoing(Fresh(pending(), 1)).body or b"tables")


def test_the_event_carries_the_tables() -> None:
    tables = {"T": [{"A": "1.50", "B": None}], "U": []}
    body = SubmissionReceived.model_validate_json(outgoing(Fresh(pending(tables=tables), 1)).body or b"")
    assert body.tables == tables


def test_all_errors_are_told_at_once_with_their_places() -> None:
    found = read_report(
        with_tables('{"T":[{"a b":1,"B":[1],"C":true},7,{"D":1,"D":2}],"x y":[],"U":5,"V":[{"E":"TỐI MẬT"}]}')
    )
    assert set(pointers(found)) == {
        "/tables/T/0/a b", "/tables/T/0/B", "/tables/T/0/C", "/tables/T/1", "/tables/T/2/D", "/tables/x y",
        "/tables/U", "/tables/V/0/E",
    }  # fmt: skip
    assert isinstance(found, Unreadable)
    assert all(error.message and error.message_en and error.fix and error.fix_en for error in found.errors)


@pytest.mark.parametrize("head", ["MẬT", "Tuyệt mật: kế hoạch", "(MẬT)", "- tối mật"])
def test_a_cell_headed_by_a_word_of_classification_is_refused_and_not_repeated(head: str) -> None:
    found = read_report(sent({"T": [{"A": f"{head}\nnội dung"}]}))
    assert pointers(found) == ["/tables/T/0/A"]
    assert isinstance(found, Unreadable)
    assert "nội dung" not in str(found.errors)
    assert isinstance(read_report(sent({"T": [{"A": "Mật độ dân số"}]})), Report)


def test_a_figure_headed_by_a_bracket_and_a_word_of_classification_is_refused_as_well() -> None:
    assert pointers(read_report(f'{HEAD},"figures":{{"A":"(MẬT)"}}}}'.encode())) == ["/figures/A"]


LIMITS: dict[str, tuple[Any, Any, str]] = {
    "tables": ({f"T{n}": [] for n in range(MAX_TABLES)}, {f"T{n}": [] for n in range(MAX_TABLES + 1)}, "/tables"),
    "rows": ({"T": [{}] * (MAX_TABLE_ROWS - 1), "U": [{}]}, {"T": [{}] * (MAX_TABLE_ROWS - 1), "U": [{}] * 2},
             "/tables/U"),
    "columns": ({"T": [dict.fromkeys(map(str, range(MAX_COLUMNS)))]},
                {"T": [dict.fromkeys(map(str, range(MAX_COLUMNS + 1)))]}, "/tables/T/0"),
    "cells": ({"T": [dict.fromkeys(map(str, range(MAX_COLUMNS)))] * (MAX_CELLS // MAX_COLUMNS)},
              {"T": [dict.fromkeys(map(str, range(MAX_COLUMNS)))] * (MAX_CELLS // MAX_COLUMNS), "U": [{"A": None}]},
              "/tables"),
    "characters": ({"T": [{"A": "x" * MAX_CELL_CHARACTERS}]}, {"T": [{"A": "x" * (MAX_CELL_CHARACTERS + 1)}]},
                   "/tables/T/0/A"),
}  # fmt: skip


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_is_reached_and_not_passed(limit: str) -> None:
    most, over, place = LIMITS[limit]
    assert isinstance(read_fast(sent(most)), Report)
    assert read_slow(sent(most)) == read_fast(sent(most))
    assert read_fast(sent(over)) is None
    assert pointers(read_slow(sent(over))) == [place]


def test_errors_are_counted_up_to_their_limit() -> None:
    found = read_report(sent({"T": [{"A": True}] * 500}))
    assert isinstance(found, Unreadable)
    assert len(found.errors) == MAX_ERRORS
    assert found.truncated


@given(st.lists(st.sampled_from(["0", "{}", '[{"A":[]}]', '"a,b"', "null"]), max_size=7), st.integers(1, 5))
def test_of_an_array_the_first_items_are_taken_and_no_more(items: list[str], limit: int) -> None:
    taken = items_of(msgspec.Raw(f"[{','.join(items)}]".encode()), limit)
    assert taken is not None
    assert [bytes(item).decode() for item in taken] == items[:limit]
    assert items_of(msgspec.Raw(b'{"0":1}'), limit) is None


CELLS = st.one_of(st.none(), st.integers(), st.text(max_size=20), st.sampled_from([1.5, -0.0, True, [], {}]))
TABLES = st.dictionaries(
    st.sampled_from(["T", "U", "x y"]), st.lists(st.dictionaries(st.sampled_from("ABC"), CELLS), max_size=3)
)


@given(TABLES)
def test_both_ways_of_reading_agree(tables: Any) -> None:
    body = msgspec.json.encode({"regime": "KTXH", "period": "2026-M10", "officer": "cb-01", "tables": tables})
    fast = read_fast(body)
    slow = read_slow(body)
    if fast is not None:
        assert slow == fast
    else:
        # what only the slow way can tell is right: a minus zero, and text with escapes
        assert isinstance(slow, Unreadable) or b"-0" in body or b"\\" in body


def test_control_a_reading_without_a_limit_of_cells_takes_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_tables, "MAX_CELLS", 10 * MAX_CELLS)
    _, over, _ = LIMITS["cells"]
    assert isinstance(read_fast(sent(over)), Report)
