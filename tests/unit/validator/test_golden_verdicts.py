"""What is said of thirty realistic reports, compared whole: no change of a rule, a word or the engine is unseen."""

from __future__ import annotations

import difflib

import pytest

from services.validator.rules import sums
from tests.programs import golden_verdicts


def difference() -> list[str]:
    stored, made = golden_verdicts.VERDICTS.read_text("utf-8"), golden_verdicts.text()
    return list(difflib.unified_diff(stored.splitlines(), made.splitlines(), "stored", "now", lineterm="", n=1))


def test_the_golden_reports_get_the_verdicts_that_are_written_down() -> None:
    found = difference()
    assert not found, "\n".join(
        [*found[:60], "If it is meant: python -m tests.programs.golden_verdicts, and look at its diff."]
    )


def test_thirty_reports_of_all_regimes_of_the_sample_are_judged_and_every_outcome_is_there() -> None:
    given = golden_verdicts.reports()
    assert len(given) >= 30
    assert len({report["name"] for report in given}) == len(given)
    assert {report["regime"] for report in given} == {path.stem for path in golden_verdicts.REGIMES.glob("*.yaml")}
    text = golden_verdicts.VERDICTS.read_text("utf-8")
    assert all(said in text for said in ("outcome: accepted", "outcome: returned", "to_explain: true"))


def test_a_change_of_the_engine_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: sums are not checked."""
    monkeypatch.setattr(sums, "check", lambda *given: None)
    assert any("K01" in line for line in difference() if line.startswith("-"))
