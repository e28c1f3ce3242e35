"""The committed JSON Schema of an event is its promise: a model may grow optional fields, and nothing else.

A reader ignores fields it does not know; a writer therefore never drops a field and never changes what one holds.
A new enum value is a change that readers notice; it is allowed only where every reader has a default, so it counts as
a break here and needs a new event type. Schemas: https://json-schema.org/draft/2020-12
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

from shared.contract.events import MODELS, EventModel

DIRECTORY = Path(__file__).resolve().parent.parent / "schemas"

#: constraints that narrow what a field may hold
_BOUNDS = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "pattern",
    "multipleOf",
)


class _Generator(GenerateJsonSchema):
    """A default that is written in the model's own type, not the wire's, is left out of the schema without noise."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012


def schema_of(model: type[EventModel]) -> dict[str, Any]:
    """The JSON Schema of the event's body as it is written (serialisation mode: decimals are strings)."""
    schema = model.model_json_schema(mode="serialization", schema_generator=_Generator, ref_template="#/$defs/{model}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{model.TYPE}",
        **schema,
        "required": sorted(schema.get("required", [])),
        "x-topic": model.TOPIC,
    }


def schema_text(model: type[EventModel]) -> str:
    """The file's text."""
    return json.dumps(schema_of(model), ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def file_of(event_type: str, directory: Path = DIRECTORY) -> Path:
    return directory / f"{event_type}.json"


def committed(directory: Path = DIRECTORY) -> dict[str, dict[str, Any]]:
    """Committed schemas by event type."""
    return {path.name.removesuffix(".json"): json.loads(path.read_text()) for path in sorted(directory.glob("*.json"))}


def breaks(models: Mapping[str, type[EventModel]] = MODELS, directory: Path = DIRECTORY) -> list[str]:
    """Every way in which the models break a committed promise; empty if they only grew."""
    found = []
    for event_type, old in committed(directory).items():
        model = models.get(event_type)
        if model is None:
            found.append(f"{event_type}: the event is gone")
        else:
            found += [f"{event_type}: {line}" for line in compare(old, schema_of(model))]
    return found


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Every difference from `old` to `new` that is not purely additive."""
    found = []
    if old.get("x-topic") != new.get("x-topic"):
        found.append(f"the topic changed from {old.get('x-topic')} to {new.get('x-topic')}")
    return [*found, *_compare(old, new, old, new, "", frozenset())]


def _resolve(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    target: Mapping[str, Any] = root["$defs"][str(reference).rpartition("/")[2]]
    return {**target, **{name: value for name, value in schema.items() if name != "$ref"}}


def _options(schema: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The alternatives of a field by their kind: {"string/uuid": …, "null": …}."""
    schema = _resolve(schema, root)
    alternatives = schema.get("anyOf") or schema.get("oneOf") or [schema]
    options = {}
    for alternative in alternatives:
        resolved = _resolve(alternative, root)
        kinds = resolved.get("type", "any")
        for kind in kinds if isinstance(kinds, list) else [kinds]:
            name = f"{kind}/{resolved['format']}" if "format" in resolved else str(kind)
            while name in options:
                name += "+"
            options[name] = resolved
    return options


def _compare(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    old_root: Mapping[str, Any],
    new_root: Mapping[str, Any],
    at: str,
    seen: frozenset[str],
) -> Iterator[str]:
    mark = f"{old.get('$ref')} {new.get('$ref')}"
    if "$ref" in old and mark in seen:
        return  # a recursive model, already compared
    seen |= {mark}
    old_options, new_options = _options(old, old_root), _options(new, new_root)
    if set(old_options) != set(new_options):
        yield f"{at or '/'}: was {_names(old_options)}, is {_names(new_options)}"
    for kind in sorted(set(old_options) & set(new_options)):
        yield from _compare_one(old_options[kind], new_options[kind], old_root, new_root, at, seen)


def _compare_one(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    old_root: Mapping[str, Any],
    new_root: Mapping[str, Any],
    at: str,
    seen: frozenset[str],
) -> Iterator[str]:
    def values(schema: Mapping[str, Any]) -> list[Any] | None:
        return [schema["const"]] if "const" in schema else schema.get("enum")

    old_values, new_values = values(old), values(new)
    if (old_values is None) != (new_values is None) or set(old_values or ()) != set(new_values or ()):
        yield f"{at or '/'}: allowed values were {old_values}, are {new_values}"
    for bound in _BOUNDS:
        if old.get(bound) != new.get(bound):
            yield f"{at or '/'}: {bound} was {old.get(bound)}, is {new.get(bound)}"
    old_fields, new_fields = old.get("properties", {}), new.get("properties", {})
    old_required, new_required = set(old.get("required", ())), set(new.get("required", ()))
    for name in sorted(set(old_fields) - set(new_fields)):
        yield f"{at}/{name}: the field is gone"
    for name in sorted(new_required - old_required):
        yield f"{at}/{name}: the field became required"
    for name in sorted((old_required - new_required) & set(new_fields)):
        yield f"{at}/{name}: the field is no longer always there"
    for name in sorted(set(old_fields) & set(new_fields)):
        yield from _compare(old_fields[name], new_fields[name], old_root, new_root, f"{at}/{name}", seen)
    for inner in ("items", "additionalProperties"):
        before, after = old.get(inner), new.get(inner)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _compare(before, after, old_root, new_root, f"{at}/*", seen)
        elif before != after and not (inner == "additionalProperties" and before is None):
            yield f"{at or '/'}: {inner} was {before}, is {after}"


def _names(options: Mapping[str, Any]) -> str:
    return " or ".join(sorted(options))
