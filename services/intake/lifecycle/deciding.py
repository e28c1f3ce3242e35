"""Whether a step can be taken now, and by this person; every fault is named at once. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import get_args
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from services.intake.lifecycle import states, table
from services.intake.lifecycle.states import History, Taken, Version
from services.intake.lifecycle.table import AnyKind, Thing, Transition
from shared.contract.events.submissions import AppealEffect
from shared.contract.reporting_window import BACK_DAYS
from shared.reports.classified import CLASSIFIED, is_classified

#: a mistyped month or year gives nobody a year's time
MAX_TERM = timedelta(days=60)


#: the step by which each is asked for
ASKED_BY: dict[Thing, AnyKind] = {
    "extension": "extension_requested",
    "explanation": "explanation_given",
    "lateness": "lateness_explained",
    "appeal": "appeal_made",
}


class Wanted(Struct, frozen=True):
    """A step that somebody asks for. `answers`: the request that it decides."""

    kind: AnyKind
    submission_id: UUID | None = None
    answers: UUID | None = None
    reason: str = ""
    since: datetime | None = None
    until: datetime | None = None
    effect: AppealEffect | None = None
    remedy: str = ""


class Impossible(Struct, frozen=True):
    """Not now. `possible`: what the thing's state admits instead; `why`: what else stands in the way (vi, en)."""

    thing: Thing
    state: str
    possible: tuple[Transition, ...]
    why: tuple[str, str]


class NotYours(Struct, frozen=True):
    """Somebody else may."""

    transition: Transition


#: field, message, message_en, fix, fix_en
Fault = tuple[str, str, str, str, str]


class Faulty(Struct, frozen=True):
    """What is wrong with what was sent."""

    faults: tuple[Fault, ...]


def judge(
    history: History,
    wanted: Wanted,
    actors: Collection[str],
    now: datetime,
    deadline: datetime | None,
    *,
    late: bool = False,
) -> Transition | Impossible | NotYours | Faulty:
    """The row of the table by which the step is taken, or why not.

    actors: in which capacities the person acts (offices in force here, or `agency`). deadline: of the obligation, with
    every relief; None where it is not known yet. late: whether the report is late, as scoring has told.
    """
    row = table.by_kind(wanted.kind)
    if not set(row.who) & set(actors):
        return NotYours(row)
    faults = tuple(_faults(row, wanted, now, deadline))
    if faults:
        return Faulty(faults)
    version = history.version(wanted.submission_id)
    state = _state(history, row.thing, wanted, version)
    if state in row.sources and wanted.kind == "lateness_explained" and not late:
        return Impossible(row.thing, state, (), _NOT_LATE)
    why = _obstacle(history, wanted, version) if state in row.sources else _NOT_FROM_HERE
    if why is not None:
        return Impossible(row.thing, state, tuple(_possible(history, row.thing, state, version)), why)
    return row


def possible_now(history: History, version: Version) -> list[Transition]:
    """What people can do with a version as it stands, and ask for about it."""
    found = _possible(history, "report", states.state_of(history, version), version)
    return found + _can_be_asked(history, ("explanation", "appeal"), version)


def possible_about(history: History) -> list[Transition]:
    """What people can do about the obligation itself, whatever was sent for it."""
    return _can_be_asked(history, ("extension", "appeal"), None) + table.possible("lock", "open")


def possible_decisions(history: History, request: Taken) -> list[Transition]:
    """How people can decide what was asked for or explained; of any other step, and once decided: none."""
    thing = table.thing_of(request.kind)
    waits = ASKED_BY.get(thing) == request.kind and states.answer_to(history, request) is None
    return table.possible(thing, states.asked_state(history, request)) if waits else []


def possible_effects(history: History, request: Taken) -> list[AppealEffect]:
    """What upholding an appeal can give."""
    given: tuple[AppealEffect, ...] = get_args(AppealEffect)
    version = history.version(request.submission_id)
    wanted = Wanted("appeal_upheld", request.submission_id, request.step_id)
    return [effect for effect in given if _obstacle(history, replace(wanted, effect=effect), version) is None]


def _can_be_asked(history: History, things: Sequence[Thing], version: Version | None) -> list[Transition]:
    """Steps that ask for these things about a version, or about the obligation alone."""
    submission_id = None if version is None else version.submission_id
    wanted = [Wanted(ASKED_BY[thing], submission_id) for thing in things]
    return [
        row
        for one in wanted
        if _state(history, (row := table.by_kind(one.kind)).thing, one, version) in row.sources
        and _obstacle(history, one, version) is None
    ]


def _possible(history: History, thing: Thing, state: str, version: Version | None) -> list[Transition]:
    found = []
    for row in table.possible(thing, state):
        if row.kind is None or table.thing_of(row.kind) != thing:  # somebody decides on what was asked for
            continue
        submission_id = None if version is None else version.submission_id
        if thing != "report" or _obstacle(history, Wanted(row.kind, submission_id), version) is None:
            found.append(row)
    return found


def _state(history: History, thing: Thing, wanted: Wanted, version: Version | None) -> str:
    match thing:
        case "report":
            return "none" if version is None else states.state_of(history, version)
        case "lock":
            return "open"  # unlocking ahead of the lock's hour does no harm
        case _:
            if wanted.answers is not None:
                return states.asked_state(history, history.step(wanted.answers))
            asked = states.latest(history, ASKED_BY[thing], wanted.submission_id)
            return states.asked_state(history, asked)


