"""What of the registry needs a look: regimes to be reviewed, and agencies without a reporting officer."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from pydantic import BaseModel, Field
from sqlalchemy import text

from services.intake.registry import regimes
from services.intake.registry.records import Registry
from services.intake.registry.regimes import Addressed
from shared.contract.events import RegimePublished
from shared.postgres.database import ReadTransaction
from shared.runtime.clock import LOCAL_ZONE

#: A rule fails unusually often when so many of a regime's reports judged in this time break it. Below the least number
#: of reports a share says nothing.
FAILING_DAYS, FAILING_LEAST_REPORTS, FAILING_PERCENT = 90, 20, 25
#: rules listed of one regime
MAX_RULES = 20

_FAILING = text("""
    WITH judged AS (
      SELECT s.regime, v.submission_id, v.findings, count(*) OVER (PARTITION BY s.regime) AS reports
        FROM verdicts v JOIN submissions s USING (submission_id) WHERE v.decided_at >= :since)
    SELECT j.regime, f ->> 'code' AS code, f ->> 'path' AS path, j.reports, count(DISTINCT j.submission_id) AS failed
      FROM judged j CROSS JOIN LATERAL jsonb_array_elements(j.findings) AS f
     WHERE j.reports >= :least AND f ->> 'severity' = 'error'
     GROUP BY 1, 2, 3, 4 HAVING 100 * count(DISTINCT j.submission_id) >= :percent * j.reports
     ORDER BY j.regime, failed DESC, code, path
""")


class FailingRule(BaseModel):
    """A rule that many reports break: perhaps the rule is wrong, or nobody understands it."""

    code: str
    path: str
    failed: int
    reports: int


class ReviewView(BaseModel):
    code: str
    regime_version: int
    name: str
    name_en: str
    review_by: date | None
    past_review: bool = Field(description="Đã quá hạn rà soát / its review date has passed")
    failing_rules: list[FailingRule] = Field(
        description=f"Ít nhất {FAILING_PERCENT} % báo cáo trong {FAILING_DAYS} ngày vi phạm, từ "
        f"{FAILING_LEAST_REPORTS} báo cáo trở lên / broken by at least {FAILING_PERCENT} % of the reports judged in "
        f"{FAILING_DAYS} days, where there are at least {FAILING_LEAST_REPORTS}"
    )


class ReviewList(BaseModel):
    items: list[ReviewView]


class UnstaffedAgency(BaseModel):
    code: str
    kind: str
    parent: str | None
    regimes: int = Field(description="Số chế độ báo cáo áp dụng / regimes that bind it")


class UnstaffedPage(BaseModel):
    items: list[UnstaffedAgency]
    next: str | None


async def failing_rules(tx: ReadTransaction, now: datetime) -> dict[str, list[FailingRule]]:
    """Rules that fail unusually often, by regime. Reads every verdict of the time: for an operator, now and then."""
    wanted = {"since": now - timedelta(days=FAILING_DAYS), "least": FAILING_LEAST_REPORTS, "percent": FAILING_PERCENT}
    found: dict[str, list[FailingRule]] = {}
    for row in await tx.execute(_FAILING, wanted):
        rules = found.setdefault(row.regime, [])
        if len(rules) < MAX_RULES:
            rules.append(FailingRule(code=row.code, path=row.path, failed=row.failed, reports=row.reports))
    return found


def review_due(registry: Registry, failing: dict[str, list[FailingRule]], now: datetime) -> ReviewList:
    """The regimes in force, or to come, that are past their review date or have rules that fail unusually often."""
    today = now.astimezone(LOCAL_ZONE).date()
    items = []
    for code, versions in sorted(registry.regimes.items()):
        regime = regimes.chosen(list(versions.values()), today)
        past = regime.review_by is not None and regime.review_by < today
        if _in_use(regime, today) and (past or code in failing):
            items.append(
                ReviewView(
                    code=code,
                    regime_version=regime.regime_version,
                    name=regime.name,
                    name_en=regime.name_en or regime.name,
                    review_by=regime.review_by,
                    past_review=past,
                    failing_rules=failing.get(code, []),
                )
            )
    return ReviewList(items=items)


def _in_use(regime: RegimePublished, today: date) -> bool:
    return regime.effective_to is None or regime.effective_to >= today


def unstaffed_agency(code: str, registry: Registry, addressed: Addressed, today: date) -> UnstaffedAgency:
    agency = registry.agencies[code]
    bound = {binding.regime.code for binding in regimes.binding(agency, registry, addressed, today)}
    return UnstaffedAgency(code=code, kind=agency.kind, parent=agency.above.on(today), regimes=len(bound))
