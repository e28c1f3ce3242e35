"""What an agency can read back. Every query names the agency: a foreign id is not found, like one that is not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, cast
from uuid import UUID

from pydantic import BaseModel, Field, PlainSerializer
from sqlalchemy import TextClause, text

from services.intake.pages import fetched
from services.intake.registry.records import Registry
from services.intake.submissions.report_parser import Report, read_report
from shared.contract.events import obligation_key
from shared.postgres.database import Reading
from shared.runtime.clock import LOCAL_ZONE
from shared.web.errors import Language

Status = Literal["received", "accepted", "returned"]
StandingName = Literal["nothing_sent", "awaiting_verdict", "returned", "fulfilled"]

#: submissions and notices that an obligation's page lists
MAX_LISTED = 100

_SUBMISSION_COLUMNS = """
    submission_id, obligation, regime, regime_version, period, version, officer_id, nil, received_at,
    encode(sha256, 'hex') AS sha256, coalesce(outcome, 'received') AS status,
    verdict_id, outcome, decided_at, errors, warnings, coalesce(updated_at, stored_at) AS updated_at
"""
_ONE = text(f"""
    SELECT {_SUBMISSION_COLUMNS}, body, findings, findings_truncated
    FROM submissions LEFT JOIN verdicts USING (submission_id)
    WHERE submissions.agency = :agency AND submission_id = :submission_id
""")  # noqa: S608 - constant names
_PAGE_FILTERS = {
    "regime": "regime = :regime",
    "period": "period = :period",
    "status": "coalesce(outcome, 'received') = :status",
}
#: what is received changes when its verdict comes; a verdict's row says when it was written last
_CHANGED = """
    WITH changed AS (
        (SELECT submission_id, stored_at AS moment
         FROM submissions LEFT JOIN verdicts USING (submission_id)
         WHERE submissions.agency = :agency AND stored_at < :horizon
           AND (stored_at, submission_id) > (CAST(:after_moment AS timestamptz), CAST(:after_id AS uuid))
           AND outcome IS NULL {filters} ORDER BY stored_at, submission_id LIMIT :limit)
        UNION ALL
        (SELECT submission_id, updated_at AS moment
         FROM verdicts JOIN submissions USING (submission_id)
         WHERE verdicts.agency = :agency AND updated_at < :horizon
           AND (updated_at, submission_id) > (CAST(:after_moment AS timestamptz), CAST(:after_id AS uuid))
           {filters} ORDER BY updated_at, submission_id LIMIT :limit)
        ORDER BY moment, submission_id LIMIT :limit
    )
    SELECT {columns} FROM changed JOIN submissions USING (submission_id) LEFT JOIN verdicts USING (submission_id)
    ORDER BY moment, submission_id
"""
_OBLIGATION_COLUMNS = """
    obligation, regime, regime_version, period, deadline, cutoff_from, cutoff_to, standing,
    coalesce(overdue, false) AS overdue, on_time, score, changed_at, updated_at
"""
_OBLIGATION_FILTERS = {
    "regime": "regime = :regime",
    "period": "period = :period",
    "standing": "standing = :standing",
}
#: What is being written now may become visible with an earlier moment than what is visible already. Nothing from
#: here on is shown, so a reader who goes on after the last moment it saw misses nothing.
_HORIZON = text("""
    SELECT least(now(), min(xact_start)) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
""")
_OWED = text(f"""
    SELECT {_OBLIGATION_COLUMNS} FROM standings
    WHERE agency = :agency AND standing <> 'fulfilled' ORDER BY deadline, obligation LIMIT :limit
""")  # noqa: S608 - constant names
_OBLIGATION = text(f"""
    SELECT {_OBLIGATION_COLUMNS}, policy_version, lines FROM standings
    WHERE agency = :agency AND obligation = :obligation
""")  # noqa: S608 - constant names
_OF_OBLIGATION = text(f"""
    SELECT {_SUBMISSION_COLUMNS} FROM submissions LEFT JOIN verdicts USING (submission_id)
    WHERE submissions.agency = :agency AND obligation = :obligation ORDER BY version DESC LIMIT :limit
