"""Strict JSON for the slow reading: numbers keep their text, a key given twice and a NaN are errors, never guesses."""

from __future__ import annotations

import json
from typing import Any

from services.intake.body_errors import Errors


class NumberText(str):
    """The text of a JSON number, digit for digit."""

    __slots__ = ()


class _NotJson(ValueError):
    pass


def parse(body: bytes, errors: Errors) -> Any:
    """The document in `body`: dicts, lists, str, NumberText, bool, None. On bad JSON: None, and one error told."""

    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        read = dict(members)
        if len(read) != len(members):
            seen: set[str] = set()
            for name, _ in members:
                if name in seen:
                    errors.duplicate(name)
                seen.add(name)
        return read

    def constant(name: str) -> Any:
        raise _NotJson(name)

    try:
        return json.loads(
            body.decode("utf-8"),
            object_pairs_hook=pairs,
            parse_int=NumberText,
            parse_float=NumberText,
            parse_constant=constant,
        )
    except UnicodeDecodeError as error:
        errors.not_json(f"byte {error.start}", "không phải UTF-8", "not UTF-8")
    except json.JSONDecodeError as error:
        errors.not_json(f"dòng/line {error.lineno}, cột/column {error.colno}", "sai cú pháp", error.msg)
    except _NotJson as error:
        errors.not_json(str(error), "không phải giá trị JSON", "not a JSON value")
    except RecursionError:
        errors.not_json("", "lồng quá sâu", "nested too deeply")
    return None
