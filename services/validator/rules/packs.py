"""The rules of a form (gói quy tắc), compiled once and asked of each report after the built-in checks.

A rule that lacks what it needs is skipped, as its missing strategy says; one that cannot be evaluated is said to be so,
once, and stops no other. A wrong or missing figure has its own finding, so rules about it keep silent. Rules that look
back to earlier periods are asked later (`look_back`), when those reports are at hand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

from services.validator.formula import (
    BLANK,
    CannotEvaluate,
    Context,
    Field,
    Tolerance,
    Type,
    Value,
    compare,
    each_row,
    pair_holds,
    written,
)
from services.validator.formula.check import Fields
from services.validator.formula.context import Reference
from services.validator.formula.generating import Asked, Generated, generate
from services.validator.formula.values import NUMBERS, minus
from services.validator.rules.catalogue import RULES_NOT_CHECKED, Rule
from services.validator.rules.flaws import Flaw, shown
from services.validator.rules.numbers import is_blank, plainly, value_of
from shared.contract.events import Form, RuleTest, Tier
from shared.contract.events.registry import ColumnType
from shared.contract.period import PeriodError, first_day
from shared.contract.period import parse as parse_period
from shared.contract.text import nfc
from shared.runtime.english import counted

#: rows of a table that one rule tells of, each by itself; the rest it counts
LISTED_ROWS = 20
_LISTED_RULES = 20
_NUMBERS: frozenset[ColumnType] = frozenset({"integer", "decimal", "percent"})
_UNREAD = CannotEvaluate("not_available", "Có ô của bảng chưa đọc được.", "A cell of a table cannot be read.")

_NO_TEXTS: Mapping[str, str] = MappingProxyType({})
_NO_REPORTS: Mapping[str, Mapping[str, str]] = MappingProxyType({})
_NO_REFERENCES: Mapping[str, Reference] = MappingProxyType({})

Evaluate = Callable[[Context], Value]
#: is told what is judged next: the tier, and the code of the rule
Enter = Callable[[Tier, str], None]
Row = Mapping[str, str | None]
Cells = dict[str, Value | None]


class Explained(NamedTuple):
    """What a rule says of a report, and the values that it comes from: formula, value."""

    id: str
    answer: str
    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule ready to be asked. `holds` compares `left` and `right`, or `left` alone is true or false."""

    rule: Rule
    more_rows: Rule  # what is said of rows beyond those that are listed
    path: str
    table: str
    identified_by: tuple[str, ...]  # columns that name a row
    when: Evaluate | None
    left: Evaluate
    right: Evaluate | None
    operator: str
    tolerance: Tolerance
    asked: Asked | None  # its formulas, where it is asked of the whole report
    expected: Evaluate | None
    provided: Evaluate | None
    operands: tuple[Evaluate, ...]  # {0}, {1} … of the messages
    figures: frozenset[str]  # all that it names of this report
    columns: frozenset[tuple[str, str]]
    since: date | None
    until: date | None
    looks_back: bool  # to other reports: of earlier periods, or under other regimes
    refers_to: frozenset[str]  # these regimes
    adds_up: frozenset[str]  # figures whose values it adds up over the agencies beneath
    looks_up: frozenset[str]  # codes of reference tables
    shown: tuple[tuple[str, Evaluate], ...]  # its formulas and what they name, for explaining

    @property
    def informs(self) -> bool:
        """Whether it neither returns a report nor asks for an explanation."""
        return self.rule.severity != "error" and not self.rule.explain


