"""Finds the records of people who may have left, and blanks contacts in events that were sent. Nothing commits."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime

from sqlalchemy import text

from services.intake.registry.records import record_of
from shared.contract.events import OfficerRegistered, PersonRegistered, RegistryEvent
from shared.postgres.database import ReadTransaction, Transaction

# Only what retention.py may blank is read, not each person of a nation every hour; it decides.
_WITH_CONTACTS = text("""
    SELECT key, version, record FROM registry
     WHERE key > :behind
       AND CASE kind WHEN 'officer' THEN record ->> 'active' = 'false' AND record ->> 'email' <> ''
                     WHEN 'person' THEN record -> 'contacts' <> '[]' ELSE false END
       AND changed_at < :before
       AND NOT jsonb_path_exists(record, '$.offices[*] ? (!exists(@.until) || @.until == null || @.until >= $by)',
                                 jsonb_build_object('by', CAST(:by AS text)))
     ORDER BY key LIMIT :limit
""")
_OF = text("SELECT key, version, record FROM registry WHERE key = ANY(CAST(:keys AS text[]))")
# The topic is compacted and forgets them by itself; the archive and what Kafka refused would keep them for 400 days.
_BLANK = """
    UPDATE {table}
       SET body = convert_to(CAST(CAST(convert_from(body, 'UTF8') AS jsonb)
                                  || CASE type WHEN :officer THEN jsonb_build_object('email', '')
                                               ELSE jsonb_build_object('contacts', '[]'::jsonb) END AS text), 'UTF8')
     WHERE topic = 'registry' AND key = ANY(CAST(:keys AS text[])) AND type IN (:officer, :person)
"""
_TABLES = ("outbox", "outbox_archive", "outbox_set_aside")


async def with_contacts(
    tx: ReadTransaction, *, changed_before: datetime, by: date, behind: str, limit: int
) -> list[RegistryEvent]:
    """Records with contacts of people, unchanged since a moment, whose offices ended before `by`; in key order."""
    parameters = {"before": changed_before, "by": by.isoformat(), "behind": behind, "limit": limit}
    return [record_of(*row) for row in await tx.execute(_WITH_CONTACTS, parameters)]


async def records_of(tx: ReadTransaction, ids: Collection[str]) -> list[OfficerRegistered | PersonRegistered]:
    """What is recorded under these ids of people."""
    keys = [f"{kind}/{one}" for kind in ("officer", "person") for one in sorted(ids)]
    found = [record_of(*row) for row in await tx.execute(_OF, {"keys": keys})]
    return [record for record in found if isinstance(record, OfficerRegistered | PersonRegistered)]


async def blank_sent(tx: Transaction, keys: Sequence[str]) -> None:
    """Blank the contacts in all events of these records that are kept to be sent, or sent again."""
    names = {"officer": OfficerRegistered.TYPE, "person": PersonRegistered.TYPE, "keys": list(keys)}
    for table in _TABLES:
        await tx.execute(text(_BLANK.format(table=table)), names)  # constant names
