"""`check`: whether reports could be judged by a regime's form. The compiler and the judgement are those of `serve`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from services.validator.domain import judge
from services.validator.formula import Field, FormulaError, Remark, RuleFormulas, caret, lint, parse
from services.validator.references import reference_of
from services.validator.rules.forms import CompiledForm, FormError, compile_form
from services.validator.rules.pack_compiler import (
    Elsewhere,
    PackError,
    compile_pack,
    fields_of_table,
    figures_of_form,
    names_of,
)
from services.validator.rules.pack_tests import run_tests
from shared.contract.checking import Look, Objection, main
from shared.contract.events import Form, ReferenceTablePublished, RegimePublished, RegistryEvent

#: remarks of the lint for which a form is not published
_WRONG = frozenset({"never_holds", "holds_its_total", "circle"})


def command(arguments: Sequence[str]) -> int:
    """The command `check`; as `python -m …check` it starts without the rest of the service."""
    return main("validator", checker, arguments)


def checker(look: Look) -> Callable[[RegistryEvent], Iterable[Objection]]:
    regimes: dict[str, dict[str, Field]] = {}
    references: dict[str, dict[str, Field]] = {}
    for record in look.all:
        match record:
            case RegimePublished():
                regimes.setdefault(record.code, {}).update(figures_of_form(record.form))
            case ReferenceTablePublished():
                references.setdefault(record.code, {}).update(fields_of_table(record))
    return partial(_check, elsewhere=Elsewhere(regimes, references))


def _check(record: RegistryEvent, elsewhere: Elsewhere) -> Iterator[Objection]:
    if isinstance(record, ReferenceTablePublished):
        reference_of(record.columns, record.rows)
    if isinstance(record, RegimePublished):
        form = Form.model_validate_json(record.form.model_dump_json())  # as it is stored and read
        refused = False
        for objection in objections(form, elsewhere):
            refused = True
            yield objection
        if not refused:
            yield from remarks(form)


def objections(form: Form, elsewhere: Elsewhere | None = None) -> Iterator[Objection]:
    """All that keeps the form from being published: tests that its rules do not pass, rules that say nothing.

    elsewhere: figures of other regimes and reference tables; None: what rules name is taken to be there.
    """
    try:
        pack = compile_pack(form, elsewhere)
    except PackError as error:
        for problem in error.problems:
            marks = f"\n{problem.marks}" if problem.marks else ""
            yield Objection(
                problem.place,
                f"Quy tắc sai: {problem.message}{marks}",
                f"A rule is wrong: {problem.message_en}",
                "Sửa quy tắc tại chỗ được đánh dấu; xem docs/rules.md.",
                "Correct the rule where it is marked; see docs/rules.md.",
            )
        return
    try:
        compiled = compile_form(form)
    except FormError as error:
        yield Objection(
            "/form",
            f"Không kiểm tra được báo cáo nào theo biểu mẫu này: {error}.",
            f"No report could be judged by this form: {error}.",
            "Sửa biểu mẫu.",
            "Correct the form.",
        )
        return
    if pack is not None:
        for failed in run_tests(form, pack):
            yield Objection(
                failed.place,
                failed.message,
                failed.message_en,
                "Sửa quy tắc, hoặc sửa phép thử.",
                "Correct the rule or its test.",
            )
    yield from (_objection(form, remark) for remark in _looked_over(form) if _says_nothing(remark))
    yield from _of_example(form, compiled)
    judge(compiled, {}, {}, nil=False)
    judge(compiled, {}, {}, nil=True)
    judge(compiled, dict.fromkeys(compiled.figure_codes, "1"), dict.fromkeys(compiled.narrative_codes, "…"), nil=False)
    rows = {table.code: [dict.fromkeys(table.column_codes, "?")] for table in compiled.tables}
    judge(compiled, {}, {}, rows, nil=False)


def remarks(form: Form) -> Iterator[Objection]:
    """What the rules of a form that has no objections may not mean; they are published all the same."""
    for remark in _looked_over(form):
        if not _says_nothing(remark):
            yield replace(_objection(form, remark), remark=True)


def _looked_over(form: Form) -> list[Remark]:
    """The lint of the form's rules. Those of DHIS2's shape are not looked at."""
    formulas = [
        RuleFormulas(
            rule.id,
            parse(rule.assert_),
            parse(rule.when) if rule.when else None,
            tolerance=bool(rule.tolerance or rule.tolerance_percent),
        )
        for rule in form.rules
        if rule.assert_
    ]
    return lint(formulas, names_of(form))


def _says_nothing(remark: Remark) -> bool:
    """Whether the rule is certainly wrong: it finds fault with every report, or with none, or defines itself."""
    return remark.code in _WRONG or (remark.code == "always_holds" and remark.part == "assert")


def _objection(form: Form, remark: Remark) -> Objection:
    place, rule = next((place, rule) for place, rule in enumerate(form.rules) if rule.id == remark.rule)
    text = rule.when if remark.part == "when" else rule.assert_
    marks = caret(text, FormulaError(remark.message_vi, remark.message_en, remark.start, remark.end))
    return Objection(
        f"/form/rules/{place}/{remark.part}",
        f"Quy tắc {rule.id}: {remark.message_vi}\n{marks}",
        f"Rule {rule.id}: {remark.message_en}",
        "Sửa công thức tại chỗ được đánh dấu, hoặc bỏ quy tắc; xem docs/rules.md.",
        "Correct the formula where it is marked, or drop the rule; see docs/rules.md.",
    )


def _of_example(form: Form, compiled: CompiledForm) -> Iterator[Objection]:
    """What is wrong with the figures that agencies will be shown. Rules that look back find nothing to look back to."""
    if form.example is None:
        return
    for finding in judge(compiled, form.example, {}, nil=False).findings:
        if finding.path == "/figures" or finding.path.startswith("/figures/"):
            yield Objection(
                "/form/example",
                f"Ví dụ của biểu mẫu bị {finding.code}: {finding.message}",
                f"The form's example meets {finding.code}: {finding.message_en}",
                "Sửa ví dụ để biểu mẫu và các quy tắc chấp nhận, hoặc bỏ ví dụ.",
                "Correct the example so that the form and its rules accept it, or leave it out.",
            )


if __name__ == "__main__":
    raise SystemExit(command(sys.argv[1:]))
