"""The report on mutants: what is counted, what a survivor is known by, and when the command fails."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local.options import ROOT
from tests.programs.mutants import report
from tests.programs.mutants.engine import Mutant, describe, is_wording
from tests.programs.mutants.report import change, figures, outdated, read_reasons, survivors_text
from tests.programs.mutants.rooms import GROUPS, Room

ROOM = Room("r", ("services/x.py",))
MUTANT = Mutant("services.x.x_f__mutmut_1", "services/x.py", "f", "a < b", "a <= b")
KILLED, SURVIVED, UNTESTED, TIMEOUT, SKIPPED, UNKNOWN = 1, 0, 33, 36, 34, 99


def found(*codes: int | None) -> list[Mutant]:
    return [replace(MUTANT, becomes=f"a <= b + {number}", exit_code=code) for number, code in enumerate(codes)]


def test_nine_in_ten_are_enough_and_less_is_not() -> None:
    assert figures(ROOM, found(*[KILLED] * 9, SURVIVED), {}).ok
    assert not figures(ROOM, found(*[KILLED] * 8, SURVIVED), {}).ok
    assert not figures(ROOM, found(*[KILLED] * 8, UNTESTED), {}).ok, "what no test calls is not noticed"
    assert not figures(ROOM, found(*[KILLED] * 8, UNKNOWN), {}).ok, "what ended in no known way neither"
    assert figures(ROOM, found(*[KILLED] * 8, TIMEOUT, SURVIVED), {}).ok


def test_what_was_not_asked_counts_in_nothing() -> None:
    counted = figures(ROOM, found(KILLED, None, SKIPPED), {})
    assert (counted.killed, counted.survived, counted.untested) == (1, 0, 0)


def test_a_survivor_with_a_reason_counts_in_nothing_and_one_without_is_listed() -> None:
    mutants = found(*[KILLED] * 8, SURVIVED)
    reasons = {change(mutants[-1]): "both are the same"}
    accepted = figures(ROOM, mutants, reasons)
    assert (accepted.ok, accepted.survived, accepted.accepted) == (True, 0, 1)
    assert survivors_text(mutants, reasons) == ""
    assert "a <= b + 8" in survivors_text(mutants, {})


def test_what_is_listed_can_be_copied_to_the_reasons(tmp_path: Path) -> None:
    mutants = found(SURVIVED, UNTESTED)
    copied = tmp_path / "reasons.yaml"
    copied.write_text(survivors_text(mutants, {}), encoding="utf-8")
    assert set(read_reasons(copied)) == {change(mutant) for mutant in mutants}


def test_a_reason_whose_mutant_is_killed_or_gone_is_named_once_its_file_was_asked_whole() -> None:
    mutants = found(SURVIVED, KILLED)
    reasons = dict.fromkeys(
        [*map(change, mutants), ("services/x.py", "g", "1", "2"), ("services/y.py", "f", "", "")], ""
    )
    assert outdated(mutants, reasons) == [change(mutants[1]), ("services/x.py", "g", "1", "2")]
    assert outdated([*mutants, *found(None)], reasons) == []


def test_a_mutant_is_known_by_what_it_changes_and_not_by_its_line() -> None:
    original = "def x_f__mutmut_orig(a, b):\n    one = 1\n    return a < b\n"
    changed = "def x_f__mutmut_7(a, b):\n    one = 1\n    return a <= b\n"
    assert describe(original, changed) == ("return a < b", "return a <= b")
    moved = [text.replace("    one = 1\n", "") for text in (original, changed)]
    assert describe(*moved) == describe(original, changed)
    method = [
        f"    def xǁFǁf__mutmut_{name}(self) -> None:\n        return {value}\n"
        for name, value in (("orig", 1), ("2", 2))
    ]
    assert describe(*method) == ("return 1", "return 2")


@pytest.mark.parametrize(
    ("was", "becomes", "wording"),
    [
        ('fail("the file is empty")', 'fail("XXthe file is emptyXX")', True),
        ('fail("the file is empty", "x")', 'fail("THE FILE IS EMPTY", "x")', True),
        ('fail("the file is empty", "x")', 'fail("the file is empty", "XXxXX")', False),
        ('fail("Leave `it` out.")', 'fail("leave `it` out.")', True),
        ('fail("Correct `it`.")', 'fail("CORRECT `IT`.")', True),
        ('fail("the file is empty")', "fail(None)", False),
        ('status == "sent"', 'status == "SENT"', False),
        ('" ".join(words)', '"XX XX".join(words)', False),
        ('a < b or "of two words"', 'a <= b or "of two words"', False),
    ],
)
def test_the_words_of_a_sentence_are_no_mutant_and_all_else_is(was: str, becomes: str, wording: bool) -> None:
    assert is_wording(was, becomes) is wording


def test_every_room_and_its_tests_are_there() -> None:
    named = [path for group in GROUPS for path in (*group.files, *group.tests, *group.ignored)]
    assert [path for path in named if not (ROOT / path).exists()] == []
    files = [file for group in GROUPS for file in group.files]
    assert len(set(files)) == len(files)
    for group in GROUPS:
        assert len({*group.tests, *group.ignored}) == len(group.tests) + len(group.ignored), group.name


def test_every_reason_says_why_and_names_a_function_of_a_room() -> None:
    files = {file for group in GROUPS for file in group.files}
    for (file, function, was, becomes), reason in read_reasons(report.REASONS).items():
        assert file in files
        assert function in functions(ROOT / file), f"{file} has no {function}"
        assert was != becomes
        assert len(reason.split()) >= 4, f"{file} {function}: {reason}"


def functions(path: Path) -> set[str]:
    """Names of functions, and of methods with their class."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        members = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        found |= {f"{prefix}{member.name}" for member in members if isinstance(member, ast.FunctionDef)}
    return found
