"""Signs with the current content of the key file: a new file is a new key, without a restart."""

from __future__ import annotations

import base64
from pathlib import Path

from services.intake.audit import trail
from services.intake.audit.domain import Author, Change
from services.intake.receipts import store
from services.intake.receipts.signing import BadKey, SigningKey
from shared.postgres.database import Database
from shared.runtime.clock import Clock
from shared.telemetry.logging import get_logger

log = get_logger()

#: a key file holds one key of 32 bytes
MAX_KEY_FILE_BYTES = 10_000


class Signer:
    """Holds the key of a file; stores its public part in the database before it signs anything."""

    def __init__(self, path: Path | None, database: Database, system_clock: Clock) -> None:
        self._path = path
        self._database = database
        self._clock = system_clock
        self._key: SigningKey | None = None
        self._read: tuple[int, int, int] | None = None  # what identified the file when it was read

    async def key(self) -> SigningKey | None:
        """Return the key to sign with; None if there is none, and the log says why."""
        if self._path is None:
            return None
        try:
            now = self._path.stat()
            seen = (now.st_mtime_ns, now.st_size, now.st_ino)
            if self._key is None or seen != self._read:
                key = read_key(self._path)
                await self._register(key)
                self._key, self._read = key, seen
        except (OSError, BadKey) as error:
            # while the file is replaced it may be missing or half written: keep the key that was read before
            log.warning("The receipt key cannot be read.", action="receipts.key", error=str(error)[:500])
        return self._key

    async def _register(self, key: SigningKey) -> None:
        async with self._database.transaction() as tx:
            now = self._clock.now()
            if await store.register(tx, key.public, now):
                after = {"public_key": base64.b64encode(key.public.raw).decode()}
                author = Author("intake", "first signature", "service")
                await trail.append(tx, author, [Change("created", "receipt_key", key.public.key_id, None, after)], now)


def read_key(path: Path) -> SigningKey:
    """Read the key from a PEM file. Raises BadKey, OSError."""
    with path.open("rb") as file:
        return SigningKey.from_pem(file.read(MAX_KEY_FILE_BYTES))
