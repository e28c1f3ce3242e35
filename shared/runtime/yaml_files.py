"""Where something stands in a YAML file that a person wrote, and what is written there twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import yaml


def line_of(node: yaml.Node | None, place: Sequence[str | int]) -> int:
    """The line (from 1) of the value at this place, or of the nearest part that holds it."""
    for part in place:
        inner: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            inner = next((value for key, value in node.value if key.value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            inner = node.value[part]
        if inner is None:
            break
        node = inner
    return 1 if node is None else node.start_mark.line + 1


def written_twice(node: yaml.Node | None, place: str = "") -> Iterator[tuple[str, int]]:
    """Keys written twice, of which YAML readers silently take the last: (a.dotted.place, line)."""
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from written_twice(item, f"{place}.{number}".removeprefix("."))
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        here = f"{place}.{key.value}".removeprefix(".")
        if key.value in seen:
            yield here, key.start_mark.line + 1
        seen.add(key.value)
        yield from written_twice(value, here)
