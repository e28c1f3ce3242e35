"""The pages of waivers: an agency asks that a rule counts against nobody for a while, another person decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from services.board.pages import steps, words
from services.board.pages.steps import Form
from services.board.pages.through_intake import Outcome, Owner, moment, said_to, string
from services.board.pages.web import Site, Visit
from services.board.readmodel import queries
from services.board.viewing import decides_waiver
from shared.web.errors import not_found


@dataclass(frozen=True, slots=True)
class Waiver:
    """A request for a waiver as intake shows it."""

    waiver_id: str
    state: str
    agency: str
    regime: str
    rule: str
    agencies: tuple[str, ...]
    reason: str
    since: date | None
    until: date | None
    asked_by: str
    asked_at: datetime | None
    decided_by: str
    decided_at: datetime | None
    decision_reason: str
    granted_since: date | None
    granted_until: date | None


class Waivers:
    """The pages, by the site's read model and by intake."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._intake = Owner(site)

    async def list(self, visit: Visit) -> Response:
        """Those that the person sees, the newest first, and the form that asks for one."""
        return await self._list(visit)

    async def ask(self, visit: Visit) -> Response:
        """Ask for a waiver, for the person's own agency."""
        given = await self._site.form(visit)
        if not self._asks(visit):
            raise not_found("biểu mẫu này", "such form")
        outcome = await self._act(visit, steps.WAIVER, "/v1/waivers", given)
        return outcome if isinstance(outcome, Response) else await self._list(visit, outcome)

    async def show(self, visit: Visit) -> Response:
        """One request, its decision or the form that decides it."""
        return await self._show(visit)

    async def decide(self, visit: Visit) -> Response:
        """Grant or refuse it."""
        given = await self._site.form(visit)
        outcome = await self._act(visit, steps.WAIVER_DECISION, f"{_path(visit)}/decision", given)
        return outcome if isinstance(outcome, Response) else await self._show(visit, outcome)

    async def _act(self, visit: Visit, form: Form, path: str, given: Mapping[str, str]) -> Response | Outcome:
        def said(document: Mapping[str, Any]) -> tuple[str, str]:
            return f"waiver_{string(document.get('state'))}", string(document.get("waiver_id"))

        return await self._intake.act(visit, form, path, given, said=said, back="/mien-ap-dung")

    async def _list(self, visit: Visit, outcome: Outcome | None = None) -> Response:
        state = visit.request.query_params.get("trang-thai", "open")
        state = state if state in words.WAIVER_STATES else "open"
        found, following, forms = list[Waiver](), "", list[Form]()
        if self._intake.acts and visit.view.agencies and outcome is None:
            listed, following = await self._intake.listed(visit, "/v1/waivers", {"state": state})
            found = [_waiver(one) for one in listed]
        if self._asks(visit):
            forms = [steps.filled(steps.WAIVER, visit.request.query_params)]
        return visit.show(
            "waivers.html.j2", outcome.status if outcome else 200, found=found, following=following, state=state,
            forms=self._intake.offered(forms, outcome), outcome=outcome, new_once=steps.new_once,
            acts=self._intake.acts, said=said_to(visit), first=not visit.request.query_params.get("after"),
            **await self._called(visit, found),
        )  # fmt: skip

    async def _show(self, visit: Visit, outcome: Outcome | None = None) -> Response:
        document = await self._intake.shown_after(visit, outcome, _path(visit), {})
        waiver = _waiver(document) if document is not None else None
        forms = [steps.WAIVER_DECISION] if waiver and self._decides(visit, waiver) else []
        return visit.show(
            "waiver.html.j2", outcome.status if outcome else 200, waiver=waiver, outcome=outcome,
            forms=self._intake.offered(forms, outcome), new_once=steps.new_once, acts=self._intake.acts,
            **await self._called(visit, [waiver] if waiver else []),
        )  # fmt: skip

    async def _called(self, visit: Visit, found: Sequence[Waiver]) -> dict[str, Any]:
        """What regimes and people of these requests are called."""
        async with self._site.reading(visit) as snapshot:
            regimes = await queries.regimes(snapshot, (one.regime for one in found), visit.today)
        ids = [person for one in found for person in (one.asked_by, one.decided_by) if person]
        return {"regimes": regimes, "people": await self._intake.names(visit, ids)}

    def _asks(self, visit: Visit) -> bool:
        """Whether the person sends every report of the own agency, and so asks for it."""
        assert visit.person is not None, "the page is not public"
        return visit.person.agency in visit.sends.whole

    def _decides(self, visit: Visit, waiver: Waiver) -> bool:
        """Whether the request waits and the person may decide it, which nobody does who asked; intake looks again."""
        assert visit.person is not None, "the page is not public"
        agencies = (waiver.agency, *waiver.agencies)
        above = {code: parent for agency in agencies for code, parent in visit.above(agency).items()}
        waits = waiver.state == "open" and waiver.asked_by != visit.person.person_id
        return waits and decides_waiver(visit.person, agencies, waiver.regime, above, visit.today)


def _path(visit: Visit) -> str:
    return f"/v1/waivers/{quote(visit.request.path_params['waiver'], safe='')}"


def _waiver(found: Mapping[str, Any]) -> Waiver:
    agencies = found.get("agencies")
    return Waiver(
        string(found.get("waiver_id")), string(found.get("state")), string(found.get("agency")),
        string(found.get("regime")), string(found.get("rule")),
        tuple(map(str, agencies)) if isinstance(agencies, list) else (), string(found.get("reason")),
        _day(found.get("since")), _day(found.get("until")), string(found.get("asked_by")),
        moment(found.get("asked_at")), string(found.get("decided_by")), moment(found.get("decided_at")),
        string(found.get("decision_reason")), _day(found.get("granted_since")), _day(found.get("granted_until")),
    )  # fmt: skip


def _day(text: Any) -> date | None:
    try:
        return date.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
