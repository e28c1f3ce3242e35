"""python -m tests.programs.bench.floor SERVICE migrate | serve."""

import asyncio
import os
import sys
from importlib import import_module

from tests.programs.bench.floor.base import create


def main(service: str, action: str) -> int:
    module = import_module(f"tests.programs.bench.floor.{service}")
    if action == "migrate":
        asyncio.run(create(os.environ[f"{service.upper()}_DATABASE_URL"], module.TABLES))
        return 0
    process, app = module.build()
    process.serve(app)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
