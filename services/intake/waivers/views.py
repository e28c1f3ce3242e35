"""What is asked and shown of requests for waivers."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.intake.views import Moment
from services.intake.waivers.domain import MAX_AGENCIES, WaiverRequest
from shared.contract.events.fields import MAX_CODE_CHARACTERS, MAX_REASON_CHARACTERS
from shared.web.bodies import Body

State = Literal["open", "granted", "refused"]
_Code = Annotated[str, Field(min_length=1, max_length=MAX_CODE_CHARACTERS)]


class WaiverAsked(Body):
    """Đề nghị miễn áp dụng quy tắc / a request that a rule counts against nobody for a while."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "regime": "KTXH-THANG",
                    "rule": "KT-01",
                    "reason": "Biểu mẫu chưa tách số liệu sau sáp nhập",
                    "since": "2026-11-01",
                    "until": "2026-12-31",
                    "asked_by": "DM1-H99.131",
                }
            ]
        },
    )

    regime: _Code
    rule: _Code = Field(description="Mã quy tắc, như trong lỗi phát hiện / the code of its findings")
    agencies: list[_Code] = Field(
        default=[],
        max_length=MAX_AGENCIES,
        description="Cơ quan được miễn: chính cơ quan hoặc cấp dưới; để trống: chính cơ quan / whom it concerns: the "
        "agency or those below it; empty: the agency",
    )
    reason: str = Field(min_length=1, max_length=MAX_REASON_CHARACTERS)
    since: date = Field(description="Ngày nhận báo cáo đầu tiên, sớm nhất từ ngày mai / first day of receipt")
    until: date = Field(description="Ngày cuối / the last day")
    asked_by: _Code | None = Field(
        None, description="Người đề nghị; bắt buộc với khóa của hệ thống / who asks; required with a system's key"
    )


class WaiverDecided(Body):
    """Quyết định về đề nghị miễn áp dụng / the decision on a request for a waiver."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"decision": "refuse", "reason": "Biểu mẫu đã sửa từ tháng 11"}]},
    )

    decision: Literal["grant", "refuse"]
    reason: str = Field(
        "", max_length=MAX_REASON_CHARACTERS, description="Bắt buộc khi không đồng ý / required for a refusal"
    )
    until: date | None = Field(None, description="Ngày cuối sớm hơn đã xin / an earlier last day than was asked for")


class WaiverRequestView(BaseModel):
    """Một đề nghị miễn áp dụng quy tắc / a request for a waiver, and what was decided."""

    waiver_id: str
    state: State = Field(examples=["granted"])
    agency: str = Field(description="Cơ quan đề nghị / the agency that asks")
    regime: str
    rule: str
    agencies: list[str]
    reason: str
    since: date
    until: date
    asked_by: str
    asked_at: Moment
    decided_by: str | None
    decided_at: Moment | None
    decision_reason: str | None
    granted_since: date | None = Field(description="Miễn từ ngày / waived from this day")
    granted_until: date | None = Field(
        description="Đến hết ngày, như khi quyết định; danh mục có thể kết thúc sớm hơn / to the end of this day, as "
        "it was decided; the registry may end it earlier"
    )


class WaiverRequestPage(BaseModel):
    items: list[WaiverRequestView]
    next: str | None


def view(request: WaiverRequest) -> WaiverRequestView:
    asked = request.asked
    return WaiverRequestView(
        waiver_id=request.waiver_id,
        state=request.decision or "open",
        agency=request.agency,
        regime=asked.regime,
        rule=asked.rule,
        agencies=list(asked.agencies),
        reason=asked.reason,
        since=asked.since,
        until=asked.until,
        asked_by=asked.asked_by,
        asked_at=request.asked_at,
        decided_by=request.decided_by,
        decided_at=request.decided_at,
        decision_reason=request.decision_reason,
        granted_since=request.granted_since,
        granted_until=request.granted_until,
    )
