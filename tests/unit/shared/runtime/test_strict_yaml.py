"""The one reader of YAML: lines and repetitions, texts as they are written, limits, and what its users pass on."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.contract.events.base import ExactDecimal
from shared.runtime.file_errors import FileError
from shared.runtime.strict_yaml import FileRefused, read, value_of
from shared.service.model_files import MAX_SAID_CHARACTERS, FileDay, read_model

FILE = b"""\
name: a
rungs:
  - {at: T, tell: head}
  - at: T+3d
    tell: chair
name: b
"""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("", 1),
        ("/rungs", 2),  # of a block, the line of its name
        ("/rungs/1/tell", 5),
        ("/rungs/1/missing", 4),
        ("/rungs/7", 2),
        ("/no", 1),
    ],
)
def test_a_place_is_at_its_line_or_at_that_of_what_holds_it(place: str, line: int) -> None:
    assert read(FILE, "f.yaml").line(place) == line


def test_an_empty_file_has_one_line_and_no_errors() -> None:
    empty = read(b"", "f.yaml")
    assert (empty.line("/a"), empty.value, empty.errors, empty.whole) == (1, None, [], True)


def twice(content: bytes) -> list[tuple[str, int]]:
    return [(error.place, error.line) for error in read(content, "f.yaml").errors]


def test_what_is_written_twice_is_named_wherever_it_stands() -> None:
    assert twice(FILE) == [("/name", 6)]
    assert twice(b"a:\n  - b: 1\n    b: 2\n") == [("/a/0/b", 3)]


def test_texts_stay_what_is_written_and_values_become_what_they_are() -> None:
    content = b'{whole: 12, hour: 08:00, day: 2026-01-02, yes: true, none: , tilde: ~, exact: 1.50, quoted: "1"}'
    assert read(content, "f", scalars="texts").value == {
        "whole": "12", "hour": "08:00", "day": "2026-01-02", "yes": "true", "none": "", "tilde": "~",
        "exact": "1.50", "quoted": "1",
    }  # fmt: skip
    assert read(content, "f", scalars="texts").errors == []
    assert yaml.load(content, yaml.BaseLoader) == read(content, "f", scalars="texts").value, "as YAML's own texts"
    values = read(content, "f")
    assert [(error.place, error.line) for error in values.errors] == [("/hour", 1)], "90, or 8 hours?"
    assert {name: values.value[name] for name in ("whole", "yes", "none", "tilde", "exact", "quoted")} == {
        "whole": 12, "yes": True, "none": None, "tilde": None, "exact": "1.50", "quoted": "1",
    }  # fmt: skip


def test_limits_are_those_asked_for() -> None:
    assert read(b"a: " + b"[" * 7 + b"]" * 7, "f", max_depth=8).errors == []
    (deep,) = read(b"a: " + b"[" * 8 + b"]" * 8, "f", max_depth=8).errors
    assert deep.message_en == "Nested more than 8 levels deep."
    assert read(b"#" * 9, "f", max_bytes=9).errors == []
    (large,) = read(b"#" * 10, "f", max_bytes=9).errors
    assert "10 bytes, at most 9" in large.message_en


@pytest.mark.parametrize("escape", [b'a: "x\\ud800"', b'"\\udfff": 1', b'a: "\\U00110000"'])
def test_half_a_character_is_refused_whichever_parser_reads(escape: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "half a character" in read(escape, "f").errors[0].message_en
    if b"11" not in escape:
        monkeypatch.delattr(yaml, "CSafeLoader")
        assert "half a character" in read(escape, "f").errors[0].message_en
    assert read('a: "\\u1ea1 ạ"'.encode(), "f").value == {"a": "ạ ạ"}, "control"


@pytest.mark.parametrize(
    ("content", "mark", "place", "said"),
    [
        (b"#" * 41, (1, 1), "", "The file is too large: 41 bytes, at most 40."),
        (b"\na: \xff", (2, 4), "", "The file is not UTF-8 (byte 5)."),
        (b"\n\x0c", (2, 1), "", "a BOM (U+000C)."),
        (b"a: 1\n---\nb: 1", (2, 1), "", "The file has several YAML documents"),
        (b"%YAML 1.1\n---\na: 1", (1, 1), "", "Directives (%YAML, %TAG) are not used here."),
        (b"a: &x 1", (1, 4), "/a", "Anchors and aliases"),
        (b"a: !!str x", (1, 4), "/a", "Tags are not used here (!!str)."),
        (b"a: !x y", (1, 4), "/a", "Tags are not used here (!x)."),
        (b"a: 010", (1, 4), "/a", "“010” can be read as different numbers."),
        (b"a: 1\na: 2", (2, 1), "/a", "“a” is given twice (first at line 1)."),
        (b"[a]: 1", (1, 1), "", "A field's name must be a text."),
        (b"a: " + b"[" * 13, (1, 15), "/a" + "/0" * 11, "Nested more than 12 levels deep."),
        (b"a: 1\nb: }", (2, 4), "", "The YAML is malformed: "),
    ],
)
def test_a_refusal_says_where_why_and_what_to_do_in_both_languages(
    content: bytes, mark: tuple[int, int], place: str, said: str
) -> None:
    error = read(content, "f.yaml", max_bytes=40).errors[0]
    assert (error.file, error.line, error.column, error.place) == ("f.yaml", *mark, place)
    assert said in error.message_en
    assert len({error.message, error.message_en, error.fix, error.fix_en} - {"", None}) == 4


def test_a_value_alone_is_given_or_all_errors_are_raised() -> None:
    assert value_of(b"{a: [1, x]}", "f.yaml") == {"a": [1, "x"]}
    with pytest.raises(FileRefused) as refused:
        value_of(b"a: 010\nb: &x 1\nc: 1:30\n", "f.yaml")
    assert [line for line in str(refused.value).splitlines() if line.startswith("f.yaml:")] == [
        "f.yaml:1:4 /a", "f.yaml:2:4 /b", "f.yaml:3:4 /c",
    ]  # fmt: skip


def test_an_error_spoils_its_place_and_what_holds_it() -> None:
    document = read(b"a:\n  b: 010\nab: 1\n", "f")
    assert [document.broken(place) for place in ("", "/a", "/a/b", "/a/b/c", "/ab")] == [True, True, True, False, False]
    assert all(isinstance(error, FileError) for error in document.errors)


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    points: ExactDecimal
    most: ExactDecimal

    @model_validator(mode="after")
    def _ordered(self) -> Part:
        if self.points > self.most:
            raise ValueError("points lớn hơn most / points is above most")
        return self


class Whole(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    day: FileDay
    part: Part
    names: tuple[str, ...] = Field(min_length=1)
    note: str = ""


GOOD = "day: 2026-03-31\npart: {points: 60.5, most: 100}\nnames: [a]\n"


def faults(content: str) -> list[str]:
    found, told = read_model(content.encode(), "f.yaml", Whole)
    assert (found is None) == bool(told)
    return told


def test_a_model_is_read_with_exact_decimals_and_days() -> None:
    found, told = read_model(GOOD.encode(), "f.yaml", Whole)
    assert found == Whole(
        day=date(2026, 3, 31), part=Part(points=Decimal("60.5"), most=Decimal(100)), names=("a",)
    ), told  # fmt: skip


@pytest.mark.parametrize(
    ("was", "becomes", "told"),
    [
        ("2026-03-31", "2026-02-30", "f.yaml:1: day: không phải ngày, ghi như 2026-03-31 / no day, write"),
        ("2026-03-31", '"1577836800"', "f.yaml:1: day: không phải ngày"),
        ("2026-03-31", "2026-03-31 00:00:00", "f.yaml:1: day: không phải ngày"),
        ("60.5", "100.5", "f.yaml:2: part: points lớn hơn most / points is above most"),
        ("60.5", "060", "f.yaml:2: part.points: “060” có thể hiểu thành nhiều số khác nhau. Ghi số thường"),
        ("names: [a]", "nams: [a]", "f.yaml:3: nams: không có mục này, hãy bỏ / there is no such field, drop it"),
        ("names: [a]", "", "f.yaml:1: names: thiếu, hãy thêm / is missing, add it"),
        ("[a]", "[1]", "f.yaml:3: names.0: Phải là chuỗi ký tự."),
    ],
)  # fmt: skip
def test_a_fault_is_told_once_with_its_line_and_cure(was: str, becomes: str, told: str) -> None:
    found = faults(GOOD.replace(was, becomes))
    assert any(line.startswith(told) for line in found), found
    assert all(" / " in line for line in found)
    assert len(found) == 2 if "nams" in becomes else len(found) == 1


def test_what_yaml_objects_to_hides_no_other_fault() -> None:
    found = faults("day: 2026-02-30\npart: {points: 060, most: 10}\nnames: &n []\nnote: !!str x\nnote: 1\n")
    assert [line.split(" ")[1] for line in found] == ["part.points:", "names:", "note:", "note:", "day:"]


@pytest.mark.parametrize("content", ["", "- a\n", "1", "~"])
def test_a_file_without_fields_says_so(content: str) -> None:
    (told,) = faults(content)
    assert told.startswith("f.yaml:1: tệp phải gồm các mục")


def test_faults_are_cut_and_counted() -> None:
    found = faults(GOOD.replace("[a]", "[" + "1, " * 150 + "a]"))
    assert (len(found), found[-1]) == (101, "… và 50 lỗi nữa / and 50 more errors")
    long: list[Any] = faults(GOOD + f"{'x' * 5_000}: 1\n")
    assert all(len(line) < MAX_SAID_CHARACTERS + 300 for line in long)