_NOT_FROM_HERE = (
    "Trạng thái hiện tại không cho phép bước này.",
    "Its present state does not admit this step.",
)

_NOT_LATE = (
    "Báo cáo này không chậm: chưa qua hạn nộp, hoặc báo cáo đã gửi được tính đúng hạn hay đang chờ kiểm tra, hoặc "
    "không còn phải nộp.",
    "This report is not late: its deadline has not passed, what was sent counts as in time or awaits its verdict, or "
    "it is owed no more.",
)


def _obstacle(history: History, wanted: Wanted, version: Version | None) -> tuple[str, str] | None:
    """What stands in the way beside the state."""
    state = None if version is None else states.state_of(history, version)
    certified = version is not None and states.is_certified(history, version)
    match wanted.kind:
        case "certified" if history.certification == "none":
            return "Chế độ báo cáo này không yêu cầu ký xác nhận.", "This regime asks for no certification."
        case "certified" if certified:
            return "Phiên bản này đã được ký xác nhận.", "This version is certified already."
        case "approved" if history.certification != "none" and not certified:
            return "Phiên bản này chưa được ký xác nhận.", "This version is not certified yet."
        case "explanation_given" if state != "to_explain":
            return "Không có lỗi phát hiện nào cần giải trình.", "No finding of this version asks for an explanation."
        case "appeal_upheld" if wanted.effect == "accepted" and state != "returned":
            return (
                "Chỉ chấp nhận được báo cáo đang bị trả lại.",
                "Only a report that validation returned can be accepted by an appeal.",
            )
    return None


def _faults(row: Transition, wanted: Wanted, now: datetime, deadline: datetime | None) -> list[Fault]:
    faults: list[Fault] = []
    if row.reason and not wanted.reason.strip():
        faults.append(
            ("/reason", "Cần nêu lý do.", "A reason is needed.", "Ghi lý do cụ thể.", "Say why, in words.")
        )  # fmt: skip
    if wanted.kind == "lateness_explained" and not wanted.remedy.strip():
        faults.append(
            ("/remedy", "Cần nêu biện pháp khắc phục.", "The remedy is needed.",
             "Ghi việc đã làm hoặc sẽ làm để báo cáo và các kỳ sau đúng hạn.",
             "Say what is done so that this report comes, and the next ones in time.")
        )  # fmt: skip
    faults += [*_text_faults("/reason", wanted.reason), *_text_faults("/remedy", wanted.remedy)]
    needs_until = wanted.kind in ("extension_requested", "unlocked") or wanted.effect == "relief"
    if wanted.until is None:
        if needs_until:
            faults.append(
                ("/until", "Cần nêu thời điểm kết thúc.", "`until` is needed.",
                 "Ghi như 2026-10-25T17:00:00+07:00.", "Write it like 2026-10-25T17:00:00+07:00.")
            )  # fmt: skip
        return faults + _effect_faults(wanted, now)
    if wanted.until <= now and wanted.effect != "relief":
        faults.append(
            ("/until", "Thời điểm này đã qua.", "This moment has passed.", "Ghi một thời điểm sau bây giờ.",
             "Give a later moment.")
        )  # fmt: skip
    if row.thing == "extension" and deadline is not None and wanted.until <= deadline:
        faults.append(
            ("/until", "Thời điểm này không muộn hơn hạn hiện tại.", "This is not later than the present deadline.",
             "Ghi một thời điểm sau hạn.", "Give a moment after the deadline.")
        )  # fmt: skip
    if wanted.until > max(now, deadline or now) + MAX_TERM:
        faults.append(
            ("/until", f"Quá xa: nhiều nhất {MAX_TERM.days} ngày.", f"Too far: at most {MAX_TERM.days} days.",
             "Ghi một thời điểm gần hơn.", "Give an earlier moment.")
        )  # fmt: skip
    return faults + _effect_faults(wanted, now)


def _text_faults(pointer: str, said: str) -> list[Fault]:
    faults: list[Fault] = []
    if "\x00" in said:
        faults.append(
            (pointer, "Nội dung có ký tự NUL, không lưu được.", "The text has a NUL, which cannot be stored.",
             "Bỏ ký tự này.", "Remove that character.")
        )  # fmt: skip
    if is_classified(said):
        faults.append((pointer, *CLASSIFIED))
    return faults


def _effect_faults(wanted: Wanted, now: datetime) -> list[Fault]:
    if wanted.kind != "appeal_upheld":
        return []
    if wanted.effect is None:
        return [
            ("/effect", "Cần nêu kết quả của khiếu nại.", "Say what the appeal gives.",
             "Ghi relief (gia hạn) hoặc accepted (báo cáo được tính là đạt).",
             "Write relief (time) or accepted (the returned report counts as accepted).")
        ]  # fmt: skip
    too_old = wanted.since is not None and wanted.since < now - timedelta(days=BACK_DAYS)
    if wanted.effect == "relief" and (
        wanted.since is None or too_old or (wanted.until and wanted.since >= wanted.until)
    ):
        return [
            ("/since", "Cần thời điểm bắt đầu, trước `until`, trong 5 năm qua.",
             "`since` is needed, before `until` and within the last five years.",
             "Ghi như 2026-10-18T08:00:00+07:00.", "Write it like 2026-10-18T08:00:00+07:00.")
        ]  # fmt: skip
    return []


def answered(history: History, wanted: Wanted) -> Taken | None:
    """The request that this step decides."""
    return None if wanted.answers is None else history.step(wanted.answers)
