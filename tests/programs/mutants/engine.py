"""Mutants live in a folder of their own under .local/mutants: what is made of them never lies beside the sources.

mutmut makes the mutants and keeps an answer for each; `asking` asks the tests that call the function. This module
chooses which mutants are asked, and says of each one what it changes in words that a later edit elsewhere leaves as
they are.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.options import ROOT
from tests.programs.mutants.rooms import LEFT_OUT, Group

WORK = ROOT / ".local" / "mutants"
NOT_ASKED = 34  # mutmut's exit code of a mutant that it was told to skip
_SAVED_EACH = 50
KILLED, TIMEOUT, SURVIVED, UNTESTED = "killed", "timeout", "survived", "untested"
_SOURCES = ("services", "shared")
_BESIDE = ("deploy", "scripts", "docs", "README.md", "CONTRIBUTING.md", "Makefile")
_LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')
_TWO_WORDS = re.compile(r"\w\W? \W?\w")
#: what mutmut adds to a function's name
_OWN_NAME = re.compile(r"(?<=def )x[_ǁ]\w*?__mutmut_\w+")
#: of pytest in mutmut's worker; a kill by the limit of time or of CPU counts as a timeout
_STATUS: Mapping[int, str] = {
    0: SURVIVED,
    1: KILLED,
    3: KILLED,
    5: UNTESTED,
    33: UNTESTED,
    **dict.fromkeys((36, 24, -24, 152, 255, -9, -11), TIMEOUT),
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one function. `file`, `function`, `was` and `becomes` name it, whatever stands on other lines."""

    key: str  # mutmut's
    file: str
    function: str
    was: str
    becomes: str
    exit_code: int | None = None

    @property
    def status(self) -> str | None:
        """None: not asked yet. What ended in no known way is a survivor, so that nothing is counted as noticed."""
        return None if self.exit_code in (None, NOT_ASKED) else _STATUS.get(self.exit_code or 0, SURVIVED)


def prepare(group: Group, *, fresh: bool) -> None:
    """Make the mutants of what has changed. Survivors and the untested are asked again if the tests have changed."""
    work = WORK / group.name
    if fresh:
        shutil.rmtree(work, ignore_errors=True)
    copy = work / "mutants"
    copy.mkdir(parents=True, exist_ok=True)
    for name in ("tests", *_SOURCES, *_BESIDE):
        link = work / name
        if not link.is_symlink():
            link.symlink_to(ROOT / name)
    (work / "pyproject.toml").write_text(_configuration(group), encoding="utf-8")
    for name in ("tests", *_BESIDE):
        path = copy / name
        if path.is_dir():
            shutil.rmtree(path)
    for path in [path for source in _SOURCES for path in (copy / source).rglob("*.py")]:
        if not (ROOT / path.relative_to(copy)).exists():
            path.unlink()
    seen = None if sys.stdout.isatty() else subprocess.DEVNULL  # a spinner, ten times a second
    subprocess.run([sys.executable, Path(__file__).with_name("making.py")], cwd=work, check=True, stdout=seen)
    _forget_what_tests_may_change(group, work)


def mutants(group: Group) -> list[Mutant]:
    """All mutants that count, with what is known of each, in an order that does not change."""
    copy = WORK / group.name / "mutants"
    return sorted((mutant for file in group.files for mutant in _of_file(copy, file)), key=lambda mutant: mutant.key)


