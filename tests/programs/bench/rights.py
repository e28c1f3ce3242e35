"""Lets the two systems beside ours create their tables where another role owns the database."""

from __future__ import annotations

import os

import asyncpg


async def let_create(service: str) -> None:
    """Grant the service's role the right to create tables, if its database belongs to a role of its own.

    Reads SERVICE_OWNER_DATABASE_URL, which `deploy.local` sets for services with append-only tables.
    """
    upper = service.upper()
    owner = os.environ.get(f"{upper}_OWNER_DATABASE_URL")
    if not owner:
        return
    role = await _role(os.environ[f"{upper}_DATABASE_URL"])
    connection = await asyncpg.connect(owner)
    try:
        await connection.execute(f'GRANT USAGE, CREATE ON SCHEMA public TO "{role}"')
    finally:
        await connection.close()


async def _role(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval("SELECT current_user"))
    finally:
        await connection.close()
