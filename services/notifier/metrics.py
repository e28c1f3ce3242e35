"""Notifier's metrics, each declared once with its unit and meaning."""

from __future__ import annotations

from datetime import datetime
from typing import get_args

from services.notifier.delivery.backlog import Backlog
from shared.contract.events import NotificationKind, NotificationOutcome, NotificationRecorded
from shared.telemetry.metrics import declare_counter, declare_gauge, declare_histogram

KINDS: tuple[str, ...] = get_args(NotificationKind)
#: how an SMTP transaction can end: the classes of delivery.Result that the server has a part in
RESULTS = ("accepted", "deferred", "refused", "uncertain", "unsendable", "released")

PLANNED_TOTAL = declare_counter(
    "thongsuot_notifier_notifications_planned_total",
    "Notifications entered into the ledger, by kind and by what they were entered as (pending, skipped, cancelled).",
    unit="notifications",
    labels=("kind", "state"),
    values={"kind": KINDS, "state": ("pending", "skipped", "cancelled")},
)
OUTCOMES_TOTAL = declare_counter(
    "thongsuot_notifier_notifications_outcomes_total",
    "Outcomes recorded in the ledger and told to the other services, by kind and outcome (sent, unknown, failed).",
    unit="notifications",
    labels=("kind", "outcome"),
    values={"kind": KINDS, "outcome": get_args(NotificationOutcome)},
)
ATTEMPTS_TOTAL = declare_counter(
    "thongsuot_notifier_smtp_attempts_total",
    "SMTP transactions by kind of mail and by how they ended (accepted, deferred, refused, uncertain).",
    unit="transactions",
    labels=("kind", "result"),
    values={"kind": KINDS, "result": RESULTS},
)
SMTP_SECONDS = declare_histogram(
    "thongsuot_notifier_smtp_transaction_seconds",
    "Duration of one SMTP transaction, MAIL to the last answer, the commit of in_data included.",
    unit="seconds",
    labels=("result",),
    values={"result": RESULTS},
)
SMTP_UP = declare_gauge(
    "thongsuot_notifier_smtp_up", "1 if the mail server could be used at the last try, else 0.", unit="1"
)
SMTP_FAILING_SECONDS = declare_gauge(
    "thongsuot_notifier_smtp_failing_seconds",
    "For how long mails have been waiting while none got away; 0 while they do, or none waits.",
    unit="seconds",
)
SMTP_LAST_SUCCESS_AGE_SECONDS = declare_gauge(
    "thongsuot_notifier_smtp_last_success_age_seconds",
    "Time since the mail server last took or refused a mail of this instance; -1 before the first.",
    unit="seconds",
)
QUEUE_ROWS = declare_gauge(
    "thongsuot_notifier_queue_rows",
    "Notifications not yet settled: due (may be sent now), waiting (due or later), leased, unknown (left in doubt).",
    unit="rows",
    labels=("state",),
)
OLDEST_DUE_SECONDS = declare_gauge(
    "thongsuot_notifier_queue_oldest_due_age_seconds",
    "How long the oldest due notification has been waiting; 0 if none is due.",
    unit="seconds",
)
RETAKEN_TOTAL = declare_counter(
    "thongsuot_notifier_unsendable_retaken_total",
    "Mails that could not be made and are made again because the record of what they name was renewed.",
    unit="notifications",
)
SENDER_FAULTS_TOTAL = declare_counter(
    "thongsuot_notifier_sender_faults_total",
    "Rounds of the sender that ended by an error nobody foresaw; the mails come back when their leases run out.",
    unit="rounds",
)
LEASES_EXPIRED_TOTAL = declare_counter(
    "thongsuot_notifier_leases_expired_total",
    "Leases that ran out and were taken back: a sender died, stalled or lost the database.",
    unit="leases",
)


def observe_backlog(seen: Backlog, now: datetime) -> None:
    """Set the queue's gauges from one look at the ledger. `now` is system time."""
    QUEUE_ROWS.labels("due").set(seen.due)
    QUEUE_ROWS.labels("waiting").set(seen.waiting)
    QUEUE_ROWS.labels("leased").set(seen.leased)
    QUEUE_ROWS.labels("unknown").set(seen.unknown)
    OLDEST_DUE_SECONDS.set(max(0.0, (now - seen.oldest_due).total_seconds()) if seen.oldest_due else 0.0)


def count_outcome(event: NotificationRecorded) -> None:
    """Count one recorded outcome."""
    OUTCOMES_TOTAL.labels(event.kind, event.outcome).inc()
