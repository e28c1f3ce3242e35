"""What an agency can read back. Every query names the agency: a foreign id is not found, like one that is not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, field_serializer
from sqlalchemy import text

from services.intake.reading import Report, read_report
from services.intake.registry.records import Registry
from shared.clock import LOCAL_ZONE
from shared.db import Reading

Status = Literal["received", "accepted", "returned"]
StandingName = Literal["nothing_sent", "awaiting_verdict", "returned", "fulfilled"]

_SUBMISSION_COLUMNS = """
    submission_id, obligation, regime, regime_version, period, version, officer_id, nil, received_at,
    encode(sha256, 'hex') AS sha256, coalesce(outcome, 'received') AS status,
    verdict_id, outcome, decided_at, errors, warnings
"""
_ONE = text(f"""
    SELECT {_SUBMISSION_COLUMNS}, body, findings, findings_truncated
    FROM submissions LEFT JOIN verdicts USING (submission_id)
    WHERE agency = :agency AND submission_id = :submission_id
""")  # noqa: S608 - constant names
_PAGE = text(f"""
    SELECT {_SUBMISSION_COLUMNS} FROM submissions LEFT JOIN verdicts USING (submission_id)
    WHERE agency = :agency AND submission_id < CAST(:before AS uuid)
      AND (CAST(:regime AS text) IS NULL OR regime = :regime)
      AND (CAST(:period AS text) IS NULL OR period = :period)
      AND (CAST(:status AS text) IS NULL OR coalesce(outcome, 'received') = :status)
    ORDER BY submission_id DESC LIMIT :limit
""")  # noqa: S608 - constant names
_OBLIGATIONS = text("""
    SELECT obligation, regime, regime_version, period, deadline, cutoff_from, cutoff_to, standing,
           coalesce(overdue, false) AS overdue, on_time, score, changed_at
    FROM standings
    WHERE agency = :agency
      AND (CAST(:after_deadline AS timestamptz) IS NULL
           OR (deadline, obligation) > (CAST(:after_deadline AS timestamptz), CAST(:after_obligation AS text)))
      AND (CAST(:regime AS text) IS NULL OR regime = :regime)
      AND (CAST(:period AS text) IS NULL OR period = :period)
      AND (CAST(:standing AS text) IS NULL OR standing = :standing)
    ORDER BY deadline, obligation LIMIT :limit
""")
_OWED = text("""
    SELECT obligation, regime, regime_version, period, deadline, cutoff_from, cutoff_to, standing,
           coalesce(overdue, false) AS overdue, on_time, score, changed_at
    FROM standings WHERE agency = :agency AND standing <> 'fulfilled'
    ORDER BY deadline, obligation LIMIT :limit
""")
_GREATEST = UUID(int=2**128 - 1)


class View(BaseModel):
    """What an agency is shown."""

    @field_serializer("*", when_used="json", check_fields=False)
    def _local(self, value: Any) -> Any:
        """Moments in the zone of the deadlines; decimals as text."""
        match value:
            case datetime():
                return value.astimezone(LOCAL_ZONE)
            case Decimal():
                return format(value, "f")
            case _:
                return value


class VerdictView(View):
    """What validation said (kết quả kiểm tra)."""

    verdict_id: UUID
    outcome: Literal["accepted", "returned"]
    decided_at: datetime
    errors: int
    warnings: int


class SubmissionView(View):
    """One submission (bài nộp) as its agency sees it."""

    submission_id: UUID
    obligation: str
    regime: str
    regime_version: int
    period: str
    version: int
    officer: str
    nil: bool
    received_at: datetime
    sha256: str
    status: Status
    verdict: VerdictView | None


class SubmissionDetail(SubmissionView):
    """A submission with what it said and every finding of its verdict."""

    figures: dict[str, str | None]
    narratives: dict[str, str]
    findings: list[dict[str, Any]] = Field(description="code, tier, severity, path, provided, expected, message, fix …")
    findings_truncated: bool


class SubmissionPage(BaseModel):
    items: list[SubmissionView]
    next: str | None


class ObligationView(View):
    """One report the agency owes (nghĩa vụ báo cáo) and where it stands."""

    obligation: str
    regime: str
    regime_version: int
    regime_name: str
    regime_name_en: str
    period: str
    deadline: datetime
    cutoff_from: date | None
    cutoff_to: date | None
    standing: StandingName
    overdue: bool
    on_time: bool | None
    score: Decimal | None
    changed_at: datetime
    links: dict[str, str]


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


async def submission(reading: Reading, agency: str, submission_id: UUID) -> SubmissionDetail | None:
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
        findings=row["findings"] or [],
        findings_truncated=bool(row["findings_truncated"]),
    )


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
    rows = await reading.execute(
        _PAGE,
        {
            "agency": agency,
            "regime": regime,
            "period": period,
            "status": status,
            "before": before or _GREATEST,
            "limit": limit,
        },
    )
    return [SubmissionView(**_common(row)) for row in rows.mappings()]


async def obligations(
    reading: Reading,
    agency: str,
    registry: Registry,
    *,
    regime: str | None,
    period: str | None,
    standing: StandingName | None,
    after: tuple[datetime, str] | None,
    limit: int,
) -> Sequence[ObligationView]:
    """What the agency owes, by deadline, after the obligation with this deadline and key."""
    rows = await reading.execute(
        _OBLIGATIONS,
        {
            "agency": agency,
            "regime": regime,
            "period": period,
            "standing": standing,
            "after_deadline": after[0] if after else None,
            "after_obligation": after[1] if after else None,
            "limit": limit,
        },
    )
    return [_obligation(row, registry) for row in rows.mappings()]


async def owed(reading: Reading, agency: str, registry: Registry, *, limit: int) -> Sequence[ObligationView]:
    """What the agency has still to fulfil, by deadline: what is overdue comes first."""
    rows = await reading.execute(_OWED, {"agency": agency, "limit": limit})
    return [_obligation(row, registry) for row in rows.mappings()]


def _obligation(row: Mapping[Any, Any], registry: Registry) -> ObligationView:
    published = registry.regimes.get(row["regime"], {}).get(row["regime_version"])
    return ObligationView(
        **row,
        regime_name=published.name if published else row["regime"],
        regime_name_en=(published.name_en or published.name) if published else row["regime"],
        links={
            "self": obligation_link(row["regime"], row["period"]),
            "regime": f"{regime_link(row['regime'])}?version={row['regime_version']}",
        },
    )


def obligation_link(regime: str, period: str) -> str:
    """Where the agency reads its obligation; codes need no escaping."""
    return f"/v1/obligations?regime={regime}&period={period}"


def regime_link(code: str) -> str:
    return f"/v1/regimes/{code}"
