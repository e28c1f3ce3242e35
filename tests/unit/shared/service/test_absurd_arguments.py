"""Whatever an operator types, a command ends with a code and a sentence in two languages, never with a traceback.

The commands and their arguments are taken from the parsers themselves, so that a new one is tried too.
"""

from __future__ import annotations

import argparse
import functools
import gettext
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from deploy.reconcile import stores
from deploy.reconcile.commands import main as reconcile
from shared.contract.services import SERVICES
from shared.runtime.arguments import CommandParser, in_two_languages
from shared.runtime.operator import number
from tests.unit.shared.service.test_commands import AWAY, run

#: `serve` runs on; `check` limits the process that it runs in
NOT_HERE = {"serve", "check"}

ABSURD = (
    "", " ", "-5", "0", "1e999", "nan", "NOPE", "a/b", "'; --", "9" * 400, str(2**31), str(2**63), "x" * 5_000,
    "\udcff",     "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01", "2026-01-01T00:00:00",
    "{missing}", "{folder}", "{binary}", "{empty}", "{list}", "{deep}", "{file}/x",
)  # fmt: skip


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for service in SERVICES:
        monkeypatch.setenv(f"{service.upper()}_DATABASE_URL", AWAY)
        monkeypatch.setenv(f"{service.upper()}_PORT", "1")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "folder").mkdir()
    for name, content in {
        "binary": b"\xff\xfe\x00", "empty": b"", "list": b"- 1\n", "deep": b"[" * 5_000, "file": b"a: 2026-13-45\n",
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(content)
    return {name: str(tmp_path / name) for name in ("missing", "folder", "binary", "empty", "list", "deep", "file")}


def parsers(service: str) -> dict[str, argparse.ArgumentParser]:
    """Every command of the service, with its parser: of its own commands the one that the command makes itself."""
    made: dict[str, argparse.ArgumentParser] = {}
    ours = CommandParser.parse_known_args

    def caught(self: CommandParser, args: Any = None, namespace: Any = None) -> Any:
        if not self._actions:  # stands for one that the command makes itself
            return ours(self, args, namespace)
        made[self.prog] = self
        if self.prog.count(" ") > 2:
            raise SystemExit(0)
        return ours(self, args, namespace)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CommandParser, "parse_known_args", caught)
        run(service, "findings" if service == "validator" else "migrate")
        top = made[f"python -m services.{service}"]
        for name, parser in children(top).items():
            shared = parser._actions and service != SERVICES[0]  # the same in every service
            if name not in NOT_HERE and not shared:
                made.setdefault(parser.prog, parser)
                if not parser._actions:
                    run(service, name)
    return {prog: parser for prog, parser in made.items() if prog.count(" ") > 2}


