"""Every relative link of a page leads to a file of the repository."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def broken(page: Path, text: str) -> list[str]:
    """The targets of a page's relative links that do not exist."""
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    return [target for target in targets if "://" not in target and not (page.parent / target).exists()]


def anchors(text: str) -> set[str]:
    """What a link may name behind `#`: a page's headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def lost(page: Path, text: str) -> list[str]:
    """Links to a heading that its page does not have."""
    named = re.findall(r"\]\(([^)#\s]*\.md)?#([^)\s]+)\)", text)
    pages = [((page.parent / target) if target else page, anchor) for target, anchor in named]
    return [anchor for target, anchor in pages if anchor not in anchors(target.read_text(encoding="utf-8"))]


def test_every_heading_that_a_page_links_to_is_there() -> None:
    found = {str(page.relative_to(ROOT)): lost(page, page.read_text(encoding="utf-8")) for page in PAGES}
    assert {page: targets for page, targets in found.items() if targets} == {}
    text = "[a](restore.md#intake), [b](operating.md#giới-hạn--limits), [c](api.md#no-such-heading)"
    assert lost(ROOT / "docs/runbook.md", text) == ["no-such-heading"], "negative control"


def test_no_link_of_a_page_is_broken() -> None:
    found = {str(page.relative_to(ROOT)): broken(page, page.read_text(encoding="utf-8")) for page in PAGES}
    assert {page: targets for page, targets in found.items() if targets} == {}


def test_a_link_to_nowhere_is_noticed() -> None:
    """Negative control."""
    assert broken(ROOT / "README.md", "[a](docs/api.md) [b](docs/nowhere.md#part) [c](https://x.vn/y)") == [
        "docs/nowhere.md"
    ]


def unlisted(index: str) -> list[str]:
    """Decisions that the list of decisions leaves out, or has under another heading than the record's own."""
    records = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs/decisions").glob("0*.md"))}
    headings = {name: text.partition("\n")[0].removeprefix("# ")[5:] for name, text in records.items()}
    return [name for name, heading in headings.items() if f"| [{name[:4]}]({name}) | {heading} |" not in index]


def test_every_decision_is_listed_under_its_own_heading() -> None:
    index = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    assert unlisted(index) == []
    assert unlisted(index.replace("(0002-", "(0902-")) == ["0002-outbox-relay.md"], "negative control"
    assert unlisted(index.replace("| Rooms of", "| Floors of")) == ["0015-rooms-of-shared.md"], "negative control"
