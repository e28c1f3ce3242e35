"""Explains a score: which lines count and add up to it, what it follows from, what was taken back and why. Pure.

Everything follows from the obligation's newest event, which holds every line ever written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from services.board.pages.views import day, moment
from services.board.pages.words import Pair
from shared.contract.events import ObligationChanged, ScoreLine

Number = Callable[[Decimal | float | None], str]


@dataclass(frozen=True, slots=True)
class TakenBack:
    """A line that counts no more, and the line that reversed it; None where the event holds none."""

    line: ScoreLine
    by: ScoreLine | None


@dataclass(frozen=True, slots=True)
class ClauseText:
    """What a clause of a policy says."""

    clause: str
    policy: str
    text: Pair  # empty: the event that told the line said none
    legal_basis: str


@dataclass(frozen=True, slots=True)
class Input:
    """One fact that the score follows from."""

    name: Pair
    said: Pair


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an obligation scores what it scores."""

    counted: tuple[ScoreLine, ...]
    taken_back: tuple[TakenBack, ...]
    clauses: tuple[ClauseText, ...]
    inputs: tuple[Input, ...]
    total: Decimal  # of the lines that count
    agrees: bool  # whether the total is the score
    unscored: Pair | None  # why there is no score


def explain(state: ObligationChanged, officer: str = "") -> Explanation:
    """The explanation of the obligation's score. `officer`: what who answers for it is called."""
    counted = tuple(line for line in state.lines if line.in_force)
    reversals = {line.reverses: line for line in state.lines if line.reverses is not None}
    taken_back = tuple(
        TakenBack(line, reversals.get(line.line_id))
        for line in state.lines
        if not line.in_force and line.reverses is None
    )
    total = sum((line.points for line in counted), Decimal(0))
    return Explanation(
        counted,
        taken_back,
        _clauses(state.lines),
        (*deadline_inputs(state), *_report(state), *_rules(state, officer)),
        total,
        total == (state.score if state.score is not None else Decimal(0)),
        _unscored(state),
    )


def sum_of(lines: Sequence[ScoreLine], number: Number) -> str:
    """The lines that count as a sum: `60 (1.a) − 10 (1.b) + 40 (2.a)`."""
    said = []
    for place, line in enumerate(lines):
        sign = "−" if line.points < 0 else "+" if place else ""
        said.append(f"{sign}{' ' if place else ''}{number(abs(line.points))} ({line.clause})")
    return " ".join(said)


def _clauses(lines: Sequence[ScoreLine]) -> tuple[ClauseText, ...]:
    found: dict[tuple[str, str], ClauseText] = {}
    for line in lines:
        text = line.clause_text or ""
        both = (text, line.clause_text_en or text)
        clause = ClauseText(line.clause, line.policy_version, both, line.legal_basis or "")
        known = found.get((line.policy_version, line.clause))
        if known is None or (text and not known.text[0]):
            found[line.policy_version, line.clause] = clause
    return tuple(found[key] for key in sorted(found))


def deadline_inputs(state: ObligationChanged) -> list[Input]:
    """Where the deadline comes from."""
    found = []
    if state.cutoff_from and state.cutoff_to:
        span = f"{day(state.cutoff_from)} – {day(state.cutoff_to)}"
        found.append(Input(("Chốt số liệu", "Figures of"), (span, span)))
    planned = moment(state.planned_deadline)
    place = state.deadline_override
    own = ("", "") if place is None else (f" (thời hạn riêng thứ {place})", f" (override {place})")
    if state.provisional:
        own = (
            f"{own[0]} – dự kiến, lịch nghỉ năm đó chưa công bố",
            f"{own[1]} – provisional, the days off of that year are not announced yet",
        )
    found.append(
        Input(("Hạn theo quy định và lịch làm việc", "Deadline by the rule and the calendar"),
              (planned + own[0], planned + own[1]))
    )  # fmt: skip
    if state.deadline != state.planned_deadline:
        moved = moment(state.deadline) + (f" ({', '.join(state.reliefs)})" if state.reliefs else "")
        found.append(Input(("Hạn sau gia hạn, miễn trừ", "Deadline with every relief"), _same(moved)))
    if state.grace_until is not None:
        found.append(Input(("Ân hạn đến", "Grace until"), _same(moment(state.grace_until))))
    return found


def _report(state: ObligationChanged) -> list[Input]:
    found = []
    if state.answer_version is None:
        none = ("chưa có bản nào được chấp nhận", "no version is accepted")
        if state.received_version is not None:
            at = moment(state.last_received_at, seconds=True)
            none = (f"{none[0]}; mới nhất là phiên bản {state.received_version}, nhận lúc {at}",
                    f"{none[1]}; the latest is version {state.received_version}, received {at}")  # fmt: skip
        found.append(Input(("Bản báo cáo được tính", "The version that counts"), none))
    else:
        at = moment(state.answer_received_at, seconds=True)
        vi, en = ("đúng hạn", "on time") if state.on_time else ("sau hạn", "after the deadline")
        found.append(
            Input(
                ("Bản báo cáo được tính", "The version that counts"),
                (f"phiên bản {state.answer_version}, nhận lúc {at}, {vi}",
                 f"version {state.answer_version}, received {at}, {en}"),
            )
        )  # fmt: skip
    if state.required_items is not None and state.present_items is not None:
        share = f"{state.present_items}/{state.required_items}"
        found.append(Input(("Mục bắt buộc đã có", "Required items given"), _same(share)))
    return found


def _rules(state: ObligationChanged, officer: str) -> list[Input]:
    found = [
        Input(("Chính sách chấm điểm", "Scoring policy"), _same(state.policy_version)),
        Input(("Lịch làm việc", "Working calendar"), _same(state.calendar_version)),
        Input(("Phiên bản chế độ báo cáo", "Version of the regime"), _same(str(state.regime_version))),
    ]
    if officer:
        basis = {
            "named": (" (nêu tên trong báo cáo)", " (named by the report)"),
            "designated": (" (cán bộ đầu mối khi quá hạn)", " (on duty when it was found overdue)"),
        }.get(state.officer_basis or "", ("", ""))
        found.append(Input(("Người chịu trách nhiệm", "Who answers for it"), (officer + basis[0], officer + basis[1])))
    return found


def _unscored(state: ObligationChanged) -> Pair | None:
    if state.score is not None:
        return None
    if state.transferred_to is not None:
        to = state.transferred_to
        return (f"Không tính điểm: nghĩa vụ đã chuyển cho {to}.", f"No score: the obligation was transferred to {to}.")
    if not state.owed:
        return ("Không tính điểm: không phải nộp báo cáo này.", "No score: this report is not owed.")
    return (
        "Chưa tính: điểm được tính khi có báo cáo đạt, hoặc khi quá hạn mà chưa có.",
        "None yet: it is calculated once a report is accepted, or is overdue.",
    )


def _same(text: str) -> Pair:
    return text, text
