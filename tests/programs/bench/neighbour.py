"""Measures the answers to a well-behaved agency beside a hostile one, on one intake with its default limits.

Each kind of hostility follows a quiet period. The hostile agency is a separate process and keeps its pace whatever
the answers are.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median
from urllib.parse import urlsplit

from deploy.local.calls import call
from deploy.local.options import ROOT
from tests.programs.bench.rounds import percentile
from tests.programs.bench.systems import System

PACE_PER_SECOND = 40
NEIGHBOUR_PER_SECOND = 50
_BODY_BYTES = 256 * 1024
#: submissions of the agency that reads its list: a page of a thousand
_ROWS = 1000


@dataclass
class Beside:
    """How long a neighbour waits for answers, seconds: p99 of each round, without and beside the hostile agency."""

    quiet: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)  # the statuses that the hostile agency got

    @property
    def p99_quiet(self) -> float:
        return median(self.quiet)

    @property
    def p99_beside(self) -> float:
        return median(self.beside)


class Connection:
    """One kept-alive connection; requests one after the other."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        self._key = key
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: bytes = b"", key: str = "") -> int:
        """Send and read the whole answer; return its status."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {self._key}\r\n"
        if method == "POST":
            head += f"Idempotency-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"\r\n" + body)
        try:
            await writer.drain()
            lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
            length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
            await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            return 0
        if b"connection: close" in lines:
            self.close()
        return int(lines[0].split()[1])

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def unknown_members() -> bytes:
    """Return 256 KiB of members that no report has."""
    members = b",".join(b'"a%d":0' % number for number in range(23_800))
    return b"{" + members[: _BODY_BYTES - 2].rpartition(b",")[0] + b"}"


async def paced(per_second: float, seconds: float, ask: Callable[[int], asyncio.Future[None]]) -> None:
    """Send requests at a fixed pace whatever the answers; end when all are answered."""
    begun = time.monotonic()
    asked = []
    for number in range(int(per_second * seconds)):
        await asyncio.sleep(max(0.0, begun + number / per_second - time.monotonic()))
        asked.append(ask(number))
    await asyncio.gather(*asked)


async def hostile(kind: str, url: str, key: str, seconds: float) -> Counter[int]:
    """Send at the pace on up to 16 connections; return the answers."""
    answers: Counter[int] = Counter()
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(16):
        free.put_nowait(Connection(url, key))
    body = unknown_members()

    async def one(number: int) -> None:
        connection = await free.get()
        try:
            if kind == "refused":
                answers[await connection.ask("POST", "/v1/submissions", body, f"h-{number}")] += 1
            else:
                answers[await connection.ask("GET", f"/v1/submissions?limit={_ROWS}")] += 1
        finally:
            free.put_nowait(connection)

    with suppress(TimeoutError):  # a request without an answer by then gets none
        async with asyncio.timeout(seconds):
            await paced(PACE_PER_SECOND, seconds, lambda number: asyncio.ensure_future(one(number)))
    return answers


async def neighbour(url: str, key: str, report: Callable[[int], bytes], seconds: float, run: str) -> list[float]:
    """Send small reports; the seconds until each answer, from the moment it was due. Raises if one is refused."""
    waits: list[float] = []
    refused: Counter[int] = Counter()
    free = [Connection(url, key) for _ in range(8)]

    async def one(number: int) -> None:
        due = time.monotonic()
        connection = free.pop() if free else Connection(url, key)
        status = await connection.ask("POST", "/v1/submissions", report(number), f"{run}-{number}")
        waits.append(time.monotonic() - due)
        free.append(connection)
        if status != 201:
            refused[status] += 1

    await paced(NEIGHBOUR_PER_SECOND, seconds, lambda number: asyncio.ensure_future(one(number)))
    if refused:
        raise RuntimeError(
            f"the neighbour was refused: {dict(refused)}; its waits: p99 {percentile(waits, 0.99):.3f} s"
        )
    return waits


def measure(
    system: System, keys: dict[str, str], report: Callable[[str, int], bytes], rounds: int, seconds: float
) -> dict[str, Beside]:
    """By kind of hostility ("refused", "pages"). `report` makes a small good report of an agency."""
    system.only("intake")
    url = system.stack.url("intake")
    _, *owing = keys  # the first is the province, which owes nothing
    hostiles, neighbours = owing[:2], iter(owing[2:])  # each part another: an obligation takes 200 versions
    run = f"{time.time():.0f}"

    def neighbours_p99(part: str) -> float:
        quiet_one = next(neighbours)
        waits = call(lambda: neighbour(url, keys[quiet_one], _numbered(report, quiet_one, part), seconds, part))
        return percentile(waits, 0.99)

    call(lambda: _fill(url, keys[hostiles[1]], lambda number: report(hostiles[1], number), run))
    neighbours_p99(f"{run}-warm")
    found = {"refused": Beside(), "pages": Beside()}
    for number in range(rounds):
        for kind, agency in zip(found, hostiles, strict=True):
            found[kind].quiet.append(neighbours_p99(f"{run}-{number}-{kind}-quiet"))
            command = [
                sys.executable,
                "-m",
                "tests.programs.bench.neighbour",
                kind,
                url,
                keys[agency],
                f"{seconds + 2}",
            ]
            child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            try:
                found[kind].beside.append(neighbours_p99(f"{run}-{number}-{kind}-beside"))
                said, _ = child.communicate(timeout=60 + seconds)
            finally:
                child.kill()
            found[kind].answers.update({int(status): count for status, count in json.loads(said).items()})
    return found


def _numbered(report: Callable[[str, int], bytes], agency: str, part: str) -> Callable[[int], bytes]:
    """Reports whose content is new in each part."""
    begin = zlib.crc32(part.encode())
    return lambda number: report(agency, begin + number)


async def _fill(url: str, key: str, report: Callable[[int], bytes], run: str) -> None:
    """Store a page of submissions, at a pace within the allowance."""
    connection = Connection(url, key)
    for number in range(_ROWS):
        await connection.ask("POST", "/v1/submissions", report(number), f"{run}-fill-{number}")
        await asyncio.sleep(0.005)
    connection.close()


if __name__ == "__main__":
    asked, at, with_key, for_seconds = sys.argv[1:]
    print(json.dumps(asyncio.run(hostile(asked, at, with_key, float(for_seconds)))))
