"""Registry files: every error with its file, line and place; nothing lossy, nothing silently taken."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from services.intake.registry.checks import check
from services.intake.registry.files import FileError, read_folder
from shared.events import RegimePublished, RegistryEvent
from tests.integration.intake import province
from tests.integration.intake.province import COMMUNE, DEPARTMENT, located

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
    records, errors = read_folder(folder)
    return [*errors, *check(records, [])]


def test_a_good_folder_is_read_whole_and_decimals_keep_their_digits(tmp_path: Path) -> None:
    records, errors = read_folder(write(tmp_path, agencies=AGENCIES, regimes__ktxh=REGIME))
    assert errors == []
    assert check(records, []) == []
    assert [item.record.key for item in records] == ["agency/H99", "agency/H99.01", "regime/KTXH/1"]
    regime = records[2].record
    assert isinstance(regime, RegimePublished)
    assert regime.form.figures[0].minimum == Decimal("0.10")
    assert regime.form.figures[0].maximum == Decimal("12345678901234567.89")
    assert (records[1].file, records[1].line, records[1].place) == ("agencies.yaml", 6, "/agencies/1")


def test_every_error_of_every_file_is_told_with_its_line(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        agencies=AGENCIES.replace("kind: department", "kind: ministry").replace(
            "    parent: H99\n", "    color: red\n"
        ),
        officers="officers:\n  - officer_id: cb\n    agency: H99\n    version: 3\n",
        regimes__a="code: X\n  bad: yaml",
        requests="demands: []\n",
    )
    _, errors = read_folder(folder)
    places = {(error.file, error.line, error.place) for error in errors}
    assert places == {
        ("agencies.yaml", 8, "/agencies/1/kind"),
        ("agencies.yaml", 9, "/agencies/1/color"),
        ("officers.yaml", 4, "/officers/0/version"),
        ("regimes/a.yaml", 2, ""),
        ("requests.yaml", 1, "/demands"),
    }
    for error in errors:
        assert error.message
        assert error.message_en
        assert error.fix
        assert error.fix_en
        assert error.file in str(error)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("agencies: []\nagencies: []\n", "given twice"),
        ("- 1\n", "expected form"),
        ("agencies: [{code: [}]\n", "malformed"),
    ],
)
def test_a_file_that_cannot_mean_one_thing_is_refused(tmp_path: Path, text: str, what: str) -> None:
    [error] = errors_of(write(tmp_path, agencies=text))
    assert what in error.message_en


def test_a_file_that_is_not_utf8_and_an_empty_folder_are_told(tmp_path: Path) -> None:
    [error] = errors_of(tmp_path)
    assert "no registry file" in error.message_en
    (tmp_path / "agencies.yaml").write_bytes(b"agencies: \xff")
    [error] = errors_of(tmp_path)
    assert "UTF-8" in error.message_en


def messages(*changed: RegistryEvent, without: str = "", stored: tuple[RegistryEvent, ...] = ()) -> list[str]:
    keys = {record.key for record in changed}
    base = [record for record in province.records() if record.key not in keys and record.key != without]
    return [
        f"{error.place.split('/', 2)[-1]}: {error.message_en}" for error in check(located([*base, *changed]), stored)
    ]


def test_the_provinces_records_fit_together() -> None:
    assert messages() == []


@pytest.mark.parametrize(
    ("record", "place", "what"),
    [
        (province.agency("x99"), "code", "Decision 20/2020"),
        (province.agency("H99.03", parent="H77"), "parent", "no parent agency"),
        (province.agency("H99", parent=COMMUNE), "parent", "circle"),
        (province.agency("H99.03", closed_on=date(2019, 1, 1)), "closed_on", "closes before it opens"),
        (province.agency("H99.03", successors=("H77",)), "successors", "no successor"),
        (province.officer("cb-x", "H77"), "agency", "no agency"),
        (province.officer("cb-x", DEPARTMENT, email="a b@example.vn"), "email", "not a mail address"),
        (province.officer("cb-x", DEPARTMENT, email="a@example.vn\nBcc: b@example.vn"), "email", "not a mail address"),
        (province.officer("cb-x", DEPARTMENT, name="A\r\nBcc: x"), "name", "control character"),
        (province.officer("cb-x", DEPARTMENT, regimes=("NONE",)), "regimes", "no regime"),
        (province.officer("cb/x", DEPARTMENT), "officer_id", "not valid"),
        (province.regime("X", receiver="H77"), "receiver", "no receiver"),
        (province.regime("X", submitters=("H77",)), "submitters", "no submitter"),
        (province.regime("X", submitter_kinds=()), "submitter_kinds", "Nobody owes"),
        (province.regime("X", frequency="adhoc"), "deadline/rule", "on_request"),
        (province.regime("X", frequency="weekly"), "deadline/rule", "weekday"),
        (province.regime("X", effective_to=date(2019, 1, 1)), "effective_to", "ends before"),
        (province.regime("X", regime_version=0), "regime_version", "begin with 1"),
        (province.regime("X", form={"figures": [{"code": "A", "label": "a"}] * 2}), "form/figures", "repeated"),
        (
            province.regime("X", form={"figures": [{"code": "A", "label": "a", "minimum": 2, "maximum": 1}]}),
            "form/figures/0",
            "over the maximum",
        ),
        (province.regime("X", form={"sums": [{"code": "S", "total": "A", "terms": []}]}), "form/sums/0", "no figure"),
        (
            province.regime("X", form={"narratives": [{"code": "n", "label": "n", "min_characters": 30_000}]}),
            "form/narratives/0",
            "lengths",
        ),
        (province.request("2026-M01"), "request_id", "cannot be a period"),
        (province.request("DX-9", regime="NONE"), "regime", "no regime"),
        (province.request("DX-9", regime="KTXH"), "regime", "not an ad hoc"),
        (province.request("DX-9", deadline=province.NOW.replace(year=2020)), "deadline", "before the request"),
        (province.request("DX-9", agencies=("H77",)), "agencies", "no agency"),
    ],
)
def test_a_record_that_does_not_fit_is_told_where_and_why(record: RegistryEvent, place: str, what: str) -> None:
    told = messages(record)
    assert any(one.startswith(f"{place}:") and what in one for one in told), told


def test_what_is_stored_counts_as_there() -> None:
    assert messages(without="agency/H99") != []
    assert messages(without="agency/H99", stored=(province.agency("H99", "province"),)) == []


def test_a_published_version_of_a_regime_never_changes() -> None:
    stored = province.regime(version=1)
    assert messages(stored=(stored,)) == []
    [told] = messages(province.regime(name="Khác"), stored=(stored,))
    assert told.startswith("name: Version 1 of KTXH is published and cannot change (name)")
    assert messages(province.regime(name="Khác", regime_version=2), stored=(stored,)) == []


def test_the_same_record_twice_is_told_with_both_places() -> None:
    [told] = [e.message_en for e in check(located([*province.records(), province.agency(DEPARTMENT)]), [])]
    assert told == "“agency/H99.01” is already at test.yaml:2."
