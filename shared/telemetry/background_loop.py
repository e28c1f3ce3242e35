"""A loop beside requests and consumers: one task, watched by its pulse, asked to stop before it is cancelled."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

from shared.telemetry.pulse import Pulse

#: a shorter pause is slept through: watching for the stop would cost more than it
SHORT_PAUSE_SECONDS = 0.02


class BackgroundLoop(ABC):
    """`_run` goes on until `_stopping` is set; `stop` cancels it if it has not ended after `stop_seconds`."""

    def __init__(self, task_name: str, pulse: Pulse, *, stop_seconds: float) -> None:
        self._task_name = task_name
        self._pulse = pulse
        self._stop_seconds = stop_seconds
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._stopping.clear()
        self._task = asyncio.create_task(self._run(), name=self._task_name)
        self._pulse.watch(self._task)

    async def stop(self) -> None:
        self._stopping.set()
        self._pulse.rest()
        if self._task is not None:
            try:
                await asyncio.wait_for(self._task, self._stop_seconds)
            except TimeoutError:
                self._cancelled()

    @abstractmethod
    async def _run(self) -> None: ...

    def _cancelled(self) -> None:  # noqa: B027 - most loops have nothing to say
        """The loop did not end in time and was cancelled."""

    async def _pause(self, seconds: float) -> None:
        """Sleep, but no longer than until the stop."""
        if seconds <= SHORT_PAUSE_SECONDS:
            await asyncio.sleep(seconds)
            return
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return
