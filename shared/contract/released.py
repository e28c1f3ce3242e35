"""Every field of every event that was ever released, frozen in one file beside the schemas: it is extended, never cut.

Model and schema file may be edited together and still agree; what was released once stays here. The file ends with its
own digest, so an edit by hand is found, and only `python -m deploy.contracts write` extends it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shared.contract.events import MODELS, EventModel
from shared.contract.events.schemas import DIRECTORY, schema_of

FILE = DIRECTORY / "released.txt"
HEAD = "# Released fields of all events; extended by `python -m deploy.contracts write`, never edited.\n"
DIGEST = "# sha256 "

#: (event type, JSON Pointer of the field; `*` for what a list or a map holds) -> what it holds, and whether always
Fields = Mapping[tuple[str, str], str]

_NO_PROMISE = frozenset({"title", "description", "default", "examples", "$defs", "$ref"})
_SHAPE = frozenset({"properties", "required", "items", "additionalProperties", "anyOf", "oneOf", "type"})


def fields_of(models: Mapping[str, type[EventModel]] = MODELS) -> Fields:
    """The fields as the models write them now."""
    found: dict[tuple[str, str], str] = {}
    for event_type, model in models.items():
        schema = schema_of(model)
        found[event_type, ""] = f"object on {model.TOPIC}"
        for path, holds in _fields(schema, schema, "", frozenset()):
            before = found.get((event_type, path), holds)  # where alternatives have a field of the same name
            found[event_type, path] = holds if before == holds else " | ".join(sorted((before, holds)))
    return found


def read(file: Path | None = None) -> Fields:
    """The released fields. Raises ValueError where the file was edited by hand or cut."""
    lines = (file or FILE).read_text(encoding="utf-8").splitlines(keepends=True)
    body, last = lines[:-1], lines[-1] if lines else ""
    if last.strip() != DIGEST + _digest(body):
        raise ValueError("it was edited by hand, or cut: its digest does not fit")
    found = {}
    for line in body[1:]:
        event_type, path, holds = line.rstrip("\n").split("\t")
        found[event_type, path] = holds
    return found


def text_of(fields: Fields) -> str:
    """The file's text."""
    rows = [f"{event_type}\t{path}\t{holds}\n" for (event_type, path), holds in sorted(fields.items())]
    body = [HEAD, *rows]
    return "".join(body) + DIGEST + _digest(body) + "\n"


def extended_text(models: Mapping[str, type[EventModel]] = MODELS, file: Path | None = None) -> str:
    """What was released, and what has come since."""
    try:
        released = read(file)
    except (OSError, ValueError):
        released = {}
    return text_of({**fields_of(models), **released})


def breaks(models: Mapping[str, type[EventModel]] = MODELS, file: Path | None = None) -> list[str]:
    """Every way in which the models do not keep what was released."""
    try:
        released = read(file)
    except (OSError, ValueError) as error:
        return [f"{(file or FILE).name}: {error}"]
    now = fields_of(models)
    found = []
    for (event_type, path), holds in released.items():
        if (event_type, path) not in now:
            found.append(f"{event_type}: {path or '/'} was released and is gone")
        elif now[event_type, path] != holds:
            found.append(f"{event_type}: {path or '/'} was released as {holds}, is {now[event_type, path]}")
    for (event_type, path), holds in now.items():
        parent = (event_type, path.rpartition("/")[0])
        if (event_type, path) not in released and parent in released and holds.startswith("always "):
            found.append(f"{event_type}: {path} is new and required, so what was released before lacks it")
    return found


def _digest(body: list[str]) -> str:
    return hashlib.sha256("".join(body).encode()).hexdigest()


def _fields(
    schema: Mapping[str, Any], root: Mapping[str, Any], at: str, seen: frozenset[str]
) -> Iterator[tuple[str, str]]:
    for alternative in _alternatives(schema, root):
        reference = alternative.get("$ref", "")
        if reference and reference in seen:
            continue  # a recursive model, already described
        inner = seen | {reference} if reference else seen
        always = set(alternative.get("required", ()))
        for name, field in alternative.get("properties", {}).items():
            how = "always" if name in always else "maybe"
            yield f"{at}/{name}", f"{how} {_kinds(field, root)}"
            yield from _fields(field, root, f"{at}/{name}", inner)
        for held in (alternative.get("items"), alternative.get("additionalProperties")):
            if isinstance(held, Mapping):
                yield f"{at}/*", _kinds(held, root)
                yield from _fields(held, root, f"{at}/*", inner)


def _alternatives(schema: Mapping[str, Any], root: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The schemas a value may have, references followed; `$ref` stays in them, to know a model again."""
    if "$ref" in schema:
        target = root["$defs"][str(schema["$ref"]).rpartition("/")[2]]
        schema = {**target, **schema}
    choices = schema.get("anyOf") or schema.get("oneOf")
    return [alternative for choice in choices for alternative in _alternatives(choice, root)] if choices else [schema]


def _kinds(schema: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    """What a field may hold, with its formats, allowed values and bounds."""
    return " or ".join(sorted(_kind(alternative) for alternative in _alternatives(schema, root)))


def _kind(schema: Mapping[str, Any]) -> str:
    limits = {
        name: sorted(value, key=str) if name == "enum" else value
        for name, value in sorted(schema.items())
        if name not in _NO_PROMISE | _SHAPE and not name.startswith("x-")
    }
    if schema.get("additionalProperties") is False:
        limits["additionalProperties"] = False
    kind = str(schema.get("type", "any"))
    return f"{kind} {json.dumps(limits, ensure_ascii=False, sort_keys=True)}" if limits else kind
