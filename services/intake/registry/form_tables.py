"""The rules of a form's tables, so that each can be filled, sent and judged. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.intake.registry.form_fields import check_number, repeated_codes
from services.intake.registry.source import Located
from shared.contract.events import TableColumn, TableField
from shared.contract.events.registry import MAX_CELL_CHARACTERS, MAX_CELLS, MAX_TABLE_ROWS
from shared.runtime.file_errors import FileError

NUMBERS = ("integer", "decimal", "percent")


def check(located: Located, tables: Sequence[TableField]) -> Iterator[FileError]:
    for number, table in enumerate(tables):
        place = f"form/tables/{number}"
        if not table.columns:
            yield located.error(
                f"{place}/columns",
                f"Bảng “{table.code}” không có cột.",
                f"The table “{table.code}” has no columns.",
                "Ghi các cột, hoặc bỏ bảng.",
                "Give its columns, or leave the table out.",
            )
        yield from repeated_codes(located, f"{place}/columns", (column.code for column in table.columns))
        if table.min_rows > table.max_rows:
            yield located.error(
                f"{place}/min_rows",
                f"Bảng “{table.code}”: số dòng ít nhất lớn hơn số dòng nhiều nhất.",
                f"The table “{table.code}”: the fewest rows exceed the most.",
                "Sửa `min_rows` hoặc `max_rows`.",
                "Correct `min_rows` or `max_rows`.",
            )
        for column_number, column in enumerate(table.columns):
            yield from _column(located, f"{place}/columns/{column_number}", column)
    yield from _together(located, [table for table in tables if table.required])


def _column(located: Located, place: str, column: TableColumn) -> Iterator[FileError]:
    if column.type in NUMBERS:
        yield from check_number(located, place, column)
    else:
        surplus = {
            "minimum": column.minimum is not None,
            "maximum": column.maximum is not None,
            "fraction_digits": column.fraction_digits != 0,
            "scale": column.scale != 0,
            "unit": bool(column.unit) and column.type != "text",
        }
        for name in (name for name, given in surplus.items() if given):
            yield _not_of_type(located, place, name, column)
    if column.type != "text" and column.max_characters != MAX_CELL_CHARACTERS:
        yield _not_of_type(located, place, "max_characters", column)
    if column.type == "choice" and not column.choices:
        yield located.error(
            f"{place}/choices",
            f"Cột “{column.code}” không có giá trị nào để chọn.",
            f"The column “{column.code}” has nothing to choose from.",
            "Ghi `choices`, hoặc ghi type: text.",
            "Give `choices`, or write type: text.",
        )
    elif column.type != "choice" and column.choices:
        yield _not_of_type(located, place, "choices", column)


def _not_of_type(located: Located, place: str, name: str, column: TableColumn) -> FileError:
    return located.error(
        f"{place}/{name}",
        f"Cột “{column.code}” kiểu {column.type} không có `{name}`.",
        f"The column “{column.code}” of type {column.type} has no `{name}`.",
        f"Bỏ `{name}`, hoặc sửa `type`.",
        f"Leave `{name}` out, or correct `type`.",
    )


def _together(located: Located, required: Sequence[TableField]) -> Iterator[FileError]:
    """A complete report must fit into what one report may hold."""
    rows = sum(table.min_rows for table in required)
    cells = sum(table.min_rows * sum(column.required for column in table.columns) for table in required)
    for least, most, what, what_en in (
        (rows, MAX_TABLE_ROWS, "dòng", "rows"),
        (cells, MAX_CELLS, "ô bắt buộc", "required cells"),
    ):
        if least > most:
            yield located.error(
                "form/tables",
                f"Một báo cáo đủ có ít nhất {least} {what}; hệ thống nhận nhiều nhất {most}.",
                f"A complete report has at least {least} {what_en}; the limit is {most}.",
                "Giảm `min_rows`, hoặc chia thành nhiều chế độ báo cáo.",
                "Lower `min_rows`, or split the form into several regimes.",
            )


def least_bytes(table: TableField) -> int:
    """The size of the table in a complete report: its rows with `"code":0,` for each required cell."""
    row = 3 + sum(len(column.code) + 5 for column in table.columns if column.required)
    return len(table.code) + 6 + table.min_rows * row
