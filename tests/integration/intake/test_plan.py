"""A plan shows what files would change, and is applied to that state of the registry or not at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from services.intake.registry.commands import registry
from tests.integration.intake import rig
from tests.integration.intake.rig import load, rows
from tests.integration.intake.test_registry import WHY
from tests.unit.intake.test_registry_files import AGENCIES, REGIME, write

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(database_of_intake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Give the command `registry`: its exit code, and what it says."""
    monkeypatch.setenv("INTAKE_DATABASE_URL", database_of_intake)
    # the neighbours' processes are another test's matter
    monkeypatch.setenv("INTAKE_CHECKS_OFF", "validator,scoring,notifier")

    def given(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = registry(arguments)
        said = capsys.readouterr()
        return code, said.out + said.err

    return given


def keys_of(url: str) -> list[str]:
    return [key for (key,) in asyncio.run(rows(url, "SELECT key FROM registry ORDER BY key"))]


def test_a_plan_changes_nothing_and_applies_what_it_showed(run: Run, database_of_intake: str, tmp_path: Path) -> None:
    folder, plan = write(tmp_path / "files", agencies=AGENCIES, regimes__ktxh=REGIME), tmp_path / "plan.json"
    code, said = run("plan", str(folder), "--out", str(plan))
    assert code == 0, said
    assert plan.stat().st_mode & 0o777 == 0o600, "it may hold contacts"
    assert "+ regime/KTXH/1  Kinh tế – xã hội" in said
    assert "KTXH/1: 1 cơ quan phải nộp từ kỳ" in said
    assert "1 agencies owe it from period" in said
    assert keys_of(database_of_intake) == []
    (folder / "agencies.yaml").write_text("agencies: []")  # what was planned is applied, whatever the files are now
    code, said = run("apply", str(plan), *WHY, "--json")
    assert (code, json.loads(said.splitlines()[-1] if not said.startswith("{") else said.splitlines()[0])["new"]) == (
        0, {"agency": 2, "regime": 1},
    )  # fmt: skip
    assert keys_of(database_of_intake) == ["agency/H99", "agency/H99.01", "regime/KTXH/1"]
    code, said = run("plan", str(write(folder, agencies=AGENCIES.replace("Sở Tài chính", "Sở Tài chính mới"))))
    assert '    name: "Sở Tài chính" → "Sở Tài chính mới"' in said
    assert "unchanged: agency 1, regime 1" in said


def test_a_plan_is_refused_when_the_registry_has_moved(run: Run, database_of_intake: str, tmp_path: Path) -> None:
    folder, plan = write(tmp_path / "files", agencies=AGENCIES), tmp_path / "plan.json"
    assert run("plan", str(folder), "--out", str(plan))[0] == 0
    asyncio.run(load(database_of_intake, [rig.agency("H99.61")]))
    code, said = run("apply", str(plan), *WHY)
    assert code == 1
    assert "changed: agency/H99.61" in said
    assert keys_of(database_of_intake) == ["agency/H99.61"]
    assert run("plan", str(folder), "--out", str(plan))[0] == 0
    asyncio.run(rig.make_keys(database_of_intake, ["H99.61"]))  # the control: a key moves the revision, and no record
    assert run("apply", str(plan), *WHY)[0] == 0
    assert keys_of(database_of_intake) == ["agency/H99", "agency/H99.01", "agency/H99.61"]


def test_a_plan_for_another_registry_or_an_edited_one_is_refused(
    run: Run, database_of_intake: str, tmp_path: Path
) -> None:
    folder, plan = write(tmp_path / "files", agencies=AGENCIES), tmp_path / "plan.json"
    assert run("plan", str(folder), "--out", str(plan))[0] == 0
    made = json.loads(plan.read_text())
    plan.write_text(json.dumps({**made, "registry_sha256": "0" * 64}))
    assert "another registry" in run("apply", str(plan), *WHY)[1]
    plan.write_text(plan.read_text().replace("S\\u1edf", "B\\u1ed9"))
    assert "changed after the plan was made" in run("apply", str(plan), *WHY)[1]
    for broken in (
        "",
        "[]",
        "{}",
        json.dumps({**made, "records": 1}),
        json.dumps({**made, "records": [{"kind": "x"}]}),
    ):
        plan.write_text(broken)
        assert run("apply", str(plan), *WHY)[0] == 1
    assert keys_of(database_of_intake) == []
    plan.write_text(json.dumps(made))
    assert run("apply", str(plan), *WHY)[0] == 0, "the control"


def test_a_plan_says_what_becomes_of_a_closing_agency(run: Run, tmp_path: Path) -> None:
    files = tmp_path / "files"
    more = "  - {code: H99.02, name: Sở Y tế, kind: department, parent: H99, opened_on: 2020-01-01}\n"
    assert run("apply", str(write(files, agencies=AGENCIES + more, regimes__ktxh=REGIME)), *WHY)[0] == 0
    ends = "closed_on: 2090-10-31, successors: [H99.01], open_obligations: transfer}"
    code, said = run(
        "plan",
        str(write(files, agencies=AGENCIES + more.replace("opened_on: 2020-01-01}", f"opened_on: 2020-01-01, {ends}"))),
    )
    assert code == 0, said
    assert '    closed_on: null → "2090-10-31"' in said
    assert "after 31/10/2090 H99.01 owes it" in said
    assert "H99.02: chưa có cán bộ đầu mối / no reporting officer" in said


def test_apply_needs_a_reason_and_a_plan_that_is_there(run: Run, tmp_path: Path) -> None:
    folder = write(tmp_path / "files", agencies=AGENCIES)
    with pytest.raises(SystemExit):
        run("apply", str(folder))
    assert run("apply", str(tmp_path / "none.json"), *WHY)[0] == 1
