"""A source tree as the rules see it: parsed modules under a root, so that a rule can be shown a bad tree as well."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: never part of the source
SKIPPED = {
    ".git",
    ".venv",
    ".local",
    "__pycache__",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
    "node_modules",
    ".import_linter_cache",
}


@dataclass(frozen=True)
class Module:
    """One Python file. `path` is relative to the tree's root."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def service(self) -> str | None:
        """The service it belongs to."""
        parts = self.path.parts
        return parts[1] if parts[0] == "services" and len(parts) > 2 else None

    def at(self, node: ast.AST, message: str) -> str:
        return f"{self.path}:{getattr(node, 'lineno', 1)}: {message}"

    def calls(self) -> Iterator[ast.Call]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield node

    def imports(self) -> Iterator[tuple[ast.AST, str]]:
        """Every imported module, with names imported from it (`from a import b` gives `a.b`)."""
        package = [*self.path.parts[:-1]]
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield node, alias.name
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else []
                start = ".".join([*base, *([node.module] if node.module else [])])
                for alias in node.names:
                    yield node, f"{start}.{alias.name}"


class Tree:
    """All Python files under `root`/<top> for each of `tops`."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        self._modules: dict[str, list[Module]] = {}

    def modules(self, *tops: str) -> list[Module]:
        found = []
        for top in tops:
            if top not in self._modules:
                self._modules[top] = [
                    Module(path.relative_to(self.root), text := path.read_text(encoding="utf-8"), ast.parse(text))
                    for path in self.files(top)
                    if path.suffix == ".py"
                ]
            found += self._modules[top]
        return found

    def files(self, top: str = ".") -> Iterator[Path]:
        base = self.root / top
        if base.is_file():
            yield base
            return
        for path in sorted(base.rglob("*")):
            if path.is_file() and not SKIPPED & set(path.relative_to(self.root).parts):
                yield path


#: what a rule is: every breach, as `file:line: what and why`
Rule = Callable[[Tree], list[str]]


def dotted(node: ast.AST) -> str:
    """`a.b.c` of an expression of names and attributes; calls count as their function; else what is known of it."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute):
            return f"{dotted(value)}.{attribute}"
        case ast.Call(func=function):
            return dotted(function)
        case _:
            return "?"


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((argument.value for argument in call.keywords if argument.arg == name), None)
