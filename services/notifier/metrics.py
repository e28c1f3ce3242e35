"""Notifier's metrics, each declared once with its unit and meaning."""

from __future__ import annotations

from datetime import datetime
from typing import get_args

from services.notifier.channels.webhook.states import RESULTS as RESULTS_OF_WEBHOOKS
from services.notifier.channels.webhook.store import Backlog as WebhookBacklog
from services.notifier.delivery.backlog import Backlog
from services.notifier.escalation.domain import Resolution
from services.notifier.escalation.store import Counts as EscalationCounts
from services.notifier.ladders.domain import TextChannel
from services.notifier.planning.domain import NoticeKind
from shared.contract.events import NotificationKind, NotificationOutcome, RecordedEvent, StepNoticeKind, WebhookEvent
from shared.telemetry.metrics import declare_counter, declare_gauge, declare_histogram

KINDS: tuple[str, ...] = get_args(NoticeKind)
TEXT_CHANNELS: tuple[str, ...] = get_args(TextChannel)
#: how an attempt can end: the labels of delivery.states.SendResult
RESULTS = ("accepted", "deferred", "refused", "uncertain", "unsendable", "released")

PLANNED_TOTAL = declare_counter(
    "thongsuot_notifier_notifications_planned_total",
    "Notices entered into the ledger, by kind and by the state they were entered in (waiting, pending, skipped, "
    "cancelled).",
    unit="notifications",
    labels=("kind", "state"),
    values={"kind": KINDS, "state": ("waiting", "pending", "skipped", "cancelled")},
)
OUTCOMES_TOTAL = declare_counter(
    "thongsuot_notifier_notifications_outcomes_total",
    "Outcomes recorded in the ledger and published to the other services, by kind and outcome (sent, unknown, failed).",
    unit="notifications",
    labels=("kind", "outcome"),
    values={"kind": get_args(NotificationKind) + get_args(StepNoticeKind), "outcome": get_args(NotificationOutcome)},
)
ATTEMPTS_TOTAL = declare_counter(
    "thongsuot_notifier_smtp_attempts_total",
    "SMTP transactions by kind of mail and result (accepted, deferred, refused, uncertain).",
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
    "Time without an accepted mail while mails are due; 0 while mails are accepted or none is due.",
    unit="seconds",
)
SMTP_LAST_SUCCESS_AGE_SECONDS = declare_gauge(
    "thongsuot_notifier_smtp_last_success_age_seconds",
    "Time since the mail server last took or refused a mail of this instance; -1 before the first.",
    unit="seconds",
)
QUEUE_ROWS = declare_gauge(
    "thongsuot_notifier_queue_rows",
    "Mails not yet settled: due (may be sent now), waiting (due now or later), leased, unknown (may have arrived).",
    unit="rows",
    labels=("state",),
)
OLDEST_DUE_SECONDS = declare_gauge(
    "thongsuot_notifier_queue_oldest_due_age_seconds",
    "Time since the oldest due mail became due; 0 if none is due.",
    unit="seconds",
)
GATEWAY_ATTEMPTS_TOTAL = declare_counter(
    "thongsuot_notifier_gateway_attempts_total",
    "Texts given to a gateway by channel and result (accepted, deferred, refused, uncertain).",
    unit="attempts",
    labels=("channel", "result"),
    values={"channel": TEXT_CHANNELS, "result": RESULTS},
)
GATEWAY_SECONDS = declare_histogram(
    "thongsuot_notifier_gateway_attempt_seconds",
    "Duration of one attempt to give a text to a gateway, the commit before it and its turn included.",
    unit="seconds",
    labels=("channel",),
    values={"channel": TEXT_CHANNELS},
)
GATEWAY_UP = declare_gauge(
    "thongsuot_notifier_gateway_up",
    "1 if the channel's gateway could be used at the last try, else 0.",
    unit="1",
    labels=("channel",),
)
GATEWAY_FAILING_SECONDS = declare_gauge(
    "thongsuot_notifier_gateway_failing_seconds",
    "Time without an accepted text of the channel while some are due; 0 while texts are accepted or none is due.",
    unit="seconds",
    labels=("channel",),
)
GATEWAY_QUEUE_ROWS = declare_gauge(
    "thongsuot_notifier_gateway_queue_rows",
    "Texts not yet settled by channel: due (may be sent now), waiting (due now or later), leased, unknown.",
    unit="rows",
    labels=("channel", "state"),
)
GATEWAY_OLDEST_DUE_SECONDS = declare_gauge(
    "thongsuot_notifier_gateway_queue_oldest_due_age_seconds",
    "Time since the channel's oldest due text became due; 0 if none is due.",
    unit="seconds",
    labels=("channel",),
)
RETAKEN_TOTAL = declare_counter(
    "thongsuot_notifier_unsendable_retaken_total",
    "Letters that could not be composed and are tried again after a change to a record they name.",
    unit="notifications",
)
SENDER_FAULTS_TOTAL = declare_counter(
    "thongsuot_notifier_sender_faults_total",
    "Unexpected errors in rounds of the mail dispatcher; their mails are tried again when their leases expire.",
    unit="rounds",
)
LEASES_EXPIRED_TOTAL = declare_counter(
    "thongsuot_notifier_leases_expired_total",
    "Expired leases released: a dispatcher died, stalled or lost the database.",
    unit="leases",
)
WEBHOOK_QUEUED_TOTAL = declare_counter(
    "thongsuot_notifier_webhook_messages_queued_total",
    "Messages queued for webhooks, by event.",
    unit="messages",
    labels=("event",),
    values={"event": get_args(WebhookEvent)},
)
WEBHOOK_ATTEMPTS_TOTAL = declare_counter(
    "thongsuot_notifier_webhook_attempts_total",
    "Attempts to send to webhooks, by result (delivered, refused, away, gone; untried and unsigned were not begun).",
    unit="attempts",
    labels=("result",),
    values={"result": RESULTS_OF_WEBHOOKS},
)
WEBHOOK_REPLAYED_TOTAL = declare_counter(
    "thongsuot_notifier_webhook_messages_replayed_total",
    "Messages for webhooks that go out again at the order of those who keep the webhook.",
    unit="messages",
)
WEBHOOK_SECONDS = declare_histogram(
    "thongsuot_notifier_webhook_attempt_seconds",
    "Duration of one attempt to send to a webhook, from resolving its name to the answer.",
    unit="seconds",
)
WEBHOOK_QUEUE_ROWS = declare_gauge(
    "thongsuot_notifier_webhook_queue_rows",
    "Messages for webhooks not yet settled: due (may be sent now), waiting (due now or later), leased.",
    unit="rows",
    labels=("state",),
)
WEBHOOK_OLDEST_DUE_SECONDS = declare_gauge(
    "thongsuot_notifier_webhook_queue_oldest_due_age_seconds",
    "Time since the oldest due message for a webhook became due; 0 if none is due.",
    unit="seconds",
)
WEBHOOKS_IN_TROUBLE = declare_gauge(
    "thongsuot_notifier_webhooks_in_trouble",
    "Webhooks whose receiver fails (failing), or wants nothing more (stopped).",
    unit="webhooks",
    labels=("state",),
)
WEBHOOK_FAULTS_TOTAL = declare_counter(
    "thongsuot_notifier_webhook_faults_total",
    "Unexpected errors of the webhook dispatcher; the messages are sent again when their leases expire.",
    unit="rounds",
)
ESCALATIONS_OPEN = declare_gauge(
    "thongsuot_notifier_escalations_open",
    "Open escalations: moving (to their next rung), at_the_top, or waiting (for a calendar or a registry record).",
    unit="escalations",
    labels=("state",),
)
ESCALATIONS_OVERDUE_TO_MOVE = declare_gauge(
    "thongsuot_notifier_escalations_overdue_to_move",
    "Escalations that should have moved more than a minute ago and have not; looked at every minute.",
    unit="escalations",
)
ESCALATIONS_MOVED_TOTAL = declare_counter(
    "thongsuot_notifier_escalations_moved_total",
    "Rungs that escalations have passed later than the overdue notice, by whether anybody was told there.",
    unit="rungs",
    labels=("outcome",),
    values={"outcome": ("told", "skipped")},
)
ESCALATIONS_RESOLVED_TOTAL = declare_counter(
    "thongsuot_notifier_escalations_resolved_total",
    "Escalations that ended, by why (answered, not_owed, not_overdue).",
    unit="escalations",
    labels=("resolution",),
    values={"resolution": get_args(Resolution)},
)
ESCALATIONS_ANSWERED_TOTAL = declare_counter(
    "thongsuot_notifier_escalations_answered_total",
    "Answers given by the links in escalation letters, by kind (acknowledged, snoozed, taken_back).",
    unit="answers",
    labels=("kind",),
    values={"kind": ("acknowledged", "snoozed", "taken_back")},
)
MAILS_HELD_TOTAL = declare_counter(
    "thongsuot_notifier_notices_held_total",
    "Notices that were looked at and wait on, by why: quiet_until (no window), limit (of the day), silence.",
    unit="notifications",
    labels=("why",),
    values={"why": ("quiet_until", "limit", "silence")},
)
MATTERS_RELEASED_TOTAL = declare_counter(
    "thongsuot_notifier_notices_released_total",
    "Notices that waited and went out, alone or together with others in one mail.",
    unit="notifications",
    labels=("how",),
    values={"how": ("alone", "together")},
)
for _state in ("moving", "at_the_top", "waiting"):
    ESCALATIONS_OPEN.labels(_state)
