"""What the entry form shows beside what is typed: hints, findings at their fields, earlier values. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from services.board.entry import domain
from services.board.entry.domain import Content
from services.board.pages.views import day, moment
from services.board.pages.words import Pair
from shared.contract.events import ObligationChanged
from shared.contract.events.registry import FigureField, Form, NarrativeField, TableColumn, TableField
from shared.contract.reporting_window import local_day

#: what a finding does -> its name; `error` returns the report
WEIGHTS: Mapping[str, Pair] = {
    "error": ("Phải sửa", "To correct"),
    "confirm": ("Cần giải trình", "To explain"),
    "info": ("Lưu ý", "Note"),
    "waived": ("Được miễn, không tính", "Waived, counts against nobody"),
}
ANSWERS: Mapping[str, Pair] = {
    "report": ("Có số liệu", "There is something to report"),
    "nil": ("Không phát sinh trong kỳ (NIL)", "Nothing to report in this period (NIL)"),
    "refusal": ("Từ chối cung cấp, có lý do", "Declined, with the reason"),
    "referral": ("Chuyển cơ quan khác có thông tin", "Referred to another agency that has the information"),
}
ROLES: Mapping[str, Pair] = {
    "results": ("kết quả", "results"),
    "assessment": ("đánh giá", "assessment"),
    "causes": ("nguyên nhân", "causes"),
    "proposals": ("kiến nghị", "proposals"),
}
#: powers of ten in which figures are given
_SCALES: Mapping[int, Pair] = {3: ("nghìn", "thousand"), 6: ("triệu", "million"), 9: ("tỷ", "billion")}
#: a range that no tool may show: so many places are no help
_LONG = 15


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that was found in what is typed. `weight`: a key of WEIGHTS."""

    weight: str
    text: Pair
    fix: Pair = ("", "")
    code: str = ""


@dataclass(frozen=True, slots=True)
class Notes:
    """What was found, by the field that it is shown at; under "" what belongs to no field."""

    placed: Mapping[str, Sequence[Note]]

    def at(self, pointer: str) -> Sequence[Note]:
        return self.placed.get(pointer, ())

    def returns(self, pointer: str) -> bool:
        """Whether something there would return the report."""
        return any(note.weight == "error" for note in self.at(pointer))

    @property
    def all(self) -> list[tuple[str, Note]]:
        """Everything with its pointer, errors first."""
        order = list(WEIGHTS)
        found = [(pointer, note) for pointer, notes in self.placed.items() for note in notes]
        return sorted(found, key=lambda one: order.index(one[1].weight))


def notes(found: Iterable[tuple[str, Note]], form: Form, content: Content) -> Notes:
    """What was found, placed at the fields of the form; said twice of one field it stands there once."""
    known = domain.pointers(form, content)
    placed: dict[str, list[Note]] = {}
    for pointer, note in found:
        at = placed.setdefault(domain.place(pointer, known), [])
        if note not in at:
            at.append(note)
    return Notes(placed)


def of_findings(findings: Iterable[Any]) -> list[tuple[str, Note]]:
    """Findings of a verdict or a dry run, each with its pointer."""
    return [
        (str(one.get("path") or ""), Note(_weight(one), _pair(one, "message"), _pair(one, "fix"), str(one["code"])))
        for one in findings
        if isinstance(one, Mapping) and one.get("code")
    ]


def of_errors(document: Mapping[str, Any]) -> list[tuple[str, Note]]:
    """The errors of a problem, each with its pointer; of a problem without any, the problem itself."""
    errors = document.get("errors")
    found = [
        (str(one.get("pointer") or ""), Note("error", _pair(one, "message"), _pair(one, "fix")))
        for one in (errors if isinstance(errors, list) else ())
        if isinstance(one, Mapping) and one.get("message")
    ]
    if found:
        return found
    whole = _pair(document, "detail") if document.get("detail") else _pair(document, "title")
    return [("", Note("error", whole))] if any(whole) else []


def _pair(said: Mapping[str, Any], name: str) -> Pair:
    """A text in both languages. An answer has the one that was asked for under its name alone; an event, Vietnamese."""
    plain = str(said.get(name) or "")
    return str(said.get(f"{name}_vi") or plain), str(said.get(f"{name}_en") or plain)


def _weight(finding: Mapping[str, Any]) -> str:
    if finding.get("waived"):
        return "waived"
    weight = finding.get("weight") or ("error" if finding.get("severity") == "error" else "info")
    return weight if weight in WEIGHTS else "info"


