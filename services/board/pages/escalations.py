"""The pages of escalations: who was told of what, and the answers of those who were told.

An answer goes to notifier in the person's name, as it was typed: what an answer may be, notifier says. The page after
it shows what notifier says of the escalation then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from starlette.responses import Response

from services.board import metrics
from services.board.acting import Done, Refused
from services.board.pages import climbs
from services.board.pages.lists import after_of, called, following
from services.board.pages.through_intake import items, moment
from services.board.pages.web import Site, Visit
from services.board.readmodel import queries
from services.board.readmodel.queries import PAGE_ROWS
from services.board.viewing import answers, roles_on
from shared.web.errors import not_found


class Escalations:
    """The pages, by the site's read model and actor."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def list(self, visit: Visit) -> Response:
        """Overdue reports that somebody above the officer was told of: first those that whoever asks was told of."""
        assert visit.person is not None, "the page is not public"
        after, mine = after_of(visit.request.query_params.get("after", "")), []
        if after is None and roles_on(visit.person, visit.today):
            mine = await queries.escalated_to(visit.snapshot, visit.person.person_id)
        lines = await queries.escalated(visit.snapshot, visit.view, visit.person.person_id, after)
        shown = [*mine[: queries.MOST_OWN], *lines[:PAGE_ROWS]]
        notices = await queries.notices_of(visit.snapshot, [line.obligation for line in shown])
        courses = await queries.open_climbs(visit.snapshot, [line.obligation for line in shown])
        told = [notice["officer_id"] for notice in notices]
        names = await queries.names(visit.snapshot, [*told, *queries.people_of(courses.values())])
        found, own = climbs.climbs(shown, notices, names, courses, visit.now), min(len(mine), queries.MOST_OWN)
        return visit.show(
            "escalations.html.j2", mine=found[:own], more=len(mine) > own, others=found[own:],
            acts=self._site.actor.can("notifier"), following=following(lines), first=after is None,
            **await called(visit, shown),
        )  # fmt: skip

    async def show(self, visit: Visit) -> Response:
        """One escalation that whoever asks was told of, and how to answer it."""
        return await self._page(visit, _notice(visit))

    async def answer(self, visit: Visit) -> Response:
        """Note it with a promised day, put it off with a reason, or take that back."""
        given, notice = await self._site.form(visit), _notice(visit)
        body = {name: given[name] for name in ("kind", "until", "reason") if given.get(name)}
        return await self._do(visit, notice, "answers", body, given)

    async def hand_on(self, visit: Visit) -> Response:
        """Hand it on to somebody else, with the reason."""
        given, notice = await self._site.form(visit), _notice(visit)
        body = {"to": given.get("other", "").strip() or given.get("to", ""), "reason": given.get("reason", "")}
        return await self._do(visit, notice, "handing-on", body, given)

    async def _do(
        self, visit: Visit, notice: UUID, what: str, body: Mapping[str, Any], given: Mapping[str, str]
    ) -> Response:
        assert visit.person is not None, "the page is not public"
        path = f"/v1/escalations/{notice}/{what}"
        answer = await self._site.actor.post(visit.person.person_id, "notifier", path, body, language=visit.language)
        metrics.ACTIONS_TOTAL.labels(what, "done" if isinstance(answer, Done) else "refused").inc()
        return await self._page(visit, notice, what, answer, given)

    async def _page(
        self,
        visit: Visit,
        notice: UUID,
        what: str = "",
        answer: Done | Refused | None = None,
        given: Mapping[str, str] | None = None,
    ) -> Response:
        """The page of a notice, after an answer with what came of it; a refused form keeps what was typed."""
        assert visit.person is not None, "the page is not public"
        async with self._site.reading(visit) as snapshot:
            found = await queries.told(snapshot, notice, visit.person.person_id)
            if found is None:
                raise not_found("thông báo chuyển cấp này", "such escalation notice")
            line, step, at = found
            colleagues = await queries.colleagues(snapshot, visit.person.agency, visit.person.person_id)
            named = await called(visit, [line])
            row = (await queries.open_climbs(snapshot, [line.obligation])).get(line.obligation)
            names = await queries.names(snapshot, queries.people_of([row] if row is not None else []))
        refused = answer if isinstance(answer, Refused) else None
        return visit.show(
            "escalation.html.j2", refused.status if refused else 200, line=line, notice=notice,
            rung=climbs.rung_of(step), told_at=at, colleagues=colleagues, acts=self._site.actor.can("notifier"),
            answers_it=answers(visit.person, visit.today),
            course=climbs.course_of(row, names, visit.now), refused=refused, what=what,
            given=given if refused and given else {},
            outcome=_outcome(answer.document) if isinstance(answer, Done) else None, **named,
        )  # fmt: skip


def _notice(visit: Visit) -> UUID:
    """The notice of the address. Raises 404 for what is no id."""
    try:
        return UUID(visit.request.path_params["notice"])
    except ValueError:
        raise not_found("thông báo chuyển cấp này", "such escalation notice") from None


def _outcome(document: Mapping[str, Any]) -> dict[str, Any]:
    """What notifier says of the escalation after an answer; what it says otherwise than agreed is left out."""
    return {
        "held_until": moment(document.get("held_until")),
        "next_at": moment(document.get("next_at")),
        "answers": [
            {"kind": one.get("kind"), "at": moment(one.get("at")), "until": moment(one.get("until")),
             "by": one.get("by"), "reason": one.get("reason") or ""}
            for one in items(document.get("answers"))
        ],
        "handed_on": [
            {"to": one.get("to"), "at": moment(one.get("at")), "by": one.get("by"), "reason": one.get("reason") or ""}
            for one in items(document.get("handed_on"))
        ],
    }  # fmt: skip
