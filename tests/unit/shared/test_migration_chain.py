"""A service's migrations are one chain: where two follow the same one, none can be applied and no start succeeds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.contract.services import SERVICES

ROOT = Path(__file__).resolve().parents[3]


def breaks(folder: Path) -> list[str]:
    """Each migration that does not follow the one before it, or whose file has another number or no SQL."""
    found = []
    before = None
    for file in sorted(folder.glob("[0-9]*.py")):
        source = file.read_text()
        revision = re.search(r'^revision = "(\w+)"$', source, re.M)
        follows = re.search(r'^down_revision = (?:"(\w+)"|None)$', source, re.M)
        if revision is None or follows is None:
            found.append(f"{file.name}: has no revision")
            continue
        if not file.name.startswith(f"{revision[1]}_") or not file.with_suffix(".sql").exists():
            found.append(f"{file.name}: is revision {revision[1]}, or its SQL is missing")
        if follows[1] != before:
            found.append(f"{file.name}: follows {follows[1]}, but {before} is before it")
        before = revision[1]
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_the_migrations_of_a_service_are_one_chain(service: str) -> None:
    folder = ROOT / "services" / service / "migrations" / "versions"
    assert list(folder.glob("[0-9]*.py"))
    assert not breaks(folder)


def test_two_that_follow_the_same_one_are_noticed(tmp_path: Path) -> None:
    """Negative control: what two changes make that land one after the other."""
    for name, revision, follows in (
        ("0001_a", "0001", "None"),
        ("0002_b", "0002", '"0001"'),
        ("0002_c", "0002", '"0001"'),
    ):
        (tmp_path / f"{name}.py").write_text(f'revision = "{revision}"\ndown_revision = {follows}\n')
        (tmp_path / f"{name}.sql").touch()
    assert breaks(tmp_path) == ["0002_c.py: follows 0001, but 0002 is before it"]
