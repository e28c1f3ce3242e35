"""Which statements state an order, and how rows are turned round that none tells apart."""

from __future__ import annotations

import pytest

from tests.in_no_order import is_ordered, turned


@pytest.mark.parametrize(
    ("statement", "ordered"),
    [
        ("SELECT a FROM t", False),
        ("SELECT a FROM t\n ORDER  BY a", True),
        ("select a from t order by a limit 1", True),
        ("SELECT array_agg(a ORDER BY b) FROM t", False),
        ("SELECT a, (SELECT b FROM u ORDER BY c LIMIT 1) FROM t", False),
        ("SELECT a FROM (SELECT b FROM u) v ORDER BY a", True),
        ("SELECT a FROM t WHERE b = 'x ORDER BY (a' AND c", False),
    ],
)
def test_an_order_of_a_part_is_none_of_the_whole(statement: str, ordered: bool) -> None:
    assert is_ordered(statement) is ordered


@pytest.mark.parametrize(
    ("statement", "other"),
    [
        ("SELECT a FROM t ORDER BY b", "SELECT a FROM t ORDER BY b, ctid DESC"),
        ("SELECT * FROM t x WHERE f(a) ORDER BY b DESC", "SELECT * FROM t x WHERE f(a) ORDER BY b DESC, ctid DESC"),
        ("SELECT a FROM t AS x ORDER BY f(b, c) LIMIT 2", "SELECT a FROM t AS x ORDER BY f(b, c), ctid DESC LIMIT 2"),
        ("SELECT (SELECT b FROM u JOIN v ORDER BY 1) FROM t ORDER BY 1", None),
        ("SELECT a FROM t WHERE b IN (SELECT c FROM u GROUP BY c) ORDER BY a", None),
    ],
)
def test_rows_that_an_order_does_not_tell_apart_are_turned_round(statement: str, other: str | None) -> None:
    assert turned(statement) == (other or f"{statement}, ctid DESC")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT a FROM t",
        "SELECT DISTINCT a FROM t ORDER BY a",
        "SELECT a, count(*) FROM t GROUP BY a ORDER BY a",
        "SELECT a, count(*) FROM t WHERE b GROUP BY a ORDER BY a",
        "SELECT t.a FROM t JOIN u USING (b) ORDER BY a",
        "SELECT t.a FROM t, u ORDER BY a",
        "SELECT a FROM t UNION SELECT b FROM u ORDER BY a",
        "SELECT a FROM t WHERE c UNION ALL SELECT b FROM u ORDER BY a",
        "WITH t AS (SELECT 1 AS a) SELECT a FROM t ORDER BY a",
        "SELECT a FROM jsonb_array_elements(b) ORDER BY a",
        "SELECT a FROM (SELECT 1 AS a) t ORDER BY a",
        "SELECT relname FROM pg_class ORDER BY relname",
        "SELECT column_name FROM information_schema.columns ORDER BY 1",
    ],
)
def test_what_has_no_place_in_the_heap_stays_as_it_is(statement: str) -> None:
    assert turned(statement) == statement