""")  # noqa: S608 - constant names
_NOTICES = text("""
    SELECT notification_id, at, document, record ->> 'role' AS role, record ->> 'agency' AS told
    FROM (
        SELECT notification_id, at, document FROM notices WHERE agency = :agency AND obligation = :obligation
        ORDER BY at DESC, notification_id DESC LIMIT :limit
    ) AS listed LEFT JOIN registry ON registry.key = 'officer/' || (document ->> 'officer_id')
    ORDER BY at DESC, notification_id DESC
""")
_GREATEST = UUID(int=2**128 - 1)
#: behind every key, in the order of the database (C.UTF-8) as of any other
_GREATEST_KEY = "\U0010ffff"


def _local(moment: datetime) -> datetime:
    return moment.astimezone(LOCAL_ZONE)


def _plain(number: Decimal) -> str:
    return format(number, "f")


#: a moment, shown in the zone of the deadlines
Moment = Annotated[datetime, PlainSerializer(_local, return_type=datetime, when_used="json")]
#: a decimal, shown as text
Points = Annotated[Decimal, PlainSerializer(_plain, return_type=str, when_used="json")]


class VerdictView(BaseModel):
    """What validation said (kết quả kiểm tra)."""

    verdict_id: UUID
    outcome: Literal["accepted", "returned"]
    decided_at: Moment
    errors: int
    warnings: int


class SubmissionView(BaseModel):
    """One submission (bài nộp) as its agency sees it."""

    submission_id: UUID
    obligation: str
    regime: str
    regime_version: int
    period: str
    version: int
    officer: str
    nil: bool
    received_at: Moment
    sha256: str
    status: Status
    updated_at: Moment = Field(description="Giờ máy chủ, khi dòng này đổi lần cuối / when this last changed")
    verdict: VerdictView | None


class SubmissionDetail(SubmissionView):
    """A submission with what it said and every finding of its verdict."""

    figures: dict[str, str | None]
    narratives: dict[str, str]
    findings: list[dict[str, Any]] = Field(
        description="code, tier, severity, path, provided, expected, difference; `message`, `fix`: ngôn ngữ theo "
        "Accept-Language / language by Accept-Language; `_vi`, `_en` are always both there"
    )
    findings_truncated: bool


class SubmissionPage(BaseModel):
    items: list[SubmissionView]
    next: str | None


class ObligationView(BaseModel):
    """One report the agency owes (nghĩa vụ báo cáo) and where it stands."""

    obligation: str
    regime: str
    regime_version: int
    regime_name: str
    regime_name_en: str
    period: str
    deadline: Moment
    cutoff_from: date | None
    cutoff_to: date | None
    standing: StandingName
    overdue: bool
    on_time: bool | None
    score: Points | None
    changed_at: Moment
    updated_at: Moment = Field(description="Giờ máy chủ, khi dòng này đổi lần cuối / when this last changed")
    links: dict[str, str]


class LineView(BaseModel):
    """One signed contribution to the score, with its cause. The lines sum to the score exactly."""

    line_id: UUID
    component: str
    points: str
    cause: str
    cause_en: str
    clause: str


class RecipientView(BaseModel):
    """Who was told, by office: reporting officer (cán bộ đầu mối) or head (thủ trưởng), and of which agency."""

    role: Literal["reporting_officer", "head"] | None = Field(description="null: không còn trong danh mục / not known")
    agency: str | None


class NoticeView(BaseModel):
    """A notice sent about the obligation."""

    notification_id: UUID
    kind: str = Field(description="reminder, overdue, returned, escalation")
    at: Moment
    to: RecipientView
    channel: str
    outcome: str = Field(description="sent, unknown (chưa rõ đã đến / may have arrived), failed")
    attempts: int


class ObligationDetail(ObligationView):
    """The whole of an obligation as its agency is judged by it: every submission, score line and notice."""

    policy_version: str | None
    lines: list[LineView] = Field(description="Các dòng điểm đang có hiệu lực / the score lines in force")
    submissions: list[SubmissionView] = Field(description=f"Mới nhất trước, tối đa {MAX_LISTED} / newest first")
    submissions_truncated: bool
    notices: list[NoticeView] = Field(description=f"Mới nhất trước, tối đa {MAX_LISTED} / newest first")
    notices_truncated: bool


class ObligationPage(BaseModel):
    items: list[ObligationView]
    next: str | None


def _verdict(row: Mapping[Any, Any]) -> VerdictView | None:
    if row["outcome"] is None:
        return None
    return VerdictView(**{name: row[name] for name in VerdictView.model_fields})


def _common(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        **{name: row[name] for name in SubmissionView.model_fields if name not in ("officer", "verdict")},
        "officer": row["officer_id"],
        "verdict": _verdict(row),
    }


def _finding(finding: Mapping[str, Any], language: Language) -> dict[str, Any]:
    """A finding as problem details show an error: in the language asked for, and always in both beside it."""
    vietnamese = {f"{name}_vi": finding[name] for name in ("message", "fix")}
    chosen = {} if language == "vi" else {name: finding[f"{name}_en"] for name in ("message", "fix")}
    return {**finding, **chosen, **vietnamese}


async def submission(
    reading: Reading, agency: str, submission_id: UUID, language: Language = "vi"
) -> SubmissionDetail | None:
    """The agency's own submission, or None."""
    row = (await reading.execute(_ONE, {"agency": agency, "submission_id": submission_id})).mappings().first()
    if row is None:
        return None
    report = read_report(bytes(row["body"]))
    assert isinstance(report, Report), "a stored body was readable when it was stored"
    return SubmissionDetail(
        **_common(row),
        figures=report.figures,
        narratives=report.narratives,
        findings=[_finding(finding, language) for finding in row["findings"] or []],
        findings_truncated=bool(row["findings_truncated"]),
    )


