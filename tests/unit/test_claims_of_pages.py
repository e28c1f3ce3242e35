"""What the pages name exists: commands and their options, settings and their defaults, metrics, routes, identifiers.

A page is written by hand and the code moves on. Diaries (docs/measurements) are left out: they tell of their day.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from shared.contract.services import SERVICES

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/decisions").glob("*")),
]
TOPS = ("services", "shared", "deploy", "scripts", "tests")
#: names of PostgreSQL, nginx, CPython and others, which no line of ours has
FOREIGN = {
    "keepalive_timeout",
    "max_wal_size",
    "wal_compression",
    "shared_buffers",
    "preexec_fn",
    "pg_basebackup",
    "parentbased_traceidratio",
    "msgspec.structs.replace",
}


@cache
def sources(top: str) -> dict[Path, str]:
    """Everything under a folder that is code or configuration."""
    kinds = {".py", ".sql", ".yaml", ".sh", ".j2", ".lua", ".xml", ".txt", ".json"}
    files = (path for path in sorted((ROOT / top).rglob("*")) if path.suffix in kinds and path.is_file())
    return {path: path.read_text(encoding="utf-8") for path in files if path != Path(__file__)}


@cache
def code() -> str:
    """All of it, with what make and setup read."""
    named = [ROOT / "Makefile", ROOT / "pyproject.toml", *ROOT.glob("requirements*.in")]
    return "\n".join([*(path.read_text(encoding="utf-8") for path in named), *everything(TOPS)])


def everything(tops: Iterable[str]) -> Iterator[str]:
    for top in tops:
        yield from sources(top).values()


@cache
def words() -> frozenset[str]:
    return frozenset(re.findall(r"\w+", code()))


@cache
def literals(*tops: str) -> frozenset[str]:
    """Every string constant in the Python files of these folders."""
    found: set[str] = set()
    for top in tops:
        for path, text in sources(top).items():
            if path.suffix == ".py":
                nodes = ast.walk(ast.parse(text))
                found.update(
                    node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)
                )
    return frozenset(found)


def spans(text: str) -> list[str]:
    """What stands between backticks within a line; blocks are left out."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S))


# --- commands ---------------------------------------------------------------------------------------------------


def modules_named(text: str) -> list[tuple[str, list[str]]]:
    """Each `python -m module word… --option…` of a page, also one that goes on in the next line."""
    text = text.replace("\\\n", "")
    found = re.findall(r"python -m \"?((?:services|deploy|tests)[\w.<>$]*)\"?((?:[ ]+[^\s`|;)#(]+)*)", text)
    return [(module.rstrip("."), arguments.replace("-->", "").split()) for module, arguments in found]


def unknown_arguments(arguments: list[str], known: frozenset[str]) -> list[str]:
    """Options that no parser has, and leading words that are no command."""
    wrong, leading = [], True
    for argument in arguments:
        if argument.startswith("--"):
            option = re.split(r"[=\[]", argument)[0].rstrip(".,]…")
            wrong += [option] if option not in known else []
            leading = False
        elif leading and re.fullmatch(r"[a-z][a-z-]+", argument):
            wrong += [argument] if argument not in known else []
        else:
            leading = False
    return wrong


def unknown_commands(text: str) -> list[str]:
    wrong = []
    for module, arguments in modules_named(text):
        if module.startswith("services.") and module.removeprefix("services.") not in SERVICES:
            tops = tuple(f"services/{name}" for name in SERVICES)  # services.<name>, services.$1
        else:
            place = ROOT / module.replace(".", "/")
            if not (place.with_suffix(".py").is_file() or (place / "__main__.py").is_file()):
                wrong.append(module)
                continue
            tops = (module.replace(".", "/") if place.is_dir() else str(Path(module.replace(".", "/")).parent),)
        known = literals(*tops, "shared/service", "shared/consuming", "shared/outbox", "shared/contract")
        wrong += [f"{module} {argument}" for argument in unknown_arguments(arguments, known)]
    tools = "dead-letters|deferred|outbox|consumers|keys|mail|setbacks|reliefs|registry|replay|rebuild"
    known = literals(*(f"services/{name}" for name in SERVICES), "shared")
    for span in spans(text):
        if (found := re.match(rf"(?:operator \w+ )?({tools}) (.+)", span)) and span not in known:  # a check of /readyz
            wrong += [f"{found[1]} {argument}" for argument in unknown_arguments(found[2].split(), known)]
    return wrong


