"""python -m tests.programs.pack_mutants FOLDER: change the rules of regimes bit by bit; their own tests must notice.

Each operator, constant and connective of each formula, each tolerance and each of DHIS2's operators is changed alone.
SAMPLE=200 asks so many, chosen by SEED=7. Ends with 0 only if the tests notice at least nine in ten.
"""

from __future__ import annotations

import os
import random
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import yaml

from services.validator.rules.pack_compiler import PackError, compile_pack
from services.validator.rules.pack_tests import flaws_of
from shared.contract.events import Form, PackRule

#: the share of mutants that the tests of the packs must notice
WANTED = 0.9
_TOKEN = re.compile(r'"[^"]*"|\[[^\]]*\]|<=|>=|<>|[<>=+*/-]|\bAND\b|\bOR\b|\bNOT\b|\b[0-9]+(?:\.[0-9]+)?')
_OTHERS: dict[str, tuple[str, ...]] = {
    "<=": ("<", ">"), ">=": (">", "<"), "<": ("<=", ">"), ">": (">=", "<"), "=": ("<>",), "<>": ("=",),
    "+": ("-",), "-": ("+",), "*": ("+",), "/": ("*",), "AND": ("OR",), "OR": ("AND",), "NOT": ("",),
}  # fmt: skip
_DHIS2: dict[str, tuple[str, ...]] = {
    "equal_to": ("not_equal_to",), "not_equal_to": ("equal_to",),
    "greater_than": ("greater_than_or_equal_to", "less_than"), "less_than": ("less_than_or_equal_to", "greater_than"),
    "greater_than_or_equal_to": ("greater_than",), "less_than_or_equal_to": ("less_than",),
    "compulsory_pair": ("exclusive_pair",), "exclusive_pair": ("compulsory_pair",),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutant:
    """A rule with one thing changed; `change` says which."""

    rule: PackRule
    change: str


def mutants(rule: PackRule) -> Iterator[Mutant]:
    """All changes of the rule, one at a time."""
    for name in ("when", "assert_"):
        for text in changed(getattr(rule, name)):
            yield Mutant(rule.model_copy(update={name: text}), text)
    for name in ("left", "right"):
        side = getattr(rule, name)
        if side is not None:
            for text in changed(side.expression):
                yield Mutant(rule.model_copy(update={name: side.model_copy(update={"expression": text})}), text)
    for operator in _DHIS2.get(rule.operator or "", ()):
        yield Mutant(rule.model_copy(update={"operator": operator}), operator)
    for name in ("tolerance", "tolerance_percent"):
        if value := getattr(rule, name):
            for other in (Decimal(0), value * 10):
                yield Mutant(rule.model_copy(update={name: other}), f"{name} {other}")


def changed(formula: str) -> Iterator[str]:
    """The formula with one operator, constant or phrase changed."""
    for found in _TOKEN.finditer(formula):
        token = found[0]
        if token[0].isdigit():
            others: Sequence[str] = (str(Decimal(token) + 1), str(Decimal(token) * 2 + 3))
        elif token[0] == '"':
            others = ('"xyz xyz"',)
        else:
            others = _OTHERS.get(token, ())
        for other in others:
            yield formula[: found.start()] + other + formula[found.end() :]


def is_noticed(form: Form, mutant: Mutant) -> bool | None:
    """Whether a test of the rule notices the change; None: the changed formula is none."""
    alone = form.model_copy(update={"rules": (mutant.rule,)})
    try:
        pack = compile_pack(alone)
    except PackError:
        return None
    assert pack is not None
    for test in mutant.rule.tests:
        fired = any(flaw.rule.code == mutant.rule.id for flaw in flaws_of(pack, test))
        if fired != (mutant.rule.id in test.fires):
            return True
    return False


def survivors(forms: dict[str, Form], sample: int = 0, seed: int = 7) -> tuple[int, list[str]]:
    """How many mutants were asked, and those that no test noticed. sample: at most so many; 0: all."""
    made = [(name, form, mutant) for name, form in forms.items() for rule in form.rules for mutant in mutants(rule)]
    if sample and sample < len(made):
        made = random.Random(seed).sample(made, sample)
    asked, survived = 0, []
    for name, form, mutant in made:
        noticed = is_noticed(form, mutant)
        asked += noticed is not None
        if noticed is False:
            survived.append(f"{name} {mutant.rule.id}: {mutant.change}")
    return asked, survived


def forms_in(folder: Path) -> dict[str, Form]:
    """The forms of the regimes in a folder."""
    return {
        path.stem: Form.model_validate(yaml.load(path.read_text("utf-8"), Loader=yaml.BaseLoader)["form"])
        for path in sorted(folder.glob("*.yaml"))
    }


def main(arguments: Sequence[str]) -> int:
    folder = Path(arguments[0] if arguments else "deploy/sample/regimes")
    asked, survived = survivors(forms_in(folder), int(os.environ.get("SAMPLE", "0")), int(os.environ.get("SEED", "7")))
    for line in survived:
        print(line)
    share = 1 - len(survived) / asked if asked else 0
    print(f"rules: {asked:,} mutants, {len(survived):,} that no test notices ({share:.1%} noticed)")
    return 0 if share >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