@cache
def _submissions_query(filters: tuple[str, ...], *, by_change: bool) -> TextClause:
    """Only what is asked for is in the query, so that a plan that is kept fits it."""
    conditions = "".join(f" AND {_PAGE_FILTERS[name]}" for name in filters)
    if by_change:
        return text(_CHANGED.format(filters=conditions, columns=_SUBMISSION_COLUMNS))
    return text(
        f"SELECT {_SUBMISSION_COLUMNS} FROM submissions LEFT JOIN verdicts USING (submission_id)"  # noqa: S608
        f" WHERE submissions.agency = :agency AND submission_id < CAST(:before AS uuid){conditions}"
        " ORDER BY submission_id DESC LIMIT :limit"
    )


@cache
def _obligations_query(filters: tuple[str, ...], overdue: bool | None, *, by_change: bool, onward: bool) -> TextClause:
    conditions = "".join(f" AND {_OBLIGATION_FILTERS[name]}" for name in filters)
    if overdue is not None:
        conditions += " AND overdue" if overdue else " AND overdue IS NOT TRUE"
    order = "updated_at" if by_change else "deadline"
    if by_change:
        conditions += " AND updated_at < :horizon"
    if onward:
        conditions += f" AND ({order}, obligation) > (CAST(:after_moment AS timestamptz), CAST(:after_key AS text))"
    return text(
        f"SELECT {_OBLIGATION_COLUMNS} FROM standings WHERE agency = :agency{conditions}"  # noqa: S608
        f" ORDER BY {order}, obligation LIMIT :limit"
    )


async def horizon(reading: Reading) -> datetime:
    """The moment up to which all that was written can be seen by a reading that begins after this one."""
    return cast(datetime, (await reading.execute(_HORIZON)).scalar_one())


async def submissions(
    reading: Reading,
    agency: str,
    *,
    regime: str | None,
    period: str | None,
    status: Status | None,
    before: UUID | None,
    limit: int,
) -> Sequence[SubmissionView]:
    """The agency's submissions, newest first, those before the submission `before`."""
    wanted = {"regime": regime, "period": period, "status": status}
    return await fetched(
        reading,
        _submissions_query(_given(wanted), by_change=False),
        {"agency": agency, **wanted, "before": before or _GREATEST, "limit": limit},
        lambda row: SubmissionView(**_common(row)),
    )


