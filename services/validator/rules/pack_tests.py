"""Runs the tests that come with the rules of a form: rules that do not do what their tests say are not published.

A test judges by the rules alone, so it holds no more of a report than they need.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from services.validator.rules.catalogue import RULES_NOT_CHECKED
from services.validator.rules.flaws import Flaw
from services.validator.rules.packs import Pack
from shared.contract.events import Form, RuleTest
from shared.contract.events.rules import RuleVerdict


class FailedTest(NamedTuple):
    """A test of a rule that the rules do not pass. `place`: JSON Pointer into the regime."""

    place: str
    message: str
    message_en: str


def run_tests(form: Form, pack: Pack) -> Iterator[FailedTest]:
    """Run every test of the pack. A test judges by the pack alone: what the form itself demands is not asked."""
    for place, rule in enumerate(form.rules):
        for number, test in enumerate(rule.tests):
            at = f"/form/rules/{place}/tests/{number}"
            flaws = flaws_of(pack, test)
            fired = sorted({flaw.rule.code for flaw in flaws if flaw.rule is not RULES_NOT_CHECKED})
            if fired != sorted(test.fires):
                why = _reasons(flaws)
                yield FailedTest(
                    f"{at}/fires",
                    f"Quy tắc {rule.id}, phép thử {number + 1}: mong đợi {_codes(test.fires, 'không quy tắc nào')}, "
                    f"thực tế {_codes(fired, 'không quy tắc nào')}.{why[0]}",
                    f"Rule {rule.id}, test {number + 1}: expected {_codes(test.fires, 'no rule')} to fire, but "
                    f"{_codes(fired, 'no rule')} did.{why[1]}",
                )
            elif (verdict := verdict_of(flaws)) != test.verdict:
                yield FailedTest(
                    f"{at}/verdict",
                    f"Quy tắc {rule.id}, phép thử {number + 1}: mong đợi {test.verdict}, thực tế {verdict}.",
                    f"Rule {rule.id}, test {number + 1}: expected {test.verdict}, got {verdict}.",
                )


def flaws_of(pack: Pack, test: RuleTest) -> list[Flaw]:
    """What the pack says of the report of a test."""
    flaws: list[Flaw] = []
    references = pack.references_of(test)
    pack.check(
        pack.numbers(test.figures), test.figures, test.tables, flaws, narratives=test.narratives, references=references
    )
    if pack.looks_back:
        previous, year_ago = (
            None if given is None else {code: text for code, text in given.items() if text is not None}
            for given in (test.previous, test.year_ago)
        )
        reports = {
            regime: {code: text for code, text in given.items() if text is not None}
            for regime, given in test.reports.items()
        }
        pack.look_back(
            test.figures, previous, year_ago, flaws,
            tables=test.tables, narratives=test.narratives, reports=reports, references=references,
            children=_told(test.children),
        )  # fmt: skip
    return flaws


def _told(children: Sequence[Mapping[str, str | None]] | None) -> list[dict[str, str]] | None:
    if children is None:
        return None
    return [{code: text for code, text in given.items() if text is not None} for given in children]


def verdict_of(flaws: Iterable[Flaw]) -> RuleVerdict:
    found = list(flaws)
    if any(flaw.is_error for flaw in found):
        return "returned"
    return "to_explain" if any(flaw.rule.explain for flaw in found) else "accepted"


def _reasons(flaws: Iterable[Flaw]) -> tuple[str, str]:
    said = [flaw.words for flaw in flaws if flaw.rule is RULES_NOT_CHECKED]
    return (
        "".join(f" Chưa kiểm tra được {words['rules']}: {words['reason']}." for words in said),
        "".join(f" Not checked: {words['rules']}: {words['reason_en']}." for words in said),
    )


def _codes(codes: Sequence[str], none: str) -> str:
    return ", ".join(codes) or none
