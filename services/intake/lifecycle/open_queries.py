"""What waits for a person, the oldest first. A page costs what it shows: what is settled is not in the table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from functools import cache
from typing import Any
from uuid import UUID

from msgspec import Struct
from pydantic import BaseModel, Field
from sqlalchemy import TextClause, text

from services.intake.lifecycle import table, waiting
from services.intake.lifecycle.waiting import DONE_BY, ReviewKind
from services.intake.pages import fetched
from services.intake.registry.records import Registry
from services.intake.views import Moment
from shared.access import Principal, reach_of
from shared.postgres.database import ReadTransaction

NAMES: dict[ReviewKind, tuple[str, str]] = {
    "certification": ("chờ ký xác nhận", "to be certified"),
    "review": ("chờ duyệt", "to be reviewed"),
    "extension": ("chờ quyết định gia hạn", "an extension to decide"),
    "explanation": ("chờ quyết định về giải trình", "an explanation to decide"),
    "lateness": ("chờ xem giải trình chậm báo cáo", "an explanation of lateness to look at"),
    "appeal": ("chờ quyết định khiếu nại", "an appeal to decide"),
}


class OpenReviewView(BaseModel):
    """One thing that waits for this person (việc chờ xử lý)."""

    kind: ReviewKind = Field(examples=["extension"])
    name: str = Field(examples=["chờ quyết định gia hạn"])
    name_en: str = Field(examples=["an extension to decide"])
    about: UUID = Field(description="Bài nộp, hoặc bước đề nghị / the submission, or the step that asks")
    obligation: str = Field(examples=["H99.131/KTXH-THANG/2026-M03"])
    agency: str = Field(examples=["H99.131"])
    regime: str = Field(examples=["KTXH-THANG"])
    regime_name: str
    regime_name_en: str
    period: str = Field(examples=["2026-M03"])
    since: Moment = Field(description="Chờ từ lúc / since when it waits")
    due_at: Moment | None = Field(
        description="Nên xong trước: hạn nộp; của việc ký, giờ khóa nếu có / the obligation's deadline, of a"
        " certification the lock; null: chưa biết / not known yet"
    )
    submission_id: UUID | None
    version: int | None = Field(examples=[1])
    asked_by: str | None = Field(examples=["DM1-H99.131"], description="null: không phải đề nghị / nobody asked")
    reason: str | None = Field(examples=["Mất điện toàn xã"])
    until: Moment | None = Field(description="Xin gia hạn đến / until when time is asked for")
    route: str = Field(
        description="Gửi quyết định đến / where the decision goes", examples=["POST /v1/extensions/{id}/decision"]
    )


class OpenReviewPage(BaseModel):
    items: list[OpenReviewView]
    next: str | None


class Reach(Struct, frozen=True):
    """Kinds of things that a person may do for these agencies; regimes None: all."""

    kinds: tuple[ReviewKind, ...]
    agencies: frozenset[str]
    regimes: tuple[str, ...] | None


def reach(principal: Principal, registry: Registry, on: date) -> list[Reach]:
    """What the person may sign, review and decide on that day, and for whom; by office, equal ones together."""
    together: dict[tuple[tuple[ReviewKind, ...], tuple[str, ...]], frozenset[str]] = {}
    for scope in ("submit", "review"):
        for office, agencies in reach_of(principal, scope, registry.tree(on), on):
            kinds = tuple(kind for kind in waiting.kinds_of(office.role) if table.scope_of(DONE_BY[kind]) == scope)
            if kinds:
                key = kinds, tuple(sorted(office.regimes))
                together[key] = together.get(key, frozenset()) | agencies
    return [Reach(kinds, agencies, regimes or None) for (kinds, regimes), agencies in together.items()]


@cache
def _query(named: tuple[bool, ...], *, onward: bool) -> TextClause:
    """named: of each reach, whether it names regimes."""
    reached = " OR ".join(
        f"(kind = ANY(CAST(:kinds_{at} AS text[])) AND agency = ANY(CAST(:agencies_{at} AS text[]))"
        + (f" AND regime = ANY(CAST(:regimes_{at} AS text[]))" if regimes else "")
        + ")"
        for at, regimes in enumerate(named)
    )
    after = " AND (since, about) > (CAST(:after_since AS timestamptz), CAST(:after_about AS uuid))" if onward else ""
    return text(f"""
        SELECT page.*, coalesce(CASE WHEN page.kind = 'certification' THEN o.locks_at END, s.deadline) AS due_at,
               sent.submission_id, sent.version, asked.taken_by AS asked_by, asked.reason, asked.until,
               coalesce(sent.regime_version, s.regime_version) AS regime_version
          FROM (SELECT kind, about, obligation, agency, regime, since FROM open_reviews
                 WHERE ({reached}){after} ORDER BY since, about LIMIT :limit) AS page
          LEFT JOIN steps AS asked ON asked.step_id = page.about
          LEFT JOIN submissions AS sent ON sent.submission_id = coalesce(asked.submission_id, page.about)
          LEFT JOIN standings AS s ON s.obligation = page.obligation
          LEFT JOIN obligations AS o ON o.obligation = page.obligation
         ORDER BY page.since, page.about
    """)  # noqa: S608 - names made of numbers


async def open_reviews(
    tx: ReadTransaction,
    reached: Sequence[Reach],
    registry: Registry,
    *,
    kind: ReviewKind | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[OpenReviewView]:
    """What waits within this reach, after the thing of this moment and id."""
    wanted = [one for one in reached if kind is None or kind in one.kinds]
    if not wanted:
        return []
    query, parameters = page_query(wanted, kind=kind, after=after, limit=limit)
    return await fetched(tx, query, parameters, lambda row: _view(row, registry))


def page_query(
    reached: Sequence[Reach], *, kind: ReviewKind | None, after: tuple[datetime, UUID] | None, limit: int
) -> tuple[TextClause, dict[str, Any]]:
    """The statement of a page, and its parameters."""
    parameters: dict[str, Any] = {"limit": limit}
    if after is not None:
        parameters |= {"after_since": after[0], "after_about": after[1]}
    for at, part in enumerate(reached):
        parameters[f"kinds_{at}"] = list(part.kinds) if kind is None else [kind]
        parameters[f"agencies_{at}"] = sorted(part.agencies)
        if part.regimes is not None:
            parameters[f"regimes_{at}"] = list(part.regimes)
    return _query(tuple(part.regimes is not None for part in reached), onward=after is not None), parameters


def _view(row: Any, registry: Registry) -> OpenReviewView:
    kind: ReviewKind = row["kind"]
    name, name_en = NAMES[kind]
    regime = registry.regimes.get(row["regime"], {}).get(row["regime_version"])
    regime_name = row["regime"] if regime is None else regime.name
    route = table.by_kind(DONE_BY[kind]).route.replace("{id}", str(row["about"]))
    return OpenReviewView(
        kind=kind, name=name, name_en=name_en, about=row["about"], obligation=row["obligation"], agency=row["agency"],
        regime=row["regime"], regime_name=regime_name,
        regime_name_en=(regime.name_en if regime is not None else "") or regime_name,
        period=row["obligation"].split("/", 2)[2], since=row["since"], due_at=row["due_at"],
        submission_id=row["submission_id"], version=row["version"], asked_by=row["asked_by"], reason=row["reason"],
        until=row["until"], route=route,
    )  # fmt: skip
