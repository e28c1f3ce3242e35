"""A form is compiled once into tuples and bound methods; a form that cannot be judged by is refused, never half used.

A compiled form is immutable, as the published regime version that it comes from is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from operator import itemgetter
from typing import NamedTuple

from services.validator.rules import catalogue
from services.validator.rules.flaws import pointer, shown
from services.validator.rules.labels import Labels, labels_of
from services.validator.rules.numbers import GROUP_DIGITS, MAX_DIGITS
from services.validator.rules.pack_compiler import PackError, compile_pack
from services.validator.rules.packs import Pack
from services.validator.rules.placeholders import is_placeholder
from services.validator.rules.units import Unit, unit_of
from shared.contract.events import FigureField, Form, NarrativeField, Severity, SumRule, TableColumn, TableField
from shared.contract.events.fields import FIRST_YEAR, LAST_YEAR
from shared.contract.events.registry import ColumnType, NarrativeRole
from shared.contract.text import nfc

#: rates, and stocks that exist on any day: in a unit or label (Vietnamese, folded), 0 would be a false statement
_LEVELS = re.compile(
    r"[%‰]|\b(?:phần trăm|điểm|tỷ lệ|tỉ lệ|tỷ trọng|tỉ trọng|tỷ suất|tỉ suất|mức độ|bình quân|chỉ số|biên chế|"
    r"dân số|hiện có|có mặt)\b"
)

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

_LOWEST = Decimal("-Infinity")
_HIGHEST = Decimal("Infinity")


class FormError(ValueError):
    """The form contradicts itself: no submission could be judged by it. Publish a corrected regime version."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure (chỉ tiêu) ready to be checked. Bounds are inclusive."""

    code: str
    path: str
    required: bool
    minimum: Decimal
    maximum: Decimal
    fraction_digits: int
    words: dict[str, str]
    unit: Unit

    def takes(self, value: Decimal, fraction_digits: int) -> bool:
        """Whether a number, written with so many digits after the point, is in order."""
        return fraction_digits <= self.fraction_digits and self.minimum <= value <= self.maximum


class TextFigure(NamedTuple):
    """A figure that is a short text, ready to be checked. `maximum`: characters."""

    code: str
    path: str
    required: bool
    maximum: int
    words: dict[str, str]


