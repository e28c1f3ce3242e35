"""A load stores all or nothing, gives a new version only to what changed, and publishes only that.

What is stored is what the gate admitted, of the registry as it was then: under the lock of the revision's row, so that
two loads are one after the other and the order of the registry's events is the order of their versions.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.intake.registry import store
from services.intake.registry.gate import MAX_ERRORS, Proposal, admit
from services.intake.registry.records import Kind, content_of, kind_of
from services.intake.registry.source import FileError, Located
from shared.contract.events import RegistryEvent
from shared.outbox import publish
from shared.postgres.database import ReadTransaction, Transaction


class RegistryRefused(Exception):
    """Nothing was stored. `errors` lists everything that has to be corrected, in the order of files and lines.

    `cut`: there are more, which were not looked for.
    """

    def __init__(self, errors: Sequence[FileError], *, cut: bool = False) -> None:
        self.errors = tuple(sorted(errors, key=lambda error: (error.file, error.line, error.column)))
        self.cut = cut
        lines = [str(error) for error in self.errors[:MAX_ERRORS]]
        if (more := len(self.errors) - MAX_ERRORS) > 0:
            lines.append(f"… và {more} lỗi nữa / and {more} more errors")
        if cut:
            lines.append(
                f"Quá {MAX_ERRORS} lỗi nên phần còn lại chưa được xem; sửa rồi nạp lại. / "
                f"There are over {MAX_ERRORS} errors, so the rest was not looked at: correct these and load again."
            )
        super().__init__("\n".join(lines))


class RegistryMoved(Exception):
    """Somebody else changed the registry since it was looked at: look again."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a load would do to the registry of one revision. `errors`: why it must not."""

    revision: int
    stored: tuple[RegistryEvent, ...]
    located: tuple[Located, ...]  # records without errors of their own
    changed: tuple[RegistryEvent, ...]  # with the versions they get
    errors: tuple[FileError, ...]
    cut: bool = False  # so many errors that not everything was looked at


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did, by kind."""

    new: dict[Kind, int] = field(default_factory=dict)
    changed: dict[Kind, int] = field(default_factory=dict)
    unchanged: dict[Kind, int] = field(default_factory=dict)

    @property
    def published(self) -> int:
        return sum(self.new.values()) + sum(self.changed.values())


async def draft(
    tx: ReadTransaction | Transaction,
    proposals: Sequence[Proposal],
    now: datetime,
    *,
    past_requests: bool = False,
    unread: Collection[Kind] = (),
) -> Draft:
    """Hold the proposals against the registry as it is. now: business time. unread: as in `admit`."""
    revision = await store.revision(tx)
    stored = await store.changed_after(tx, -1)
    admission = admit(proposals, stored, now, past_requests=past_requests, unread=unread)
    stored_by_key = {record.key: record for record in stored}
    changed = []
    for record in (located.record for located in admission.records):
        before = stored_by_key.get(record.key)
        if before is None or content_of(before) != content_of(record):
            changed.append(record.model_copy(update={"version": before.version + 1 if before else 1}))
    return Draft(
        revision, tuple(stored), tuple(admission.records), tuple(changed), tuple(admission.errors), admission.cut
    )


async def save(tx: Transaction, made: Draft, now: datetime) -> Loaded:
    """Store and publish a draft. Raises RegistryRefused if it has errors, RegistryMoved if the registry has changed.

    now: system time.
    """
    if made.errors:
        raise RegistryRefused(made.errors, cut=made.cut)
    if await store.lock(tx) != made.revision:
        raise RegistryMoved
    loaded = Loaded()
    versions = {record.key: record.version for record in made.changed}
    for located in made.located:
        version = versions.get(located.record.key)
        counts = loaded.unchanged if version is None else loaded.new if version == 1 else loaded.changed
        kind = kind_of(located.record.key)
        counts[kind] = counts.get(kind, 0) + 1
    if made.changed:
        await store.save(tx, made.changed, await store.raise_revision(tx), now)
        await publish(tx, made.changed)
    return loaded


async def republish(tx: Transaction) -> int:
    """Publish every current record again, versions unchanged; consumers drop what they have. Returns how many."""
    await store.lock(tx)
    records = await store.changed_after(tx, -1)
    await publish(tx, records)
    return len(records)
