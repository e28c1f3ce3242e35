"""The alerts on channels hold where no instance gets anything through, for ten minutes, and are quiet else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from services.notifier import metrics as _  # noqa: F401 - declares what the alerts name
from shared.telemetry.metrics import CATALOGUE

RULES = Path("deploy/prometheus/rules/channels.yaml")
MAIL, TEXTS = "thongsuot_notifier_smtp_failing_seconds", "thongsuot_notifier_gateway_failing_seconds"
_LEAST = re.compile(r"min\((\w+)\)(?: by \((\w+)\))? > (\d+)")


def firing(seconds: dict[str, list[float]]) -> set[str]:
    """The alerts that hold, by what each instance says of each metric."""
    found = set()
    for rule in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]:
        least = _LEAST.fullmatch(rule["expr"])
        assert least, rule["expr"]
        assert least[1] in CATALOGUE
        assert least[2] is None or least[2] in CATALOGUE[least[1]].labels
        assert Path(rule["annotations"]["runbook"]).exists()
        assert " / " in rule["annotations"]["summary"]
        if min(seconds.get(least[1], [0.0])) > float(least[3]):
            found.add(rule["alert"])
    return found


@pytest.mark.parametrize(
    ("seconds", "alerts"),
    [
        ({}, set()),
        ({MAIL: [601.0, 900.0]}, {"MailServerFailing"}),
        ({MAIL: [0.0, 900.0]}, set()),  # one instance gets mails through
        ({TEXTS: [601.0]}, {"GatewayFailing"}),
        ({MAIL: [599.0], TEXTS: [599.0]}, set()),
    ],
)
def test_an_alert_holds_when_nothing_is_accepted_and_only_then(
    seconds: dict[str, list[float]], alerts: set[str]
) -> None:
    assert firing(seconds) == alerts
