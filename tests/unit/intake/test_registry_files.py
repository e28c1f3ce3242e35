"""Registry files: every error with its file, line and place; nothing lossy, nothing silently taken."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.intake.registry.files import read_folder
from services.intake.registry.gate import MAX_ERRORS, Proposal, admit
from services.intake.registry.load import RegistryRefused
from services.intake.registry.source import Source
from shared.contract.events import RegimePublished
from shared.runtime import strict_yaml
from shared.runtime.clock import LOCAL_ZONE
from shared.runtime.file_errors import FileError

NOW = datetime(2026, 10, 20, 9, 30, tzinfo=LOCAL_ZONE)
AGENCIES = """\
agencies:
  - code: H99
    name: Tỉnh mẫu
    kind: province
    opened_on: 2020-01-01
  - code: H99.01
    name: Sở Tài chính
    kind: department
    parent: H99
    opened_on: 2020-01-01
"""
REGIME = """\
code: KTXH
regime_version: 1
name: Kinh tế – xã hội
frequency: monthly
effective_from: 2020-01-01
submitter_kinds: [department]
receiver: H99
deadline: {rule: day_of_month, day: 18}
form:
  figures:
    - {code: A01, label: Thu, minimum: 0.10, maximum: 12345678901234567.89, fraction_digits: 2}
