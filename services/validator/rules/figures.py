"""The slow, talkative way of a figure: taken when the quick check did not pass, and it alone says what is wrong."""

from __future__ import annotations

from decimal import Decimal

from services.validator.rules import catalogue
from services.validator.rules.flaws import Flaw, shown
from services.validator.rules.forms import Figure
from services.validator.rules.numbers import (
    GROUP_DIGITS,
    MAX_DIGITS,
    Misread,
    Number,
    is_blank,
    read,
    thousands_reading,
    unseen,
)
from services.validator.rules.units import in_unit
from shared.runtime.english import counted


def check(figure: Figure, text: str | None, flaws: list[Flaw], *, demanded: bool) -> Decimal | None:
    """Add what is wrong with the text of a figure; its value where it is a number, else None.

    `demanded` is false in a NIL report: then nothing is missing.
    """
    if text is None or is_blank(text):
        if figure.required and demanded:
            flaws.append(Flaw(catalogue.FIGURE_MISSING, figure.path, figure.words))
        return None
    outcome = read(text)
    match outcome:
        case Misread():
            flaws.append(_misread(figure, text, outcome))
            return None
        case Number():
            value, fraction_digits = outcome.value, outcome.fraction_digits
            if fraction_digits > figure.fraction_digits:
                flaws.append(_fraction(figure, text, value, fraction_digits))
            if value < figure.minimum:
                flaws.append(_range(figure, text, value, figure.minimum, catalogue.BELOW_MINIMUM, ">="))
            elif value > figure.maximum:
                flaws.append(_range(figure, text, value, figure.maximum, catalogue.ABOVE_MAXIMUM, "<="))
            elif fraction_digits == GROUP_DIGITS <= figure.fraction_digits:
                _ask_for_thousands(figure, text, flaws)
            return value


def _ask_for_thousands(figure: Figure, text: str, flaws: list[Flaw]) -> None:
    """1.234 is a good decimal; it is asked about where 1234 would be as good."""
    thousands = thousands_reading(text)
    if thousands is None or not figure.takes(Decimal(thousands), 0):
        return
    words = figure.words | {"decimal": text, "thousands": thousands}
    flaws.append(
        Flaw(catalogue.AMBIGUOUS_POINT, figure.path, words, provided=shown(text), expected=f"{text} | {thousands}")
    )


def _range(figure: Figure, text: str, value: Decimal, limit: Decimal, rule: catalogue.Rule, sign: str) -> Flaw:
    bound = format(limit, "f")
    words = figure.words | {"limit": bound, "thousands": "", "thousands_en": ""}
    thousands = thousands_reading(text) if len(text.partition(".")[2]) <= figure.fraction_digits else None
    if thousands is not None and figure.takes(Decimal(thousands), 0):
        words["thousands"] = f" Nếu dấu chấm dùng để phân cách hàng nghìn, viết {thousands}."
        words["thousands_en"] = f" If the point groups thousands, write {thousands}."
    return Flaw(
        rule,
        figure.path,
        words,
        provided=shown(text),
        expected=f"{sign} {bound}",
        difference=format(value - limit, "f"),
    )


