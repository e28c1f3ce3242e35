"""What the fault matrix tells of itself: a control is a run without a protection, and every invariant has one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.programs.faults.__main__ import load_rows, mark, show_controls, write
from tests.programs.faults.controls import CONTROLS
from tests.programs.faults.invariants import CHECKS
from tests.programs.faults.matrix import ROWS, Result, covered_elsewhere, rows_with_control

load_rows()
#: made with SQL and settings, past the services
PAST_THE_SERVICES = {"without the replay", "synchronous_commit off", "stamp and inbox forgotten"}
#: no missing protection, but a bad deploy
DEPLOYS = {"defective_handler"}


def result(**more: object) -> Result:
    """A row that passed; `more` is set on it."""
    made = Result("3", "a fault", ("I2", "I6"), 1, controls={"broken": ["I2"]}, checked={"I2", "I6"})
    for name, value in more.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize("invariant", sorted(CHECKS))
def test_every_invariant_has_a_row_that_takes_its_protection_out(invariant: str) -> None:
    assert rows_with_control(invariant)


def test_a_row_controls_only_what_it_checks() -> None:
    for row in ROWS.values():
        for control, names in row.controls.items():
            assert names, control
            assert set(names) <= set(row.invariants), (row.number, control)


def test_every_switch_is_thrown_by_a_row() -> None:
    declared = {control for row in ROWS.values() for control in row.controls}
    assert declared - PAST_THE_SERVICES == set(CONTROLS) - DEPLOYS


def test_a_control_that_stays_green_is_none() -> None:
    green = result(checker_red={"I2", "I6"})
    assert green.passed
    assert green.control_red is False, "spoiled stores are no control"
    assert not green.as_it_should
    assert mark(green) == "NO CONTROL"


def test_a_control_that_is_red_counts() -> None:
    red = result(reds={"broken": ["I2"]})
    assert red.control_red is True
    assert red.as_it_should
    assert show_controls([red])["I2"] == ["broken (row 3)"]


def test_a_row_without_controls_says_so_and_names_whose_cover_it() -> None:
    bare = result(controls={})
    assert bare.control_red is None
    assert bare.as_it_should
    document = bare.document()
    assert document["control_red"] is None
    elsewhere = document["control_elsewhere"]
    assert elsewhere == covered_elsewhere(bare)
    assert {name: set(rows) for name, rows in elsewhere.items()} == {
        name: set(rows_with_control(name)) for name in ("I2", "I6")
    }


def test_an_expected_failure_that_passes_is_wrong() -> None:
    assert not result(expected_failure="not built", controls={}).as_it_should


def test_rows_of_another_run_are_marked_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    write(path, [result(number="3", seed=1)])
    write(path, [result(number="5", seed=2)])
    rows = {row["fault"].partition(" ")[0]: row for row in json.loads(path.read_text("utf-8"))["rows"]}
    assert not rows["3"]["of_this_run"]
    assert rows["5"]["of_this_run"]
    assert {"fault", "invariants", "passed", "control_red", "expected_failure", "figures", "seed"} <= set(rows["3"])
