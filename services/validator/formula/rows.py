"""Functions over the rows of a table, as closures: one pass over the rows of a report, then look-ups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, cast

from services.validator.formula import nodes
from services.validator.formula.context import Context, Listed, Row, Run
from services.validator.formula.nodes import Node
from services.validator.formula.values import (
    BLANK,
    ONE,
    ZERO,
    CannotEvaluate,
    Operator,
    Value,
    compare,
    not_available,
    plus,
    type_of,
    unusable,
)

NO_ROW = not_available("Công thức này chỉ tính được cho từng dòng của bảng.", "This is for each row of a table.")


def counted(parts: Sequence[Listed]) -> Run:
    def count(context: Context) -> Value:
        filled = 0
        for listed in parts:
            values = listed(context)
            if isinstance(values, CannotEvaluate):
                return values
            filled += sum(value is not BLANK for value in values)
        return Decimal(filled)

    return count


def once(run: Run) -> Run:
    """Computes once for a report what does not depend on the row."""
    memo = object()

    def computed(context: Context) -> Value:
        known = context.memo.get(memo)
        if known is None:
            known = context.memo[memo] = run(context)
        return cast(Value, known)

    return computed


def no_table(table: str) -> CannotEvaluate:
    return not_available(f"Báo cáo không có bảng {table}.", f"The report has no table {table}.")


def values_over_rows(table: str, run: Run, node: Node) -> Listed:
    """The values of `run` in all rows, computed once for a report."""
    memo = object()
    absent = no_table(table)
    simple = node.column if isinstance(node, nodes.Column) else None

    def over_rows(context: Context) -> Sequence[Value] | CannotEvaluate:
        known = context.memo.get(memo)
        if known is None:
            rows = context.tables.get(table)
            if rows is None:
                return absent
            known = _plain_cells(rows, simple) if simple is not None else _in_rows(context, table, rows, run)
            context.memo[memo] = known
        return cast("Sequence[Value]", known)

    return over_rows


def _plain_cells(rows: Sequence[Row], column: str) -> list[Value]:
    cells = [row.get(column) for row in rows]
    return [BLANK if cell is None or cell == "" else cell for cell in cells]


def _in_rows(context: Context, table: str, rows: Sequence[Row], run: Callable[[Context], Any]) -> list[Any]:
    before = context.row_table, context.row, context.row_number
    found = []
    try:
        context.row_table = table
        for context.row_number, context.row in enumerate(rows):
            found.append(run(context))
    finally:
        context.row_table, context.row, context.row_number = before
    return found


def _key(values: Sequence[Value]) -> tuple[object, ...] | CannotEvaluate:
    """Values as a key of a dict: a truth value is not the number 1."""
    for value in values:
        if isinstance(value, CannotEvaluate):
            return value
    return tuple((value,) if isinstance(value, bool) else value for value in values)


def conditional_on(
    summed: Listed | None, equal: Sequence[tuple[Listed, Run]], others: Sequence[tuple[Listed, Operator, Run]]
) -> Run:
    """Sum or count of the rows that meet all criteria: one pass over the rows, then a look-up for each answer."""
    memo = object()
    unequal = CannotEvaluate(
        "wrong_kind", "Các dải không cùng số phần tử.", "The lists do not have the same number of items."
    )

    def index(context: Context) -> dict[tuple[object, ...], Value] | CannotEvaluate:
        columns: list[Sequence[Value]] = []
        for listed in [*([summed] if summed else []), *(pair[0] for pair in equal), *(triple[0] for triple in others)]:
            values = listed(context)
            if isinstance(values, CannotEvaluate):
                return values
            columns.append(values)
        if len({len(column) for column in columns}) > 1:
            return unequal
        wanted = [(operator, asked(context)) for _, operator, asked in others]
        stop = unusable([value for _, value in wanted])
        if stop is not None:
            return {(): stop}
        found: dict[tuple[object, ...], Value] = {}
        first = 1 if summed else 0
        for row in zip(*columns, strict=True):
            limits = row[first + len(equal) :]
            if all(_meets(cell, operator, limit) for cell, (operator, limit) in zip(limits, wanted, strict=True)):
                key = _key(row[first : first + len(equal)])
                if isinstance(key, CannotEvaluate):
                    continue
                amount = row[0] if summed else ONE
                if amount is not BLANK:
                    found[key] = plus(found.get(key, ZERO), amount)
        return found

    def conditional(context: Context) -> Value:
        asked = [run(context) for _, run in equal]
        stop = unusable(asked)
        if stop is not None:
            return stop
        known = context.memo.get(memo)
        if known is None:
            known = context.memo[memo] = index(context)
        if isinstance(known, CannotEvaluate):
            return known
        sums = cast("dict[tuple[object, ...], Value]", known)
        if () in sums:
            return sums[()]
        return sums.get(cast("tuple[object, ...]", _key(asked)), ZERO)

    return conditional


def _meets(cell: Value, operator: Operator, limit: Value) -> bool:
    """Whether a cell meets a criterion; one of another type does not, but differs."""
    if cell is BLANK or cell.__class__ is CannotEvaluate:
        return False
    if type_of(cell) is not type_of(limit):
        return operator == "<>"
    return compare(cell, operator, limit) is True


def _keys_of_rows(table: str, keys: Sequence[Run]) -> Callable[[Context], list[Any] | CannotEvaluate]:
    """The key of each row, computed once for a report; in place of a key CannotEvaluate, where a cell is unreadable."""
    memo = object()
    absent = no_table(table)

    def keys_of_rows(context: Context) -> list[Any] | CannotEvaluate:
        known = context.memo.get(memo)
        if known is None:
            rows = context.tables.get(table)
            if rows is None:
                return absent
            known = context.memo[memo] = _in_rows(
                context, table, rows, lambda inner: _key([run(inner) for run in keys])
            )
        return cast("list[Any]", known)

    return keys_of_rows


def _by_own_key(
    table: str,
    keys: Sequence[Run],
    gather: Callable[[Context, list[Any]], dict[object, Any]],
    answer: Callable[[Context, Any], Value],
) -> Run:
    """Asked in a row: gathers something of all rows by their key, once a report; answers by what the row's key has."""
    memo = object()
    keys_of_rows = _keys_of_rows(table, keys)

    def of_this_row(context: Context) -> Value:
        if context.row is None or context.row_table != table:
            return NO_ROW
        found = keys_of_rows(context)
        if isinstance(found, CannotEvaluate):
            return found
        known = cast("dict[object, Any] | None", context.memo.get(memo))
        if known is None:
            known = context.memo[memo] = gather(context, found)
        key = found[context.row_number]
        return key if isinstance(key, CannotEvaluate) else answer(context, known[key])

    return of_this_row