def _fraction(figure: Figure, text: str, value: Decimal, fraction_digits: int) -> Flaw:
    limit = figure.fraction_digits
    thing, thing_en = figure.words["thing"], figure.words["thing_en"]
    whole, _, fraction = text.partition(".")
    exact = None
    if not figure.minimum <= value <= figure.maximum:
        # the value itself is to be looked at: to write it shorter would only bring that finding again
        hint = f"Khi viết lại, dùng tối đa {limit} chữ số thập phân." if limit else "Khi viết lại, viết số nguyên."
        hint_en = f"When you correct it, write at most {counted(limit, 'digit')} after the point."
        hint_en = hint_en if limit else "When you correct it, write a whole number."
    elif not fraction[limit:].strip("0"):
        exact = f"{whole}.{fraction[:limit]}" if limit else whole
        hint, hint_en = f"Viết {exact}.", f"Write {exact}."
    elif limit == 0:
        hint = f"Làm tròn số của {thing} thành số nguyên."
        hint_en = f"Round {thing_en} to a whole number."
    else:
        hint = f"Làm tròn số của {thing} còn tối đa {limit} chữ số thập phân."
        hint_en = f"Round {thing_en} to at most {counted(limit, 'digit')} after the point."
    thousands = thousands_reading(text)
    if thousands is not None and figure.takes(Decimal(thousands), 0):
        hint += f" Nếu dấu chấm dùng để phân cách hàng nghìn, viết {thousands}."
        hint_en += f" If the point groups thousands, write {thousands}."
    return Flaw(
        catalogue.FRACTION_DIGITS,
        figure.path,
        figure.words
        | {
            "digits": str(fraction_digits),
            "digits_en": counted(fraction_digits, "digit"),
            "limit": str(limit),
            "hint": hint,
            "hint_en": hint_en,
        },
        provided=shown(text),
        expected=exact,
        difference=str(fraction_digits - limit),
    )


def _misread(figure: Figure, text: str, misread: Misread) -> Flaw:
    words = figure.words | {"provided": shown(text.strip() or text, 60)}
    if misread.rule is catalogue.TOO_MANY_DIGITS:
        words |= {"digits": str(misread.digits), "limit": str(MAX_DIGITS)}
        return Flaw(misread.rule, figure.path, words, shown(text), str(MAX_DIGITS), str(misread.digits - MAX_DIGITS))
    readings = misread.readings
    if misread.rule in (catalogue.UNSEEN, catalogue.OTHER_SCRIPT):
        words["characters"] = _named(unseen(text) if misread.rule is catalogue.UNSEEN else _other_script(text))
    elif misread.rule is catalogue.WITH_UNIT:
        words["suffix"] = shown(misread.suffix, 40)
        readings = tuple(
            dict.fromkeys(
                converted for reading in readings if (converted := in_unit(reading, misread.suffix, figure.unit))
            )
        )
    readings = tuple(dict.fromkeys(_short(reading, figure.fraction_digits) for reading in readings))
    fitting = tuple(reading for reading in readings if figure.takes(Decimal(reading), _digits_of(reading)))
    if len(readings) > 1 and fitting == readings[1:] and _is_only_too_exact(figure, *readings[:2]):
        hint, hint_en = _rounded_or(figure, fitting[0], text)
        fitting = ()
    elif misread.rule is catalogue.WITH_UNIT and not readings:
        hint, hint_en = _only_the_number(figure)
    elif fitting or not readings:
        hint, hint_en = _hint(figure, fitting, text)
    else:
        hint, hint_en = _no_reading_fits(figure, readings[0])
    words |= {"hint": hint, "hint_en": hint_en}
    return Flaw(misread.rule, figure.path, words, provided=shown(text), expected=" | ".join(fitting) or None)


def _short(reading: str, fraction_digits: int) -> str:
    """The reading without zeros at its end that the figure has no place for: "64.0" is 64 in whole numbers."""
    whole, _, fraction = reading.partition(".")
    if len(fraction) <= fraction_digits or fraction[fraction_digits:].strip("0"):
        return reading
    return f"{whole}.{fraction[:fraction_digits]}" if fraction_digits else whole


def _named(characters: list[str]) -> str:
    """Characters by their code points: they cannot be told apart by eye."""
    names = [f"U+{ord(character):04X}" for character in characters[:5]]
    return ", ".join(names) + (", …" if len(characters) > len(names) else "")


def _other_script(text: str) -> list[str]:
    return list(dict.fromkeys(character for character in text if not character.isascii()))


