"""The stack from the command line; `make up|down|logs|clean` call this.

    python -m deploy.local up|run|down|status|logs|env|clean [--directory D] [--brokers 3] [--broker tansu] …
    python -m deploy.local stop|start|restart|kill|pause|resume kafka|postgres|mail|intake|… [--directory D]

`up` starts a supervisor in the background and returns once everything is ready; `run` stays in the foreground.
Exit codes: 0 ok; 2 usage; 3 a program is missing; 4 port in use; 5 a child failed; 6 disk full; 7 already running.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from deploy.local.control import DEEDS, Control, Watch, ask
from deploy.local.errors import ChildFailed, StackError, UsageError, wrapped
from deploy.local.options import DEFAULT_DIRECTORY, LOCAL, ROOT, Options, typed
from deploy.local.process import poll_until
from deploy.local.stack import Stack
from deploy.local.trust import trust_board
from shared.contract.services import SERVICES
from shared.runtime.arguments import CommandParser
from shared.runtime.operator import COLUMNS

DOWN_TIMEOUT_SECONDS = 90.0
FOLLOW_SECONDS = 0.3
READY_LOOK_SECONDS = 0.1


def supervisor_pid(directory: Path) -> int | None:
    """The pid of the process that owns a stack's directory; None if there is none."""
    try:
        with (directory / "lock").open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                text = file.read().strip()
                return int(text) if text.isdigit() else None
            return None
    except FileNotFoundError:
        return None


def run(arguments: argparse.Namespace) -> int:
    """Run the supervisor in the foreground."""
    begun = time.monotonic()
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set() or stack is None:
            return
        stop.set()
        stack.abort()

    def progress(text: str) -> None:
        # one write per line, since several threads report
        print(f"[{time.monotonic() - begun:5.1f} s] {text}\n", end="", flush=True)

    stack: Stack | None = Stack(_options(arguments, progress))
    assert stack is not None
    control = Control(stack)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    try:
        stack.start()
        if {"intake", "board"} <= {component.name for component in stack.components}:
            trust_board(stack)
    except StackError as error:
        if stop.is_set():
            return 0
        raise error
    try:
        _print_addresses(_state(stack.directory))
        control.start()
        print(f"READY {time.monotonic() - begun:.1f} s", flush=True)
        watch = Watch(stack, progress)
        while not stop.wait(0.5):
            watch.look()
    finally:
        control.stop()
        stack.stop()
    return 0


def up(arguments: argparse.Namespace) -> int:
    """Start `run` in the background and show its progress until it is ready or has failed."""
    directory: Path = arguments.directory
    with _one_up_at_a_time(directory):
        pid = supervisor_pid(directory)
        if pid is None:
            return _start(arguments)
        if not _ready(directory, pid):
            print(f"Đang khởi động; chờ … / starting; waiting … (pid {pid})", flush=True)
            while not _ready(directory, pid):
                if supervisor_pid(directory) != pid:
                    raise StackError(
                        f"Ngăn xếp đang khởi động (pid {pid}) đã dừng trước khi sẵn sàng; xem `make logs`.",
                        f"the stack that was starting (pid {pid}) ended before it was ready; see `make logs`",
                    )
                time.sleep(READY_LOOK_SECONDS)
        print(f"Đã chạy / already running (pid {pid})")
        _print_addresses(_state(directory))
        return 0


