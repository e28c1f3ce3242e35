"""A service's migrations are one chain: where two follow the same one, none can be applied and no start succeeds."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from shared.contract.services import SERVICES
from shared.postgres.migrations import BACKBONE

ROOT = Path(__file__).resolve().parents[4]
#: what databases in use have been made with: the text that was released, for ever
RELEASED = {
    "first": "149439bd9b938aa8",
    "dead_letter_digest": "63574182e8d6555c",
    "operators_hand": "b9222acc17253ef2",
    "deferred_events": "8a738ad3a95db274",
    "access": "4cee4ed4e56a62a1",
    "key_uses": "431ad09f369fc48f",
    "access_by_token": "d5a517f9ddc6c24c",
}
#: steps that a service does not take: intake owns what the others copy
NOT_IN = {"intake": {"access", "key_uses", "access_by_token"}}


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
        scripts = [BACKBONE / f"{name}.sql" for name in re.findall(r'run_backbone\("(\w+)"\)', source)]
        scripts += [file.with_suffix(".sql")] if "run_sql(__file__)" in source else []
        if not file.name.startswith(f"{revision[1]}_") or not scripts or not all(map(Path.exists, scripts)):
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
        (tmp_path / f"{name}.py").write_text(f'revision = "{revision}"\ndown_revision = {follows}\nrun_sql(__file__)\n')
        (tmp_path / f"{name}.sql").touch()
    assert breaks(tmp_path) == ["0002_c.py: follows 0001, but 0002 is before it"]


def edited(folder: Path) -> list[str]:
    """Released steps of the backbone that are not what was released: old databases would differ from new ones."""
    return [
        name
        for name, digest in RELEASED.items()
        if hashlib.sha256((folder / f"{name}.sql").read_bytes()).hexdigest()[:16] != digest
    ]


def test_the_backbones_released_steps_are_never_edited() -> None:
    assert edited(BACKBONE) == []
    assert {path.stem for path in BACKBONE.glob("*.sql")} == set(RELEASED), "add a new step's digest to RELEASED"


def test_an_edited_step_is_noticed(tmp_path: Path) -> None:
    """Negative control."""
    for name in RELEASED:
        (tmp_path / f"{name}.sql").write_bytes((BACKBONE / f"{name}.sql").read_bytes())
    (tmp_path / "first.sql").write_text((BACKBONE / "first.sql").read_text().replace("NOT NULL", "", 1))
    assert edited(tmp_path) == ["first"]


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_takes_each_step_of_the_backbone_once(service: str) -> None:
    folder = ROOT / "services" / service / "migrations" / "versions"
    taken = re.findall(r'run_backbone\("(\w+)"\)', "".join(path.read_text() for path in sorted(folder.glob("*.py"))))
    assert taken == [name for name in RELEASED if name not in NOT_IN.get(service, ())]


def test_a_migration_whose_sql_is_missing_is_noticed(tmp_path: Path) -> None:
    """Negative control: of its own, and of the backbone."""
    for revision, follows, step in (("0001", "None", "run_sql(__file__)"), ("0002", '"0001"', 'run_backbone("none")')):
        text = f'revision = "{revision}"\ndown_revision = {follows}\n{step}\n'
        (tmp_path / f"{revision}_a.py").write_text(text)
    assert [line.partition(":")[0] for line in breaks(tmp_path)] == ["0001_a.py", "0002_a.py"]


def joined_statements(script: str) -> list[str]:
    """Pieces of a script that hold more than one statement: PostgreSQL refuses to prepare them."""
    pieces = (re.sub(r"\$\$.*?\$\$|--[^\n]*", "", piece, flags=re.S) for piece in script.split(";\n\n"))
    return [piece for piece in pieces if ";" in piece.rstrip(" ;\n")]


@pytest.mark.parametrize("service", SERVICES)
def test_the_statements_of_a_script_are_apart(service: str) -> None:
    scripts = [*(ROOT / "services" / service / "migrations" / "versions").glob("*.sql"), *BACKBONE.glob("*.sql")]
    assert {path.name: found for path in scripts if (found := joined_statements(path.read_text()))} == {}


def test_statements_without_an_empty_line_between_them_are_noticed() -> None:
    """Negative control; the body of a function is one statement, and a comment is none."""
    assert joined_statements("DROP TABLE a;\nDROP TABLE b;\n") == ["DROP TABLE a;\nDROP TABLE b;\n"]
    assert joined_statements("DO $$ BEGIN a; b; END $$;\n\n-- c; d\nDROP TABLE a;\n") == []
