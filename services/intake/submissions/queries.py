"""What an agency reads of its submissions. Every query names the agency: a foreign id is not found, as if unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import TextClause, text

from services.intake.lifecycle.store import history_of
from services.intake.lifecycle.views import Lifecycle, lifecycle
from services.intake.pages import fetched
from services.intake.registry.records import Registry
from services.intake.views import Moment
from shared.contract.events.submissions import Declines
from shared.postgres.database import ReadTransaction
from shared.reports.report_parser import Report, read_report
from shared.web.errors import Language
from shared.web.filters import given

Status = Literal["received", "not_judged", "accepted", "returned"]

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
_OF_OBLIGATION = text(f"""
    SELECT {_SUBMISSION_COLUMNS} FROM submissions LEFT JOIN verdicts USING (submission_id)
    WHERE submissions.agency = :agency AND obligation = :obligation ORDER BY version DESC LIMIT :limit
""")  # noqa: S608 - constant names
_GREATEST = UUID(int=2**128 - 1)


class VerdictView(BaseModel):
    """What validation said (kết quả kiểm tra)."""

    verdict_id: UUID
    outcome: Literal["accepted", "returned", "not_judged"] = Field(
        description="not_judged: hệ thống chưa kiểm tra được, không tính cho ai / it counts against nobody"
    )
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

    nil_reason: str = Field(
        description="Vì sao không phát sinh / why there was nothing to report",
        examples=["Trong kỳ không phát sinh thiệt hại nào."],
    )
    declines: Declines | None = Field(
        description="Từ chối hoặc chuyển yêu cầu thông tin, lý do ở nil_reason / why: nil_reason", examples=[None]
    )
    refer_to: str | None = Field(description="Chuyển đến cơ quan / the agency to ask instead", examples=[None])
    figures: dict[str, str | None]
    narratives: dict[str, str]
    tables: dict[str, list[dict[str, str | None]]] = Field(
        description="Dòng của từng bảng, ô theo mã cột / the rows of each table, cells by column",
        examples=[{"T01": [{"TEN": "Rà soát thủ tục hành chính", "HAN": "2026-09-30", "TY_LE": "62.5"}]}],
    )
    findings: list[dict[str, Any]] = Field(
        description="code, tier, severity, path, provided, expected, difference; `message`, `fix`: ngôn ngữ theo "
        "Accept-Language / language by Accept-Language; `_vi`, `_en` are always both there"
    )
    findings_truncated: bool
    lifecycle: Lifecycle


class SubmissionPage(BaseModel):
    items: list[SubmissionView]
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
    tx: ReadTransaction, agency: str, submission_id: UUID, registry: Registry, language: Language = "vi"
) -> SubmissionDetail | None:
    """The agency's own submission, or None."""
    row = (await tx.execute(_ONE, {"agency": agency, "submission_id": submission_id})).mappings().first()
    if row is None:
        return None
    report = read_report(bytes(row["body"]))
    assert isinstance(report, Report), "a stored body was readable when it was stored"
    history = await history_of(tx, row["obligation"], registry)
    version = history.version(submission_id)
    assert version is not None, "one of its obligation's"
    return SubmissionDetail(
        **_common(row),
        nil_reason=report.nil_reason,
        declines=report.declines or None,
        refer_to=report.refer_to or None,
        figures=report.figures,
        narratives=report.narratives,
        tables=report.tables,
        findings=[_finding(finding, language) for finding in row["findings"] or []],
        findings_truncated=bool(row["findings_truncated"]),
        lifecycle=lifecycle(history, version),
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


async def submissions(
    tx: ReadTransaction,
    agency: str,
    wanted: Mapping[str, str | None],
    *,
    before: UUID | None,
    limit: int,
) -> Sequence[SubmissionView]:
    """The agency's submissions, newest first, those before the submission `before`.

    wanted: regime, period and status, each None for all.
    """
    return await fetched(
        tx,
        _submissions_query(given(wanted), by_change=False),
        {"agency": agency, **wanted, "before": before or _GREATEST, "limit": limit},
        lambda row: SubmissionView(**_common(row)),
    )


async def changed_submissions(
    tx: ReadTransaction,
    agency: str,
    wanted: Mapping[str, str | None],
    *,
    after: tuple[datetime, UUID | None],
    before: datetime,
    limit: int,
) -> Sequence[SubmissionView]:
    """The agency's submissions that changed after a moment (and, at it, after an id) and before the horizon, in order.

    Those that changed at the very moment are after it only where an id is given. `wanted`: as in `submissions`.
    """
    return await fetched(
        tx,
        _submissions_query(given(wanted), by_change=True),
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


async def of_obligation(tx: ReadTransaction, agency: str, obligation: str, *, limit: int) -> list[SubmissionView]:
    """The submissions that answer one obligation, newest version first."""
    rows = await tx.execute(_OF_OBLIGATION, {"agency": agency, "obligation": obligation, "limit": limit})
    return [SubmissionView(**_common(row)) for row in rows.mappings()]
