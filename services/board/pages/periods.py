"""How a period closed: figures on a page, frozen where an office asks for it, and the report about them as files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from starlette.responses import RedirectResponse, Response

from services.board.pages.exports import XLSX
from services.board.pages.views import moment
from services.board.pages.web import Site, Visit
from services.board.periods import store
from services.board.periods.choice import newest_ended, recent
from services.board.periods.figures import Figures, from_bytes, hash_of
from services.board.periods.files import Press
from services.board.periods.freezing import Freezing
from services.board.periods.report import document_of
from services.board.readmodel import queries
from services.board.readmodel.queries import PAGE_ROWS
from services.board.viewing import supervises
from shared.contract.period import PeriodError, parse
from shared.telemetry.logging import get_logger
from shared.web.errors import Problem, describe, forbidden, not_found, too_many
from shared.web.limiter import Limiter

log = get_logger()

_KINDS: Mapping[str, str] = {
    "bao-cao.pdf": "application/pdf",
    "bao-cao.docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "bao-cao.xlsx": XLSX,
    "so-lieu.json": "application/json",
}
CHANGED = describe(
    "frozen-figures-changed",
    500,
    "Số liệu đã chốt không còn khớp mã kiểm tra",
    "The frozen figures no longer match their hash",
    "Bản đã chốt đã bị sửa trong cơ sở dữ liệu, nên không được hiển thị. Báo người vận hành.",
    "What was frozen was changed in the database, so it is not shown. Tell an operator.",
)
#: files for one person: sustained rate and burst, so that nobody keeps the others waiting
FILES_PER_SECOND, FILES_AT_ONCE = 0.2, 10
#: rows of the missing and of the late that the page shows; the spreadsheet has more
MOST_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Kept:
    """What a page shows of frozen figures."""

    figures_id: UUID
    agency: str
    as_of: datetime
    frozen_by: str
    sha256: str


class Periods:
    """The pages of periods."""

    def __init__(self, site: Site, freezing: Freezing) -> None:
        self._site = site
        self._freezing = freezing
        self._press = Press()
        self._limiter = Limiter(FILES_PER_SECOND, FILES_AT_ONCE)

    async def newest(self, visit: Visit) -> Response:
        """To the newest period that has ended."""
        asked = visit.request.query_params.get("ky", "").strip()
        if asked:
            return RedirectResponse(f"/ky/{_parsed(asked)}", 303, {"Cache-Control": "no-store"})
        known = await store.known_periods(visit.snapshot, visit.view, recent(visit.today), visit.now)
        period = newest_ended(known, visit.today)
        if period is None:
            return visit.show("periods_none.html.j2")
        return RedirectResponse(f"/ky/{period}", 303, {"Cache-Control": "no-store"})

    async def show(self, visit: Visit) -> Response:
        """A period as it stands now."""
        period = _period(visit)
        figures = await self._now(visit, period)
        return await self._page(visit, period, figures, None)

    async def show_frozen(self, visit: Visit) -> Response:
        """A period as it was frozen."""
        period = _period(visit)
        figures, kept = await self._frozen(visit, period)
        return await self._page(visit, period, figures, kept)

    async def freeze(self, visit: Visit) -> Response:
        """Keep the figures as they stand now, for good; what stands already is not kept twice."""
        assert visit.person is not None, "the page is not public"
        await self._site.form(visit)
        period, agency = _period(visit), supervises(visit.person, visit.today)
        if agency is None:
            raise forbidden(
                "Chỉ cơ quan theo dõi các cơ quan khác mới chốt số liệu kỳ.",
                "Only those who supervise other agencies freeze a period's figures.",
            )
        async with self._site.reading(visit):
            figures = await self._now(visit, period)
        if not _whole(visit, figures):
            raise forbidden(
                "Ông/Bà chỉ xem được một số chế độ báo cáo của các cơ quan này, nên không chốt được số liệu của cả kỳ.",
                "You see some of these agencies' regimes alone, so you cannot freeze the figures of the whole period.",
            )
        figures_id = await self._freezing.freeze(figures, agency, visit.person.person_id)
        return RedirectResponse(f"/ky/{period}/{figures_id}", 303, {"Cache-Control": "no-store"})

    async def download(self, visit: Visit) -> Response:
        """The report about the figures as they stand now."""
        period, name = _period(visit), _file(visit, frozen=False)
        async with self._site.reading(visit):
            figures = await self._now(visit, period)
        return await self._file(visit, figures, None, name)

    async def download_frozen(self, visit: Visit) -> Response:
        """The report about frozen figures, or the figures themselves, byte by byte as they were hashed."""
        period, name = _period(visit), _file(visit, frozen=True)
        async with self._site.reading(visit):
            figures, kept = await self._frozen(visit, period)
        return await self._file(visit, figures, kept, name)

    async def _now(self, visit: Visit, period: str) -> Figures:
        assert visit.person is not None, "the page is not public"
        figures = await store.figures_of(
            visit.snapshot, visit.view, visit.agencies, period, visit.now, visit.person.agency
        )
        if figures is None:
            raise not_found("kỳ báo cáo này", "such period")
        return figures

    async def _frozen(self, visit: Visit, period: str) -> tuple[Figures, Kept]:
        try:
            figures_id = UUID(visit.request.path_params["figures_id"])
        except ValueError:
            raise not_found("số liệu đã chốt này", "such frozen figures") from None
        found = await store.one(visit.snapshot, visit.view, period, figures_id)
        if found is None:
            raise not_found("số liệu đã chốt này", "such frozen figures")
        if hash_of(found["document"]) != found["sha256"]:
            log.error("Frozen figures were changed.", action="periods.changed", figures_id=str(figures_id))
            raise Problem.of(CHANGED)
        return from_bytes(found["document"]), _kept(found)

    async def _page(self, visit: Visit, period: str, figures: Figures, kept: Kept | None) -> Response:
        assert visit.person is not None, "the page is not public"
        frozen = [_kept(row) for row in await store.listed(visit.snapshot, visit.view, period)]
        known = await store.known_periods(visit.snapshot, visit.view, recent(visit.today), visit.now)
        page, pages = _page_number(visit), max(1, -(-len(figures.agencies) // PAGE_ROWS))
        page = min(page, pages)
        names = await queries.names(visit.snapshot, [one.frozen_by for one in [*frozen, *([kept] if kept else [])]])
        return visit.show(
            "period.html.j2", figures=figures, kept=kept, frozen=frozen, names=names,
            choices=known if period in known else [period, *known],
            agencies=figures.agencies[(page - 1) * PAGE_ROWS : page * PAGE_ROWS], page=page, pages=pages,
            missing=figures.missing[:MOST_SHOWN], late=figures.late[:MOST_SHOWN],
            agency_names={one.code: (one.name, one.name_en) for one in figures.agencies},
            regime_names={one.code: (one.name, one.name_en) for one in figures.regimes},
            supervises=supervises(visit.person, visit.today) is not None, whole=_whole(visit, figures),
            base=f"/ky/{period}/{kept.figures_id}" if kept else f"/ky/{period}",
        )  # fmt: skip

    async def _file(self, visit: Visit, figures: Figures, kept: Kept | None, name: str) -> Response:
        assert visit.person is not None, "the page is not public"
        if wait_seconds := self._limiter.take(visit.person.person_id):
            raise too_many(wait_seconds)
        sha256 = kept.sha256 if kept else None
        if name == "so-lieu.json":
            content = figures.encoded()
        elif name == "bao-cao.xlsx":
            content = await self._press.xlsx(figures, _note(figures, sha256, visit), visit.language)
        else:
            document = document_of(figures, sha256)
            content = await (self._press.pdf(document) if name == "bao-cao.pdf" else self._press.docx(document))
        stem, _, suffix = name.partition(".")
        return Response(
            content,
            headers={
                "Content-Disposition": f'attachment; filename="{stem}-{figures.period}.{suffix}"',
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
            },
            media_type=_KINDS[name],
        )


def _whole(visit: Visit, figures: Figures) -> bool:
    """Whether these are all figures of their agencies: whoever reads frozen ones takes them for that."""
    return visit.view.whole.issuperset(one.code for one in figures.agencies)


def _kept(row: Mapping[Any, Any]) -> Kept:
    return Kept(*(row[name] for name in Kept.__slots__))


def _period(visit: Visit) -> str:
    return _parsed(visit.request.path_params["period"])


def _parsed(text: str) -> str:
    try:
        return parse(text).id
    except PeriodError:
        raise not_found("kỳ báo cáo này", "such period") from None


def _file(visit: Visit, *, frozen: bool) -> str:
    name: str = visit.request.path_params["file"]
    if name not in _KINDS or (name == "so-lieu.json" and not frozen):
        raise not_found("tệp này", "such file")
    return name


def _page_number(visit: Visit) -> int:
    text = visit.request.query_params.get("trang", "")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 6 else 1


def _note(figures: Figures, sha256: str | None, visit: Visit) -> str:
    when = moment(figures.moment, seconds=True)
    if visit.language == "en":
        return f"Figures as of {when}, " + (f"frozen, SHA-256 {sha256}" if sha256 else "not frozen")
    return f"Số liệu lúc {when}, " + (f"đã chốt, SHA-256 {sha256}" if sha256 else "chưa chốt")
