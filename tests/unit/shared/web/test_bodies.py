"""A text that no database stores is refused where it stands, together with all else that is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.exceptions import RequestValidationError
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from shared.web.bodies import MOST_TOLD, Body, not_storable
from shared.web.validation import problem_of


class Asked(Body):
    title: str = Field(max_length=5)
    agencies: list[str] = Field(default_factory=list)
    form: dict[str, Any] | None = None


def told(body: object) -> list[tuple[str, str]]:
    """Pointer and English message of each error of the problem."""
    with pytest.raises(ValidationError) as caught:
        Asked.model_validate(body)
    errors = [{**error, "loc": ("body", *error["loc"])} for error in caught.value.errors()]
    return [(error.pointer, error.message_en) for error in problem_of(RequestValidationError(errors)).errors]


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"title": "a\x00b"}, ["/title"]),
        ({"title": "a", "agencies": ["H99", "\ud800"]}, ["/agencies/1"]),
        ({"title": "a", "form": {"x": [{"y": "\udfff"}]}}, ["/form/x/0/y"]),
        ({"title": "a", "form": {"a\x00": 1, "b\x00": 2}}, ["/form", "/form"]),
    ],
)
def test_what_cannot_be_stored_is_told_with_its_place(body: object, pointers: list[str]) -> None:
    found = told(body)
    assert [pointer for pointer, _ in found] == pointers
    assert all("NUL" in message for _, message in found)


def test_all_that_is_wrong_is_told_at_once() -> None:
    found = told({"title": "\x00 too long", "agencies": 3, "more": 1})
    assert [pointer for pointer, _ in found] == ["/title", "/title", "/agencies", "/more"]
    assert found[1][1] == "Too long: at most 5 characters."


def test_what_can_be_stored_is_read() -> None:
    assert Asked.model_validate({"title": "Tốt 😀"}).title == "Tốt 😀"


def test_few_of_many_are_told() -> None:
    assert len(told({"title": "a", "agencies": ["\x00"] * 10_000})) == MOST_TOLD


_JSON = st.recursive(
    st.none() | st.integers() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(_JSON)
def test_it_finds_what_postgresql_would_not_take(given_body: object) -> None:
    def storable(value: object) -> bool:
        if isinstance(value, str):
            try:
                return "\x00" not in value.encode().decode()
            except UnicodeEncodeError:
                return False
        if isinstance(value, dict):
            return all(storable(name) and storable(item) for name, item in value.items())
        return all(map(storable, value)) if isinstance(value, list) else True

    assert (list(not_storable(given_body)) == []) == storable(given_body)