for _state in ("due", "waiting", "leased"):
    WEBHOOK_QUEUE_ROWS.labels(_state)
for _state in ("failing", "stopped"):
    WEBHOOKS_IN_TROUBLE.labels(_state)


def observe_escalations(counts: EscalationCounts) -> None:
    """Set the gauges of escalations."""
    ESCALATIONS_OPEN.labels("moving").set(counts.moving)
    ESCALATIONS_OPEN.labels("at_the_top").set(counts.at_the_top)
    ESCALATIONS_OPEN.labels("waiting").set(counts.waiting)
    ESCALATIONS_OVERDUE_TO_MOVE.set(counts.overdue)


def observe_webhooks(counts: WebhookBacklog, now: datetime) -> None:
    """Set the gauges of webhooks. `now` is system time."""
    WEBHOOK_QUEUE_ROWS.labels("due").set(counts.due)
    WEBHOOK_QUEUE_ROWS.labels("waiting").set(counts.waiting)
    WEBHOOK_QUEUE_ROWS.labels("leased").set(counts.leased)
    oldest = counts.oldest_due
    WEBHOOK_OLDEST_DUE_SECONDS.set(max(0.0, (now - oldest).total_seconds()) if oldest else 0.0)
    WEBHOOKS_IN_TROUBLE.labels("failing").set(counts.failing)
    WEBHOOKS_IN_TROUBLE.labels("stopped").set(counts.stopped)