class Pack:
    """The rules of one form."""

    def __init__(
        self, form: Form, rules: Sequence[CompiledRule], references: Mapping[str, Fields] = MappingProxyType({})
    ) -> None:
        self.references = references  # columns of the reference tables that rules may name
        text = "\n".join(rule.model_dump_json() for rule in form.rules)
        self.checksum = hashlib.sha256(text.encode()).hexdigest()[:12]
        self.rules = tuple(rules)
        self.now = tuple(rule for rule in rules if not rule.looks_back)
        self.later = tuple(rule for rule in rules if rule.looks_back)
        self.looks_back = bool(self.later)
        self.refers_to = frozenset(regime for rule in rules for regime in rule.refers_to)
        self.adds_up = frozenset(code for rule in rules for code in rule.adds_up)
        self.looks_up = frozenset(table for rule in rules for table in rule.looks_up)
        self._dated = any(rule.since or rule.until for rule in rules)
        self._of_tables = frozenset(table for rule in rules for table, _ in rule.columns)
        self._columns = {
            table.code: {column.code: column.type for column in table.columns}
            for table in form.tables
            if table.code in self._of_tables
        }
        self._max_rows = {table.code: table.max_rows for table in form.tables}
        named = frozenset(code for rule in rules for code in rule.figures)
        self._texts = frozenset(figure.code for figure in form.figures if figure.kind == "text")
        self._texts_named = self._texts & named
        narratives = frozenset(narrative.code for narrative in form.narratives)
        self._narratives = narratives & named
        numbers = frozenset(figure.code for figure in form.figures if figure.kind != "text")
        self._numbers, self._read_as_texts = numbers - narratives, self._texts | narratives - numbers

    def check(
        self,
        values: Mapping[str, Decimal],
        figures: Mapping[str, str | None],
        tables: Mapping[str, Sequence[Row]],
        flaws: list[Flaw],
        *,
        period: str = "",
        narratives: Mapping[str, str] = _NO_TEXTS,
        references: Mapping[str, Reference] = _NO_REFERENCES,
        enter: Enter | None = None,
    ) -> None:
        """Add a flaw for each rule that does not hold. `values`: the figures that could be read.

        `references`: the reference tables in force, by their code. `enter` is told of each rule before it is asked.
        """
        if not self.now:
            return
        known = self._known(values, figures, narratives)
        rules = self.now
        if enter is None:
            rules = _unsure(rules, self._generated_now, known)
        if rules:
            cells = self._cells(tables) if self._of_tables else {}
            context = Context(figures=known, tables=cells, lookup=references.get)
            self._ask(rules, context, self._unread(values, figures), flaws, period, enter)

    def look_back(
        self,
        figures: Mapping[str, str | None],
        previous: Mapping[str, str] | None,
        year_ago: Mapping[str, str] | None,
        flaws: list[Flaw],
        *,
        period: str = "",
        tables: Mapping[str, Sequence[Row]] | None = None,
        narratives: Mapping[str, str] = _NO_TEXTS,
        reports: Mapping[str, Mapping[str, str]] = _NO_REPORTS,
        references: Mapping[str, Reference] = _NO_REFERENCES,
        children: Sequence[Mapping[str, str]] | None = None,
        enter: Enter | None = None,
    ) -> None:
        """Add a flaw for each rule about other reports that does not hold. None: no such report was accepted yet.

        `reports`: the figures of the agency's accepted reports under other regimes, by the regime's code. `children`:
        those of the accepted reports of the agencies beneath; None: not all of them have come. `enter` is told of each
        rule before it is asked, but for those that surely hold.
        """
        rules = self.later
        quick = self._generated_later
        if quick.sure_of:
            rules = _unsure(
                rules,
                quick,
                self._known(_read(figures, quick.figures & self._numbers), figures, narratives),
                None if previous is None else _read(previous, quick.others),
                None if year_ago is None else _read(year_ago, quick.others),
            )
        if not rules:
            return
        values = self.numbers(figures)
        others = {regime: numbers(given) for regime, given in reports.items()}
        context = Context(
            figures=self._known(values, figures, narratives),
            tables=self._cells(tables or {}) if self._of_tables else {},
            previous=None if previous is None else self.numbers(previous),
            year_ago=None if year_ago is None else self.numbers(year_ago),
            ref=others.get,
            children=_columns_of(children, self.adds_up),
            lookup=references.get,
        )
        self._ask(rules, context, self._unread(values, figures), flaws, period, enter)

    @cached_property
    def _generated_now(self) -> Generated:
        return generate([rule.asked for rule in self.now], self._numbers, self._read_as_texts)

    @cached_property
    def _generated_later(self) -> Generated:
        return generate([rule.asked for rule in self.later], self._numbers, self._read_as_texts)

    def explain(self, report: RuleTest) -> Iterator[Explained]:
        """What each rule says of a report, and the values of all that it names."""
        others = {regime: numbers(given) for regime, given in report.reports.items()}
        context = Context(
            figures=self._known(self.numbers(report.figures), report.figures, report.narratives),
            tables=self._cells(report.tables) if self._of_tables else {},
            previous=None if report.previous is None else self.numbers(report.previous),
            year_ago=None if report.year_ago is None else self.numbers(report.year_ago),
            ref=others.get,
            children=_columns_of(report.children, self.adds_up),
            lookup=self.references_of(report).get,
        )
        for rule in self.rules:
            answers = each_row(_asking(rule), context, rule.table) if rule.table else iter([_holds(rule, context)])
            for answer in answers:
                yield Explained(
                    rule.rule.code + (f" {rule.table}/{context.row_number + 1}" if rule.table else ""),
                    _said(answer),
                    tuple((text, _shown(evaluate(context))[0]) for text, evaluate in rule.shown),
                )

    def references_of(self, test: RuleTest) -> dict[str, Reference]:
        """The reference tables that a test gives, by code; the first cell of a row is its key."""
        found: dict[str, Reference] = {}
        for code, rows in test.references.items():
            fields = self.references.get(code, {})
            tables = [
                {column: _given(text, fields.get(column)) for column, text in row.items() if text} for row in rows
            ]
            found[code] = {written(next(iter(row.values()))): row for row in tables if row}
        return found

    def _ask(
        self,
        rules: Iterable[CompiledRule],
        context: Context,
        unread: frozenset[str],
        flaws: list[Flaw],
        period: str,
        enter: Enter | None = None,
    ) -> None:
        day = _first_day(period) if self._dated else None
        unanswered: dict[CannotEvaluate, list[str]] = {}
        for rule in rules:
            if day is not None and not (rule.since or day) <= day <= (rule.until or day):
                continue
            if unread and not unread.isdisjoint(rule.figures):
                continue
            if enter is not None:
                enter(rule.rule.tier, rule.rule.code)
            answer = _of_rows(rule, context, flaws) if rule.table else _of_report(rule, context, flaws)
            # what only informs has nothing to tell where it cannot be evaluated, as before the other report has come
            if answer is not None and not rule.informs:
                unanswered.setdefault(answer, []).append(rule.rule.code)
        for reason, codes in unanswered.items():
            flaws.append(_not_checked(reason, codes))

    def numbers(self, figures: Mapping[str, str | None]) -> dict[str, Decimal]:
        """The figures of a report by this form that are plain numbers; a text such as “3” is none."""
        found = numbers(figures)
        return {code: value for code, value in found.items() if code not in self._texts} if self._texts else found

    def _known(
        self, values: Mapping[str, Decimal], figures: Mapping[str, str | None], narratives: Mapping[str, str]
    ) -> Mapping[str, Value | None]:
        """The figures that are numbers, and the texts of figures and narratives that rules name."""
        if not (self._narratives or self._texts_named):
            return values
        texts = {code: nfc(narratives.get(code, "").strip()) for code in self._narratives}
        texts |= {code: nfc((figures.get(code) or "").strip()) for code in self._texts_named}
        return {**texts, **values}

    def _unread(self, values: Mapping[str, Decimal], figures: Mapping[str, str | None]) -> frozenset[str]:
        """Figures that are there and could not be read: they have a finding of their own."""
        if len(values) == len(figures):
            return frozenset()
        return frozenset(
            code
            for code, text in figures.items()
            if code not in values and code not in self._texts and not is_blank(text)
        )

    def _cells(self, tables: Mapping[str, Sequence[Row]]) -> dict[str, list[Cells]]:
        """The rows of the tables that rules name, cells as values; one that cannot be read is left blank."""
        return {
            table: [
                {code: _cell(kind, row.get(code)) for code, kind in columns.items()}
                for row in tables.get(table, ())[: self._max_rows[table]]
            ]
            for table, columns in self._columns.items()
        }


