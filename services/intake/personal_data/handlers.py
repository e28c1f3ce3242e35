"""Blanks the contacts of people who have left: in the registry, in what was sent of it, and by its event elsewhere.

A newer record without contacts goes out on `registry`, whose topic keeps the newest record alone; notifier blanks what
it keeps when it comes. Names, ids, receipts, score lines and the audit trail stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from services.intake.audit.domain import Author
from services.intake.personal_data import retention, store
from services.intake.registry import load
from services.intake.registry import store as registry
from services.intake.registry.load import Draft
from shared.contract.events import OfficerRegistered, PersonRegistered, RegistryEvent
from shared.contract.reporting_window import local_day
from shared.postgres.database import Transaction
from shared.telemetry.logging import get_logger

log = get_logger()

#: records looked at at once, and blanked in one transaction: meanwhile the registry takes no change
AT_ONCE = 100
_BY_ITSELF = Author(
    "intake",
    "Đã thôi nhiệm vụ, hết thời hạn lưu liên hệ (NĐ 13/2023/NĐ-CP) / has left, and the time contacts are kept is over",
    "service",
)


class Unknown(Exception):
    """There is no record of such a person."""


class StillServing(Exception):
    """The person holds an office, whose notices need the contacts."""


async def sweep(tx: Transaction, now: datetime, system_now: datetime, kept: timedelta) -> int:
    """Blank the contacts of those who left longer than `kept` ago. Returns how many records; 0 when none is left.

    They are looked for without the registry's lock, and blanked under it as far as nobody has changed them since.
    """
    by, behind = local_day(now - kept), ""
    while True:
        found = await store.with_contacts(
            tx, changed_before=system_now - kept, by=by, behind=behind, limit=AT_ONCE
        )  # fmt: skip
        left = await _of_those_who_left(tx, found, by)
        if left:
            revision = await registry.lock(tx)
            current = await store.records_of(tx, {_id_of(record) for record in found})
            left = [record for record in await _of_those_who_left(tx, found, by) if record in current]
        if left:
            return await _blank(tx, revision, left, system_now, _BY_ITSELF)
        if len(found) < AT_ONCE:
            return 0
        behind = found[-1].key


async def forget(tx: Transaction, person_id: str, now: datetime, system_now: datetime, author: Author) -> int:
    """Blank one person's contacts at once, as the person may ask. Raises Unknown, StillServing."""
    revision = await registry.lock(tx)
    records = await store.records_of(tx, [person_id])
    if not records:
        raise Unknown
    left = await _of_those_who_left(tx, records, local_day(now))
    if len(left) < len(records):
        raise StillServing
    return await _blank(tx, revision, left, system_now, author)


async def _of_those_who_left(tx: Transaction, records: Sequence[RegistryEvent], by: date) -> list[RegistryEvent]:
    """Those of the records whose person holds no office from `by` on, under either record of the id."""
    officers: dict[str, OfficerRegistered] = {}
    people: dict[str, PersonRegistered] = {}
    for record in await store.records_of(tx, {_id_of(record) for record in records}):
        if isinstance(record, OfficerRegistered):
            officers[record.officer_id] = record
        else:
            people[record.person_id] = record
    return [
        record for record in records if retention.has_left(officers.get(_id_of(record)), people.get(_id_of(record)), by)
    ]


async def _blank(
    tx: Transaction, revision: int, records: Sequence[RegistryEvent], system_now: datetime, author: Author
) -> int:
    blanked = [retention.without_contacts(record) for record in records]
    changed = [
        after.model_copy(update={"version": before.version + 1})
        for before, after in zip(records, blanked, strict=True)
        if after != before
    ]
    if changed:
        await load.save(tx, Draft(revision, tuple(records), (), tuple(changed), ()), system_now, author)
        log.info("Contacts are blanked.", action="contacts.blanked", records=len(changed), by=author.by)
    await store.blank_sent(tx, [record.key for record in records])
    return len(changed)


def _id_of(record: RegistryEvent) -> str:
    return record.key.partition("/")[2]