"""


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".yaml")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def errors_of(folder: Path) -> list[FileError]:
    found = read_folder(folder)
    return [*found.errors, *admit(found.proposals, [], NOW).errors]


def places(errors: list[FileError]) -> set[tuple[str, int, str]]:
    return {(error.file, error.line, error.place) for error in errors}


def test_a_good_folder_is_read_whole_and_decimals_keep_their_digits(tmp_path: Path) -> None:
    found = read_folder(write(tmp_path, agencies=AGENCIES, regimes__ktxh=REGIME))
    admission = admit(found.proposals, [], NOW)
    assert (found.errors, found.ignored, admission.errors) == ([], [], [])
    assert [item.record.key for item in admission.records] == ["agency/H99", "agency/H99.01", "regime/KTXH/1"]
    regime = admission.records[2].record
    assert isinstance(regime, RegimePublished)
    assert regime.effective_from == date(2020, 1, 1)
    assert regime.form.figures[0].minimum == Decimal("0.10")
    assert regime.form.figures[0].maximum == Decimal("12345678901234567.89")
    assert not regime.form.nil_allowed, "NIL only where the form says so"
    source = admission.records[1].source
    assert (source.file, source.mark(), source.place) == ("agencies.yaml", (6, 5), "/agencies/1")


def test_every_error_of_every_file_is_told_with_its_line(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        agencies=AGENCIES.replace("kind: department", "kind: ministry").replace(
            "    parent: H99\n", "    color: red\n"
        ),
        officers="officers:\n  - officer_id: cb\n    agency: H99.01\n    version: 3\n    name: |\n      A\n"
        "    email: a@b\n    role: head\n",
        regimes__a="code: X\n  bad: yaml",
        regimes__ktxh=REGIME.replace("receiver: H99", "receiver: H77").replace("A01", '"A 01"')
        + "  sums:\n    - code: S\n      total: A02\n      terms: []\n",
        requests="demands: []\n",
    )
    errors = errors_of(folder)
    assert places(errors) == {
        ("agencies.yaml", 8, "/agencies/1/kind"),
        ("agencies.yaml", 9, "/agencies/1/color"),
        ("officers.yaml", 4, "/officers/0/version"),
        ("officers.yaml", 5, "/officers/0/name"),
        ("officers.yaml", 7, "/officers/0/email"),
        ("regimes/a.yaml", 2, ""),
        ("regimes/ktxh.yaml", 11, "/form/figures/0/code"),
        ("requests.yaml", 1, "/demands"),
    }
    for error in errors:
        assert error.message
        assert error.message_en
        assert error.fix
        assert error.fix_en
        assert error.file in str(error)
    # what stands between records is told at its own line too, not at that of the record
    (tmp_path / "rest").mkdir()
    rule = "  sums:\n    - code: S\n      total: A02\n      terms: [A01, A01]\n"
    regime = REGIME.replace("receiver: H99", "receiver: H77") + rule
    rest = errors_of(write(tmp_path / "rest", agencies=AGENCIES, regimes__ktxh=regime))
    assert places(rest) == {
        ("regimes/ktxh.yaml", 7, "/receiver"),
        ("regimes/ktxh.yaml", 14, "/form/sums/0/total"),
        ("regimes/ktxh.yaml", 15, "/form/sums/0/terms/1"),
    }


@pytest.mark.parametrize(
    ("text", "line", "column", "what"),
    [
        ("agencies: []\nagencies: []\n", 2, 1, "given twice (first at line 1)"),
        ("# a list\n- 1\n", 2, 1, "expected form"),
        ("agencies:\n  - {code: [}\n", 2, 13, "malformed"),
        ("agencies: []\n---\nagencies: []\n", 2, 1, "several YAML documents"),
        ("%YAML 1.1\n---\nagencies: []\n", 1, 1, "Directives"),
        ("agencies:\n  - &a {code: H99}\n  - *a\n", 2, 5, "Anchors and aliases"),
        ("agencies:\n  - !!python/object:os.system {}\n", 2, 5, "Tags are not used"),
        ("agencies:\n  - {<<: {code: x}}\n", 2, 6, "not part of the form"),
        ("agencies:\n  - ? [a]\n    : b\n", 2, 7, "name must be a text"),
        ("agencies: " + "[" * 50_000 + "\n", 1, 22, "levels deep"),
        ("agencies:\n# a comment \u202e turned round\n", 2, 13, "U+202E"),
        ("agencies: []\n# form feed \x0c\n", 2, 13, "U+000C"),
        ("agencies: []\r# an old Mac's line end\n", 1, 13, "U+000D"),
        ("\ufeffagencies: []\n", 1, 1, "U+FEFF"),
        ("", 1, 1, "expected form"),
    ],
)
def test_a_file_that_cannot_mean_one_thing_is_refused_at_its_line(
    tmp_path: Path, text: str, line: int, column: int, what: str
) -> None:
    (tmp_path / "agencies.yaml").write_bytes(text.encode())
    errors = [error for error in errors_of(tmp_path) if what in error.message_en]
    assert errors, errors_of(tmp_path)
    assert (errors[0].line, errors[0].column) == (line, column)


@pytest.mark.parametrize(
    "number",
    "025 0o25 0x10 0b1 1:30 1_000 +5 1e3 .5 5. 1.5e3 -012 190:20:30 .inf -.Inf .nan 00.5 1__0 0_".split(),  # noqa: SIM905
)
def test_a_number_that_two_readers_read_differently_is_refused(tmp_path: Path, number: str) -> None:
    folder = write(tmp_path, agencies=AGENCIES, regimes__ktxh=REGIME.replace("day: 18", f"day: {number}"))
    [error] = errors_of(folder)
    assert (error.line, error.place) == (8, "/deadline/day")
    assert "different numbers" in error.message_en
    # in quotes it is a text, and then no number: the form says what it wants
    folder = write(tmp_path, regimes__ktxh=REGIME.replace("day: 18", f'day: "{number}"'))
    [error] = errors_of(folder)
    assert "whole number" in error.message_en


def test_the_control_a_yaml_1_1_reader_takes_them(tmp_path: Path) -> None:
    read = yaml.safe_load("{day: 025, at: 1:30, hour: 0x10, open: yes, when: 2020-01-01}")
    assert read == {"day": 21, "at": 90, "hour": 16, "open": True, "when": date(2020, 1, 1)}
    document = strict_yaml.read(b"{open: yes, off: n, when: 2020-01-01, n: 12, d: 1.50, t: true, none: }", "x")
    assert document.value == {
        "open": "yes", "off": "n", "when": "2020-01-01", "n": 12, "d": "1.50", "t": True, "none": None,
    }  # fmt: skip
    assert document.errors == []


@pytest.mark.parametrize(
    ("change", "line", "place", "what"),
    [
        (("regime_version: 1", "regime_version: 99999999999999999999"), 2, "/regime_version", "1 to 9999"),
        (("regime_version: 1", "regime_version: 1.0"), 2, "/regime_version", "whole number"),
        (("2020-01-01", "2020-02-30"), 5, "/effective_from", "ISO 8601 date"),
        (("2020-01-01", "0001-01-01"), 5, "/effective_from", "year must be"),
        (("2020-01-01", "1577836800"), 5, "/effective_from", "ISO 8601 date"),
        (("2020-01-01", '"1577836800"'), 5, "/effective_from", "ISO 8601 date"),
        (("day: 18", "day: 18, month_offset: 202601"), 8, "/deadline/month_offset", "0 to 36"),
        (("day: 18", "day: 18, working_days: 100000"), 8, "/deadline/working_days", "1 to 250"),
        (("minimum: 0.10", "minimum: 1.0000000000001"), 11, "/form/figures/0/minimum", "exact decimal"),
        (("minimum: 0.10", 'minimum: "1e999999999"'), 11, "/form/figures/0/minimum", "exact decimal"),
        (("minimum: 0.10", "minimum: nan"), 11, "/form/figures/0/minimum", "exact decimal"),
        (("minimum: 0.10", f"minimum: {'9' * 5000}"), 11, "/form/figures/0/minimum", "different numbers"),
        (("form:\n", "form:\n  nil_allowed: yes\n"), 10, "/form/nil_allowed", "true or false|one of them"),
        (("name: Kinh tế – xã hội", f"name: {'x' * 2_000_000}"), 3, "/name", "Too long: 2000000"),
        (("name: Kinh tế – xã hội", "name: >\n  Kinh tế\n"), 3, "/name", "line break"),
        (("name: Kinh tế – xã hội", 'name: "a\\tb"'), 3, "/name", "U+0009"),
        (("name: Kinh tế – xã hội", 'name: "a\\u202eb"'), 3, "/name", "U+202E"),
        (("name: Kinh tế – xã hội", 'name: "a\\u200bb"'), 3, "/name", "U+200B"),
        (("name: Kinh tế – xã hội", 'name: "a\\x00b"'), 3, "/name", "U+0000"),
        (("name: Kinh tế – xã hội", 'name: "a\\Lb"'), 3, "/name", "line break"),
        (("name: Kinh tế – xã hội", 'name: " a"'), 3, "/name", "space"),
        (("name: Kinh tế – xã hội", 'name: ""'), 3, "/name", "empty"),
        (("name: Kinh tế – xã hội", "name: ế" + "\u0323" * 40), 3, "/name", "marks"),
        (("name: Kinh tế – xã hội", "name: 2026"), 3, "/name", "must be a text"),
        (("name: Kinh tế – xã hội", "name:"), 3, "/name", "must be a text"),
    ],
)
def test_a_value_beyond_what_the_system_holds_is_refused_at_its_line(
    tmp_path: Path, change: tuple[str, str], line: int, place: str, what: str
) -> None:
    folder = write(tmp_path, agencies=AGENCIES, regimes__ktxh=REGIME.replace(*change))
    errors = errors_of(folder)
    assert [(error.line, error.place) for error in errors] == [(line, place)], errors
    told = errors[0].message_en + errors[0].fix_en
    assert any(part in told for part in what.split("|")), told


def test_half_a_character_is_refused_and_can_be_told(tmp_path: Path) -> None:
    # YAML's parsers differ in whether they let such an escape through; a proposal of another way may hold one
    errors = errors_of(write(tmp_path, agencies=AGENCIES.replace("Tỉnh mẫu", '"a\\ud800b"')))
    assert [error.line for error in errors][:1] == [3]
    value: dict[str, Any] = {"code": "H99", "name": "a\ud800", "kind": "province", "opened_on": "2020-01-01"}
    [error] = admit([Proposal("agency", value, Source())], [], NOW).errors
    assert (error.place, "surrogate" in error.message_en) == ("/name", True)
    str(error).encode()


def test_names_become_nfc(tmp_path: Path) -> None:
    found = read_folder(write(tmp_path, agencies=AGENCIES.replace("Tỉnh mẫu", "Ti\u0309nh ma\u0302\u0303u")))
    [province, _] = admit(found.proposals, [], NOW).records
    assert province.record.name == "Tỉnh mẫu"  # type: ignore[union-attr]


def test_a_file_that_is_not_utf8_is_told_at_its_line_and_an_empty_folder_is_told(tmp_path: Path) -> None:
    [error] = errors_of(tmp_path)
    assert "no registry file" in error.message_en
    (tmp_path / "agencies.yaml").write_bytes(b"# one\nagencies: \xff")
    [error] = errors_of(tmp_path)
    assert "UTF-8" in error.message_en
    assert (error.line, error.column) == (2, 11)
    [error] = errors_of(tmp_path / "nowhere")
    assert "cannot be read" in error.message_en


def test_yml_is_read_and_every_other_file_is_told(tmp_path: Path) -> None:
    write(tmp_path, regimes__ktxh=REGIME, agency=AGENCIES)
    (tmp_path / "agencies.yml").write_text(AGENCIES, encoding="utf-8")
    (tmp_path / "regimes" / "old").mkdir()
    (tmp_path / "regimes" / "old" / "x.YAML").write_text(REGIME, encoding="utf-8")
    (tmp_path / "notes.txt").write_text("notes", encoding="utf-8")
    (tmp_path / ".hidden.yaml").write_text("x", encoding="utf-8")
    found = read_folder(tmp_path)
    assert [proposal.kind for proposal in found.proposals] == ["agency", "agency", "regime"]
    assert {error.file for error in found.errors} == {"agency.yaml", "regimes/old/x.YAML"}
    assert found.ignored == ["notes.txt"]


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "agencies.yaml").write_bytes(b"# " + b"x" * strict_yaml.MAX_FILE_BYTES)
    [error] = errors_of(tmp_path)
    assert "too large" in error.message_en


def test_so_many_errors_are_counted_not_written() -> None:
    refused = RegistryRefused([FileError("a.yaml", line, "", "m", "m", "f", "f") for line in range(10_000)])
    assert str(refused).count("a.yaml") == MAX_ERRORS
    assert str(refused).endswith(f"… và {10_000 - MAX_ERRORS} lỗi nữa / and {10_000 - MAX_ERRORS} more errors")


def test_a_load_that_was_cut_says_so() -> None:
    error = FileError("a.yaml", 1, "", "m", "m", "f", "f")
    assert str(RegistryRefused([error], cut=True)).endswith("correct these and load again.")
    assert "again" not in str(RegistryRefused([error]))  # the control
