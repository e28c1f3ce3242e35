"""Validator's own metrics, each declared once. A batch that is rolled back and tried again counts again."""

from __future__ import annotations

from typing import get_args

from shared.contract.events import Severity, Tier, VerdictOutcome
from shared.telemetry.metrics import declare_counter, declare_gauge, declare_histogram

VERDICTS_TOTAL = declare_counter(
    "thongsuot_validator_verdicts_total",
    "Verdicts reached by outcome (accepted, returned).",
    unit="verdicts",
    labels=["outcome"],
    values={"outcome": get_args(VerdictOutcome)},
)
FINDINGS_TOTAL = declare_counter(
    "thongsuot_validator_findings_total",
    "Findings listed in verdicts by tier and severity (error, warning).",
    unit="findings",
    labels=["tier", "severity"],
    values={"tier": get_args(Tier), "severity": get_args(Severity)},
)
DEFERRED_TOTAL = declare_counter(
    "thongsuot_validator_deferred_total",
    "Submissions deferred because their regime version had not arrived.",
    unit="events",
)
REPEATED_TOTAL = declare_counter(
    "thongsuot_validator_repeated_total",
    "Submissions that came again in another event and kept their verdict.",
    unit="events",
)
JUDGE_DURATION_SECONDS = declare_histogram(
    "thongsuot_validator_judge_duration_seconds",
    "CPU to judge the submissions of one batch, before its transaction.",
    unit="seconds",
)
JUDGED_APART_TOTAL = declare_counter(
    "thongsuot_validator_judged_apart_total",
    "Reports that may be costly, by result: judged, later (deferred to be judged alone: the batch's CPU is used "
    "up), over_budget (given up), failed.",
    unit="submissions",
    labels=["result"],
    values={"result": ("judged", "later", "over_budget", "failed")},
)
DRY_RUNS_TOTAL = declare_counter(
    "thongsuot_validator_dry_runs_total",
    "Dry runs by result: accepted, returned, refused (no report, or under no form), not_judged (too costly), limited "
    "(the agency's allowance is spent).",
    unit="requests",
    labels=["result"],
    values={"result": ("accepted", "returned", "refused", "not_judged", "limited")},
)
VALIDATION_AGE_SECONDS = declare_gauge(
    "thongsuot_validator_validation_age_seconds",
    "Time since the oldest submission without a verdict was deferred, could not be judged, or became a dead letter; 0: "
    "none.",
    unit="seconds",
)
JUDGED_AGAIN_TOTAL = declare_counter(
    "thongsuot_validator_judged_again_total",
    "Verdicts judged again since a report that their rules look at was accepted, by result: changed, same, "
    "failed (set aside and tried again later).",
    unit="verdicts",
    labels=["result"],
    values={"result": ("changed", "same", "failed")},
)
NOT_JUDGED_TOTAL = declare_counter(
    "thongsuot_validator_not_judged_total",
    "Reports that could not be judged: they ran over a limit of CPU or memory, alone and twice.",
    unit="submissions",
)
FORMS_CACHED = declare_gauge(
    "thongsuot_validator_forms_cached", "Compiled forms in memory, one per regime version.", unit="forms"
)
FORMS_LOADED_TOTAL = declare_counter(
    "thongsuot_validator_forms_loaded_total",
    "Forms loaded from the database because they were not in memory.",
    unit="forms",
)
REGIMES_TOTAL = declare_counter(
    "thongsuot_validator_regimes_total",
    "Regime events by result (kept, repeated, refused).",
    unit="events",
    labels=["result"],
    values={"result": ("kept", "repeated", "refused")},
)
