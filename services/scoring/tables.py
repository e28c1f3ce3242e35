"""Scoring's tables. Score lines are append-only by a trigger: a correction is a counter-line, never a change.

What may not be half-set (an accepted version without its receipt) is a CHECK, and what the ticker looks for is a
partial index, so that a tick reads what is due and nothing else.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from shared.postgres.tables import backbone_tables

metadata = MetaData()
backbone_tables(metadata)

_moment = DateTime(timezone=True)
_none, _false, _true = text("0"), text("false"), text("true")

# --- registry copy: the newest version of each record that has arrived ---------------------------------------------

agencies = Table(
    "agencies",
    metadata,
    Column("code", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("parent", Text),
    Column("opened_on", Date, nullable=False),
    Column("closed_on", Date),
    Column("version", Integer, nullable=False),
    # false: its obligations have not been generated (again) since it changed
    Column("planned", Boolean, nullable=False, server_default=_false),
    Index("agencies_unplanned", "code", postgresql_where=text("NOT planned")),
)

regimes = Table(
    "regimes",
    metadata,
    Column("code", Text, nullable=False),
    Column("regime_version", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("frequency", Text, nullable=False),
    Column("effective_from", Date, nullable=False),
    Column("effective_to", Date),
    Column("submitter_kinds", ARRAY(Text), nullable=False),
    Column("submitters", ARRAY(Text), nullable=False),
    Column("cutoff", JSONB, nullable=False),
    Column("deadline", JSONB, nullable=False),
    Column("remind_working_days", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    PrimaryKeyConstraint("code", "regime_version"),
)

officers = Table(
    "officers",
    metadata,
    Column("officer_id", Text, primary_key=True),
    Column("agency", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("regimes", ARRAY(Text), nullable=False),
    Column("active", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Index("officers_by_agency", "agency", "officer_id"),
)

requests = Table(
    "requests",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("regime", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("title_en", Text, nullable=False),
    Column("issued_at", _moment, nullable=False),
    Column("deadline", _moment, nullable=False),
    Column("agencies", ARRAY(Text), nullable=False),
    Column("version", Integer, nullable=False),
)

# --- working-day calendar ------------------------------------------------------------------------------------------

calendar_versions = Table(
    "calendar_versions",
    metadata,
    Column("version", Text, primary_key=True),
    Column("revision", Integer, nullable=False, unique=True),
    Column("sha256", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("first_year", Integer, nullable=False),
    Column("last_year", Integer, nullable=False),
    Column("loaded_at", _moment, nullable=False, server_default=text("clock_timestamp()")),
    CheckConstraint("first_year <= last_year", name="calendar_years"),
)

#: How sure the days of a year are; a year without a row is provisional.
calendar_years = Table(
    "calendar_years",
    metadata,
    Column("version", Text, ForeignKey("calendar_versions.version"), nullable=False),
    Column("year", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("announcements", JSONB, nullable=False),
    PrimaryKeyConstraint("version", "year"),
    CheckConstraint("status IN ('announced', 'recorded', 'provisional')", name="calendar_year_status"),
    CheckConstraint(
        "(status = 'announced') = (jsonb_array_length(announcements) > 0)", name="calendar_year_is_announced_by"
    ),
)

calendar_days = Table(
    "calendar_days",
    metadata,
    Column("version", Text, ForeignKey("calendar_versions.version"), nullable=False),
    Column("day", Date, nullable=False),
    Column("work", Boolean, nullable=False),
    Column("name", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("source", Text, nullable=False),
    PrimaryKeyConstraint("version", "day"),
)

# --- scoring policies ----------------------------------------------------------------------------------------------

#: `body` is the file as it was loaded; triggers in migration 0009 refuse any change of it.
policies = Table(
    "policies",
    metadata,
    Column("version", Text, primary_key=True),
    Column("effective_from", Date, nullable=False, unique=True),
    Column("sha256", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("loaded_at", _moment, nullable=False, server_default=text("clock_timestamp()")),
    CheckConstraint("sha256 = encode(sha256(convert_to(body, 'UTF8')), 'hex')", name="policy_is_its_file"),
)

# --- generation ----------------------------------------------------------------------------------------------------

#: One row: since when scoring generates, and until when it has generated everything.
generation = Table(
    "generation",
    metadata,
    Column("one_row", Boolean, primary_key=True, server_default=_true),
    Column("started_at", _moment, nullable=False),
    Column("complete_at", _moment, nullable=False),
    Column("first_version", Integer, nullable=False, server_default="1"),  # of every obligation; above 1 when rebuilt
    CheckConstraint("one_row", name="generation_is_one_row"),
    CheckConstraint("first_version >= 1", name="generation_first_version"),
)

#: Periods whose obligations have been generated for all agencies; a row leaves when its regime or request changes.
plans = Table(
    "plans",
    metadata,
    Column("regime", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("regime_version", Integer, nullable=False),
    Column("calendar_version", Text, nullable=False),
    Column("obligations", Integer, nullable=False),
    Column("planned_at", _moment, nullable=False),
    PrimaryKeyConstraint("regime", "period"),
)

#: What a sweep could not do for one period or obligation; the others go on. Moments are system time.
setbacks = Table(
    "setbacks",
    metadata,
    Column("sweep", Text, nullable=False),
    Column("subject", Text, nullable=False),  # regime/version/period, or an obligation's key
    Column("error", Text, nullable=False),
    Column("since", _moment, nullable=False, server_default=text("clock_timestamp()")),
    Column("tries", Integer, nullable=False, server_default=text("1")),
    Column("next_try_at", _moment, nullable=False, server_default=text("clock_timestamp() + interval '1 minute'")),
    PrimaryKeyConstraint("sweep", "subject"),
    CheckConstraint("sweep IN ('plan', 'generate', 'due_soon', 'overdue', 'withdraw')", name="setback_sweep"),
)

# --- obligations and their lines -----------------------------------------------------------------------------------

obligations = Table(
    "obligations",
    metadata,
    Column("obligation", Text, primary_key=True),  # agency/regime/period
    Column("agency", Text, nullable=False),
    Column("regime", Text, nullable=False),
    Column("regime_version", Integer, nullable=False),
    Column("period", Text, nullable=False),
    Column("cutoff_from", Date),
    Column("cutoff_to", Date),
    Column("opens_at", _moment, nullable=False),
    Column("deadline", _moment, nullable=False),
    Column("remind_at", _moment, nullable=False),
    Column("calendar_version", Text, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("generated_at", _moment, nullable=False),
    # events told about it; false `owed`: a report nobody asked of this agency, followed but not scored
    Column("version", Integer, nullable=False),
    Column("owed", Boolean, nullable=False),
    Column("received_version", Integer, nullable=False, server_default=_none),
    Column("first_received_at", _moment),
    Column("last_received_at", _moment),
    Column("on_time_version", Integer, nullable=False, server_default=_none),
    Column("decided_version", Integer, nullable=False, server_default=_none),
    Column("accepted_version", Integer),  # the first accepted
    Column("accepted_submission_id", Uuid),
    Column("accepted_received_at", _moment),
    Column("measured_version", Integer),  # whose completeness counts
    Column("measured_accepted", Boolean),
    Column("required_items", Integer),
    Column("present_items", Integer),
    Column("officer_id", Text),
    Column("due_soon_at", _moment),
    Column("overdue_at", _moment),
    Column("standing", Text, nullable=False, server_default=text("'nothing_sent'")),
    Column("on_time", Boolean),
    Column("score", Numeric, nullable=False, server_default=_none),
    Column("lines", JSONB, nullable=False, server_default=text("'[]'")),  # in force; all of them are in score_lines
    Column("line_count", Integer, nullable=False, server_default=_none),
    CheckConstraint("obligation = agency || '/' || regime || '/' || period", name="obligation_is_its_key"),
    CheckConstraint(
        "standing IN ('nothing_sent', 'awaiting_verdict', 'returned', 'fulfilled')", name="obligation_standing"
    ),
    CheckConstraint("(cutoff_from IS NULL) = (cutoff_to IS NULL)", name="obligation_cutoff"),
    CheckConstraint(
        "num_nulls(accepted_version, accepted_submission_id, accepted_received_at, on_time) IN (0, 4)",
        name="obligation_accepted_is_whole",
    ),
    CheckConstraint("(standing = 'fulfilled') = (accepted_version IS NOT NULL)", name="obligation_fulfilled"),
    CheckConstraint("(standing = 'nothing_sent') = (received_version = 0)", name="obligation_nothing_sent"),
    CheckConstraint("on_time = (accepted_received_at <= deadline)", name="obligation_on_time"),
    CheckConstraint(
        "num_nulls(measured_version, measured_accepted, required_items, present_items) IN (0, 4)",
        name="obligation_measured_is_whole",
    ),
    CheckConstraint("opens_at <= remind_at AND remind_at <= deadline", name="obligation_moments"),
    Index("obligations_by_agency", "agency", "obligation"),
    Index("obligations_by_regime", "regime", "period", "obligation"),
    # the conditions are those of the store's due queries, word for word
    Index(
        "obligations_to_remind",
        "remind_at",
        postgresql_where=text("owed AND due_soon_at IS NULL AND standing IN ('nothing_sent', 'returned')"),
    ),
    Index(
        "obligations_to_mark",
        "deadline",
        postgresql_where=text(
            "owed AND overdue_at IS NULL AND accepted_version IS NULL AND on_time_version <= decided_version"
        ),
    ),
    # the gauge's condition
    Index(
        "obligations_overdue",
        "deadline",
        postgresql_where=text("owed AND overdue_at IS NOT NULL AND accepted_version IS NULL"),
    ),
    postgresql_with={"fillfactor": "75"},
)

score_lines = Table(
    "score_lines",
    metadata,
    # no foreign key: lines are only written under their obligation's row lock, and it would double the cost of a line
    Column("obligation", Text, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("line_id", Uuid, nullable=False),
    Column("component", Text, nullable=False),
    Column("clause", Text, nullable=False),
    Column("points", Numeric, nullable=False),
    Column("cause", Text, nullable=False),
    Column("cause_en", Text, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("event_id", Uuid),
    Column("created_at", _moment, nullable=False),
    Column("counters", Uuid),
    PrimaryKeyConstraint("obligation", "seq"),
    Index("score_line_countered_once", "counters", unique=True, postgresql_where=text("counters IS NOT NULL")),
    CheckConstraint("component IN ('timeliness', 'completeness')", name="score_line_component"),
)

event.listen(
    score_lines,
    "after_create",
    DDL(  # type: ignore[no-untyped-call]
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        "  RAISE EXCEPTION 'score lines are append-only: write a counter-line' USING ERRCODE = 'integrity_constraint_violation';"  # noqa: E501
        "END $$"
    ),
)
event.listen(
    score_lines,
    "after_create",
    DDL(  # type: ignore[no-untyped-call]
        "CREATE TRIGGER score_lines_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON score_lines"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    ),
)
