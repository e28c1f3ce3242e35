"""Intake's tables. What must never happen twice is a unique key here, not a check in the code.

A submission's row is written once and never updated: what validation said of it is a row of its own, so that a
verdict does not rewrite the body and its four index entries.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB

from shared.postgres.ledgers import LEDGER
from shared.postgres.tables import backbone_tables

metadata = MetaData()
backbone_tables(metadata)

_moment = DateTime(timezone=True)

# a person's records are found among all that was sent, to blank their contacts
Index(
    "outbox_archive_of_registry",
    metadata.tables["outbox_archive"].c.key,
    postgresql_where=text("topic = 'registry'"),
)

#: One row: grows by one with every load or key change, under its lock, so a reader asks one number for "anything new?"
registry_revision = Table(
    "registry_revision",
    metadata,
    Column("one_row", Boolean, primary_key=True, server_default=text("true")),
    Column("revision", BigInteger, nullable=False),
    CheckConstraint("one_row", name="registry_revision_is_one_row"),
)

#: The current record of every agency, officer, person, regime version and request, as published (without `version`).
registry = Table(
    "registry",
    metadata,
    Column("key", Text, primary_key=True),  # agency/H99.01, officer/…, regime/BC-KTXH/1, request/…
    Column("kind", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("revision", BigInteger, nullable=False, index=True),
    Column("record", JSONB, nullable=False),
    Column("changed_at", _moment, nullable=False),
    CheckConstraint(
        "kind IN ('agency', 'officer', 'person', 'regime', 'request', 'sharing', 'reference', 'waiver')",
        name="registry_kind",
    ),
    CheckConstraint("starts_with(key, kind || '/')", name="registry_key_has_kind"),
    CheckConstraint("version > 0", name="registry_version_positive"),
    Index(
        "registry_officers_of_agency", text("(record ->> 'agency')"), "key", postgresql_where=text("kind = 'officer'")
    ),
    Index("registry_asked_by", text("(record ->> 'asked_by')"), "key", postgresql_where=text("kind = 'request'")),
    Index(
        "registry_addressees", text("(record -> 'agencies')"), postgresql_using="gin",
        postgresql_where=text("kind = 'request'"),
    ),
)  # fmt: skip

#: One row: until when some instance could store reports, by its heartbeat.
heartbeat = Table(
    "heartbeat",
    metadata,
    Column("one_row", Boolean, primary_key=True, server_default=text("true")),
    Column("available_until", _moment, nullable=False),
    CheckConstraint("one_row", name="heartbeat_is_one_row"),
)

#: Keys of agencies, people and operators, of which only the hash is kept; and public keys that verify tokens.
api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", Text, primary_key=True),  # the public part of tsk_<key_id>_<secret>
    Column("principal_kind", Text, nullable=False),
    Column("principal_id", Text, nullable=False, index=True),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("version", Integer, nullable=False),
    Column("sha256", LargeBinary, nullable=False, unique=True),
    Column("created_at", _moment, nullable=False),
    Column("expires_at", _moment),
    Column("revoked_at", _moment),
    Column("last_used_at", _moment),
    Column("revision", BigInteger, nullable=False, index=True),
    Column("public_key", LargeBinary),  # of an issuer alone: Ed25519
    CheckConstraint("octet_length(sha256) = 32", name="api_keys_sha256_is_32_bytes"),
    CheckConstraint("principal_kind IN ('agency', 'person', 'operator', 'issuer')", name="api_keys_principal_kind"),
    CheckConstraint(
        "(principal_kind = 'issuer') = (public_key IS NOT NULL) AND octet_length(public_key) = 32",
        name="api_keys_public_key",
    ),
    CheckConstraint("scopes <@ '{submit,read,review,administer,operate}' AND scopes <> '{}'", name="api_keys_scopes"),
)

#: The aggregate: its row is locked before a version is given or an event of it is published.
obligations = Table(
    "obligations",
    metadata,
    Column("obligation", Text, primary_key=True),
    Column("last_version", Integer, nullable=False),
    Column("locks_at", _moment),  # as scoring has told: after this no report is taken
    Column("unlocked_until", _moment),  # by the steps of kind `unlocked`: until then reports are taken again
    CheckConstraint("last_version >= 0", name="obligations_version"),
)

#: What people did with a report or an obligation after it was sent. Rows are added under the lock of the obligation's
#: row and never changed; which state a thing is in follows from them.
steps = Table(
    "steps",
    metadata,
    Column("step_id", Uuid, primary_key=True),
    Column("number", BigInteger, Identity(always=True), nullable=False, unique=True),  # the order of an obligation's
    Column("obligation", Text, nullable=False),
    Column("agency", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("at", _moment, nullable=False),  # business time
    Column("taken_by", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", _moment),
    Column("until", _moment),
    Column("effect", Text),
    Column("answers", Uuid),  # the step that this one decides
    Column("submission_id", Uuid),  # null: about the obligation alone
    Column("idempotency_key", Text, nullable=False),
    Column("request_sha256", LargeBinary, nullable=False),
    Column("stored_at", _moment, nullable=False, server_default=text("clock_timestamp()")),  # system time
    Column("remedy", Text, nullable=False, server_default=""),  # of an explanation of lateness
    UniqueConstraint("taken_by", "idempotency_key", name="steps_one_row_per_idempotency_key"),
    CheckConstraint("octet_length(request_sha256) = 32", name="steps_request_sha256_is_32_bytes"),
    Index("steps_of_obligation", "obligation", "number"),
    Index("steps_of_submission", "submission_id", "kind"),
    Index("steps_stored", "stored_at", "step_id", postgresql_where=text("submission_id IS NOT NULL")),
    Index("steps_one_answer", "answers", unique=True, postgresql_where=text("answers IS NOT NULL")),
)

#: Under which idempotency key an agency asked others for information. What it asked is a request of the registry.
information_requests = Table(
    "information_requests",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("asker", Text, nullable=False),
    Column("made_by", Text, nullable=False),  # the principal
    Column("idempotency_key", Text, nullable=False),
    Column("request_sha256", LargeBinary, nullable=False),
    Column("stored_at", _moment, nullable=False, server_default=text("clock_timestamp()")),  # system time
    UniqueConstraint("asker", "idempotency_key", name="information_requests_one_row_per_idempotency_key"),
    CheckConstraint("octet_length(request_sha256) = 32", name="information_requests_sha256_is_32_bytes"),
)

#: Requests for waivers of rules; a row changes once, when it is decided. What is granted is a record of the registry.
waiver_requests = Table(
    "waiver_requests",
    metadata,
    Column("waiver_id", Text, primary_key=True),
    Column("agency", Text, nullable=False),  # who asks
    Column("made_by", Text, nullable=False),  # the principal
    Column("regime", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("agencies", ARRAY(Text), nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", Date, nullable=False),
    Column("until", Date, nullable=False),  # the last day
    Column("asked_by", Text, nullable=False),  # the person
    Column("asked_at", _moment, nullable=False),  # business time
    Column("decision", Text),
    Column("decided_by", Text),
    Column("decided_at", _moment),  # business time
    Column("decision_reason", Text),
    Column("granted_since", Date),
    Column("granted_until", Date),
    Column("idempotency_key", Text, nullable=False),
    Column("request_sha256", LargeBinary, nullable=False),
    Column("stored_at", _moment, nullable=False, server_default=text("clock_timestamp()")),  # system time
    UniqueConstraint("agency", "idempotency_key", name="waiver_requests_one_row_per_idempotency_key"),
    CheckConstraint("octet_length(request_sha256) = 32", name="waiver_requests_sha256_is_32_bytes"),
    CheckConstraint("decision IN ('granted', 'refused')", name="waiver_requests_decision"),
    CheckConstraint(
        "num_nonnulls(decision, decided_by, decided_at, decision_reason) IN (0, 4)",
        name="waiver_requests_decided_whole",
    ),
    CheckConstraint("decided_by NOT IN (asked_by, made_by)", name="waiver_requests_decided_by_another"),
    CheckConstraint(
        "CASE WHEN decision = 'granted' THEN granted_since <= granted_until "
        "ELSE granted_since IS NULL AND granted_until IS NULL END",
        name="waiver_requests_granted_term",
    ),
    Index("waiver_requests_newest", "asked_at", "waiver_id"),
    Index("waiver_requests_of_agency", "agency", "asked_at"),
)

#: What waits for somebody's signature, review or decision: derived from versions, verdicts and steps under the lock of
#: the obligation's row (lifecycle/waiting.py), so that whoever is to act finds it without reading what is settled.
open_reviews = Table(
    "open_reviews",
    metadata,
    Column("kind", Text, nullable=False),
    Column("about", Uuid, nullable=False),  # the submission to certify or review, else the step that asks
    Column("obligation", Text, nullable=False),
    Column("agency", Text, nullable=False),
    Column("regime", Text, nullable=False),
    Column("since", _moment, nullable=False),  # business time
    PrimaryKeyConstraint("kind", "about"),
    Index("open_reviews_of_obligation", "obligation"),
    Index("open_reviews_oldest", "since", "about"),
    Index("open_reviews_of_agency", "agency", "since", "about"),
    Index("open_reviews_of_regime", "regime", "since", "about"),
)

#: One version of a report. `body` is what was sent, byte for byte; `content_sha256` names its canonical content.
#: Rows are inserted under the lock of their obligation's row, which stands in for a foreign key.
submissions = Table(
    "submissions",
    metadata,
    Column("submission_id", Uuid, primary_key=True),
    Column("obligation", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("agency", Text, nullable=False),
    Column("regime", Text, nullable=False),
    Column("regime_version", Integer, nullable=False),
    Column("period", Text, nullable=False),
    Column("officer_id", Text, nullable=False),
    Column("nil", Boolean, nullable=False),
    Column("received_at", _moment, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("content_sha256", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("stored_at", _moment, nullable=False, server_default=text("clock_timestamp()")),  # system time
    UniqueConstraint("obligation", "version", name="submissions_one_row_per_version"),
    UniqueConstraint("agency", "idempotency_key", name="submissions_one_row_per_idempotency_key"),
    CheckConstraint("version > 0", name="submissions_version_positive"),
    CheckConstraint("octet_length(sha256) = 32", name="submissions_sha256_is_32_bytes"),
    CheckConstraint("octet_length(content_sha256) = 32", name="submissions_content_sha256_is_32_bytes"),
    Index("submissions_of_agency", "agency", "submission_id"),
    Index("submissions_stored", "agency", "stored_at", "submission_id"),
)

#: What validation said of a submission (intake's copy).
verdicts = Table(
    "verdicts",
    metadata,
    Column("submission_id", Uuid, primary_key=True),
    Column("verdict_id", Uuid, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("decided_at", _moment, nullable=False),
    Column("errors", Integer, nullable=False),
    Column("warnings", Integer, nullable=False),
    Column("findings", JSONB, nullable=False),
    Column("findings_truncated", Boolean, nullable=False),
    Column("agency", Text, nullable=False, server_default=""),
    Column("updated_at", _moment, nullable=False, server_default=text("clock_timestamp()")),  # system time
    Column("was_accepted", Boolean, nullable=False, server_default=text("false")),  # by an earlier verdict
    Index("verdicts_updated", "agency", "updated_at", "submission_id"),
    Index("verdicts_changed", "updated_at", "submission_id"),
    CheckConstraint("outcome IN ('accepted', 'returned', 'not_judged')", name="verdicts_outcome"),
)

#: Where each obligation stands (intake's copy of scoring's topic), shown to the agency that owes it.
standings = Table(
    "standings",
    metadata,
    Column("obligation", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("agency", Text, nullable=False),
    Column("regime", Text, nullable=False),
    Column("regime_version", Integer, nullable=False),
    Column("period", Text, nullable=False),
    Column("deadline", _moment, nullable=False),
    Column("standing", Text, nullable=False),
    Column("owed", Boolean, nullable=False),
    Column("overdue", Boolean, nullable=False),
    Column("changed_at", _moment, nullable=False),  # business time of the change
    Column("updated_at", _moment, nullable=False, server_default=text("clock_timestamp()")),  # system time of this copy
    Column("document", JSON, nullable=False),  # the whole event: score, lines, cut-off, reliefs
    Index("standings_updated", "agency", "updated_at", "obligation"),
    Index("standings_overdue", "agency", "deadline", "obligation", postgresql_where=text("overdue")),
    Index("standings_of_agency", "agency", "deadline", "obligation"),
    Index(
        "standings_owed", "agency", "deadline", "obligation",
        postgresql_where=text("owed AND standing <> 'fulfilled'"),
    ),
    CheckConstraint(
        "standing IN ('nothing_sent', 'awaiting_verdict', 'returned', 'fulfilled')", name="standings_standing"
    ),
)  # fmt: skip

#: Who was notified of what about an obligation (intake's copy of notifier's topic); the person is known by id alone.
notices = Table(
    "notices",
    metadata,
    Column("notification_id", Uuid, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("agency", Text, nullable=False),  # the one that owes, whoever was notified
    Column("obligation", Text, nullable=False),
    Column("at", _moment, nullable=False),
    Column("document", JSONB, nullable=False),  # kind, officer_id, channel, outcome, attempts
    Index("notices_of_obligation", "agency", "obligation", "at", "notification_id"),
    Index("notices_to_person", text("(document ->> 'officer_id')"), "notification_id"),
)

#: Public keys that have signed receipts. A key that was used stays, so that its receipts can be checked for ever.
receipt_keys = Table(
    "receipt_keys",
    metadata,
    Column("key_id", Text, primary_key=True),  # RFC 7638 thumbprint
    Column("public_key", LargeBinary, nullable=False),
    Column("registered_at", _moment, nullable=False),  # system time
    Column("withdrawn_at", _moment),  # not to be trusted from then on, whatever it has signed
    Column("reason", Text),
    CheckConstraint("octet_length(public_key) = 32", name="receipt_keys_public_key_is_32_bytes"),
    CheckConstraint("(withdrawn_at IS NULL) = (reason IS NULL)", name="receipt_keys_withdrawn_with_reason"),
)

#: Webhooks of agencies' systems. Their secrets are derived: here stand only generation and master key of each.
webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("webhook_id", Uuid, primary_key=True),
    Column("agency", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("events", ARRAY(Text), nullable=False),
    Column("contact", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("secrets", JSONB, nullable=False),  # [{generation, master_key, until}], the newest first
    Column("version", Integer, nullable=False),
    Column("created_at", _moment, nullable=False),  # system time, like all moments of webhooks
    Column("changed_at", _moment, nullable=False),
    Column("test_id", Uuid),
    Column("test_at", _moment),
    Column("covers", Text, nullable=False, server_default="own"),
    CheckConstraint("state IN ('active', 'paused', 'deleted')", name="webhook_endpoints_state"),
    CheckConstraint("covers IN ('own', 'below')", name="webhook_endpoints_covers"),
    CheckConstraint("version > 0", name="webhook_endpoints_version"),
    CheckConstraint("(test_id IS NULL) = (test_at IS NULL)", name="webhook_endpoints_test"),
    CheckConstraint("(state = 'deleted') = (contact = '')", name="webhook_endpoints_contact"),
    Index("webhook_endpoints_of_agency", "agency", "webhook_id", postgresql_where=text("state <> 'deleted'")),
)

#: Webhooks whose receiver wanted nothing more (intake's copy of notifier's topic): stopped while the registration has
#: that version.
webhook_stops = Table(
    "webhook_stops",
    metadata,
    Column("webhook_id", Uuid, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("at", _moment, nullable=False),
    Column("reason", Text, nullable=False),
)

#: Agencies that came to be of another kind, or below others, since they were registered: when (business time) they did
#: last. It does not follow from the registry, which holds what is, and scoring asks whether something was due by then.
regroupings = Table(
    "regroupings",
    metadata,
    Column("agency", Text, primary_key=True),
    Column("at", _moment, nullable=False),
    Column("moved_at", _moment),  # others above it; concerns those below it too
    Column("version", BigInteger, nullable=False),  # the registry's revision
)

#: How the receivers of webhooks fare (intake's copy of notifier's topic), while the registration has that version.
webhook_health = Table(
    "webhook_health",
    metadata,
    Column("webhook_id", Uuid, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("attempted_at", _moment, nullable=False),  # system time
    Column("status", Integer),  # NULL: no answer
    Column("delivered_at", _moment),
    Column("failing_since", _moment),
)

#: Under which idempotency key a webhook was added, given a new secret, or tested.
webhook_orders = Table(
    "webhook_orders",
    metadata,
    Column("made_by", Text, nullable=False),  # kind and id of the principal
    Column("idempotency_key", Text, nullable=False),
    Column("request_sha256", LargeBinary, nullable=False),
    Column("webhook_id", Uuid, nullable=False),
    Column("generation", Integer),
    Column("test_id", Uuid),
    Column("stored_at", _moment, nullable=False, server_default=text("clock_timestamp()")),
    PrimaryKeyConstraint("made_by", "idempotency_key"),
    CheckConstraint("octet_length(request_sha256) = 32", name="webhook_orders_sha256_is_32_bytes"),
    CheckConstraint("(generation IS NULL) <> (test_id IS NULL)", name="webhook_orders_of_one_thing"),
)

#: Who changed what, when, from what to what, and why. What the backbone's tools decide (dead letters, consumers, the
#: outbox) is written down by triggers on their tables, since those tools are the same in every service.
audit_trail = Table(
    "audit_trail",
    metadata,
    Column("audit_id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", _moment, nullable=False),  # system time
    Column("by", Text, nullable=False),
    Column("via", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("before", JSONB),  # the fields that changed
    Column("after", JSONB),
    Column("why", Text, nullable=False),
    Index("audit_trail_of_thing", "kind", "key", "audit_id"),
    Index("audit_trail_of_author", "by", "audit_id"),
    CheckConstraint("by <> '' AND action <> '' AND kind <> '' AND key <> ''", name="audit_trail_names_all"),
    CheckConstraint("via IN ('command', 'api', 'service')", name="audit_trail_via"),
    info=LEDGER,
)
