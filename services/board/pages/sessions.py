"""The page of one's own sessions: where one is signed in, ended one by one or all at once but this."""

from __future__ import annotations

from uuid import UUID

from starlette.responses import RedirectResponse, Response

from services.board.accounts.browsers import browser_name
from services.board.accounts.signing_in import MOST_SESSIONS
from services.board.accounts.store import Known
from services.board.pages.web import Site, Visit, address_of
from shared.web.errors import not_found

PATH = "/phien-dang-nhap"
OTHERS = "others"


class Sessions:
    """The page, by the accounts."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def list(self, visit: Visit) -> Response:
        """The live sessions of whoever is signed in, and how they were signed in lately."""
        known = _known(visit)
        live, noted = await self._site.accounts.sessions_of(known.person_id)
        return visit.show(
            "sessions.html.j2", live=[(one, browser_name(one.client)) for one in live], noted=noted,
            more=len(live) == MOST_SESSIONS, ended=visit.request.query_params.get("ended"),
        )  # fmt: skip

    async def end(self, visit: Visit) -> Response:
        """End one of them, or all others. One that has ended meanwhile is what was asked for."""
        given, known = await self._site.form(visit), _known(visit)
        address, which = address_of(visit.request), given.get("session", "")
        if which == OTHERS:
            await self._site.accounts.end_others(known, address=address)
        else:
            await self._site.accounts.end_session(known, _session_id(which), address=address)
        return RedirectResponse(f"{PATH}?ended={OTHERS if which == OTHERS else 1}", 303, {"Cache-Control": "no-store"})


def _known(visit: Visit) -> Known:
    if visit.known is None:
        raise RuntimeError("this page is not public")
    return visit.known


def _session_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise not_found("phiên đăng nhập này", "such session") from None
