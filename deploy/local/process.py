"""Starts, signals and ends a child process with all its descendants as one tree.

One thread that lives as long as the process forks all children: Linux sends the parent-death signal when the forking
*thread* ends, so a child forked by a short-lived thread would die with it.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

import psutil

HERE = Path(__file__).resolve().parent
LAUNCHER = HERE / "launch.py"
GUARD = HERE / "guard.py"
TAIL_BYTES = 16_384
TAIL_LINES = 25


class _Forker:
    """Runs calls on one thread that lives as long as the process."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]]
        self._calls = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def call(self, function: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="local-stack-forker", daemon=True)
                self._thread.start()
        future: Future[subprocess.Popen[bytes]] = Future()
        self._calls.put((function, future))
        return future.result()

    def _run(self) -> None:
        while True:
            function, future = self._calls.get()
            try:
                future.set_result(function())
            except BaseException as error:  # the caller's thread raises it
                future.set_exception(error)


_forker = _Forker()


class Guard:
    """The watchdog process of one stack (guard.py), which it keeps informed of live children."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The watchdog's pid while it runs."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start watching; harmless when already started."""
        with self._lock:
            if self._process is None:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(GUARD)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    start_new_session=True,
                )

    def add(self, pid: int, death_signal: int) -> None:
        """Report a started child, to be ended with `death_signal` once we are gone."""
        with contextlib.suppress(OSError, IndexError, ValueError):
            stat = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            self._write(f"+ {pid} {int(stat[19])} {death_signal}\n")

    def remove(self, pid: int) -> None:
        """Report that a child has ended."""
        self._write(f"- {pid}\n")

    def stop(self) -> None:
        """Close the pipe; the watchdog ends all children it still knows, then itself."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
            process.wait()

    def _write(self, line: str) -> None:
        with self._lock:
            if self._process is not None and self._process.stdin is not None:
                with contextlib.suppress(OSError):  # without a watchdog, the death signals remain
                    self._process.stdin.write(line.encode("ascii"))
                    self._process.stdin.flush()


class ChildProcess:
    """A command started in its own session, with its output in a file."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        guard: Guard,
        log_path: Path,
        env: Mapping[str, str],
        cwd: Path,
        identity: str = "-",
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        parent = os.getpid()
        full = [sys.executable, "-I", "-S", str(LAUNCHER), str(parent), str(int(death_signal)), identity, "--"]
        full += command
        self._guard = guard
        log_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.log_offset = log_path.stat().st_size if log_path.exists() else 0
        with open(log_path, "ab", opener=_private) as log:
            self._process = _forker.call(
                lambda: subprocess.Popen(
                    full,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=dict(env),
                    cwd=cwd,
                    start_new_session=True,
                )
            )
        guard.add(self._process.pid, int(death_signal))

    @property
    def pid(self) -> int:
        """The pid of the command itself: the launcher execs instead of forking."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """The exit code; None while it runs, negative for a signal."""
        return self._process.poll()

    def send(self, number: signal.Signals) -> None:
        """Signal the command alone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def send_tree(self, number: signal.Signals) -> None:
        """Signal the command and all its descendants; the command first, so that it cannot start new ones."""
        tree = list(self._tree())
        self.send(number)
        for process in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def wait(self, timeout_seconds: float) -> int | None:
        """Wait for the exit code; None if it still runs after the timeout."""
        try:
            code = self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return None
        self._guard.remove(self.pid)
        return code

    def kill(self) -> None:
        """Send SIGKILL to the whole tree and return once it is gone."""
        tree = list(self._tree())
        self.send_tree(signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait(30)
        psutil.wait_procs(tree, timeout=30)

    def end(self, number: signal.Signals, grace_seconds: float) -> int | None:
        """Send signal `number`, then SIGKILL after the grace; return once the whole tree is gone."""
        tree = list(self._tree())
        self.send_tree(signal.SIGCONT)
        self.send(number)
        code = self.wait(grace_seconds)
        _, left = psutil.wait_procs(tree, timeout=2 if code is not None else 0)
        if code is None or left:
            self.kill()
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            code = self.wait(30)
        return code

    def _tree(self) -> Iterator[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            yield from psutil.Process(self.pid).children(recursive=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def tail(path: Path, offset: int = 0, lines: int = TAIL_LINES) -> str:
    """The last lines written to a log since `offset`; empty when there is none."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(offset, end - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def poll_until(condition: Callable[[], bool], timeout_seconds: float, interval_seconds: float = 0.05) -> bool:
    """True as soon as the condition holds; False when the deadline has passed."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        if condition():
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(interval_seconds)
