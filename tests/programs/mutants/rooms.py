"""Which files are pure rooms, and which unit tests judge them.

A room's functions that await are left out: they speak to a database, and integration tests judge them. So is what makes
the query and its parameters, and command lines, which only print. A group names the tests that are about its rooms, not
all that happen to pass through them: what only a thousand random years notice is missing where a reader looks for it,
and asking is cheaper by as much.
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
    """Rooms that the same unit tests judge, folders or files. `ignored`: tests that start processes or only measure."""

    name: str
    tests: tuple[str, ...]
    rooms: tuple[Room, ...]
    ignored: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(file for room in self.rooms for file in room.files)


def _tests(folder: str, *modules: str) -> tuple[str, ...]:
    return tuple(f"{folder}/test_{module}.py" for module in modules)


def _room(name: str, folder: str, *modules: str) -> Room:
    return Room(name, tuple(f"{folder}/{module}.py" for module in modules))


GROUPS = (
    Group(
        "scoring",
        _tests(
            "tests/unit/scoring",
            "deadlines", "domain", "follow_plan", "grace", "overrides", "plans", "published", "standing", "steps",
        ),
        (
            _room(
                "scoring/obligations",
                "services/scoring/obligations",
                "standing", "facts", "domain", "deadlines", "generator",
            ),
        ),
    ),
    Group(
        "calendar",
        _tests("tests/unit/scoring", "calendar", "calendar_edges", "calendar_years"),
        (
            _room("scoring/calendar", "services/scoring/calendar", "data", "draft", "horizon", "lunar"),
            _room("shared/working_days", "shared/contract", "working_days"),
        ),
    ),
    Group(
        "policy",
        _tests("tests/unit/scoring", "policy", "policy_file", "lateness", "grace"),
        (_room("scoring/policy", "services/scoring/scores/policy", "assess", "data"),),
    ),
    Group(
        "reliefs",
        _tests("tests/unit/scoring", "relief_proposals", "reliefs"),
        (
            _room(
                "scoring/reliefs",
                "services/scoring/reliefs",
                "decisions", "by_steps", "late_verdicts", "lost_time", "store",
            ),
        ),
    ),
    Group(
        "notifier",
        ("tests/unit/notifier",),
        (
            _room("notifier/planning", "services/notifier/planning", "domain", "directory"),
            _room("notifier/delivery", "services/notifier/delivery", "states"),
        ),
    ),
    Group(
        "ladders",
        _tests("tests/unit/notifier", "ladders", "escalation", "escalation_people"),
        (
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
        "likeness",
        _tests("tests/unit/validator", "fingerprints", "likeness", "mentions"),
        (
            _room("validator/likeness", "services/validator/rules", "fingerprints", "mentions"),
            _room("validator/periods", "services/validator", "likeness", "periods"),
        ),
    ),
    Group(
        "intake",
        _tests("tests/unit/intake", "envelope", "envelope_refusals", "domain", "small_parts"),
        (_room("intake/submissions", "services/intake/submissions", "admission", "domain"),),
    ),
    Group(
        "lifecycle",
        _tests("tests/unit/intake", "lifecycle", "report_states", "waiting"),
        (_room("intake/lifecycle", "services/intake/lifecycle", "states", "table", "waiting"),),
    ),
    Group(
        "reports",
        _tests(
            "tests/unit/intake",
            "reading", "reading_tables", "report_bodies", "declining", "fingerprints", "classified",
        ),
        (_room("shared/reports", "shared/reports", "report_parser", "body_tables", "canonical", "classified"),),
    ),
    Group(
        "registry",
        _tests(
            "tests/unit/intake",
            "registry_edges", "registry_gate", "registry_gate_relatives", "registry_people", "registry_relations",
            "overrides",
        ),
        (
            _room("intake/registry", "services/intake/registry", "checks", "forms"),
            _room("intake/registry_rules", "services/intake/registry", "overrides", "hierarchy"),
        ),
    ),
    Group(
        "sums",
        _tests("tests/unit/intake", "registry_sums", "registry_sums_edges", "registry_staffing"),
        (_room("intake/sums", "services/intake/registry", "sums", "staffing"),),
    ),
    Group(
        "strict_yaml",
        (
            *_tests("tests/unit/shared/runtime", "strict_yaml"),
            *_tests("tests/unit/intake", "registry_edges", "registry_files"),
        ),
        (_room("shared/strict_yaml", "shared/runtime", "strict_yaml"),),
    ),
    Group(
        "board",
        _tests(
            "tests/unit/board",
            "climbs", "tasks", "explanation", "views", "timeline", "health", "viewing", "accounts", "steps", "report",
            "entry", "sums",
        ),
        (
            _room("board/steps", "services/board/pages", "steps", "report"),
            _room("board/pages", "services/board/pages", "climbs", "tasks", "explanation", "views", "health"),
            Room("board/entry", ("services/board/entry/domain.py", "services/board/entry/views.py")),
            Room("board/people", ("services/board/viewing.py", "services/board/accounts/domain.py")),
        ),
    ),
    Group(
        "board_periods",
        _tests("tests/unit/board", "periods"),
        (_room("board/periods", "services/board/periods", "choice", "figures", "report"),),
    ),
    Group(
        "regime_versions",
        _tests("tests/unit/notifier", "regime_versions"),
        (_room("notifier/regimes", "services/notifier/regimes", "domain"),),
    ),
    Group(
        "mailing",
        _tests("tests/unit/notifier", "mailing", "digests", "decisions"),
        (
            _room("notifier/mailing", "services/notifier/mailing", "domain"),
            _room("notifier/digests", "services/notifier/digests", "domain"),
            _room("notifier/decisions", "services/notifier/planning", "decisions"),
        ),
    ),
    Group(
        "gateways",
        _tests("tests/unit/notifier", "gateways"),
        (_room("notifier/gateways", "services/notifier/channels/gateway", "judging", "numbers", "parts", "texts"),),
    ),
    Group(
        "webhooks",
        _tests("tests/unit/notifier", "webhook_states"),
        (_room("notifier/webhooks", "services/notifier/channels/webhook", "states"),),
    ),
    Group(
        "formula",
        _tests(
            "tests/unit/validator",
            "formula_check", "formula_columns", "formula_linting", "formula_page", "formula_parser", "formula_values",
            "generated_rules", "packs", "references",
        ),
        (
            _room("validator/formula", "services/validator/formula", "check", "compiling", "parser", "linting"),
            _room("validator/values", "services/validator/formula", "columns", "rows", "scalars", "values"),
            _room("validator/generating", "services/validator/formula", "generating"),
        ),
    ),
    Group(
        "contents",
        _tests(
            "tests/unit/validator",
            "prose", "tables", "text_figures", "written_numbers", "synthesis", "judging", "verdict_edges",
        ),
        (
            _room("validator/contents", "services/validator/rules", "tables", "texts", "units", "synthesis"),
            _room("validator/legibility", "services/validator/rules", "legibility"),
        ),
    ),
    Group(
        "rights",
        (*_tests("tests/unit/shared/access", "rights"), *_tests("tests/unit/shared/contract", "addressing")),
        (
            _room("shared/access", "shared/access", "rights"),
            _room("shared/hierarchy", "shared/contract", "hierarchy"),
        ),
    ),
    Group(
        "timeline",
        _tests("tests/unit/intake", "timeline", "receipts", "information"),
        (
            _room("intake/timeline", "services/intake/obligations", "timeline"),
            _room("intake/receipts", "services/intake/receipts", "signing"),
            _room("intake/information", "services/intake/information", "asking", "answers"),
        ),
    ),
    Group(
        "contract",
        _tests("tests/unit/shared/contract", "period", "addressing", "text", "reporting_window"),
        (_room("shared/contract", "shared/contract", "period", "reporting_window", "addressing", "text"),),
    ),
)  # fmt: skip
#: command lines, what makes the text of a query or its parameters, and what reads its rows
LEFT_OUT = frozenset({"main", "_parameters", "_unlike", "_scoped"})
