"""A service's own look at registry records before they are admitted: `python -m services.<name> check`.

Reads NDJSON on stdin, one record a line, and writes NDJSON on stdout; needs neither database nor Kafka. It runs the
service's own code on each record by itself, under limits of CPU and memory, so that a record it cannot bear is named
and stops nothing but itself. Whoever starts it need not be trusted to read records only (docs/decisions/0014).

Lines in:  {"type": CloudEvents type, "body": the event's body, "check": true | false: only there for others to look up}
Lines out: {"looks at": how many}; {"at": key} before a record is looked at; for each problem {"key", "pointer",
"message", "message_en", "fix", "fix_en", "remark": true where it refuses nothing}; {"done": how many were looked at} at
the end. Exit code 0 either way.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from types import FrameType
from typing import Any, TextIO

from shared.contract.events import MODELS, RegistryEvent
from shared.runtime.arguments import CommandParser, moment
from shared.runtime.clock import SystemClock

#: of one record; a whole province's need a few milliseconds each
RECORD_CPU_SECONDS = 3.0
#: of all records of one run; a limit of the system, which ends the process; the sum of a nation's registry
PROCESS_CPU_SECONDS = 120
PROCESS_MEMORY_BYTES = 1024 * 1024 * 1024
#: problems reported of one record
MAX_PROBLEMS = 50


@dataclass(frozen=True, slots=True)
class Objection:
    """What a service could not do with a record. `pointer` is a JSON Pointer into the body.

    remark: only something to look at; the record is admitted all the same.
    """

    pointer: str
    message: str
    message_en: str
    fix: str
    fix_en: str
    remark: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """All records of one run, and the hour. `records` are looked at, `others` are there to be looked up."""

    records: tuple[RegistryEvent, ...]
    others: tuple[RegistryEvent, ...]
    now: datetime

    @property
    def all(self) -> tuple[RegistryEvent, ...]:
        return self.records + self.others


#: makes, once, what looks at single records
Checker = Callable[[Look], Callable[[RegistryEvent], Iterable[Objection]]]


class _TooLong(Exception):
    """The record took more CPU than one may."""


def main(service: str, checker: Checker, arguments: Sequence[str]) -> int:
    """The command `check` of a service."""
    parser = CommandParser(
        prog=f"python -m services.{service} check",
        description="xem thử bản ghi danh mục trên stdin (NDJSON) / look at registry records on stdin (NDJSON)",
    )
    parser.add_argument("--now", type=moment, help="giờ nghiệp vụ, ISO 8601 có múi giờ / business time with offset")
    asked = parser.parse_args(list(arguments))
    now = asked.now or SystemClock().now()
    _limit_process()
    try:
        look = read(sys.stdin, now)
    except UnicodeDecodeError:
        parser.error("stdin: không phải UTF-8 / is not UTF-8")
    except ValueError as error:
        parser.error(str(error))
    run(look, checker, sys.stdout)
    return 0


def read(lines: Iterable[str], now: datetime) -> Look:
    """The records of these lines. Raises ValueError where a line is none."""
    records: list[RegistryEvent] = []
    others: list[RegistryEvent] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            given = json.loads(line)
            body: Any = MODELS[given["type"]].model_validate(given["body"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            reason = f"{type(error).__name__}: {error}"[:400]
            raise ValueError(
                f"dòng / line {number}: không phải bản ghi danh mục / is no registry event: {reason}"
            ) from None
        if not isinstance(body, RegistryEvent):
            raise ValueError(
                f"dòng / line {number}: {given['type']} không thuộc danh mục / is no event of the registry"
            )
        (records if given.get("check", True) else others).append(body)
    return Look(tuple(records), tuple(others), now)


def run(look: Look, checker: Checker, out: TextIO) -> None:
    """Look at each record and write what is found."""
    _write(out, {"looks at": len(look.records)})  # it runs, so what ends it now is one of the records
    out.flush()
    check = checker(look)
    for record in look.records:
        _write(out, {"at": record.key})
        out.flush()  # whoever reads knows at which record this process ended
        for problem in _problems(check, record):
            _write(out, {"key": record.key, **asdict(problem)})
    _write(out, {"done": len(look.records)})
    out.flush()


def _problems(check: Callable[[RegistryEvent], Iterable[Objection]], record: RegistryEvent) -> Iterator[Objection]:
    found: list[Objection] = []
    try:
        with _CpuLimit(RECORD_CPU_SECONDS):
            for problem in check(record):
                found.append(problem)
                if len(found) >= MAX_PROBLEMS:
                    break
    except _TooLong:
        found.append(
            Objection(
                "",
                f"Bản ghi này tốn hơn {RECORD_CPU_SECONDS:g} giây để xem thử.",
                f"To look at this record takes more than {RECORD_CPU_SECONDS:g} seconds.",
                "Rút gọn bản ghi.",
                "Make the record smaller.",
            )
        )
    except Exception as error:  # whatever it is, the service would meet it again where nobody can mend the record
        said = f"{type(error).__name__}: {error}"[:300]
        found.append(
            Objection(
                "",
                f"Dịch vụ không xử lý được bản ghi này: {said}.",
                f"The service cannot handle this record: {said}.",
                "Sửa bản ghi; nếu không rõ sai ở đâu, báo cho người phát triển.",
                "Correct the record; if nothing seems wrong with it, tell the developers.",
            )
        )
    yield from found


class _CpuLimit:
    """Raises _TooLong inside after so many seconds of this process's CPU, which a busy machine does not use up."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        signal.signal(signal.SIGPROF, self._ring)
        signal.setitimer(signal.ITIMER_PROF, self._seconds)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)

    @staticmethod
    def _ring(number: int, frame: FrameType | None) -> None:
        raise _TooLong


def _limit_process() -> None:
    for kind, most in ((resource.RLIMIT_CPU, PROCESS_CPU_SECONDS), (resource.RLIMIT_AS, PROCESS_MEMORY_BYTES)):
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _write(out: TextIO, value: dict[str, Any]) -> None:
    out.write(json.dumps(value, ensure_ascii=True) + "\n")
