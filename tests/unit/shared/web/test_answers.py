"""What a route answers is what its document says: nothing more, nothing less, each value as it is sent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec import Struct
from sqlalchemy import ARRAY, Column, Integer, LargeBinary, MetaData, Table, Text, Uuid

from shared.web.answers import many, of_columns, of_model, of_struct, page_of
from tests.unit.shared.web.asking import ask, bare_app

TABLE = Table(
    "things",
    MetaData(),
    Column("id", Uuid, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("note", Text),
    Column("names", ARRAY(Text), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("secret", Text, nullable=False),
)
Thing = of_columns("Thing", TABLE, ("id", "count", "note", "names", "body"))


class Inner(Struct):
    points: Decimal


class Outer(Struct):
    inners: tuple[Inner, ...]
    last: Inner | None = None


def properties(model: Any) -> dict[str, Any]:
    found: dict[str, Any] = model.model_json_schema()
    return found


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"a": 1}, 200),
        ({"a": 1, "secret": "x"}, 500),
        ({}, 500),
    ],
    ids=["as said", "more than said", "less than said"],
)
async def test_an_answer_that_the_document_does_not_know_is_an_error(answer: dict[str, Any], status: int) -> None:
    app, table = bare_app(), Table("t", MetaData(), Column("a", Integer, nullable=False))

    async def read() -> dict[str, Any]:
        return answer

    app.add_api_route("/v1/thing", read, response_model=of_columns("A", table, ("a",)))
    answered = await ask(app, "GET", "/v1/thing")
    assert answered.status_code == status
    assert "secret" not in answered.text


def test_a_table_gives_the_columns_that_are_named_with_their_types() -> None:
    schema = properties(Thing)
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["id", "count", "note", "names", "body"]
    types = {name: field.get("type") or field.get("anyOf") for name, field in schema["properties"].items()}
    assert types == {
        "id": "string",
        "count": "integer",
        "note": [{"type": "string"}, {"type": "null"}],
        "names": "array",
        "body": "string",
    }
    with pytest.raises(KeyError):
        of_columns("Wrong", TABLE, ("no_such_column",))


def test_a_struct_gives_models_within_and_decimals_as_text() -> None:
    made = of_struct(Outer).model_validate({"inners": [{"points": "1.50"}], "last": None})
    assert made.model_dump() == {"inners": [{"points": "1.50"}], "last": None}
    with pytest.raises(ValueError, match="Extra inputs"):
        of_struct(Outer).model_validate({"inners": [{"points": "1.50", "secret": 1}]})


def test_a_page_and_a_model_of_another_keep_what_they_hold_closed() -> None:
    page = page_of("Things", of_model("Short", Thing, ("body", "names"), parts=many(of_struct(Inner))))
    fields = properties(page)["$defs"]["Short"]
    assert set(fields["properties"]) == {"id", "count", "note", "parts"}
    assert fields["additionalProperties"] is False
    assert properties(page)["required"] == ["items", "next"]
