"""Scoring's own metrics, each declared once."""

from __future__ import annotations

from typing import get_args

from shared.contract.events import Change
from shared.telemetry.metrics import declare_counter, declare_gauge, declare_histogram

OBLIGATIONS_OPENED_TOTAL = declare_counter(
    "thongsuot_scoring_obligations_opened_total",
    "Obligations opened, or changed before a report or reminder, by cause (generator, report).",
    unit="obligations",
    labels=["cause"],
    values={"cause": ("generator", "report")},
)
UNOWED_REPORTS_TOTAL = declare_counter(
    "thongsuot_scoring_unowed_reports_total",
    "Reports that their agency does not owe; recorded, not scored.",
    unit="reports",
)
WITHDRAWN_TOTAL = declare_counter(
    "thongsuot_scoring_obligations_withdrawn_total",
    "Obligations no longer owed: the agency closes before the deadline, or the regime changed its periods.",
    unit="obligations",
)
CHANGES_TOTAL = declare_counter(
    "thongsuot_scoring_changes_total",
    "Published changes of obligations; many overdue_withdrawn point to a lag at deadlines.",
    unit="changes",
    labels=["change"],
    values={"change": get_args(Change)},
)
FULFILLED_TOTAL = declare_counter(
    "thongsuot_scoring_fulfilled_total", "Obligations fulfilled, by whether in time (yes, no).", unit="obligations",
    labels=["on_time"],
    values={"on_time": ("yes", "no")},
)  # fmt: skip
SCORE_LINES_TOTAL = declare_counter(
    "thongsuot_scoring_score_lines_total", "Score lines appended, reversals included.", unit="lines"
)
FOLD_DURATION_SECONDS = declare_histogram(
    "thongsuot_scoring_fold_duration_seconds", "Time to fold one batch of events, without the database.", unit="seconds"
)
OVERDUE_OBLIGATIONS = declare_gauge(
    "thongsuot_scoring_overdue_obligations", "Owed, past the deadline and not fulfilled, at the last tick.",
    unit="obligations",
)  # fmt: skip
CALENDAR_LAST_YEAR = declare_gauge(
    "thongsuot_scoring_calendar_last_year", "Last year the current working-day calendar covers.", unit="year"
)
CALENDAR_LAST_ANNOUNCED_YEAR = declare_gauge(
    "thongsuot_scoring_calendar_last_announced_year", "Last year before the first that is provisional.", unit="year"
)
CALENDAR_COVERED_DAYS_LEFT = declare_gauge(
    "thongsuot_scoring_calendar_covered_days_left",
    "Days of business time until the first year that the calendar lacks; negative once it has begun.",
    unit="days",
)
CALENDAR_ANNOUNCED_DAYS_LEFT = declare_gauge(
    "thongsuot_scoring_calendar_announced_days_left",
    "Days of business time until the first year that nobody has announced; negative once it has begun.",
    unit="days",
)
CALENDAR_GAPS_TOTAL = declare_counter(
    "thongsuot_scoring_calendar_gaps_total",
    "Events deferred because no calendar covers their year; load a newer calendar.",
    unit="events",
)
SETBACKS = declare_gauge(
    "thongsuot_scoring_setbacks",
    "Periods or obligations that a sweep (plan, generate, deadline, withdraw, relief) could not handle; others go on.",
    unit="subjects",
    labels=["sweep"],
)
PROPOSED_RELIEFS = declare_gauge(
    "thongsuot_scoring_proposed_reliefs",
    "Proposed reliefs without a decision; until their hold ends, nothing they cover is marked overdue.",
    unit="reliefs",
)
RELIEFS_PROPOSED_TOTAL = declare_counter(
    "thongsuot_scoring_reliefs_proposed_total",
    "Reliefs that the system has proposed by itself, by cause (standstill: scoring was not there; intake: reports "
    "could not be sent; verdict: reports were returned late).",
    unit="reliefs",
    labels=["cause"],
    values={"cause": ("standstill", "intake", "verdict")},
)
INTAKE_SILENT_SECONDS = declare_gauge(
    "thongsuot_scoring_intake_silent_seconds",
    "Business time since the hour until which intake has told that reports could be sent; nothing later is marked.",
    unit="seconds",
)
ALTERABLE_LEDGERS = declare_gauge(
    "thongsuot_scoring_alterable_ledgers",
    "Append-only tables that scoring's own role could alter, when readiness was last asked for; 0 where they belong to"
    " another role.",
    unit="tables",
)
