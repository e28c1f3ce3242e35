"""Makes a client of a service's OpenAPI document with a stock generator, and imports it."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


class GeneratedClient:
    """The generated package. `warnings`: what the generator could not make sense of."""

    def __init__(self, name: str, warnings: str) -> None:
        self._name = name
        self.warnings = warnings
        self.client = self._module("client")
        self.models = self._module("models")

    def operation(self, tag: str, operation_id: str) -> ModuleType:
        """The module of one operation: `sync_detailed`, `asyncio_detailed`, …"""
        return self._module(f"api.{tag}.{operation_id}")

    def _module(self, path: str) -> ModuleType:
        return importlib.import_module(f"{self._name}.{path}")


def generate(document: dict[str, Any], folder: Path, name: str) -> GeneratedClient:
    """Generate the package `name` in `folder`, which is put on the path of imports."""
    source, config = folder / f"{name}.json", folder / "config.yml"
    source.write_text(json.dumps(document), encoding="utf-8")
    config.write_text("post_hooks: []\n", encoding="utf-8")
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("openapi-python-client")), "generate", "--path", str(source),
            "--output-path", str(folder / name), "--config", str(config), "--meta", "none",
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    sys.path.insert(0, str(folder))
    try:
        said = [line for line in done.stdout.splitlines() if not line.startswith("Generating ")]
        return GeneratedClient(name, "\n".join((*said, done.stderr)).strip())
    finally:
        sys.path.remove(str(folder))