def children(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    below = children(parser)
    if not below:
        yield parser
    for child in below.values():
        yield from leaves(child)


def usual(action: argparse.Action) -> list[str]:
    """What the argument may be, so that another one can be tried."""
    value = "x"
    if action.choices:
        value = str(next(iter(action.choices)))
    elif action.type is number:
        value = "1"
    elif action.type is Path:
        value = "{file}"
    elif action.type is not None:
        texts = ("2026-01-01T00:00:00+07:00", "2026", str(AN_ID), "00" * 32)
        value = next(text for text in texts if readable(action, text))
    return [*action.option_strings[:1], *([] if action.nargs == 0 else [value])]


AN_ID = "01a21ccf-a243-706a-be01-195a99769dfb"


def readable(action: argparse.Action, text: str) -> bool:
    assert callable(action.type)
    try:
        action.type(text)
    except (ValueError, argparse.ArgumentTypeError):
        return False
    return True


def lines(parser: argparse.ArgumentParser, nth: int) -> Iterator[list[str]]:
    """Command lines with one absurd argument each, the others as they should be; and some with too many or too few."""
    actions = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    grouped = {id(action): group for group in parser._mutually_exclusive_groups for action in group._group_actions}

    def others(tried: argparse.Action | None) -> list[str]:
        done, given = {id(grouped[id(tried)])} if id(tried) in grouped else set(), []
        for action in actions:
            group = grouped.get(id(action))
            needed = action.required or not action.option_strings or (group is not None and group.required)
            if action is tried or not needed or (group is not None and id(group) in done):
                continue
            if group is not None:
                done.add(id(group))
            given += usual(action)
        return given

    head = parser.prog.split(" ")[3:]
    yield [*head, "-h"]
    yield [*head, *others(None), "--nothing-like-this"]
    yield [*head, *others(None), "surplus", "\udcfe"]
    if others(None):
        yield head
    for action in actions:
        if action.nargs != 0:
            for value in ABSURD:
                if crc32(f"{parser.prog} {action.dest} {value}".encode("utf-8", "surrogatepass")) % nth:
                    continue
                tried = [f"{action.option_strings[0]}={value}"] if action.option_strings else [value]
                yield [*head, *others(action), *tried]


@pytest.fixture
def made_once(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process does once, hundreds of commands in one process need not do again: build it, look for catalogues.

    No command keeps anything in the service that it builds: it asks it which topics are followed.
    """
    main = importlib.import_module(f"services.{service}.main")
    monkeypatch.setattr(main, "build", functools.cache(main.build))
    monkeypatch.setattr(gettext, "find", functools.cache(gettext.find))


@pytest.mark.timeout(600)  # hundreds of commands: minutes where the machine is busy
@pytest.mark.usefixtures("made_once")
@pytest.mark.parametrize("nth", [pytest.param(3, id="every third"), pytest.param(1, id="all", marks=pytest.mark.whole)])
@pytest.mark.parametrize("service", SERVICES)
def test_no_argument_of_any_command_ends_in_a_traceback(
    service: str, nth: int, places: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    tried = codes = 0
    for parser in parsers(service).values():
        for leaf in leaves(parser):
            for line in lines(leaf, nth):
                arguments = [_filled(word, places) for word in line]
                capsys.readouterr()
                try:
                    code = run(service, *arguments)
                except BaseException as error:
                    raise AssertionError(f"{arguments!a}: {type(error).__name__}: {error}") from error
                told = capsys.readouterr()
                assert code in (0, 1, 2, 3), (arguments, code, told)
                assert "Traceback" not in told.out + told.err, arguments
                if code:
                    assert " / " in told.err + told.out, (arguments, code, told)
                    assert len(told.err) < 20_000, (arguments, "one sentence")
                tried, codes = tried + 1, codes | 1 << code
    assert tried > {SERVICES[0]: 700, "validator": 2}.get(service, 100) / nth
    assert codes & 1 << 2
    if service != "validator":
        assert codes & 1 << 3, "the control: what is rightly given gets as far as the absent database"


@pytest.mark.parametrize("given", [b"", b"\xff\n", b"{}\n", b"[[[\n", b"[" * 100_000, b'{"type": 1, "body": 2}\n'])
def test_a_check_of_what_is_no_record_says_which_line(given: bytes) -> None:
    command = [sys.executable, "-m", "services.validator", "check"]
    done = subprocess.run(command, input=given, capture_output=True, timeout=60, check=False)
    assert done.returncode == (2 if given else 0), done.stderr
    assert b"Traceback" not in done.stderr
    assert (b" / " in done.stderr) == bool(given), done.stderr


def _filled(text: str, places: dict[str, str]) -> str:
    for name, path in places.items():
        text = text.replace("{" + name + "}", path)
    return text


@pytest.mark.parametrize(
    "arguments",
    [
        ["--settle-seconds", "-5"],
        ["--settle-seconds", "nan"],
        ["--settle-seconds", "x"],
        ["surplus"],
        ["--shown", "0"],
        ["--all", "--json"],
        ["--nothing"],
        ["--json=1"],
    ],
)
def test_reconcile_used_wrongly_says_how(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        reconcile(arguments)
    assert ended.value.code == 2
    assert "sai cách dùng / wrong use: " in capsys.readouterr().err


@pytest.mark.parametrize(
    "url", ["", "x", "postgresql://", "postgresql://127.0.0.1:1/x", "ftp://a", "postgresql://[", "postgresql://a:99999/x",
            "postgresql://127.0.0.1:1/\x00"]
)  # fmt: skip
def test_reconcile_without_a_store_says_so(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "CONNECT_SECONDS", 1.0)
    assert reconcile(["--intake", url, "--settle-seconds", "0"]) == 2
    assert "Could not compare: " in capsys.readouterr().out


def test_every_sentence_of_argparse_is_said_in_two_languages(capsys: pytest.CaptureFixture[str]) -> None:
    """Also of another version of Python: what it says is asked of argparse itself."""
    parser = CommandParser(prog="x")
    parser.add_argument("--number", type=int)
    parser.add_argument("--float", type=float)
    parser.add_argument("--flag", action="store_true")
    parser.add_argument("--flame", action="store_true")
    parser.add_argument("--two", nargs=2)
    parser.add_argument("--some", nargs="+")
    either = parser.add_mutually_exclusive_group(required=True)
    either.add_argument("--this", action="store_true")
    either.add_argument("--that", action="store_true")
    parser.add_argument("kind", choices=["a", "b"])
    for line in (
        "", "a", "c --this", "a --this --that", "a --this --number x", "a --this --number", "a --this --float x",
        "a --this --fla", "a --this --flag=1", "a --this --two 1", "a --this --some", "a b --this", "a --this --zzz",
    ):  # fmt: skip
        with pytest.raises(SystemExit):
            parser.parse_args(line.split())
        told = capsys.readouterr().err.splitlines()[-1].partition("wrong use: ")[2]
        assert " / " in told, (line, told)
    assert in_two_languages("something new") == "something new", "the control: what is not known is said as it is"
