"""What is shown of information requests, their addressees and the answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from services.intake.information.answers import (
    AddresseeState,
    Answer,
    AnswerKind,
    RequestState,
    Standing,
    addressee_state,
    request_state,
)
from services.intake.views import Moment
from shared.contract.events import RequestIssued

_REASON = Field(
    description="Vì sao từ chối, chuyển, hoặc không có thông tin / why it declines, or has nothing to tell",
    examples=[""],
)
_REFER_TO = Field(description="Chuyển đến cơ quan / to which agency it refers the asker", examples=[None])
_KIND = Field(description="answered, nothing (không có thông tin), refused (từ chối), referred (chuyển)")


class AnswerView(BaseModel):
    """The answer (trả lời) that stands; its content is at `link`."""

    kind: AnswerKind = _KIND
    submission_id: UUID
    version: int
    received_at: Moment
    reason: str = _REASON
    refer_to: str | None = _REFER_TO
    link: str = Field(examples=["/v1/information-requests/TT-H99.01-1/answers/H99.131"])


class AddresseeView(BaseModel):
    """An agency that was asked (cơ quan được hỏi), and how it stands."""

    agency: str
    answered_by: str = Field(
        description="Cơ quan kế thừa nếu đã chấm dứt hoạt động / its successor where it has closed",
        examples=["H99.131"],
    )
    state: AddresseeState = Field(examples=["answered"])
    deadline: Moment = Field(description="Hạn của cơ quan này, kể cả gia hạn / with its extensions")
    received_at: Moment | None = Field(description="Nhận bài trả lời gần nhất / when it sent last")
    on_time: bool | None
    answer: AnswerView | None


class InformationRequestView(BaseModel):
    """An information request (yêu cầu cung cấp thông tin) as a list shows it."""

    request_id: str = Field(description="Cũng là kỳ báo cáo / also the period of the answer", examples=["TT-H99.01-1"])
    asked_by: str = Field(examples=["H99.01"])
    title: str = Field(examples=["Số liệu hộ nghèo năm 2026"])
    title_en: str = Field(examples=["Poor households in 2026"])
    question: str = Field(examples=["Đề nghị cung cấp số hộ nghèo đến 30/9/2026, kèm nhận xét."])
    regime: str = Field(description="Chế độ chứa biểu trả lời / whose form the answer has", examples=["TT-H99.01"])
    issued_at: Moment
    deadline: Moment
    state: RequestState = Field(examples=["open"])
    withdrawn_at: Moment | None
    withdrawal_reason: str = Field(examples=[""])


class InformationRequestPage(BaseModel):
    items: list[InformationRequestView]
    next: str | None


class InformationRequestDetail(InformationRequestView):
    """The request with those who were asked: all for the asker, itself alone for one of them."""

    addressees: list[AddresseeView]


class AnswerDetail(BaseModel):
    """What an agency answered."""

    agency: str
    answered_by: str = Field(examples=["H99.131"])
    kind: AnswerKind = _KIND
    submission_id: UUID
    version: int
    received_at: Moment
    reason: str = _REASON
    refer_to: str | None = _REFER_TO
    figures: dict[str, str | None] = Field(examples=[{"A01": "128.50"}])
    narratives: dict[str, str] = Field(examples=[{"TL": "Đến 30/9/2026 toàn xã còn 41 hộ nghèo."}])


def request_view(request: RequestIssued, now: datetime) -> InformationRequestView:
    return InformationRequestView(**_fields(request, now))


def request_detail(request: RequestIssued, addressees: list[AddresseeView], now: datetime) -> InformationRequestDetail:
    return InformationRequestDetail(**_fields(request, now), addressees=addressees)


def addressee_view(
    request: RequestIssued, successors: list[str], standings: Mapping[str, Standing], answers: Mapping[str, Answer]
) -> AddresseeView:
    """How one agency stands. successors: itself, and those that owe its answer since it closed."""
    owing = owing_of(successors, standings)
    standing, answer = standings.get(owing), answers.get(owing)
    return AddresseeView(
        agency=successors[0],
        answered_by=owing,
        state=addressee_state(request.withdrawn_at is not None, standing, answer),
        deadline=request.deadline if standing is None else standing.deadline,
        received_at=None if standing is None else standing.received_at,
        on_time=None if standing is None else standing.on_time,
        answer=None if answer is None else _answer(request, successors[0], answer),
    )


def owing_of(successors: list[str], standings: Mapping[str, Standing]) -> str:
    """Who of these owes the answer now, as scoring has told."""
    owing = successors[0]
    for heir in successors[1:]:
        known = standings.get(owing)
        if known is None or known.transferred_to != heir:
            break
        owing = heir
    return owing


def answer_detail(agency: str, answer: Answer) -> AnswerDetail:
    return AnswerDetail(
        agency=agency,
        answered_by=answer.agency,
        kind=answer.kind,
        submission_id=answer.submission_id,
        version=answer.version,
        received_at=answer.received_at,
        reason=answer.reason,
        refer_to=answer.refer_to,
        figures=answer.figures or {},
        narratives=answer.narratives or {},
    )


def request_link(request_id: str) -> str:
    return f"/v1/information-requests/{request_id}"


def _answer(request: RequestIssued, agency: str, answer: Answer) -> AnswerView:
    return AnswerView(
        kind=answer.kind,
        submission_id=answer.submission_id,
        version=answer.version,
        received_at=answer.received_at,
        reason=answer.reason,
        refer_to=answer.refer_to,
        link=f"{request_link(request.request_id)}/answers/{agency}",
    )


def _fields(request: RequestIssued, now: datetime) -> dict[str, object]:
    shared = ("request_id", "title", "title_en", "question", "regime", "issued_at", "deadline", "withdrawn_at",
              "withdrawal_reason")  # fmt: skip
    return {
        **{name: getattr(request, name) for name in shared},
        "asked_by": request.asked_by,
        "state": request_state(request.withdrawn_at, request.deadline, now),
    }
