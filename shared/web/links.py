"""Writes into an OpenAPI document which calls go on from an answer: its `links`, from one table of each service.

A client, and whoever tries the service with made-up calls, reads there where an id comes from and what it is good for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Link:
    """Answers of the operations `sources` give each of `targets` its path parameters.

    `parameters`: the parameter's name -> a JSON Pointer into the answer's body (`/items/0/code`), or the path parameter
    of the source's own call that it repeats (`path.kind`). Operations are named by their operationId.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    parameters: Mapping[str, str]


def with_links(table: Iterable[Link]) -> Callable[[dict[str, Any]], None]:
    """What puts these links into a document. It raises ValueError for one that leads from or to nowhere."""
    rows = tuple(table)

    def add(document: dict[str, Any]) -> None:
        operations = {
            operation["operationId"]: (path, operation)
            for path, found in document["paths"].items()
            for operation in found.values()
        }
        for link in rows:
            if unknown := {*link.sources, *link.targets} - operations.keys():
                raise ValueError(f"links name operations that are not served: {', '.join(sorted(unknown))}")
            for target in link.targets:
                if set(re.findall(r"\{(\w+)\}", operations[target][0])) != set(link.parameters):
                    raise ValueError(
                        f"a link to {target} gives {', '.join(link.parameters)}, not what its path asks for"
                    )
            for source in link.sources:
                _add(operations[source][1], link)

    return add


def _add(operation: dict[str, Any], link: Link) -> None:
    parameters = {name: _expression(place) for name, place in link.parameters.items()}
    answers = [
        (status, response)
        for status, response in operation["responses"].items()
        if status.startswith("2") and _JSON in response.get("content", {})
    ]
    if not answers:
        raise ValueError(f"{operation['operationId']} answers with no JSON that a link could read")
    for status, response in answers:
        links = {
            **response.get("links", {}),
            **{target: {"operationId": target, "parameters": parameters} for target in link.targets},
        }
        operation["responses"][status] = response | {"links": links}


def _expression(place: str) -> str:
    """A runtime expression of OpenAPI 3.1."""
    return f"$response.body#{place}" if place.startswith("/") else f"$request.{place}"
