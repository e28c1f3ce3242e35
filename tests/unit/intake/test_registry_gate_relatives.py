"""Relatives of what the gate refuses: other scripts' digits, what nobody sees, forms that no report can satisfy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.intake.registry.files import read_folder
from services.intake.registry.gate import admit
from services.intake.registry.load import RegistryRefused
from shared.contract.events import RegistryEvent
from shared.runtime.file_errors import FileError
from tests.integration.intake import rig
from tests.integration.intake.rig import DEPARTMENT, NOW, proposed


def told(*changed: RegistryEvent) -> list[str]:
    keys = {record.key for record in changed}
    base = [record for record in rig.records() if record.key not in keys]
    errors = admit(proposed([*base, *changed]), [], NOW).errors
    assert all(error.message and error.message_en and error.fix and error.fix_en for error in errors), errors
    return [f"{error.place.split('/', 2)[-1]}: {error.message_en}" for error in errors]


def figure(code: str, **content: Any) -> dict[str, Any]:
    return {"code": code, "label": code, **content}


def form(**content: Any) -> RegistryEvent:
    return rig.regime("X", form=content)


@pytest.mark.parametrize("code", ["H\uff19\uff19.X", "H\u0669\u0669", "H\u09ef9"])
def test_digits_of_other_scripts_make_no_agency_code(code: str) -> None:
    errors = told(rig.agency(code))
    assert len(errors) == 1
    assert errors[0].startswith("code: ")
    assert "Decision 20/2020" in errors[0]
    assert told(rig.agency("H99.X9")) == []  # the control


@pytest.mark.parametrize(
    "hidden",
    ["\u034f", "\u115f", "\u180e", "\u200c", "\u200d", "\u2800", "\u3164", "\ue000", "\ufdd0", "\ufe0f", "\uffa0",
     "\U0001fffe", "\U0010ffff", "\U000e0041"],
)  # fmt: skip
def test_what_nobody_sees_stands_in_no_name(hidden: str) -> None:
    place = f"U+{ord(hidden):04X}"
    assert told(rig.agency("H99.03", name=f"Sở{hidden}A")) == [
        f"name: It holds a control character or a hidden one ({place})."
    ]
    assert told(rig.officer("cb-x", DEPARTMENT, name=hidden)) != []


@pytest.mark.parametrize("unassigned", ["\u0378", "\u05ff", "\u2fe0", "\U000e1000"])
def test_code_points_that_are_no_character_stand_in_no_name(unassigned: str) -> None:
    [error] = told(rig.agency("H99.03", name=f"Sở {unassigned}A"))
    assert error.startswith("name: It holds a code point that Unicode")


@pytest.mark.parametrize("name", ["Đặng Thị Thảo", "Sở Nội vụ – số 1 (mẫu)", "𝕏 日本 ✅", "Tha\u0309o"])
def test_the_control_what_is_seen_stays(name: str) -> None:
    assert told(rig.agency("H99.03", name=name)) == []


def test_a_name_does_not_begin_with_a_mark_for_what_stands_before_it() -> None:
    assert told(rig.agency("H99.03", name="\u0301A")) == ["name: It begins with a mark that has no letter."]


TERMS = [figure("A", minimum="2", maximum="5"), figure("B", minimum="3", maximum="5", required=False)]
SUM = [{"code": "S", "total": "T", "terms": ["A", "B"]}]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ({"figures": [figure("A", minimum="0.5", maximum="0.7")]}, "form/figures/0: “A”: no number with 0 digits"),
        ({"figures": [figure("A", minimum="0.55", maximum="0.59", fraction_digits=1)]}, "no number with 1 digits"),
        ({"narratives": [figure("N", max_characters=0)]}, "form/narratives/0/max_characters: “N” is required"),
        ({"figures": [figure("T", minimum="11"), *TERMS], "sums": SUM}, "form/sums/0: The sum “S” never holds: "
         "its terms add up to 2 to 10, but “T” may be 11 to ∞"),
        ({"figures": [figure("T", maximum="1"), *TERMS], "sums": SUM}, "may be -∞ to 1"),
    ],
)  # fmt: skip
def test_a_form_that_no_report_can_satisfy_is_refused(content: dict[str, Any], what: str) -> None:
    errors = told(form(**content))
    assert len(errors) == 1, errors
    assert what in errors[0]


@pytest.mark.parametrize(
    "content",
    [
        {"figures": [figure("A", minimum="0.5", maximum="0.7", fraction_digits=1)]},
        {"figures": [figure("A", minimum="0.5", maximum="1")]},
        {"narratives": [figure("N", max_characters=0, required=False)]},
        {"figures": [figure("T", minimum="10"), *TERMS], "sums": SUM},
        {"figures": [figure("T", maximum="2"), *TERMS], "sums": SUM},
        {"figures": [figure("T", maximum="1"), *TERMS], "sums": [{**SUM[0], "tolerance": "1"}]},
        {"figures": [figure("T", maximum="1", required=False), *TERMS], "sums": SUM},
        {"figures": [figure("T", minimum="11"), figure("A", required=False)],
         "sums": [{"code": "S", "total": "T", "terms": ["A"]}]},
    ],
)  # fmt: skip
def test_the_control_a_form_that_some_report_satisfies_is_taken(content: dict[str, Any]) -> None:
    assert told(form(**content)) == []


def table(*columns: dict[str, Any], **content: Any) -> dict[str, Any]:
    return {"code": "T", "label": "T", "columns": list(columns), **content}


def column(code: str, kind: str, **content: Any) -> dict[str, Any]:
    return figure(code, type=kind, **content)


TEXT = column("A", "text")


@pytest.mark.parametrize(
    ("tables", "place", "what"),
    [
        ([table()], "form/tables/0/columns", "has no columns"),
        ([table(TEXT), table(TEXT)], "form/tables/1/code", "repeated"),
        ([table(TEXT, column("A", "date"))], "form/tables/0/columns/1/code", "repeated"),
        ([table(TEXT, min_rows=3, max_rows=2)], "form/tables/0/min_rows", "the fewest rows exceed the most"),
        ([table(TEXT, max_rows=2001)], "form/tables/0/max_rows", "It must be 1 to 2000."),
        ([table(column("A", "choice"))], "form/tables/0/columns/0/choices", "nothing to choose from"),
        ([table(column("A", "choice", choices=["x", "x"]))], "form/tables/0/columns/0/choices", "more than once"),
        ([table(column("A", "date", minimum="1"))], "form/tables/0/columns/0/minimum", "has no `minimum`"),
        ([table(column("A", "text", choices=["x"]))], "form/tables/0/columns/0/choices", "has no `choices`"),
        ([table(column("A", "integer", max_characters=5))], "form/tables/0/columns/0/max_characters", "has no"),
        ([table(column("A", "integer", minimum="2", maximum="1"))], "form/tables/0/columns/0", "minimum exceeds"),
        ([table(column("A", "integer", fraction_digits=1))], "form/tables/0/columns/0/fraction_digits", "an integer"),
        ([table(column("A", "percent", unit="ha"))], "form/tables/0/columns/0/unit", "a percentage"),
        ([table(TEXT, min_rows=1500), {**table(TEXT, min_rows=1500), "code": "U"}], "form/tables",
         "at least 3000 rows; the limit is 2000"),
        ([table(*(column(f"A{n}", "text") for n in range(11)), min_rows=1000)], "form/tables",
         "at least 11000 required cells; the limit is 10000"),
    ],
)  # fmt: skip
def test_a_table_that_no_report_can_fill_is_refused_with_its_place(
    tables: list[dict[str, Any]], place: str, what: str
) -> None:
    errors = told(form(tables=tables))
    assert len(errors) == 1, errors
    assert errors[0].startswith(f"{place}: ")
    assert what in errors[0]


def test_the_control_a_table_that_some_report_fills_is_taken_and_is_enough_for_a_form() -> None:
    good = [TEXT, column("B", "integer", minimum="0"), column("C", "choice", choices=["x"]), column("D", "date")]
    assert told(form(tables=[table(*good, min_rows=1000)])) == []
    assert told(form()) != []


def _refused(folder: Path) -> list[FileError]:
    found = read_folder(folder)
    return [*found.errors, *admit(found.proposals, [], NOW, unread=found.unread).errors]


AGENCIES = "agencies:\n- {code: H99, name: A, kind: province, opened_on: 2020-01-01}\n"
OFFICERS = "officers:\n" + "".join(
    f"- {{officer_id: A{number}, agency: H99, name: A, email: a@b.vn, role: {role}}}\n"
    for number, role in enumerate(["head", "boss", "head"])
)


@pytest.mark.parametrize(
    "broken",
    ["\ufeff" + AGENCIES, AGENCIES + "\tx", "- H99\n", AGENCIES.replace("agencies", "agency"), "agencies: {code: H99}"],
)
def test_a_file_that_cannot_be_read_is_told_once_and_not_missed_by_every_other(tmp_path: Path, broken: str) -> None:
    (tmp_path / "agencies.yaml").write_text(broken, encoding="utf-8")
    (tmp_path / "officers.yaml").write_text(OFFICERS, encoding="utf-8")
    assert [(error.file, error.place) for error in _refused(tmp_path)] == [
        ("agencies.yaml", _refused(tmp_path)[0].place),
        ("officers.yaml", "/officers/1/role"),
    ]


def test_the_control_an_agency_that_is_in_no_file_is_missed_by_each(tmp_path: Path) -> None:
    (tmp_path / "agencies.yaml").write_text("agencies: []", encoding="utf-8")
    (tmp_path / "officers.yaml").write_text(OFFICERS, encoding="utf-8")
    places = [error.place for error in _refused(tmp_path)]
    assert places == ["/officers/1/role", "/officers/0/agency", "/officers/2/agency"]


def test_a_link_to_a_folder_and_a_folder_named_like_a_file_are_told(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "registry", tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder.mkdir()
    (folder / "agencies.yaml").write_text(AGENCIES, encoding="utf-8")
    assert _refused(folder) == []  # the control
    (folder / "regimes").symlink_to(elsewhere)
    (folder / "officers.yaml").mkdir()
    (folder / "..data").symlink_to(elsewhere)  # hidden, as in a mounted ConfigMap
    assert sorted(error.file for error in _refused(folder)) == ["officers.yaml", "regimes"]


def test_a_fields_name_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    name = r"\e[31m\nagencies.yaml:1:1 /\u202e" + "x" * 500
    text = AGENCIES.replace("code:", f'"{name}": 1, code:')
    (tmp_path / "agencies.yaml").write_text(text, encoding="utf-8")
    (error,) = _refused(tmp_path)
    lines = str(RegistryRefused([error])).splitlines()
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
    assert len(lines[0]) < 300
    assert "\x1b" in error.place  # the control: it is there, and only its telling is safe