def label(pointer: str, form: Form) -> Pair:
    """What the field of a pointer is called."""
    parts = pointer.split("/")
    match parts:
        case ["", "officer"]:
            return ("Người chịu trách nhiệm báo cáo", "Who answers for the report")
        case ["", "nil_reason"]:
            return ("Lý do", "Reason")
        case ["", "refer_to"]:
            return ("Cơ quan có thông tin", "The agency that has the information")
        case ["", "figures" | "narratives", code]:
            fields: Iterable[FigureField | NarrativeField] = (*form.figures, *form.narratives)
            return next((named(one) for one in fields if one.code == code), (code, code))
        case ["", "tables", code, *rest]:
            table = next((one for one in form.tables if one.code == code), None)
            if table is None:
                return (code, code)
            vi, en = named(table)
            if len(rest) == 2:
                column = next((column_named(one) for one in table.columns if one.code == rest[1]), (rest[1], rest[1]))
                row = int(rest[0]) + 1
                return (f"{vi}, dòng {row}, {column[0]}", f"{en}, row {row}, {column[1]}")
            return (vi, en)
        case _:
            return (pointer, pointer)


def named(field: FigureField | NarrativeField | TableField) -> Pair:
    """Code and name of a field."""
    return (f"{field.code} – {field.label}", f"{field.code} – {field.label_en or field.label}")


def column_named(column: TableColumn) -> Pair:
    unit = unit_of(column)
    names = (column.label, column.label_en or column.label)
    vi, en = (f"{name} ({one})" if one else name for name, one in zip(names, unit, strict=True))
    return vi, en


def unit_of(field: FigureField | TableColumn) -> Pair:
    """The unit, with the power of ten in which the form asks for it."""
    if not field.scale:
        return (field.unit, field.unit)
    scale = _SCALES.get(field.scale, (f"10^{field.scale}", f"10^{field.scale}"))
    return f"{scale[0]} {field.unit}".strip(), f"{scale[1]} {field.unit}".strip()


def hint(field: FigureField | TableColumn) -> Pair:
    """What may stand in a field of numbers: its range and digits; of a text its length."""
    vi, en = [], []
    if _is_number(field):
        low, high = (None if bound is None else f"{bound:f}" for bound in (field.minimum, field.maximum))
        if high is not None and len(high) > _LONG:
            high = None
        if low is not None and high is not None:
            vi.append(f"từ {low} đến {high}")
            en.append(f"from {low} to {high}")
        elif low is not None:
            vi.append(f"không nhỏ hơn {low}")
            en.append(f"at least {low}")
        elif high is not None:
            vi.append(f"không lớn hơn {high}")
            en.append(f"at most {high}")
        if field.fraction_digits:
            vi.append(f"nhiều nhất {field.fraction_digits} chữ số thập phân, sau dấu chấm")
            en.append(f"at most {field.fraction_digits} digits after the point")
        else:
            vi.append("số nguyên")
            en.append("a whole number")
    elif isinstance(field, FigureField) or field.type == "text":
        vi.append(f"nhiều nhất {field.max_characters} ký tự")
        en.append(f"at most {field.max_characters} characters")
    return "; ".join(vi), "; ".join(en)


def _is_number(field: FigureField | TableColumn) -> bool:
    if isinstance(field, FigureField):
        return field.kind == "number"
    return field.type in ("integer", "decimal", "percent")


def keyboard(field: FigureField | TableColumn) -> str:
    """The `inputmode` of a field: keys for numbers have no minus on some telephones."""
    if not _is_number(field) or field.minimum is None or field.minimum < 0:
        return "text"
    return "decimal" if field.fraction_digits else "numeric"


def narrative_hint(field: NarrativeField) -> Pair:
    """What a section is for and how long it is to be."""
    vi = [", ".join(ROLES[role][0] for role in field.roles)] if field.roles else []
    en = [", ".join(ROLES[role][1] for role in field.roles)] if field.roles else []
    for least, name, name_en in (
        (field.min_characters, "ký tự", "characters"),
        (field.min_syllables, "tiếng", "syllables"),
        (field.min_sentences, "câu", "sentences"),
    ):
        if least:
            vi.append(f"ít nhất {least} {name}")
            en.append(f"at least {least} {name_en}")
    vi.append(f"nhiều nhất {field.max_characters} ký tự")
    en.append(f"at most {field.max_characters} characters")
    return "; ".join(vi), "; ".join(en)


