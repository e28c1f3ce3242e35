"""Intake's own metrics, each declared once."""

from __future__ import annotations

from shared.telemetry.metrics import SIZE_BUCKETS, declare_counter, declare_gauge, declare_histogram

SUBMISSIONS_TOTAL = declare_counter(
    "thongsuot_intake_submissions_total",
    "Answers to submissions by outcome (stored, replayed, key_reused, unchanged, unknown, defect, in_flight, full, "
    "outdated, nil_after_figures, too_many_versions, locked, dry_run).",
    unit="requests",
    labels=["outcome"],
    values={
        "outcome": (
            "stored",
            "replayed",
            "key_reused",
            "unchanged",
            "unknown",
            "defect",
            "in_flight",
            "full",
            "outdated",
            "nil_after_figures",
            "too_many_versions",
            "locked",
            "dry_run",
        )
    },
)
GROUP_SUBMISSIONS = declare_histogram(
    "thongsuot_intake_group_submissions", "Submissions that shared one commit.", unit="requests", buckets=SIZE_BUCKETS
)
GROUP_DURATION_SECONDS = declare_histogram(
    "thongsuot_intake_group_duration_seconds", "Time from taking a group off the queue to its answers.", unit="seconds"
)
GROUP_RETRIES_TOTAL = declare_counter(
    "thongsuot_intake_group_retries_total",
    "Retries of a group after database trouble; a group stored before its answer was lost is recognised.",
    unit="retries",
)
GROUP_SPLITS_TOTAL = declare_counter(
    "thongsuot_intake_group_splits_total",
    "Times a group was halved to find the one the database refuses.",
    unit="groups",
)
QUEUE_SUBMISSIONS = declare_gauge(
    "thongsuot_intake_queue_submissions", "Submissions in the queue for a group.", unit="requests"
)
UNAUTHORIZED_TOTAL = declare_counter(
    "thongsuot_intake_unauthorized_total", "Requests without a valid key.", unit="requests"
)
RATE_LIMITED_TOTAL = declare_counter(
    "thongsuot_intake_rate_limited_total",
    "Requests refused with 429, by limit (agency, operator, address).",
    unit="requests",
    labels=["limit"],
    values={"limit": ("agency", "operator", "address")},
)
REGISTRY_ENTRIES = declare_gauge(
    "thongsuot_intake_registry_entries",
    "Records in the registry cache, by kind.",
    unit="records",
    labels=["kind"],
)
AGENCIES_WITHOUT_OFFICER = declare_gauge(
    "thongsuot_intake_agencies_without_officer",
    "Agencies that exist and have no active reporting officer, when the registry was last read.",
    unit="agencies",
)
ALTERABLE_LEDGERS = declare_gauge(
    "thongsuot_intake_alterable_ledgers",
    "Append-only tables that intake's own role could alter, when readiness was last asked for; 0 where they belong to"
    " another role.",
    unit="tables",
)
REGISTRY_REFRESHES_TOTAL = declare_counter(
    "thongsuot_intake_registry_refreshes_total",
    "Times the registry cache loaded changes from the database.",
    unit="refreshes",
)
UNAVAILABLE_SECONDS_TOTAL = declare_counter(
    "thongsuot_intake_unavailable_seconds_total",
    "Seconds for which no instance could store reports, counted when they are over, by cause (stopped, stalled, "
    "refusing).",
    unit="seconds",
    labels=["cause"],
    values={"cause": ("stopped", "stalled", "refusing")},
)
