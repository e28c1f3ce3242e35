"""What intake tells of the registry: each event is the whole current record of one entity, compacted by its key.

`version` grows with every change of the entity; a copy never lets an older version overwrite a newer one.
"""

from __future__ import annotations

from datetime import date
from typing import ClassVar, Literal

from pydantic import Field

from shared.events.base import REGISTRY, EventModel, ExactDecimal, Model, Moment

AgencyKind = Literal["province", "department", "commune", "ward", "special_zone", "district", "office"]
Frequency = Literal["weekly", "monthly", "quarterly", "half_yearly", "nine_monthly", "yearly", "adhoc"]
OfficerRole = Literal["reporting_officer", "head"]


class AgencyRegistered(EventModel):
    """An agency (cơ quan) under its code of QĐ 20/2020/QĐ-TTg."""

    TYPE: ClassVar[str] = "vn.thongsuot.registry.agency.v1"
    TOPIC: ClassVar[str] = REGISTRY

    code: str
    name: str
    name_en: str = ""
    kind: AgencyKind
    parent: str | None = None
    opened_on: date
    closed_on: date | None = None  # last day on which it exists
    successors: tuple[str, ...] = ()
    version: int

    @property
    def key(self) -> str:
        return f"agency/{self.code}"


class OfficerRegistered(EventModel):
    """A person of an agency: reporting officer (cán bộ đầu mối) or head (thủ trưởng)."""

    TYPE: ClassVar[str] = "vn.thongsuot.registry.officer.v1"
    TOPIC: ClassVar[str] = REGISTRY

    officer_id: str
    agency: str
    name: str
    title: str = ""
    email: str
    role: OfficerRole
    regimes: tuple[str, ...] = ()  # regimes this officer answers for; empty: all of the agency
    active: bool = True
    version: int

    @property
    def key(self) -> str:
        return f"officer/{self.officer_id}"


class FigureField(Model):
    """One figure (chỉ tiêu) of a form. Bounds are inclusive; `fraction_digits` is the most digits after the point."""

    code: str
    label: str
    label_en: str = ""
    unit: str = ""
    required: bool = True
    minimum: ExactDecimal | None = None
    maximum: ExactDecimal | None = None
    fraction_digits: int = Field(default=0, ge=0, le=12)


class NarrativeField(Model):
    """One narrative section (mục thuyết minh). Lengths count characters after NFC normalisation and trimming."""

    code: str
    label: str
    label_en: str = ""
    required: bool = True
    min_characters: int = 0
    max_characters: int = 20_000


class SumRule(Model):
    """`total` must equal the sum of `terms` within `tolerance` (absolute, same unit)."""

    code: str
    total: str
    terms: tuple[str, ...]
    tolerance: ExactDecimal = Field(default="0", validate_default=True)


class Form(Model):
    """What a report of the regime holds."""

    figures: tuple[FigureField, ...] = ()
    narratives: tuple[NarrativeField, ...] = ()
    sums: tuple[SumRule, ...] = ()
    nil_allowed: bool = True


class Cutoff(Model):
    """When figures are closed (thời gian chốt số liệu, NĐ 09/2019/NĐ-CP Điều 12).

    Month-based periods: from `day`+1 of the month before the period to `day` of the period's last month.
    Weekly: from the day after `weekday` of the week before to `weekday` (ISO, 1 = Monday) of the week.
    """

    day: int = Field(default=14, ge=1, le=28)
    weekday: int = Field(default=7, ge=1, le=7)


class Deadline(Model):
    """When the report is owed (thời hạn gửi, NĐ 09/2019/NĐ-CP Điều 8 and 13), local time of the agency's zone.

    day_of_month: `day` of the period's last month, `month_offset` months later;
    weekday: ISO `weekday` of the week, `week_offset` weeks later;
    working_days_after_cutoff: the nth working day after the cut-off;
    on_request: the ad hoc request says it.
    """

    rule: Literal["day_of_month", "weekday", "working_days_after_cutoff", "on_request"]
    day: int = Field(default=18, ge=1, le=31)
    month_offset: int = 0
    weekday: int = Field(default=5, ge=1, le=7)
    week_offset: int = 0
    working_days: int = Field(default=1, ge=1)
    hour: int = Field(default=17, ge=0, le=23)
    minute: int = Field(default=0, ge=0, le=59)
    on_holiday: Literal["keep", "next_working_day"] = "next_working_day"


class RegimePublished(EventModel):
    """A version of a regime (chế độ báo cáo, NĐ 09/2019/NĐ-CP Điều 7). A published version never changes."""

    TYPE: ClassVar[str] = "vn.thongsuot.registry.regime.v1"
    TOPIC: ClassVar[str] = REGISTRY

    code: str
    regime_version: int
    name: str
    name_en: str = ""
    frequency: Frequency
    effective_from: date
    effective_to: date | None = None
    submitter_kinds: tuple[AgencyKind, ...] = ()
    submitters: tuple[str, ...] = ()  # agency codes in addition to the kinds
    receiver: str
    cutoff: Cutoff = Cutoff()
    deadline: Deadline
    remind_working_days: int = 3  # due soon this many working days before the deadline
    legal_basis: str = ""
    form: Form
    version: int

    @property
    def key(self) -> str:
        return f"regime/{self.code}/{self.regime_version}"


class RequestIssued(EventModel):
    """An ad hoc or thematic request (báo cáo đột xuất, chuyên đề): a period of its own with its own deadline."""

    TYPE: ClassVar[str] = "vn.thongsuot.registry.request.v1"
    TOPIC: ClassVar[str] = REGISTRY

    request_id: str  # the period id, such as DX-2026-003
    regime: str
    title: str
    title_en: str = ""
    issued_at: Moment
    deadline: Moment
    agencies: tuple[str, ...] = ()  # empty: every submitter of the regime
    legal_basis: str = ""
    version: int

    @property
    def key(self) -> str:
        return f"request/{self.request_id}"


RegistryEvent = AgencyRegistered | OfficerRegistered | RegimePublished | RequestIssued
