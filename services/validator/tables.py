"""Validator's tables. A submission has one verdict for ever: that is a unique key here, not a check in the code.

A regime version's form is written once; only its event version may grow.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from shared.postgres.tables import access_tables, backbone_tables

metadata = MetaData()
backbone_tables(metadata)
access_tables(metadata)

_moment = DateTime(timezone=True)

#: Copy of the published regime versions, from intake's registry topic.
regime = Table(
    "regime",
    metadata,
    Column("key", Text, primary_key=True),  # regime/<code>/<regime_version>, as in the registry topic
    Column("code", Text, nullable=False),
    Column("regime_version", Integer, nullable=False),
    Column("version", Integer, nullable=False),  # of the event seen last
    Column("name", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("form", JSONB, nullable=False),
    Column("learned_at", _moment, nullable=False, server_default=func.clock_timestamp()),
    # how often it is reported and since when: decides which version is of a period; NULL: kept before this was
    Column("validity", JSONB),
    Column("replaces", Text),  # key of the version whose place it takes
    Column("submitters", JSONB),  # who reports under it; NULL: kept before this was
    Column("looks_up", ARRAY(Text)),  # codes of reference tables that its rules look up; NULL: kept before this was
    UniqueConstraint("code", "regime_version", name="regime_code_version"),
    Index("regime_replaces", "replaces", postgresql_where=text("replaces IS NOT NULL")),
)

#: Copy of the agencies, from intake's registry topic: whose reports a report of an agency above adds up.
agency = Table(
    "agency",
    metadata,
    Column("code", Text, primary_key=True),
    Column("version", Integer, nullable=False),  # of the event seen last
    Column("kind", Text, nullable=False),
    Column("parent", Text),  # the agency above it, until the first of `parents` is
    Column("parents", JSONB, nullable=False),  # later ones, each with the day since when
    Column("ever_below", ARRAY(Text), nullable=False),  # all of these
    Column("opened_on", Date, nullable=False),
    Column("closed_on", Date),
    Index("agency_ever_below", "ever_below", postgresql_using="gin"),
)

#: Copy of the versions of reference tables, from intake's registry topic.
reference_table = Table(
    "reference_table",
    metadata,
    Column("key", Text, primary_key=True),  # reference/<code>/<table_version>, as in the registry topic
    Column("code", Text, nullable=False),
    Column("table_version", Integer, nullable=False),
    Column("version", Integer, nullable=False),  # of the event seen last
    Column("effective_from", Date, nullable=False),
    Column("checksum", Text, nullable=False),
    Column("columns", JSONB, nullable=False),
    Column("rows", JSONB, nullable=False),
    Column("learned_at", _moment, nullable=False, server_default=func.clock_timestamp()),
    UniqueConstraint("code", "table_version", name="reference_table_code_version"),
    Index("reference_table_in_force", "code", "effective_from", "table_version"),
)

#: One verdict per submission, with what its followers need of the submission.
verdict = Table(
    "verdict",
    metadata,
    Column("verdict_id", Uuid, primary_key=True),  # UUIDv7
    Column("submission_id", Uuid, nullable=False),
    Column("obligation", Text, nullable=False),
    Column("agency", Text, nullable=False),
    Column("regime", Text, nullable=False),
    Column("regime_version", Integer, nullable=False),
    Column("period", Text, nullable=False),
    Column("version", Integer, nullable=False),  # the submission's version within its obligation
    Column("revision", Integer, nullable=False, server_default=text("1")),  # of the verdict
    Column("officer_id", Text, nullable=False),
    Column("received_at", _moment, nullable=False),
    Column("decided_at", _moment, nullable=False),
    Column("nil", Boolean, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("errors", Integer, nullable=False),
    Column("warnings", Integer, nullable=False),
    Column("waived", Integer, nullable=False, server_default=text("0")),  # findings that count against nobody
    Column("required_items", Integer, nullable=False),
    Column("present_items", Integer, nullable=False),
    Column("findings_truncated", Boolean, nullable=False),
    Column("any_nonzero", Boolean),  # whether a figure was other than 0; NULL: there was none, or it is not known
    Column("rule_pack", Text),  # the form's rules by which it was judged, NULL: the form has none
    Column(
        "compared_with", JSONB, nullable=False, server_default=text("'[]'")
    ),  # submissions that rules looked back to
    Column("figures", JSONB),  # of an accepted report; NULL: of any other, and where it was judged before all were kept
    # submissions of other agencies that a text is a near-copy of; shown to nobody
    Column("resembles", JSONB, nullable=False, server_default=text("'[]'")),
    # versions of reference tables that rules looked up, such as DVHC-XA/2
    Column("looked_up", JSONB, nullable=False, server_default=text("'[]'")),
    UniqueConstraint("submission_id", name="verdict_once_per_submission"),
    UniqueConstraint("obligation", "version", name="verdict_once_per_version"),
    CheckConstraint("outcome IN ('accepted', 'returned')", name="verdict_outcome"),
    CheckConstraint("(outcome = 'accepted') = (errors = 0)", name="verdict_accepted_means_no_error"),
    CheckConstraint("errors >= 0 AND warnings >= 0 AND waived >= 0", name="verdict_counts"),
    CheckConstraint("present_items BETWEEN 0 AND required_items", name="verdict_items"),
)

#: Copy of the waivers, from intake's registry topic: a rule counts against none of these agencies for so long.
waiver = Table(
    "waiver",
    metadata,
    Column("waiver_id", Text, primary_key=True),
    Column("regime", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("agencies", ARRAY(Text), nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("approved_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", Date, nullable=False),
    Column("until", Date, nullable=False),  # the last day
    Column("version", Integer, nullable=False),
    Index("waiver_regime", "regime"),
)

#: Reports that were withdrawn: from then on nothing is compared with them. It may be known before their verdict.
withdrawal = Table(
    "withdrawal",
    metadata,
    Column("submission_id", Uuid, primary_key=True),
    Column("obligation", Text, nullable=False),
    Column("withdrawn_at", _moment, nullable=False),  # business time, as of receipts
    Index("withdrawal_obligation", "obligation"),
)

#: Verdicts that are in force no more: rules about other reports said something else once those had come.
earlier_verdict = Table(
    "earlier_verdict",
    metadata,
    Column("verdict_id", Uuid, primary_key=True),
    Column("submission_id", Uuid, nullable=False),
    Column("obligation", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("document", JSONB, nullable=False),  # as it was published
    UniqueConstraint("submission_id", "revision", name="earlier_verdict_once_per_revision"),
    Index("earlier_verdict_obligation", "obligation"),
)

#: Accepted reports whose rules look at other reports: what judging them again needs, of the newest version alone.
looking = Table(
    "looking",
    metadata,
    Column("submission_id", Uuid, primary_key=True),
    Column("obligation", Text, nullable=False),
    Column("content", JSONB, nullable=False),  # figures, tables and narratives
    Column("said", JSONB, nullable=False),  # what rules about other reports found, in the verdict in force
    Index("looking_obligation", "obligation"),
)

#: The obligations whose reports they look at.
looked_at = Table(
    "looked_at",
    metadata,
    Column("obligation", Text, nullable=False),
    Column("submission_id", Uuid, ForeignKey("looking.submission_id", ondelete="CASCADE"), nullable=False),
    PrimaryKeyConstraint("obligation", "submission_id"),
    Index("looked_at_submission", "submission_id"),
)

#: Those to be judged again, once every transaction that had begun before `after_xid` has ended; NULL: not noted yet.
judge_again = Table(
    "judge_again",
    metadata,
    Column("submission_id", Uuid, primary_key=True),  # no foreign key: to check it, a batch would wait for others
    Column("after_xid", BigInteger),
)

#: Reports that could not be judged. A verdict that is reached since has the next revision.
not_judged = Table(
    "not_judged",
    metadata,
    Column("submission_id", Uuid, primary_key=True),
    Column("obligation", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("verdict_id", Uuid, nullable=False, unique=True),
    Column("document", JSONB, nullable=False),  # as it was published
    Column("report", LargeBinary),  # the submission's event, until it is judged
    Column("parked_at", _moment, nullable=False, server_default=func.clock_timestamp()),  # system time, as those below
    Column("tries", Integer, nullable=False, server_default=text("1")),
    Column("tried_at", _moment, nullable=False, server_default=func.clock_timestamp()),
    Column("judged_at", _moment),
    CheckConstraint("(judged_at IS NULL) = (report IS NOT NULL)", name="not_judged_keeps_its_report"),
    Index("not_judged_open", "parked_at", postgresql_where=text("judged_at IS NULL")),
    Index("not_judged_obligation", "obligation"),
)

#: Fingerprints of the texts of accepted reports: how much of two texts is the same, nothing of what they say.
fingerprint = Table(
    "fingerprint",
    metadata,
    Column("submission_id", Uuid, nullable=False),
    Column("section", Text, nullable=False),
    Column("obligation", Text, nullable=False),
    Column("agency", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("received_at", _moment, nullable=False),
    Column("buckets", LargeBinary, nullable=False),
    Column("bands", ARRAY(BigInteger), nullable=False),  # of this regime, period and section; none of a near-copy
    PrimaryKeyConstraint("submission_id", "section"),
    Index("fingerprint_obligation", "obligation"),
    Index("fingerprint_bands", "bands", postgresql_using="gin"),
)

#: The listed findings of each verdict, in its order, in the words in which they were published.
finding = Table(
    "finding",
    metadata,
    Column("verdict_id", Uuid, ForeignKey("verdict.verdict_id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("code", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("provided", Text),
    Column("expected", Text),
    Column("difference", Text),
    Column("message", Text, nullable=False),
    Column("message_en", Text, nullable=False),
    Column("fix", Text, nullable=False),
    Column("fix_en", Text, nullable=False),
    Column("legal_basis", Text),
    Column("explain", Boolean),  # of a rule of a form: asks for an explanation; NULL: its code says so
    Column("weight", Text),  # error, confirm, info; NULL: listed before it was kept
    Column("waived", JSONB),  # which waiver makes it count against nobody; NULL: none
    PrimaryKeyConstraint("verdict_id", "position"),
    CheckConstraint("severity IN ('error', 'warning')", name="finding_severity"),
    CheckConstraint("(severity = 'error') = (weight = 'error')", name="finding_weight"),
)
