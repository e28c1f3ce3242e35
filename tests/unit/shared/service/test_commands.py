"""Every command of every service says in a sentence that its database is away: code 3, no traceback."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import shared.telemetry.logging
from shared.contract.ids import new_id
from shared.contract.services import SERVICES
from shared.postgres.database import UrlError
from shared.runtime.operator import as_json, when, who
from shared.service.command import guarded
from tests.architecture.tree import ROOT

TOMORROW = (datetime.now(UTC) + timedelta(days=1)).isoformat()
AWAY = "postgresql://nobody:nothing@127.0.0.1:1/none"

#: commands of every service, with arguments that get as far as the database
SHARED: dict[str, list[list[str]]] = {
    "migrate": [[]],
    "replay": [["--dry-run"], []],
    "dead-letters": [
        ["list"], ["list", "--discarded"], ["show", "1"], ["replay", "--all"], ["discard", "1", "--reason", "x"],
        ["restore", "1"],
    ],
    "deferred": [["list"], ["show", "regime/X/1"], ["retry", "--all"], ["bury", "1", "--reason", "x"]],
    "outbox": [["list"], ["show", "1"], ["retry", "--all"], ["discard", "1", "--reason", "x"]],
    "consumers": [
        ["list"], ["show", "{consumer}"], ["resume", "{consumer}"], ["bury-to", "{consumer}", "--batch"],
    ],
}  # fmt: skip
CONSUMER = {
    "intake": "follow",
    "validator": "submissions",
    "scoring": "follow",
    "notifier": "verdicts",
    "board": "verdicts",
}
OWN: dict[str, dict[str, list[list[str]]]] = {
    "intake": {
        "registry": [["republish"], ["plan", "{sample}"], ["apply", "{sample}", "--why", "x"]],
        "keys": [
            ["list"],
            ["create", "--all"],
            ["create", "--agency", "H99"],
            ["revoke", "abc", "--why", "x"],
            ["trust", "board", "00" * 32],
        ],
        "receipt-keys": [["list"], ["withdraw", "abc", "--reason", "x"]],
        "webhook-keys": [["list"]],
        "personal-data": [["export", "CB-1"], ["forget", "CB-1", "--why", "x"]],
    },
    "scoring": {
        "setbacks": [["list"], ["retry", "--all"]],
        "recompute": [[], ["H99/BC/2026", "--as-of", "2026-01-05T08:00:00+07:00"]],
        "reliefs": [
            ["list"],
            ["list", "--status", "granted"],
            ["show", "GH-1"],
            [
                "add",
                "--from",
                "2026-01-05T08:00:00+07:00",
                "--to",
                "2026-01-05T17:00:00+07:00",
                "--reason",
                "x",
                "--by",
                "y",
            ],
            ["grant", "GH-1", "--by", "y", "--reason", "x"],
            ["reject", "GH-1", "--by", "y", "--reason", "x"],
        ],
        "rebuild": [["--started-at", "2026-01-05T17:00:00+07:00", "--first-version", "1000"]],
        "calendar-load": [["{calendar}"]],
        "calendar-draft": [["2026", "2027"]],
        "policy-load": [["{policy}"]],
        "policy-check": [["{policy}"]],
    },
    "notifier": {
        "ladders": [["list"], ["show", "default"]],
        "mailing": [["list"], ["show"]],
        "silences": [
            ["list"],
            ["list", "--all"],
            ["add", "--agency", "H99", "--until", TOMORROW, "--reason", "x"],
            ["end", "0190a1b2-0000-7000-8000-000000000000", "--reason", "x"],
        ],
        "mail": [["preview", "{folder}"]],
        "rebuild": [["--told-until", "2026-01-05T17:00:00+07:00"]],
    },
    "board": {
        "accounts": [["list"], ["invite", "TT-H99"], ["close", "TT-H99", "--why", "x"]],
        "rebuild": [["--yes"]],
        "signing-key": [["new", "{folder}/board_key.pem"]],
    },
    "validator": {
        "not-judged": [["list"], ["judge", "--all"]],
        "findings": [[]],
        "rules": [["check", "{regime}"], ["coverage", "{regime}"]],
    },
}
#: no database is asked, so none is missed
WITHOUT_DATABASE = {"calendar-draft", "findings", "mail", "policy-check", "rules", "signing-key"}
#: ask no database either; `check` limits the process it runs in: not run here
APART = {name: {"check"} for name in SERVICES} | {"intake": {"receipt"}, "notifier": {"check", "gateway"}}

CASES = [
    (service, action, arguments)
    for service in SERVICES
    for action, variants in {**SHARED, **OWN.get(service, {})}.items()
    for arguments in variants
]


def run(service: str, *arguments: str) -> int:
    """`python -m services.<service> …`, here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [f"services.{service}", *arguments])
        patch.setattr(shared.telemetry.logging, "configure", lambda *_, **__: None)
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(f"services.{service}", run_name="__main__", alter_sys=False)
    code = ended.value.code
    assert isinstance(code, int), code
    return code


