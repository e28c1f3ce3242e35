"""Shipped data is loaded before anything is judged by it: trouble is waited out, a changed version is refused."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.postgres.database import Database, Transaction, is_infrastructure
from shared.service.command import database_url
from shared.telemetry.logging import get_logger
from shared.telemetry.readiness import Check

log = get_logger()

RETRY_SECONDS = 1.0

_Loaded = TypeVar("_Loaded")


def load_by_command(load: Callable[[Transaction], Awaitable[_Loaded]]) -> _Loaded:
    """Run an operator's load in a transaction of its own on scoring's database."""

    async def once() -> _Loaded:
        database = Database(database_url("scoring"), pool_size=1, application_name="thongsuot-scoring-load")
        try:
            async with database.transaction() as tx:
                return await load(tx)
        finally:
            await database.close()

    return asyncio.run(once())


class Loader:
    """A background that loads what a service ships once the database answers, and is then done.

    `load` returns what readiness says of it. `refusal`: the error by which it refuses a shipped file.
    """

    def __init__(
        self, name: str, database: Database, load: Callable[[Transaction], Awaitable[str]], refusal: type[Exception]
    ) -> None:
        self._name = name
        self._database = database
        self._load_once = load
        self._refusal = refusal
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._refused = ""
        self._detail = ""

    async def start(self) -> None:
        """Raises the refusal if a shipped file differs from the loaded version of the same name."""
        if not await self._load():
            self._task = asyncio.create_task(self._until_loaded(), name=f"scoring {self._name}")

    async def stop(self) -> None:
        self._stopping.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    def checks(self) -> dict[str, Check]:
        """Nothing is judged by what is not loaded."""
        if self._refused:
            return {self._name: Check(ok=False, detail=self._refused[:400])}
        if self._task is not None and not self._task.done():
            return {self._name: Check(ok=False, detail="wait for the database")}
        return {self._name: Check(ok=True, detail=self._detail)}

    async def _until_loaded(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), RETRY_SECONDS)
            try:
                if await self._load():
                    return
            except self._refusal as error:
                self._refused = str(error)
                log.critical(
                    "A shipped file cannot be loaded.", action="reference.refused", what=self._name, error=str(error)
                )
                return

    async def _load(self) -> bool:
        try:
            async with self._database.transaction() as tx:
                detail = await self._load_once(tx)
        except Exception as error:
            if not is_infrastructure(error):
                raise
            log.warning(
                "Shipped files wait for the database.",
                action="reference.waiting",
                what=self._name,
                error=repr(error)[:500],
            )
            return False
        self._detail = detail
        return True
