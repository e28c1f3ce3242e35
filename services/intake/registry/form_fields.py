"""The rules of one field of a form, wherever it stands: a figure, or a column of numbers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext

from services.intake.registry.source import Located
from shared.contract.events import FigureField, TableColumn
from shared.contract.events.fields import MAX_DIGITS
from shared.contract.events.registry import MAX_FIGURE_CHARACTERS
from shared.runtime.file_errors import FileError
from shared.runtime.hidden_characters import shown

NumberField = FigureField | TableColumn


def repeated_codes(located: Located, place: str, codes: Iterable[str]) -> Iterator[FileError]:
    """An error for each code of the list at `place` that stands there before."""
    seen: set[str] = set()
    for number, code in enumerate(codes):
        if code in seen:
            yield located.error(
                f"{place}/{number}/code",
                f"Mã “{shown(code)}” lặp lại.",
                f"The code “{shown(code)}” is repeated.",
                "Đặt mã khác.",
                "Give another code.",
            )
        seen.add(code)


def check_number(located: Located, place: str, field: NumberField) -> Iterator[FileError]:
    """What a number says of itself must be one thing, and some value must lie in its bounds."""
    yield from _type(located, place, field)
    if field.minimum is not None and field.maximum is not None and field.minimum > field.maximum:
        yield located.error(
            place,
            f"“{field.code}”: nhỏ nhất lớn hơn lớn nhất.",
            f"“{field.code}”: the minimum exceeds the maximum.",
            "Sửa hai giới hạn.",
            "Correct the bounds.",
        )
    elif (bounds := values_of(field))[0] > bounds[1]:
        yield located.error(
            place,
            f"“{field.code}”: không có số nào với {field.fraction_digits} chữ số thập phân giữa hai giới hạn.",
            f"“{field.code}”: no number with {field.fraction_digits} digits after the point lies in its bounds.",
            "Sửa hai giới hạn hoặc `fraction_digits`.",
            "Correct the bounds or `fraction_digits`.",
        )


def _type(located: Located, place: str, field: NumberField) -> Iterator[FileError]:
    """The type against unit, digits, scale and consolidation."""
    if field.type == "integer" and field.fraction_digits:
        yield located.error(
            f"{place}/fraction_digits",
            f"“{field.code}” là số nguyên nhưng cho phép {field.fraction_digits} chữ số thập phân.",
            f"“{field.code}” is an integer, but takes {field.fraction_digits} digits after the point.",
            "Bỏ `fraction_digits`, hoặc ghi type: decimal.",
            "Leave `fraction_digits` out, or write type: decimal.",
        )
    if field.type != "percent":
        return
    if field.unit not in ("", "%"):
        yield located.error(
            f"{place}/unit",
            f"“{field.code}” là tỷ lệ phần trăm nhưng có đơn vị “{shown(field.unit)}”.",
            f"“{field.code}” is a percentage, but its unit is “{shown(field.unit)}”.",
            "Ghi unit: “%”, hoặc bỏ đơn vị.",
            "Write unit: “%”, or leave it out.",
        )
    if field.scale:
        yield located.error(
            f"{place}/scale",
            f"“{field.code}” là tỷ lệ phần trăm nên không có `scale`.",
            f"“{field.code}” is a percentage, which has no `scale`.",
            "Bỏ `scale`.",
            "Leave `scale` out.",
        )
    if isinstance(field, FigureField) and field.consolidation == "sum":
        yield located.error(
            f"{place}/consolidation",
            f"“{field.code}” là tỷ lệ phần trăm; cộng các tỷ lệ không ra tỷ lệ chung.",
            f"“{field.code}” is a percentage; percentages do not add up.",
            "Ghi consolidation: average, last hoặc none.",
            "Write consolidation: average, last or none.",
        )


def check_text(located: Located, place: str, figure: FigureField) -> Iterator[FileError]:
    """A text has a length and nothing of a number."""
    surplus = {
        "type": figure.type is not None,
        "unit": bool(figure.unit),
        "minimum": figure.minimum is not None,
        "maximum": figure.maximum is not None,
        "fraction_digits": figure.fraction_digits != 0,
        "scale": figure.scale != 0,
        "consolidation": figure.consolidation in ("sum", "average"),
        "key": figure.key,
    }
    for name in (name for name, given in surplus.items() if given):
        yield located.error(
            f"{place}/{name}",
            f"“{figure.code}” là chữ (kind: text) nên không dùng được `{name}` này.",
            f"“{figure.code}” is a text (kind: text), of which this `{name}` says nothing.",
            f"Bỏ `{name}`, hoặc bỏ `kind`.",
            f"Leave `{name}` out, or `kind`.",
        )


def check_length(located: Located, place: str, figure: FigureField) -> Iterator[FileError]:
    """Only a text has a length of its own."""
    if figure.max_characters != MAX_FIGURE_CHARACTERS:
        yield located.error(
            f"{place}/max_characters",
            f"“{figure.code}” là số nên không có `max_characters`.",
            f"“{figure.code}” is a number, which has no `max_characters`.",
            "Bỏ `max_characters`, hoặc ghi kind: text.",
            "Leave `max_characters` out, or write kind: text.",
        )


def values_of(field: NumberField) -> tuple[Decimal, Decimal]:
    """The minimum and maximum in a report: its bounds, on the grid of its digits."""
    with localcontext(prec=4 * MAX_DIGITS):
        step = Decimal(1).scaleb(-field.fraction_digits)
        least = Decimal("-Infinity") if field.minimum is None else field.minimum.quantize(step, ROUND_CEILING)
        most = Decimal("Infinity") if field.maximum is None else field.maximum.quantize(step, ROUND_FLOOR)
    return least, most
