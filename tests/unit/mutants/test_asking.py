"""The tests are asked about each mutant in a fork of its own, and only if they pass without any."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from deploy.local.options import ROOT

ASKING = ROOT / "tests" / "programs" / "mutants" / "asking.py"
#: as mutmut writes it: the function, and what it may be at run time
CODE = """
from functools import cache
from mutmut.mutation.trampoline import wrap_in_trampoline

def x_least__mutmut_orig(a, b):
    return a if a < b else b

def x_least__mutmut_1(a, b):
    return a if a > b else b

def x_least__mutmut_2(a, b):
    return a if a <= b else b

@wrap_in_trampoline({
    "_mutmut_orig": x_least__mutmut_orig,
    "x_least__mutmut_1": x_least__mutmut_1,
    "x_least__mutmut_2": x_least__mutmut_2,
})
def least(a, b): ...

@cache
def remembered(a, b):
    return least(a, b)
"""
TESTS = """
from code_of import remembered

def test_the_least_of_two():
    assert remembered(1, 2) == 1

def test_of_two_that_are_equal():
    assert remembered(2, 2) == 2
"""


def ask(folder: Path, keys: list[str], tests: str = TESTS) -> subprocess.CompletedProcess[str]:
    (folder / "pyproject.toml").write_text('[tool.mutmut]\nsource_paths = ["."]\n', encoding="utf-8")
    (folder / "code_of.py").write_text(CODE, encoding="utf-8")
    (folder / "test_it.py").write_text(tests, encoding="utf-8")
    told = json.dumps({"keys": keys, "arguments": ["-p", "no:asyncio", "test_it.py"]})
    return subprocess.run(
        [sys.executable, str(ASKING)], cwd=folder, input=told, capture_output=True, text=True, check=False, timeout=60
    )


def test_what_a_test_notices_is_killed_what_none_notices_survives_and_what_none_calls_is_told(tmp_path: Path) -> None:
    asked = ask(tmp_path, ["code_of.x_least__mutmut_1", "code_of.x_least__mutmut_2", "code_of.x_other__mutmut_1"])
    assert asked.returncode == 0, asked.stderr
    assert asked.stdout.splitlines() == [
        "code_of.x_least__mutmut_1\t1",
        "code_of.x_least__mutmut_2\t0",
        "code_of.x_other__mutmut_1\t33",
    ]


def test_tests_that_fail_by_themselves_are_named_and_nothing_is_asked(tmp_path: Path) -> None:
    asked = ask(tmp_path, ["code_of.x_least__mutmut_1"], TESTS + "\ndef test_wrong():\n    assert False\n")
    assert (asked.returncode, asked.stdout) == (1, "")
    assert "fails without any mutant: test_it.py::test_wrong" in asked.stderr
