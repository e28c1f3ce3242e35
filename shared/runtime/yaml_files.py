"""What a YAML file that a person wrote must not hold, where something stands in it, and what is written there twice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

import yaml

#: libyaml's: whose scalars are what YAML takes them for, and whose are all texts. A tenth of the time of Python's
TYPED = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
TEXTS = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_INT, _FLOAT, _DAY = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp"
#: not 010, which YAML takes for 8, nor 1:30, which it takes for 90
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_HALF = re.compile("[\ud800-\udfff]")


def typed_loader(body: str) -> Any:
    """The loader whose scalars are what YAML takes them for: libyaml's, or Python's for a text that it refuses.

    libyaml refuses half a character, which we have our own words for, and says less about what else it refuses.
    """
    return TYPED if _libyaml_reads(body) else yaml.SafeLoader


def texts_loader(body: str) -> Any:
    """The same for scalars that are all texts."""
    return TEXTS if _libyaml_reads(body) else yaml.BaseLoader


@lru_cache(maxsize=4)
def _libyaml_reads(body: str) -> bool:
    try:
        for _ in yaml.parse(body, TEXTS):
            pass
    except yaml.YAMLError:
        return False
    return True


def beyond_plain(body: str, max_depth: int) -> Iterator[tuple[int, str]]:
    """What YAML has beyond plain data, and nesting that is too deep, each with its line. Raises yaml.YAMLError.

    Read no further where there is any: it may say something else than is written, or never end.
    """
    depth = 0
    for event in yaml.parse(body, texts_loader(body)):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > max_depth:
                yield line, "lồng quá sâu / is nested too deeply"
                return
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            yield line, "không dùng & và *, hãy viết ra / no anchors and aliases, write it out"
        elif getattr(event, "tag", None):
            yield line, "không dùng !, hãy bỏ / no tags, drop it"


def misread(node: yaml.Node | None) -> Iterator[tuple[int, str]]:
    """Scalars that YAML's own types take for something else than is written, or for nothing, each with its line.

    node: composed by typed_loader, of plain data.
    """
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from misread(item)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield from misread(key)
            else:
                yield key.start_mark.line + 1, "tên mục phải là chữ / the name of a field is a text"
            yield from misread(value)
    elif isinstance(node, yaml.ScalarNode):
        line, text = node.start_mark.line + 1, node.value
        if _HALF.search(text):
            yield line, "có nửa ký tự, hãy gõ lại / it holds half a character, type it again"
        elif (node.tag == _INT and not _WHOLE.fullmatch(text)) or (node.tag == _FLOAT and ":" in text):
            yield line, f"{text[:40]}: ghi số thường như 10 / write a plain number such as 10"
        elif node.tag == _DAY and not _is_day(text):
            yield line, f"{text[:40]}: không phải ngày, ghi như 2026-03-31 / no day, write like 2026-03-31"


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


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
