"""The alerts on escalations hold when one is left behind or nobody looks, and are quiet else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.notifier import main
from shared.telemetry import metrics

RULES = Path("deploy/prometheus/rules/escalations.yaml")
BEHIND = "thongsuot_notifier_escalations_overdue_to_move"
BEAT = "thongsuot_ticker_last_success_timestamp_seconds"
TICKERS = ("escalations", "escalation audit")
NOW = 1_800_000_000.0


def rules() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def firing(behind: int, beats: dict[str, float]) -> set[str]:
    """The alerts whose expressions hold, by the few forms that they have."""
    found = set()
    for alert, rule in rules().items():
        text = " ".join(rule["expr"].split())
        if over := re.fullmatch(rf"max\({BEHIND}\) > (\d+)", text):
            holds = behind > int(over[1])
        elif silent := re.fullmatch(rf'time\(\) - max\({BEAT}{{ticker=~"(.+)"}}\) by \(ticker\) > (\d+)', text):
            named = silent[1].split("|")
            holds = any(NOW - beats[name] > int(silent[2]) for name in named if name in beats)
        else:
            absent = re.fullmatch(rf'absent\({BEAT}{{ticker="(.+)"}}\)', text)
            assert absent, text
            holds = absent[1] not in beats
        if holds:
            found.add(alert)
    return found


@pytest.mark.parametrize(
    ("behind", "ages", "alerts"),
    [
        (0, dict.fromkeys(TICKERS, 10), set()),
        (1, dict.fromkeys(TICKERS, 10), {"EscalationsLeftBehind"}),
        (0, {"escalations": 10, "escalation audit": 400}, {"EscalationSweepSilent"}),
        (0, {"escalations": 400, "escalation audit": 10}, {"EscalationSweepSilent"}),
        (0, {}, {"EscalationSweepAbsent"}),
    ],
)
def test_an_alert_holds_when_something_is_wrong_and_only_then(
    behind: int, ages: dict[str, int], alerts: set[str]
) -> None:
    assert firing(behind, {name: NOW - age for name, age in ages.items()}) == alerts


def test_the_alerts_name_metrics_and_tickers_that_there_are() -> None:
    assert {BEHIND, BEAT} <= set(metrics.CATALOGUE)
    built = Path(main.__file__).read_text(encoding="utf-8")
    assert all(f'Ticker("{name}"' in built for name in TICKERS)
    for rule in rules().values():
        assert Path(rule["annotations"]["runbook"]).exists()
        assert " / " in rule["annotations"]["summary"]
