"""Runs the other services' own checks of proposed records, each in its own process, so the code that runs is checked.

If a check crashes, hangs or is killed at its limits, halving finds the record that caused it, and only that record is
refused. This module imports no other service's code and calls no running service.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from services.intake.registry.source import Located
from shared.contract.events import RegistryEvent
from shared.contract.services import SERVICES
from shared.runtime.clock import monotonic_seconds
from shared.runtime.file_errors import FileError
from shared.runtime.hidden_characters import shown

#: the services that check records before they are admitted
NEIGHBOURS = tuple(service for service in SERVICES if service != "intake")
ROOT = Path(__file__).resolve().parents[3]
#: time limit of one process, and of the search for the record that made one fail
RUN_SECONDS, SEARCH_SECONDS = 60.0, 180.0
MAX_OUTPUT_BYTES = 16 * 1024 * 1024
#: environment variables that a check needs; passwords and addresses are not passed on
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH")

#: returns the command that starts a service's check
Program = Callable[[str], Sequence[str]]


def program(neighbour: str) -> Sequence[str]:
    """The command `python -m services.<neighbour> check`, without loading the rest of the service."""
    return (sys.executable, "-m", f"services.{neighbour}.check")


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a run ended: its problems by record key, or why it failed."""

    problems: tuple[tuple[str, dict[str, Any]], ...] = ()
    failed: str = ""
    started: bool = True  # whether it got as far as reading its records


def ask(
    neighbours: Iterable[str],
    asked: Sequence[Located],
    others: Sequence[RegistryEvent],
    now: datetime,
    *,
    start: Program = program,
    run_seconds: float = RUN_SECONDS,
) -> list[FileError]:
    """The problems that the other services find in the asked records, and remarks; the checks run in parallel.

    `others`: records for look-up only; now: business time. Blocks; all its processes have ended when it returns.
    """
    names = list(neighbours)
    if not asked or not names:
        return []
    with ThreadPoolExecutor(len(names)) as pool:
        answers = pool.map(lambda name: _Neighbour(name, start, others, now, run_seconds).ask(asked), names)
        return [error for errors in answers for error in errors]


class _Neighbour:
    """The check of one load by one service."""

    def __init__(
        self, name: str, start: Program, others: Sequence[RegistryEvent], now: datetime, run_seconds: float
    ) -> None:
        self._name = name
        self._start = start
        self._others = others
        self._now = now
        self._run_seconds = run_seconds
        self._until = monotonic_seconds() + max(SEARCH_SECONDS, run_seconds)

    def ask(self, asked: Sequence[Located]) -> list[FileError]:
        ended = self._run(asked)
        if not ended.failed:
            by_key = {located.record.key: located for located in asked}
            return [_file_error(by_key[key], problem) for key, problem in ended.problems if key in by_key]
        if not ended.started:
            return [self._not_there(ended.failed)]
        if len(asked) == 1:
            return [self._fatal(asked[0], ended.failed)]
        if monotonic_seconds() > self._until:
            return [self._not_found(asked, ended.failed)]
        middle = len(asked) // 2
        return [*self.ask(asked[:middle]), *self.ask(asked[middle:])]

    def _run(self, asked: Sequence[Located]) -> _Ended:
        keys = {located.record.key for located in asked}
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as stderr:
            for located in asked:
                given.write(_line(located.record, check=True))
            for record in self._others:
                if record.key not in keys:
                    given.write(_line(record, check=False))
            given.seek(0)
            try:
                process = subprocess.Popen(
                    [*self._start(self._name), "--now", self._now.isoformat()],
                    stdin=given,
                    stdout=out,
                    stderr=stderr,
                    cwd=ROOT,
                    env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                    start_new_session=True,
                )
            except OSError as error:
                return _Ended(failed=str(error), started=False)
            try:
                code = process.wait(self._run_seconds)
                failed = "" if code == 0 else _ending(code, _tail(stderr))
            except subprocess.TimeoutExpired:
                failed = f"it did not end within {self._run_seconds:g} s"
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            out.seek(0)
            return _read(out.read(MAX_OUTPUT_BYTES), failed)

    def _fatal(self, located: Located, why: str) -> FileError:
        return located.error(
            "",
            f"Bản ghi này làm hỏng lần kiểm tra của {self._name} ({why}).",
            f"This record breaks the check of {self._name} ({why}).",
            "Sửa hoặc rút gọn bản ghi; nếu không rõ sai ở đâu, báo cho người phát triển.",
            "Correct or shorten the record; if nothing seems wrong with it, report it to the developers.",
        )

    def _not_there(self, why: str) -> FileError:
        return FileError(
            "",
            0,
            "",
            f"Không chạy được phần kiểm tra của {self._name}: {why}.",
            f"The check of {self._name} cannot be run: {why}.",
            f"Cài mã của dịch vụ đó ở đây, hoặc tắt có chủ ý bằng INTAKE_CHECKS_OFF={self._name}.",
            f"Install the service's code here, or switch its check off on purpose with INTAKE_CHECKS_OFF={self._name}.",
        )

    def _not_found(self, asked: Sequence[Located], why: str) -> FileError:
        return asked[0].error(
            "",
            f"Phần kiểm tra của {self._name} bị hỏng vì một trong {len(asked)} bản ghi từ đây ({why}).",
            f"One of {len(asked)} records from here on breaks the check of {self._name} ({why}).",
            "Nạp từng phần nhỏ hơn để tìm ra bản ghi đó.",
            "Load smaller parts to find the record.",
        )


def _line(record: RegistryEvent, *, check: bool) -> bytes:
    head = json.dumps({"type": record.TYPE, "check": check})
    return head[:-1].encode() + b', "body": ' + record.encode() + b"}\n"


def _read(output: bytes, failed: str) -> _Ended:
    problems: list[tuple[str, dict[str, Any]]] = []
    started = done = False
    for line in output.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue  # a truncated last line
        started = started or "looks at" in said
        done = done or "done" in said
        if "key" in said:
            problems.append((said.pop("key"), said))
    if not failed and not done:
        failed = "it ended before it was done"
    return _Ended(tuple(problems), failed, started)


def _ending(code: int, said: str) -> str:
    how = f"exit code {code}"
    if code < 0:
        with contextlib.suppress(ValueError):
            how = signal.Signals(-code).name
    return f"{how}{': ' if said else ''}{said}"


def _tail(file: object) -> str:
    """The last line on stderr."""
    file.seek(0)  # type: ignore[attr-defined]
    lines = file.read(MAX_OUTPUT_BYTES).decode("utf-8", "replace").strip().splitlines()  # type: ignore[attr-defined]
    return shown(lines[-1], 200) if lines else ""


def _file_error(located: Located, problem: dict[str, Any]) -> FileError:
    found = located.source.error(
        problem["pointer"], problem["message"], problem["message_en"], problem["fix"], problem["fix_en"]
    )
    return replace(found, remark=bool(problem.get("remark")))
