"""When keys were last used: noted in memory and stored now and then, so no request waits for it or writes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from shared.postgres.database import Database, Transaction
from shared.telemetry.logging import get_logger

log = get_logger()

#: a use is stored this long after it was noted, or at an orderly stop; a process that is killed loses what it had noted
FLUSH_SECONDS = 60.0
_STOP_SECONDS = 2

#: stores when keys were last used, by key id, in system time
Save = Callable[[Transaction, Mapping[str, datetime]], Awaitable[None]]


class KeyUses:
    """The last uses of keys that one process has seen and not stored yet."""

    def __init__(self, save: Save) -> None:
        self._save = save
        self._noted: dict[str, datetime] = {}

    def note(self, key_id: str, at: datetime) -> None:
        self._noted[key_id] = at

    async def flush(self, tx: Transaction) -> int:
        """Store what was noted, on a ticker; what cannot be stored stays for the next tick. Returns 0."""
        noted, self._noted = self._noted, {}
        if noted:
            try:
                await self._save(tx, noted)
            except BaseException:
                self._noted = {**noted, **self._noted}
                raise
        return 0

    async def flush_at_stop(self, database: Database) -> None:
        """Store what was noted in a transaction of its own; a stop waits for it two seconds at most."""
        if self._noted:
            try:
                async with asyncio.timeout(_STOP_SECONDS), database.transaction() as tx:
                    await self.flush(tx)
            except Exception as error:
                log.info("Could not write when keys were last used.", action="keys.flush_failed", error=repr(error))
