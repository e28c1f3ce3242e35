"""Makes an example report that a form accepts: figures within bounds, sums that hold, narratives long enough.

Pure and bounded in cost. For some forms it finds no example; it never returns a wrong one.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from typing import Any

import msgspec

from services.intake.registry.narrowing import MAX_DIGITS, Balance, Dead, Narrowing
from shared.contract.events import FigureField, Form, TableColumn
from shared.reports.limits import MAX_BODY_BYTES, MAX_NARRATIVE_CHARACTERS

#: members of a report's body
Content = dict[str, Any]

_DEFAULT, _DEFAULT_TOTAL = 12, 120

_TEXT = (
    "Kết quả: trong kỳ, đơn vị đã hoàn thành phần lớn nhiệm vụ theo kế hoạch được giao; số liệu tổng hợp từ hồ sơ lưu, "
    "đã đối chiếu với bộ phận chuyên môn. Đánh giá: thủ tục hành chính tiếp nhận qua mạng tăng so với kỳ trước, phản "
    "ánh của người dân được trả lời, nhưng một số việc còn chậm. Nguyên nhân: thiếu nhân lực và chờ ý kiến cơ quan "
    "liên quan. Giải pháp: rà soát từng hồ sơ quá hạn, phân công lại cán bộ, báo cáo việc này ở kỳ sau. Kiến nghị cấp "
    "trên sớm hướng dẫn những nội dung vướng mắc nêu trên. "
)


class NoExample(ValueError):
    """No example was found; a report by the form may still be possible."""


def report_content(form: Form) -> Content:
    """Figures (as exact texts), narratives and rows of tables that the form accepts. Raises NoExample."""
    content: Content = {"figures": figures(form), "narratives": narratives(form)}
    if form.tables:
        content["tables"] = tables(form)
    if len(msgspec.json.encode(content)) > MAX_BODY_BYTES - 1024:
        raise NoExample("the example exceeds the size limit of a report")
    return content


def tables(form: Form) -> dict[str, list[dict[str, str]]]:
    """As many rows of each table as it needs at least, or one, with every column filled."""
    return {
        table.code: [{column.code: _cell(column) for column in table.columns}] * max(1, table.min_rows)
        for table in form.tables
    }


def _cell(column: TableColumn) -> str:
    match column.type:
        case "text":
            return _TEXT[: min(column.max_characters, 60)].strip()
        case "date":
            return "2026-03-31"
        case "choice":
            return column.choices[0]
        case _:
            number = FigureField.model_construct(**{name: getattr(column, name) for name in _OF_NUMBERS})
            return figures(Form(figures=(number,)))[column.code]


#: what a column of numbers says as a figure does
_OF_NUMBERS = ("code", "label", "required", "minimum", "maximum", "fraction_digits")


def narratives(form: Form) -> dict[str, str]:
    """A text for each section, each another one, as long as its minimum asks and no longer than its maximum allows."""
    texts = {}
    for number, section in enumerate(form.narratives):
        longest = min(section.max_characters, MAX_NARRATIVE_CHARACTERS)
        if max(1, section.min_characters) > longest:
            if section.required:
                raise NoExample(f"section {section.code} cannot be filled")
            continue
        length = min(longest, max(section.min_characters, len(_TEXT)))
        text = _prose(length, number)
        texts[section.code] = text if not text[-1].isspace() else text[:-1] + "."
    return texts


def _prose(characters: int, number: int) -> str:
    """A text of that length, which begins with another sentence for each number of a section.

    What one page of prose would not fill goes on with its words in ever another order.
    """
    sentences = _TEXT.strip().removesuffix(".").split(". ")
    first = number % len(sentences)
    text = ". ".join([*sentences[first:], *sentences[:first]]) + ". "
    words, turn = _TEXT.split(), 1
    while len(text) < characters:
        turn += 1
        text += " ".join(words[place * turn % len(words)] for place in range(len(words))) + " "
    return text[:characters]


def figures(form: Form) -> dict[str, str]:
    """The form's own example; else values for its figures, all if possible, else those required. Raises NoExample."""
    if form.example is not None:
        return {code: text for code, text in form.example.items() if text is not None}
    given = {figure.code: _TEXT[: figure.max_characters].strip() for figure in form.figures if figure.kind == "text"}
    every = tuple(figure for figure in form.figures if figure.kind != "text")
    required = tuple(figure for figure in every if figure.required)
    choices = (every,) if len(required) == len(every) else (every, required)
    try:
        for chosen in choices:
            problem = _Problem(form, chosen)
            for solved in (problem.solve(coarse=True), problem.zeros(), problem.solve(coarse=False)):
                if solved is not None and problem.holds(solved):
                    found = problem.texts(solved) | given
                    return {figure.code: found[figure.code] for figure in form.figures if figure.code in found}
    except OverflowError as error:
        raise NoExample(str(error)) from None
    raise NoExample("found no values that satisfy all bounds and sums")