def _unsure(
    rules: Sequence[CompiledRule],
    quick: Generated,
    figures: Mapping[str, Value | None],
    previous: Mapping[str, Decimal] | None = None,
    year_ago: Mapping[str, Decimal] | None = None,
) -> tuple[CompiledRule, ...]:
    """The rules that may have something to say."""
    with localcontext(NUMBERS):
        return tuple([rules[place] for place in quick.unsure(figures, previous, year_ago)])


def _of_report(rule: CompiledRule, context: Context, flaws: list[Flaw]) -> CannotEvaluate | None:
    answer = _holds(rule, context)
    if answer is False:
        flaws.append(_flaw(rule, context, rule.path, {}))
    return answer if isinstance(answer, CannotEvaluate) else None


def _of_rows(rule: CompiledRule, context: Context, flaws: list[Flaw]) -> CannotEvaluate | None:
    """Ask it of each row; the first that fail are told each, the rest is one finding with their number."""
    unanswered: CannotEvaluate | None = None
    failed = 0
    answers = each_row(_asking(rule), context, rule.table)
    for number, answer in enumerate(answers):  # the context stays at the row meanwhile
        if isinstance(answer, CannotEvaluate):
            unanswered = unanswered or answer
        elif answer is False:
            failed += 1
            if failed <= LISTED_ROWS:
                flaws.append(_flaw(rule, context, f"{rule.path}/{number}", _row_words(rule, context)))
    if failed > LISTED_ROWS:
        count = failed - LISTED_ROWS
        words = {"count": str(count), "count_en": counted(count, "more row"), "table": rule.table}
        flaws.append(Flaw(rule.more_rows, rule.path, words, difference=str(count)))
    return unanswered


def _row_words(rule: CompiledRule, context: Context) -> dict[str, str]:
    number, cells = context.row_number, context.row or {}
    named = ", ".join(shown(written(cells.get(column) or BLANK), 60) for column in rule.identified_by)
    of = f" ({named})" if named else ""
    return {"where": f"Bảng {rule.table}, dòng {number + 1}{of}: ",
            "where_en": f"Table {rule.table}, row {number + 1}{of}: "}  # fmt: skip


