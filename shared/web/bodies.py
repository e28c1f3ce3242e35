"""The base of every JSON body that FastAPI reads: a text that no database can store is refused where it stands.

PostgreSQL stores neither NUL nor half of a surrogate pair. Without this a body that has one fails at the first
statement it reaches, as an unforeseen error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, Self, cast

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

#: errors of one body that are told
MOST_TOLD = 100
#: type of the error; its words are in shared/web/validation.py
NOT_STORABLE = "not_storable"
_CANNOT_BE_STORED = re.compile("[\x00\ud800-\udfff]")


class Body(BaseModel):
    """A JSON body; members that it does not know are errors."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="wrap")
    @classmethod
    def _is_storable(cls, given: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        faults = [_detail(NOT_STORABLE, "cannot be stored", place) for place in islice(not_storable(given), MOST_TOLD)]
        if not faults:
            return read(given)
        try:
            read(given)
        except ValidationError as others:  # all that is wrong is told at once
            faults += [_detail(one["type"], one["msg"], one["loc"], one.get("ctx")) for one in others.errors()]
        raise ValidationError.from_exception_data(cls.__name__, faults)


def _detail(
    kind: str, message: str, place: tuple[int | str, ...], context: dict[str, Any] | None = None
) -> InitErrorDetails:
    error = PydanticCustomError(cast(Any, kind), cast(Any, message), context)
    return InitErrorDetails(type=error, loc=place, input=None)


def not_storable(given: object) -> Iterator[tuple[int | str, ...]]:
    """The places of the texts, and of the members whose names, cannot be stored; one for each."""
    ahead: list[tuple[tuple[int | str, ...], object]] = [((), given)]
    while ahead:
        place, value = ahead.pop()
        if isinstance(value, str):
            if _CANNOT_BE_STORED.search(value):
                yield place
        elif isinstance(value, list):
            ahead += [((*place, number), item) for number, item in enumerate(value)]
        elif isinstance(value, dict):
            for name, item in value.items():
                if _CANNOT_BE_STORED.search(name):
                    yield place
                else:
                    ahead.append(((*place, name), item))
