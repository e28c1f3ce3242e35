"""How each agency that was asked stands, from what scoring has told and what the agency has sent. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import Struct

from services.intake.registry.records import Registry
from shared.reports.report_parser import Report, read_report

#: of a request: it runs, its deadline has passed, its asker has withdrawn it
RequestState = Literal["open", "due", "withdrawn"]
#: of one agency that was asked: chưa trả lời, quá hạn, chờ kiểm tra, trả lại, đã trả lời, không có thông tin, từ chối,
#: chuyển nơi khác, không còn phải trả lời, đã rút
AddresseeState = Literal[
    "open", "overdue", "received", "returned", "answered", "nothing", "refused", "referred", "not_owed", "withdrawn"
]
AnswerKind = Literal["answered", "nothing", "refused", "referred"]


class Standing(Struct, frozen=True):
    """What scoring has told of one obligation."""

    agency: str
    standing: str
    owed: bool
    overdue: bool
    deadline: datetime
    on_time: bool | None
    received_at: datetime | None
    transferred_to: str | None


class Answer(Struct, frozen=True):
    """The version that answers. `reason`: of what is no answer to the question itself."""

    agency: str
    submission_id: UUID
    version: int
    received_at: datetime
    kind: AnswerKind
    reason: str = ""
    refer_to: str | None = None
    figures: dict[str, str | None] | None = None
    narratives: dict[str, str] | None = None


def answer_of(agency: str, submission_id: UUID, version: int, received_at: datetime, body: bytes) -> Answer:
    """The answer in a stored body."""
    report = read_report(body)
    assert isinstance(report, Report), "a stored body was readable when it was stored"
    return Answer(
        agency, submission_id, version, received_at, _kind(report), report.nil_reason, report.refer_to or None,
        report.figures, report.narratives,
    )  # fmt: skip


def _kind(report: Report) -> AnswerKind:
    match report.declines:
        case "refusal":
            return "refused"
        case "referral":
            return "referred"
        case _:
            return "nothing" if report.nil else "answered"


def request_state(withdrawn_at: datetime | None, deadline: datetime, now: datetime) -> RequestState:
    if withdrawn_at is not None:
        return "withdrawn"
    return "open" if now <= deadline else "due"


def addressee_state(withdrawn: bool, standing: Standing | None, answer: Answer | None) -> AddresseeState:
    """standing None: scoring has told nothing yet."""
    if withdrawn:
        return "withdrawn"
    if answer is not None:
        return answer.kind
    if standing is None:
        return "open"
    if not standing.owed:
        return "not_owed"
    match standing.standing:
        case "awaiting_verdict":
            return "received"
        case "returned":
            return "returned"
        case _:
            return "overdue" if standing.overdue else "open"


def successors(agency: str, registry: Registry) -> list[str]:
    """The agency, and those that owe what it owed since it closed, the last one last."""
    found = [agency]
    while (known := registry.agencies.get(found[-1])) is not None and known.heir and known.heir not in found:
        found.append(known.heir)
    return found