@contextlib.contextmanager
def _one_up_at_a_time(directory: Path) -> Iterator[None]:
    """Let one `up` run at a time: a second would not see the first one's supervisor until it owns the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "up.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Một lệnh up khác đang chạy; chờ … / another `up` is running; waiting …", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _ready(directory: Path, pid: int) -> bool:
    """Whether this supervisor is ready, which it shows by writing where everything runs."""
    return bool(_state(directory).get("supervisor") == pid)


def _start(arguments: argparse.Namespace) -> int:
    directory: Path = arguments.directory
    log_path = directory / "logs" / "supervisor.log"
    log_path.parent.mkdir(mode=0o700, exist_ok=True)
    command = [sys.executable, "-m", "deploy.local", "run", *_as_arguments(arguments)]
    with log_path.open("wb") as log:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True
        )
    try:
        for line in _follow(log_path, child):
            if line.startswith("READY"):
                stop = "make down" if directory == DEFAULT_DIRECTORY else typed(directory, "down")
                print(f"Sẵn sàng sau / ready after {line.removeprefix('READY ')}; dừng / stop: {stop}")
                return 0
            print(line, flush=True)
    except KeyboardInterrupt:
        child.send_signal(signal.SIGTERM)
        child.wait()
        return 130
    return child.wait() or 1


def down(arguments: argparse.Namespace) -> int:
    """Stop the supervisor and all it started; harmless when nothing runs."""
    directory: Path = arguments.directory
    pid = supervisor_pid(directory)
    if pid is None:
        print("Không có gì đang chạy / nothing is running")
        return 0
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    if not poll_until(lambda: supervisor_pid(directory) is None, DOWN_TIMEOUT_SECONDS):
        # Its watchdog then ends the children.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        poll_until(lambda: supervisor_pid(directory) is None, 10)
    print("Đã dừng / stopped")
    return 0


def status(arguments: argparse.Namespace) -> int:
    """Show what runs where; exit code 1 if nothing runs, 5 if a component has ended by itself."""
    pid = supervisor_pid(arguments.directory)
    if pid is None:
        print("Không chạy / not running")
        return 1
    starting = "" if _ready(arguments.directory, pid) else " (đang khởi động / starting)"
    print(f"supervisor      pid {pid}{starting}")
    state = _state(arguments.directory)
    _print_addresses(state)
    ended = [name for name, component in state.get("components", {}).items() if "condition" in component]
    if ended:
        label, command = "Chạy lại / start again:", typed(arguments.directory, "start", ended[0])
        print(f"{label} {command}" if len(f"{label} {command}") <= COLUMNS else f"{label}\n    {command}")
    return (
        ChildFailed.exit_code
        if any("pid" not in component for component in state.get("components", {}).values())
        else 0
    )


def component(arguments: argparse.Namespace) -> int:
    """Stop, start, restart, kill, pause or resume one component of a running stack."""
    for name in arguments.names:
        print(ask(arguments.directory, arguments.command, name), flush=True)
    return 0


def logs(arguments: argparse.Namespace) -> int:
    """Show the last lines of each log (or of the named ones); -f follows them.

    Shows the logs of `make demo` if `up` has left none; if both exist, it says where the demo's are.
    """
    folder: Path = arguments.directory / "logs"
    demo = LOCAL / "demo" / "logs"
    if arguments.directory == DEFAULT_DIRECTORY and any(demo.glob("*.log")):
        if not any(folder.glob("*.log")):
            folder = demo
            print(f"Nhật ký của make demo / logs of make demo: {demo}", file=sys.stderr)
        else:
            print(f"Nhật ký của make demo ở / the logs of make demo are in {demo}", file=sys.stderr)
    wanted = [folder / f"{name}.log" for name in arguments.names] or sorted(folder.glob("*.log"))
    if missing := [path.stem for path in wanted if not path.exists()]:
        raise UsageError(f"Không có nhật ký: {', '.join(missing)}.", f"no log of: {', '.join(missing)} in {folder}")
    if not wanted:
        print(f"Chưa có nhật ký / no logs yet: {folder}", file=sys.stderr)
    places: dict[Path, int] = {}
    for path in wanted:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        for line in lines[-arguments.lines :]:
            print(f"{path.stem:<12}| {line}")
        places[path] = path.stat().st_size
    with contextlib.suppress(KeyboardInterrupt):
        while arguments.follow:
            for path, place in places.items():
                with path.open("rb") as file:
                    file.seek(place)
                    for raw in file.read().splitlines():
                        print(f"{path.stem:<12}| {raw.decode('utf-8', 'replace')}", flush=True)
                    places[path] = file.tell()
            time.sleep(FOLLOW_SECONDS)
    return 0


def env(arguments: argparse.Namespace) -> int:
    """Print the environment of a service's commands as shell assignments: `(set -a; . <(… env NAME); …)`.

    Use them in a subshell: a stack started from a shell that exports them would take this stack for outside systems.
    """
    path: Path = arguments.directory / "environments.json"
    try:
        environments = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise UsageError("Ngăn xếp chưa chạy; hãy `make up`.", "the stack is not running; `make up` first") from None
    if arguments.service not in environments:
        raise UsageError(f"Không có dịch vụ {arguments.service}.", f"there are: {', '.join(environments)}")
    for name, value in sorted(environments[arguments.service].items()):
        print(f"{name}={shlex.quote(value)}")
    for name, component in _state(arguments.directory).get("components", {}).items():
        if name in SERVICES:
            print(f"{name.upper()}_URL={shlex.quote(component['url'])}")
    return 0


def clean(arguments: argparse.Namespace) -> int:
    """Stop the stack and remove its data; with --all the downloaded jars too."""
    directory: Path = arguments.directory
    down(arguments)
    stacks = [directory]
    if directory == DEFAULT_DIRECTORY and LOCAL.is_dir():
        stacks = [path for path in LOCAL.iterdir() if arguments.all or path.name != "kafka"]
    for path in stacks:
        if (pid := supervisor_pid(path)) is not None:
            raise StackError(f"{path} đang được dùng (pid {pid}).", f"{path} is in use by pid {pid}; stop it first")
        elsewhere = path / "postgres-elsewhere"
        if elsewhere.exists():
            shutil.rmtree(elsewhere.read_text(encoding="utf-8"), ignore_errors=True)
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        print(f"Đã xóa / removed {path}")
    return 0


def _options(arguments: argparse.Namespace, progress: Any) -> Options:
    services = dict.fromkeys(SERVICES, 1) if arguments.services is None else {}
    for entry in arguments.services or ():
        name, _, count = entry.partition("=")
        services[name] = int(count or 1)
    extra: dict[str, Any] = {"broker": arguments.broker} if arguments.broker else {}
    return Options(
        directory=arguments.directory,
        fixed_ports=not arguments.free_ports,
        brokers=arguments.brokers,
        services=services,
        progress=progress,
        **extra,
    )


def _as_arguments(arguments: argparse.Namespace) -> list[str]:
    words = ["--directory", str(arguments.directory), "--brokers", str(arguments.brokers)]
    if arguments.broker:
        words += ["--broker", arguments.broker]
    if arguments.free_ports:
        words.append("--free-ports")
    if arguments.services is not None:
        words += ["--services", *arguments.services]
    return words


def _state(directory: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        state = json.loads((directory / "stack.json").read_text(encoding="utf-8"))
        assert isinstance(state, dict)
        return state
    return {}


def _print_addresses(state: Mapping[str, Any]) -> None:
    for line in addresses(state):
        print(line, flush=True)


def addresses(state: Mapping[str, Any]) -> Iterator[str]:
    """What runs where, with the condition of components that do not simply run; fits 80 columns."""
    for name, component in state.get("components", {}).items():
        where = component.get("url") or (f"127.0.0.1:{component['port']}" if "port" in component else "")
        if name.startswith("kafka"):
            where = f"{state.get('kafka_bootstrap')} ({state.get('broker')})" if name == "kafka" else ""
        head = f"{name:<15} pid {component.get('pid', '–'):<8} "
        details = [where, f"✗ {component['condition']}" if "condition" in component else ""]
        line = head + "  ".join(filter(None, details))
        if len(line) <= COLUMNS:
            yield line.rstrip()
            continue
        for detail in filter(None, details):
            yield from wrapped(detail, head, " " * len(head))
            head = " " * len(head)


def _follow(path: Path, child: subprocess.Popen[bytes]) -> Iterator[str]:
    """The lines of a growing file until its writer has ended."""
    with path.open("r", encoding="utf-8", errors="replace") as file:
        partial = ""
        while True:
            ended = child.poll() is not None
            partial += file.read()
            *lines, partial = partial.split("\n")
            yield from lines
            if ended:
                if partial:
                    yield partial
                return
            time.sleep(0.05)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments, run the command, and turn errors into a message and an exit code."""
    common = CommandParser(add_help=False)
    common.add_argument("--directory", type=lambda text: Path(text).absolute(), default=DEFAULT_DIRECTORY)
    starting = CommandParser(add_help=False, parents=[common])
    starting.add_argument("--brokers", type=int, default=1, choices=(1, 3))
    starting.add_argument("--broker", choices=("auto", "kafka", "tansu"))
    starting.add_argument("--free-ports", action="store_true", help="any free ports instead of the documented ones")
    starting.add_argument(
        "--services", nargs="*", metavar="NAME[=N]", help="default: one of each; none: infrastructure"
    )
    parser = CommandParser(prog="python -m deploy.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, title="lệnh / commands")
    for name, function, parent in (
        ("up", up, starting),
        ("run", run, starting),
        ("down", down, common),
        ("status", status, common),
        ("logs", logs, common),
        ("env", env, common),
        ("clean", clean, common),
        *((deed, component, common) for deed in DEEDS),
    ):
        command = commands.add_parser(name, parents=[parent], help=(function.__doc__ or "").splitlines()[0])
        command.set_defaults(function=function)
        if name in DEEDS:
            command.add_argument("names", nargs="+", metavar="NAME", help="kafka, postgres, mail, intake, …")
        if name == "logs":
            command.add_argument("names", nargs="*")
            command.add_argument("-f", "--follow", action="store_true")
            command.add_argument("-n", "--lines", type=int, default=20)
        if name == "env":
            command.add_argument("service", choices=SERVICES)
        if name == "clean":
            command.add_argument("--all", action="store_true", help="the downloaded jars too")
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.function(arguments))
    except StackError as error:
        print(error.message(), file=sys.stderr, flush=True)
        return error.exit_code
    except BrokenPipeError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
