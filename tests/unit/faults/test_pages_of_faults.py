"""docs/reliability.md lists the rows and controls that are run, and docs/failpoints.md the points that exist."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.programs.faults.__main__ import load_rows
from tests.programs.faults.matrix import ROWS

ROOT = Path(__file__).resolve().parents[3]
RELIABILITY = ROOT / "docs" / "reliability.md"
FAILPOINTS = ROOT / "docs" / "failpoints.md"

Listed = dict[str, tuple[tuple[str, ...], dict[str, list[str]]]]


def rows_of(page: str) -> Listed:
    """Row number -> its invariants and its controls with what they turn red, as the page has them."""
    listed: Listed = {}
    for line in page.splitlines():
        if re.match(r"\| \d+[a-z]? \| ", line):
            number, _, invariants, controls = (cell.strip() for cell in line.strip("|").split("|"))
            red = {
                name.strip().strip("`"): reds.split()
                for name, _, reds in (control.partition(":") for control in controls.split(";") if control)
            }
            listed[number] = (tuple(invariants.split()), red)
    return listed


def points_of(sources: Iterable[str]) -> set[str]:
    """The names of all failpoints in Python sources; a name that is made up at run time has its fixed part only."""
    return {name for source in sources for name in re.findall(r'"((?:[a-z]+\.)[a-z_]+)"', "".join(calls_of(source)))}


def calls_of(source: str) -> list[str]:
    return re.findall(r"failpoints\.hit\(([^)]*)\)", source)


@pytest.fixture(scope="module")
def declared() -> Listed:
    load_rows()
    return {
        row.number: (row.invariants, {control: list(reds) for control, reds in row.controls.items()})
        for row in ROWS.values()
    }


def test_the_page_has_every_row_with_its_invariants_and_controls(declared: Listed) -> None:
    assert rows_of(RELIABILITY.read_text(encoding="utf-8")) == declared


@pytest.mark.parametrize(
    ("printed", "instead"),
    [
        ("`naive_cursor`: I6", "`naive_cursor`: I7"),
        ("| I8 | `cost_without_bounds`: I8 |", "| I8 |  |"),
        ("| 34 |", "| 35 |"),
    ],
)
def test_a_row_told_otherwise_is_noticed(declared: Listed, printed: str, instead: str) -> None:
    """Negative control."""
    page = RELIABILITY.read_text(encoding="utf-8")
    assert printed in page
    assert rows_of(page.replace(printed, instead)) != declared


def test_the_page_has_every_failpoint_of_the_code() -> None:
    sources = [
        path.read_text(encoding="utf-8") for room in ("services", "shared") for path in (ROOT / room).rglob("*.py")
    ]
    points = points_of(sources)
    assert "relay.between_ack_and_delete" in points
    listed = set(re.findall(r"`([a-z]+\.[a-z_]+)`", FAILPOINTS.read_text(encoding="utf-8")))
    assert points <= listed
    states = {name for name in listed - points if name.startswith("mail.")}
    assert listed - points == states, "only the states of a mail are named at run time"
    assert points_of([*sources, 'failpoints.hit("relay.unlisted")']) - listed == {"relay.unlisted"}