def run(group: Group, asked: set[str], tell: Callable[[int], None] = lambda count: None) -> int:
    """Ask the tests about the mutants of these keys that have no answer yet; `tell` hears how many have been asked.

    What has been answered stays answered, however it ends. Not 0: tests fail without any mutant.
    """
    work = WORK / group.name
    keys = [mutant.key for mutant in mutants(group) if mutant.key in asked and mutant.status is None]
    ignored = [f"--ignore={path}" for path in group.ignored]
    told = json.dumps({"keys": keys, "arguments": [*ignored, *group.tests]})
    command = ["nice", "-n", "19", sys.executable, str(Path(__file__).with_name("asking.py"))]
    answers: dict[str, int] = {}
    try:
        with subprocess.Popen(
            command, cwd=work / "mutants", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(told)
            process.stdin.close()
            for line in process.stdout:
                key, _, code = line.rstrip("\n").partition("\t")
                answers[key] = int(code)
                if len(answers) % _SAVED_EACH == 0:
                    _keep(work, group, answers)
                    tell(len(answers))
        return process.returncode
    finally:
        _keep(work, group, answers)


def _keep(work: Path, group: Group, answers: Mapping[str, int]) -> None:
    _set(work, group, lambda key, code: answers.get(key, code))


def describe(original: str, changed: str) -> tuple[str, str]:
    """The lines that differ, before and after, each joined to one."""
    before, after = (_OWN_NAME.sub("", text).splitlines() for text in (original, changed))
    was: list[str] = []
    becomes: list[str] = []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag != "equal":
            was += before[i1:i2]
            becomes += after[j1:j2]
    return " ".join(line.strip() for line in was), " ".join(line.strip() for line in becomes)


def is_wording(was: str, becomes: str) -> bool:
    """Whether only the words of a sentence change: a test that quotes whole sentences protects nothing."""
    if _LITERAL.sub('""', was) != _LITERAL.sub('""', becomes):
        return False
    pairs = zip(_LITERAL.findall(was), _LITERAL.findall(becomes), strict=True)
    changed = [before for before, after in pairs if before != after]
    return bool(changed) and all(_TWO_WORDS.search(text) for text in changed)


def _configuration(group: Group) -> str:
    return "\n".join(
        (
            (ROOT / "pyproject.toml").read_text(encoding="utf-8"),
            "[tool.mutmut]",
            f"source_paths = {json.dumps(_SOURCES)}",
            f"only_mutate = {json.dumps(group.files)}",
            f"also_copy = {json.dumps(_BESIDE)}",
            "use_git_change_detection = false",
            "",
        )
    )


def _forget_what_tests_may_change(group: Group, work: Path) -> None:
    told = work / "tests.sha256"
    digest = hashlib.sha256()
    for path in sorted(path for named in group.tests for path in _files(ROOT / named)):
        digest.update(path.read_bytes())
    if told.exists() and told.read_text(encoding="utf-8") == digest.hexdigest():
        return
    _set(work, group, lambda _, code: code if code is not None and _STATUS.get(code) in (KILLED, TIMEOUT) else None)
    told.write_text(digest.hexdigest(), encoding="utf-8")


def _files(named: Path) -> Iterable[Path]:
    return [named] if named.is_file() else named.rglob("*.py")


def _set(work: Path, group: Group, new: Callable[[str, int | None], int | None]) -> None:
    for file in group.files:
        path = work / "mutants" / f"{file}.meta"
        known = json.loads(path.read_text(encoding="utf-8"))
        codes = {key: new(key, code) for key, code in known["exit_code_by_key"].items()}
        path.write_text(json.dumps(known | {"exit_code_by_key": codes}, indent=1), encoding="utf-8")


def _of_file(copy: Path, file: str) -> Iterator[Mutant]:
    codes = json.loads((copy / f"{file}.meta").read_text(encoding="utf-8"))["exit_code_by_key"]
    spans = json.loads((copy / f"{file}.spans").read_text(encoding="utf-8"))["spans"]
    lines = (copy / file).read_text(encoding="utf-8").splitlines()
    source = {name: "\n".join(lines[start - 1 : end]) for name, (start, end) in spans.items()}
    for key, code in codes.items():
        name = key.rpartition(".")[2]
        mangled = name.partition("__mutmut_")[0]
        original, function = source[f"{mangled}__mutmut_orig"], _function(mangled)
        if original.lstrip().startswith("async ") or function in LEFT_OUT:
            continue
        was, becomes = describe(original, source[name])
        if not is_wording(was, becomes):
            yield Mutant(key, file, function, was, becomes, code)


def _function(mangled: str) -> str:
    """`x_stand` is the function stand, `xǁPeriodǁof` the method Period.of."""
    return ".".join(mangled[2:].split("ǁ")) if mangled.startswith("xǁ") else mangled.removeprefix("x_")
