"""A row of the fault matrix as a test, before `make faults` runs them all, with their controls.

Here a row is its fault and its checks, without the control runs that double its time.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.programs.faults.__main__ import load_rows
from tests.programs.faults.ground import Ground
from tests.programs.faults.matrix import ROWS, run_row

SEED = 20260311

load_rows()
QUICK = [row for row in ROWS.values() if row.quick]


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with Ground() as ground:
        yield ground


@pytest.mark.e2e
@pytest.mark.whole
@pytest.mark.timeout(600)  # seconds of a machine on which much else runs; alone a row takes about twenty
@pytest.mark.parametrize("row", QUICK, ids=lambda row: f"row {row.number}: {row.fault}")
def test_the_system_survives(ground: Ground, row: object) -> None:
    chosen = next(candidate for candidate in QUICK if candidate is row)
    result = run_row(chosen, ground, SEED, scale=0.4, controls=False)
    assert result.passed, (result.error, result.wrongs, result.figures)


def test_every_row_of_the_matrix_is_registered() -> None:
    assert {str(number) for number in range(1, 26)} <= set(ROWS)
    assert sum(1 for row in ROWS.values() if row.quick) >= 1
