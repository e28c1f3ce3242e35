"""What readers of shared reports see."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from pydantic import BaseModel, Field

from services.intake.sharing.feed import SharedEvent, Told
from services.intake.views import Moment
from shared.contract.events import SharingGranted
from shared.contract.events.submissions import Declines
from shared.reports.report_parser import Report


class SharedContent(BaseModel):
    """What an accepted report says."""

    sha256: str
    nil: bool
    nil_reason: str = Field(examples=[""])
    declines: Declines | None = Field(examples=[None])
    refer_to: str | None = Field(examples=[None])
    figures: dict[str, str | None] = Field(examples=[{"A01": "128.50"}])
    narratives: dict[str, str] = Field(examples=[{"N01": "Hoàn thành 30 nhiệm vụ."}])


class SharedEntry(BaseModel):
    """One entry of the feed: how a version of a report stands when it is read."""

    event: SharedEvent = Field(
        description="accepted: đang có hiệu lực; superseded, withdrawn, returned: không còn hiệu lực / in force, or not"
    )
    submission_id: UUID
    obligation: str
    agency: str
    regime: str
    regime_version: int
    period: str
    version: int
    received_at: Moment
    superseded_by: int | None = Field(description="Phiên bản thay thế / the version in its place", examples=[None])
    content: SharedContent | None = Field(description="Chỉ với accepted / with accepted alone")


class SharingView(BaseModel):
    """A permission in force today."""

    sharing_id: str = Field(examples=["CS-KTXH-01"])
    regime: str
    below: str | None = Field(examples=["H99"])
    agencies: list[str]
    since: date
    until: date | None


class SharedPage(BaseModel):
    """A part of the feed. `next` goes into `after` of the next read, now (`more`) or later."""

    items: list[SharedEntry]
    next: str | None
    more: bool
    sharings: list[SharingView]


def entry_view(told: Told, said: tuple[str, Report] | None) -> SharedEntry:
    """said: SHA-256 and content of a version in force."""
    version = told.version
    agency, regime, period = told.change.obligation.split("/", 2)
    return SharedEntry(
        event=told.event,
        submission_id=version.submission_id,
        obligation=told.change.obligation,
        agency=agency,
        regime=regime,
        regime_version=version.regime_version,
        period=period,
        version=version.number,
        received_at=version.received_at,
        superseded_by=told.superseded_by,
        content=None if said is None else _content(*said),
    )


def sharing_view(sharing: SharingGranted) -> SharingView:
    return SharingView(
        sharing_id=sharing.sharing_id,
        regime=sharing.regime,
        below=sharing.below,
        agencies=list(sharing.agencies),
        since=sharing.since,
        until=sharing.until,
    )


def _content(sha256: str, report: Report) -> SharedContent:
    return SharedContent(
        sha256=sha256,
        nil=report.nil,
        nil_reason=report.nil_reason,
        declines=report.declines or None,
        refer_to=report.refer_to or None,
        figures=report.figures,
        narratives=report.narratives,
    )
