"""Which files are pure rooms, and which unit tests judge them.

A room's functions that await are left out: they speak to a database, and integration tests judge them. So is what makes
the query and its parameters, and command lines, which only print.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Room:
    """Files of one subject; the share of killed mutants is asked of each room alone."""

    name: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Rooms that the same folder of unit tests judges. `ignored`: tests that start processes or only measure."""

    name: str
    tests: tuple[str, ...]
    rooms: tuple[Room, ...]
    ignored: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(file for room in self.rooms for file in room.files)


def _room(name: str, folder: str, *modules: str) -> Room:
    return Room(name, tuple(f"{folder}/{module}.py" for module in modules))


GROUPS = (
    Group(
        "scoring",
        ("tests/unit/scoring",),
        (
            _room(
                "scoring/obligations",
                "services/scoring/obligations",
                "standing", "facts", "domain", "deadlines", "generator",
            ),
            _room("scoring/calendar", "services/scoring/calendar", "data", "draft", "horizon", "lunar"),
            _room("scoring/policy", "services/scoring/scores/policy", "assess", "data"),
            _room("scoring/reliefs", "services/scoring/reliefs", "decisions"),
        ),
    ),
    Group(
        "notifier",
        ("tests/unit/notifier",),
        (
            _room("notifier/planning", "services/notifier/planning", "domain", "directory"),
            _room("notifier/delivery", "services/notifier/delivery", "states"),
            _room("notifier/ladders", "services/notifier/ladders", "data", "domain", "timelines"),
            _room("notifier/escalation", "services/notifier/escalation", "domain"),
        ),
    ),
    Group(
        "validator",
        ("tests/unit/validator",),
        (
            _room(
                "validator/rules",
                "services/validator/rules",
                "figures", "flaws", "forms", "narratives", "numbers", "page", "sums",
            ),
            _room("validator/domain", "services/validator", "domain"),
        ),
        ignored=("tests/unit/validator/test_judging_cost.py",),
    ),
    Group(
        "intake",
        ("tests/unit/intake",),
        (
            _room("intake/submissions", "services/intake/submissions", "admission"),
            _room("shared/reports", "shared/reports", "report_parser"),
            _room("intake/registry", "services/intake/registry", "checks", "forms", "strict_yaml"),
        ),
        ignored=(
            "tests/unit/intake/test_registry_neighbours.py",
            "tests/unit/intake/test_cost_of_a_body.py",
            "tests/unit/intake/test_allowance.py",
        ),
    ),
    Group(
        "contract",
        ("tests/unit/shared/contract",),
        (_room("shared/contract", "shared/contract", "period", "reporting_window", "addressing", "text"),),
        ignored=("tests/unit/shared/contract/test_admitted_is_followed.py",),
    ),
)  # fmt: skip
#: command lines, and what makes the text of a query or its parameters
LEFT_OUT = frozenset({"main", "_parameters", "_unlike"})
