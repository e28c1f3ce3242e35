"""Rows that a statement does not order come in another order than the heap's, so that a test that counts on it fails.

PostgreSQL mostly gives small tables back as they were written, until it does not. A statement without ORDER BY has its
rows turned round, and one that orders a single table has those turned round that it does not tell apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

_ORDER = re.compile(r"\border\s+by\b", re.I)
_LIMIT = re.compile(r"\b(limit|offset|for)\b", re.I)
#: one table of our own in an order; what is grouped, joined or made one has no place in the heap
_ONE_TABLE = re.compile(
    r"\s*select\s(?!\s*distinct\b)((?!\b(from|over)\b).)*\bfrom\s+(?!pg_)\w+(\s+(as\s+)?(?!where|order|join)\w+)?\s+"
    r"(where\s((?!\b(group|having|union|except|intersect)\b).)*)?order\s+by\b",
    re.I | re.S,
)


async def rows_of(tx: AsyncConnection, statement: str, parameters: Mapping[str, Any]) -> list[Row[Any]]:
    """What the statement finds, in the order that it states and in no other."""
    rows = list((await tx.execute(text(turned(statement)), parameters)).all())
    return rows if is_ordered(statement) else rows[::-1]


def is_ordered(statement: str) -> bool:
    """Whether the statement itself states an order, not only a part of it."""
    return _ORDER.search(_outside(statement)) is not None


def turned(statement: str) -> str:
    """The statement, with those rows turned round that its order does not tell apart; else unchanged."""
    outside = _outside(statement)
    if _ONE_TABLE.match(outside) is None:
        return statement
    *_, order = _ORDER.finditer(outside)
    limit = _LIMIT.search(outside, order.end())
    end = limit.start() if limit else len(statement)
    return f"{statement[:end].rstrip()}, ctid DESC {statement[end:]}".rstrip()


def _outside(statement: str) -> str:
    """The statement with blanks for what stands in parentheses or quotes, each character in its place."""
    found, depth, quoted = [], 0, False
    for character in statement:
        quoted ^= character == "'"
        depth -= character == ")" and not quoted
        found.append(" " if depth or quoted or character == "'" else character)
        depth += character == "(" and not quoted
    return "".join(found)
