"""Reports as clerks write them: one whose sums all hold, one with mistakes, and one corrected by its findings.

Figures are texts throughout, as the API takes them; no float is involved.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from shared.contract.events import FigureField, Form, NarrativeField, SumRule, TableColumn, TableField
from shared.contract.events.registry import NarrativeRole

_SENTENCES = (
    "Trong kỳ, cơ quan đã triển khai đầy đủ các nhiệm vụ được giao theo kế hoạch.",
    "Công tác tiếp nhận và trả kết quả hồ sơ được thực hiện đúng quy trình, không để tồn đọng kéo dài.",
    "Một số hồ sơ đất đai phải xác minh nhiều lần nên thời gian giải quyết còn chậm so với yêu cầu.",
    "Nguyên nhân chủ yếu là dữ liệu chưa đồng bộ sau sắp xếp đơn vị hành chính và thiếu cán bộ chuyên trách.",
    "Lãnh đạo đã phân công người theo dõi từng nhiệm vụ, kiểm tra tiến độ hằng tuần và nhắc việc kịp thời.",
    "Thu ngân sách đạt tiến độ, các khoản chi bảo đảm đúng dự toán và chế độ quy định.",
    "Tình hình sản xuất ổn định; diện tích gieo trồng tăng nhẹ nhờ thời tiết thuận lợi đầu vụ.",
    "Công tác tiếp công dân được duy trì, các kiến nghị được trả lời bằng văn bản trong thời hạn.",
    "Kiến nghị tỉnh bổ sung kinh phí số hóa hồ sơ và tập huấn nghiệp vụ cho cán bộ đầu mối báo cáo.",
    "Thời gian tới, cơ quan tiếp tục rà soát nhiệm vụ chậm tiến độ và báo cáo kết quả đúng hạn.",
)
#: which of them speak of what
_SPEAKING_OF: Mapping[NarrativeRole, tuple[int, ...]] = {
    "results": (0, 1, 5, 7),
    "assessment": (1, 2, 6),
    "causes": (3,),
    "proposals": (8, 9),
}
#: largest value drawn for a figure without a maximum
_USUAL_MAXIMUM = Decimal(1000)
#: rows of a table beyond its fewest
_MORE_ROWS = 4
#: the rules of forms that a truthful report has to be made for
_AT_MOST = re.compile(r"\[(\w+)\] <= \[(\w+)\]")
_SHARE = re.compile(r"\[(?P<share>\w+)\] = PCT\((?P<parts>[^;]+); \[(?P<whole>\w+)\]\)")
_CODE = re.compile(r"\[(\w+)\]")
_FIRST_DAY = date(2026, 1, 1)


@dataclass(frozen=True, slots=True)
class Report:
    """The content of one submission. A figure of None was sent as null."""

    nil: bool = False
    figures: Mapping[str, str | None] = field(default_factory=dict)
    narratives: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, Sequence[Mapping[str, str | None]]] = field(default_factory=dict)


def truthful(form: Form, rng: random.Random) -> Report:
    """A report without mistakes: draws totals first and splits them among their terms, so every sum holds."""
    figures = {figure.code: figure for figure in form.figures}
    values: dict[str, Decimal] = {}
    terms = {term for rule in form.sums for term in rule.terms}
    most = _upper_figures(form)
    for code, figure in figures.items():
        if code not in terms:
            values[code] = min(
                [_draw(figure, rng), *(values[upper] for upper in most.get(code, ()) if upper in values)]
            )
            _split(code, form.sums, figures, values, rng)
    for rule in form.rules:
        if (share := _SHARE.fullmatch(rule.assert_)) is not None:
            values[share["share"]] = _share(share, values, figures[share["share"]])
    return Report(
        figures={code: format(values[code], "f") for code in figures},
        narratives={
            narrative.code: _prose(narrative, rng) + _mention(form, narrative) for narrative in form.narratives
        },
        tables={table.code: _rows(table, rng) for table in form.tables},
    )


def _upper_figures(form: Form) -> dict[str, list[str]]:
    """By figure: those that it must not exceed, by the form's rules."""
    found: dict[str, list[str]] = {}
    for rule in form.rules:
        if rule.severity != "info" and (limit := _AT_MOST.fullmatch(rule.assert_)) is not None:
            found.setdefault(limit[1], []).append(limit[2])
    return found


def _share(share: re.Match[str], values: Mapping[str, Decimal], figure: FigureField) -> Decimal:
    """A share as the rule computes it; where the whole is 0 there is none, and any will do."""
    whole = values[share["whole"]]
    parts = sum((values[code] for code in _CODE.findall(share["parts"])), Decimal(0))
    step = Decimal(1).scaleb(-figure.fraction_digits)
    return (parts / whole * 100).quantize(step, ROUND_HALF_UP) if whole else Decimal(0)


def _rows(table: TableField, rng: random.Random) -> list[dict[str, str | None]]:
    count = min(table.max_rows, max(1, table.min_rows) + rng.randrange(_MORE_ROWS))
    rows: list[dict[str, str | None]] = [
        {column.code: _cell(column, rng) for column in table.columns} for _ in range(count)
    ]
    for column in table.columns:
        if column.type == "choice" and len(column.choices) >= count:  # a row for each, not two for one
            for row, choice in zip(rows, rng.sample(column.choices, k=count), strict=True):
                row[column.code] = choice
    return rows