@dataclass(frozen=True, slots=True)
class Source:
    """Values to look at beside those that are typed: of the period before, of what was sent, of a colleague."""

    name: Pair
    content: Content
    always: bool = False  # also where they are the same as what is typed

    def value(self, pointer: str, typed: Content) -> str:
        """Its figure or text, where there is something to say of it."""
        part, code = pointer.split("/")[1:]
        ours: Mapping[str, str] = getattr(typed, part)
        theirs: Mapping[str, str] = getattr(self.content, part)
        if not self.always and theirs.get(code, "") == ours.get(code, ""):
            return ""
        return theirs.get(code, "" if self.always else "–")

    def rows(self, table: TableField, typed: Content) -> Sequence[Mapping[str, str]]:
        """Its rows of a table, where there is something to say of them."""
        theirs = self.content.tables.get(table.code, [])
        return () if not self.always and theirs == typed.tables.get(table.code, []) else theirs


def standing(state: ObligationChanged, unlocked_until: datetime | None, now: datetime) -> tuple[Pair, ...]:
    """What is to be known before sending: each sentence with what is possible. Intake decides by its own rules.

    unlocked_until: by the latest unlocking.
    """
    said: list[Pair] = []
    if state.transferred_to:
        said.append(
            (
                f"Nghĩa vụ này đã chuyển cho cơ quan {state.transferred_to}.",
                f"This obligation has gone to agency {state.transferred_to}.",
            )
        )
    if not state.owed:
        said.append(("Báo cáo này không còn phải nộp.", "This report is owed no more."))
    is_locked = state.locks_at is not None and now > state.locks_at
    if is_locked and unlocked_until is not None and now <= unlocked_until:
        said.append(
            (
                f"Đã mở khóa, gửi được đến {moment(unlocked_until)}; được tính là nộp chậm.",
                f"Unlocked: it is taken until {moment(unlocked_until)}, and counts as late.",
            )
        )
    elif is_locked:
        said.append(
            (
                f"Đã khóa từ {moment(state.locks_at)}: Văn phòng UBND hoặc Chủ tịch mở khóa rồi mới gửi được; "
                "vẫn lưu nháp và kiểm tra được.",
                f"Locked since {moment(state.locks_at)}: it can be sent once the provincial office or the chair has "
                "unlocked it; it can be saved and checked meanwhile.",
            )
        )
    elif now > state.deadline and state.standing != "fulfilled" and not _is_being_corrected(state, now):
        said.append(
            (
                "Đã quá hạn; vẫn gửi được, và được tính là nộp chậm.",
                "The deadline has passed; it is still taken, and counts as late.",
            )
        )
    if state.cutoff_to is not None and local_day(now) <= state.cutoff_to:
        said.append(
            (
                f"Số liệu chốt hết ngày {day(state.cutoff_to)}; gửi được sau ngày đó, trừ khi chế độ cho gửi sớm. "
                "Có thể soạn và lưu nháp từ bây giờ.",
                f"Its figures close at the end of {day(state.cutoff_to)}; it is taken after that day, unless the "
                "regime allows early reports. It can be prepared and saved now.",
            )
        )
    if _is_sent_back(state) and state.rework_until:
        said.append(
            (
                f"Người duyệt trả lại phiên bản {state.rework_version}, sửa trước {moment(state.rework_until)}: "
                f"{state.rework_reason}",
                f"A reviewer sent version {state.rework_version} back, to be corrected by "
                f"{moment(state.rework_until)}: {state.rework_reason}",
            )
        )
    if state.standing == "fulfilled":
        said.append(
            (
                f"Phiên bản {state.answer_version} đã đạt; gửi bản mới chỉ khi cần đính chính.",
                f"Version {state.answer_version} is accepted; send another one only to correct it.",
            )
        )
    return tuple(said)


def _is_sent_back(state: ObligationChanged) -> bool:
    """Whether a reviewer has sent the newest version back."""
    return state.rework_version is not None and state.rework_version == state.received_version


def _is_being_corrected(state: ObligationChanged, now: datetime) -> bool:
    """Whether the reviewer's term runs: what comes within it counts by the receipt of what it corrects."""
    return _is_sent_back(state) and state.rework_until is not None and now <= state.rework_until


def is_day(text: str) -> bool:
    """Whether a browser shows this as a day; it would empty the field of anything else."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
