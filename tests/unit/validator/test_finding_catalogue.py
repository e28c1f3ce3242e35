"""The catalogue is what agencies build on: it is documented, complete in both languages, and written in Vietnamese."""

from __future__ import annotations

import string
import unicodedata
from pathlib import Path

import pytest

from services.validator.rules.catalogue import RULES, Rule
from services.validator.rules.page import document

_PAGE = Path(__file__).parents[3] / "docs" / "findings.md"


def test_the_page_of_finding_codes_is_the_catalogue() -> None:
    assert _PAGE.read_text(encoding="utf-8") == document(), "python -m services.validator findings > docs/findings.md"


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_each_rule_speaks_both_languages_with_composed_letters(rule: Rule) -> None:
    for text in (rule.meaning, rule.meaning_en, rule.message, rule.message_en, rule.fix, rule.fix_en):
        assert text.strip()
        assert unicodedata.is_normalized("NFC", text)
    for vietnamese in (rule.meaning, rule.message):
        assert any(ord(letter) > 127 for letter in vietnamese)
    for english in (rule.meaning_en, rule.message_en, rule.fix_en):
        assert not any("\u00c0" <= letter <= "\u1ef9" for letter in english), english


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_both_languages_of_a_rule_tell_the_same_facts(rule: Rule) -> None:
    def facts(template: str) -> set[str]:
        return {name.removesuffix("_en") for _, name, _, _ in string.Formatter().parse(template) if name}

    assert facts(rule.message) == facts(rule.message_en)
    assert facts(rule.fix) == facts(rule.fix_en)
