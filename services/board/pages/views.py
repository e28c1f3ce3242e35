"""Turns what the store knows into what a page shows. Pure; every moment in Vietnam's time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec
from sqlalchemy import RowMapping

from services.board.lateness import days_after
from services.board.pages import climbs
from services.board.pages.steps import page_of_request
from services.board.pages.words import ANSWERS, NOTICES, OUTCOMES, RESOLUTIONS, STATES, STEPS, Pair, rung_words
from services.board.readmodel.queries import Evidence, Line
from shared.contract.events import ObligationChanged
from shared.runtime.clock import LOCAL_ZONE

State = Literal["overdue", "grace", "nothing_sent", "awaiting_verdict", "returned", "on_time", "late"]
#: state -> the icon before its words: colour alone tells nobody anything
ICONS: Mapping[str, str] = {
    "overdue": "!", "grace": "⏳", "nothing_sent": "○", "awaiting_verdict": "…", "returned": "↩", "on_time": "✓",
    "late": "◔", "none": "–",
}  # fmt: skip


def state_of(line: Line, now: datetime) -> State:
    """What the row is called. A report that answers is on time or late, whatever came after it."""
    if line.standing == "fulfilled":
        return "on_time" if line.on_time else "late"
    if line.overdue:
        return "overdue"
    if now > line.deadline and line.grace_until is not None and now <= line.grace_until:
        return "grace"
    return line.standing  # type: ignore[return-value]


def name_of(line: Line, now: datetime) -> Pair:
    """The row's state in words. Of what is overdue they say whether nothing came, or what came was returned."""
    state = state_of(line, now)
    (vi, en), (standing_vi, standing_en) = STATES[state], STATES[line.standing if state == "overdue" else state]
    return (f"{vi}, {standing_vi.lower()}", f"{en}, {standing_en.lower()}") if state == "overdue" else (vi, en)


def days_late(line: Line, now: datetime) -> int:
    """Whole days after the deadline, begun ones counted; 0 in time, and while what was sent may count as in time.

    What corrects a report within the reviewer's term is received after the deadline, and in time all the same.
    """
    if line.standing == "fulfilled":
        return 0 if line.on_time else days_after(line.deadline, line.answer_received_at or now)
    if line.standing == "awaiting_verdict" and not line.overdue:
        return 0
    return days_after(line.deadline, now)


def is_late(line: Line, now: datetime) -> bool:
    """Whether there is lateness to explain; intake judges likewise."""
    return line.overdue or days_late(line, now) > 0


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the heat map."""

    state: str
    icon: str
    name: Pair
    days_late: int  # 0: nothing to say of it
    href: str


NOT_OWED = Cell("none", ICONS["none"], STATES["none"], 0, "")


def cell_of(line: Line | None, now: datetime) -> Cell:
    """The cell of an obligation."""
    if line is None:
        return NOT_OWED
    state = state_of(line, now)
    late = days_late(line, now) if state in ("overdue", "late", "returned") else 0
    return Cell(state, ICONS[state], name_of(line, now), late, f"/nghia-vu/{line.obligation}")


def moment(value: datetime | None, *, seconds: bool = False) -> str:
    """`17:00 18/10/2026`, Vietnam's time; empty for none."""
    if value is None:
        return ""
    return f"{value.astimezone(LOCAL_ZONE):{'%H:%M:%S' if seconds else '%H:%M'} %d/%m/%Y}"


def number(value: Decimal | float | None, digits: int | None = None, *, language: str = "vi") -> str:
    """A number as its readers write it: `1.234,5`, in English `1,234.5`; no needless zeros; empty for none."""
    if value is None:
        return ""
    exact = Decimal(str(value))
    if digits is not None:
        exact = round(exact, digits)
    text = f"{exact.normalize():,f}" if exact else "0"
    return text if language == "en" else text.translate(str.maketrans(",.", ".,"))


def day(value: date | None) -> str:
    """`18/10/2026`; empty for none."""
    return f"{value:%d/%m/%Y}" if value else ""


def day_of_moment(value: datetime) -> str:
    """`18/10/2026` of a moment, Vietnam's time."""
    return day(value.astimezone(LOCAL_ZONE).date())


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of an obligation's evidence."""

    at: datetime
    kind: str
    what: Pair
    who: str
    detail: Pair
    event: str  # the event or record it follows from
    href: str = ""  # to more of it, and to what can be done with it


def timeline(evidence: Evidence) -> list[Entry]:
    """Everything that happened about an obligation, in the order of its moments."""
    state = evidence.state
    entries = [
        Entry(
            state.opens_at, "terms", ("Mở kỳ", "Opened"), "",
            (f"hạn nộp {moment(state.planned_deadline)}", f"due {moment(state.planned_deadline)}"),
            f"calendar {state.calendar_version}, policy {state.policy_version}",
        )
    ]  # fmt: skip
    for report in evidence.reports:
        entries += _of_report(report, evidence)
    for step in evidence.steps:
        until = moment(step["until"]) if step["until"] else ""
        reason = step["reason"] or ""
        detail = "; ".join(filter(None, (reason, until and f"đến {until}")))
        entries.append(
            Entry(
                step["at"], "step", STEPS.get(step["kind"], (step["kind"], step["kind"])), _name(step["by"], evidence),
                (detail, "; ".join(filter(None, (reason, until and f"until {until}")))), str(step["step_id"]),
                page_of_request(step["kind"], state.obligation, str(step["step_id"])),
            )
        )  # fmt: skip
    for notice in evidence.notices:
        vi, en = NOTICES.get(notice["kind"], (notice["kind"], notice["kind"]))
        said_vi, said_en = OUTCOMES.get(notice["outcome"], (notice["outcome"], notice["outcome"]))
        to = _name(notice["officer_id"], evidence)
        entries.append(Entry(notice["at"], "notice", (vi, en), to, (said_vi, said_en), str(notice["notification_id"])))
    for climb in evidence.climbs:
        entries += _of_climb(climb, evidence.names)
    for line in state.lines:
        points = number(line.points)
        points_en = number(line.points, language="en")
        sign = "" if line.points < 0 else "+"
        entries.append(
            Entry(
                line.created_at, "score",
                (f"Điểm {sign}{points}", f"{sign}{points_en} points"), "",
                (f"{line.cause} ({line.clause})", f"{line.cause_en} ({line.clause})"),
                str(line.event_id or line.line_id),
            )
        )  # fmt: skip
    order = {"terms": 0, "report": 1, "verdict": 2, "step": 3, "score": 4, "escalation": 5, "notice": 6, "answer": 7}
    return sorted(entries, key=lambda entry: (entry.at, order[entry.kind]))


