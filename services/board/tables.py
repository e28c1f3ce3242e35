"""The board's tables: a read model that can be thrown away and followed anew, accounts and sessions that cannot.

A record is one document beside the columns that pages look for.
"""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Sequence,
    Table,
    Text,
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
    Column("kind", Text, nullable=False),
    Column("parent", Text),
    Column("parents", JSONB, nullable=False),  # the later ones, each with its first day
    Column("opened_on", Date, nullable=False),
    Column("closed_on", Date),
    Column("version", Integer, nullable=False),
)

officers = Table(
    "officers",
    metadata,
    Column("officer_id", Text, primary_key=True),
    Column("agency", Text, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("regimes", ARRAY(Text), nullable=False),
    Column("active", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
)

people = Table(
    "people",
    metadata,
    Column("person_id", Text, primary_key=True),
    Column("agency", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("offices", JSONB, nullable=False),
    Column("version", Integer, nullable=False),
)

regimes = Table(
    "regimes",
    metadata,
    Column("code", Text, nullable=False),
    Column("regime_version", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("frequency", Text, nullable=False),
    Column("legal_basis", Text, nullable=False),
    Column("effective_from", Date, nullable=False),
    Column("replaces", Integer),
    Column("form", JSONB),  # what an officer fills in; NULL: not stored yet when the record arrived
    Column("version", Integer, nullable=False),
    PrimaryKeyConstraint("code", "regime_version"),
)

requests = Table(  # ad hoc and thematic requests: their title names the period
    "requests",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("title_en", Text, nullable=False),
    Column("legal_basis", Text, nullable=False),
    Column("asked_by", Text),
    Column("version", Integer, nullable=False),
)

#: how each obligation stands: rows so narrow that pages can look through all of a regime, or all that is open
obligations = Table(
    "obligations",
    metadata,
    Column("obligation", Text, primary_key=True),
    Column("agency", Text, nullable=False),
    Column("regime", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("owed", Boolean, nullable=False),
    Column("standing", Text, nullable=False),
    Column("overdue", Boolean, nullable=False),
    Column("on_time", Boolean),
    Column("opens_at", DateTime(timezone=True), nullable=False),
    Column("deadline", DateTime(timezone=True), nullable=False),
    Column("answer_received_at", DateTime(timezone=True)),
    Column("grace_until", DateTime(timezone=True)),
    Column("score", Numeric),
    Column("version", Integer, nullable=False),
    Index("obligations_agency", "agency", "deadline"),
    Index("obligations_regime", "regime", "deadline"),
    Index("obligations_regimes_of", "agency", "regime"),  # which regimes there are for whom
    Index("obligations_period", "period", "agency"),  # how a period closed
    # what is open: what the first page shows, oldest harm first; of few agencies, and of all
    Index("obligations_open", "agency", "deadline", postgresql_where=text("owed AND standing <> 'fulfilled'")),
    Index("obligations_oldest", "deadline", "obligation", postgresql_where=text("owed AND standing <> 'fulfilled'")),
)

#: the event whole, for the page of one obligation
obligation_documents = Table(
    "obligation_documents",
    metadata,
    Column("obligation", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("document", JSONB, nullable=False),
)

reports = Table(  # each version of a report
    "reports",
    metadata,
    Column("submission_id", Uuid, primary_key=True),
    Column("obligation", Text, nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("officer_id", Text, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("sha256", Text, nullable=False),
    Column("nil", Boolean, nullable=False),
    Column("nil_reason", Text, nullable=False),
    Column("declines", Text),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("submission_id", Uuid, primary_key=True),
    Column("obligation", Text, nullable=False, index=True),
    Column("version", Integer, nullable=False),  # of the report
    Column("revision", Integer, nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False),
    Column("outcome", Text, nullable=False),
    Column("errors", Integer, nullable=False),
    Column("warnings", Integer, nullable=False),
    Column("findings", JSONB, nullable=False),
    Column("findings_truncated", Boolean, nullable=False),
)

steps = Table(  # what people did with a report, or about an obligation
    "steps",
    metadata,
    Column("step_id", Uuid, primary_key=True),
    Column("obligation", Text, nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("by", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("until", DateTime(timezone=True)),
    Column("version", Integer),  # of the report
    Column("remedy", Text, nullable=False, server_default=""),  # of an explanation of lateness
)

notices = Table(  # the ledger of notices, as notifier tells it
    "notices",
    metadata,
    Column("notification_id", Uuid, primary_key=True),
    Column("obligation", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("officer_id", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("version", Integer, nullable=False),
    Index("notices_newest", "obligation", "at", "notification_id"),  # pages show the newest of each obligation
    # what one person above was told of
    Index("notices_escalated", "officer_id", postgresql_where=text("kind = 'escalation'")),
)

escalations = Table(  # the climb of each overdue report, as notifier tells it
    "escalations",
    metadata,
    Column("obligation", Text, nullable=False),
    Column("number", Integer, nullable=False),  # the obligation's first climb, its second …
    Column("ladder", Text, nullable=False),
    Column("ladder_version", Integer, nullable=False),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("position", Integer, nullable=False),  # rungs that are behind
    Column("passed", JSONB, nullable=False),
    Column("next_rung", Text),
    Column("next_role", Text),
    Column("next_at", DateTime(timezone=True)),
    Column("reason", Text, nullable=False),  # why it has no next moment
    Column("held_until", DateTime(timezone=True)),
    Column("answers", JSONB, nullable=False),
    Column("handed_on", JSONB, nullable=False),
    Column("resolved_at", DateTime(timezone=True)),
    Column("resolution", Text),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("version", Integer, nullable=False),
    PrimaryKeyConstraint("obligation", "number"),
)

#: what was typed of a report and is not sent yet, one for each obligation; not followed, so a rebuild keeps it
draft_versions = Sequence("draft_versions", metadata=metadata)
drafts = Table(
    "drafts",
    metadata,
    Column("obligation", Text, primary_key=True),
    Column("version", Integer, nullable=False),  # of all drafts ever saved; a later one is greater
    Column("saved_by", Text, nullable=False),
    Column("saved_at", DateTime(timezone=True), nullable=False, index=True),  # business time, as receipts
    Column("document", JSONB, nullable=False),
)

#: who may sign in; a person of the registry has one account at most
accounts = Table(
    "accounts",
    metadata,
    Column("person_id", Text, primary_key=True),  # of a person or an officer, who are one human being
    Column("password_hash", Text),  # argon2id in PHC form; NULL: the invitation is not used yet
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("closed_at", DateTime(timezone=True)),
    Column("closed_why", Text),
)

#: single-use links to set a password; only their SHA-256 is kept
invitations = Table(
    "invitations",
    metadata,
    Column("sha256", LargeBinary, primary_key=True),
    Column("person_id", Text, nullable=False, index=True),
    Column("made_by", Text, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("used_at", DateTime(timezone=True)),
)

#: figures of a period, frozen by who supervises: append-only, and no part of the read model
period_figures = Table(
    "period_figures",
    metadata,
    Column("figures_id", Uuid, primary_key=True),
    Column("period", Text, nullable=False),
    Column("agency", Text, nullable=False),  # at the top of those that they cover
    Column("agencies", ARRAY(Text), nullable=False),  # all that they cover
    Column("as_of", DateTime(timezone=True), nullable=False),  # business time
    Column("frozen_at", DateTime(timezone=True), nullable=False),
    Column("frozen_by", Text, nullable=False),
    Column("sha256", Text, nullable=False),  # of the document, hexadecimal
    Column("document", LargeBinary, nullable=False),  # canonical JSON
    Index("period_figures_period", "period", "as_of"),
)

#: sessions by the SHA-256 of their cookie
sessions = Table(
    "sessions",
    metadata,
    Column("sha256", LargeBinary, primary_key=True),
    Column("session_id", Uuid, nullable=False, unique=True),  # what a list shows and revokes
    Column("person_id", Text, nullable=False, index=True),
    Column("csrf", Text, nullable=False),
    Column("began_at", DateTime(timezone=True), nullable=False),
    Column("seen_at", DateTime(timezone=True), nullable=False, index=True),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("ended_why", Text),
    Column("client", Text, nullable=False),  # the browser's name for itself, shortened
)

#: devices on which a person has signed in, by the SHA-256 of their token: wrong passwords of others do not count there
devices = Table(
    "devices",
    metadata,
    Column("sha256", LargeBinary, primary_key=True),
    Column("person_id", Text, nullable=False, index=True),
    Column("made_at", DateTime(timezone=True), nullable=False),
    Column("seen_at", DateTime(timezone=True), nullable=False, index=True),
    Column("failures", Double, nullable=False, server_default="0"),  # wrong passwords since the last right one
    Column("failed_at", DateTime(timezone=True)),
)

#: wrong passwords by the id that was given, known or not, and the address; a table, so that instances agree
failures = Table(
    "failures",
    metadata,
    Column("whom", LargeBinary, nullable=False),  # SHA-256: people type passwords into the field of the id
    Column("address", Text, nullable=False),  # as it is counted: of IPv6 the /64; empty: over all addresses
    Column("failures", Double, nullable=False),  # over all addresses it need not be whole: some are forgiven
    Column("failed_at", DateTime(timezone=True), nullable=False, index=True),
    PrimaryKeyConstraint("whom", "address"),
)

#: who signed in, failed to, was invited, signed out: append-only
sign_ins = Table(
    "sign_ins",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("person_id", Text),  # NULL: no such account
    Column("what", Text, nullable=False),
    Column("address", Text, nullable=False),
    CheckConstraint("what IN ('in', 'wrong', 'locked', 'out', 'invited', 'password', 'revoked')", name="sign_ins_what"),
    Index("sign_ins_person", "person_id", "at"),
    Index("sign_ins_at", "at"),  # what is past its term
)
