"""python -m tests.programs.bench.conventional SERVICE migrate | serve."""

import asyncio
import os
import sys
from importlib import import_module

import uvicorn
from sqlalchemy.ext.asyncio import create_async_engine

from tests.programs.bench.conventional.base import Base, engine_url
from tests.programs.bench.rights import let_create


async def _create(service: str) -> None:
    await let_create(service)
    engine = create_async_engine(engine_url(service))
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()


def main(service: str, action: str) -> int:
    app = import_module(f"tests.programs.bench.conventional.{service}").build()
    if action == "migrate":
        asyncio.run(_create(service))
        return 0
    upper = service.upper()
    uvicorn.run(
        app.api,
        host=os.environ[f"{upper}_HOST"],
        port=int(os.environ[f"{upper}_PORT"]),
        access_log=False,
        log_level="warning",
        backlog=2048,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
