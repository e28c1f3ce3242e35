"""Ranked lists of what clients prefer, RFC 9110 12.4.2."""

from __future__ import annotations

import pytest

from shared.web.preferences import prefers_csv, ranked


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", [("", 1.0)]),
        ("VI, en;q=0.5", [("vi", 1.0), ("en", 0.5)]),
        ("text/csv; header=present ; Q=0.3", [("text/csv", 0.3)]),
        ("a;q=x, b;q=nan, c;q=2, d;q=-1, e;q=inf, f;q=1", [("f", 1.0)]),
    ],
)
def test_each_name_comes_with_its_quality(header: str, found: list[tuple[str, float]]) -> None:
    assert list(ranked(header)) == found


def test_a_huge_list_is_read_up_to_its_limit() -> None:
    assert len(list(ranked("a," * 1_000_000))) <= 501


@pytest.mark.parametrize(
    ("accept", "csv"),
    [
        ("text/csv", True),
        ("text/csv;q=0.9, application/json;q=0.1", True),
        ("text/csv;q=0.1, application/json", False),
        ("*/*", False),
        ("", False),
        ("text/csv;q=nan", False),
    ],
)
def test_csv_is_given_where_it_is_preferred(accept: str, csv: bool) -> None:
    assert prefers_csv(accept) is csv
