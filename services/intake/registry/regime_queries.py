"""The queries behind the pages of regimes that bind an agency: forms, deadlines, and an acceptable example report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import text

from services.intake.obligations.queries import StandingName, accepted_from, obligation_link, regime_link
from services.intake.pages import in_slices
from services.intake.registry import example, regimes
from services.intake.registry.agency_queries import OfficerView
from services.intake.registry.example import Content, NoExample
from services.intake.registry.records import Agency, Registry
from services.intake.registry.regimes import Addressed, Binding, Status
from services.intake.views import Moment
from shared.contract.deadline_words import cutoff_words
from shared.contract.events import Cutoff, Deadline, Form, Frequency, RegimePublished
from shared.postgres.database import ReadTransaction
from shared.runtime.clock import LOCAL_ZONE

#: limit on the nearest deadlines that a regime's page lists
MAX_DEADLINES = 5
#: limit on regime versions with a cached example
MAX_EXAMPLES = 1000

_NEXT_DEADLINES = text("""
    SELECT DISTINCT ON (regime, regime_version) regime, regime_version, obligation, period, deadline, standing,
           CAST(document->>'opens_at' AS timestamptz) AS opens_at, CAST(document->>'cutoff_to' AS date) AS cutoff_to
    FROM standings
    WHERE agency = :agency AND owed AND standing <> 'fulfilled' AND deadline >= :now
    ORDER BY regime, regime_version, deadline, obligation
""")
_DEADLINES = text("""
    SELECT regime, regime_version, obligation, period, deadline, standing,
           CAST(document->>'opens_at' AS timestamptz) AS opens_at, CAST(document->>'cutoff_to' AS date) AS cutoff_to
    FROM standings
    WHERE agency = :agency AND owed AND standing <> 'fulfilled' AND deadline >= :now AND regime = :regime
    ORDER BY deadline, obligation LIMIT :limit
