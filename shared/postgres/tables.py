"""The backbone's tables, the same in every service's database.

An event leaves `outbox` only into `outbox_archive` (delete and archive are one statement) or, where Kafka does not take
it, into `outbox_set_aside`; a consumed event is in `inbox`, `deferred_events` or `dead_letter`: so at any moment each
event is in exactly one place per service.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    event,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB


def _moment(name: str, *, default: bool = True) -> Column[object]:
    server_default = func.clock_timestamp() if default else None
    return Column(name, DateTime(timezone=True), nullable=False, server_default=server_default)


def _event_columns() -> list[Column[object]]:
    return [
        Column("event_id", Uuid, nullable=False),
        Column("topic", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("type", Text, nullable=False),
        Column("traceparent", Text),
        Column("headers", JSONB),  # further headers, [[name, base64], …]; dead letters carry their evidence here
        Column("body", LargeBinary),
    ]


def _closed(how: str) -> list[Column[object]]:
    """When, by whom and why an operator (or the relay) was done with a row."""
    return [
        Column(f"{how}_at", DateTime(timezone=True)),
        Column(f"{how}_by", Text),
        Column(f"{how}_reason", Text),
    ]


def backbone_tables(metadata: MetaData) -> None:
    """Declare outbox, archive, relay state, inbox, deferred events, dead letters and halts on a service's metadata."""
    Table(
        "outbox",
        metadata,
        Column("id", BigInteger, Identity(always=True), primary_key=True),
        *_event_columns(),
        _moment("created_at"),
    )
    archive = Table(
        "outbox_archive",
        metadata,
        Column("id", BigInteger, nullable=False),
        *_event_columns(),
        _moment("created_at", default=False),
        _moment("archived_at"),
        Index("outbox_archive_by_id", "id"),
        Index("outbox_archive_by_event", "event_id"),
        postgresql_partition_by="RANGE (archived_at)",
    )
    # Rows must find a place even where the maintenance that makes daily partitions has not run yet.
    event.listen(
        archive,
        "after_create",
        DDL(  # type: ignore[no-untyped-call]
            "CREATE TABLE outbox_archive_default PARTITION OF outbox_archive DEFAULT"
        ),
    )
    #: what Kafka does not take, and what queues behind it; shared/outbox/set_aside.py
    Table(
        "outbox_set_aside",
        metadata,
        Column("id", BigInteger, primary_key=True),  # the outbox' own: the order holds when it goes back
        *_event_columns(),
        _moment("created_at", default=False),
        _moment("set_aside_at"),
        Column("error_class", Text, nullable=False),
        Column("error_text", Text, nullable=False),
        Column("encoded_bytes", Integer, nullable=False),
        Column("behind", BigInteger),  # the row in front of it, where it only queues
        Column("archived", Boolean, nullable=False, server_default=text("false")),  # it is in the archive too
        *_closed("closed"),
        Column("closed_as", Text),
        CheckConstraint("closed_as IN ('superseded', 'discarded')", name="outbox_set_aside_closed_as"),
        CheckConstraint(
            "(closed_at IS NULL) = (closed_as IS NULL) AND (closed_at IS NULL) = (closed_reason IS NULL)",
            name="outbox_set_aside_closed_whole",
        ),
        Index("outbox_set_aside_by_key", "topic", "key", postgresql_where=text("closed_at IS NULL")),
    )
    Table(
        "relay_position",
        metadata,
        Column("topic", Text, nullable=False),
        Column("partition", Integer, nullable=False),
        Column("last_offset", BigInteger, nullable=False),
        PrimaryKeyConstraint("topic", "partition"),
    )
    Table(
        "relay_state",
        metadata,
        Column("name", Text, primary_key=True),
        Column("value", Text, nullable=False),
    )
    Table(
        "inbox",
        metadata,
        Column("consumer", Text, nullable=False),
        Column("event_id", Uuid, nullable=False),
        _moment("applied_at"),
        PrimaryKeyConstraint("consumer", "event_id"),
    )
    Table(
        "deferred_events",
        metadata,
        Column("id", BigInteger, Identity(always=True), primary_key=True),
        Column("consumer", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("awaits", Text, nullable=False),
        Column("event_id", Uuid, nullable=False),
        Column("topic", Text, nullable=False),
        Column("partition", Integer, nullable=False),
        Column("offset", BigInteger, nullable=False),
        Column("headers", JSONB, nullable=False),
        Column("value", LargeBinary),
        _moment("deferred_at"),
        Index("deferred_events_by_key", "consumer", "key", "id"),
        Index("deferred_events_by_name", "consumer", "awaits", "id"),
    )
    Table(
        "dead_letter",
        metadata,
        Column("id", BigInteger, Identity(always=True), primary_key=True),
        Column("dead_letter_id", Uuid, nullable=False, unique=True),
        Column("consumer", Text, nullable=False),
        Column("event_id", Uuid),
        Column("topic", Text, nullable=False),
        Column("partition", Integer, nullable=False),
        Column("offset", BigInteger, nullable=False),
        Column(
            "digest", LargeBinary, nullable=False, server_default=""
        ),  # shared/consuming/dead_letters.py: what the record is
        Column("key", LargeBinary),
        Column("value", LargeBinary),
        Column("headers", JSONB, nullable=False),
        Column("error_class", Text, nullable=False),
        Column("error_text", Text, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("first_seen", DateTime(timezone=True), nullable=False),
        _moment("rejected_at"),
        Column("replayed_at", DateTime(timezone=True)),
        *_closed("discarded"),
        CheckConstraint(
            "(discarded_at IS NULL) = (discarded_reason IS NULL)", name="dead_letter_discarded_with_a_reason"
        ),
        Index(
            "dead_letter_open",
            "consumer",
            "rejected_at",
            postgresql_where=text("replayed_at IS NULL AND discarded_at IS NULL"),
        ),
        # the same record rejected again after a lost commit is the same dead letter; another one is another, also
        # at the same place: a log that came back empty gives its places out again
        Index("dead_letter_by_record", "consumer", "topic", "partition", "offset", "digest", unique=True),
    )
    #: a consumer that has stopped because too much is bad, until an operator resumes it; shared/consuming/halting.py
    Table(
        "consumer_halt",
        metadata,
        Column("id", BigInteger, Identity(always=True), primary_key=True),
        Column("consumer", Text, nullable=False),
        _moment("halted_at"),
        Column("rejected", Integer, nullable=False),
        Column("records", Integer, nullable=False),
        Column("causes", JSONB, nullable=False),  # [{cause, records, senders}, …], the most frequent first
        Column("batch", JSONB, nullable=False),  # the bad records of the batch in hand, with their reasons
        Column("resumed_at", DateTime(timezone=True)),
        Column("resumed_by", Text),
        Column("resumed_how", Text),
        CheckConstraint(
            "(resumed_at IS NULL) = (resumed_by IS NULL) AND (resumed_at IS NULL) = (resumed_how IS NULL)",
            name="consumer_halt_resumed_whole",
        ),
        Index("consumer_halt_once", "consumer", unique=True, postgresql_where=text("resumed_at IS NULL")),
    )
    #: up to where (inclusive) bad records of a partition are dead-lettered without halting, by an operator's word
    Table(
        "consumer_bury_to",
        metadata,
        Column("consumer", Text, nullable=False),
        Column("topic", Text, nullable=False),
        Column("partition", Integer, nullable=False),
        Column("offset", BigInteger, nullable=False),
        _moment("ordered_at"),
        Column("ordered_by", Text, nullable=False),
        PrimaryKeyConstraint("consumer", "topic", "partition"),
    )


def access_tables(metadata: MetaData) -> None:
    """Declare the copy of keys and people that every service but intake keeps; shared/projection/keyring.py."""
    Table(
        "access_keys",
        metadata,
        Column("key_id", Text, primary_key=True),
        Column("version", Integer, nullable=False),
        Column("sha256", Text, nullable=False),  # in hex
        Column("principal_kind", Text, nullable=False),
        Column("principal_id", Text, nullable=False),
        Column("scopes", ARRAY(Text), nullable=False),
        Column("expires_at", DateTime(timezone=True)),
        Column("revoked_at", DateTime(timezone=True)),
        Column("public_key", Text),  # in hex, of an issuer alone
        Index("access_keys_operate", "key_id", postgresql_where=text("'operate' = ANY (scopes)")),
        Index("access_keys_issuers", "key_id", postgresql_where=text("principal_kind = 'issuer'")),
    )
    #: offices alone: names and contacts are personal data, which only intake and notifier keep
    Table(
        "access_people",
        metadata,
        Column("person_id", Text, primary_key=True),
        Column("version", Integer, nullable=False),
        Column("agency", Text, nullable=False),
        Column("offices", JSONB, nullable=False),
    )
    #: when this service last saw a key used; intake keeps its own beside its keys
    Table(
        "access_key_uses",
        metadata,
        Column("key_id", Text, primary_key=True),
        _moment("last_used_at"),
    )
    Table(
        "access_officers",
        metadata,
        Column("officer_id", Text, primary_key=True),
        Column("version", Integer, nullable=False),
        Column("agency", Text, nullable=False),
        Column("role", Text, nullable=False),
        Column("regimes", ARRAY(Text), nullable=False),
        Column("active", Boolean, nullable=False),
    )
