"""Rules that keep the tree readable and movable: invariants stated, no sleeping tests, nothing of one machine."""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.tree import Tree, dotted

#: of tests/: their sleeps are the load's pace, a fake's slowness or a fault's length, and no assertion rests on them
PACED = frozenset({"fakes", "programs"})
FOR_EVER_SECONDS = 600
TERMINAL_COLUMNS = 80
_TEXT = ".py .md .toml .txt .in .yaml .yml .json .sh .xml .cfg .ini .html .css .js .sql .properties .conf .mako"
TEXT = frozenset({*_TEXT.split(), ""})

# Written in pieces, so that this file does not contain what it looks for.
_HOME = "|".join(("/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/[a-z]", "/Us" + "ers/[A-Za-z]", "/tm" + "p/briefs"))
_REGISTRY = "|".join(
    (
        "--(extra-)?index" + "-url",
        "index" + "_url *=",
        "https?://[^ /]*py" + "pi[^ ]*/simple",
        "registry" + r"\.npmjs\.org",
        "repo1?" + r"\.maven(\.apache)?\.org",
        "https?://[^ /]*(artifac" + "tory|nex" + "us)",
    )
)
MACHINE = re.compile(rf"(?<![A-Za-z0-9_.}}])({_HOME})")
REGISTRY = re.compile(_REGISTRY)


def modules_state_their_invariant(tree: Tree) -> list[str]:
    return [
        f"{module.path}:1: no module docstring; say in a sentence or two what always holds here"
        for module in tree.modules("services", "shared", "deploy", "tests")
        if module.tree.body and ast.get_docstring(module.tree) is None
    ]


def tests_never_sleep_and_hope(tree: Tree) -> list[str]:
    found = []
    for module in tree.modules("tests"):
        if module.path.name.startswith("test_"):
            for call in module.calls():
                if dotted(call.func) == "time.sleep":
                    found.append(module.at(call, "time.sleep: poll with a deadline instead"))
            for node, name in module.imports():
                if name in ("time.sleep", "asyncio.sleep"):
                    found.append(module.at(node, f"imports {name}: poll with a deadline instead"))
        if module.path.parts[1] not in PACED:
            found += [
                module.at(call, f"{dotted(call.func)} outside a loop: wait for a condition, with a deadline, instead")
                for call in _sleeps_outside_loops(module.tree, looping=False)
            ]
    return found