def _holds(rule: CompiledRule, context: Context) -> Value:
    """True, False, BLANK where it is not asked, or CannotEvaluate."""
    if rule.when is not None:
        when = rule.when(context)
        if when is not True:
            return when if isinstance(when, CannotEvaluate) else BLANK
    left = rule.left(context)
    if rule.right is None:
        return left
    right = rule.right(context)
    if rule.operator in ("compulsory_pair", "exclusive_pair"):
        return pair_holds(left, rule.operator, right)  # type: ignore[arg-type]
    return compare(left, rule.operator, right, rule.tolerance)  # type: ignore[arg-type]


def _flaw(rule: CompiledRule, context: Context, path: str, words: dict[str, str]) -> Flaw:
    words = {"where": "", "where_en": ""} | words
    for number, operand in enumerate(rule.operands):
        words[f"v{number}"], words[f"e{number}"] = _shown(operand(context))
    provided = None if rule.provided is None else rule.provided(context)
    expected = None if rule.expected is None else rule.expected(context)
    difference: Value | None = None
    if isinstance(provided, Decimal) and isinstance(expected, Decimal):
        difference = minus(provided, expected)
    return Flaw(rule.rule, path, words, _text(provided), _text(expected), _text(difference))


def _text(value: Value | None) -> str | None:
    return None if value is None or value is BLANK or isinstance(value, CannotEvaluate) else shown(written(value))


def _shown(value: Value) -> tuple[str, str]:
    if value is BLANK:
        return "(trống)", "(blank)"
    if isinstance(value, CannotEvaluate):
        return "(không tính được)", "(cannot be computed)"
    text = shown(written(value))
    return text, text


def _asking(rule: CompiledRule) -> Evaluate:
    return lambda context: _holds(rule, context)


def _said(answer: Value) -> str:
    if isinstance(answer, CannotEvaluate):
        return f"không tính được: {answer.reason_vi} / cannot be evaluated: {answer.reason_en}"
    if answer is BLANK:
        return "bỏ qua / skipped"
    return "đạt / holds" if answer is True else "BÁO / FIRES"


def _not_checked(reason: CannotEvaluate, codes: Sequence[str]) -> Flaw:
    count = len(codes)
    return Flaw(
        RULES_NOT_CHECKED,
        "",
        {
            "count": str(count),
            "count_en": counted(count, "rule"),
            "rules": ", ".join(codes[:_LISTED_RULES]) + (", …" if count > _LISTED_RULES else ""),
            "reason": reason.reason_vi.rstrip("."),
            "reason_en": reason.reason_en.rstrip("."),
        },
    )


def numbers(figures: Mapping[str, str | None]) -> dict[str, Decimal]:
    """The figures that are plain numbers."""
    return {code: value for code, text in figures.items() if text is not None and (value := value_of(text)) is not None}


def _read(figures: Mapping[str, str | None], codes: Iterable[str]) -> dict[str, Decimal]:
    """As `numbers`, of these codes."""
    found: dict[str, Decimal] = {}
    for code in codes:
        text = figures.get(code)
        if text is not None and (value := value_of(text)) is not None:
            found[code] = value
    return found


def _columns_of(
    reports: Sequence[Mapping[str, str | None]] | None, codes: Iterable[str]
) -> Callable[[str], Sequence[Value | None] | None]:
    """The values of each of these figures in all the reports, read when a rule asks for them: there may be many."""
    if reports is None:
        return lambda _: None
    known = frozenset(codes)
    columns: dict[str, list[Value | None]] = {}

    def column(code: str) -> Sequence[Value | None] | None:
        if code in known and code not in columns:
            columns[code] = [value_of(report.get(code) or "") for report in reports]
        return columns.get(code)

    return column


def _given(text: str, field: Field | None) -> Value:
    """A cell of a test's reference table. Where the column's type is not known, what reads back as a number is one."""
    if field is not None and field.type is Type.DATE:
        return date.fromisoformat(text)
    number = None if field is not None and field.type is Type.TEXT else plainly(text)
    if number is None or ((field is None or field.type is Type.ANY) and written(number.value) != text):
        return nfc(text)
    return number.value


def _cell(kind: ColumnType, text: str | None) -> Value | None:
    if text is None or is_blank(text):
        return None
    if kind in _NUMBERS:
        number = plainly(text.strip())
        return _UNREAD if number is None else number.value
    if kind == "date":
        try:
            return date.fromisoformat(text.strip())
        except ValueError:
            return _UNREAD
    return nfc(text.strip())


def _first_day(period: str) -> date | None:
    try:
        return first_day(parse_period(period))
    except PeriodError:
        return None
