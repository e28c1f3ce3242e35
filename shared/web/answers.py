"""Response models made of what is answered: a table's columns, a struct's fields, an event's fields.

A route that answers with rows states their columns once, in its query's table; the model follows it. An answer that its
model does not know is an error, so the OpenAPI document always says what is sent.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Collection
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from pydantic import BaseModel, ConfigDict, create_model
from sqlalchemy import ARRAY, Column, Table, Uuid
from sqlalchemy.dialects.postgresql import JSON, JSONB


class Answer(BaseModel):
    """The base of response models: closed, so that no field is sent that the document does not name."""

    model_config = ConfigDict(extra="forbid")


def page_of(name: str, item: type[BaseModel] | Any) -> type[Answer]:
    """A page of a list of `item`; `next` is the cursor of the next page, null on the last."""
    return create_model(name, __base__=Answer, items=many(item), next=(str | None, ...))


def many(item: type[BaseModel] | Any) -> Any:
    """A required list of `item`, as a field of `create_model`."""
    return list[item], ...  # type: ignore[valid-type]


def of_columns(name: str, table: Table, columns: Collection[str], **more: Any) -> type[Answer]:
    """A model of these columns of a table. `more`: further fields, or other types, as pydantic's `create_model` takes.

    Raises KeyError for a column that the table lacks.
    """
    fields: dict[str, Any] = {column: (_type_of(table.columns[column]), ...) for column in columns}
    return create_model(name, __base__=Answer, **{**fields, **more})


def of_struct(struct: type[msgspec.Struct], name: str = "", **more: Any) -> type[Answer]:
    """A model of a msgspec struct as `msgspec.structs.asdict` gives it; structs within it become models too."""
    fields: dict[str, Any] = {
        field.name: (
            _of_hint(field.type),
            ... if field.required or field.default is msgspec.NODEFAULT else field.default,
        )
        for field in msgspec.structs.fields(struct)
    }
    return create_model(name or f"{struct.__name__}View", __base__=Answer, **{**fields, **more})


def of_model(name: str, model: type[BaseModel], leave_out: Collection[str] = (), **more: Any) -> type[Answer]:
    """A model with the fields of another but for some."""
    fields: dict[str, Any] = {
        field: (info.annotation, info) for field, info in model.model_fields.items() if field not in leave_out
    }
    return create_model(name, __base__=Answer, **{**fields, **more})


def _type_of(column: Column[Any]) -> Any:
    match column.type:
        case ARRAY():
            kind: Any = list[str]
        case JSON() | JSONB():
            kind = Any
        case Uuid():
            kind = UUID
        case _:
            kind = column.type.python_type
    if kind is bytes:
        kind = str  # base64
    return kind | None if column.nullable and kind is not Any else kind


def _of_hint(hint: Any) -> Any:
    """The type hint with models in place of structs, and decimals as the text they are sent as."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return of_struct(hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return typing.Union[tuple(map(_of_hint, arguments))]  # noqa: UP007 - made at run time
    if origin is tuple and arguments[1:] == (...,):
        return list[_of_hint(arguments[0])]  # type: ignore[misc]
    return str if hint is Decimal else hint
