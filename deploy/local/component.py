"""One component of the stack: a child process with a name, a log and a readiness check.

It remembers requested stops and kills, so that it can tell a crash from them.
"""

from __future__ import annotations

import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.errors import Aborted, ChildFailed, StackError
from deploy.local.options import ROOT
from deploy.local.process import ChildProcess, Guard, poll_until, tail


@dataclass(frozen=True, kw_only=True)
class Spawn:
    """How to start the process behind a component."""

    command: Sequence[str]
    env: Mapping[str, str]
    cwd: Path = ROOT
    identity: str = "-"
    death_signal: signal.Signals = signal.SIGKILL


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The settings that all components of one stack share."""

    directory: Path
    guard: Guard
    progress: Callable[[str], None]
    ready_timeout_seconds: float
    base_env: Mapping[str, str] = field(default_factory=dict)
    abort: threading.Event = field(default_factory=threading.Event)  # once set, all waits end


class Component(ABC):
    """Start, stop, kill, pause, resume, restart; every method returns once that is done."""

    stop_signal = signal.SIGTERM
    grace_seconds = 10.0

    def __init__(self, name: str, setting: Setting) -> None:
        self.name = name
        self.setting = setting
        self.log_path = setting.directory / "logs" / f"{name}.log"
        self._lock = threading.RLock()
        self._child: ChildProcess | None = None
        self._paused = False

    @abstractmethod
    def prepare(self) -> Spawn:
        """Create files and folders; return what to run. Called before every start."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Check readiness once, in under a second; False while it cannot be reached."""

    @property
    def running(self) -> bool:
        """Whether the process exists; it may be paused."""
        child = self._child
        return child is not None and child.exit_code() is None

    @property
    def paused(self) -> bool:
        """Whether pause() stopped it and nothing has resumed it."""
        return self.running and self._paused

    @property
    def crashed(self) -> bool:
        """Whether it ended without a request."""
        child = self._child
        return child is not None and child.exit_code() is not None

    @property
    def condition(self) -> str:
        """Its condition in both languages; empty while it simply runs."""
        child = self._child
        if child is None:
            return "đã dừng / stopped"
        code = child.exit_code()
        if code is not None:
            return "đã dừng đột ngột: {} / ended unexpectedly: {}".format(*_how(code))
        return "tạm dừng / paused" if self._paused else ""

    @property
    def pid(self) -> int:
        """The pid of the main process. Raises StackError if it is not running."""
        child = self._child
        if child is None or child.exit_code() is not None:
            raise StackError(f"{self.name} không chạy.", f"{self.name} is not running")
        return child.pid

    def start(self) -> None:
        """Start the process; does not wait for readiness. Harmless when it runs."""
        with self._lock:
            if self.running:
                return
            self._reap()
            spawn = self.prepare()
            self._paused = False
            self._child = ChildProcess(
                spawn.command,
                guard=self.setting.guard,
                log_path=self.log_path,
                env=spawn.env,
                cwd=spawn.cwd,
                identity=spawn.identity,
                death_signal=spawn.death_signal,
            )

    def wait_ready(self, timeout_seconds: float | None = None) -> None:
        """Wait until it is ready. Raises ChildFailed, with the end of its log, if it ends or takes too long."""
        limit = self.setting.ready_timeout_seconds if timeout_seconds is None else timeout_seconds
        abort = self.setting.abort
        if not poll_until(lambda: abort.is_set() or not self.running or self.is_ready(), limit):
            raise self._failed(
                f"{self.name} chưa sẵn sàng sau {limit:.0f} giây.", f"{self.name} is not ready after {limit:.0f} s"
            )
        if abort.is_set():
            raise Aborted(f"{self.name}: thôi chờ.", f"{self.name}: stopped waiting")
        if not self.running:
            raise self.failure()

    def stop(self, grace_seconds: float | None = None) -> int | None:
        """Ask it to end, then SIGKILL after the grace. Returns its exit code; None if it was not running."""
        with self._lock:
            child, self._child = self._child, None
            self._paused = False
            if child is None:
                return None
            return child.end(self.stop_signal, self.grace_seconds if grace_seconds is None else grace_seconds)

    def kill(self) -> None:
        """Send SIGKILL to the process and all its descendants."""
        with self._lock:
            child, self._child = self._child, None
            self._paused = False
            if child is not None:
                child.kill()

    def pause(self) -> None:
        """Send SIGSTOP to the process and all its descendants."""
        with self._lock:
            if self._child is not None:
                self._child.send_tree(signal.SIGSTOP)
                self._paused = True

    def resume(self) -> None:
        """Send SIGCONT after a pause."""
        with self._lock:
            if self._child is not None:
                self._child.send_tree(signal.SIGCONT)
                self._paused = False

    def restart(self, timeout_seconds: float | None = None) -> None:
        """Stop, start, and wait until ready."""
        self.stop()
        self.start()
        self.wait_ready(timeout_seconds)

    def failure(self) -> ChildFailed:
        """The error that describes how it ended."""
        child = self._child
        code = child.exit_code() if child is not None else None
        how_vi, how_en = _how(code)
        return self._failed(f"{self.name} đã dừng đột ngột ({how_vi}).", f"{self.name} ended unexpectedly ({how_en})")

    def _failed(self, vi: str, en: str) -> ChildFailed:
        offset = self._child.log_offset if self._child is not None else 0
        return ChildFailed(self.name, vi, en, self.log_path, tail(self.log_path, offset))

    def _reap(self) -> None:
        """End the descendants that a crashed child may have left."""
        if self._child is not None:
            self._child.kill()
            self._child = None


def _how(code: int | None) -> tuple[str, str]:
    if code is None:
        return "không rõ", "unknown"
    if code < 0:
        name = signal.Signals(-code).name
        return f"tín hiệu {name}", f"signal {name}"
    return f"mã thoát {code}", f"exit code {code}"
