"""A report that may cost much is judged in a process beside, which can be ended without harm to anything else.

Its CPU is limited by the kernel, so the limit holds whatever the reason, and the event loop is never kept waiting.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from services.validator.domain import Overran, Overrun
from services.validator.judge_process import HEADER, PAGE_BYTES, Answer, Order, place_in
from shared.contract.events import Tier
from shared.runtime.trouble import InfrastructureTrouble
from shared.telemetry.logging import get_logger

log = get_logger()

#: what it runs
JUDGE = "services.validator.judge_process"

_ROOT = Path(__file__).parents[2]
#: nothing secret is handed on
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")
#: forms and reference tables that the process keeps
_KNOWN = 200
#: a process that has not answered for so long by the clock, beside its CPU, hangs: a busy machine is far from it
_HANGS_SECONDS = 60.0

#: the text of a form, or of a reference table, by its registry key
StoredText = Callable[[str], Awaitable[str]]


class JudgeProcess:
    """One process, begun when it is first needed and again after it ended; judges one report at a time."""

    def __init__(self, module: str = JUDGE) -> None:
        self._module = module
        self._process: Process | None = None
        self._beginning: asyncio.Task[None] | None = None
        self._page: mmap.mmap | None = None  # where it says what it judges
        self._known: set[str] = set()  # the keys of those that the process has
        self._lock = asyncio.Lock()
        self._closed = False

    @property
    def ready(self) -> bool:
        """Whether it runs; `wake` makes it so."""
        return self._process is not None and self._process.returncode is None

    def wake(self) -> None:
        """Let it begin; nobody waits for that."""
        if not (self._closed or self.ready) and (self._beginning is None or self._beginning.done()):
            self._beginning = asyncio.create_task(self._begin(), name="judging process")

    @property
    def place(self) -> Overrun:
        """What it judges, or judged last. It has judged something."""
        assert self._page is not None
        return place_in(self._page)

    async def judge(
        self,
        name: str,
        report: bytes,
        seconds: float,
        text: StoredText,
        references: Sequence[str] = (),
        tiers: Mapping[Tier, float] | None = None,
    ) -> Answer:
        """Judge the JSON of a submission by the form `name` and reference tables; begins the process if need be.

        Raises Overran where it takes more than `seconds` of CPU, or a tier more than its own of `tiers`,
        ChildProcessError where the process ended otherwise, InfrastructureTrouble where it cannot begin.
        """
        async with self._lock:
            process = await self._running()
            order = Order(name, None, report, seconds, references=list(references), tiers=dict(tiers or {}))
            if len(self._known) + len(references) >= _KNOWN:
                order.forget = True
                self._known.clear()
            if name not in self._known:
                order.form = await text(name)
                self._known.add(name)
            for key in references:
                if key not in self._known:
                    order.tables[key] = await text(key)
                    self._known.add(key)
            try:
                async with asyncio.timeout(seconds + _HANGS_SECONDS):
                    return await _ask(process, order)
            except (asyncio.IncompleteReadError, ConnectionError):
                self._process = None
                code = await process.wait()
                if code == -signal.SIGPROF:
                    raise Overran(self.place) from None
                raise ChildProcessError(f"the process that judged a report ended with {code}") from None
            except TimeoutError:
                await self._end()
                raise ChildProcessError("the process that judged a report did not answer") from None
            except BaseException:
                await self._end()  # stopped: its answer would be taken for the next one's
                raise

    async def close(self) -> None:
        """End the process; none begins again."""
        self._closed = True
        if self._beginning is not None:
            self._beginning.cancel()
            await asyncio.wait([self._beginning])
        await self._end()

    async def _begin(self) -> None:
        try:
            async with self._lock:
                await self._running()
        except (InfrastructureTrouble, ChildProcessError) as error:
            log.warning("Cannot start a process for large reports.", action="judging.no_process", error=repr(error))

    async def _running(self) -> Process:
        if self._closed:
            raise ChildProcessError("the service stops")
        if self._process is not None and self._process.returncode is None:
            return self._process
        self._known.clear()
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        try:
            with tempfile.TemporaryFile() as file:
                file.truncate(PAGE_BYTES)
                page = mmap.mmap(file.fileno(), PAGE_BYTES)
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    self._module,
                    str(file.fileno()),
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=DEVNULL,
                    env=environment | {"PYTHONPATH": str(_ROOT)},
                    pass_fds=[file.fileno()],
                )
        except OSError as error:
            raise InfrastructureTrouble(f"no process to judge large reports can begin: {error!r}") from error
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_HANGS_SECONDS):
                await process.stdout.readexactly(HEADER.size)
        except BaseException as error:
            await _kill(process)
            if isinstance(error, Exception):
                raise InfrastructureTrouble(f"a process to judge large reports did not begin: {error!r}") from error
            raise
        self._process, self._page = process, page
        log.info("Started a process for large reports.", action="judging.process_begun", pid=process.pid)
        return process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await _kill(process)


async def _kill(process: Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


async def _ask(process: Process, order: Order) -> Answer:
    assert process.stdin is not None
    assert process.stdout is not None
    body = msgspec.msgpack.encode(order)
    process.stdin.write(HEADER.pack(len(body)) + body)
    await process.stdin.drain()
    (size,) = HEADER.unpack(await process.stdout.readexactly(HEADER.size))
    return msgspec.msgpack.decode(await process.stdout.readexactly(size), type=Answer)
