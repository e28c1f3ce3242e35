"""Each member of a report's body: good ones are read the fast way, and each fault is told at its place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.reports.limits import (
    MAX_CELL_CHARACTERS,
    MAX_CELLS,
    MAX_ERRORS,
    MAX_FIGURE_CHARACTERS,
    MAX_NARRATIVE_CHARACTERS,
    MAX_NIL_REASON_CHARACTERS,
)
from shared.reports.report_parser import Report, Unreadable, read_fast, read_report, read_slow

NIL = {"nil": True, "nil_reason": "Không phát sinh"}
#: without a `-0`, which the fast way leaves to the slow one where a zero stands
HEAD = {"regime": "KTXH", "period": "2026-M10", "officer": "cb-1"}


def body(**given: Any) -> bytes:
    return json.dumps({**HEAD, **given}, ensure_ascii=False, separators=(",", ":")).encode()


def faults(**given: Any) -> dict[str, str]:
    """What is said in English, by place."""
    found = read_report(body(**given))
    assert isinstance(found, Unreadable)
    return {error.pointer: f"{error.message_en} {error.fix_en}" for error in found.errors}


GOOD: dict[str, dict[str, Any]] = {
    "nothing": {},
    "no report": {"nil": False},
    "nil": NIL,
    "the shortest reason": {"nil": True, "nil_reason": "–"},
    "the longest reason": {"nil": True, "nil_reason": "a" * MAX_NIL_REASON_CHARACTERS},
    "public": {"classification": "public", "classified": False},
    "of no class": {"classification": None, "classified": None},
    "figures": {"figures": {"A": 1, "B": "2.50", "C": None, "D": -7, "E": 1.25, "F": 0}},
    "the longest figure": {"figures": {"A": "1" * MAX_FIGURE_CHARACTERS, "B": "x" * MAX_FIGURE_CHARACTERS}},
    "narratives": {"narratives": {"n": "Tốt", "m": ""}},
    "the longest narrative": {"narratives": {"n": "a" * MAX_NARRATIVE_CHARACTERS}},
    "tables": {"tables": {"T": [{"A": 1, "B": "x"}, {"A": None}], "U": []}},
    "the longest cell": {"tables": {"T": [{"A": "a" * MAX_CELL_CHARACTERS}]}},
    "all": {"figures": {"A": 1}, "narratives": {"n": "Tốt"}, "tables": {"T": [{"A": 1}]}, "nil": False},
    "large": {"figures": {f"A{n}": n for n in range(1_500)}, "narratives": {"n": "{[" * 400}},
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_body_is_read_the_fast_way_and_as_the_slow_one_reads_it(name: str) -> None:
    fast = read_fast(body(**GOOD[name]))
    assert isinstance(fast, Report)
    assert fast == read_slow(body(**GOOD[name])) == read_report(body(**GOOD[name]))


def test_white_space_before_a_colon_is_left_to_the_slow_way() -> None:
    for space in (" ", "\t", "\n", "\r"):
        spaced = body(figures={"A": 1}).replace(b'"A":', f'"A"{space}:'.encode())
        assert read_fast(spaced) is None
        assert read_report(spaced) == read_fast(body(figures={"A": 1}))
        twice = body(figures={"A": 1}).replace(b'"A":1', f'"A"{space}:1,"A":2'.encode())
        assert isinstance(read_report(twice), Unreadable)


@pytest.mark.parametrize(
    ("given", "place", "words"),
    [
        ({"nil": 1}, "/nil", "must be true or false"),
        ({"nil": True}, "/nil_reason", "must say why there is nothing"),
        ({"nil": True, "nil_reason": " \n"}, "/nil_reason", "must say why there is nothing"),
        ({"nil_reason": "Không phát sinh"}, "/nil_reason", "stands only with `nil: true`"),
        ({"nil": True, "nil_reason": 5}, "/nil_reason", "must be a text. Put it in double quotes."),
        ({"nil": True, "nil_reason": "a" * (MAX_NIL_REASON_CHARACTERS + 1)}, "/nil_reason", "over the limit of 2000"),
        ({"nil": True, "nil_reason": "MẬT: không phát sinh"}, "/nil_reason", "classified"),
        ({"classified": True}, "/classified", "classified"),
        ({"classified": 1}, "/classified", "classified"),
        ({"classification": "secret"}, "/classification", "classified"),
        ({"classification": 0}, "/classification", "classified"),
        ({"figures": []}, "/figures", '{"A01": 12.5, "A02": null}'),
        ({"figures": {"A": "1" * (MAX_FIGURE_CHARACTERS + 1)}}, "/figures/A", "128"),
        ({"figures": {"A": ":MẬT"}}, "/figures/A", "classified"),
        ({"narratives": 1}, "/narratives", '{"danh_gia": "…"}'),
        ({"tables": 1}, "/tables", '{"T01": ['),
        ({"tables": {"T": [1]}}, "/tables/T/0", '{"TEN": "…"'),
        ({"tables": {"T": [{"A": ":MẬT"}]}}, "/tables/T/0/A", "classified"),
        ({"unknown": 1}, "/unknown", "classification, classified, declines, figures, narratives, nil, nil_reason"),
    ],
)  # fmt: skip
def test_a_fault_has_its_place_and_says_what_would_be_right(given: Any, place: str, words: str) -> None:
    told = faults(**given)
    assert list(told) == [place]
    assert words.lower() in told[place].lower()


def test_a_table_that_goes_beyond_the_limits_is_named_with_the_limit() -> None:
    rows = [{f"c{n}": 1 for n in range(20)}] * (MAX_CELLS // 20)
    assert isinstance(read_report(body(tables={"T": rows})), Report)
    told = faults(tables={"T": [*rows, {"c0": 1}]})
    assert list(told) == ["/tables"]
    assert f"{MAX_CELLS}" in told["/tables"].replace(",", "")


@pytest.mark.parametrize(
    "many",
    [
        {"figures": {f"A{n}": [] for n in range(200)}},
        {"narratives": {f"n{n}": 1 for n in range(200)}},
        {f"x{n}": 1 for n in range(200)},
    ],
)
def test_where_more_is_wrong_than_is_told_that_is_said(many: Any) -> None:
    found = read_report(body(**many))
    assert isinstance(found, Unreadable)
    assert (len(found.errors), found.truncated) == (MAX_ERRORS, True)
    single = read_report(body(x=1))
    assert isinstance(single, Unreadable)
    assert not single.truncated


def test_every_member_makes_another_content() -> None:
    told: list[dict[str, Any]] = [
        {}, {"regime": "B"}, {"period": "2026-M11"}, {"officer": "cb-02"}, NIL, {**NIL, "nil_reason": "Khác"},
        {"figures": {"A": 1}}, {"narratives": {"n": "a"}}, {"tables": {"T": [{"A": 1}]}},
    ]  # fmt: skip
    read = [read_report(body(**given)) for given in told]
    assert len({report.content_sha256() for report in read if isinstance(report, Report)}) == len(told)
