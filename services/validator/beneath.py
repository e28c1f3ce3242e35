"""Whose reports CHILDREN_SUM adds up: the nearest agencies beneath that report under the same regime. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from shared.contract.addressing import Submitters, closed_before, submits
from shared.contract.hierarchy import Parents, Tree

#: more agencies than that beneath one are not added up
MAX_BENEATH = 1_000


@dataclass(frozen=True, slots=True)
class Agency:
    """An agency and who stands above it, ever."""

    code: str
    kind: str
    above: Parents
    opened_on: date
    closed_on: date | None


@dataclass(slots=True)
class Beneath:
    """The search below one agency, level by level, as of a day: the cut-off's last.

    An agency that reports is found, and what stands below it is its own to add up; below others the search goes on.
    """

    root: str
    day: date
    regime: Submitters
    found: list[str] = field(default_factory=list)
    ahead: set[str] = field(default_factory=set)  # whose next level is wanted
    seen: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.ahead, self.seen = {self.root}, {self.root}

    def look(self, tree: Tree, below: Mapping[str, Sequence[Agency]]) -> None:
        """Go one level down. `tree`: of all agencies at hand; `below`: who stands directly below whom on the day."""
        ahead: set[str] = set()
        for agency in (agency for parent in sorted(self.ahead) for agency in below.get(parent, ())):
            if agency.code in self.seen or agency.opened_on > self.day or closed_before(agency, self.day):
                continue
            self.seen.add(agency.code)
            if submits(agency, self.regime, tree.above(agency.code, self.day)):
                self.found.append(agency.code)
            else:
                ahead.add(agency.code)
        self.ahead = ahead


def directly_below(agencies: Iterable[Agency], day: date) -> dict[str, list[Agency]]:
    """The agencies by the one that stands above them on the day."""
    found: dict[str, list[Agency]] = {}
    for agency in agencies:
        if (parent := agency.above.on(day)) is not None:
            found.setdefault(parent, []).append(agency)
    return found


def ever_above(agencies: Iterable[Agency], known: Mapping[str, Agency]) -> Sequence[str]:
    """Codes of agencies that stand above these and are not at hand yet."""
    return sorted({code for agency in agencies for code in agency.above.ever()} - known.keys())
