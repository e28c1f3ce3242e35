"""The pages on which people certify, review, ask and decide: what waits comes from intake, and so does every answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec
from starlette.responses import Response

from services.board.pages import steps, views, words
from services.board.pages.lists import called
from services.board.pages.report import Content, content_of
from services.board.pages.steps import Form
from services.board.pages.through_intake import Outcome, Owner, items, moment, said_to, string
from services.board.pages.web import Site, Visit
from services.board.readmodel import queries
from services.board.readmodel.queries import Line
from services.board.viewing import roles_over
from shared.access import Role
from shared.contract.events import ObligationChanged, obligation_key
from shared.web.errors import not_found


@dataclass(frozen=True, slots=True)
class Waiting:
    """One thing that waits, as intake lists it."""

    kind: str
    name: words.Pair
    agency: str
    regime_name: words.Pair
    period: str
    obligation: str
    href: str
    since: datetime | None
    due_at: datetime | None
    version: int | None
    asked_by: str
    reason: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Matter:
    """The obligation that a page is about, with what the read model knows of it."""

    state: ObligationChanged
    line: Line
    called: Mapping[str, Any]  # what regime and request are called

    @property
    def key(self) -> str:
        return self.state.obligation


async def matter_of(site: Site, visit: Visit) -> Matter:
    """The obligation of the address. Raises 404 for one that the person does not see."""
    given = visit.request.path_params
    agency, regime = given["agency"], given["regime"]
    async with site.reading(visit) as snapshot:
        state = None
        if visit.view.sees(agency, regime):
            state = await queries.state_of(snapshot, obligation_key(agency, regime, given["period"]))
        if state is None:
            raise not_found("nghĩa vụ báo cáo này", "such obligation")
        line = views.line_of(state)
        return Matter(state, line, await called(visit, [line]))


class Deciding:
    """The pages, by the site's read model and by intake."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._intake = Owner(site)

    async def waiting(self, visit: Visit) -> Response:
        """What waits for whoever is signed in to be certified, reviewed or decided: the oldest first."""
        kind = visit.request.query_params.get("loai", "")
        kind = kind if kind in words.WAITING else ""
        found, following = list[Waiting](), ""
        if self._intake.acts and visit.view.agencies:
            query = {"kind": kind} if kind else {}
            listed, following = await self._intake.listed(visit, "/v1/reviews/open", query)
            found = [_waiting(one) for one in listed]
        async with self._site.reading(visit) as snapshot:
            names = await queries.names(snapshot, (one.asked_by for one in found))
            titles = await queries.requests(snapshot, sorted({one.period for one in found}))
        return visit.show(
            "waiting.html.j2", found=found, names=names, titles=titles, kind=kind, acts=self._intake.acts,
            first=not visit.request.query_params.get("after"), following=following, said=said_to(visit),
        )  # fmt: skip

    async def version(self, visit: Visit) -> Response:
        """One version of a report: what it says beside the period before, and what can be done with it."""
        return await self._version(visit, await matter_of(self._site, visit), _uuid(visit, "submission"))

    async def act_on_version(self, visit: Visit) -> Response:
        """Certify, review, explain, appeal against or withdraw the version."""
        given = await self._site.form(visit)
        matter, submission = await matter_of(self._site, visit), _uuid(visit, "submission")
        path, form = offered(steps.OF_VERSION, given)
        # who signs or reviews goes on with what waits, who asked sees what became of it
        back = "/duyet" if form in (steps.CERTIFICATION, steps.REVIEW) else f"/nghia-vu/{matter.key}"
        outcome = await self._act(visit, matter, form, path.format(id=submission), given, back)
        if isinstance(outcome, Response):
            return outcome
        return await self._version(visit, matter, submission, outcome)

    async def asking(self, visit: Visit) -> Response:
        """What can be asked for about an obligation, whatever was sent for it."""
        return await self._asking(visit, await matter_of(self._site, visit))

    async def ask(self, visit: Visit) -> Response:
        """Ask for an extension, appeal against the score, or unlock."""
        given = await self._site.form(visit)
        matter = await matter_of(self._site, visit)
        path, form = offered(steps.OF_OBLIGATION, given)
        state = matter.state
        to = path.format(**{name: quote(getattr(state, name), safe="") for name in ("agency", "regime", "period")})
        outcome = await self._act(visit, matter, form, to, given, f"/nghia-vu/{matter.key}")
        if isinstance(outcome, Response):
            return outcome
        return await self._asking(visit, matter, outcome)

    async def request(self, visit: Visit) -> Response:
        """One extension, explanation or appeal that was asked for, with its decision or the form that decides."""
        return await self._request(visit, await matter_of(self._site, visit))

    async def decide(self, visit: Visit) -> Response:
        """Decide on what was asked for."""
        given = await self._site.form(visit)
        matter = await matter_of(self._site, visit)
        _, path, form = _request_of(visit)
        outcome = await self._act(visit, matter, form, path.format(id=_uuid(visit, "request")), given, "/duyet")
        if isinstance(outcome, Response):
            return outcome
        return await self._request(visit, matter, outcome)

    async def _act(
        self, visit: Visit, matter: Matter, form: Form, path: str, given: Mapping[str, str], back: str
    ) -> Response | Outcome:
        def said(document: Mapping[str, Any]) -> tuple[str, str]:
            return string(document.get("kind")), matter.key

        return await self._intake.act(visit, form, path, given, said=said, back=back)

    async def _version(
        self, visit: Visit, matter: Matter, submission: UUID, outcome: Outcome | None = None
    ) -> Response:
        state = matter.state
        path = f"/v1/submissions/{submission}"
        document = await self._intake.shown_after(visit, outcome, path, {"agency": state.agency})
        if document is None:
            return self._show(visit, "version.html.j2", matter, None, [], outcome)
        if document.get("obligation") != matter.key:
            raise not_found("bài nộp này", "such submission")
        lifecycle, officer = document.get("lifecycle") or {}, string(document.get("officer"))
        sends = visit.sends.sees(state.agency, state.regime)
        mine = steps.mine(items(lifecycle.get("possible")), _roles(visit, state))
        forms = steps.of_version(mine, string(lifecycle.get("state")))
        async with self._site.reading(visit) as snapshot:
            taken = await queries.steps_about(snapshot, matter.key, _number(document.get("version")))
        content, previous = await self._content(visit, state, document)
        return self._show(
            visit, "version.html.j2", matter, document, forms, outcome, content=content, previous=previous, sends=sends,
            lifecycle=lifecycle, findings=items(document.get("findings")), officer=officer, taken=taken,
            received_at=moment(document.get("received_at")),
            people=await self._intake.names(visit, [officer, *(one["by"] for one in taken)]),
        )  # fmt: skip

    async def _content(
        self, visit: Visit, state: ObligationChanged, document: Mapping[str, Any]
    ) -> tuple[Content, str | None]:
        """What the report says, laid out by its form where the board has it; and the period set beside it, if any."""
        async with self._site.reading(visit) as snapshot:
            form = await queries.form_of(snapshot, state.regime, _number(document.get("regime_version")))
            earlier = await queries.accepted_before(snapshot, state)
        known = msgspec.json.decode(form) if form is not None else None
        if earlier is not None:
            path = f"/v1/submissions/{earlier['submission_id']}"
            before = await self._intake.beside(visit, path, {"agency": state.agency})
            if before is not None:
                return content_of(document, known, before), earlier["period"]
        return content_of(document, known), None

    async def _asking(self, visit: Visit, matter: Matter, outcome: Outcome | None = None) -> Response:
        state, sends = matter.state, visit.sends.sees(matter.state.agency, matter.state.regime)
        roles = _roles(visit, state)
        if not roles:
            raise not_found("trang này", "such page")
        document = await self._intake.shown_after(visit, outcome, *detail_of(state))
        if document is None:
            return self._show(visit, "asking.html.j2", matter, None, [], outcome)
        asked, forms, mine = _asked(document), [], steps.mine(items(document.get("possible")), roles)
        if "extension_requested" in mine and state.owed and state.standing != "fulfilled":
            forms.append(steps.EXTENSION)
        if "appeal_made" in mine and state.lines:
            forms.append(steps.SCORE_APPEAL)
        if "unlocked" in mine and state.locks_at is not None and visit.now > state.locks_at:
            forms.append(steps.UNLOCK)
        people = await self._intake.names(visit, [one["by"] for one in asked])
        return self._show(
            visit, "asking.html.j2", matter, document, forms, outcome, asked=asked, people=people, sends=sends,
            sent=items(document.get("submissions")),
        )  # fmt: skip

    async def _request(self, visit: Visit, matter: Matter, outcome: Outcome | None = None) -> Response:
        asks, _, form = _request_of(visit)
        step_id = str(_uuid(visit, "request"))
        document = await self._intake.shown_after(visit, outcome, *detail_of(matter.state))
        if document is None:
            return self._show(visit, "request.html.j2", matter, None, [], outcome, asks=asks)
        found = [one for one in _asked(document) if (one["kind"], one["step_id"]) == (asks, step_id)]
        if not found:
            raise not_found("đề nghị này", "such request")
        (asked,) = found
        forms = steps.of_request(form, steps.mine(asked["decisions"], _roles(visit, matter.state)), asked["until"])
        ids = [asked["by"], *([asked["answer"]["by"]] if asked["answer"] else [])]
        return self._show(
            visit, "request.html.j2", matter, document, forms, outcome, asks=asks, asked=asked,
             people=await self._intake.names(visit, ids),
        )  # fmt: skip

    def _show(
        self,
        visit: Visit,
        template: str,
        matter: Matter,
        document: Mapping[str, Any] | None,
        forms: Sequence[Form],
        outcome: Outcome | None,
        **more: Any,
    ) -> Response:
        """The page; without what intake says where it did not answer."""
        return visit.show(
            template, outcome.status if outcome else 200, matter=matter, line=matter.line, state=matter.state,
            document=document, forms=self._intake.offered(forms, outcome), outcome=outcome, new_once=steps.new_once,
            acts=self._intake.acts, **matter.called, **more,
        )  # fmt: skip


