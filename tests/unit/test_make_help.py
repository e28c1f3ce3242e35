"""`make help` names every target in both languages; it, README and CONTRIBUTING fit a terminal of 80 columns."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from scripts.make_help import COLUMNS, help_text, targets

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def phony() -> set[str]:
    declared = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.M)
    assert declared
    return set(declared[1].split())


def test_every_target_is_listed_in_both_languages() -> None:
    listed = targets(MAKEFILE)
    assert {name for name, _, _ in listed} == phony()
    assert [name for name, vietnamese, english in listed if not (vietnamese and english)] == []


def test_no_line_is_wider_than_the_terminal_and_nothing_is_cut_off() -> None:
    done = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == help_text(MAKEFILE) + "\n"
    assert max(map(len, done.stdout.splitlines())) <= COLUMNS == 80
    words = " ".join(done.stdout.split())
    for name, vietnamese, english in targets(MAKEFILE):
        assert f"make {name} {vietnamese} {english}" in words


def test_a_target_without_english_is_noticed() -> None:
    """Negative control."""
    assert targets("up:  ## chạy\n\t@true\ndown:  ## dừng\n##> stop\n") == [
        ("up", "chạy", ""),
        ("down", "dừng", "stop"),
    ]


def test_a_long_text_is_wrapped_where_it_once_ran_over() -> None:
    """Negative control: printed as it stands, this line would be wider."""
    text = help_text(f"up:  ## {'dài ' * 40}\n")
    assert max(map(len, text.splitlines())) <= COLUMNS
    assert text.split().count("dài") == 40


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_a_page_that_is_read_in_a_terminal_fits_it(page: str) -> None:
    assert too_wide((ROOT / page).read_text(encoding="utf-8")) == []


def too_wide(text: str) -> list[str]:
    return [line for line in text.splitlines() if len(line) > COLUMNS]


def test_a_wide_line_of_a_page_is_noticed() -> None:
    """Negative control."""
    assert too_wide("short\n" + "x" * 81 + "\n") == ["x" * 81]
