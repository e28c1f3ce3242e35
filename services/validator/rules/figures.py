"""The slow, talkative way of a figure: taken when the quick check did not pass, and it alone says what is wrong."""

from __future__ import annotations

from decimal import Decimal

from services.validator.rules import catalogue
from services.validator.rules.flaws import Flaw, shown
from services.validator.rules.forms import Figure
from services.validator.rules.numbers import MAX_DIGITS, Misread, Number, is_blank, read, thousands_reading


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
            return value


def _range(figure: Figure, text: str, value: Decimal, limit: Decimal, rule: catalogue.Rule, sign: str) -> Flaw:
    bound = format(limit, "f")
    return Flaw(
        rule,
        figure.path,
        figure.words | {"limit": bound},
        provided=shown(text),
        expected=f"{sign} {bound}",
        difference=format(value - limit, "f"),
    )


def _fraction(figure: Figure, text: str, value: Decimal, fraction_digits: int) -> Flaw:
    limit = figure.fraction_digits
    whole, _, fraction = text.partition(".")
    if not fraction[limit:].strip("0"):
        exact = f"{whole}.{fraction[:limit]}" if limit else whole
        hint, hint_en = f"Viết {exact}.", f"Write {exact}."
    elif limit == 0:
        exact = None
        hint = f"Làm tròn số của chỉ tiêu {figure.code} thành số nguyên."
        hint_en = f"Round figure {figure.code} to a whole number."
    else:
        exact = None
        hint = f"Làm tròn số của chỉ tiêu {figure.code} còn tối đa {limit} chữ số thập phân."
        hint_en = f"Round figure {figure.code} to at most {limit} digits after the point."
    thousands = thousands_reading(text)
    if thousands is not None:
        hint += f" Nếu dấu chấm dùng để phân cách hàng nghìn, viết {thousands}."
        hint_en += f" If the point groups thousands, write {thousands}."
    return Flaw(
        catalogue.FRACTION_DIGITS,
        figure.path,
        figure.words | {"digits": str(fraction_digits), "limit": str(limit), "hint": hint, "hint_en": hint_en},
        provided=shown(text),
        expected=exact,
        difference=str(fraction_digits - limit),
    )


def _misread(figure: Figure, text: str, misread: Misread) -> Flaw:
    readings = _fitting(figure, misread.readings)
    hint, hint_en = _hint(readings)
    words = figure.words | {"hint": hint, "hint_en": hint_en, "provided": shown(text.strip() or text, 60)}
    if misread.rule is catalogue.TOO_MANY_DIGITS:
        words |= {"digits": str(misread.digits), "limit": str(MAX_DIGITS)}
        return Flaw(misread.rule, figure.path, words, shown(text), str(MAX_DIGITS), str(misread.digits - MAX_DIGITS))
    return Flaw(misread.rule, figure.path, words, provided=shown(text), expected=" | ".join(readings) or None)


def _fitting(figure: Figure, readings: tuple[str, ...]) -> tuple[str, ...]:
    """Readings the form would take; where none fits, all: a figure without fractions has no "1.234" to be read."""
    fitting = tuple(text for text in readings if len(text.partition(".")[2]) <= figure.fraction_digits)
    return fitting or readings


def _hint(readings: tuple[str, ...]) -> tuple[str, str]:
    if not readings:
        return (
            "Viết số bằng chữ số 0–9, dùng dấu chấm cho phần thập phân, không có dấu phân cách hàng nghìn, "
            "ví dụ 1234.56; nếu không phát sinh thì ghi 0.",
            "Write digits 0–9 with a point before the fraction and no grouping separators, such as 1234.56; "
            "write 0 if there is nothing to report.",
        )
    likeliest = readings[0]
    if len(readings) == 1:
        return f"Viết {likeliest}.", f"Write {likeliest}."
    return (
        f"Viết {likeliest} nếu là số thập phân, hoặc {readings[1]} nếu dấu phẩy phân cách hàng nghìn.",
        f"Write {likeliest} if it is a decimal number, or {readings[1]} if the comma groups thousands.",
    )
