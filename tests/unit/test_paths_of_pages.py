"""Every path that the pages about the tree name is in the tree: a module that moves takes its pages along."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.contract.services import SERVICES
from tests.architecture.boundaries import ROOMS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
ARCHITECTURE = (DOCS / "architecture.md").read_text(encoding="utf-8")
_TOP = r"(?:services|shared|deploy|tests|docs|scripts)/"
#: what a diff creates is in the tree only where it has been applied
_CREATED = re.compile(r"^\+\+\+ b/(\S+)$", re.M)


def paths(text: str) -> set[str]:
    """What looks like a path of the tree; `<…>` and `{…}` stand for names that the reader puts in."""
    return {found.rstrip("/.") for found in re.findall(rf"(?<![\w/.{{<-])(?:[ab]/)?({_TOP}[\w./{{}}<>-]*)", text)}


def missing(text: str) -> list[str]:
    """The named paths that do not exist."""
    created = {path for part in text.split("new file mode")[1:] for path in _CREATED.findall(part)[:1]}
    return sorted(path for path in paths(text) - created if not re.search(r"[<{]", path) and not (ROOT / path).exists())


@pytest.mark.parametrize("page", ["architecture.md", "how-to-add.md"])
def test_every_path_of_a_page_is_in_the_tree(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    assert len(paths(text)) > 10
    assert missing(text) == []


def test_a_path_that_leads_nowhere_is_noticed() -> None:
    """Negative control."""
    text = "`services/intake/main.py`, `shared/nowhere.py`; services/<name>/api.py, [x](../shared/web) and tests/gone/."
    assert missing(text) == ["shared/nowhere.py", "tests/gone"]
    diff = "new file mode 100644\n--- /dev/null\n+++ b/docs/new.md\n+++ b/docs/gone.md\n"
    assert missing(diff) == ["docs/gone.md"]


def rooms_told(text: str) -> list[tuple[str, str]]:
    """Room and sentence of each row of the table of shared/, in order."""
    return re.findall(r"^\| `shared/(\w+)/` \| (.+) \|$", text, re.M)


def rooms_there() -> list[tuple[str, str]]:
    """Each room of the tree, the lowest first, with the first line of its docstring."""
    inits = [(room, ROOT / "shared" / room / "__init__.py") for room in ROOMS]
    return [
        (room, init.read_text(encoding="utf-8").splitlines()[0].strip('"')) for room, init in inits if init.exists()
    ]


def test_the_rooms_of_shared_are_told_as_they_are() -> None:
    assert rooms_told(ARCHITECTURE) == rooms_there()


def test_a_room_told_otherwise_is_noticed() -> None:
    """Negative control."""
    changed = ARCHITECTURE.replace("| `shared/web/` |", "| `shared/website/` |")
    assert rooms_told(changed) != rooms_there()


def rooms_of_services(text: str) -> dict[str, str]:
    return dict(re.findall(r"^\| `(services/\w+/\w+)/` \| (.+) \|$", text, re.M))


def test_every_room_of_a_service_is_told_as_it_is() -> None:
    there = {
        init.parent.relative_to(ROOT).as_posix(): init.read_text(encoding="utf-8").splitlines()[0].strip('"')
        for service in SERVICES
        for init in (ROOT / "services" / service).glob("*/__init__.py")
    }
    assert rooms_of_services(ARCHITECTURE) == there
    assert rooms_of_services(ARCHITECTURE.replace("| `services/", "| `")) != there, "negative control"
    assert rooms_of_services(ARCHITECTURE.replace("The rules of a form", "Forms")) != there, "negative control"


def test_the_picture_fits_a_terminal() -> None:
    for page in ("architecture.md",):
        for block in re.findall(r"```\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.S):
            assert [line for line in block.splitlines() if len(line) > 80] == []
