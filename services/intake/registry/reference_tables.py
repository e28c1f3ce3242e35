"""Rules of a reference table (danh mục tra cứu): its columns, cells and keys, and what later versions keep. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal

from pydantic import TypeAdapter, ValidationError

from services.intake.registry.records import Registry
from services.intake.registry.source import Located
from shared.contract.events import ReferenceTablePublished
from shared.contract.events.fields import AT_THE_GATE, Amount, Day
from shared.runtime.file_errors import FileError
from shared.runtime.hidden_characters import shown

_AMOUNT: TypeAdapter[Decimal] = TypeAdapter(Amount)
_DAY: TypeAdapter[date] = TypeAdapter(Day)


def check(located: Located, table: ReferenceTablePublished, registry: Registry) -> Iterator[FileError]:
    """Yield what is wrong with a new version: every column, row, cell and key, and what an earlier version had."""
    codes = [column.code for column in table.columns]
    for place, code in enumerate(codes):
        if code in codes[:place]:
            yield located.error(
                f"columns/{place}/code",
                f"Cột “{shown(code)}” lặp lại.",
                f"The column “{shown(code)}” is repeated.",
                "Đổi mã của một cột.",
                "Give one of them another code.",
            )
    if not codes:
        yield located.error(
            "columns",
            "Danh mục tra cứu chưa có cột nào.",
            "The reference table has no columns.",
            "Ghi các cột; cột đầu là khóa.",
            "Give its columns; the first one is the key.",
        )
    elif not table.rows:
        yield located.error(
            "rows",
            "Danh mục tra cứu chưa có dòng nào.",
            "The reference table has no rows.",
            "Ghi ít nhất một dòng.",
            "Give at least one row.",
        )
    else:
        yield from _rows(located, table)
    yield from _kept(located, table, registry)


def fixed(located: Located, table: ReferenceTablePublished, field: str, named: str) -> FileError:
    """The error of a published version that would change, at `field`; `named`: all that would."""
    version = table.table_version
    return located.error(
        field,
        f"Phiên bản {version} của danh mục {table.code} đã ban hành, không sửa được ({named}).",
        f"Version {version} of the reference table {table.code} is published and cannot change ({named}).",
        f"Trả lại như cũ, rồi ghi thay đổi thành table_version: {version + 1}; để thay phiên bản sai thì giữ "
        "effective_from.",
        f"Restore it and write the change as table_version: {version + 1}; to replace a wrong version, keep its "
        "effective_from.",
    )


def _rows(located: Located, table: ReferenceTablePublished) -> Iterator[FileError]:
    first: dict[str, int] = {}
    parsers = [_PARSERS[column.type] for column in table.columns]
    for number, row in enumerate(table.rows):
        if len(row) != len(parsers):
            yield located.error(
                f"rows/{number}",
                f"Dòng có {len(row)} ô, danh mục có {len(parsers)} cột.",
                f"The row has {len(row)} cells, the table {len(parsers)} columns.",
                "Ghi đủ một ô cho mỗi cột; ô trống ghi null.",
                "Give one cell for each column; write null for a blank one.",
            )
            continue
        for place, (cell, parser) in enumerate(zip(row, parsers, strict=True)):
            if cell:
                try:
                    parser(cell)
                except ValidationError as error:
                    words = error.errors()[0]["ctx"]
                    yield located.error(
                        f"rows/{number}/{place}", words["message"], words["message_en"], words["fix"], words["fix_en"]
                    )
        key = row[0]
        if not key:
            yield located.error(
                f"rows/{number}/0",
                "Dòng không có khóa.",
                "The row has no key.",
                "Ghi ô đầu của dòng.",
                "Fill the row's first cell.",
            )
        elif (before := first.setdefault(_written(table, key), number)) != number:
            yield located.error(
                f"rows/{number}/0",
                f"Khóa “{shown(key)}” đã có ở dòng {before + 1}.",
                f"The key “{shown(key)}” stands in row {before + 1} already.",
                "Chỉ giữ một dòng cho mỗi khóa.",
                "Keep one row for each key.",
            )


def _written(table: ReferenceTablePublished, key: str) -> str:
    """The key as it is compared: 64.0 is 64."""
    if table.columns[0].type == "number":
        try:
            return format(_AMOUNT.validate_python(key, context=AT_THE_GATE).normalize(), "f")
        except ValidationError:
            return key
    return key


def _kept(located: Located, table: ReferenceTablePublished, registry: Registry) -> Iterator[FileError]:
    """Published rules name columns of the table without a version, so each version has those of the ones before."""
    columns = {column.code: column.type for column in table.columns}
    for number, other in sorted(registry.references.get(table.code, {}).items()):
        if number >= table.table_version or not other.columns:
            continue
        lost = [column.code for column in other.columns if columns.get(column.code) != column.type]
        moved = bool(table.columns) and table.columns[0].code != other.columns[0].code
        if lost or moved:
            names = ", ".join(map(shown, lost or [other.columns[0].code]))
            yield located.error(
                "columns",
                f"Phiên bản {number} có cột {names}, quy tắc đã ban hành có thể dùng: phải giữ cột, loại và cột khóa.",
                f"Version {number} has the column {names}, which published rules may use: keep columns, types and the "
                "key's column.",
                "Giữ các cột cũ; cột mới ghi thêm phía sau.",
                "Keep the old columns and put new ones behind them.",
            )
            return


_PARSERS: dict[str, Callable[[str], object]] = {
    "number": lambda cell: _AMOUNT.validate_python(cell, context=AT_THE_GATE),
    "date": lambda cell: _DAY.validate_python(cell, context=AT_THE_GATE),
    "text": lambda cell: cell,
}
