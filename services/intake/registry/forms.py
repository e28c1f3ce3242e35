"""What must hold within a form: reports by it can be written, sent and judged; its sums say one thing. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from services.intake.limits import MAX_BODY_BYTES
from services.intake.registry.source import FileError, Located
from shared.events import RegimePublished, SumRule
from shared.events.fields import shown


def check(located: Located, regime: RegimePublished) -> Iterator[FileError]:
    form = regime.form
    figures = {figure.code for figure in form.figures}
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
    for place, narrative in enumerate(form.narratives):
        if narrative.min_characters > narrative.max_characters:
            yield located.error(
                f"form/narratives/{place}",
                f"“{narrative.code}”: độ dài nhỏ nhất lớn hơn độ dài lớn nhất.",
                f"“{narrative.code}”: the least of the lengths is over the most.",
                "Sửa độ dài.",
                "Correct the lengths.",
            )
    for place, rule in enumerate(form.sums):
        yield from _sum(located, f"form/sums/{place}", rule, figures)
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
