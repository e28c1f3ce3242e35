"""docs/formula.md tells every function with an example, and every example gives what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.validator.formula import caret, lines, parse
from services.validator.formula import explain as explained
from services.validator.formula.functions import FUNCTIONS
from services.validator.formula.nodes import Call, walk
from tests.unit.validator.formula_rig import NAMES, errors_of, report, shown, value_of, values_in_rows

PAGE = Path(__file__).parents[3] / "docs" / "formula.md"
_EXAMPLE = re.compile(r"\| `(?P<formula>.+?)` \|(?: (?P<table>[A-Z]) \|)? [^|]+ \| (?P<result>[^|]+) \|")


def examples() -> list[tuple[str, str | None, str]]:
    """Formula, the table whose rows it is for, result."""
    found = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        match = _EXAMPLE.fullmatch(line)
        if match:
            found.append((match["formula"].replace("\\|", "|"), match["table"], match["result"].strip()))
        assert match or not line.startswith("| `"), line
    return found


@pytest.mark.parametrize(("formula", "table", "result"), examples())
def test_an_example_gives_what_the_page_says(formula: str, table: str | None, result: str) -> None:
    if table is None:
        assert shown(value_of(formula)) == result
    else:
        assert " · ".join(shown(value) for value in values_in_rows(formula, table)) == result


def test_every_function_has_an_example() -> None:
    used = {node.name for formula, _, _ in examples() for node in walk(parse(formula).root) if isinstance(node, Call)}
    assert used == FUNCTIONS.keys()


def test_the_errors_that_the_page_shows_are_the_languages() -> None:
    text = "[CT1] + [TEN]"
    error = errors_of(text)[0]
    assert f"{caret(text, error)} {error.message_vi}" in PAGE.read_text(encoding="utf-8")


def test_an_answer_is_explained_by_its_parts() -> None:
    def tree(text: str, *, english: bool = False) -> list[str]:
        return lines(explained(parse(text), report(), NAMES), english=english)

    assert tree("[CT01] = ([CT02] + [CT04])") == [
        "[CT01] = ([CT02] + [CT04]) → (trống)",
        "  [CT01] → 10",
        "  ([CT02] + [CT04]) → (trống)",
        "    [CT02] → 3",
        "    [CT04] → (trống)",
    ]
    assert tree('IF([CT01] > 5; MISSINGROWS("xa"; [B.ma]) = 0; YOY([CT01]) > 1)', english=True) == [
        'IF([CT01] > 5; MISSINGROWS("xa"; [B.ma]) = 0; YOY([CT01]) > 1) → FALSE',
        "  [CT01] > 5 → TRUE",
        "    [CT01] → 10",
        '  MISSINGROWS("xa"; [B.ma]) = 0 → FALSE',
        '    MISSINGROWS("xa"; [B.ma]) → 1 (Missing: z.)',
        "      [B.ma] (3 rows)",
    ]
    assert tree("YOY([CT01])") == [
        "YOY([CT01]) → không tính được (Chưa có báo cáo được chấp nhận của cùng kỳ năm trước.)"
    ]
    assert tree("SUM([CT02]:[CT03])")[1:] == ["  [CT02]:[CT03] (2 chỉ tiêu)", "    [CT02] → 3", "    [CT03] → 7"]


@pytest.mark.parametrize(("formula", "table", "result"), examples())
def test_the_tree_says_what_the_formula_answers(formula: str, table: str | None, result: str) -> None:
    if table is None:
        value = explained(parse(formula), report(), NAMES).value
        assert value is not None
        assert shown(value) == result