@pytest.fixture
def _away(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in SERVICES:
        monkeypatch.setenv(f"{service.upper()}_DATABASE_URL", AWAY)
        monkeypatch.setenv(f"{service.upper()}_PORT", "1")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")


@pytest.mark.usefixtures("_away")
@pytest.mark.parametrize(("service", "action", "arguments"), CASES, ids=[" ".join([s, a, *g[:2]]) for s, a, g in CASES])
def test_a_command_without_its_database_says_so_and_ends_with_code_3(
    service: str, action: str, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {
        "consumer": f"{service}.{CONSUMER[service]}",
        "sample": str(ROOT / "deploy" / "sample"),
        "calendar": str(next((ROOT / "services" / "scoring" / "calendar").rglob("*.yaml"))),
        "regime": str(ROOT / "deploy" / "sample" / "regimes" / "tthc-quy.yaml"),
        "policy": str(next((ROOT / "services" / "scoring" / "scores" / "policy").glob("*.yaml"))),
        "folder": str(tmp_path),
    }
    code = run(service, action, *(argument.format(**places) for argument in arguments))
    told = capsys.readouterr()
    assert code == (0 if action in WITHOUT_DATABASE else 3), told
    assert "Traceback" not in told.out + told.err
    if code == 3:
        assert re.search(r"Không dùng được cơ sở dữ liệu / the database cannot be used: \w+", told.err), told
        assert len([line for line in told.err.splitlines() if "ignored" not in line]) == 1


#: what no row is called, and what no evidence may be; the last of each line is right and gets as far as the database
BEYOND = str(2**63)
WRONG: list[tuple[list[str], list[str]]] = [
    (
        ["dead-letters", "discard", BEYOND, "--reason", "x"],
        ["dead-letters", "discard", str(2**63 - 1), "--reason", "x"],
    ),
    (["dead-letters", "discard", "1", "--reason", "  "], ["dead-letters", "discard", "1", "--reason", " x "]),
    (["dead-letters", "show", "\udcff"], ["dead-letters", "show", "ÿ"]),
    (["dead-letters", "replay", BEYOND], ["dead-letters", "replay", "1"]),
    (["dead-letters", "replay", "0"], ["dead-letters", "replay", "1"]),
    (["dead-letters", "restore", BEYOND], ["dead-letters", "restore", "1"]),
    (["outbox", "show", BEYOND], ["outbox", "show", "1"]),
    (["outbox", "retry", BEYOND], ["outbox", "retry", "1"]),
    (["outbox", "discard", "1", "--reason", ""], ["outbox", "discard", "1", "--reason", "x"]),
    (["deferred", "show", "\udcff"], ["deferred", "show", "ÿ"]),
    (["deferred", "retry", BEYOND], ["deferred", "retry", "1"]),
    (["deferred", "bury", "1", "--reason", ""], ["deferred", "bury", "1", "--reason", "x"]),
]


@pytest.mark.usefixtures("_away")
@pytest.mark.parametrize(("wrong", "right"), WRONG, ids=[ascii(" ".join(wrong)) for wrong, _ in WRONG])
def test_an_argument_that_the_database_cannot_take_is_wrong_usage_and_no_traceback(
    wrong: list[str], right: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("validator", *wrong) == 2
    told = capsys.readouterr().err
    assert re.search("không phải số thứ tự|không phải UTF-8|cần ghi lý do", told), told
    assert run("validator", *right) == 3, "the same command, rightly given, is stopped by its absent database only"


def test_an_operator_named_in_no_utf8_is_recorded_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATOR", "Lan\udcff")
    assert who() == "Lan?"


def test_what_is_shown_has_the_moments_of_the_lists_and_bytes_in_hex() -> None:
    moment = datetime(2026, 12, 31, 17, 30, tzinfo=UTC)
    assert json.loads(json.dumps({"at": moment, "digest": b"\x7b\xff", "n": Decimal(1)}, default=as_json)) == {
        "at": when(moment), "digest": "7bff", "n": "1",
    }  # fmt: skip


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("action", sorted(SHARED))
def test_a_command_without_the_variable_of_its_database_is_wrong_usage_and_not_nothing_found(
    service: str, action: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(f"{service.upper()}_DATABASE_URL", raising=False)
    arguments = [argument.format(consumer=f"{service}.{CONSUMER[service]}") for argument in SHARED[action][0]]
    assert run(service, action, *arguments) == 2
    assert f"{service.upper()}_DATABASE_URL is missing" in capsys.readouterr().err


def test_operators_read_vietnams_time_with_its_offset() -> None:
    assert when(datetime(2026, 12, 31, 17, 30, tzinfo=UTC)) == "2027-01-01 00:30:00+0700"


@pytest.mark.usefixtures("_away")
@pytest.mark.parametrize("service", SERVICES)
def test_no_command_is_forgotten_here(service: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(service, "--help") == 0
    listed = re.search(r"\{([a-z,-]+)\}", capsys.readouterr().out)
    assert listed is not None
    assert set(listed[1].split(",")) == {*SHARED, *OWN.get(service, {}), *APART.get(service, ()), "serve"}


def _raises(error: BaseException) -> Any:
    def command() -> int:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (ConnectionRefusedError("no"), 3, "the database cannot be used"),
        (asyncpg.InvalidPasswordError("no"), 3, "the database cannot be used"),
        (asyncpg.UndefinedTableError("no"), 3, "python -m services.intake migrate"),
        (UrlError("no"), 2, "the database URL is wrong"),
        (KeyboardInterrupt(), 130, ""),
    ],
    ids=repr,
)
def test_each_trouble_has_its_sentence(
    error: BaseException, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded("intake", _raises(error)) == code
    assert told in capsys.readouterr().err


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    """Negative control: only trouble that is known is told in a sentence."""
    with pytest.raises(ZeroDivisionError):
        guarded("intake", _raises(ZeroDivisionError(str(new_id()))))


_LOGGING_COMMAND = """
from shared.service.command import run
from shared.telemetry.logging import get_logger

def command(arguments):
    get_logger().info("It was done.", action="thing.done")
    get_logger().warning("It was hard.", action="thing.hard")
    print("Xong / done")
    return 0

run("scoring", None, {"reliefs": ("help", command)})
"""


def test_a_commands_output_is_its_sentences_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOGGING_COMMAND, "reliefs"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "Xong / done\n"
    assert [json.loads(line)["action"] for line in done.stderr.splitlines()] == ["thing.hard"]
