"""The pages of the registry: agencies and who answers there, regimes and what their forms ask for, as of a day."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from urllib.parse import urlencode

from sqlalchemy import RowMapping
from starlette.responses import Response

from services.board.entry import views as entry_views
from services.board.pages.web import Visit
from services.board.readmodel import queries
from services.board.readmodel.queries import PAGE_ROWS, Agency
from shared.contract.events.registry import Form
from shared.contract.text import unmarked
from shared.web.errors import not_found

PATH = "/danh-muc"


async def agencies(visit: Visit) -> Response:
    """The agencies that the reader sees, by code: the one above, who answers, and where nobody does."""
    asked = visit.request.query_params
    on, sought = _day(asked.get("ngay", ""), visit.today), asked.get("tim", "").strip()[:100]
    plain = _plain(sought)
    lacking, after = asked.get("thieu") == "1", asked.get("after", "")[:100]
    seen = {code: visit.agencies[code] for code in visit.view.agencies if code in visit.agencies}
    staffed = await queries.staffed(visit.snapshot)
    unstaffed = sum(_lacks(one, staffed, on) for one in seen.values())
    codes = sorted(
        code for code, one in seen.items()
        if code > after and (not plain or _matches(one, plain)) and (not lacking or _lacks(one, staffed, on))
    )  # fmt: skip
    shown = codes[:PAGE_ROWS]
    kept = {"ngay": on.isoformat() if on != visit.today else "", "tim": sought, "thieu": "1" if lacking else ""}
    return visit.show(
        "agencies.html.j2", shown=[seen[code] for code in shown], on=on, sought=sought, lacking=lacking,
        answers=await queries.who_answers(visit.snapshot, shown, on), staffed=staffed, unstaffed=unstaffed,
        is_open=_is_open, first=not after, kept=urlencode({name: value for name, value in kept.items() if value}),
        following=shown[-1] if len(codes) > PAGE_ROWS else "",
        regimes=(await queries.seen_regimes(visit.snapshot, visit.view, on))[0],
    )  # fmt: skip


async def regime(visit: Visit) -> Response:
    """A regime that the reader sees something of: its versions, and what the form of one asks for."""
    code, on = visit.request.path_params["code"], _day(visit.request.query_params.get("ngay", ""), visit.today)
    sees = await queries.sees_regime(visit.snapshot, visit.view, code)
    versions = await queries.versions_of(visit.snapshot, code) if sees else ()
    if not versions:
        raise not_found("chế độ báo cáo này", "such regime")
    force = max((one for one in versions if one["effective_from"] <= on), key=_number, default=None)
    wanted = visit.request.query_params.get("phien-ban", str((force or versions[-1])["regime_version"]))
    version = next((one for one in versions if str(one["regime_version"]) == wanted), None)
    if version is None:
        raise not_found("phiên bản này của chế độ báo cáo", "such version of the regime")
    form = Form.model_validate_json(version["form"]) if version["form"] else None
    return visit.show(
        "regime.html.j2", code=code, version=version, versions=versions, force=force, form=form, views=entry_views
    )


def _number(version: RowMapping) -> int:
    return int(version["regime_version"])


def _day(text: str, today: date) -> date:
    """The day that the address names; today where it names none."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return today


def _is_open(agency: Agency, on: date) -> bool:
    return agency.closed_on is None or on <= agency.closed_on


def _lacks(agency: Agency, staffed: frozenset[str], on: date) -> bool:
    """Whether nobody there is named to report."""
    return agency.code not in staffed and _is_open(agency, on)


def _matches(agency: Agency, plain: str) -> bool:
    """Whether code or name hold what is sought, as people type it: without marks and capitals."""
    return any(plain in _plain(text) for text in (agency.code, agency.name, agency.name_en))


@lru_cache(maxsize=50_000)  # of 12,000 agencies it takes a quarter of a second, in which others wait
def _plain(text: str) -> str:
    return unmarked(text).casefold()
