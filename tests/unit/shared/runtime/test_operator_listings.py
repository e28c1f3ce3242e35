"""Listings of operators' commands and messages of the local stack fit 80 columns, and nothing of them is cut off."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from deploy.demo.counting import Row
from deploy.demo.screen import _rates
from deploy.local.__main__ import addresses
from deploy.local.errors import ChildFailed, PortInUse
from shared.runtime.operator import COLUMNS, entry

KEY = "H99.01.23.45/BAOCAO-DIEUHANH-CHIDAO-NHIEM-VU-TRONG-TAM-HANG-TUAN/DX-2026-000000000000000000003"
REGIME = "Báo cáo định kỳ về tình hình giải quyết thủ tục hành chính, tiếp công dân và giải quyết đơn thư"

SIGKILLED = "đã dừng đột ngột: tín hiệu SIGKILL / ended unexpectedly: signal SIGKILL"


def width(text: str) -> int:
    return max(len(line) for line in text.splitlines())


def test_a_long_reason_takes_more_lines_and_is_there_to_its_end() -> None:
    reason = "the form cannot be compiled: " + "S01 has no term " * 20 + "END"
    shown = entry("       1  2026-03-17 09:00:00+0700  submissions", "a/key", reason, "")
    assert width(shown) <= COLUMNS
    assert " ".join(shown.split()).endswith("END")
    assert "a/key · the form" in shown


def test_an_identifier_is_never_broken() -> None:
    """Negative control of the width: it may be wider, because it must be one word to be copied."""
    assert KEY in entry("1  validator.submissions", KEY, "why")
    assert width(entry("1", KEY)) > COLUMNS


def test_a_message_of_the_stack_fits_the_terminal() -> None:
    error = PortInUse(28081, "cổng HTTP của dịch vụ tiếp nhận / intake's HTTP port", "python3 (pid 123456)")
    assert len(error.vi) > COLUMNS, "on one line it would not fit"
    shown = error.message()
    assert width(shown) <= COLUMNS
    assert " ".join(shown.split()) == f"{error.vi} ({error.en})"


def test_lines_of_a_log_stay_as_they_are() -> None:
    line = "x" * 120
    shown = ChildFailed("kafka", "Kafka dừng.", "Kafka ended", Path("kafka.log"), line).message()
    assert f"    | {line}" in shown.splitlines()[-1]
    assert shown.splitlines()[0] == "Kafka dừng."


def test_a_name_in_the_demos_table_is_shown_whole_beside_all_figures() -> None:
    console = Console(width=COLUMNS, record=True, file=io.StringIO())
    console.print(_rates([("DIEUHANH-TUAN", REGIME, Row(123456, 1, 2, 3, 4, 5))], Row(123456, 1, 2, 3, 4, 5), COLUMNS))
    shown = console.export_text()
    assert width(shown) <= COLUMNS
    assert "…" not in shown
    cells = [line.split("│")[1].strip() for line in shown.splitlines() if line.startswith("│")]
    assert REGIME in " ".join(cells)
    assert "DIEUHANH-TUAN" in cells
    assert "123456" in shown


@pytest.mark.parametrize("condition", ["", "đã dừng / stopped", SIGKILLED], ids=["runs", "stopped", "killed"])
def test_a_line_of_make_status_fits_the_terminal_and_says_all(condition: str) -> None:
    bootstrap = ",".join(f"127.0.0.1:2909{number}" for number in range(3))
    component = {"condition": condition} if condition else {"pid": 4194304}
    state = {
        "kafka_bootstrap": bootstrap,
        "broker": "kafka",
        "components": {
            "kafka": component,
            "kafka-2": component,
            "intake": {"url": "http://127.0.0.1:28081", **component},
        },
    }
    lines = list(addresses(state))
    assert width("\n".join(lines)) <= COLUMNS
    shown = " ".join("\n".join(lines).split())
    assert bootstrap in shown
    assert "http://127.0.0.1:28081" in shown
    assert shown.count(condition) >= 3 or not condition
    on_one_line = f"{'kafka':<15} pid {component.get('pid', '–'):<8} {bootstrap} (kafka)  ✗ {SIGKILLED}"
    assert len(on_one_line) > COLUMNS, "negative control: nothing had to be wrapped"
