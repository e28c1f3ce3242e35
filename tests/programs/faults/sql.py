"""Runs one statement on one database, without the services; for faults made by SQL."""

from __future__ import annotations

from typing import Any

import asyncpg


async def execute(url: str, statement: str, *values: Any) -> int:
    """Run it; return the first column of the first row as a number, 0 without a row."""
    connection = await asyncpg.connect(url, timeout=20)
    try:
        found = await connection.fetchval(statement, *values)
        return int(found or 0)
    finally:
        await connection.close()
