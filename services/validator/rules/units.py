"""A number that people write with its unit ("1,5 tỷ đồng", "64 %") is turned into the unit of the figure, or into none.

Only what is sure is converted: magnitudes (nghìn, triệu, tỷ) of the same thing. "5 ha" in a figure of hồ sơ is nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from shared.contract.text import nfc

POWERS = {
    "nghìn": 3, "ngàn": 3, "ngìn": 3, "k": 3, "triệu": 6, "tr": 6, "trđ": 6, "tỷ": 9, "tỉ": 9, "thousand": 3,
    "million": 6, "billion": 9,
}  # fmt: skip
_PERCENT = frozenset({"%", "phần trăm", "percent"})
_DONG = frozenset({"đ", "đồng", "vnđ", "vnd", "₫", "d", "dong"})
_WHITE = re.compile(r"\s+")
#: a number of digits or more is no unit's
_GROUPED = {"1.000": 3, "1000": 3, "1.000.000": 6, "1000000": 6}


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: so many zeros (6 for triệu) of a thing (đồng, hồ sơ, %); `thing` is empty where it is not known."""

    power: int
    thing: str


def unit_of(text: str, scale: int = 0) -> Unit:
    """The unit that a form or a person names. `scale` counts where the text itself names no magnitude."""
    words = _WHITE.sub(" ", nfc(text).casefold()).strip(" .()").split(" ")
    power = 0
    while words and (step := POWERS.get(words[0], _GROUPED.get(words[0], 0))):
        power += step
        if words.pop(0) == "trđ":
            words.insert(0, "đ")
    thing = " ".join(words)
    if thing in _DONG:
        thing = "đồng"
    elif thing in _PERCENT:
        thing = "%"
    return Unit(power or scale, thing)


def in_unit(number: str, suffix: str, unit: Unit) -> str | None:
    """The number of a text such as "1.5" + "tỷ" as the figure's unit has it; None where that is not sure."""
    written = unit_of(suffix)
    if unit.thing and written.thing and written.thing != unit.thing:
        return None
    if not unit.thing and written.thing and written.power:
        return None  # of what the figure counts nothing is known
    if written.power and unit.thing == "%":
        return None
    # "64 triệu" is said of the thing itself; a figure without a magnitude of its own counts single things
    shift = written.power - unit.power if written.power or written.thing else 0
    value = Decimal(number)
    if not shift:
        return number
    moved = format(value.scaleb(shift), "f")
    return moved.rstrip("0").rstrip(".") if "." in moved else moved