def _sleeps_outside_loops(node: ast.AST, *, looping: bool) -> Iterator[ast.Call]:
    """Sleeps of a fixed time that poll nothing; none at all (a turn of the loop) and for ever (a hang) are no hope."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call) and dotted(child.func) in ("asyncio.sleep", "time.sleep") and not looping:
            match child.args:
                case [ast.Constant(value=int(seconds))] if seconds == 0 or seconds >= FOR_EVER_SECONDS:
                    pass
                case _:
                    yield child
        inside = isinstance(child, ast.While | ast.For | ast.AsyncFor)
        begins = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _sleeps_outside_loops(child, looping=inside or (looping and not begins))


def nothing_of_one_machine_is_committed(tree: Tree) -> list[str]:
    found = []
    for path in tree.files():
        if path.suffix not in TEXT or path.stat().st_size > 2_000_000:
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            place = f"{path.relative_to(tree.root)}:{number}"
            if match := MACHINE.search(line):
                found.append(f"{place}: a path of one machine: {match[0]}")
            if match := REGISTRY.search(line):
                found.append(f"{place}: a package registry's address: {match[0]}")
    return found


def outside_text_is_normalised_in_one_place(tree: Tree) -> list[str]:
    """A bare `unicodedata.normalize` takes seconds for 20,000 marks in the wrong order."""
    found = []
    for module in tree.modules("services", "shared"):
        if module.path.as_posix() == "shared/contract/text.py":
            continue
        names = [(node, name) for node, name in module.imports() if name.startswith("unicodedata.")]
        names += [(call, dotted(call.func)) for call in module.calls()]
        found += [
            module.at(node, f"{name}: use nfc or nfkc of shared/contract/text.py, whose cost is linear")
            for node, name in names
            if name in ("unicodedata.normalize", "unicodedata.is_normalized")
        ]
    return found


#: what writes YAML
_YAML_WRITERS = re.compile(r"(safe_)?dump(_all)?|C?(Safe)?Dumper")


def yaml_is_read_in_one_place(tree: Tree) -> list[str]:
    """A YAML reader takes `010` for 8, `no` for false, and the second of two fields of one name, in silence."""
    found = []
    for module in tree.modules("services", "shared", "deploy"):
        if module.path.as_posix() == "shared/runtime/strict_yaml.py":
            continue
        uses: list[tuple[ast.AST, str]] = [
            (node, name) for node, name in module.imports() if name.partition(".")[0] in ("yaml", "ruamel")
        ]
        names = {
            alias.asname or alias.name
            for node, _ in uses if isinstance(node, ast.Import)
            for alias in node.names if alias.name == "yaml"
        }  # fmt: skip
        for node in ast.walk(module.tree):
            match node:
                case ast.Attribute(value=ast.Name(id=name), attr=used) if name in names:
                    uses.append((node, f"yaml.{used}"))
                case ast.Call(
                    func=ast.Name(id="getattr"), args=[ast.Name(id=name), ast.Constant(value=str(used)), *_]
                ) if name in names:
                    uses.append((node, f"yaml.{used}"))
        found += [
            module.at(node, f"{name}: read YAML with shared/runtime/strict_yaml.py, which takes nothing for another")
            for node, name in uses
            if name != "yaml" and not _YAML_WRITERS.fullmatch(name.removeprefix("yaml."))
        ]
    return found


#: so many lines in a row, without blank ones, are a thing that has a name and a place
RUN_LINES = 15


def no_run_of_lines_stands_twice(tree: Tree) -> list[str]:
    """Outside tests and migrations: what stands twice is mended once. Indentation does not count."""
    first: dict[tuple[str, ...], tuple[Path, int]] = {}
    found = []
    for top in ("services", "shared", "deploy", "scripts"):
        for path in tree.files(top):
            if path.suffix not in (".py", ".sql", ".sh", ".j2") or "migrations" in path.parts:
                continue
            lines = [(number, text) for number, text in enumerate(_stripped(path), start=1) if text]
            reported_to = 0  # report a longer run once
            for start in range(len(lines) - RUN_LINES + 1):
                run = tuple(text for _, text in lines[start : start + RUN_LINES])
                other, line = first.setdefault(run, (path, lines[start][0]))
                if (other, line) != (path, lines[start][0]) and start >= reported_to:
                    here, there = path.relative_to(tree.root), other.relative_to(tree.root)
                    found.append(f"{here}:{lines[start][0]}: {RUN_LINES} lines or more that stand at {there}:{line}")
                    reported_to = start + RUN_LINES
    return found


def _stripped(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]


#: final oa, oe and uy carry the tone mark on the first vowel (hóa, khỏe, ủy), except uy after q (quý)
_OTHER_SPELLING = re.compile(
    r"(?:[oO][áàảãạéèẻẽẹÁÀẢÃẠÉÈẺẼẸ]|(?<![qQ])[uU][ýỳỷỹỵÝỲỶỸỴ])(?![^\W\d_])",
)


def vietnamese_is_spelt_one_way(tree: Tree) -> list[str]:
    """Both conventions are in use; a search for one does not find the other."""
    found = []
    for path in tree.files():
        if path.suffix not in TEXT | {".j2"} or path == Path(__file__) or path.stat().st_size > 2_000_000:
            continue
        text = unicodedata.normalize("NFC", path.read_text(encoding="utf-8", errors="replace"))
        for number, line in enumerate(text.splitlines(), 1):
            for match in _OTHER_SPELLING.finditer(line):
                word = re.search(r"\w*$", line[: match.start()])
                spelt = (word[0] if word else "") + match[0]
                place = f"{path.relative_to(tree.root)}:{number}"
                found.append(f"{place}: “{spelt}”: put the tone mark on the first vowel, as in hóa, khỏe, ủy")
    return found


def loop_variables_are_nouns(tree: Tree) -> list[str]:
    found = []
    for module in tree.modules("services", "shared", "deploy", "scripts", "tests"):
        for node in ast.walk(module.tree):
            if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
                names = [name for name in ast.walk(node.target) if isinstance(name, ast.Name) and name.id == "each"]
                found += [
                    module.at(name, "a loop over `each`: name what it is, such as row or agency") for name in names
                ]
    return found


def code_of_pages_fits_a_terminal(tree: Tree) -> list[str]:
    """Code of pages, but for diffs, which are copied, and a line of one word, which cannot be broken."""
    found = []
    for path in tree.files():
        if path.suffix != ".md":
            continue
        block: str | None = None
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line.lstrip().startswith("```"):
                block = line.strip(" `") if block is None else None
            elif block == "diff" or (block is None and not line.startswith("    ")):
                continue
            elif len(line) > TERMINAL_COLUMNS and len(line.split()) > 1:
                place = f"{path.relative_to(tree.root)}:{number}"
                found.append(
                    f"{place}: {len(line)} columns of code: break it at {TERMINAL_COLUMNS}, so that it still runs"
                )
    return found


RULES = (
    modules_state_their_invariant,
    tests_never_sleep_and_hope,
    nothing_of_one_machine_is_committed,
    outside_text_is_normalised_in_one_place,
    yaml_is_read_in_one_place,
    no_run_of_lines_stands_twice,
    vietnamese_is_spelt_one_way,
    loop_variables_are_nouns,
    code_of_pages_fits_a_terminal,
)