def _cell(column: TableColumn, rng: random.Random) -> str:
    match column.type:
        case "text":
            return rng.choice(_SENTENCES)[: column.max_characters].strip()
        case "date":
            return (_FIRST_DAY + timedelta(days=rng.randrange(365))).isoformat()
        case "choice":
            return rng.choice(column.choices)
        case _:
            return format(_draw(column, rng), "f")


def _draw(figure: FigureField | TableColumn, rng: random.Random) -> Decimal:
    step = Decimal(1).scaleb(-figure.fraction_digits)
    low = figure.minimum if figure.minimum is not None else Decimal(0)
    high = figure.maximum if figure.maximum is not None else low + _USUAL_MAXIMUM
    # use at most half of the range, since terms must also fit their own bounds
    return low + step * rng.randrange(int((high - low) / step) // 2 + 1)


def _split(
    total: str,
    rules: Sequence[SumRule],
    figures: Mapping[str, FigureField],
    values: dict[str, Decimal],
    rng: random.Random,
) -> None:
    for rule in rules:
        if rule.total != total:
            continue
        step = Decimal(1).scaleb(-min(figures[code].fraction_digits for code in (total, *rule.terms)))
        cuts = sorted(rng.randrange(int(values[total] / step) + 1) for _ in rule.terms[1:])
        edges = [0, *cuts, int(values[total] / step)]
        for place, term in enumerate(rule.terms):
            values[term] = step * (edges[place + 1] - edges[place])
        for term in rule.terms:
            _split(term, rules, figures, values, rng)


def _prose(narrative: NarrativeField, rng: random.Random) -> str:
    sentences = rng.sample(_SENTENCES, k=len(_SENTENCES))
    for role in narrative.roles:
        spoken = _SENTENCES[rng.choice(_SPEAKING_OF[role])]
        sentences.remove(spoken)
        sentences.append(spoken)
    text = sentences.pop()
    said = 1
    while sentences and (len(text) < narrative.min_characters + 150 or said < len(narrative.roles)):
        text = f"{text} {sentences.pop()}"
        said += 1
    return text


def _mention(form: Form, narrative: NarrativeField) -> str:
    """What an assessment says of the key figures, so that nobody asks about them."""
    labels = [figure.label for figure in form.figures if figure.key]
    if not labels or "assessment" not in narrative.roles:
        return ""
    return f" Chỉ tiêu chính được theo dõi thường xuyên: {'; '.join(labels)}."


def spoiled(form: Form, report: Report, mistakes: int, rng: random.Random) -> Report:
    """The report with `mistakes` mistakes, of different kinds where the form allows."""
    kinds = (_wrong_total, _comma_figure, _missing_figure, _short_narrative)
    for place in sorted(rng.sample(range(len(kinds)), k=min(mistakes, len(kinds)))):
        report = kinds[place](form, report, rng)
    return report


def _changed(report: Report, code: str, value: str | None) -> Report:
    return replace(report, figures={**report.figures, code: value})


def _wrong_total(form: Form, report: Report, rng: random.Random) -> Report:
    code = rng.choice([rule.total for rule in form.sums] or [form.figures[0].code])
    return _changed(report, code, format(Decimal(report.figures[code] or "0") + rng.choice((1, 9, 10, 100)), "f"))


def _missing_figure(form: Form, report: Report, rng: random.Random) -> Report:
    code = rng.choice([figure.code for figure in form.figures if figure.required])
    return replace(report, figures={known: value for known, value in report.figures.items() if known != code})


def _comma_figure(form: Form, report: Report, rng: random.Random) -> Report:
    """A number as written by hand in Vietnamese: `1.234,50`."""
    code = rng.choice([figure.code for figure in form.figures])
    value = Decimal(report.figures.get(code) or "0")
    return _changed(report, code, f"{value:,.2f}".translate(str.maketrans(",.", ".,")))


def _short_narrative(form: Form, report: Report, rng: random.Random) -> Report:
    code = rng.choice([narrative.code for narrative in form.narratives])
    return replace(report, narratives={**report.narratives, code: "Đã thực hiện."})


def corrected(sent: Report, truth: Report, findings: Sequence[Mapping[str, Any]]) -> Report:
    """The report after a clerk corrects each place (JSON Pointer, RFC 6901) that a finding names.

    Equal to `sent` if no finding names a place that the clerk can change.
    """
    figures, narratives, tables = dict(sent.figures), dict(sent.narratives), dict(sent.tables)
    for finding in findings:
        match str(finding.get("path", "")).split("/"):
            case ["", "figures", code] if code in truth.figures:
                figures[code] = truth.figures[code]
            case ["", "narratives", code] if code in truth.narratives:
                narratives[code] = truth.narratives[code]
            case ["", "tables", code, *_] if code in truth.tables:
                tables[code] = truth.tables[code]
            case _:
                continue
    return replace(sent, figures=figures, narratives=narratives, tables=tables)