def unknown_targets(text: str) -> list[str]:
    """`make` targets and their variables that the Makefile does not have."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    there = set(re.findall(r"^(\w+):", makefile, re.M))
    blocks = [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines()]
    named = [found for line in [*spans(text), *blocks] for found in re.findall(r"(?:^|[ =\w]+ )make ([a-z]\w*)", line)]
    return [target for target in named if target not in there and target != "python3"]  # apt-get install make python3


# --- settings ---------------------------------------------------------------------------------------------------


@cache
def settings() -> dict[str, object]:
    """Each variable of a settings class, with its default; None where it is required."""
    for name in (*(f"services.{service}.settings" for service in SERVICES), "shared.web.limits"):
        import_module(name)

    def classes(base: type[BaseSettings]) -> Iterator[type[BaseSettings]]:
        for kind in base.__subclasses__():
            yield kind
            yield from classes(kind)

    return {
        f"{kind.model_config.get('env_prefix', '')}{name}".upper(): None if field.is_required() else field.default
        for kind in classes(BaseSettings)
        if kind.__module__.startswith(("services.", "shared."))
        for name, field in kind.model_fields.items()
    }


_VARIABLE = re.compile(r"(?<![\w$<{])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?![\w…*])")
#: read by OpenTelemetry's SDK itself
_OTHERS = ("OTEL_",)


def tables_of_settings(text: str) -> Iterator[tuple[list[str], list[str]]]:
    """The variables of each row of a table with a column `default`, and what the page says of them."""
    prefix = None
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if len(cells) < 3:
            prefix = None
        elif cells[1] == "default":
            prefix = (re.findall(r"`([A-Z]+_)…`", cells[0]) or [""])[0]
        elif prefix is not None and "`" in cells[0]:
            names = re.findall(r"`(\w+)`", cells[0])
            head = prefix or names[0].split("_")[0] + "_"
            full = [name if name.startswith(head) else head + name.lstrip("_") for name in names]
            yield full, cells[1].split(", ")


def wrong_settings(text: str) -> list[str]:
    """Variables that nothing reads, and defaults that are not so."""
    own = set(re.findall(r"\$\{?(\w+)", text))
    tabled = list(tables_of_settings(text))
    headed = re.search(r"^\| `[A-Z]+_…` \| default", text, re.M)
    outside = "\n".join(line for line in text.splitlines() if not (headed and line.startswith("| `")))
    named = {name for name in _VARIABLE.findall(outside) if name not in own} | {
        name for row, _ in tabled for name in row
    }
    wrong = sorted(
        name for name in named if name not in settings() and name not in words() and not name.startswith(_OTHERS)
    )
    for names, defaults in tabled:
        for name, said in zip(names, defaults, strict=len(names) == len(defaults)):
            if name in settings() and said not in ("", "–") and not same(settings()[name], said.strip("`")):
                wrong.append(f"{name}: {settings()[name]}, not {said}")
    return wrong


def same(default: object, said: str) -> bool:
    if isinstance(default, int | float):
        return re.fullmatch(r"[\d.]+", said) is not None and float(said) == default
    return str(default) == said


# --- names ------------------------------------------------------------------------------------------------------


def unknown_metrics(text: str) -> list[str]:
    there = set(re.findall(r"`(thongsuot_\w+)`", (ROOT / "docs/metrics.md").read_text(encoding="utf-8")))
    return [name for name in re.findall(r"thongsuot_\w+", text) if name not in there and name not in words()]


def unknown_routes(text: str) -> list[str]:
    """`GET /v1/…` that no service has; a parameter may have any name."""

    def shape(path: str) -> str:
        return re.sub(r"\{\w+\}", "{}", path)

    there = {shape(found) for found in literals("services", "shared") if found.startswith("/")}
    named = re.findall(r"(?:GET|POST) (/v1/[\w/{}-]+)|`(/v1/[\w/{}-]*\w)`", text)
    wrong = []
    for path in (shape(first or second) for first, second in named):
        export = path.removeprefix("/v1/exports/")
        if not (
            {path, path.removeprefix("/v1")} & there or (export != path and export in literals("services", "shared"))
        ):
            wrong.append(path)
    return wrong


def unknown_names(text: str) -> list[str]:
    """Identifiers between backticks that no file of the tree has: snake_case, CamelCase, log actions, event types."""
    wrong = []
    for span in spans(text):
        if not re.search(r"[/ ]", span) or re.fullmatch(r"[\w.]+", span):
            snake = re.findall(r"(?<![\w.])[a-z]+(?:_[a-z0-9]+)+(?![\w.…])", span)
            camel = re.findall(r"(?<![\w.])[A-Z][a-z]+(?:[A-Z][a-z]+)+(?!\w)", span)
            wrong += [
                name for name in (*snake, *camel) if name not in words() and name not in FOREIGN and span not in FOREIGN
            ]
            if re.fullmatch(r"[a-z]+\.[a-z_]+(\.[a-z_]+)*", span) and Path(span).suffix not in (".md", ".cnf"):
                there = span in code() or span in failpoints() or span in files()
                wrong += [span] if not (there or span in FOREIGN) else []
    return wrong


@cache
def files() -> frozenset[str]:
    return frozenset(path.name for top in TOPS for path in sources(top))


@cache
def failpoints() -> str:
    """The page of failpoints, which has a test of its own: some of their names are made up at run time."""
    return (ROOT / "docs/failpoints.md").read_text(encoding="utf-8")


def unknown_tables(text: str) -> list[str]:
    """Tables that the page of stuck events names and no service has."""
    there = {table for name in SERVICES for table in import_module(f"services.{name}.tables").metadata.tables}
    rows = re.findall(r"^\|[^|\n]*\|[^|\n]*\| `(\w+)`[^|\n]*\|[^|\n]*\|$", text, re.M)
    return [name for name in rows if name not in there]


def test_the_tables_where_stuck_events_lie_exist() -> None:
    text = (ROOT / "docs/stuck-events.md").read_text(encoding="utf-8")
    assert "| `dead_letter` of" in text
    assert unknown_tables(text) == []
    assert unknown_tables(text.replace("| `dead_letter` of", "| `dead_letters` of")) == ["dead_letters"], "control"


CHECKS = (unknown_commands, unknown_targets, wrong_settings, unknown_metrics, unknown_routes, unknown_names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    found = {check.__name__: check(text) for check in CHECKS}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize(
    ("check", "text", "wrong"),
    [
        (unknown_commands, "python -m services.scoring \\\n  reliefs list \\\n  --sort x", "services.scoring --sort"),
        (unknown_commands, "`python -m deploy.local up`, `python -m deploy.local upp`", "deploy.local upp"),
        (unknown_commands, "`python -m services.<name> replay --dry-run`, `--dry`", None),
        (unknown_commands, "`python -m services.<name> replay --dry`", "services.<name> --dry"),
        (unknown_commands, "`python -m deploy.gone`", "deploy.gone"),
        (unknown_commands, "`deferred retry ID…`, `deferred feed ID…`", "deferred feed"),
        (unknown_targets, "`make up`, `QUICK=1 make bend`", "bend"),
        (wrong_settings, "`INTAKE_QUEUE_LIMIT`, `INTAKE_QUEUE_LIMITS`", "INTAKE_QUEUE_LIMITS"),
        (wrong_settings, "| `HTTP_…` | default | |\n|-|-|-|\n| `MAX_HEADERS` | 9 | |", "HTTP_MAX_HEADERS: 100, not 9"),
        (unknown_metrics, "`thongsuot_relay_leader`, `thongsuot_relay_leaders`", "thongsuot_relay_leaders"),
        (unknown_routes, "`GET /v1/regimes/{any}`, `GET /v1/regime/{code}`", "/v1/regime/{}"),
        (unknown_routes, "`/v1/exports/submissions`, `/v1/exports/subs`", "/v1/exports/subs"),
        (unknown_names, "`consumer_halt`, `consumer_halts_all`", "consumer_halts_all"),
        (unknown_names, "`kafka.away`, `kafka.far_away`", "kafka.far_away"),
        (unknown_names, "`ObligationChanged`, `ObligationShut`", "ObligationShut"),
    ],
)  # fmt: skip
def test_a_name_of_nothing_is_noticed(check: object, text: str, wrong: str | None) -> None:
    """Negative control: of each pair only the second is wrong."""
    assert callable(check)
    assert check(text) == ([wrong] if wrong else [])
