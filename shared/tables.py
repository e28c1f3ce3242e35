"""The backbone's tables, the same in every service's database.

An event leaves `outbox` only into `outbox_archive` (delete and archive are one statement), a consumed event is in
`inbox`, `waiting` or `dead_letter`: so at any moment each event is in exactly one place per service.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    BigInteger,
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
)
from sqlalchemy.dialects.postgresql import JSONB


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


def backbone_tables(metadata: MetaData) -> None:
    """Declare outbox, archive, relay state, inbox, waiting and dead letters on a service's metadata."""
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
        "waiting",
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
        _moment("parked_at"),
        Index("waiting_by_key", "consumer", "key", "id"),
        Index("waiting_by_name", "consumer", "awaits", "id"),
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
        Column("digest", LargeBinary, nullable=False, server_default=""),  # shared/deadletter.py: what the record is
        Column("key", LargeBinary),
        Column("value", LargeBinary),
        Column("headers", JSONB, nullable=False),
        Column("error_class", Text, nullable=False),
        Column("error_text", Text, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("first_seen", DateTime(timezone=True), nullable=False),
        _moment("rejected_at"),
        Column("replayed_at", DateTime(timezone=True)),
        # the same record rejected again after a lost commit is the same dead letter; another one is another, also
        # at the same place: a log that came back empty gives its places out again
        Index("dead_letter_by_record", "consumer", "topic", "partition", "offset", "digest", unique=True),
    )
