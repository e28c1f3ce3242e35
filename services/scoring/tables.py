"""Scoring's tables. Score lines are append-only by a trigger: a correction is a reversal, never a change.

Tables marked LEDGER belong to a role of their own, so that the service itself can only append to them.

What the sweeps look for is a partial index, so that a tick reads what is due and nothing else.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    BigInteger,
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
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB

from shared.postgres.ledgers import LEDGER
from shared.postgres.tables import access_tables, backbone_tables

metadata = MetaData()
backbone_tables(metadata)
access_tables(metadata)

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
    Column("parents", JSONB, nullable=False, server_default="[]"),  # the later ones, each with its first day
    Column("opened_on", Date, nullable=False),
    Column("closed_on", Date),
    Column("heir", Text),  # who owes what is open when it closes
    Column("version", Integer, nullable=False),
    # false: its obligations have not been generated (again) since it changed
    Column("planned", Boolean, nullable=False, server_default=_false),
    # business hour at which scoring last heard that it is of another kind, or that others stand above it
    Column("regrouped_at", _moment),
    Index("agencies_unplanned", "code", postgresql_where=text("NOT planned")),
)

#: When agencies came to be of another kind, or below others (scoring's copy of intake's topic): what `regrouped_at` of
#: an agency is made of again where its earlier records are not known.
regroupings = Table(
    "regroupings",
    metadata,
    Column("agency", Text, primary_key=True),
    Column("at", _moment, nullable=False),
    Column("moved_at", _moment),  # others above it; concerns those below it too
    Column("version", BigInteger, nullable=False),
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
    Column("certification", Text, nullable=False, server_default="none"),
    Column("lock_after_working_days", Integer),
    Column("grace_working_days", Integer),
    Column("submitters_except", ARRAY(Text), nullable=False, server_default="{}"),
    Column("submitter_parents", ARRAY(Text), nullable=False, server_default="{}"),
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
    Column("withdrawn_at", _moment),
    Column("withdrawn", Boolean, nullable=False, server_default=_false),  # nobody owes it any more
    Column("version", Integer, nullable=False),
    Index("requests_to_withdraw", "request_id", postgresql_where=text("withdrawn_at IS NOT NULL AND NOT withdrawn")),
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
    info=LEDGER,
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
    info=LEDGER,
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
    info=LEDGER,
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
    info=LEDGER,
)

# --- generation ----------------------------------------------------------------------------------------------------

#: One row: since when scoring generates, and until when it has generated everything.
generation = Table(
    "generation",
    metadata,
    Column("one_row", Boolean, primary_key=True, server_default=_true),
    Column("started_at", _moment, nullable=False),
    Column("complete_at", _moment, nullable=False),
    Column("rules", Text),  # calendar and policies that every obligation follows
    Column("replan_from", _moment),  # earliest deadline from which what is new is followed; null: it all is
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
    Column("terms", Text, nullable=False),  # as the obligations of the period have them
    Column("planned_at", _moment, nullable=False),
    PrimaryKeyConstraint("regime", "period"),
)

#: Spans in which people could not report (gia hạn, miễn trừ); `applied_version` is below `version` until every
#: obligation it covers has it.
reliefs = Table(
    "reliefs",
    metadata,
    Column("relief_id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("applied_version", Integer, nullable=False, server_default=_none),
    Column("applied_until", Text, nullable=False, server_default=text("''")),  # every obligation up to this key has it
    Column("status", Text, nullable=False),
    Column("starts_at", _moment, nullable=False),
    Column("ends_at", _moment, nullable=False),
    Column("hold_until", _moment),  # proposed: nobody it covers is called overdue before this
    Column("agencies", ARRAY(Text), nullable=False),  # empty: of all
    Column("regimes", ARRAY(Text), nullable=False),
    Column("obligations", ARRAY(Text), nullable=False),
    Column("reason", Text, nullable=False),
    Column("proposed_by", Text, nullable=False),
    Column("proposed_at", _moment, nullable=False),
    Column("decided_by", Text),
    Column("decided_at", _moment),
    Column("evidence", JSONB, nullable=False),
    CheckConstraint("status IN ('proposed', 'granted', 'rejected')", name="relief_status"),
    CheckConstraint("starts_at < ends_at", name="relief_span"),
    CheckConstraint("(status = 'proposed') = (decided_by IS NULL)", name="relief_decided_by"),
    CheckConstraint("(decided_by IS NULL) = (decided_at IS NULL)", name="relief_decided"),
    Index("reliefs_unapplied", "relief_id", postgresql_where=text("applied_version < version")),
)

#: One row: the business hour up to which the deadline sweep has come, and the system's hour of that.
sweep_heartbeat = Table(
    "sweep_heartbeat",
    metadata,
    Column("one_row", Boolean, primary_key=True, server_default=_true),
    Column("swept_to", _moment, nullable=False),
    Column("system_at", _moment, nullable=False),
    CheckConstraint("one_row", name="sweep_heartbeat_is_one_row"),
)

#: One row: until when intake could store reports, as it has told; nothing later is marked.
intake_availability = Table(
    "intake_availability",
    metadata,
    Column("one_row", Boolean, primary_key=True, server_default=_true),
    Column("available_until", _moment, nullable=False),
    CheckConstraint("one_row", name="intake_availability_is_one_row"),
)

#: Spans in which intake could store nothing, as it has told.
intake_gaps = Table(
    "intake_gaps",
    metadata,
    Column("starts_at", _moment, nullable=False),
    Column("ends_at", _moment, nullable=False),
    Column("cause", Text, nullable=False),
    Column("examined", Boolean, nullable=False, server_default=_false),  # by the sweep
    Column("relief_id", Text),  # of the relief that was proposed for it
    PrimaryKeyConstraint("starts_at", "ends_at"),
    CheckConstraint("starts_at < ends_at", name="intake_gap_span"),
    CheckConstraint("relief_id IS NULL OR examined", name="intake_gap_relief"),
    Index("intake_gaps_unexamined", "starts_at", postgresql_where=text("NOT examined")),
)

#: Returned reports whose verdict came late, until a relief is proposed for them; meanwhile nothing of them is marked.
late_verdicts = Table(
    "late_verdicts",
    metadata,
    Column("obligation", Text, nullable=False),
    Column("report_version", Integer, nullable=False),
    Column("due_at", _moment, nullable=False),  # when the verdict should have come
    Column("decided_at", _moment, nullable=False),
    Column("recorded_at", _moment, nullable=False, server_default=text("clock_timestamp()")),  # system time
    PrimaryKeyConstraint("obligation", "report_version"),
    CheckConstraint("due_at < decided_at", name="late_verdict_is_late"),
)

#: Everything decided about a relief, its proposal first; a trigger in migration 0012 refuses any change.
relief_decisions = Table(
    "relief_decisions",
    metadata,
    Column("relief_id", Text, ForeignKey("reliefs.relief_id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("before", Text),  # status; null: there was no such relief
    Column("after", Text, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("decided_at", _moment, nullable=False),
    Column("reason", Text, nullable=False),
    PrimaryKeyConstraint("relief_id", "version"),
    CheckConstraint("(version = 1) = (before IS NULL)", name="relief_decision_first"),
    info=LEDGER,
)

#: What a sweep could not do for one period or obligation; the others go on. Moments are system time.
setbacks = Table(
    "setbacks",
    metadata,
    Column("sweep", Text, nullable=False),
    Column("subject", Text, nullable=False),  # regime/version/period, an obligation's key, or a relief's id
    Column("error", Text, nullable=False),
    Column("since", _moment, nullable=False, server_default=text("clock_timestamp()")),
    Column("tries", Integer, nullable=False, server_default=text("1")),
    Column("next_try_at", _moment, nullable=False, server_default=text("clock_timestamp() + interval '1 minute'")),
    PrimaryKeyConstraint("sweep", "subject"),
    CheckConstraint("sweep IN ('plan', 'generate', 'deadline', 'withdraw', 'relief')", name="setback_sweep"),
)

# --- obligations and their lines -----------------------------------------------------------------------------------

#: `terms` and `document` hold the obligation (obligations/domain.py); the columns repeat what queries ask for.
obligations = Table(
    "obligations",
    metadata,
    Column("obligation", Text, primary_key=True),  # agency/regime/period
    Column("agency", Text, nullable=False),
    Column("regime", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("version", Integer, nullable=False),  # of the newest event about it
    Column("owed", Boolean, nullable=False),  # false: a report nobody asked of this agency, followed but not scored
    Column("standing", Text, nullable=False),
    Column("overdue", Boolean, nullable=False),
    Column("deadline", _moment, nullable=False),  # with every relief
    Column("received_at", _moment),  # of the latest version
    Column("next_at", _moment),  # when time alone will change something
    Column("terms", JSON, nullable=False),
    Column("document", JSON, nullable=False),
    Column("opened_at", _moment, nullable=False),
    CheckConstraint("obligation = agency || '/' || regime || '/' || period", name="obligation_is_its_key"),
    CheckConstraint(
        "standing IN ('nothing_sent', 'awaiting_verdict', 'returned', 'fulfilled')", name="obligation_standing"
    ),
    CheckConstraint("(standing = 'nothing_sent') = (received_at IS NULL)", name="obligation_nothing_sent"),
    CheckConstraint("NOT overdue OR (owed AND standing <> 'fulfilled')", name="obligation_overdue"),
    Index("obligations_by_agency", "agency", "obligation"),
    Index("obligations_by_regime", "regime", "period", "obligation"),
    Index("obligations_next", "next_at", postgresql_where=text("next_at IS NOT NULL")),
    Index("obligations_overdue", "deadline", postgresql_where=text("overdue")),
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
    Column("event_id", Uuid, nullable=False),
    Column("created_at", _moment, nullable=False),
    Column("reverses", Uuid),
    PrimaryKeyConstraint("obligation", "seq"),
    Index("score_line_reversed_once", "reverses", unique=True, postgresql_where=text("reverses IS NOT NULL")),
    CheckConstraint("component IN ('timeliness', 'completeness')", name="score_line_component"),
    info=LEDGER,
)

event.listen(
    score_lines,
    "after_create",
    DDL(  # type: ignore[no-untyped-call]
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        "  RAISE EXCEPTION 'score lines are append-only: write a reversal' USING ERRCODE = 'integrity_constraint_violation';"  # noqa: E501
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