def _roles(visit: Visit, state: ObligationChanged) -> frozenset[Role | str]:
    """In which roles the person sends or reviews what this agency owes."""
    assert visit.person is not None, "the page is not public"
    return roles_over(visit.person, state.agency, state.regime, visit.above(state.agency), visit.today)


def _waiting(found: Mapping[str, Any]) -> Waiting:
    name, regime_name = string(found.get("name")), string(found.get("regime_name"))
    kind, obligation = string(found.get("kind")), string(found.get("obligation"))
    return Waiting(
        kind, (name, string(found.get("name_en")) or name), string(found.get("agency")),
        (regime_name, string(found.get("regime_name_en")) or regime_name), string(found.get("period")), obligation,
        steps.page_of(kind, obligation, string(found.get("about"))), moment(found.get("since")),
        moment(found.get("due_at")), found.get("version"), string(found.get("asked_by")),
        string(found.get("reason")), moment(found.get("until")),
    )  # fmt: skip


def _asked(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was asked for about the obligation, the newest first, each with the step that answers it."""
    taken = [_step(one) for one in items(document.get("steps"))]
    answers = {one["answers"]: one for one in taken if one["answers"]}
    asked = {kind for kind, _, _ in steps.REQUESTS.values()}
    return [{**one, "answer": answers.get(one["step_id"])} for one in reversed(taken) if one["kind"] in asked]


def _step(found: Mapping[str, Any]) -> dict[str, Any]:
    texts = {name: string(found.get(name)) for name in ("step_id", "kind", "by", "role", "reason", "answers", "effect")}
    moments = {name: moment(found.get(name)) for name in ("at", "since", "until")}
    about = {"version": found.get("version"), "submission_id": string(found.get("submission_id"))}
    return {**texts, **moments, **about, "decisions": items(found.get("decisions"))}


def offered(known: Mapping[str, tuple[str, Form]], given: Mapping[str, str]) -> tuple[str, Form]:
    """Where the sent form goes. Raises 404 for one that no page has."""
    found = known.get(given.get(steps.STEP, ""))
    if found is None:
        raise not_found("biểu mẫu này", "such form")
    return found


def _request_of(visit: Visit) -> tuple[str, str, Form]:
    found = steps.REQUESTS.get(visit.request.path_params["what"])
    if found is None:
        raise not_found("đề nghị này", "such request")
    return found


def detail_of(state: ObligationChanged) -> tuple[str, dict[str, str]]:
    """Where intake shows an obligation."""
    regime, period = quote(state.regime, safe=""), quote(state.period, safe="")
    return f"/v1/obligations/{regime}/{period}", {"agency": state.agency}


def _number(found: Any) -> int:
    """A version's number; 0, which none has, for what is none."""
    return found if isinstance(found, int) and 0 < found < 2**31 else 0


def _uuid(visit: Visit, name: str) -> UUID:
    try:
        return UUID(visit.request.path_params[name])
    except ValueError:
        raise not_found("trang này", "such page") from None