def _only_the_number(figure: Figure) -> tuple[str, str]:
    unit = figure.words["unit"]
    return (
        f"Chỉ ghi số, tính theo đúng đơn vị của {figure.words['thing']}{unit}.",
        f"Write the number alone, in the unit of {figure.words['thing_en']}{unit}.",
    )


def _digits_of(reading: str) -> int:
    return len(reading.partition(".")[2])


def _hint(figure: Figure, readings: tuple[str, ...], text: str) -> tuple[str, str]:
    """What to write: only texts that the form takes."""
    if not readings:
        zero, zero_en = figure.words["zero"], figure.words["zero_en"]
        if not figure.fraction_digits:
            return (
                f"Viết một số nguyên bằng chữ số 0–9, không có dấu phân cách hàng nghìn, ví dụ 1234{zero}.",
                f"Write a whole number in digits 0–9 without grouping separators, such as 1234{zero_en}.",
            )
        return (
            f"Viết số bằng chữ số 0–9, dùng dấu chấm cho phần thập phân, không có dấu phân cách hàng nghìn, "
            f"ví dụ 1234.5{zero}.",
            f"Write digits 0–9 with a point before the fraction and no grouping separators, such as 1234.5{zero_en}.",
        )
    likeliest = readings[0]
    if len(readings) == 1:
        return f"Viết {likeliest}.", f"Write {likeliest}."
    mark, mark_en = ("dấu phẩy", "comma") if "," in text else ("dấu chấm", "point")
    return (
        f"Viết {likeliest} nếu là số thập phân, hoặc {readings[1]} nếu {mark} phân cách hàng nghìn.",
        f"Write {likeliest} if it is a decimal number, or {readings[1]} if the {mark_en} groups thousands.",
    )


def _is_only_too_exact(figure: Figure, decimal: str, thousands: str) -> bool:
    """Whether the decimal lacks nothing but to be rounded; in whole numbers, or in another unit, it is not meant."""
    return figure.fraction_digits > 0 and thousands_reading(decimal) == thousands and figure.takes(Decimal(decimal), 0)


def _rounded_or(figure: Figure, thousands: str, text: str) -> tuple[str, str]:
    """Both that it may mean: only to say what fits would make a thousand of what is likelier one and a bit."""
    mark, mark_en = ("dấu phẩy", "comma") if "," in text else ("dấu chấm", "point")
    limit = figure.fraction_digits
    return (
        f"Nếu là số thập phân, làm tròn còn tối đa {limit} chữ số thập phân; nếu {mark} phân cách hàng nghìn, "
        f"viết {thousands}.",
        f"If it is a decimal number, round it to at most {counted(limit, 'digit')} after the point; if the {mark_en} "
        f"groups thousands, write {thousands}.",
    )


def _no_reading_fits(figure: Figure, reading: str) -> tuple[str, str]:
    """One answer at once: to write the reading would only bring the next finding."""
    limit = figure.fraction_digits
    value = Decimal(reading)
    hint = f"Số này được hiểu là {reading}, nhưng {figure.words['thing']}"
    hint_en = f"This is read as {reading}, but {figure.words['thing_en']}"
    if value < figure.minimum:
        bound = format(figure.minimum, "f")
        hint, hint_en = f"{hint} phải từ {bound} trở lên", f"{hint_en} must be {bound} or more"
    elif value > figure.maximum:
        bound = format(figure.maximum, "f")
        hint, hint_en = f"{hint} không được quá {bound}", f"{hint_en} must be {bound} or less"
    elif limit == 0:
        return f"{hint} chỉ nhận số nguyên: viết số đã làm tròn.", f"{hint_en} takes whole numbers: write it rounded."
    else:
        return (
            f"{hint} chỉ nhận tối đa {limit} chữ số thập phân: viết số đã làm tròn.",
            f"{hint_en} takes at most {counted(limit, 'digit')} after the point: write it rounded.",
        )
    return f"{hint}: kiểm tra lại số liệu và đơn vị tính.", f"{hint_en}: check the value and its unit."
