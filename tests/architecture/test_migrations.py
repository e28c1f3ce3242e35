"""Each service's migrations are one line of steps: two with one number would stop every service at its start."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = sorted(path.parent.parent.name for path in ROOT.glob("services/*/migrations/versions"))


def breaks(folder: Path) -> list[str]:
    """Where the line of migrations in `folder` is broken."""
    found: list[str] = []
    before: str | None = None
    for path in sorted(folder.glob("[0-9]*.py")):
        text = path.read_text(encoding="utf-8")
        revision = re.search(r'^revision = "(\w+)"', text, re.M)
        down = re.search(r'^down_revision = (?:"(\w+)"|None)', text, re.M)
        if revision is None or down is None:
            found.append(f"{path.name}: no revision")
            continue
        if revision[1] != path.name[:4]:
            found.append(f"{path.name}: its revision is {revision[1]}")
        if down[1] != before:
            found.append(f"{path.name}: follows {down[1]}, not {before}")
        before = revision[1]
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_the_migrations_of_a_service_are_one_line(service: str) -> None:
    assert breaks(ROOT / "services" / service / "migrations" / "versions") == []


def test_two_of_one_number_are_seen(tmp_path: Path) -> None:
    for name, down in (("0001_first", "None"), ("0002_one", '"0001"'), ("0002_two", '"0001"')):
        (tmp_path / f"{name}.py").write_text(f'revision = "{name[:4]}"\ndown_revision = {down}\n', encoding="utf-8")
    assert breaks(tmp_path) == ["0002_two.py: follows 0001, not 0002"]
