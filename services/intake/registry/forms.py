"""The rules within a form, so that reports by it can be written, sent and judged, and its sums are consistent. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal, localcontext

from services.intake.registry import form_tables, sums
from services.intake.registry.form_fields import check_length, check_number, check_text, repeated_codes, values_of
from services.intake.registry.source import Located
from shared.contract.events import FigureField, RegimePublished, SumRule
from shared.contract.events.fields import MAX_DIGITS
from shared.reports.limits import MAX_BODY_BYTES
from shared.runtime.file_errors import FileError
from shared.runtime.hidden_characters import shown

#: limit on the totals of a circle that a message names
_NAMED = 10


def check(located: Located, regime: RegimePublished) -> Iterator[FileError]:
    form = regime.form
    numbers = [figure for figure in form.figures if figure.kind != "text"]
    texts = {figure.code for figure in form.figures} - {figure.code for figure in numbers}
    by_code = {figure.code: figure for figure in numbers}
    if not (form.figures or form.narratives or form.tables):
        yield located.error(
            "form",
            "Biểu mẫu không hỏi gì: không có chỉ tiêu, không có thuyết minh, không có bảng.",
            "The form asks nothing: it has neither figures nor narratives nor tables.",
            "Ghi `figures`, `narratives` hoặc `tables`.",
            "Give `figures`, `narratives` or `tables`.",
        )
    groups = {
        "figures": [figure.code for figure in form.figures],
        "narratives": [narrative.code for narrative in form.narratives],
        "sums": [rule.code for rule in form.sums],
        "attachments": [attachment.code for attachment in form.attachments],
        "tables": [table.code for table in form.tables],
    }
    for field, codes in groups.items():
        yield from repeated_codes(located, f"form/{field}", codes)
    for place, figure in enumerate(form.figures):
        at = f"form/figures/{place}"
        if figure.kind == "text":
            yield from check_text(located, at, figure)
        else:
            yield from check_number(located, at, figure)
            yield from check_length(located, at, figure)
    yield from form_tables.check(located, form.tables)
    for place, narrative in enumerate(form.narratives):
        if narrative.min_characters > narrative.max_characters:
            yield located.error(
                f"form/narratives/{place}",
                f"“{narrative.code}”: độ dài nhỏ nhất lớn hơn độ dài lớn nhất.",
                f"“{narrative.code}”: the minimum length exceeds the maximum length.",
                "Sửa độ dài.",
                "Correct the lengths.",
            )
        elif narrative.required and narrative.max_characters == 0:
            yield located.error(
                f"form/narratives/{place}/max_characters",
                f"“{narrative.code}” là mục bắt buộc nhưng không được có ký tự nào.",
                f"“{narrative.code}” is required but may not hold any character.",
                "Tăng `max_characters`, hoặc ghi required: false.",
                "Raise `max_characters`, or write required: false.",
            )
    reported: set[int] = set()
    for place, error in _sums(located, form.sums, by_code, texts):
        reported.add(place)
        yield error
    values = {figure.code: values_of(figure) for figure in numbers}
    yield from sums.together(located, form.sums, by_code, values, reported)
    # `"code":0,` for each figure, two quotes more for a text, `"code":"…",` for each narrative, some for the envelope
    least = 300 + sum(len(figure.code) + 5 for figure in form.figures if figure.required)
    least += 2 * sum(figure.required for figure in form.figures if figure.kind == "text")
    least += sum(len(item.code) + 6 + item.min_characters for item in form.narratives if item.required)
    least += sum(form_tables.least_bytes(table) for table in form.tables if table.required)
    if least > MAX_BODY_BYTES:
        yield located.error(
            "form",
            f"Một báo cáo đủ theo biểu mẫu này có ít nhất {least} byte; hệ thống nhận nhiều nhất {MAX_BODY_BYTES}.",
            f"A complete report by this form has at least {least} bytes; the limit is {MAX_BODY_BYTES}.",
            "Giảm độ dài tối thiểu của thuyết minh, số dòng tối thiểu của bảng, hoặc chia thành nhiều chế độ báo cáo.",
            "Lower the minimum lengths of narratives or rows of tables, or split the form into several regimes.",
        )


def _sums(
    located: Located, rules: Sequence[SumRule], by_code: Mapping[str, FigureField], texts: Collection[str]
) -> Iterator[tuple[int, FileError]]:
    """The errors of each sum by itself and of sums that form a circle, with the place of the sum."""
    for place, rule in enumerate(rules):
        for error in _sum(located, f"form/sums/{place}", rule, by_code.keys(), texts):
            yield place, error
        for error in _reachable(located, f"form/sums/{place}", rule, by_code):
            yield place, error
    yield from _circles(located, rules)


def _sum(
    located: Located, place: str, rule: SumRule, figures: Collection[str], texts: Collection[str]
) -> Iterator[FileError]:
    if rule.total in texts:
        yield _no_number(located, f"{place}/total", rule.total)
    elif rule.total not in figures:
        yield located.unknown(f"{place}/total", "chỉ tiêu", "figure", rule.total)
    if not rule.terms:
        yield located.error(
            f"{place}/terms",
            "Tổng không có số hạng.",
            "The sum has no terms.",
            "Ghi mã các chỉ tiêu được cộng, hoặc bỏ tổng này.",
            "Give the codes of the figures that are added, or remove the sum.",
        )
    counts = Counter(rule.terms)
    reported: set[str] = set()
    for number, term in enumerate(rule.terms):
        where = f"{place}/terms/{number}"
        if term in texts:
            yield _no_number(located, where, term)
        elif term not in figures:
            yield located.unknown(where, "chỉ tiêu", "figure", term)
        if term == rule.total:
            yield located.error(
                where,
                f"Tổng “{shown(term)}” là số hạng của chính nó.",
                f"The total “{shown(term)}” is one of its own terms.",
                "Bỏ số hạng này.",
                "Remove this term.",
            )
        elif counts[term] > 1 and term in reported:
            yield located.error(
                where,
                f"Số hạng “{shown(term)}” lặp lại.",
                f"The term “{shown(term)}” is repeated.",
                "Bỏ một lần.",
                "Remove one of them.",
            )
        reported.add(term)
    if rule.tolerance < 0:
        yield located.error(
            f"{place}/tolerance",
            "Sai số cho phép là số âm.",
            "The tolerance is negative.",
            "Ghi 0 hoặc số dương.",
            "Give 0 or more.",
        )


def _no_number(located: Located, where: str, code: str) -> FileError:
    return located.error(
        where,
        f"“{shown(code)}” là chữ, không cộng được.",
        f"“{shown(code)}” is a text, which does not add up.",
        "Bỏ mã này khỏi tổng, hoặc bỏ `kind: text` của chỉ tiêu.",
        "Remove it from the sum, or the figure's `kind: text`.",
    )


def _bound(value: Decimal) -> str:
    return format(value, "f") if value.is_finite() else "∞" if value > 0 else "-∞"


def _reachable(located: Located, place: str, rule: SumRule, by_code: Mapping[str, FigureField]) -> Iterator[FileError]:
    """An error for a sum whose terms cannot add up to its total, so that every complete report would be returned."""
    terms = [by_code[term] for term in dict.fromkeys(rule.terms) if term in by_code]
    total = by_code.get(rule.total)
    # a sum does not check a report without its total or without all its terms
    if total is None or not total.required or not any(term.required for term in terms) or rule.total in rule.terms:
        return
    least = most = Decimal(0)
    with localcontext(prec=4 * MAX_DIGITS):
        for term in terms:
            low, high = values_of(term)
            if low > high:
                return  # already reported
            least += low if term.required else min(low, Decimal(0))
            most += high if term.required else max(high, Decimal(0))
        low, high = values_of(total)
        missed = least - rule.tolerance > high or most + rule.tolerance < low
    if missed and low <= high and rule.tolerance >= 0:
        least_shown, most_shown, low_shown, high_shown = map(_bound, (least, most, low, high))
        yield located.error(
            place,
            f"Tổng “{shown(rule.code)}” không bao giờ đúng: số hạng cộng được {least_shown} đến {most_shown}, "
            f"còn “{shown(rule.total)}” chỉ được {low_shown} đến {high_shown}.",
            f"The sum “{shown(rule.code)}” never holds: its terms add up to {least_shown} to {most_shown}, "
            f"but “{shown(rule.total)}” may be {low_shown} to {high_shown}.",
            "Sửa giới hạn của các chỉ tiêu, hoặc số hạng.",
            "Correct the bounds of the figures, or the terms.",
        )


def _circles(located: Located, rules: Sequence[SumRule]) -> Iterator[tuple[int, FileError]]:
    """Sums that contain their own total through others: A = B + C and B = A + D.

    Reports each term that closes a circle, so that removing the reported terms removes every circle.
    """
    of_total: dict[str, list[int]] = {}
    for number, rule in enumerate(rules):
        of_total.setdefault(rule.total, []).append(number)

    def below(total: str) -> Iterator[tuple[str, int, int]]:
        """The totals among the terms of a total, each with its place."""
        for number in of_total[total]:
            for place, term in enumerate(rules[number].terms):
                if term in of_total and term != total:
                    yield term, number, place

    done: set[str] = set()
    for start in of_total:
        if start in done:
            continue
        depth = {start: 0}  # of the totals on the way, in their order
        way = [start]
        open_ends = [below(start)]
        while way:
            term, number, place = next(open_ends[-1], ("", 0, 0))
            if not term:
                open_ends.pop()
                gone = way.pop()
                del depth[gone]
                done.add(gone)
            elif term in depth:
                yield number, _circle(located, f"form/sums/{number}/terms/{place}", way, depth[term])
            elif term not in done:
                depth[term] = len(way)
                way.append(term)
                open_ends.append(below(term))


def _circle(located: Located, place: str, way: Sequence[str], begin: int) -> FileError:
    names = [shown(code, 30) for code in way[begin : begin + _NAMED]]
    if (left_out := len(way) - begin - _NAMED) > 0:
        names.append(f"… ({left_out})")
    chain = " → ".join((*names, names[0]))
    return located.error(
        place,
        f"Tổng “{shown(way[begin])}” quay vòng về chính nó qua các tổng khác: {chain}.",
        f"The sum “{shown(way[begin])}” contains itself through other sums: {chain}.",
        "Bỏ số hạng này, hoặc sửa một tổng trong vòng.",
        "Remove this term, or correct a sum of the circle.",
    )
