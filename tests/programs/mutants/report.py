"""Figures of each room, its survivors, and whether they are few enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.programs.mutants.engine import KILLED, SURVIVED, TIMEOUT, UNTESTED, Mutant
from tests.programs.mutants.rooms import Room

LEAST_KILLED = 0.9
REASONS = Path(__file__).with_name("reasons.yaml")
Change = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Figures:
    """`accepted`: survivors with a reason; they are in none of the other numbers."""

    room: str
    killed: int
    timeouts: int
    survived: int
    untested: int
    accepted: int

    @property
    def share(self) -> float:
        """Of the mutants that a test could notice, those that one did."""
        asked = self.killed + self.timeouts + self.survived + self.untested
        return (self.killed + self.timeouts) / asked if asked else 1.0

    @property
    def ok(self) -> bool:
        return self.share >= LEAST_KILLED


def change(mutant: Mutant) -> Change:
    return mutant.file, mutant.function, mutant.was, mutant.becomes


def read_reasons(path: Path = REASONS) -> Mapping[Change, str]:
    """Why a survivor is accepted, by file, function and change."""
    reasons: dict[Change, str] = {}
    for file, functions in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).items():
        for function, entries in functions.items():
            for entry in entries:
                reasons[file, function, entry["was"], entry["becomes"]] = entry["reason"]
    return reasons


def figures(room: Room, mutants: Iterable[Mutant], reasons: Mapping[Change, str]) -> Figures:
    """Count the mutants of this room that have been asked."""
    of_room = [mutant for mutant in mutants if mutant.file in room.files and mutant.status is not None]
    accepted = [mutant for mutant in of_room if is_open(mutant) and change(mutant) in reasons]
    counts = Counter(mutant.status for mutant in of_room if mutant not in accepted)
    return Figures(room.name, counts[KILLED], counts[TIMEOUT], counts[SURVIVED], counts[UNTESTED], len(accepted))


def is_open(mutant: Mutant) -> bool:
    return mutant.status in (SURVIVED, UNTESTED)


def table(rows: Sequence[Figures]) -> str:
    head = f"{'room':<22}{'killed':>8}{'timeout':>9}{'survived':>10}{'untested':>10}{'accepted':>10}{'share':>8}"
    lines = [
        f"{row.room:<22}{row.killed:>8}{row.timeouts:>9}{row.survived:>10}{row.untested:>10}{row.accepted:>10}"
        f"{row.share:>8.1%}{'' if row.ok else '  TOO FEW'}"
        for row in rows
    ]
    return "\n".join((head, *lines))


def survivors_text(mutants: Iterable[Mutant], reasons: Mapping[Change, str]) -> str:
    """Every survivor without a reason, in the form of the file of reasons: an entry is copied there with its reason."""
    found: dict[str, dict[str, list[dict[str, str]]]] = {}
    for mutant in mutants:
        if is_open(mutant) and change(mutant) not in reasons:
            entry = {"was": mutant.was, "becomes": mutant.becomes, "reason": mutant.status or ""}
            entries = found.setdefault(mutant.file, {}).setdefault(mutant.function, [])
            if entry not in entries:
                entries.append(entry)
    return yaml.safe_dump(found, allow_unicode=True, sort_keys=False, width=10_000) if found else ""


def outdated(mutants: Sequence[Mutant], reasons: Mapping[Change, str]) -> list[Change]:
    """Reasons whose mutant is gone or is killed now; of files that were asked whole."""
    whole = {mutant.file for mutant in mutants} - {mutant.file for mutant in mutants if mutant.status is None}
    still = {change(mutant) for mutant in mutants if is_open(mutant)}
    return [reason for reason in reasons if reason[0] in whole and reason not in still]
