"""Functions over reference tables and other reports, as closures. What is not at hand cannot be evaluated."""

from __future__ import annotations

from collections.abc import Callable

from services.validator.formula.context import Context, Figures, Run
from services.validator.formula.rows import once
from services.validator.formula.scalars import total
from services.validator.formula.values import BLANK, CannotEvaluate, Value, not_available, unusable, written


def no_reference(table: str) -> CannotEvaluate:
    return not_available(
        f"Không có danh mục {table} cho kỳ này.", f"There is no reference table {table} for this period."
    )


def looked_up(table: str, key: Run, column: str) -> Run:
    absent = no_reference(table)

    def lookup(context: Context) -> Value:
        value = key(context)
        stop = unusable((value,))
        if stop is not None:
            return stop
        reference = context.lookup(table)
        if reference is None:
            return absent
        row = reference.get(written(value))
        found = None if row is None else row.get(column)
        return BLANK if found is None or found == "" else found

    return lookup


def existing(table: str, key: Run) -> Run:
    absent = no_reference(table)

    def exists(context: Context) -> Value:
        value = key(context)
        stop = unusable((value,))
        if stop is not None:
            return stop
        reference = context.lookup(table)
        return absent if reference is None else written(value) in reference

    return exists


def sum_of_children(code: str) -> Run:
    absent = not_available(
        f"Chưa đủ báo cáo được chấp nhận của các cơ quan cấp dưới để cộng [{code}].",
        f"Not all reports of the agencies beneath are accepted yet, so [{code}] cannot be summed.",
    )

    def children_sum(context: Context) -> Value:
        values = context.children(code)
        if values is None:
            return absent
        if not values:
            return BLANK  # nobody beneath reports: there is nothing to compare with
        given: list[Value] = [value for value in values if value is not None and value != "" and value is not BLANK]
        stop = unusable(given)
        return total(given) if stop is None else stop

    return children_sum


def in_another_report(figures: Callable[[Context], Figures | None], run: Run, absent: CannotEvaluate) -> Run:
    def in_another_report(context: Context) -> Value:
        found = figures(context)
        return absent if found is None else run(Context(found, order=context.order))

    return once(in_another_report)
