"""What pages read of intake and ask of it, in the name of who is signed in.

A form keeps what was typed where intake refuses it or does not answer, and its key, so that sending it again counts
once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from services.board import metrics
from services.board.acting import Done, Refused
from services.board.pages import steps
from services.board.pages.steps import Form, Said
from services.board.pages.web import Site, Visit
from services.board.readmodel import queries
from services.board.readmodel.queries import PAGE_ROWS
from shared.web.errors import Problem, not_found

INTAKE = "intake"
#: of a cursor that intake gave
_MAX_CURSOR_CHARACTERS = 2048


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a form that was not taken: why, and what was typed into it."""

    form: Form
    given: Mapping[str, str]
    status: int
    reasons: Sequence[str]


class Owner:
    """A service as a page sees it; intake, where none is named."""

    def __init__(self, site: Site, service: str = INTAKE) -> None:
        self._site = site
        self._service = service

    @property
    def acts(self) -> bool:
        """Whether the board may act for people at all."""
        return self._site.actor.can(self._service)

    async def shown(self, visit: Visit, path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        """What intake shows there. Raises 404 for what it does not show to the person, 503 where it is away."""
        answer = await self._get(visit, path, query)
        if isinstance(answer, Refused):
            raise not_found("nội dung này trong phạm vi của Ông/Bà", "such thing within your reach")
        return answer.document

    async def shown_after(
        self, visit: Visit, outcome: Outcome | None, path: str, query: Mapping[str, str]
    ) -> Mapping[str, Any] | None:
        """The same; None where intake is away and a form was sent before, which is shown again without it."""
        try:
            return await self.shown(visit, path, query)
        except Problem as problem:
            if outcome is None or problem.status != 503:
                raise
            return None

    async def beside(self, visit: Visit, path: str, query: Mapping[str, str]) -> Mapping[str, Any] | None:
        """What a page can do without."""
        try:
            answer = await self._get(visit, path, query)
        except Problem:
            return None
        return answer.document if isinstance(answer, Done) else None

    async def listed(
        self, visit: Visit, path: str, query: Mapping[str, str]
    ) -> tuple[Sequence[Mapping[str, Any]], str]:
        """A page of a list, and where the next one begins, for an address; empty where this is the last."""
        after = visit.request.query_params.get("after", "")
        if after and len(after) <= _MAX_CURSOR_CHARACTERS and after.isascii() and after.isprintable():
            query = {**query, "after": after}
        document = await self.shown(visit, path, {"limit": str(PAGE_ROWS), **query})
        return items(document.get("items")), quote(string(document.get("next")))

    async def act(
        self,
        visit: Visit,
        form: Form,
        path: str,
        given: Mapping[str, str],
        *,
        said: Callable[[Mapping[str, Any]], tuple[str, str]],
        back: str,
    ) -> Response | Outcome:
        """Send the form. Where it is done, the answer that leads on; else why not, for the page that shows it again.

        said: of what intake answered, the step that was taken and what it is about.
        """
        assert visit.person is not None, "the page is not public"
        assert visit.known is not None, "the page is not public"
        body, once = steps.body_of(form, given), steps.once_of(given)
        kept = {**given, steps.ONCE: once}
        try:
            answer = await self._site.actor.post(
                visit.person.person_id, self._service, path, body, language=visit.language,
                idempotency_key=steps.idempotency_key(once, path, body),
            )  # fmt: skip
        except Problem as problem:
            metrics.ACTIONS_TOTAL.labels(form.action, "refused").inc()
            reason = problem.detail_en if visit.language == "en" else problem.detail
            return Outcome(form, kept, problem.status, [reason])
        metrics.ACTIONS_TOTAL.labels(form.action, "done" if isinstance(answer, Done) else "refused").inc()
        if isinstance(answer, Refused):
            return Outcome(form, kept, answer.status, answer.reasons)
        step, about = said(answer.document)
        seal = quote(steps.sealed(Said(step, about, answer.repeated), visit.known.csrf), safe="~")
        return RedirectResponse(f"{back}?xong={seal}", 303, {"Cache-Control": "no-store"})

    async def names(self, visit: Visit, ids: Sequence[str]) -> Mapping[str, str]:
        """What people are called, by id; somebody the registry does not know by the id itself."""
        async with self._site.reading(visit) as snapshot:
            found = await queries.names(snapshot, ids)
        return {one: ", ".join(filter(None, found.get(one, (one, "")))) for one in ids}

    def offered(self, forms: Sequence[Form], outcome: Outcome | None) -> list[Form]:
        """The forms of a page, with the one that was not taken even where it is offered no more."""
        found = list(forms) if self.acts else []
        if outcome is not None and all(form.step != outcome.form.step for form in found):
            found.append(outcome.form)
        return found

    async def _get(self, visit: Visit, path: str, query: Mapping[str, str]) -> Done | Refused:
        assert visit.person is not None, "the page is not public"
        return await self._site.actor.get(
            visit.person.person_id, self._service, path, language=visit.language, query=query
        )


def said_to(visit: Visit) -> Said | None:
    """What this session was told of the step that it has just taken."""
    secret = visit.known.csrf if visit.known is not None else ""
    return steps.unsealed(visit.request.query_params.get("xong", ""), secret) if secret else None


def items(found: Any) -> list[Mapping[str, Any]]:
    """The objects of a list of intake's; none of what is none."""
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def string(found: Any) -> str:
    return "" if found is None else str(found)


def moment(text: Any) -> datetime | None:
    """A moment of intake's; None for what is none."""
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