async def changed_submissions(
    reading: Reading,
    agency: str,
    *,
    regime: str | None,
    period: str | None,
    status: Status | None,
    after: tuple[datetime, UUID | None],
    before: datetime,
    limit: int,
) -> Sequence[SubmissionView]:
    """The agency's submissions that changed after a moment (and, at it, after an id) and before the horizon, in order.

    Those that changed at the very moment are after it only where an id is given.
    """
    wanted = {"regime": regime, "period": period, "status": status}
    return await fetched(
        reading,
        _submissions_query(_given(wanted), by_change=True),
        {
            "agency": agency,
            **wanted,
            "after_moment": after[0],
            "after_id": after[1] or _GREATEST,
            "horizon": before,
            "limit": limit,
        },
        lambda row: SubmissionView(**_common(row)),
    )


async def obligations(
    reading: Reading,
    agency: str,
    registry: Registry,
    *,
    regime: str | None,
    period: str | None,
    standing: StandingName | None,
    overdue: bool | None,
    after: tuple[datetime, str] | None,
    limit: int,
) -> Sequence[ObligationView]:
    """What the agency owes, by deadline, after the obligation with this deadline and key."""
    wanted = {"regime": regime, "period": period, "standing": standing}
    return await fetched(
        reading,
        _obligations_query(_given(wanted), overdue, by_change=False, onward=after is not None),
        {
            "agency": agency,
            **wanted,
            "after_moment": after[0] if after else None,
            "after_key": after[1] if after else None,
            "limit": limit,
        },
        lambda row: _obligation(row, registry),
    )


async def changed_obligations(
    reading: Reading,
    agency: str,
    registry: Registry,
    *,
    regime: str | None,
    period: str | None,
    standing: StandingName | None,
    overdue: bool | None,
    after: tuple[datetime, str | None],
    before: datetime,
    limit: int,
) -> Sequence[ObligationView]:
    """As `changed_submissions`, of what the agency owes."""
    wanted = {"regime": regime, "period": period, "standing": standing}
    return await fetched(
        reading,
        _obligations_query(_given(wanted), overdue, by_change=True, onward=True),
        {
            "agency": agency,
            **wanted,
            "after_moment": after[0],
            "after_key": after[1] or _GREATEST_KEY,
            "horizon": before,
            "limit": limit,
        },
        lambda row: _obligation(row, registry),
    )


def _given(wanted: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(name for name, value in wanted.items() if value is not None)


async def obligation(
    reading: Reading, agency: str, registry: Registry, regime: str, period: str
) -> ObligationDetail | None:
    """The agency's own obligation with all that is told of it, or None. Three statements, whatever it holds."""
    asked = {"agency": agency, "obligation": obligation_key(agency, regime, period)}
    row = (await reading.execute(_OBLIGATION, asked)).mappings().first()
    if row is None:
        return None
    listed = {**asked, "limit": MAX_LISTED + 1}
    sent = (await reading.execute(_OF_OBLIGATION, listed)).mappings().all()
    notices = (await reading.execute(_NOTICES, listed)).mappings().all()
    lines = [LineView(**{name: line[name] for name in LineView.model_fields}) for line in row["lines"] or ()]
    return ObligationDetail(
        **{name: value for name, value in row.items() if name != "lines"},
        **_names(row, registry),
        lines=lines,
        submissions=[SubmissionView(**_common(each)) for each in sent[:MAX_LISTED]],
        submissions_truncated=len(sent) > MAX_LISTED,
        notices=[
            NoticeView(
                notification_id=each["notification_id"],
                at=each["at"],
                to=RecipientView(role=each["role"], agency=each["told"]),
                **{name: each["document"][name] for name in ("kind", "channel", "outcome", "attempts")},
            )
            for each in notices[:MAX_LISTED]
        ],
        notices_truncated=len(notices) > MAX_LISTED,
    )


async def owed(reading: Reading, agency: str, registry: Registry, *, limit: int) -> Sequence[ObligationView]:
    """What the agency has still to fulfil, by deadline: what is overdue comes first."""
    return await fetched(reading, _OWED, {"agency": agency, "limit": limit}, lambda row: _obligation(row, registry))


def _obligation(row: Mapping[Any, Any], registry: Registry) -> ObligationView:
    return ObligationView(**row, **_names(row, registry))


def _names(row: Mapping[Any, Any], registry: Registry) -> dict[str, Any]:
    published = registry.regimes.get(row["regime"], {}).get(row["regime_version"])
    return {
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
