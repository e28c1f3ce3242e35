"""A part that was measured again takes the place of its rows in the table that is kept."""

from __future__ import annotations

from pathlib import Path

from tests.programs.bench.plot import BEGIN, DECIDING, END, PAGE, write_tables
from tests.programs.bench.table import Row, Table


def test_rows_measured_again_take_their_places_and_the_rest_stays(tmp_path: Path) -> None:
    kept = Table("full", {"cpu": "2"}, [Row("a", "s", 1.0), Row("b", "s"), Row("c", "s", 3.0)])
    kept.save(tmp_path / "bench.json")
    table = Table.load(tmp_path / "bench.json")
    assert table == kept
    table.replace([Row("b", "s", 2.0, met=True), Row("d", "s", 4.0)])
    assert [(row.measure, row.ours) for row in table.rows] == [("a", 1.0), ("b", 2.0), ("c", 3.0), ("d", 4.0)]
    table.save(tmp_path / "bench.json")
    assert Table.load(tmp_path / "bench.json") == table


LONG = "Nhận bền vững qua HTTP / durable accepts of submissions with many figures and a long narrative, 256 connections"


def _wide_table() -> Table:
    row = Row(
        LONG, "submissions/s", 29426.0, 42976.0, 348.0, 29426.0, 19.91, "conventional", "≥ 3500", True, "why " * 40
    )
    return Table(
        "full", {"packages": "uvicorn 0.54.0, fastapi 0.165.0, " * 6}, [row], trouble=["it did not settle " * 9]
    )


def test_the_terminals_table_fits_80_columns_and_cuts_nothing_off() -> None:
    text = _wide_table().text()
    assert max(len(line) for line in text.splitlines()) <= 80
    seen = " ".join(text.split())
    assert f"{LONG} (submissions/s)" in seen
    assert "29,426 42,976 348 29,426 ≥ 3500 yes 19.91 of conventional" in seen
    assert "conventional limit goal met ratio" in seen


def test_a_table_of_one_line_a_row_would_not_fit() -> None:
    """Negative control: the measure alone is wider than the terminal."""
    assert len(LONG) > 80


def test_the_page_gets_the_deciding_rows_and_the_diary_gets_all(tmp_path: Path) -> None:
    rows = [
        Row("POST → điểm / to scored, p99", "s", 0.4, goal="≤ 1 s", met=True),
        Row("  CPU kafka", "ms", 0.1),
        Row("  so với sàn / of the floor", "share", 0.41, goal="≥ 70%", met=False),
    ]
    Table("full", {"date": "2026-11-26"}, rows).save(tmp_path / "bench.json")
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    whole = write_tables(tmp_path / "bench.json", page, tmp_path / "measurements")
    shown = page.read_text(encoding="utf-8")
    assert shown.startswith("before\n")
    assert shown.endswith("after\n")
    assert "old" not in shown
    assert "CPU kafka" not in shown
    assert shown.index("of the floor (share) | 0.410") < shown.index("to scored, p99 (s) | 0.400"), "the page's order"
    assert "measurements/2026-11-26-benchmark.md" in shown
    assert whole.name == "2026-11-26-benchmark.md"
    assert all(row.measure.strip() in whole.read_text(encoding="utf-8") for row in rows)


def test_every_deciding_row_is_one_that_the_bench_makes() -> None:
    """A renamed measure must not fall off the page unseen: the page of the last run has all twelve."""
    page = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    lines = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| measure")]
    assert len(lines) == 12
    source = (Path("tests") / "programs" / "bench" / "results.py").read_text(encoding="utf-8")
    for begins in DECIDING:
        assert any(line.removeprefix("| ").startswith(begins) for line in lines), begins
        constant = begins.partition("256")[0].partition("40/s")[0].partition(", intake")[0].strip()
        assert constant in source, begins
