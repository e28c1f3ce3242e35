"""A load stores all or nothing, gives a new version only to what changed, and publishes only that.

It runs under the lock of the revision's row, so that two loads are one after the other and the order of the
registry's events is the order of their versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.intake.registry import checks, store
from services.intake.registry.files import FileError, Located
from services.intake.registry.records import Kind, content_of, kind_of
from shared.db import Transaction
from shared.events import RegistryEvent
from shared.outbox import publish


class RegistryRefused(Exception):
    """Nothing was stored. `errors` lists everything that has to be corrected."""

    def __init__(self, errors: Sequence[FileError]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = tuple(errors)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did, by kind."""

    new: dict[Kind, int]
    changed: dict[Kind, int]
    unchanged: dict[Kind, int]

    @property
    def published(self) -> int:
        return sum(self.new.values()) + sum(self.changed.values())


async def load(tx: Transaction, records: Sequence[Located], now: datetime) -> Loaded:
    """Store and publish what differs from the current registry. Raises RegistryRefused with every error."""
    await store.lock(tx)
    stored = {record.key: record for record in await store.changed_after(tx, -1)}
    errors = checks.check(records, stored.values())
    if errors:
        raise RegistryRefused(errors)
    loaded = Loaded({}, {}, {})
    changed: list[RegistryEvent] = []
    for record in (located.record for located in records):
        before = stored.get(record.key)
        if before is not None and content_of(before) == content_of(record):
            counts = loaded.unchanged
        else:
            counts = loaded.new if before is None else loaded.changed
            changed.append(record.model_copy(update={"version": before.version + 1 if before else 1}))
        kind = kind_of(record.key)
        counts[kind] = counts.get(kind, 0) + 1
    if changed:
        await store.save(tx, changed, await store.raise_revision(tx), now)
        await publish(tx, changed)
    return loaded


async def republish(tx: Transaction) -> int:
    """Publish every current record again, versions unchanged; consumers drop what they have. Returns how many."""
    await store.lock(tx)
    records = await store.changed_after(tx, -1)
    await publish(tx, records)
    return len(records)
