"""`up` ends with 0 only when everything is ready, whoever started it; `logs` finds the demo's logs too."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import __main__
from deploy.local.options import ROOT
from deploy.local.process import poll_until


class Supervisor:
    """Owns a directory as a starting `run` does; `ready` and `end` as it would."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(exist_ok=True)
        self._lock = (directory / "lock").open("w+")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._lock.write(f"{os.getpid()}\n")
        self._lock.flush()

    def ready(self, supervisor: int | None = None) -> None:
        state = {"supervisor": supervisor or os.getpid(), "components": {"mail": {"pid": 1, "url": "http://mail"}}}
        fresh = self.directory / "stack.json.new"
        fresh.write_text(json.dumps(state), encoding="utf-8")
        fresh.replace(self.directory / "stack.json")

    def end(self) -> None:
        self._lock.close()


class Up:
    """`up` in a thread of its own."""

    def __init__(self, directory: Path) -> None:
        self.code: int | None = None
        self._directory = directory
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self.code = __main__.main(["up", "--directory", str(self._directory)])

    def ended(self) -> int | None:
        self._thread.join(20)
        return self.code


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    starting = Supervisor(tmp_path / "stack")
    yield starting
    starting.end()


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Every look of `up` whether the other is ready."""
    seen: list[bool] = []
    look = __main__._ready

    def counted(directory: Path, pid: int) -> bool:
        seen.append(look(directory, pid))
        return seen[-1]

    monkeypatch.setattr(__main__, "_ready", counted)
    monkeypatch.setattr(__main__, "READY_LOOK_SECONDS", 0.01)
    return seen


def test_up_waits_for_another_that_is_still_starting(
    supervisor: Supervisor, looks: list[bool], capsys: pytest.CaptureFixture[str]
) -> None:
    supervisor.ready(supervisor=1)  # left behind by an earlier one that was killed
    up = Up(supervisor.directory)
    assert poll_until(lambda: len(looks) > 20, 20)
    assert up.code is None
    supervisor.ready()
    assert up.ended() == 0
    said = capsys.readouterr().out
    assert said.index("starting; waiting") < said.index("already running") < said.index("http://mail")


def test_up_fails_when_the_one_it_waits_for_fails(
    supervisor: Supervisor, looks: list[bool], capsys: pytest.CaptureFixture[str]
) -> None:
    up = Up(supervisor.directory)
    assert poll_until(lambda: len(looks) > 5, 20)
    supervisor.end()
    assert up.ended() == 1
    assert "ended before it was ready" in capsys.readouterr().err


def test_up_beside_one_that_is_ready_says_so_at_once(supervisor: Supervisor) -> None:
    supervisor.ready()
    assert Up(supervisor.directory).ended() == 0


def test_status_tells_starting_from_ready(supervisor: Supervisor, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["status", "--directory", str(supervisor.directory)]
    assert __main__.main(arguments) == 0
    assert "starting" in capsys.readouterr().out
    supervisor.ready()
    assert __main__.main(arguments) == 0
    assert "starting" not in capsys.readouterr().out


@pytest.mark.timeout(240)
def test_two_ups_at_the_same_time_start_one_stack_and_both_wait_for_it(tmp_path: Path) -> None:
    place = ["--directory", str(tmp_path / "stack")]
    command = [sys.executable, "-m", "deploy.local", "up", "--broker", "tansu", "--free-ports", *place, "--services"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("KAFKA_")}
    ups = [
        subprocess.Popen(command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    try:
        said = [up.communicate(timeout=200)[0] for up in ups]
        assert [up.returncode for up in ups] == [0, 0], said
        assert all("postgres " in output and "mail " in output for output in said), said
        assert sum("already running" in output for output in said) == 1, said
    finally:
        assert __main__.main(["down", *place]) == 0


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`.local` of a project in which the demo has run."""
    monkeypatch.setattr(__main__, "LOCAL", tmp_path)
    monkeypatch.setattr(__main__, "DEFAULT_DIRECTORY", tmp_path / "stack")
    logs = tmp_path / "demo" / "logs"
    logs.mkdir(parents=True)
    (logs / "intake.log").write_text("of the demo\n", encoding="utf-8")
    return tmp_path


def test_logs_are_the_demos_where_up_has_left_none(local: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["logs"]) == 0
    said = capsys.readouterr()
    assert "intake      | of the demo" in said.out
    assert str(local / "demo" / "logs") in said.err
    assert __main__.main(["logs", "intake"]) == 0
    assert "of the demo" in capsys.readouterr().out
    assert __main__.main(["logs", "nobody"]) == 2


def test_logs_of_up_go_first_and_name_where_the_demos_are(local: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (local / "stack" / "logs").mkdir(parents=True)
    (local / "stack" / "logs" / "intake.log").write_text("of the stack\n", encoding="utf-8")
    assert __main__.main(["logs"]) == 0
    said = capsys.readouterr()
    assert "of the stack" in said.out
    assert "of the demo" not in said.out
    assert str(local / "demo" / "logs") in said.err


def test_logs_of_another_directory_are_only_its_own(local: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["logs", "--directory", str(local / "other")]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "no logs yet" in said.err
