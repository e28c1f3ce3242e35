"""Changes one record of the registry over HTTP, through the gate and the draft that files go through.

It takes no lock while the neighbours check: a registry that has moved meanwhile is looked at again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from services.intake.audit.domain import Author
from services.intake.registry import load as loading
from services.intake.registry import planning
from services.intake.registry.gate import Proposal
from services.intake.registry.load import Draft, RegistryMoved
from services.intake.registry.neighbours import ask
from services.intake.registry.records import Kind, content_of
from services.intake.registry.source import Source
from shared.contract.events import RegistryEvent
from shared.postgres.database import Transaction
from shared.runtime.clock import LOCAL_ZONE
from shared.runtime.file_errors import FileError

#: how often a change is looked at again because somebody else changed the registry meanwhile
ATTEMPTS = 3


#: the revision of the registry, and all its records
StoredRecords = tuple[int, list[RegistryEvent]]


@dataclass(frozen=True, slots=True)
class Refused:
    """Why the record cannot be stored; everything at once."""

    errors: tuple[FileError, ...]


@dataclass(frozen=True, slots=True)
class Stale:
    """The record has another version than the one that the client has read. `version` 0: there is none."""

    version: int


@dataclass(frozen=True, slots=True)
class Checked:
    """A change that may be made: the draft, the record before and after, and what it means."""

    draft: Draft
    before: RegistryEvent | None
    after: RegistryEvent
    remarks: tuple[FileError, ...] = ()  # of the other services, which refuse nothing

    @property
    def changes(self) -> bool:
        return bool(self.draft.changed)


async def described(checked: Checked, now: datetime) -> list[str]:
    """What the change is and what it means, in words."""
    made, today = checked.draft, now.astimezone(LOCAL_ZONE).date()
    return await asyncio.to_thread(lambda: list(planning.described(made.changed, made.stored, today)))


async def check(
    registry: StoredRecords, kind: Kind, key: str, value: Any, expected: int, now: datetime
) -> Checked | Stale | Refused:
    """The change as intake sees it. key: the stored one. expected: the version that is to be replaced; 0: none."""
    # not on the event loop: neighbours' requests would wait for all checks of a large registry
    made = await asyncio.to_thread(loading.drafted, *registry, [Proposal(kind, value, Source())], now)
    before = next((record for record in made.stored if record.key == key), None)
    version = before.version if before else 0
    if version != expected:
        return Stale(version)
    if made.errors:
        return Refused(made.errors)
    (located,) = made.located
    if located.record.key != key:
        return Refused((_other_key(located.record.key, key),))
    changed = next(iter(made.changed), None)
    return Checked(made, before, changed or before or located.record)


async def ask_neighbours(checked: Checked, neighbours: Sequence[str], now: datetime) -> Checked | Refused:
    """What the other services say of the change, each in a process of its own."""
    made = checked.draft
    if not made.changed:
        return checked
    found = await asyncio.to_thread(ask, neighbours, made.located, loading.context(made), now)
    errors = tuple(error for error in found if not error.remark)
    return Refused(errors) if errors else replace(checked, remarks=tuple(found))


async def save(tx: Transaction, checked: Checked, author: Author, now: datetime) -> bool:
    """Store, publish and write down the change; False if the registry has moved. now: system time."""
    try:
        await loading.save(tx, checked.draft, now, author)
    except RegistryMoved:
        return False
    return True


def _other_key(found: str, wanted: str) -> FileError:
    return Source().error(
        "",
        f"Bản ghi này là {found}, không phải {wanted}.",
        f"The record is {found}, not {wanted}.",
        "Sửa mã trong nội dung hoặc trong địa chỉ.",
        "Correct the code in the body or in the address.",
    )


def document(record: RegistryEvent | None) -> dict[str, Any] | None:
    return None if record is None else content_of(record)


def parsed(body: bytes) -> Any:
    """The JSON value as files give it: decimals keep their digits as text. Raises ValueError."""
    return json.loads(body, parse_float=str, parse_constant=_no_constant)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
