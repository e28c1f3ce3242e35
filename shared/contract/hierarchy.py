"""Which agency stands above another one on a day: one rule for all services. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import NamedTuple, Protocol


class ParentSince(NamedTuple):
    """The agency above, from its day on."""

    since: date
    code: str


class Parents(NamedTuple):
    """The agency above another one: at first, and later ones in the order of their days."""

    first: str | None
    later: tuple[ParentSince, ...] = ()

    def on(self, day: date) -> str | None:
        """The agency above on that day."""
        above = self.first
        for parent in self.later:
            if parent.since > day:
                break
            above = parent.code
        return above

    def ever(self) -> Iterator[str]:
        """Every agency that stands above at some time."""
        if self.first is not None:
            yield self.first
        yield from (parent.code for parent in self.later)


NOBODY_ABOVE = Parents(None)


class _Parent(Protocol):
    @property
    def code(self) -> str: ...
    @property
    def since(self) -> date: ...


def parents_of(parent: str | None, parents: Iterable[_Parent]) -> Parents:
    """Of a record of the registry."""
    return Parents(parent, tuple(ParentSince(later.since, later.code) for later in parents))
