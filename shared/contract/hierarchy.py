"""Which agency stands above another one on a day: one rule for all services. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Tree:
    """Who stands above each agency, ever."""

    parents: Mapping[str, Parents]

    def above(self, code: str, day: date) -> tuple[str, ...]:
        """The agencies above this one on that day, the nearest first. Ends where one is unknown, or a circle closes."""
        found: list[str] = []
        parents = self.parents.get(code)
        while parents is not None and (parent := parents.on(day)) is not None and parent not in (code, *found):
            found.append(parent)
            parents = self.parents.get(parent)
        return tuple(found)

    def ever_above(self, code: str) -> frozenset[str]:
        """The agencies above this one on some day or other, and perhaps some that never are: days are not compared."""
        found: set[str] = set()
        ahead = [code]
        while ahead:
            for parent in self.parents.get(ahead.pop(), NOBODY_ABOVE).ever():
                if parent not in found:
                    found.add(parent)
                    ahead.append(parent)
        return frozenset(found)