""")

#: of the example of a NIL report
_NIL_REASON = "Trong kỳ không phát sinh việc nào thuộc nội dung báo cáo này."


class DeadlineView(BaseModel):
    """The next report owed under the regime."""

    period: str
    accepted_from: Moment = Field(description="Nhận báo cáo từ / a report is taken from then on")
    deadline: Moment
    standing: StandingName
    links: dict[str, str]


class RegimeView(BaseModel):
    """A regime version (chế độ báo cáo) that binds the agency."""

    code: str
    regime_version: int
    name: str
    name_en: str
    frequency: Frequency
    effective_from: date
    effective_to: date | None
    status: Status
    legal_basis: str
    receiver: str
    next_deadline: DeadlineView | None = Field(description="null: chưa mở nghĩa vụ nào / nothing is opened yet")
    links: dict[str, str]


class RegimePage(BaseModel):
    items: list[RegimeView]
    next: str | None


class RegimeDetail(RegimeView):
    """The version with its form, its deadlines, and an example to send."""

    versions: list[int] = Field(description="Mọi phiên bản áp dụng cho cơ quan / every version that binds the agency")
    cutoff: Cutoff
    cutoff_rule: str
    cutoff_rule_en: str
    early_allowed: bool = Field(description="Nhận trước khi chốt số liệu / taken before the cut-off is over")
    deadline: Deadline
    deadline_rule: str
    deadline_rule_en: str
    deadline_override: int | None = Field(
        description="Thời hạn riêng áp dụng cho cơ quan, thứ tự trong `deadline.overrides` từ 1 / the override that "
        "holds for the agency, its place from 1; `deadline_rule` says it"
    )
    deadlines: list[DeadlineView] = Field(description=f"Tối đa {MAX_DEADLINES} hạn gần nhất / the nearest")
    remind_working_days: int
    grace_working_days: int | None = Field(
        description="Ân hạn: chưa tính quá hạn, nhưng nhận sau hạn vẫn là trễ / nobody is called overdue in these days "
        "after the deadline; what is received in them is late"
    )
    lock_after_working_days: int | None = Field(
        description="Sau số ngày này không nhận báo cáo nữa / no report is taken after so many working days"
    )
    form: Form
    example: dict[str, Any] | None = Field(
        description="Thân của POST /v1/submissions được chấp nhận / a body of POST /v1/submissions that is accepted"
    )
    example_note: str
    example_note_en: str


async def page(
    tx: ReadTransaction,
    agency: Agency,
    registry: Registry,
    addressed: Addressed,
    now: datetime,
    *,
    after: tuple[str, int] | None,
    limit: int,
) -> list[RegimeView]:
    """Up to `limit` of the current and next versions that bind the agency, after the given code and version."""
    bound = regimes.binding(agency, registry, addressed, now.astimezone(LOCAL_ZONE).date())
    if after is not None:
        bound = [binding for binding in bound if (binding.regime.code, binding.regime.regime_version) > after]
    rows = await tx.execute(_NEXT_DEADLINES, {"agency": agency.code, "now": now})
    following = {(row["regime"], row["regime_version"]): row for row in rows.mappings()}
    return await in_slices(
        bound[:limit],
        lambda binding: RegimeView(
            **_common(binding, following.get((binding.regime.code, binding.regime.regime_version)))
        ),
    )


async def detail(
    tx: ReadTransaction,
    agency: Agency,
    registry: Registry,
    addressed: Addressed,
    now: datetime,
    officers: Sequence[OfficerView],
    examples: Examples,
    *,
    code: str,
    version: int | None,
) -> RegimeDetail | None:
    """One version: the requested one, else that of the next report due, else the current one.

    None if the regime does not bind the agency. `officers`: the agency's, the best sender first.
    """
    versions = regimes.versions_for(agency, registry, addressed, code)
    asked = {"agency": agency.code, "now": now, "regime": code, "limit": MAX_DEADLINES}
    rows = (await tx.execute(_DEADLINES, asked)).mappings().all()
    if version is None:
        version = next((row["regime_version"] for row in rows if row["regime_version"] in versions), None)
    today = now.astimezone(LOCAL_ZONE).date()
    if version is not None:
        regime = versions.get(version)
    else:
        regime = regimes.chosen(list(versions.values()), today) if versions else None
    if regime is None:
        return None
    override = regimes.override_for(agency, regime, registry, max(today, regime.effective_from))
    owed = [row for row in rows if row["regime_version"] == regime.regime_version]
    periods = [row["period"] for row in owed]
    if regime.frequency == "adhoc":
        periods += addressed.requests(code, agency.code)
    body, note, note_en = _example(regime, agency, registry, periods, officers, examples, now)
    return RegimeDetail(
        **_common(
            Binding(regime, regimes.status_of(regime, registry.regimes[code].values(), today)),
            owed[0] if owed else None,
        ),
        versions=sorted(versions),
        cutoff=regime.cutoff,
        early_allowed=regime.early_allowed,
        deadline=regime.deadline,
        **dict(zip(("cutoff_rule", "cutoff_rule_en"), cutoff_words(regime.cutoff, regime.frequency), strict=True)),
        **dict(zip(("deadline_rule", "deadline_rule_en"), regimes.deadline_words(regime, override), strict=True)),
        deadline_override=override or None,
        deadlines=[_deadline(row, regime) for row in owed],
        remind_working_days=regime.remind_working_days,
        grace_working_days=regime.grace_working_days,
        lock_after_working_days=regime.lock_after_working_days,
        form=regime.form,
        example=body,
        example_note=note,
        example_note_en=note_en,
    )


def _common(bound: Binding, following: Any) -> dict[str, Any]:
    regime = bound.regime
    return {
        **{name: getattr(regime, name) for name in ("code", "regime_version", "name", "frequency", "receiver")},
        **{name: getattr(regime, name) for name in ("effective_from", "effective_to", "legal_basis")},
        "name_en": regime.name_en or regime.name,
        "status": bound.status,
        "next_deadline": None if following is None else _deadline(following, regime),
        "links": {"self": f"{regime_link(regime.code)}?version={regime.regime_version}"},
    }


def _deadline(row: Any, regime: RegimePublished) -> DeadlineView:
    return DeadlineView(
        period=row["period"],
        accepted_from=accepted_from(row["opens_at"], row["cutoff_to"], regime),
        deadline=row["deadline"],
        standing=row["standing"],
        links={"obligation": obligation_link(row["regime"], row["period"])},
    )


class Examples:
    """Caches the example of each form, which is the same for every agency and costly to find."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, int, int], Content | None] = {}

    def content(self, regime: RegimePublished) -> Content | None:
        """The members of a body, or None if none were found."""
        key = (regime.code, regime.regime_version, regime.version)
        if key not in self._found:
            if len(self._found) >= MAX_EXAMPLES:
                del self._found[next(iter(self._found))]
            try:
                self._found[key] = example.report_content(regime.form)
            except NoExample:
                self._found[key] = None
        return self._found[key]


def _example(
    regime: RegimePublished,
    agency: Agency,
    registry: Registry,
    periods: Sequence[str],
    officers: Sequence[OfficerView],
    examples: Examples,
    now: datetime,
) -> tuple[dict[str, Any] | None, str, str]:
    """A body that intake accepts now, or None, with a note about it."""
    sender = next((officer.officer_id for officer in officers if officer.answers(regime.code)), None)
    if sender is None:
        return (
            None,
            "Chưa có ví dụ: danh mục chưa có cán bộ nào của cơ quan đang phụ trách báo cáo này.",
            "No example: the registry names no active officer of the agency for this regime.",
        )
    period = regimes.open_period(regime, agency, sender, registry, periods, now)
    if period is None:
        return (
            None,
            "Chưa có ví dụ: hiện không có kỳ báo cáo nào đang mở theo phiên bản này.",
            "No example: no period is open under this version now.",
        )
    body: dict[str, Any] = {"regime": regime.code, "period": period, "officer": sender}
    content = examples.content(regime)
    if content is not None:
        return (
            {**body, **content},
            "Số liệu chỉ để minh họa: đúng khoảng, đúng tổng. Thay bằng số liệu thật trước khi gửi.",
            "The values are only illustrative: within bounds, with matching sums. Replace them before sending.",
        )
    if regime.form.nil_allowed:
        return (
            {**body, "nil": True, "nil_reason": _NIL_REASON},
            "Không tìm được bộ số liệu minh họa cho biểu mẫu này; đây là báo cáo “không phát sinh”.",
            "No illustrative values were found for this form; this is a NIL report (nothing to report).",
        )
    return (
        None,
        "Chưa có ví dụ: không tìm được bộ số liệu minh họa thỏa mọi khoảng và tổng của biểu mẫu.",
        "No example: no values were found that satisfy all bounds and sums of the form.",
    )
