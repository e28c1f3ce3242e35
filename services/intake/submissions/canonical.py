"""The canonical form of a report, which its sender can make too: RFC 8785 (JSON Canonicalization Scheme).

Figures are text, digit for digit, so no number ever has to be written in one particular way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


def canonical(value: Any) -> bytes:
    """RFC 8785 of a value of objects with ASCII names, text, booleans, null and whole numbers below 2^53 alone.

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
) -> bytes:
    """What a report says, whatever its white space, the order of its members, and how its text was escaped."""
    content: dict[str, Any] = {
        "figures": figures,
        "narratives": narratives,
        "nil": nil,
        "officer": officer,
        "period": period,
        "regime": regime,
    }
    given = {"nil_reason": nil_reason, "declines": declines, "refer_to": refer_to}
    return canonical(content | {name: text for name, text in given.items() if text})
