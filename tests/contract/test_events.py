"""The committed event schemas are what the models write, and a change that breaks a reader is found."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from pydantic import Field

from deploy import contracts
from shared.contract import released
from shared.contract.events import MODELS, OWNERS, EventModel, ExactDecimal, Model, RegimePublished, VerdictReached
from shared.contract.events import schemas as event_schemas
from shared.contract.events.schemas import DIRECTORY, breaks, committed, compare, schema_of, schema_text

REGIME = schema_of(RegimePublished)
VERDICT = schema_of(VerdictReached)


@pytest.mark.parametrize("event_type", MODELS)
def test_the_committed_schema_is_the_models(event_type: str) -> None:
    path = DIRECTORY / f"{event_type}.json"
    assert path.read_text(encoding="utf-8") == schema_text(MODELS[event_type]), "python -m deploy.contracts write"


def test_every_committed_schema_has_its_model_and_no_promise_is_broken() -> None:
    assert set(committed()) == set(MODELS)
    assert breaks() == []


@pytest.mark.parametrize("event_type", MODELS)
def test_every_event_has_an_owner_a_versioned_type_and_a_key(event_type: str) -> None:
    model = MODELS[event_type]
    assert model.TOPIC in OWNERS
    assert event_type.startswith("vn.thongsuot.")
    assert event_type.rpartition(".v")[2].isdigit()
    assert model.key is not EventModel.key


@pytest.mark.parametrize("event_type", MODELS)
def test_no_figure_travels_as_a_float(event_type: str) -> None:
    assert '"type": "number"' not in schema_text(MODELS[event_type])


class Line(Model):
    """An inner value."""

    points: ExactDecimal


class First(EventModel):
    """As it was promised."""

    TYPE: ClassVar[str] = "vn.thongsuot.test.v1"
    TOPIC: ClassVar[str] = "registry"

    code: str
    count: int
    kind: Literal["a", "b"]
    lines: tuple[Line, ...] = ()
    by_name: dict[str, str | None] = Field(default_factory=dict)
    note: str | None = None


class Grown(First):
    """The same with one field more, optional."""

    added: str | None = None


def test_an_optional_field_more_is_no_break() -> None:
    assert compare(schema_of(First), schema_of(Grown)) == []


def test_the_same_schema_is_no_break() -> None:
    assert compare(REGIME, copy.deepcopy(REGIME)) == []


def _without(name: str) -> Callable[[dict[str, Any]], None]:
    def change(schema: dict[str, Any]) -> None:
        del schema["properties"][name]
        schema["required"] = [field for field in schema["required"] if field != name]

    return change


def _set(value: Any, *path: str) -> Callable[[dict[str, Any]], None]:
    def change(schema: dict[str, Any]) -> None:
        for step in path[:-1]:
            schema = schema[step]
        schema[path[-1]] = value

    return change


BREAKS: list[tuple[str, Callable[[dict[str, Any]], None], str]] = [
    ("a field that is gone", _without("code"), "/code: the field is gone"),
    ("an optional field that is gone", _without("note"), "/note: the field is gone"),
    ("a new required field", lambda s: s["required"].append("note"), "/note: the field became required"),
    ("a field no longer always there", lambda s: s["required"].remove("count"), "/count: the field is no longer"),
    ("another type", _set({"type": "string"}, "properties", "count"), "/count: was integer, is string"),
    ("another format", _set("uuid", "properties", "code", "format"), "/code: was string, is string/uuid"),
    ("a null that was not", _set([{"type": "string"}, {"type": "null"}], "properties", "code", "anyOf"), "/code: was"),
    ("a null that is no more", _set({"type": "string"}, "properties", "note"), "/note: was"),
    ("an enum value less", _set(["a"], "properties", "kind", "enum"), "/kind: allowed values"),
    ("an enum value more", _set(["a", "b", "c"], "properties", "kind", "enum"), "/kind: allowed values"),
    ("a bound", _set(10, "properties", "code", "maxLength"), "/code: maxLength"),
    ("an inner field gone", lambda s: s["$defs"]["Line"].update(properties={}, required=[]), "/lines/*/points"),
    ("an inner type", _set({"type": "integer"}, "$defs", "Line", "properties", "points"), "/lines/*/points: was"),
    ("a map's values", _set({"type": "string"}, "properties", "by_name", "additionalProperties"), "/by_name/*: was"),
    ("the topic", _set("verdicts", "x-topic"), "the topic changed"),
]


@pytest.mark.parametrize(("change", "message"), [row[1:] for row in BREAKS], ids=[row[0] for row in BREAKS])
def test_a_change_that_breaks_readers_is_found(change: Callable[[dict[str, Any]], None], message: str) -> None:
    new = copy.deepcopy(schema_of(First))
    change(new)
    found = compare(schema_of(First), new)
    assert any(message in line for line in found), found


def test_a_committed_event_whose_model_is_gone_is_found(tmp_path: Path) -> None:
    shutil.copytree(DIRECTORY, tmp_path / "schemas")
    (tmp_path / "schemas" / "vn.thongsuot.gone.v1.json").write_text("{}")
    assert breaks(MODELS, tmp_path / "schemas") == ["vn.thongsuot.gone.v1: the event is gone"]


def test_write_refuses_to_break_a_committed_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "schemas"
    shutil.copytree(DIRECTORY, directory)
    promised = directory / f"{VerdictReached.TYPE}.json"
    schema = json.loads(promised.read_text())
    schema["properties"]["promised"] = {"type": "string"}
    promised.write_text(json.dumps(schema))
    before = promised.read_text()
    monkeypatch.setattr(released, "FILE", directory / "released.txt")
    monkeypatch.setattr(event_schemas, "breaks", lambda: breaks(MODELS, directory))
    monkeypatch.setattr(contracts, "expected", lambda: {promised: schema_text(VerdictReached)})

    assert contracts.main(["write"]) == 1
    assert promised.read_text() == before
    assert "/promised: the field is gone" in capsys.readouterr().err

    monkeypatch.setattr(event_schemas, "committed", lambda *_: {})
    assert contracts.main(["write", "--break"]) == 0
    assert promised.read_text() == schema_text(VerdictReached)


def test_every_promised_file_is_up_to_date() -> None:
    assert contracts.differences() == []


def test_check_names_a_file_that_is_missing_or_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(contracts, "ROOT", tmp_path)
    (tmp_path / "b").write_text("old")
    monkeypatch.setattr(contracts, "expected", lambda: {tmp_path / "a": "x", tmp_path / "b": "new"})
    assert contracts.main(["check"]) == 1
    said = capsys.readouterr().err
    assert "a: missing" in said
    assert "b: out of date" in said