class KeyFigure(NamedTuple):
    """A figure that an assessment is expected to mention; `runs`: of words of its label, each one a mention."""

    code: str
    runs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Narrative:
    """A narrative section (mục thuyết minh) ready to be checked. Lengths in characters."""

    code: str
    path: str
    required: bool
    minimum: int
    maximum: int
    words: dict[str, str]
    syllables: int  # that count, at least
    sentences: int
    roles: tuple[NarrativeRole, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A column (cột) of a table ready to be checked. `fits` is quick: a value that does not fit is looked at again."""

    code: str
    type: ColumnType
    required: bool
    fits: Callable[[str], bool]
    words: dict[str, str]
    figure: Figure | None  # of a column of numbers
    choices: tuple[str, ...]
    max_characters: int


@dataclass(frozen=True, slots=True)
class Table:
    """A table (bảng số liệu) ready to be checked."""

    code: str
    path: str
    required: bool
    columns: tuple[Column, ...]
    column_codes: frozenset[str]
    min_rows: int
    max_rows: int
    words: dict[str, str]


@dataclass(frozen=True, slots=True)
class Sum:
    """`total` equals the sum of `terms` within `tolerance`."""

    code: str
    path: str
    total: str
    terms: tuple[str, ...]
    tolerance: Decimal
    pick: Callable[[dict[str, Decimal]], tuple[Decimal, ...]]  # the values of the terms; KeyError where one is missing


#: code, fullmatch of a well written value, minimum, maximum, the figure
FigureStep = tuple[str, Callable[[str], object], Decimal, Decimal, Figure]


@dataclass(frozen=True, slots=True)
class CompiledForm:
    """A form as the decision reads it."""

    steps: tuple[FigureStep, ...]
    figures: dict[str, Figure]  # those that are numbers
    texts: tuple[TextFigure, ...]
    narratives: tuple[Narrative, ...]
    sums: tuple[Sum, ...]
    tables: tuple[Table, ...]
    labels: Labels  # of the figures, to be found in narratives
    nil_allowed: bool
    severities: Mapping[str, Severity]  # of the codes whose severity a regime chooses
    keys: tuple[KeyFigure, ...]
    text_codes: frozenset[str]  # of figures that are texts
    near_copies: Mapping[str, Severity]  # N12, N13, where the regime asks for them
    figure_codes: frozenset[str]
    narrative_codes: frozenset[str]
    table_codes: frozenset[str]
    folded_codes: dict[str, str]  # code without case and outer spaces -> code, for "did you mean"
    required_items: int
    pack: Pack | None  # the form's own rules

    @property
    def looks_back(self) -> Pack | None:
        """The rules, where some are about other reports."""
        return self.pack if self.pack is not None and self.pack.looks_back else None


def compile_form(form: Form) -> CompiledForm:
    """The form ready to judge by. Raises FormError where it contradicts itself."""
    _refuse_duplicates("figure", (field.code for field in form.figures))
    _refuse_duplicates("narrative", (field.code for field in form.narratives))
    _refuse_duplicates("sum rule", (rule.code for rule in form.sums))
    _refuse_duplicates("table", (field.code for field in form.tables))
    figures = {field.code: _figure(field) for field in form.figures if field.kind != "text"}
    texts = tuple(_text_figure(field) for field in form.figures if field.kind == "text")
    text_codes = frozenset(text.code for text in texts)
    narratives = tuple(_narrative(field) for field in form.narratives)
    tables = tuple(_table(field) for field in form.tables)
    try:
        pack = compile_pack(form)
    except PackError as error:
        raise FormError(f"a rule is wrong: {error}") from error
    severities = _severities(form)
    return CompiledForm(
        steps=tuple(
            (code, _well_written(figure.fraction_digits), figure.minimum, figure.maximum, figure)
            for code, figure in figures.items()
        ),
        figures=figures,
        texts=texts,
        text_codes=text_codes,
        narratives=narratives,
        sums=tuple(_sum(rule, figures) for rule in form.sums),
        tables=tables,
        labels=labels_of({field.code: field.label for field in form.figures if field.code in figures})
        if narratives
        else {},
        nil_allowed=form.nil_allowed,
        severities=severities,
        keys=tuple(_key(field) for field in form.figures if field.key and field.code in figures) if narratives else (),
        near_copies={code: severities[code] for code in _NEAR_COPIES if code in form.severities},
        figure_codes=frozenset(figures) | text_codes,
        narrative_codes=frozenset(narrative.code for narrative in narratives),
        table_codes=frozenset(table.code for table in tables),
        folded_codes={
            code.strip().casefold(): code
            for code in (*(item.code for item in tables), *figures, *text_codes, *(item.code for item in narratives))
        },
        required_items=sum(field.required for field in form.figures)
        + sum(narrative.required for narrative in narratives)
        + sum(table.required for table in tables),
        pack=pack,
    )


_NEAR_COPIES = (catalogue.LIKE_LAST.code, catalogue.LIKE_ANOTHER.code)
#: what `filler: explain` says of
_FILLER_CODES = ("H01", "N04", "N05", "N15")
_RUN_WORDS = 3
#: characters that a syllable of thin prose takes: twice those of ordinary prose, its space counted
_THIN_CHARACTERS = 9


def _severities(form: Form) -> dict[str, Severity]:
    """The severity of each code that a regime has a choice of: the mapping over `filler` over the catalogue."""
    chosen = {code: rule.severity for code, rule in catalogue.RULES.items() if rule.weights}
    if form.filler == "explain":
        chosen |= dict.fromkeys(_FILLER_CODES, "warning")
    for code, weight in form.severities.items():
        rule = catalogue.RULES.get(code)
        if rule is None:
            raise FormError(f"severities: there is no finding {shown(code, 60)}")
        if weight not in rule.weights:
            allowed = (
                f"it may be {' or '.join(rule.weights)}" if rule.weights else "its severity is the same everywhere"
            )
            raise FormError(f"severities: {code} may not be {weight}; {allowed}")
        chosen[code] = "error" if weight == "error" else "warning"
    return chosen


def _well_written(fraction_digits: int) -> Callable[[str], object]:
    fraction = rf"(?:\.[0-9]{{1,{fraction_digits}}})?" if fraction_digits else ""
    # 1.234 may mean thousands: the slow way looks at it
    unclear = r"(?!-?[1-9][0-9]{0,2}\.[0-9]{3}\Z)" if fraction_digits >= GROUP_DIGITS else ""
    return re.compile(rf"{unclear}-?[0-9]{{1,{MAX_DIGITS}}}{fraction}").fullmatch


def _figure(field: FigureField) -> Figure:
    for bound in (field.minimum, field.maximum):
        if bound is not None:
            _refuse_unwritable(f"a bound of figure {field.code}", bound)
    minimum = _LOWEST if field.minimum is None else field.minimum
    maximum = _HIGHEST if field.maximum is None else field.maximum
    if minimum > maximum:
        raise FormError(f"figure {field.code}: the minimum {minimum} is above the maximum {maximum}")
    words = _words(field)
    return Figure(
        code=field.code,
        path=pointer("figures", field.code),
        required=field.required,
        minimum=minimum,
        maximum=maximum,
        fraction_digits=field.fraction_digits,
        words=words
        | {"unit": f" ({shown(field.unit)})" if field.unit else ""}
        | {"subject": f"Chỉ tiêu {words['name']}", "subject_en": f"Figure {words['name_en']}"}
        | {"thing": f"chỉ tiêu {words['code']}", "thing_en": f"figure {words['code']}"}
        | _zero(field, minimum, maximum),
        unit=unit_of(field.unit, field.scale),
    )


def _text_figure(field: FigureField) -> TextFigure:
    words = _words(field)
    words |= {
        "unit": "", "zero": "", "zero_en": "",
        "subject": f"Chỉ tiêu {words['name']}", "subject_en": f"Figure {words['name_en']}",
    }  # fmt: skip
    return TextFigure(field.code, pointer("figures", field.code), field.required, field.max_characters, words)


def _zero(field: FigureField, minimum: Decimal, maximum: Decimal) -> dict[str, str]:
    """The advice to write 0, where 0 says that nothing happened: not for a rate, nor for what stands at a day."""
    of_a_level = _LEVELS.search(nfc(f"{field.unit} {field.label}").casefold())
    if of_a_level or not minimum <= 0 <= maximum:
        return {"zero": "", "zero_en": ""}
    return {"zero": "; nếu không phát sinh thì ghi 0", "zero_en": "; write 0 if there is nothing to report"}


def _table(field: TableField) -> Table:
    _refuse_duplicates(f"table {field.code}: column", (column.code for column in field.columns))
    if not field.columns:
        raise FormError(f"table {field.code} has no columns")
    if field.min_rows > field.max_rows:
        raise FormError(f"table {field.code}: at least {field.min_rows} rows, at most {field.max_rows}")
    return Table(
        code=field.code,
        path=pointer("tables", field.code),
        required=field.required,
        columns=tuple(_column(field.code, column) for column in field.columns),
        column_codes=frozenset(column.code for column in field.columns),
        min_rows=field.min_rows,
        max_rows=field.max_rows,
        words=_words(field),
    )


def _column(table: str, field: TableColumn) -> Column:
    words = _words(field)
    words |= {
        "unit": f" ({shown(field.unit)})" if field.unit else "",
        "thing": f"cột {words['code']}",
        "thing_en": f"column {words['code']}",
    }
    if field.type == "choice" and not field.choices:
        raise FormError(f"table {table}, column {field.code}: there is nothing to choose from")
    figure = None
    if field.type in ("integer", "decimal", "percent"):
        figure = _figure(
            FigureField.model_construct(
                **{name: getattr(field, name) for name in _OF_NUMBERS}, type=None, consolidation="none"
            )
        )
        words = figure.words | words
    return Column(
        code=field.code,
        type=field.type,
        required=field.required,
        fits=_fits(field, figure),
        words=words,
        figure=figure,
        choices=field.choices,
        max_characters=field.max_characters,
    )


#: what a column of numbers says as a figure does
_OF_NUMBERS = ("code", "label", "label_en", "unit", "required", "minimum", "maximum", "fraction_digits", "scale")


def _fits(field: TableColumn, figure: Figure | None) -> Callable[[str], bool]:
    """Whether a text that is not blank is surely a value of the column."""
    if figure is not None:
        well_written, minimum, maximum = _well_written(figure.fraction_digits), figure.minimum, figure.maximum

        def is_number(text: str) -> bool:
            return len(text) <= MAX_DIGITS and well_written(text) is not None and minimum <= Decimal(text) <= maximum

        return is_number
    match field.type:
        case "choice":
            return frozenset(field.choices).__contains__
        case "date":
            return is_day
        case _ if field.required:
            return lambda text: len(text) <= field.max_characters and not is_placeholder(text)
        case _:
            return lambda text: len(text) <= field.max_characters


def is_day(text: str) -> bool:
    """Whether the text is a date as ISO 8601 writes it, in the years that calendars hold."""
    if not _DAY.fullmatch(text):
        return False
    try:
        return FIRST_YEAR <= date.fromisoformat(text).year <= LAST_YEAR
    except ValueError:
        return False


def _key(field: FigureField) -> KeyFigure:
    words = nfc(field.label).lower().split()
    runs = [" ".join(words[place : place + _RUN_WORDS]) for place in range(max(1, len(words) - _RUN_WORDS + 1))]
    return KeyFigure(field.code, tuple(filter(None, dict.fromkeys(runs))))


def _narrative(field: NarrativeField) -> Narrative:
    if field.min_characters > field.max_characters:
        raise FormError(f"narrative {field.code}: at least {field.min_characters}, at most {field.max_characters}")
    return Narrative(
        code=field.code,
        path=pointer("narratives", field.code),
        required=field.required,
        minimum=field.min_characters,
        maximum=field.max_characters,
        words=_words(field) | {"minimum": str(max(1, field.min_characters)), "maximum": str(field.max_characters)},
        syllables=max(field.min_syllables, field.min_characters // _THIN_CHARACTERS),
        sentences=field.min_sentences,
        roles=field.roles,
    )


def _words(field: FigureField | NarrativeField | TableField | TableColumn) -> dict[str, str]:
    # shortened: a finding repeats them, and a verdict has many findings
    code, label = shown(field.code), shown(field.label)
    label_en = shown(field.label_en) or label
    return {
        "code": code,
        "name": f"{code} ({label})" if label else code,
        "name_en": f"{code} ({label_en})" if label_en else code,
    }


def _sum(rule: SumRule, figures: dict[str, Figure]) -> Sum:
    unknown = [code for code in (rule.total, *rule.terms) if code not in figures]
    if unknown:
        raise FormError(f"sum rule {rule.code} names figures that the form does not have: {', '.join(unknown)}")
    if not rule.terms:
        raise FormError(f"sum rule {rule.code} has no terms")
    _refuse_unwritable(f"the tolerance of sum rule {rule.code}", rule.tolerance)
    if rule.tolerance < 0:
        raise FormError(f"sum rule {rule.code}: the tolerance {rule.tolerance} is negative")
    return Sum(
        code=rule.code,
        path=pointer("figures", rule.total),
        total=rule.total,
        terms=rule.terms,
        tolerance=rule.tolerance,
        pick=_picker(rule.terms),
    )


def _picker(terms: tuple[str, ...]) -> Callable[[dict[str, Decimal]], tuple[Decimal, ...]]:
    if len(terms) == 1:
        (only,) = terms
        return lambda values: (values[only],)
    return itemgetter(*terms)


def _refuse_duplicates(what: str, codes: Iterable[str]) -> None:
    twice = sorted(code for code, count in Counter(codes).items() if count > 1)
    if twice:
        raise FormError(f"{what} codes used twice: {', '.join(twice)}")


def _refuse_unwritable(what: str, value: Decimal) -> None:
    """A limit that no value could be written for would make differences inexact."""
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -MAX_DIGITS or (value and value.adjusted() > MAX_DIGITS):
        raise FormError(f"{what} is not a number of at most {MAX_DIGITS} digits")
