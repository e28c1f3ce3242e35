"""Every answer, body and problem in a service's document has an example, and each example keeps its own schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from jsonschema_rs import Draft202012Validator

from shared.web.errors import KINDS
from shared.web.examples import UNKNOWN, example_of
from tests.contract.test_http_documents import operations, served

__all__ = ["served"]


def shown(app: FastAPI) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where it stands, and the media type object, of every JSON body and answer."""
    for method, path, operation in operations(app):
        contents = [("body", operation.get("requestBody", {}).get("content", {}))]
        contents += [(status, response.get("content", {})) for status, response in operation["responses"].items()]
        for place, content in contents:
            for media_type, found in content.items():
                if media_type in ("application/json", "application/problem+json"):
                    yield f"{method} {path} {place}", found


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def faults(document: dict[str, Any], schema: dict[str, Any], value: Any) -> list[str]:
    # the document stands beside the schema, so that its references lead somewhere
    whole = {**schema, "components": document["components"]}
    return [error.message for error in Draft202012Validator(whole, validate_formats=True).iter_errors(value)]


def test_every_answer_and_body_has_an_example_that_keeps_its_schema(served: tuple[str, FastAPI]) -> None:
    _, app = served
    document = app.openapi()
    for place, content in shown(app):
        if "examples" in content:
            names = [value["$ref"].rpartition("/")[2] for value in content["examples"].values()]
            assert names, place
            examples = [document["components"]["examples"][name]["value"] for name in names]
        else:
            examples = [content["example"]]
        for example in examples:
            assert faults(document, content["schema"], example) == [], place
            assert UNKNOWN not in list(texts(example)), (
                f"{place}: say in shared/web/examples.py what such a field holds"
            )


def test_every_problem_is_shown_with_its_cure(served: tuple[str, FastAPI]) -> None:
    _, app = served
    examples = app.openapi()["components"]["examples"]
    assert set(examples) == set(KINDS)
    for slug, example in examples.items():
        document = example["value"]
        assert document["type"] == f"/problems/{slug}"
        assert all(document[name] for name in ("detail_vi", "detail_en")), slug


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}},
        {"type": "string", "enum": ["x"]},
        {"type": "string", "format": "date-time"},
    ],
)
def test_an_example_that_breaks_its_schema_is_seen(schema: dict[str, Any]) -> None:
    document: dict[str, Any] = {"components": {}}
    assert faults(document, schema, example_of(schema, {})) == []
    assert faults(document, schema, {"a": "text"} if schema["type"] == "object" else "yesterday")
