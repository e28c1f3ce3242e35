"""A part that was measured again takes the place of its rows in the table that is kept."""

from __future__ import annotations

from pathlib import Path

from tests.bench.table import Row, Table


def test_rows_measured_again_take_their_places_and_the_rest_stays(tmp_path: Path) -> None:
    kept = Table("full", {"cpu": "2"}, [Row("a", "s", 1.0), Row("b", "s"), Row("c", "s", 3.0)])
    kept.save(tmp_path / "bench.json")
    table = Table.load(tmp_path / "bench.json")
    assert table == kept
    table.replace([Row("b", "s", 2.0, met=True), Row("d", "s", 4.0)])
    assert [(row.measure, row.ours) for row in table.rows] == [("a", 1.0), ("b", 2.0), ("c", 3.0), ("d", 4.0)]
    table.save(tmp_path / "bench.json")
    assert Table.load(tmp_path / "bench.json") == table