def _of_report(report: RowMapping, evidence: Evidence) -> list[Entry]:
    version = report["version"]
    nil = ("không phát sinh: ", "nothing to report: ") if report["nil"] else ("", "")
    received = Entry(
        report["received_at"], "report", (f"Nhận phiên bản {version}", f"Version {version} received"),
        _name(report["officer_id"], evidence),
        (f"{nil[0]}{report['nil_reason']}", f"{nil[1]}{report['nil_reason']}"), f"sha256 {report['sha256'][:16]}…",
        f"/nghia-vu/{evidence.state.obligation}/phien-ban/{report['submission_id']}",
    )  # fmt: skip
    if report["outcome"] is None:
        return [received]
    if report["outcome"] == "not_judged":
        newest = evidence.latest is not None and evidence.latest["submission_id"] == report["submission_id"]
        found = findings_of(evidence) if newest else []  # those of an older one are not read
        why = (found[0]["message"], found[0]["message_en"]) if found else ("", "")
        unable = Entry(
            report["decided_at"], "verdict",
            (f"Hệ thống chưa kiểm tra được phiên bản {version}", f"Version {version} could not be judged"),
            "", why, str(report["submission_id"]),
        )  # fmt: skip
        return [received, unable]
    accepted = report["outcome"] == "accepted"
    errors, warnings = report["errors"], report["warnings"]
    counted = (
        f"{errors} lỗi, {warnings} cảnh báo",
        f"{_plural(errors, 'error')}, {_plural(warnings, 'warning')}",
    )
    judged = Entry(
        report["decided_at"], "verdict",
        (f"Phiên bản {version} {'đạt' if accepted else 'bị trả lại'}",
         f"Version {version} {'accepted' if accepted else 'returned'}"),
        "", counted, str(report["submission_id"]),
    )  # fmt: skip
    return [received, judged]


def _of_climb(climb: Mapping[str, Any], names: Mapping[str, tuple[str, str]]) -> list[Entry]:
    """When it began and ended, where nobody could be told, and what was answered; who was told is in the notices."""
    ladder, which = f"{climb['ladder']}/{climb['ladder_version']}", f"escalation {climb['number']}"
    began = ("Bắt đầu chuyển cấp", "Escalation began")
    entries = [Entry(climb["opened_at"], "escalation", began, "", (f"thang {ladder}", f"ladder {ladder}"), which)]
    for passed in climb["passed"]:
        if not passed["told"] and passed["skipped"]:
            vi, en = rung_words(passed["rung"])
            nobody = (f"{vi[:1].upper()}{vi[1:]}: không báo được ai", f"{en[:1].upper()}{en[1:]}: nobody was told")
            at = datetime.fromisoformat(passed["at"])
            entries.append(Entry(at, "escalation", nobody, "", climbs.nobody_told(passed["skipped"]), which))
    for answer in climbs.answers_of(climb, names):
        until = moment(answer.until) if answer.until else ""
        said = ANSWERS.get(answer.kind, (answer.kind, answer.kind))
        said_until = (f"hẹn đến {until}", f"until {until}") if until else ("", "")
        if answer.kind == "handed_on":
            said, said_until = ("Chuyển giao", "Handed on"), (f"cho {answer.to}", f"to {answer.to}")
        detail = ("; ".join(filter(None, (said_until[0], answer.reason))),
                  "; ".join(filter(None, (said_until[1], answer.reason))))  # fmt: skip
        entries.append(Entry(answer.at, "answer", said, answer.by, detail, which))
    if climb["resolved_at"] is not None:
        why = RESOLUTIONS.get(climb["resolution"], (climb["resolution"], climb["resolution"]))
        entries.append(Entry(climb["resolved_at"], "escalation", ("Hết chuyển cấp", "Escalation over"), "", why, which))
    return entries


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _name(person_id: str, evidence: Evidence) -> str:
    name, title = evidence.names.get(person_id, ("", ""))
    return f"{name}, {title}" if name and title else name or person_id


def average_score(lines: Sequence[Line]) -> Decimal | None:
    """The mean score of what is decided; None while nothing is."""
    scores = [line.score for line in lines if line.score is not None]
    return sum(scores, Decimal(0)) / len(scores) if scores else None


def line_of(state: ObligationChanged) -> Line:
    """The row of an obligation's event."""
    return Line(
        state.obligation, state.agency, state.regime, state.period, state.standing, state.overdue, state.on_time,
        state.opens_at, state.deadline, state.answer_received_at, state.score, state.grace_until,
    )  # fmt: skip


def findings_of(evidence: Evidence) -> list[Mapping[str, Any]]:
    """The findings of the newest version that was judged, errors first."""
    return sorted(msgspec.json.decode(evidence.findings), key=lambda finding: finding["severity"] != "error")
