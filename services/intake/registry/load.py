"""Loads the registry: stores all records or none, and gives a new version and an event only to those that changed.

Storing takes the lock of the revision's row and checks that the registry has not changed since the gate admitted the
records. So loads run one after the other, and events are published in the order of their versions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.intake.access import keys
from services.intake.audit import trail
from services.intake.audit.domain import Author, Change, changed_fields
from services.intake.personal_data.retention import keeping_blank
from services.intake.registry import grouping, staffing, store
from services.intake.registry.gate import MAX_ERRORS, Proposal, admit
from services.intake.registry.records import Kind, audited_content, content_of, kind_of
from services.intake.registry.source import Located
from services.intake.webhooks import store as webhook_store
from shared.contract.events import (
    AgencyRegrouped,
    AgencyStaffing,
    ReferenceTablePublished,
    RegimePublished,
    RegistryEvent,
)
from shared.contract.reporting_window import local_day
from shared.outbox import publish
from shared.postgres.database import ReadTransaction, Transaction
from shared.runtime.english import counted
from shared.runtime.file_errors import FileError

#: keys that a message names
MAX_NAMED = 20


class RegistryRefused(Exception):
    """Nothing was stored. `errors` lists everything to correct, in the order of files and lines.

    `cut`: there may be more errors, since checking stopped.
    """

    def __init__(self, errors: Sequence[FileError], *, cut: bool = False) -> None:
        self.errors = tuple(sorted(errors, key=lambda error: (error.file, error.line, error.column)))
        self.cut = cut
        lines = [str(error) for error in self.errors[:MAX_ERRORS]]
        if (more := len(self.errors) - MAX_ERRORS) > 0:
            lines.append(f"… và {more} lỗi nữa / and {counted(more, 'more error')}")
        if cut:
            lines.append(
                f"Quá {MAX_ERRORS} lỗi nên phần còn lại chưa được xem; sửa rồi nạp lại. / "
                f"There are over {MAX_ERRORS} errors, so the rest was not looked at: correct these and load again."
            )
        super().__init__("\n".join(lines))


class RegistryMoved(Exception):
    """The registry has changed since the draft was checked: check again."""


class PlanOutdated(Exception):
    """The registry is not the one that the plan was made for. `changed`: keys of the records that changed since."""

    def __init__(self, changed: Sequence[str]) -> None:
        self.changed = tuple(changed)
        some = ", ".join(changed[:MAX_NAMED]) + (f", … ({len(changed)})" if len(changed) > MAX_NAMED else "")
        vi, en = (f"đã đổi: {some}", f"changed: {some}") if some else ("là danh mục khác", "it is another registry")
        super().__init__(
            f"Danh mục không còn như khi lập kế hoạch ({vi}); hãy lập lại: registry plan. / "
            f"The registry is not as it was when the plan was made ({en}); make it again: registry plan."
        )


@dataclass(frozen=True, slots=True)
class Draft:
    """The changes that a load would make to one revision of the registry. `errors`: why it must not."""

    revision: int
    stored: tuple[RegistryEvent, ...]
    located: tuple[Located, ...]  # records without errors of their own
    changed: tuple[RegistryEvent, ...]  # with their new versions
    errors: tuple[FileError, ...]
    cut: bool = False  # whether checking stopped at too many errors
    now: datetime | None = None  # business time; None: of a draft that changes no agency

    def counts(self) -> Loaded:
        """How many of the records are new, changed and unchanged."""
        counted = Loaded()
        versions = {record.key: record.version for record in self.changed}
        for located in self.located:
            version = versions.get(located.record.key)
            counts = counted.unchanged if version is None else counted.new if version == 1 else counted.changed
            kind = kind_of(located.record.key)
            counts[kind] = counts.get(kind, 0) + 1
        return counted


@dataclass(frozen=True, slots=True)
class Loaded:
    """The number of records loaded, by kind."""

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
    """Check the proposals against the stored registry. now: business time. unread: as in `admit`."""
    revision, stored = await stored_records(tx)
    return drafted(revision, stored, proposals, now, past_requests=past_requests, unread=unread)


async def stored_records(tx: ReadTransaction) -> tuple[int, list[RegistryEvent]]:
    """The revision of the registry, and all its records."""
    return await store.revision(tx), await store.changed_after(tx, -1)


def drafted(
    revision: int,
    stored: Sequence[RegistryEvent],
    proposals: Sequence[Proposal],
    now: datetime,
    *,
    past_requests: bool = False,
    unread: Collection[Kind] = (),
) -> Draft:
    """The same for records that are read already: without I/O, but of a large registry it takes a while."""
    admission = admit(proposals, stored, now, past_requests=past_requests, unread=unread)
    stored_by_key = {record.key: record for record in stored}
    changed = []
    today = local_day(now)
    for located in admission.records:
        before = stored_by_key.get(located.record.key)
        record = keeping_blank(before, located.record, today)
        if before is None or content_of(before) != content_of(record):
            changed.append(record.model_copy(update={"version": before.version + 1 if before else 1}))
    return Draft(
        revision, tuple(stored), tuple(admission.records), tuple(changed), tuple(admission.errors), admission.cut, now
    )


async def save(tx: Transaction, made: Draft, now: datetime, author: Author) -> Loaded:
    """Store and publish a draft, and write it down in the audit trail. now: system time.

    Raises RegistryRefused if it has errors, RegistryMoved if the registry has changed.
    """
    if made.errors:
        raise RegistryRefused(made.errors, cut=made.cut)
    if await store.lock(tx) != made.revision:
        raise RegistryMoved
    if made.changed:
        revision = await store.raise_revision(tx)
        staffed = await _staffing(tx, made, revision)
        regrouped = await _regrouped(tx, made, revision)
        await store.save(tx, made.changed, revision, now)
        await publish(tx, [*made.changed, *staffed, *regrouped])
        await trail.append(tx, author, _changes(made), now)
    return made.counts()


async def _staffing(tx: Transaction, made: Draft, revision: int) -> list[AgencyStaffing]:
    """Agencies that lose their last reporting officer by the draft, or get one. Call it before the draft is stored."""
    before = {record.key: record for record in made.stored}
    codes = sorted(staffing.concerned(made.changed, before))
    if not codes:
        return []
    return staffing.changes(codes, await store.officers_of(tx, codes), made.changed, revision)


async def _regrouped(tx: Transaction, made: Draft, revision: int) -> list[AgencyRegrouped]:
    """Agencies that come to be of another kind, or below others, by the draft."""
    if made.now is None:
        return []
    before = {record.key: record for record in made.stored}
    return await store.keep_regrouped(tx, grouping.changes(made.changed, before, made.now, revision))


def _changes(made: Draft) -> Iterator[Change]:
    """What the draft changes, as the audit trail keeps it."""
    stored = {record.key: record for record in made.stored}
    for record in made.changed:
        earlier = stored.get(record.key)
        before, after = changed_fields(audited_content(earlier) if earlier else None, audited_content(record))
        kind, _, name = record.key.partition("/")
        yield Change("changed" if earlier else "created", kind, name, before, after)


def context(made: Draft) -> list[RegistryEvent]:
    """What the neighbours look up beside the records that they look at: other regimes, columns of reference tables."""
    found: list[RegistryEvent] = []
    for record in (*(located.record for located in made.located), *made.stored):
        match record:
            case RegimePublished():
                found.append(record)
            case ReferenceTablePublished():
                found.append(record.model_copy(update={"rows": ()}))
    return found


async def changed_keys(tx: ReadTransaction, after: int) -> list[str]:
    """Keys of the records that changed after a revision."""
    return [record.key for record in await store.changed_after(tx, after)]


async def republish(tx: Transaction) -> int:
    """Publish every current record, key and webhook again, how agencies are staffed and when they changed groups.

    Returns how many.

    Consumers drop what they have.
    """
    revision = await store.lock(tx)
    records = await store.changed_after(tx, -1)
    staffed = staffing.whole(records, revision)
    issued = [key.event for key in await keys.changed_after(tx, -1)]
    webhooks = [webhook.event for webhook in await webhook_store.everything(tx, lock=True)]
    regrouped = await store.regrouped(tx)
    every = [*records, *issued, *staffed, *regrouped, *webhooks]
    await publish(tx, every)
    return len(every)
