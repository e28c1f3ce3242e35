"""Reads a page as a keyboard and a screen reader depend on it, and names what they would miss.

What only a browser knows (contrast, what is hidden, the order of focus on screen) is not looked at here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = frozenset({"meta", "link", "input", "br", "img", "hr"})
_REFERENCES = ("for", "aria-describedby", "aria-labelledby")


@dataclass
class Element:
    """An element with everything in it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""  # of all that is in it, without what is hidden from readers
    inside: list[Element] = field(default_factory=list)

    def all(self, *tags: str) -> Iterator[Element]:
        for element in self.inside:
            if not tags or element.tag in tags:
                yield element
            yield from element.all(*tags)

    @property
    def name(self) -> str:
        """What a screen reader calls it."""
        images = " ".join(image.attributes.get("alt", "") for image in self.all("img"))
        return (self.attributes.get("aria-label", "") or self.text or images).strip()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].inside.append(element)
        if tag not in _VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in reversed(self.open):
            if element.attributes.get("aria-hidden") == "true":
                return
        for element in self.open:
            element.text += data


def faults(page: str, language: str) -> list[str]:
    """What is wrong with the page, which is in this language; nothing where all is well."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert len(reader.open) == 1, f"<{reader.open[-1].tag}> is not closed"
    found = list(reader.root.all())
    return [*_document(found, language), *_names(found), *_tables(reader.root), *_references(found)]


def _document(found: list[Element], language: str) -> Iterator[str]:
    tags = Counter(element.tag for element in found)
    for tag in ("html", "title", "h1", "main"):
        if tags[tag] != 1:
            yield f"<{tag}>: {tags[tag]} of them"
    if any(element.tag == "html" and element.attributes.get("lang") != language for element in found):
        yield f"<html> does not say lang={language}"
    links = [element for element in found if element.tag == "a"]
    if not links or links[0].attributes.get("href") != "#main":
        yield "the first link does not skip to the content"
    level = 0
    for element in found:
        if element.tag in ("h1", "h2", "h3", "h4"):
            if int(element.tag[1]) > level + 1:
                yield f"<{element.tag}> follows <h{level}>: {element.text.strip()}"
            level = int(element.tag[1])
    if sum(element.attributes.get("aria-current") == "page" for element in found) > 1:
        yield "several places are the current page"


def _names(found: list[Element]) -> Iterator[str]:
    labelled = {element.attributes.get("for") for element in found if element.tag == "label" and element.text.strip()}
    for element in found:
        said = element.attributes
        at = f"<{element.tag}> {said.get('id') or said.get('href') or said.get('class') or ''}".strip()
        if element.tag in ("input", "select", "textarea") and said.get("type") != "hidden":
            if said.get("id") not in labelled and not said.get("aria-label"):
                yield f"{at}: no label"
        elif element.tag in ("a", "button", "title", "h1", "h2", "label", "caption", "th") and not element.name:
            yield f"{at}: no text"
        elif element.tag == "img" and "alt" not in said:
            yield f"{at}: no alt"
        elif (element.tag == "nav" or said.get("role") == "region") and not said.get("aria-label"):
            yield f"{at}: no name"
        if "tabindex" in said and (int(said["tabindex"]) > 0 or (said["tabindex"] == "0" and not element.name)):
            yield f"{at}: out of the order of focus, or a stop without a name"


def _tables(root: Element) -> Iterator[str]:
    for table in root.all("table"):
        captions = [element for element in table.inside if element.tag == "caption"]
        if len(captions) != 1:
            yield "a table has no caption"
        for head in table.all("th"):
            if head.attributes.get("scope") not in ("col", "row", "colgroup", "rowgroup"):
                yield f"<th> {head.text.strip()}: no scope"
        for row in table.all("tr"):
            if row.inside and not any(cell.tag == "th" for cell in row.inside):
                yield f"a row has no head: {' '.join(row.text.split())[:60]}"


def _references(found: list[Element]) -> Iterator[str]:
    ids = Counter(element.attributes["id"] for element in found if "id" in element.attributes)
    yield from (f"id {one} stands {count} times" for one, count in ids.items() if count > 1)
    for element in found:
        named = [one for name in _REFERENCES for one in element.attributes.get(name, "").split()]
        href = element.attributes.get("href", "")
        named += [href[1:]] if href.startswith("#") else []
        yield from (f"<{element.tag}> leads to no element: {one}" for one in named if one not in ids)
