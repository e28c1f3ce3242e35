"""What goes wrong is said clearly, ends with its exit code, and leaves nothing running."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from deploy.local import (
    ChildFailed,
    DiskFull,
    MissingPrerequisite,
    Options,
    PortInUse,
    Stack,
    StackInUse,
    jars,
    postgres,
)
from deploy.local.options import FIXED_PORTS, ROOT
from deploy.local.ports import Ports
from deploy.local.process import poll_until
from tests.stack import MARK, marked_processes

pytestmark = pytest.mark.timeout(240)  # a start on a busy machine

MAIL_ONLY = frozenset({"mail"})
POSTGRES_ONLY = frozenset({"postgres"})

# A stack with PostgreSQL, a mail sink and a service that has a child of its own; prints the pids and waits.
PARENT = """
import sys, time
from pathlib import Path
from deploy.local import Options, Stack
directory, script = Path(sys.argv[1]), sys.argv[2]
stack = Stack(Options(
    directory=directory, services={"intake": 1}, infrastructure=frozenset({"postgres", "mail"}), database_urls={},
    kafka_bootstrap="127.0.0.1:1", service_command=(sys.executable, script), progress=print,
))
stack.provision_topics = lambda prefix=None: None
stack.start()
print("GUARD", stack._guard.pid, flush=True)
time.sleep(600)
"""
SERVICE = """
import http.server, os, subprocess, sys
if sys.argv[-1] == "serve":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=False)
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()
        def log_message(self, *_):
            pass
    http.server.HTTPServer(("127.0.0.1", int(os.environ["INTAKE_PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Every process this test starts can be found, however it was re-parented."""
    value = uuid.uuid4().hex
    monkeypatch.setenv(MARK, value)
    yield value
    for process in marked_processes(value):
        process.kill()


def infrastructure(directory: Path, names: frozenset[str], **others: object) -> Options:
    fixed: dict[str, object] = {
        "directory": directory,
        "services": {},
        "infrastructure": names,
        "kafka_bootstrap": None,
        "database_urls": {},
    }
    return Options(**{**fixed, **others})  # type: ignore[arg-type]


@pytest.mark.parametrize("guarded", [True, False], ids=["watchdog alive", "watchdog killed first"])
def test_nothing_outlives_a_parent_killed_with_sigkill(tmp_path: Path, mark: str, guarded: bool) -> None:
    script = tmp_path / "service.py"
    script.write_text(SERVICE, encoding="utf-8")
    command = [sys.executable, "-c", PARENT, str(tmp_path / "stack"), str(script)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        guard_pid = next(int(line.split()[1]) for line in parent.stdout if line.startswith("GUARD"))
        tree = psutil.Process(parent.pid).children(recursive=True)
        grandchild = next(p for p in tree if p.cmdline()[-1:] == ["import time; time.sleep(600)"])
        assert any("postgres" in process.name() for process in tree)
        if not guarded:
            os.kill(guard_pid, signal.SIGKILL)
        parent.kill()
    gone = [process for process in tree if process.pid != guard_pid]
    if not guarded:
        # The control: the death signal alone ends direct children, and PostgreSQL's follow their postmaster; a child
        # of a service is what the watchdog is for.
        gone.remove(grandchild)
    _, alive = psutil.wait_procs(gone, timeout=60)
    assert alive == []
    if guarded:
        assert poll_until(lambda: marked_processes(mark) == [], 30)
    else:
        assert grandchild.is_running()


def test_a_port_in_use_is_named_with_its_holder(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse) as raised:
            Ports().claim(port, "intake")
    assert str(port) in raised.value.vi
    assert str(port) in raised.value.en
    assert f"pid {os.getpid()}" in raised.value.en


def test_up_with_a_taken_port_exits_with_4_and_leaves_nothing(tmp_path: Path, mark: str) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", FIXED_PORTS["mail"]))
            taken.listen(1)
        except OSError:
            pass  # a stack on the fixed ports runs on this machine: taken all the same
        command = [sys.executable, "-m", "deploy.local", "up", "--directory", str(tmp_path), "--services"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 4
    assert "đang bị chiếm" in done.stdout
    assert "is in use" in done.stdout
    assert poll_until(lambda: marked_processes(mark) == [], 30)


def test_a_child_that_crashes_at_start_is_reported_with_its_last_words(tmp_path: Path, mark: str) -> None:
    script = tmp_path / "service.py"
    script.write_text(
        "import sys\nif sys.argv[-1] == 'serve':\n    print('no such regime: BC-99', flush=True)\n    sys.exit(9)\n",
        encoding="utf-8",
    )
    options = infrastructure(
        tmp_path / "stack",
        MAIL_ONLY,
        services={"intake": 1},
        database_urls={"intake": "postgresql://unused"},
        service_command=(sys.executable, str(script)),
        kafka_bootstrap=None,
    )
    stack = Stack(options)
    stack.service_env = lambda service, instance=0: dict(stack._setting.base_env)  # type: ignore[method-assign]
    with pytest.raises(ChildFailed) as raised:
        stack.start()
    assert raised.value.exit_code == 5
    assert raised.value.name == "intake"
    assert "exit code 9" in raised.value.en
    assert "no such regime: BC-99" in raised.value.en
    assert poll_until(lambda: marked_processes(mark) == [], 30)


def test_a_failed_migration_stops_the_start_with_its_output(tmp_path: Path, mark: str) -> None:
    script = tmp_path / "service.py"
    script.write_text("import sys\nsys.exit('relation already exists')\n", encoding="utf-8")
    options = infrastructure(
        tmp_path / "stack",
        MAIL_ONLY,
        services={"intake": 1},
        database_urls={"intake": "postgresql://unused"},
        service_command=(sys.executable, str(script)),
    )
    stack = Stack(options)
    stack.service_env = lambda service, instance=0: dict(stack._setting.base_env)  # type: ignore[method-assign]
    with pytest.raises(ChildFailed, match="relation already exists"):
        stack.start()
    assert poll_until(lambda: marked_processes(mark) == [], 30)


def test_too_little_disk_is_said_before_anything_starts(tmp_path: Path, mark: str) -> None:
    with pytest.raises(DiskFull) as raised:
        Stack(infrastructure(tmp_path, MAIL_ONLY, minimum_free_bytes=1 << 60)).start()
    assert raised.value.exit_code == 6
    assert marked_processes(mark) == []


def test_a_directory_has_one_supervisor_at_a_time(tmp_path: Path) -> None:
    with Stack(infrastructure(tmp_path, MAIL_ONLY)) as first:
        with pytest.raises(StackInUse):
            Stack(infrastructure(tmp_path, MAIL_ONLY)).start()
        assert first.component("mail").running
    with Stack(infrastructure(tmp_path, MAIL_ONLY)):
        pass


def test_up_status_logs_down_from_the_command_line(tmp_path: Path, mark: str) -> None:
    def local(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "deploy.local", *words, "--directory", str(tmp_path)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)

    started = local("up", "--broker", "tansu", "--free-ports", "--services")
    assert started.returncode == 0, started.stdout + started.stderr
    assert "Tansu thay cho Apache Kafka" in started.stdout
    assert "postgres" in started.stdout
    assert local("status").returncode == 0
    assert local("up", "--free-ports").returncode == 0  # already running
    assert "ready to accept connections" in local("logs", "postgres").stdout
    assert local("logs", "nobody").returncode == 2
    assert local("stop", "nobody").returncode == 2
    assert "postgres: đã dừng / stopped" in local("stop", "postgres").stdout
    stopped = local("status")
    assert (stopped.returncode, "đã dừng / stopped" in stopped.stdout) == (5, True)
    assert local("start", "postgres").returncode == 0
    assert local("status").returncode == 0
    _a_killed_component_is_told_and_the_rest_goes_on(tmp_path, local)
    _nobody_else_can_read(tmp_path)
    assert local("down").returncode == 0
    assert poll_until(lambda: marked_processes(mark) == [], 30)
    assert local("status").returncode == 1
    assert local("clean").returncode == 0
    assert not tmp_path.exists()


def _a_killed_component_is_told_and_the_rest_goes_on(
    directory: Path, local: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    def pids() -> dict[str, int | None]:
        components = json.loads((directory / "stack.json").read_text(encoding="utf-8"))["components"]
        return {name: told.get("pid") for name, told in components.items()}

    before = pids()
    assert before["kafka"] is not None
    os.kill(before["kafka"], signal.SIGKILL)
    assert poll_until(lambda: pids()["kafka"] is None, 30)
    told = local("status")
    assert told.returncode == 5
    assert "ended unexpectedly: signal SIGKILL" in " ".join(told.stdout.split())
    assert f"deploy.local start kafka --directory {directory}" in told.stdout
    assert "signal SIGKILL" in (directory / "logs" / "supervisor.log").read_text(encoding="utf-8")
    assert {**pids(), "kafka": before["kafka"]} == before
    assert local("start", "kafka").returncode == 0
    assert pids()["kafka"] not in (None, before["kafka"])


def _nobody_else_can_read(directory: Path) -> None:
    """Secrets, logs, mails and data; nor can anybody else list the folder."""
    assert directory.stat().st_mode & 0o777 == 0o711
    assert _readable_by_others(directory) <= {"stack.json", "up.lock"}
    log = directory / "logs" / "postgres.log"
    log.chmod(0o644)
    log.parent.chmod(0o755)
    assert "postgres.log" in _readable_by_others(directory)  # the look finds what is open


def _readable_by_others(directory: Path) -> set[str]:
    return {
        path.name
        for path in directory.rglob("*")
        if path.is_file()
        and path.stat().st_mode & 0o004
        and all(folder.stat().st_mode & 0o001 for folder in path.parents if folder.is_relative_to(directory))
    }


def without_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *kept: str) -> None:
    """A machine that has only the programs named."""
    import shutil

    folder = tmp_path / "bin"
    folder.mkdir()
    for name in kept:
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.delenv("KAFKA_HOME", raising=False)
    monkeypatch.setattr(jars, "CACHE", tmp_path / "cache")


def test_without_java_tansu_stands_in_and_says_what_that_means(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_programs(monkeypatch, tmp_path)
    said: list[str] = []
    options = infrastructure(tmp_path / "stack", frozenset({"kafka"}), broker="auto", progress=said.append)
    with Stack(options) as stack:
        assert stack.broker == "tansu"
        assert stack.kafka_idempotence is False
        assert stack.provision_topics().created == []
    text = "\n".join(said)
    assert "apt-get install openjdk-17-jre-headless" in text
    assert "chỉ trong bộ nhớ" in text
    assert "in memory only, no idempotent producer" in text


@pytest.mark.parametrize(("kept", "missing"), [((), "Java"), (("java",), "Maven")])
def test_kafka_asked_for_by_name_names_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kept: tuple[str, ...], missing: str
) -> None:
    without_programs(monkeypatch, tmp_path, *kept)
    with pytest.raises(MissingPrerequisite, match=f"{missing}.*sudo apt-get install") as raised:
        Stack(infrastructure(tmp_path / "stack", frozenset({"kafka"}), broker="kafka")).start()
    assert raised.value.exit_code == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user needs no other identity")
def test_root_where_namespaces_are_forbidden_runs_postgres_as_an_ordinary_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LOCAL_POSTGRES_NO_NAMESPACE", "1")
    tmp_path.chmod(0o700)  # that user cannot even reach the stack's directory
    options = infrastructure(tmp_path / "stack", POSTGRES_ONLY)
    with Stack(options) as stack:
        server = stack.component("postgres")
        assert psutil.Process(server.pid).uids().real != 0
        assert stack.database_url("intake").startswith("postgresql://intake:")
        elsewhere = Path((stack.directory / "postgres-elsewhere").read_text(encoding="utf-8"))
        assert (elsewhere / "data").stat().st_uid == psutil.Process(server.pid).uids().real
    command = [sys.executable, "-m", "deploy.local", "clean", "--directory", str(stack.directory)]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False).returncode == 0
    assert not elsewhere.exists()


def test_postgres_never_runs_as_root(tmp_path: Path) -> None:
    identity = postgres.choose_identity()
    assert (identity.launch == "-") == (os.geteuid() != 0)


def test_setup_names_what_the_machine_lacks(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\n[ \"$1\" = --version ] && echo 'Python 3.9.2'\nexit 1\n", encoding="utf-8")
    old.chmod(0o755)
    for python, expected in ((str(old), "Python 3.9.2"), (str(tmp_path / "none"), "apt-get install python3")):
        done = subprocess.run(
            [ROOT / "scripts" / "setup.sh"],
            env={**os.environ, "PYTHON": python},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 3
        assert expected in done.stderr