class _Problem:
    """Figures as multiples of one small unit, and sums as `Σ coefficient · figure` = 0 within a tolerance."""

    def __init__(self, form: Form, chosen: Sequence[FigureField]) -> None:
        self._figures = chosen
        self._digits = max((figure.fraction_digits for figure in chosen), default=0)
        self._unit = 10**self._digits
        self._number = {figure.code: number for number, figure in enumerate(chosen)}
        self._sums: list[Balance] = []
        self._totals: set[int] = set()
        for rule in form.sums:
            terms = [term for term in rule.terms if term in self._number]
            if rule.total not in self._number or not terms:
                continue  # the sum does not check a report without its total or without all its terms
            total = self._number[rule.total]
            weights = {total: 1}
            for term in terms:
                weights[self._number[term]] = weights.get(self._number[term], 0) - 1
            tolerance = floor(self._scaled(rule.tolerance))
            self._sums.append(({n: weight for n, weight in weights.items() if weight}, tolerance))
            self._totals.add(total)
        self._rules_of: list[list[int]] = [[] for _ in chosen]
        for place, (balance, _) in enumerate(self._sums):
            for number in balance:
                self._rules_of[number].append(place)

    def _scaled(self, value: Decimal) -> Fraction:
        if value and abs(value.adjusted()) > 2 * MAX_DIGITS:
            raise OverflowError("a bound is not a number that a report can hold")
        return Fraction(value) * Fraction(self._unit)

    def zeros(self) -> list[int]:
        return [0] * len(self._figures)

    def texts(self, values: Sequence[int]) -> dict[str, str]:
        return {
            figure.code: _text(value, self._unit, self._digits)
            for figure, value in zip(self._figures, values, strict=True)
        }

    def holds(self, values: Sequence[int]) -> bool:
        """Whether the form accepts the values; checks the rules themselves, independent of the search."""
        for figure, value in zip(self._figures, values, strict=True):
            step = 10 ** (self._digits - figure.fraction_digits)
            if value % step or abs(value) // step >= 10**MAX_DIGITS:
                return False
            if figure.minimum is not None and value < self._scaled(figure.minimum):
                return False
            if figure.maximum is not None and value > self._scaled(figure.maximum):
                return False
        return all(
            abs(sum(weight * values[number] for number, weight in weights.items())) <= tolerance
            for weights, tolerance in self._sums
        )

    def solve(self, *, coarse: bool) -> list[int] | None:
        """Search for values by narrowing bounds and trying likely ones; None if it finds none within the cost.

        `coarse`: figures that share a sum use the fewest digits among them, and sums hold without tolerance.
        """
        figure_digits = [figure.fraction_digits for figure in self._figures]
        sums = [(weights, 0 if coarse else tolerance) for weights, tolerance in self._sums]
        search = _Search(sums, self._rules_of, self._grid(coarse))
        try:
            for number, figure in enumerate(self._figures):
                least = -(10**MAX_DIGITS) if figure.minimum is None else ceil(self._scaled(figure.minimum))
                most = 10**MAX_DIGITS if figure.maximum is None else floor(self._scaled(figure.maximum))
                search.narrow(number, least, most)
            search.settle(range(len(self._sums)))
            for number in self._order():
                wanted = (_DEFAULT_TOTAL if number in self._totals else _DEFAULT) * self._unit
                if figure_digits[number] and not self._rules_of[number]:
                    wanted += self._unit // 2  # to show how to write a fraction
                if not search.place(number, wanted):
                    return None
        except Dead:
            return None
        return search.least

    def _grid(self, coarse: bool) -> list[int]:
        """The step of each figure's values."""
        digits = [figure.fraction_digits for figure in self._figures]
        while coarse:
            before = list(digits)
            for weights, _ in self._sums:
                fewest = min(digits[number] for number in weights) if weights else 0
                for number in weights:
                    digits[number] = fewest
            coarse = before != digits and len(self._sums) < 200
        return [10 ** (self._digits - digit_count) for digit_count in digits]

    def _order(self) -> list[int]:
        """Totals of totals first, so that each is split among its terms."""
        terms = {n for weights, _ in self._sums for n, weight in weights.items() if weight < 0}
        order = sorted(self._totals - terms)
        seen = set(order)
        for number in order:  # the loop extends `order`
            for place in self._rules_of[number]:
                for other in self._sums[place][0]:
                    if other not in seen:
                        seen.add(other)
                        order.append(other)
        return order + [number for number in range(len(self._figures)) if number not in seen]


class _Search(Narrowing):
    """Tries likely values; undoes what a failed trial narrowed."""

    def place(self, number: int, wanted: int) -> bool:
        """Choose a value: the figure's share of a known total, else `wanted`, else a bound, else zero."""
        least, most = self.least[number], self.most[number]
        for value in dict.fromkeys(
            min(max(candidate, least), most) for candidate in (self._share(number, wanted), least, most, 0)
        ):
            mark = len(self._trail)
            try:
                self.narrow(number, value, value)
                self.settle(self._rules_of[number])
            except Dead:
                self.give_back(mark)
            else:
                return True
        return False

    def _share(self, number: int, wanted: int) -> int:
        for place in self._rules_of[number]:
            weights = self._sums[place][0]
            total = next((n for n, weight in weights.items() if weight > 0), None)
            if weights[number] >= 0 or total is None or self.least[total] != self.most[total]:
                continue
            self._steps += len(weights)
            fixed = sum(self.least[n] for n, w in weights.items() if w < 0 and self.least[n] == self.most[n])
            free = sum(w < 0 and self.least[n] != self.most[n] for n, w in weights.items())
            if free:
                wanted = (self.least[total] - fixed) // free
                break
        return wanted // self._grid[number] * self._grid[number]


def _text(value: int, unit: int, digits: int) -> str:
    whole, fraction = divmod(abs(value), unit)
    shown = f"{whole}.{fraction:0{digits}d}".rstrip("0") if fraction else str(whole)
    return f"-{shown}" if value < 0 else shown
