"""What must hold within a form: reports by it can be written, sent and judged; its sums say one thing. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext

from services.intake.registry.source import FileError, Located
from services.intake.submissions.limits import MAX_BODY_BYTES
from shared.contract.events import FigureField, RegimePublished, SumRule
from shared.contract.events.fields import MAX_DIGITS, shown


def check(located: Located, regime: RegimePublished) -> Iterator[FileError]:
    form = regime.form
    figures = {figure.code for figure in form.figures}
    by_code = {figure.code: figure for figure in form.figures}
    groups = {
        "figures": [figure.code for figure in form.figures],
        "narratives": [narrative.code for narrative in form.narratives],
        "sums": [rule.code for rule in form.sums],
    }
    for field, codes in groups.items():
        seen: set[str] = set()
        for place, code in enumerate(codes):
            if code in seen:
                yield located.error(
                    f"form/{field}/{place}/code",
                    f"Mã “{shown(code)}” lặp lại.",
                    f"The code “{shown(code)}” is repeated.",
                    "Đặt mã khác.",
                    "Give another code.",
                )
            seen.add(code)
    for place, figure in enumerate(form.figures):
        if figure.minimum is not None and figure.maximum is not None and figure.minimum > figure.maximum:
            yield located.error(
                f"form/figures/{place}",
                f"“{figure.code}”: nhỏ nhất lớn hơn lớn nhất.",
                f"“{figure.code}”: the minimum is over the maximum.",
                "Sửa hai giới hạn.",
                "Correct the bounds.",
            )
        elif (bounds := _values(figure))[0] > bounds[1]:
            yield located.error(
                f"form/figures/{place}",
                f"“{figure.code}”: không có số nào với {figure.fraction_digits} chữ số thập phân giữa hai giới hạn.",
                f"“{figure.code}”: no number with {figure.fraction_digits} digits after the point lies in its bounds.",
                "Sửa hai giới hạn hoặc `fraction_digits`.",
                "Correct the bounds or `fraction_digits`.",
            )
    for place, narrative in enumerate(form.narratives):
        if narrative.min_characters > narrative.max_characters:
            yield located.error(
                f"form/narratives/{place}",
                f"“{narrative.code}”: độ dài nhỏ nhất lớn hơn độ dài lớn nhất.",
                f"“{narrative.code}”: the least of the lengths is over the most.",
                "Sửa độ dài.",
                "Correct the lengths.",
            )
        elif narrative.required and narrative.max_characters == 0:
            yield located.error(
                f"form/narratives/{place}/max_characters",
                f"“{narrative.code}” là mục bắt buộc nhưng không được có ký tự nào.",
                f"“{narrative.code}” is required, and may hold no character.",
                "Tăng `max_characters`, hoặc ghi required: false.",
                "Raise `max_characters`, or write required: false.",
            )
    for place, rule in enumerate(form.sums):
        yield from _sum(located, f"form/sums/{place}", rule, figures)
        yield from _reachable(located, f"form/sums/{place}", rule, by_code)
    yield from _circles(located, form.sums)
    # `"code":0,` of each figure, `"code":"…",` of each narrative, and some for the envelope
    least = 300 + sum(len(figure.code) + 5 for figure in form.figures if figure.required)
    least += sum(len(item.code) + 6 + item.min_characters for item in form.narratives if item.required)
    if least > MAX_BODY_BYTES:
        yield located.error(
            "form",
            f"Một báo cáo đủ theo biểu mẫu này có ít nhất {least} byte; hệ thống nhận nhiều nhất {MAX_BODY_BYTES}.",
            f"A complete report by this form has at least {least} bytes; {MAX_BODY_BYTES} are taken at most.",
            "Giảm độ dài tối thiểu của thuyết minh, hoặc chia thành nhiều chế độ báo cáo.",
            "Lower the least lengths of narratives, or part it into several regimes.",
        )


def _sum(located: Located, place: str, rule: SumRule, figures: set[str]) -> Iterator[FileError]:
    if rule.total not in figures:
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
    told: set[str] = set()
    for number, term in enumerate(rule.terms):
        where = f"{place}/terms/{number}"
        if term not in figures:
            yield located.unknown(where, "chỉ tiêu", "figure", term)
        if term == rule.total:
            yield located.error(
                where,
                f"Tổng “{shown(term)}” là số hạng của chính nó.",
                f"The total “{shown(term)}” is one of its own terms.",
                "Bỏ số hạng này.",
                "Remove this term.",
            )
        elif counts[term] > 1 and term in told:
            yield located.error(
                where,
                f"Số hạng “{shown(term)}” lặp lại.",
                f"The term “{shown(term)}” is there twice.",
                "Bỏ một lần.",
                "Remove one of them.",
            )
        told.add(term)
    if rule.tolerance < 0:
        yield located.error(
            f"{place}/tolerance",
            "Sai số cho phép là số âm.",
            "The tolerance is negative.",
            "Ghi 0 hoặc số dương.",
            "Give 0 or more.",
        )


def _values(figure: FigureField) -> tuple[Decimal, Decimal]:
    """The least and the most that a report can say of the figure: its bounds, on the grid of its digits."""
    with localcontext(prec=4 * MAX_DIGITS):
        step = Decimal(1).scaleb(-figure.fraction_digits)
        least = Decimal("-Infinity") if figure.minimum is None else figure.minimum.quantize(step, ROUND_CEILING)
        most = Decimal("Infinity") if figure.maximum is None else figure.maximum.quantize(step, ROUND_FLOOR)
    return least, most


def _bound(value: Decimal) -> str:
    return format(value, "f") if value.is_finite() else "∞" if value > 0 else "-∞"


def _reachable(located: Located, place: str, rule: SumRule, by_code: Mapping[str, FigureField]) -> Iterator[FileError]:
    """A sum whose total no terms can add up to, each within its bounds: every complete report would be returned."""
    terms = [by_code[term] for term in dict.fromkeys(rule.terms) if term in by_code]
    total = by_code.get(rule.total)
    # where the total, or every term, may be left out, such a report is not checked by this sum
    if total is None or not total.required or not any(term.required for term in terms) or rule.total in rule.terms:
        return
    least = most = Decimal(0)
    with localcontext(prec=4 * MAX_DIGITS):
        for term in terms:
            low, high = _values(term)
            if low > high:
                return  # told already
            least += low if term.required else min(low, Decimal(0))
            most += high if term.required else max(high, Decimal(0))
        low, high = _values(total)
        missed = least - rule.tolerance > high or most + rule.tolerance < low
    if missed and low <= high and rule.tolerance >= 0:
        least_told, most_told, low_told, high_told = map(_bound, (least, most, low, high))
        yield located.error(
            place,
            f"Tổng “{shown(rule.code)}” không bao giờ đúng: số hạng cộng được {least_told} đến {most_told}, "
            f"còn “{shown(rule.total)}” chỉ được {low_told} đến {high_told}.",
            f"The sum “{shown(rule.code)}” never holds: its terms add up to {least_told} to {most_told}, "
            f"but “{shown(rule.total)}” may be {low_told} to {high_told}.",
            "Sửa giới hạn của các chỉ tiêu, hoặc số hạng.",
            "Correct the bounds of the figures, or the terms.",
        )


def _circles(located: Located, sums: Sequence[SumRule]) -> Iterator[FileError]:
    """Sums that come back to their own total through others: A = B + C and B = A + D."""
    below: dict[str, set[str]] = {}
    for rule in sums:
        below.setdefault(rule.total, set()).update(term for term in rule.terms if term != rule.total)
    totals = {total: {term for term in terms if term in below} for total, terms in below.items()}
    circular = _without_ends(_without_ends(totals))
    for place, rule in enumerate(sums):
        if rule.total in circular and circular.keys() & set(rule.terms) - {rule.total}:
            yield located.error(
                f"form/sums/{place}",
                f"Tổng “{shown(rule.total)}” quay vòng về chính nó qua các tổng khác.",
                f"The sum “{shown(rule.total)}” comes back to itself through other sums.",
                "Sửa số hạng.",
                "Correct the terms.",
            )


def _without_ends(arrows: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The arrows turned round, without what points, again and again, at nothing that is left. Twice: the circles."""
    into: dict[str, set[str]] = {}
    for start, ends in arrows.items():
        for end in ends:
            into.setdefault(end, set()).add(start)
    left = {start: set(ends) for start, ends in arrows.items()}
    done = [start for start, ends in left.items() if not ends]
    while done:
        gone = done.pop()
        for start in into.get(gone, ()):
            left[start].discard(gone)
            if not left[start]:
                done.append(start)
    turned: dict[str, set[str]] = {start: set() for start, ends in left.items() if ends}
    for start, ends in left.items():
        for end in ends:
            turned[end].add(start)
    return turned