class MailWatch:
    """The metrics of e-mail."""

    def up(self, usable: bool) -> None:
        SMTP_UP.set(usable)

    def attempt(self, kind: str, result: str, seconds: float) -> None:
        SMTP_SECONDS.labels(result).observe(seconds)
        ATTEMPTS_TOTAL.labels(kind, result).inc()

    def backlog(self, counts: Backlog, now: datetime) -> None:
        for state, rows in _rows(counts).items():
            QUEUE_ROWS.labels(state).set(rows)
        OLDEST_DUE_SECONDS.set(_age_seconds(counts, now))

    def health(self, failing_seconds: float, success_age_seconds: float) -> None:
        SMTP_FAILING_SECONDS.set(failing_seconds)
        SMTP_LAST_SUCCESS_AGE_SECONDS.set(success_age_seconds)


class GatewayWatch:
    """The metrics of one gateway."""

    def __init__(self, channel: TextChannel) -> None:
        self._channel = channel
        self.health(0.0, -1.0)

    def up(self, usable: bool) -> None:
        GATEWAY_UP.labels(self._channel).set(usable)

    def attempt(self, kind: str, result: str, seconds: float) -> None:
        GATEWAY_SECONDS.labels(self._channel).observe(seconds)
        GATEWAY_ATTEMPTS_TOTAL.labels(self._channel, result).inc()

    def backlog(self, counts: Backlog, now: datetime) -> None:
        for state, rows in _rows(counts).items():
            GATEWAY_QUEUE_ROWS.labels(self._channel, state).set(rows)
        GATEWAY_OLDEST_DUE_SECONDS.labels(self._channel).set(_age_seconds(counts, now))

    def health(self, failing_seconds: float, success_age_seconds: float) -> None:
        GATEWAY_FAILING_SECONDS.labels(self._channel).set(failing_seconds)


MAILS = MailWatch()


def _rows(counts: Backlog) -> dict[str, int]:
    return {"due": counts.due, "waiting": counts.waiting, "leased": counts.leased, "unknown": counts.unknown}


def _age_seconds(counts: Backlog, now: datetime) -> float:
    """Since when the oldest is due. `now` is system time."""
    return max(0.0, (now - counts.oldest_due).total_seconds()) if counts.oldest_due else 0.0


def count_outcome(event: RecordedEvent) -> None:
    """Count one recorded outcome."""
    OUTCOMES_TOTAL.labels(event.kind, event.outcome).inc()
