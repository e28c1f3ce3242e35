"""How a connection to PostgreSQL is made: to its end, also when whoever asked for it is cancelled meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

#: what a cancelled caller waits for a connection under way, so that it can be closed in order
CANCELLED_PATIENCE_SECONDS = 2.0


async def connect(url: str | None = None, **arguments: Any) -> asyncpg.Connection:
    """`asyncpg.connect(url, **arguments)` that leaves nothing behind when it is cancelled.

    asyncpg cancelled between its first packet and PostgreSQL's answer leaves a future with an exception that nobody
    retrieves, which asyncio then logs as an error of nowhere.
    """
    attempt = asyncio.ensure_future(asyncpg.connect(url, **arguments))
    try:
        return await asyncio.shield(attempt)
    except asyncio.CancelledError:
        try:
            await asyncio.wait({attempt}, timeout=CANCELLED_PATIENCE_SECONDS)
        finally:
            if not attempt.done():
                attempt.cancel()
            elif not attempt.cancelled() and attempt.exception() is None:
                attempt.result().terminate()
        raise
