"""The canonical form of a report, which its sender can make too: RFC 8785 (JSON Canonicalization Scheme).

Figures are text, digit for digit, so no number ever has to be written in one particular way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

#: the rows of each table, cells by column, each the text that was sent
Tables = Mapping[str, Sequence[Mapping[str, str | None]]]


def canonical(value: Any) -> bytes:
    """RFC 8785 of a value of objects with ASCII names, lists, text, booleans, null and whole numbers below 2^53 alone.

    Of such a value msgspec's sorted encoding is the canonical one; a test compares the two.
    """
    return msgspec.json.encode(value, order="sorted")


def content_of(
    *,
    regime: str,
    period: str,
    officer: str,
    nil: bool,
    figures: Mapping[str, str | None],
    narratives: Mapping[str, str],
    nil_reason: str = "",
    declines: str = "",
    refer_to: str = "",
    tables: Tables | None = None,
) -> bytes:
    """What a report says, whatever its white space, the order of its members, and how its text was escaped.

    What few reports have (`nil_reason`, `declines`, `refer_to`, `tables`) is a member only where it is said.
    """
    content: dict[str, Any] = {
        "figures": figures,
        "narratives": narratives,
        "nil": nil,
        "officer": officer,
        "period": period,
        "regime": regime,
    }
    given = {"nil_reason": nil_reason, "declines": declines, "refer_to": refer_to, "tables": tables}
    return canonical(content | {name: value for name, value in given.items() if value})
