"""A flaw is a finding before it is put into words; only flaws that are listed cost words.

Whatever was sent, its texts leave here short, without NUL and without lone surrogates: PostgreSQL takes neither, and
one hostile report must not turn into an event that nobody can store.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from services.validator.rules.catalogue import Rule
from shared.contract.events import Finding, Severity

PROVIDED_CHARACTERS = 200

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\u3164\ufe0f\ufeff"
    "\uffa0\ud800-\udfff]"
)


class Flaw(NamedTuple):
    """One thing wrong. `words` fill the templates of the rule, beside provided, expected and difference.

    `severity`: where the regime chooses it; None is the rule's.
    """

    rule: Rule
    path: str
    words: dict[str, str]
    provided: str | None = None
    expected: str | None = None
    difference: str | None = None
    severity: Severity | None = None

    @property
    def is_error(self) -> bool:
        return (self.severity or self.rule.severity) == "error"

    @property
    def rank(self) -> tuple[bool, int]:
        """Where its finding stands in a verdict: errors before warnings, then by tier."""
        return (not self.is_error, self.rule.tier_rank)


def shown(text: str, limit: int = PROVIDED_CHARACTERS) -> str:
    """The text as people may see it: control characters as \\uXXXX, at most `limit` characters and an ellipsis."""
    cut = text if len(text) <= limit else text[:limit] + "…"
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", cut)


def pointer(*steps: str) -> str:
    """JSON Pointer (RFC 6901) to a member of the submission: `~` is written `~0` and `/` is written `~1`."""
    return "".join("/" + shown(step).replace("~", "~0").replace("/", "~1") for step in steps)


def render(flaw: Flaw) -> Finding:
    """The flaw in words, Vietnamese and English."""
    rule = flaw.rule
    fix, fix_en = rule.ask if rule.ask and not flaw.is_error else (rule.fix, rule.fix_en)
    words = {"provided": flaw.provided, "expected": flaw.expected, "difference": flaw.difference, **flaw.words}
    return Finding.model_construct(
        code=rule.code,
        tier=rule.tier,
        severity=flaw.severity or rule.severity,
        path=flaw.path,
        provided=flaw.provided,
        expected=flaw.expected,
        difference=flaw.difference,
        message=rule.message.format_map(words),
        message_en=rule.message_en.format_map(words),
        fix=fix.format_map(words),
        fix_en=fix_en.format_map(words),
        legal_basis=rule.legal_basis,
        weight="error" if flaw.is_error else "confirm" if rule.explain or rule.ask else "info",
        explain=rule.explain,
    )
