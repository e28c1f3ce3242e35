"""The figures of a period: what was owed, what came, what is missing. Pure.

Frozen figures are the canonical JSON of all of it (RFC 8785) and the SHA-256 over that: whoever has the file can hash
it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from typing import Literal

import msgspec

from shared.reports.canonical import canonical

#: of the reports that are missing, and of those that came late; the figures say how many more there are
MOST_ITEMS = 2000

State = Literal["nothing_sent", "returned", "awaiting_verdict", "late"]


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How many reports. Each is in one of `on_time`, `late`, `missing` and `not_due`."""

    owed: int = 0
    on_time: int = 0
    late: int = 0  # accepted, but received after the deadline
    missing: int = 0  # overdue: nothing accepted answers, and no deadline, grace or relief is left
    not_due: int = 0  # nothing accepted answers, but there is time left
    returned: int = 0  # of missing and not_due: what was sent was returned
    awaiting: int = 0  # of missing and not_due: what was sent is not judged yet

    @property
    def accepted(self) -> int:
        return self.on_time + self.late

    def __add__(self, other: Count) -> Count:
        names = self.__struct_fields__
        return Count(**{name: getattr(self, name) + getattr(other, name) for name in names})


class Regime(msgspec.Struct, frozen=True, kw_only=True):
    """One regime's reports of the period."""

    code: str
    name: str
    name_en: str
    count: Count


class Agency(msgspec.Struct, frozen=True, kw_only=True):
    """One agency's reports of the period."""

    code: str
    name: str
    name_en: str
    count: Count


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One report that is missing or came late."""

    agency: str
    regime: str
    deadline: str  # RFC 3339, UTC
    state: State
    days_late: int  # whole days after the deadline, begun ones counted
    reminded: int  # messages about it that left for its officer, agency or those above


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, at one moment."""

    period: str
    title: str  # of an ad hoc request, whose id names its period; empty for others
    title_en: str
    as_of: str  # RFC 3339, UTC
    issuer: str  # the agency whose report it is, by name
    issuer_above: str  # the agency above it; empty: none
    total: Count
    regimes: tuple[Regime, ...]
    agencies: tuple[Agency, ...]  # who misses most first
    missing: tuple[Item, ...]  # the oldest deadline first
    late: tuple[Item, ...]

    @property
    def provisional(self) -> bool:
        """Tạm tính: something may still come in time, or is being judged."""
        return bool(self.total.not_due or self.total.awaiting)

    @property
    def moment(self) -> datetime:
        return datetime.fromisoformat(self.as_of)

    def encoded(self) -> bytes:
        """The canonical JSON."""
        return canonical(msgspec.to_builtins(self))


def from_bytes(document: bytes) -> Figures:
    """Frozen figures. Raises msgspec.ValidationError for what is none."""
    return msgspec.json.decode(document, type=Figures)


def hash_of(document: bytes) -> str:
    """The SHA-256, in hexadecimal."""
    return sha256(document).hexdigest()


def same(one: Figures, other: Figures) -> bool:
    """Whether they say the same of two moments."""
    return msgspec.structs.replace(one, as_of=other.as_of) == other


def in_order(agencies: Iterable[Agency]) -> tuple[Agency, ...]:
    """Who misses most first, then who was late most, then by code."""
    return tuple(sorted(agencies, key=lambda agency: (-agency.count.missing, -agency.count.late, agency.code)))


def total_of(counts: Iterable[Count]) -> Count:
    """The sum."""
    total = Count()
    for count in counts:
        total += count
    return total
