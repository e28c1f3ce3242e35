"""python -m tests.programs.bench.floor SERVICE migrate | serve."""

import asyncio
import os
import sys
from importlib import import_module

from tests.programs.bench.floor.base import create
from tests.programs.bench.rights import let_create


async def _migrate(service: str, tables: str) -> None:
    await let_create(service)
    await create(os.environ[f"{service.upper()}_DATABASE_URL"], tables)


def main(service: str, action: str) -> int:
    module = import_module(f"tests.programs.bench.floor.{service}")
    if action == "migrate":
        asyncio.run(_migrate(service, module.TABLES))
        return 0
    process, app = module.build()
    process.serve(app)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
