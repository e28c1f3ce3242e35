"""What an agency reads of its obligations. Every query names the agency: a foreign one is not found, as if unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import TextClause, text

from services.intake.lifecycle import deciding
from services.intake.lifecycle.store import history_of
from services.intake.lifecycle.views import Mark, PossibleStep, StepView, marks, possible_steps, step_view
from services.intake.pages import fetched
from services.intake.registry.records import Registry
from services.intake.registry.regimes import deadline_words
from services.intake.submissions import queries as submissions
from services.intake.submissions.queries import SubmissionView
from services.intake.views import Moment, Points
from shared.contract.events import ObligationChanged, RegimePublished, obligation_key
from shared.contract.reporting_window import cutoff_ends
from shared.postgres.database import ReadTransaction
from shared.web.filters import given

StandingName = Literal["nothing_sent", "awaiting_verdict", "returned", "fulfilled"]

#: submissions and notices that an obligation's page lists
MAX_LISTED = 100

_OBLIGATION_COLUMNS = """
    obligation, regime, regime_version, period, deadline, CAST(document->>'cutoff_from' AS date) AS cutoff_from,
    CAST(document->>'cutoff_to' AS date) AS cutoff_to, CAST(document->>'opens_at' AS timestamptz) AS opens_at,
    CAST(document->>'grace_until' AS timestamptz) AS grace_until,
    standing, owed, overdue, CAST(document->>'on_time' AS boolean) AS on_time,
    CAST(document->>'score' AS numeric) AS score, changed_at, updated_at
"""
_OBLIGATION_FILTERS = {
    "regime": "regime = :regime",
    "period": "period = :period",
    "standing": "standing = :standing",
}
_OWED = text(f"""
    SELECT {_OBLIGATION_COLUMNS} FROM standings
    WHERE agency = :agency AND owed AND standing <> 'fulfilled' ORDER BY deadline, obligation LIMIT :limit
""")  # noqa: S608 - constant names
_OBLIGATION = text(f"""
    SELECT {_OBLIGATION_COLUMNS}, CAST(document AS text) AS document FROM standings
    WHERE agency = :agency AND obligation = :obligation
