"""What was released once is kept, even where model and committed schema are edited together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Field

from deploy import contracts
from shared.contract import released
from shared.contract.events import MODELS, EventModel, Model
from shared.contract.events import schemas as event_schemas
from shared.contract.events.schemas import schema_text

TYPE = "vn.thongsuot.test.v1"


class Inner(Model):
    """An inner value."""

    points: int


class Nested(Model):
    """A value that may hold one of its own kind."""

    points: int
    inside: Nested | None = None


class Tree(EventModel):
    """An event without a fixed depth."""

    TYPE: ClassVar[str] = TYPE
    TOPIC: ClassVar[str] = "registry"

    top: Nested


class First(EventModel):
    """As it was released."""

    TYPE: ClassVar[str] = TYPE
    TOPIC: ClassVar[str] = "registry"

    code: str
    kind: Literal["a", "b"] = "a"
    size: Annotated[int, Field(ge=1)] = 1
    note: str | None = None
    lines: tuple[Inner, ...] = ()
    by_name: dict[str, str] = Field(default_factory=dict)


class Grown(First):
    """An optional field more, and an inner value that has required fields of its own."""

    added: str | None = None
    more: Inner | None = None


class NoteGone(EventModel):
    """`note` is not there any more."""

    TYPE: ClassVar[str] = TYPE
    TOPIC: ClassVar[str] = "registry"

    code: str
    kind: Literal["a", "b"] = "a"
    size: Annotated[int, Field(ge=1)] = 1
    lines: tuple[Inner, ...] = ()
    by_name: dict[str, str] = Field(default_factory=dict)


class CodeMayLack(First):
    """`code` is not always there any more."""

    code: str = ""


class OtherType(First):
    """`note` holds something else."""

    note: int | None = None  # type: ignore[assignment]


class KindMore(First):
    """An allowed value more."""

    kind: Literal["a", "b", "c"] = "a"  # type: ignore[assignment]


class Wider(First):
    """Another bound."""

    size: Annotated[int, Field(ge=0)] = 1


class NewRequired(First):
    """A new field that what was released before lacks."""

    extra: int


class OtherTopic(First):
    """It goes elsewhere."""

    TOPIC: ClassVar[str] = "verdicts"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The baseline after First was released."""
    path = tmp_path / "released.txt"
    path.write_text(released.text_of(released.fields_of({TYPE: First})), encoding="utf-8")
    return path


def test_what_was_released_is_kept_by_the_models() -> None:
    assert released.breaks() == []
    assert released.fields_of().items() <= released.read().items()


def test_a_model_that_only_grows_breaks_nothing_and_extends_the_file(file: Path) -> None:
    assert released.breaks({TYPE: First}, file) == []
    assert released.breaks({TYPE: Grown}, file) == []
    before = released.read(file)
    file.write_text(released.extended_text({TYPE: Grown}, file), encoding="utf-8")
    after = released.read(file)
    assert before.items() < after.items()
    assert {path for _, path in after.keys() - before.keys()} == {"/added", "/more", "/more/points"}


def test_a_model_within_itself_is_told_once() -> None:
    paths = [path for _, path in released.fields_of({TYPE: Tree})]
    assert paths == ["", "/top", "/top/points", "/top/inside"]


BROKEN: list[tuple[type[EventModel], str]] = [
    (NoteGone, "/note was released and is gone"),
    (CodeMayLack, "/code was released as always string, is maybe string"),
    (OtherType, "/note was released as maybe null or string, is maybe integer or null"),
    (KindMore, "/kind was released as"),
    (Wider, "/size was released as"),
    (NewRequired, "/extra is new and required"),
    (OtherTopic, "/ was released as object on registry, is object on verdicts"),
]


@pytest.mark.parametrize(("model", "message"), BROKEN, ids=[model.__name__ for model, _ in BROKEN])
def test_model_and_schema_edited_together_are_found(
    file: Path, tmp_path: Path, model: type[EventModel], message: str
) -> None:
    schemas = tmp_path / "schemas"
    schemas.mkdir()
    (schemas / f"{TYPE}.json").write_text(schema_text(model), encoding="utf-8")
    assert event_schemas.breaks({TYPE: model}, schemas) == [], "the comparison with the schema alone sees nothing"
    found = released.breaks({TYPE: model}, file)
    assert any(message in line for line in found), found


def test_an_event_that_is_gone_with_its_schema_is_found(file: Path) -> None:
    assert f"{TYPE}: /code was released and is gone" in released.breaks({}, file)


def test_extending_never_cuts_and_never_changes(file: Path) -> None:
    before = released.read(file)
    for model, _ in BROKEN:
        file.write_text(released.extended_text({TYPE: model}, file), encoding="utf-8")
        assert before.items() <= released.read(file).items()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"{TYPE}\t/note\tmaybe null or string\n", ""),
        ("/note\tmaybe null or string", "/note\tmaybe string"),
        (released.DIGEST, "# "),
    ],
    ids=["a line cut", "a line changed", "the digest cut"],
)
def test_an_edit_by_hand_is_found(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    assert "edited by hand" in released.breaks({TYPE: First}, file)[0]
    assert "edited by hand" in released.breaks({TYPE: NoteGone}, file)[0]


@pytest.mark.parametrize("text", ["", None], ids=["emptied", "removed"])
def test_a_file_that_was_emptied_or_removed_is_found(file: Path, text: str | None) -> None:
    file.unlink()
    if text is not None:
        file.write_text(text)
    assert len(released.breaks({TYPE: First}, file)) == 1


def test_write_refuses_until_it_is_said_to_be_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "released.txt"
    once = {**released.fields_of(), (next(iter(MODELS)), "/promised"): "always string"}
    file.write_text(released.text_of(once), encoding="utf-8")
    monkeypatch.setattr(released, "FILE", file)
    monkeypatch.setattr(contracts, "expected", lambda: {file: released.extended_text()})
    before = file.read_text(encoding="utf-8")

    assert contracts.main(["check"]) == 1
    assert contracts.main(["write"]) == 1
    assert "/promised was released and is gone" in capsys.readouterr().err
    assert file.read_text(encoding="utf-8") == before

    assert contracts.main(["write", "--break"]) == 0
    assert released.read(file) == released.fields_of()
    assert contracts.main(["check"]) == 0
