"""Notifier's tables. CHECKs rule out a half-set lease, a failure without a reason, a mail without a recipient."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.postgres.tables import access_tables, backbone_tables

metadata = MetaData()
backbone_tables(metadata)
access_tables(metadata)

agencies = Table(
    "agencies",
    metadata,
    Column("code", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("parent", Text),
    Column("parents", JSONB, nullable=False, server_default="[]"),  # the later ones, each with its first day
    Column("closed_on", Date),
    Column("kind", Text),  # NULL: not stored yet when the record arrived
    Column("version", Integer, nullable=False),
)

officers = Table(
    "officers",
    metadata,
    Column("officer_id", Text, primary_key=True),
    Column("agency", Text, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("regimes", ARRAY(Text), nullable=False),
    Column("active", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
)

#: whoever holds an office: reviewers and people who ask are written to as well
people = Table(
    "people",
    metadata,
    Column("person_id", Text, primary_key=True),
    Column("agency", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("email", Text, nullable=False),  # '': none
    Column(
        "phone", Text, nullable=False, server_default=""
    ),  # as +84…; '': none, or the record came before this was kept
    Column("offices", JSONB, nullable=False),
    Column("digests", JSONB),  # which the person has chosen; NULL: the offices decide
    Column("reviews_at", ARRAY(Text), nullable=False),  # agencies at which the person is a reviewer, or the like
    Column("version", Integer, nullable=False),
    Index("people_reviews_at", "reviews_at", postgresql_using="gin"),
)

regimes = Table(  # what a mail calls the report, and what a new version changes
    "regimes",
    metadata,
    Column("code", Text, nullable=False),
    Column("regime_version", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("legal_basis", Text, nullable=False),
    Column("nil_allowed", Boolean),  # NULL: not stored yet when the record arrived
    Column("version", Integer, nullable=False),
    Column("replaces", Integer),  # the version whose place it takes
    # NULL, both: not stored yet when the record arrived
    Column("effective_from", Date),
    Column("content", JSONB),  # regimes.content.content_of: what the next version is compared with
    Column("kept_since", DateTime(timezone=True)),  # system time
    PrimaryKeyConstraint("code", "regime_version"),
    Index("regimes_replaces", "code", "replaces", postgresql_where=text("replaces IS NOT NULL")),
)

#: versions of which those who report under them are told, agency by agency
regime_tellings = Table(
    "regime_tellings",
    metadata,
    Column("code", Text, nullable=False),
    Column("regime_version", Integer, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),  # business time
    Column("after", Text, nullable=False, server_default=""),  # the last agency done
    Column("done", Boolean, nullable=False, server_default=text("false")),
    Column("again", Boolean, nullable=False, server_default=text("false")),  # from the first agency on, once it is done
    Column("rounds", Integer, nullable=False, server_default="0"),  # how often it began again
    PrimaryKeyConstraint("code", "regime_version"),
    Index("regime_tellings_open", "rounds", "at", postgresql_where=text("NOT done")),
)

requests = Table(  # ad hoc and thematic requests: their title names the period
    "requests",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("title_en", Text, nullable=False),
    Column("legal_basis", Text, nullable=False, server_default=""),
    Column("asked_by", Text),  # an information request: the agency that asks, and what it wants to know
    Column("question", Text, nullable=False, server_default=""),
    Column("version", Integer, nullable=False),
)

calendars = Table(  # working days: the row with the greatest version counts
    "calendars",
    metadata,
    Column("calendar_version", Text, primary_key=True),
    Column("version", Integer, nullable=False),  # the calendar's revision
    Column("first_year", Integer, nullable=False),
    Column("last_year", Integer, nullable=False),
    Column("days_off", JSONB, nullable=False),  # weekdays on which nobody works
    Column("made_up", JSONB, nullable=False),  # weekend days on which offices work
)

policies = Table(  # what a report earns and loses, by version; a version never changes
    "policies",
    metadata,
    Column("policy_version", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("effective_from", Date, nullable=False),
    Column("timeliness_full", Numeric, nullable=False),
    Column("off_per_working_day", Numeric, nullable=False),
    Column("timeliness_floor", Numeric, nullable=False),
    Column("timeliness_overdue", Numeric, nullable=False),
    Column("off_within_grace", Numeric),
    Column("completeness_full", Numeric, nullable=False),
    Column("clauses", JSONB, nullable=False),
)

obligations = Table(
    "obligations",
    metadata,
    Column("obligation", Text, primary_key=True),
    Column("agency", Text, nullable=False),
    Column("regime", Text, nullable=False),
    Column("regime_version", Integer, nullable=False),
    Column("period", Text, nullable=False),
    Column("deadline", DateTime(timezone=True)),
    Column("standing", Text),
    Column("version", Integer, nullable=False, server_default="0"),
    Column("verdict_version", Integer, nullable=False, server_default="0"),
    Column("accepted_version", Integer, nullable=False, server_default="0"),
    Column("owed", Boolean, nullable=False, server_default=text("true")),
    Column("overdue", Boolean, nullable=False, server_default=text("false")),
    Column("overdue_count", Integer, nullable=False, server_default="0"),
    Column("reminded_at", DateTime(timezone=True)),
    Column("reminded_for", DateTime(timezone=True)),  # the deadline of the latest reminder
    Column("reminder_count", Integer, nullable=False, server_default="0"),
    Column("named_officer", Text),  # by the report that answers it; '': answered before this was kept
    Column("certify_version", Integer, nullable=False, server_default="0"),  # accepted but for its certification
    Column("score", Numeric),
    Column("scored_at", DateTime(timezone=True)),  # when it last became another (business time)
    Column("policy_version", Text, nullable=False, server_default=""),  # by which it is scored; '': not heard yet
    # version of the newest NotificationRecorded of this key; its row lock orders them (outbox order = commit order)
    Column("recorded_version", Integer, nullable=False, server_default="0"),
)

notifications = Table(
    "notifications",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("obligation", Text, ForeignKey("obligations.obligation"), nullable=False),
    Column("agency", Text, nullable=False),
    Column("regime", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("officer_id", Text, nullable=False),  # '' where the step has no officer
    Column("channel", Text, nullable=False, server_default="email"),
    Column("recipient", Text),  # the address when the notice was planned
    Column("message_id", Text, nullable=False, unique=True),
    Column("submission_version", Integer, nullable=False, server_default="0"),
    Column("facts", JSONB, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),  # business time
    Column("settled_at", DateTime(timezone=True)),  # business time of the last outcome
    Column("due_at", DateTime(timezone=True)),  # system time of the next attempt
    Column("token", Uuid),
    Column("lease_until", DateTime(timezone=True)),  # system time
    Column("first_tried_at", DateTime(timezone=True)),  # system time
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("refusals", Integer, nullable=False, server_default="0"),
    Column("unknowns", Integer, nullable=False, server_default="0"),  # attempts without an answer
    Column("resends", Integer, nullable=False, server_default="0"),  # by an operator's order
    Column("traceparent", Text),  # of the event that it is about
    Column("wait_until", DateTime(timezone=True)),  # business time of the next look at what waits
    Column("urgent", Boolean, nullable=False, server_default=text("false")),
    Column("released_at", DateTime(timezone=True)),  # business time; NULL: it went out as soon as it was planned
    Column("held", Text),  # what kept it back before it was released
    # the notice whose letter tells of it, itself where that is its own; NULL: a letter of its own
    Column("mail_id", Uuid, ForeignKey("notifications.id")),
    Column("next_channels", ARRAY(Text), nullable=False, server_default="{}"),  # tried in order where this one fails
    # of a failed one, what was done to reach somebody else: person:<id>, nobody, by_the_ladder, not_so (true no more);
    # before: it failed before this was kept; NULL: not looked at yet
    Column("next_contact", Text),
    UniqueConstraint("obligation", "step", "officer_id", "channel", name="notifications_once"),
    CheckConstraint(
        "state IN ('waiting','grouped','pending','claimed','in_data','retry','sent','unknown','failed','cancelled',"
        "'skipped')",
        name="notifications_state",
    ),
    CheckConstraint("(state = 'waiting') = (wait_until IS NOT NULL)", name="notifications_waiting"),
    CheckConstraint("(state = 'grouped') <= (mail_id IS NOT NULL AND mail_id <> id)", name="notifications_grouped"),
    CheckConstraint(
        "kind IN ('reminder','overdue','returned','escalation','named','certification','decision','withdrawal',"
        "'resolved','digest','not_judged','request','regime')",
        name="notifications_kind",
    ),
    CheckConstraint(
        "(state IN ('claimed','in_data')) = (token IS NOT NULL) AND (token IS NULL) = (lease_until IS NULL)",
        name="notifications_lease_whole",
    ),
    CheckConstraint(
        "CASE WHEN state IN ('pending','retry') THEN due_at IS NOT NULL"
        " WHEN state = 'unknown' THEN TRUE ELSE due_at IS NULL END",
        name="notifications_due",
    ),
    CheckConstraint(
        "state NOT IN ('failed','cancelled','skipped','unknown') OR reason IS NOT NULL", name="notifications_reason"
    ),
    CheckConstraint("(state = 'skipped') = (recipient IS NULL)", name="notifications_recipient"),
    CheckConstraint("(state = 'unknown') <= (unknowns > 0)", name="notifications_unknown_counted"),
    Index("notifications_due_by_channel", "channel", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    Index("notifications_leases", "lease_until", postgresql_where=text("token IS NOT NULL")),
    Index(
        "notifications_stoppable",
        "obligation",
        postgresql_where=text("state IN ('waiting','grouped','pending','retry','claimed','unknown','skipped')"),
    ),
    Index("notifications_waiting_first", "wait_until", postgresql_where=text("state = 'waiting'")),
    Index("notifications_waiting_of", "officer_id", "id", postgresql_where=text("state = 'waiting'")),
    Index("notifications_of_mail", "mail_id", postgresql_where=text("mail_id IS NOT NULL")),
    Index("notifications_released", "officer_id", "released_at", postgresql_where=text("released_at IS NOT NULL")),
    Index("notifications_skipped", "agency", postgresql_where=text("state = 'skipped'")),
    Index("notifications_unknown", "id", postgresql_where=text("state = 'unknown'")),
    Index("notifications_failed", "id", postgresql_where=text("state = 'failed'")),
    Index(
        "notifications_next_contact",
        "obligation",
        "id",
        postgresql_where=text(
            "state = 'failed' AND next_contact IS NULL"
            " AND kind IN ('reminder', 'request', 'overdue', 'returned', 'decision', 'certification')"
            " AND reason NOT LIKE 'unsendable%' AND step NOT LIKE '%/asker'"
        ),
    ),
    Index("notifications_by_agency", "agency", "id"),
    Index("notifications_by_officer", "officer_id", "id"),
)

ladders = Table(
    "ladders",
    metadata,
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("body", Text, nullable=False),  # the file as it was loaded
    Column("loaded_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),  # system time
    PrimaryKeyConstraint("name", "version"),
)

escalations = Table(
    "escalations",
    metadata,
    Column("obligation", Text, ForeignKey("obligations.obligation"), nullable=False),
    Column("number", Integer, nullable=False),  # the obligation's first climb, its second …
    Column("ladder", Text, nullable=False),
    Column("ladder_version", Integer, nullable=False),
    Column("opened_at", DateTime(timezone=True), nullable=False),  # business time, like all moments here
    Column("next_at", DateTime(timezone=True)),
    Column("reason", Text, nullable=False, server_default=""),  # why there is no next moment, or it is a look only
    Column("resolved_at", DateTime(timezone=True)),
    Column("resolution", Text),
    Column("document", JSONB, nullable=False),  # escalation.domain.Climb
    # of the newest EscalationChanged; 0 and NULL: none yet
    Column("version", Integer, nullable=False, server_default="0"),
    Column("changed_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("obligation", "number"),
    CheckConstraint("(resolved_at IS NULL) = (next_at IS NOT NULL OR reason <> '')", name="escalations_moving"),
    CheckConstraint("(resolved_at IS NULL) = (resolution IS NULL)", name="escalations_resolved"),
    CheckConstraint("resolution IN ('answered', 'not_owed', 'not_overdue')", name="escalations_resolution"),
    Index("escalations_due", "next_at", postgresql_where=text("next_at IS NOT NULL")),
    Index("escalations_open", "obligation", unique=True, postgresql_where=text("resolved_at IS NULL")),
)

#: When mails go out: the row with the greatest version counts
mailing_rules = Table(
    "mailing_rules",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("sha256", Text, nullable=False),
    Column("body", Text, nullable=False),  # the file as it was loaded
    Column("loaded_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),  # system time
)

#: What an operator keeps back, until when, and why. Moments are business time.
silences = Table(
    "silences",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("agency", Text),  # NULL, here and below: every one
    Column("regime", Text),
    Column("person", Text),
    Column("kind", Text),
    Column("until", DateTime(timezone=True), nullable=False),
    Column("reason", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),  # before its time
    Column("ended_by", Text),
    Column("end_reason", Text),
    Column("idempotency_key", Text),  # of the call that made it; NULL: a command
    Column("sha256", Text),  # mailing.domain.digest; NULL: made before there were any
    UniqueConstraint("made_by", "idempotency_key", name="silences_once"),
    CheckConstraint("num_nonnulls(agency, regime, person, kind) > 0", name="silences_match"),
    CheckConstraint("until > made_at AND num_nulls(ended_at, ended_by, end_reason) IN (0, 3)", name="silences_end"),
    Index("silences_in_force", "until", postgresql_where=text("ended_at IS NULL")),
)

#: Whom the report that answers an obligation names; one letter tells of several obligations.
namings = Table(
    "namings",
    metadata,
    Column("obligation", Text, nullable=False),
    Column("officer_id", Text, nullable=False),
    Column("version", Integer, nullable=False),  # of the report
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),  # business time
    Column("told_with", Text),  # the obligation under which the letter stands in the ledger
    PrimaryKeyConstraint("obligation", "officer_id"),
    Index("namings_untold", "at", postgresql_where=text("told_with IS NULL")),
    Index("namings_untold_of_officer", "officer_id", "at", postgresql_where=text("told_with IS NULL")),
)

#: How far a round of digests is: of a day (daily), or of the week that begins with it (weekly).
digest_rounds = Table(
    "digest_rounds",
    metadata,
    Column("kind", Text, nullable=False),
    Column("on", Date, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),  # what the weekly ones cover (business time)
    Column("at", DateTime(timezone=True), nullable=False),
    Column("after", Text, nullable=False, server_default=""),  # the last person looked at
    Column("letters", Integer, nullable=False, server_default="0"),
    Column("done", Boolean, nullable=False, server_default=text("false")),
    PrimaryKeyConstraint("kind", "on"),
    CheckConstraint("kind IN ('daily', 'weekly')", name="digest_rounds_kind"),
)

#: One row, in a database that replaces a lost one: notices of what happened until then (business time) were sent.
told_before = Table(
    "told_before",
    metadata,
    Column("one_row", Boolean, primary_key=True, server_default=text("true")),
    Column("until", DateTime(timezone=True), nullable=False),
    CheckConstraint("one_row", name="told_before_is_one_row"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("token", Uuid, primary_key=True),  # the lease under which it was made
    Column("notification_id", Uuid, ForeignKey("notifications.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("worker", Text, nullable=False),
    Column("resend", Boolean, nullable=False),  # sent again after an unknown outcome
    Column("claimed_at", DateTime(timezone=True), nullable=False),  # system time, like all of this table
    Column("in_data_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    Column("outcome", Text),
    Column("stage", Text),
    Column("smtp_code", Integer),
    Column("answer", Text),
    Column("content_sha256", Text),  # of the message that was offered; NULL: none was, or before this was kept
    Column("late", Boolean, nullable=False, server_default=text("false")),  # known only after the lease was lost
    Column("channel", Text, nullable=False, server_default="email"),
    UniqueConstraint("notification_id", "number", name="attempts_number"),
    CheckConstraint(
        "outcome IN ('sent','retry','refused','unknown','failed','released','expired','cancelled')",
        name="attempts_outcome",
    ),
    CheckConstraint("(outcome IS NULL) = (ended_at IS NULL)", name="attempts_ended"),
    Index("attempts_of_gateways", "channel", "claimed_at", postgresql_where=text("channel <> 'email'")),
)

resends = Table(  # who ordered which mail to be sent again, and why
    "resends",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("notification_id", Uuid, ForeignKey("notifications.id"), nullable=False),
    Column("by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),  # system time
    Column("from_state", Text, nullable=False),
    Column("from_reason", Text),
    Column("from_recipient", Text, nullable=False),
    Column("from_message_id", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Index("resends_by_notification", "notification_id", "at"),
)

#: What came back after the mail server had taken it, and who reported it.
bounces = Table(
    "bounces",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("notification_id", Uuid, ForeignKey("notifications.id"), nullable=False),  # that carried the mail
    Column("message_id", Text, nullable=False),
    Column("reported_by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),  # business time
    Column("idempotency_key", Text),  # NULL: by command, or before keys were asked for
    Column("sha256", Text),  # of the notification as reported
    Column("notices", ARRAY(Uuid), nullable=False, server_default="{}"),  # that became failed then
    UniqueConstraint("reported_by", "idempotency_key", name="bounces_once"),
    Index("bounces_of_notification", "notification_id", "at"),
)

#: The copy of registrations, and how each receiver fares: since when it has failed (in a row), until when it rests.
webhooks = Table(
    "webhooks",
    metadata,
    Column("webhook_id", Uuid, primary_key=True),
    Column("agency", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("events", ARRAY(Text), nullable=False),
    Column("state", Text, nullable=False),
    Column("secrets", JSONB, nullable=False),  # [{generation, master_key, until}]: the secrets are derived
    Column("version", Integer, nullable=False),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("rest_until", DateTime(timezone=True)),  # system time, like all moments here but occurred_at
    Column("stopped_version", Integer),  # the receiver answered 410 to this version; a newer one starts again
    Column("delivered_at", DateTime(timezone=True)),
    Column("covers", Text, nullable=False, server_default="own"),
    Column("failing_since", DateTime(timezone=True)),  # the first failed attempt since it took a message, or changed
    Column("attempted_at", DateTime(timezone=True)),  # the last attempt for this version of the registration
    Column("status", Integer),  # what was answered then; NULL: nothing
    Column("told_at", DateTime(timezone=True)),  # when intake was last told how it fares, and what
    Column("told_attempted_at", DateTime(timezone=True)),
    Column("told_failing", Boolean, nullable=False, server_default=text("false")),
    Index("webhooks_below", "agency", postgresql_where=text("covers = 'below' AND state <> 'deleted'")),
    Index("webhooks_of_agency", "agency", postgresql_where=text("state <> 'deleted'")),
    Index("webhooks_to_tell", "webhook_id", postgresql_where=text("attempted_at IS DISTINCT FROM told_attempted_at")),
    Index("webhooks_in_trouble", "webhook_id", postgresql_where=text("failures > 0 OR stopped_version IS NOT NULL")),
)

#: One message for one webhook. `cause` names the matter, so that it is told once.
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("delivery_id", Uuid, primary_key=True),
    Column("number", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("webhook_id", Uuid, ForeignKey("webhooks.webhook_id"), nullable=False),
    Column("event", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("body", Text, nullable=False),  # as it is signed and sent
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("state", Text, nullable=False),
    Column("due_at", DateTime(timezone=True)),
    Column("token", Uuid),
    Column("lease_until", DateTime(timezone=True)),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("settled_at", DateTime(timezone=True)),
    Column("reason", Text),
    Column("replays", Integer, nullable=False, server_default="0"),  # at the owner's order
    Column("attempts_before", Integer, nullable=False, server_default="0"),  # of `attempts`, before the latest replay
    Column("agency", Text, nullable=False),  # about which it is
    Column("obligation", Text, nullable=False),  # '' of a test
    UniqueConstraint("webhook_id", "cause", name="webhook_deliveries_once"),
    CheckConstraint(
        "state IN ('pending', 'claimed', 'retry', 'delivered', 'failed', 'cancelled')", name="webhook_deliveries_state"
    ),
    CheckConstraint(
        "(state = 'claimed') = (token IS NOT NULL) AND (token IS NULL) = (lease_until IS NULL)",
        name="webhook_deliveries_lease_whole",
    ),
    CheckConstraint("(state IN ('pending', 'retry')) = (due_at IS NOT NULL)", name="webhook_deliveries_due"),
    CheckConstraint("state NOT IN ('failed', 'cancelled') OR reason IS NOT NULL", name="webhook_deliveries_reason"),
    Index("webhook_deliveries_due_first", "webhook_id", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    Index("webhook_deliveries_leases", "lease_until", postgresql_where=text("token IS NOT NULL")),
    Index("webhook_deliveries_tokens", "token", postgresql_where=text("token IS NOT NULL")),
    Index("webhook_deliveries_listed", "webhook_id", "created_at", "number"),
    Index("webhook_deliveries_failed", "webhook_id", "created_at", "number", postgresql_where=text("state = 'failed'")),
    Index("webhook_deliveries_oldest", "created_at"),
)

#: Who ordered which messages to be sent again, under which idempotency key.
webhook_replays = Table(
    "webhook_replays",
    metadata,
    Column("replay_id", Uuid, primary_key=True),
    Column("webhook_id", Uuid, ForeignKey("webhooks.webhook_id"), nullable=False),
    Column("made_by", Text, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("request_sha256", LargeBinary, nullable=False),
    Column("wanted", JSONB, nullable=False),  # replaying.Wanted
    Column("messages", Integer, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),  # system time
    UniqueConstraint("made_by", "idempotency_key", name="webhook_replays_once"),
    CheckConstraint("octet_length(request_sha256) = 32", name="webhook_replays_sha256_is_32_bytes"),
    Index("webhook_replays_latest", "webhook_id", "at"),
)

webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    Column("token", Uuid, primary_key=True),  # the lease under which it was made
    Column("delivery_id", Uuid, ForeignKey("webhook_deliveries.delivery_id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True), nullable=False),
    Column("outcome", Text, nullable=False),
    Column("status", Integer),  # of HTTP; NULL: no answer
    Column("answer", Text, nullable=False),
    CheckConstraint("outcome IN ('delivered', 'refused', 'away', 'gone')", name="webhook_attempts_outcome"),
    Index("webhook_attempts_of_delivery", "delivery_id", "number"),
)