def summed_by(table: str, value: Run, keys: Sequence[Run]) -> Run:
    def sums(context: Context, found: list[Any]) -> dict[object, Any]:
        known: dict[object, Value] = {}
        amounts: list[Value] = _in_rows(context, table, context.tables[table], value)
        for key, amount in zip(found, amounts, strict=True):
            if not isinstance(key, CannotEvaluate):
                known[key] = plus(known.get(key, ZERO), ZERO if amount is BLANK else amount)
        return known

    return _by_own_key(table, keys, sums, lambda _, amount: amount)


def first_of(table: str, keys: Sequence[Run]) -> Run:
    def first_rows(_: Context, found: list[Any]) -> dict[object, Any]:
        known: dict[object, int] = {}
        for number, key in enumerate(found):
            known.setdefault(key, number)
        return known

    return _by_own_key(table, keys, first_rows, lambda context, first: first == context.row_number)


def _counts(table: str, keys: Sequence[Run]) -> Callable[[Context], tuple[list[Any], dict[object, int]] | Value]:
    """The key of each row, and how many rows have it; rows with a blank in the key do not count."""
    memo = object()
    keys_of_rows = _keys_of_rows(table, keys)

    def counts(context: Context) -> tuple[list[Any], dict[object, int]] | Value:
        found = keys_of_rows(context)
        if isinstance(found, CannotEvaluate):
            return found
        known = cast("dict[object, int] | None", context.memo.get(memo))
        if known is None:
            known = {}
            for key in found:
                if not isinstance(key, CannotEvaluate) and BLANK not in key:
                    known[key] = known.get(key, 0) + 1
            context.memo[memo] = known
        return found, known

    return counts


def unique(table: str, keys: Sequence[Run]) -> Run:
    counts = _counts(table, keys)

    def all_unique(context: Context) -> Value:
        counted = counts(context)
        return all(count == 1 for count in counted[1].values()) if isinstance(counted, tuple) else counted

    whole = once(all_unique)

    def is_unique(context: Context) -> Value:
        if context.row is None or context.row_table != table:
            return whole(context)
        counted = counts(context)
        if not isinstance(counted, tuple):
            return counted
        found, known = counted
        key = found[context.row_number]
        return key if isinstance(key, CannotEvaluate) else known.get(key, 1) == 1

    return is_unique


def distinct(table: str, keys: Sequence[Run]) -> Run:
    counts = _counts(table, keys)

    def count_distinct(context: Context) -> Value:
        counted = counts(context)
        return Decimal(len(counted[1])) if isinstance(counted, tuple) else counted

    return count_distinct
