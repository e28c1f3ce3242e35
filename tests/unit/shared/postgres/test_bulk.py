"""Statement and parameters follow from one dictionary, so neither can name a column that the other does not."""

from __future__ import annotations

import pytest

from shared.postgres.bulk import assignments, names, parameters, unnest

COLUMNS = {"key": "text", "offset": "bigint"}


def test_the_statement_names_each_column_with_its_type_and_quotes_it() -> None:
    assert names(COLUMNS) == '"key", "offset"'
    assert unnest(COLUMNS) == 'unnest(CAST(:key AS text[]), CAST(:offset AS bigint[])) AS row ("key", "offset")'
    assert unnest(COLUMNS, "r", place="n").endswith(') WITH ORDINALITY AS r ("key", "offset", "n")')
    assert assignments(["offset"], "excluded") == '"offset" = excluded."offset"'


def test_json_travels_as_text_and_is_read_by_the_server() -> None:
    assert unnest({"key": "text", "document": "jsonb"}, place="n") == (
        '(SELECT "key", CAST("document" AS jsonb) AS "document", "n" '
        'FROM unnest(CAST(:key AS text[]), CAST(:document AS text[])) WITH ORDINALITY AS row ("key", "document", "n")) '
        "AS row"
    )


def test_rows_become_one_list_per_column() -> None:
    assert parameters(COLUMNS, iter([("a", 1), ("b", None)])) == {"key": ["a", "b"], "offset": [1, None]}
    assert parameters(COLUMNS, []) == {"key": [], "offset": []}


@pytest.mark.parametrize("rows", [[("a",)], [("a", 1, 2)], [("a", 1), ("b",)]])
def test_a_row_that_has_other_columns_is_refused(rows: list[tuple[object, ...]]) -> None:
    with pytest.raises(ValueError, match="zip"):
        parameters(COLUMNS, rows)