""")  # noqa: S608 - constant names
_NOTICES = text("""
    SELECT notification_id, at, document, coalesce(record ->> 'role', record #>> '{offices,0,role}') AS role,
           record ->> 'agency' AS recipient_agency
    FROM (
        SELECT notification_id, at, document FROM notices WHERE agency = :agency AND obligation = :obligation
        ORDER BY at DESC, notification_id DESC LIMIT :limit
    ) AS listed LEFT JOIN LATERAL (
        SELECT record FROM registry
         WHERE key IN ('officer/' || (document ->> 'officer_id'), 'person/' || (document ->> 'officer_id'))
         ORDER BY key LIMIT 1
    ) AS recipient ON true
    ORDER BY at DESC, notification_id DESC
""")
#: behind every key, in the order of the database (C.UTF-8) as of any other
_GREATEST_KEY = "\U0010ffff"


class ObligationView(BaseModel):
    """One report the agency owes (nghĩa vụ báo cáo) and where it stands."""

    obligation: str
    regime: str
    regime_version: int
    regime_name: str
    regime_name_en: str
    period: str
    deadline: Moment
    grace_until: Moment | None = Field(
        description="Ân hạn: trước lúc này chưa tính quá hạn, nhưng nhận sau `deadline` vẫn là trễ / nobody is called "
        "overdue before this; what is received after `deadline` is late"
    )
    cutoff_from: date | None
    cutoff_to: date | None
    accepted_from: Moment = Field(description="Nhận báo cáo từ / a report is taken from then on")
    standing: StandingName
    owed: bool = Field(description="false: không còn phải nộp / not owed any more")
    overdue: bool
    on_time: bool | None
    score: Points | None
    changed_at: Moment
    updated_at: Moment = Field(description="Giờ máy chủ, khi dòng này đổi lần cuối / when this last changed")
    links: dict[str, str]


class LineView(BaseModel):
    """One signed contribution to the score, with its cause. The lines in force sum to the score exactly."""

    seq: int
    line_id: UUID
    component: str
    points: str
    cause: str
    cause_en: str
    clause: str
    policy_version: str
    event_id: UUID | None = Field(description="Sự kiện gây ra / the event that caused it")
    created_at: Moment
    reverses: UUID | None = Field(description="Dòng bị hủy / the line that it takes back")
    in_force: bool
    clause_text: str | None = Field(description="Nội dung khoản / what the clause says in its policy")
    clause_text_en: str | None
    legal_basis: str | None = Field(description="Căn cứ / where the clause comes from")


class RecipientView(BaseModel):
    """Who was notified, by office: reporting officer (cán bộ đầu mối), head (thủ trưởng) …, and of which agency."""

    role: str | None = Field(examples=["reporting_officer"], description="null: không còn trong danh mục / not known")
    agency: str | None


class NoticeView(BaseModel):
    """A notice sent about the obligation."""

    notification_id: UUID
    kind: str = Field(
        description="reminder, overdue, returned, escalation, certification, decision, withdrawal, resolved"
    )
    at: Moment
    to: RecipientView
    channel: str
    outcome: str = Field(description="sent, unknown (chưa rõ đã đến / may have arrived), failed")
    attempts: int


class ObligationDetail(ObligationView):
    """The whole of an obligation as its agency is judged by it: every submission, score line and notice."""

    policy_version: str
    calendar_version: str
    provisional: bool = Field(description="Lịch nghỉ năm đó chưa công bố, hạn có thể đổi / the deadline may still move")
    planned_deadline: Moment = Field(description="Hạn theo quy định, trước gia hạn / by the rule, before any relief")
    deadline_rule: str | None = Field(description="Quy định cho hạn này, kể cả thời hạn riêng / the rule it follows")
    deadline_rule_en: str | None
    deadline_override: int | None = Field(
        description="Thời hạn riêng của cơ quan trong chế độ, từ 1 / the regime's deadline override that holds, from 1"
    )
    deadline_override_reason: str | None
    reliefs: list[str] = Field(description="Quyết định gia hạn, miễn trừ đã dời hạn / reliefs that moved the deadline")
    answer_version: int | None = Field(description="Phiên bản tính điểm / the version that answers the obligation")
    officer_id: str | None = Field(description="Người chịu trách nhiệm / who answers for it")
    officer_basis: Literal["named", "designated"] | None = Field(
        description="named: bài nộp nêu tên / by the report; designated: cán bộ đầu mối lúc hết hạn / on duty then"
    )
    transferred_from: list[str] = Field(
        description="Cơ quan chấm dứt hoạt động đã chuyển nghĩa vụ này / agencies that closed while they owed it"
    )
    transferred_to: str | None = Field(
        description="Cơ quan kế thừa phải nộp thay / who owes it since this agency closed"
    )
    locks_at: Moment | None = Field(description="Sau lúc này không nhận báo cáo nữa / no report is taken after this")
    first_received: Mark | None = Field(description="Phiên bản nhận đầu tiên / the first version received")
    first_accepted: Mark | None = Field(description="Phiên bản đạt đầu tiên / the first version accepted")
    last_accepted: Mark | None = Field(description="Phiên bản đạt sau cùng / the last version accepted")
    steps: list[StepView] = Field(description="Các bước đã thực hiện / steps taken, the oldest first")
    possible: list[PossibleStep] = Field(
        description="Bước làm được về chính nghĩa vụ; về từng bản nộp: xem bản nộp / what can be done about the "
        "obligation itself; about a submission, the submission says"
    )
    lines: list[LineView] = Field(description="Mọi dòng điểm từng ghi / every score line ever written")
    submissions: list[SubmissionView] = Field(description=f"Mới nhất trước, tối đa {MAX_LISTED} / newest first")
    submissions_truncated: bool
    notices: list[NoticeView] = Field(description=f"Mới nhất trước, tối đa {MAX_LISTED} / newest first")
    notices_truncated: bool


@dataclass(frozen=True, slots=True)
class ObligationFilter:
    """Which obligations are asked for; None: all."""

    regime: str | None = None
    period: str | None = None
    standing: StandingName | None = None
    overdue: bool | None = None

    @property
    def equals(self) -> dict[str, str | None]:
        """What is compared as it is given."""
        return {"regime": self.regime, "period": self.period, "standing": self.standing}


class ObligationPage(BaseModel):
    items: list[ObligationView]
    next: str | None


@cache
def _obligations_query(filters: tuple[str, ...], overdue: bool | None, *, by_change: bool, onward: bool) -> TextClause:
    conditions = "".join(f" AND {_OBLIGATION_FILTERS[name]}" for name in filters)
    if overdue is not None:
        conditions += " AND overdue" if overdue else " AND NOT overdue"
    order = "updated_at" if by_change else "deadline"
    if by_change:
        conditions += " AND updated_at < :horizon"
    if onward:
        conditions += f" AND ({order}, obligation) > (CAST(:after_moment AS timestamptz), CAST(:after_key AS text))"
    return text(
        f"SELECT {_OBLIGATION_COLUMNS} FROM standings WHERE agency = :agency{conditions}"  # noqa: S608
        f" ORDER BY {order}, obligation LIMIT :limit"
    )


async def obligations(
    tx: ReadTransaction,
    agency: str,
    registry: Registry,
    wanted: ObligationFilter,
    *,
    after: tuple[datetime, str] | None,
    limit: int,
) -> Sequence[ObligationView]:
    """What the agency owes, by deadline, after the obligation with this deadline and key."""
    return await fetched(
        tx,
        _obligations_query(given(wanted.equals), wanted.overdue, by_change=False, onward=after is not None),
        {
            "agency": agency,
            **wanted.equals,
            "after_moment": after[0] if after else None,
            "after_key": after[1] if after else None,
            "limit": limit,
        },
        lambda row: _obligation(row, registry),
    )


async def changed_obligations(
    tx: ReadTransaction,
    agency: str,
    registry: Registry,
    wanted: ObligationFilter,
    *,
    after: tuple[datetime, str | None],
    before: datetime,
    limit: int,
) -> Sequence[ObligationView]:
    """Obligations that changed after a moment (and, at it, after a key) and before the horizon, in order of change.

    Those that changed at that very moment count as after it only where a key is given.
    """
    return await fetched(
        tx,
        _obligations_query(given(wanted.equals), wanted.overdue, by_change=True, onward=True),
        {
            "agency": agency,
            **wanted.equals,
            "after_moment": after[0],
            "after_key": after[1] or _GREATEST_KEY,
            "horizon": before,
            "limit": limit,
        },
        lambda row: _obligation(row, registry),
    )


async def obligation(
    tx: ReadTransaction, agency: str, registry: Registry, regime: str, period: str
) -> ObligationDetail | None:
    """The agency's own obligation with all that belongs to it, or None. Five statements, however much that is."""
    asked = {"agency": agency, "obligation": obligation_key(agency, regime, period)}
    row = (await tx.execute(_OBLIGATION, asked)).mappings().first()
    if row is None:
        return None
    sent = await submissions.of_obligation(tx, agency, asked["obligation"], limit=MAX_LISTED + 1)
    notices = (await tx.execute(_NOTICES, {**asked, "limit": MAX_LISTED + 1})).mappings().all()
    whole = ObligationChanged.model_validate_json(row["document"])
    fields = _obligation_fields({name: value for name, value in row.items() if name != "document"}, registry)
    fields["links"] |= {  # scoring answers these, behind the same proxy
        "policy": f"/v1/policies/{whole.policy_version}",
        "calendar": f"/v1/calendars/{whole.calendar_version}",
        **{f"relief {relief_id}": f"/v1/reliefs/{relief_id}" for relief_id in whole.reliefs},
    }
    history = await history_of(tx, asked["obligation"], registry)
    first_received, first_accepted, last_accepted = marks(history)
    return ObligationDetail(
        **fields,
        locks_at=whole.locks_at,
        first_received=first_received,
        first_accepted=first_accepted,
        last_accepted=last_accepted,
        steps=[step_view(step, history) for step in history.steps],
        possible=possible_steps(deciding.possible_about(history)),
        policy_version=whole.policy_version,
        calendar_version=whole.calendar_version,
        provisional=whole.provisional,
        planned_deadline=whole.planned_deadline,
        **_rule_of(whole, registry),
        reliefs=list(whole.reliefs),
        answer_version=whole.answer_version,
        officer_id=whole.officer_id,
        officer_basis=whole.officer_basis,
        transferred_from=list(whole.transferred_from),
        transferred_to=whole.transferred_to,
        lines=[LineView(**line.model_dump(mode="json")) for line in whole.lines],
        submissions=sent[:MAX_LISTED],
        submissions_truncated=len(sent) > MAX_LISTED,
        notices=[
            NoticeView(
                notification_id=notice["notification_id"],
                at=notice["at"],
                to=RecipientView(role=notice["role"], agency=notice["recipient_agency"]),
                **{name: notice["document"][name] for name in ("kind", "channel", "outcome", "attempts")},
            )
            for notice in notices[:MAX_LISTED]
        ],
        notices_truncated=len(notices) > MAX_LISTED,
    )


def _rule_of(whole: ObligationChanged, registry: Registry) -> dict[str, Any]:
    """By which rule it is due: the regime's, or the override that holds for the agency, with its reason."""
    regime = registry.regimes.get(whole.regime, {}).get(whole.regime_version)
    override = whole.deadline_override or 0
    if regime is None or override > len(regime.deadline.overrides):
        return dict.fromkeys(("deadline_rule", "deadline_rule_en", "deadline_override", "deadline_override_reason"))
    rule, rule_en = deadline_words(regime, override)
    return {
        "deadline_rule": rule,
        "deadline_rule_en": rule_en,
        "deadline_override": override or None,
        "deadline_override_reason": regime.deadline.overrides[override - 1].reason if override else None,
    }


async def owed(tx: ReadTransaction, agency: str, registry: Registry, *, limit: int) -> Sequence[ObligationView]:
    """What the agency has still to fulfil, by deadline: what is overdue comes first."""
    return await fetched(tx, _OWED, {"agency": agency, "limit": limit}, lambda row: _obligation(row, registry))


def _obligation(row: Mapping[Any, Any], registry: Registry) -> ObligationView:
    return ObligationView(**_obligation_fields(row, registry))


def accepted_from(opens_at: datetime, cutoff_to: date | None, regime: RegimePublished | None) -> datetime:
    """From when a report is taken, by what scoring planned; the same as admission says of the window."""
    if cutoff_to is None or (regime is not None and regime.early_allowed):
        return opens_at
    return cutoff_ends(cutoff_to)


def _obligation_fields(row: Mapping[Any, Any], registry: Registry) -> dict[str, Any]:
    published = registry.regimes.get(row["regime"], {}).get(row["regime_version"])
    return {
        **row,
        "accepted_from": accepted_from(row["opens_at"], row["cutoff_to"], published),
        "regime_name": published.name if published else row["regime"],
        "regime_name_en": (published.name_en or published.name) if published else row["regime"],
        "links": {
            "self": obligation_link(row["regime"], row["period"]),
            "regime": f"{regime_link(row['regime'])}?version={row['regime_version']}",
        },
    }


def obligation_link(regime: str, period: str) -> str:
    """Where the agency reads its obligation; codes need no escaping."""
    return f"/v1/obligations/{regime}/{period}"


def regime_link(code: str) -> str:
    return f"/v1/regimes/{code}"
