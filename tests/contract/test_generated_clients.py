"""A stock generator makes a client of each service's document, with a function for every operation."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI

from tests.contract.test_http_documents import operations, served
from tests.generated_client import generate

__all__ = ["served"]


def test_the_generator_understands_the_whole_document(served: tuple[str, FastAPI], tmp_path: Path) -> None:
    name, app = served
    made = generate(app.openapi(), tmp_path, f"{name}_client")
    assert made.warnings == ""
    for _, _, operation in operations(app):
        (tag,) = operation["tags"]
        module = made.operation(tag, operation["operationId"])
        assert callable(module.asyncio_detailed)


@pytest.mark.parametrize("served", ["validator"], indirect=True)
def test_what_it_does_not_understand_is_seen(served: tuple[str, FastAPI], tmp_path: Path) -> None:
    name, app = served
    document = {**app.openapi(), "components": {**app.openapi()["components"], "schemas": {}}}
    assert generate(document, tmp_path, f"{name}_broken_client").warnings
