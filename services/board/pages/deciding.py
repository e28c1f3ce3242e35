"""The pages on which people certify, review, ask and decide: what waits comes from intake, and so does every answer.

A form goes to intake in the person's name. What was typed is shown again where intake refuses it or does not answer;
the form keeps its key, so that sending it again counts once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from starlette.responses import RedirectResponse, Response

from services.board import metrics
from services.board.acting import Done, Refused
from services.board.pages import report, steps, views, words
from services.board.pages.lists import called
from services.board.pages.steps import Form, Said
from services.board.pages.web import Site, Visit
from services.board.readmodel import queries
from services.board.readmodel.queries import PAGE_ROWS, Line
from services.board.viewing import may_here, roles_over
from shared.contract.events import ObligationChanged, obligation_key
from shared.contract.period import PeriodError, parse, preceding
from shared.web.errors import Problem, not_found

INTAKE = "intake"
#: of a cursor that intake gave
_MAX_CURSOR_CHARACTERS = 2048


@dataclass(frozen=True, slots=True)
class Waiting:
    """One thing that waits, as intake lists it."""

    kind: str
    name: words.Pair
    agency: str
    regime: str
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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a form that was not taken: where it goes on, and what was typed into it."""

    form: Form
    given: Mapping[str, str]
    status: int
    reasons: Sequence[str]


@dataclass(slots=True)
class Shown:
    """What a page shows: what intake says (None where it did not answer), and the forms that it offers."""

    document: Mapping[str, Any] | None
    forms: list[Form] = field(default_factory=list)
    more: Mapping[str, Any] = field(default_factory=dict)


class Deciding:
    """The pages, by the site's read model and actor."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def waiting(self, visit: Visit) -> Response:
        """What waits for whoever is signed in to be certified, reviewed or decided: the oldest first."""
        kind, after = visit.request.query_params.get("loai", ""), visit.request.query_params.get("after", "")
        kind = kind if kind in words.WAITING else ""
        acts, found, following = self._site.actor.can(INTAKE), [], ""
        if acts and visit.view.agencies:
            query = {"limit": str(PAGE_ROWS), **({"kind": kind} if kind else {})}
            if after and len(after) <= _MAX_CURSOR_CHARACTERS and after.isascii() and after.isprintable():
                query["after"] = after
            answer = await self._get(visit, "/v1/reviews/open", query)
            if isinstance(answer, Refused):
                raise _not_shown(answer)
            found = [_waiting(one) for one in _items(answer.document.get("items"))]
            following = _string(answer.document.get("next"))
        async with self._site.reading(visit) as snapshot:
            names = await queries.names(snapshot, (one.asked_by for one in found))
            titles = await queries.requests(snapshot, sorted({one.period for one in found}))
        return visit.show(
            "waiting.html.j2", found=found, names=names, titles=titles, kind=kind, first=not after, acts=acts,
            following=quote(following), said=said_to(visit),
        )  # fmt: skip

    async def version(self, visit: Visit) -> Response:
        """One version of a report: what it says beside the period before, and what can be done with it."""
        return await self._version(visit, await self._about(visit), _uuid(visit, "submission"))

    async def act_on_version(self, visit: Visit) -> Response:
        """Certify, review, explain, appeal against or withdraw the version."""
        given = await self._site.form(visit)
        matter, submission = await self._about(visit), _uuid(visit, "submission")
        path, form = _offered(steps.OF_VERSION, given)
        outcome = await self._act(visit, matter, form, path.format(id=submission), given, back=_after(form, matter))
        if isinstance(outcome, Response):
            return outcome
        return await self._version(visit, matter, submission, outcome)

    async def asking(self, visit: Visit) -> Response:
        """What can be asked for about an obligation, whatever was sent for it."""
        return await self._asking(visit, await self._about(visit))

    async def ask(self, visit: Visit) -> Response:
        """Ask for an extension, appeal against the score, or unlock."""
        given = await self._site.form(visit)
        matter = await self._about(visit)
        path, form = _offered(steps.OF_OBLIGATION, given)
        state = matter.state
        to = path.format(**{name: quote(getattr(state, name), safe="") for name in ("agency", "regime", "period")})
        outcome = await self._act(visit, matter, form, to, given, back=f"/nghia-vu/{matter.key}")
        if isinstance(outcome, Response):
            return outcome
        return await self._asking(visit, matter, outcome)

    async def request(self, visit: Visit) -> Response:
        """One extension, explanation or appeal that was asked for, with its decision or the form that decides."""
        return await self._request(visit, await self._about(visit))

    async def decide(self, visit: Visit) -> Response:
        """Decide on what was asked for."""
        given = await self._site.form(visit)
        matter = await self._about(visit)
        _, path, form = _request_of(visit)
        to = path.format(id=_uuid(visit, "request"))
        outcome = await self._act(visit, matter, form, to, given, back="/duyet")
        if isinstance(outcome, Response):
            return outcome
        return await self._request(visit, matter, outcome)

    async def _about(self, visit: Visit) -> Matter:
        """The obligation of the address. Raises 404 for one that the person does not see."""
        given = visit.request.path_params
        agency, regime = given["agency"], given["regime"]
        async with self._site.reading(visit) as snapshot:
            state = None
            if visit.view.sees(agency, regime):
                state = await queries.state_of(snapshot, obligation_key(agency, regime, given["period"]))
            if state is None:
                raise not_found("nghĩa vụ báo cáo này", "such obligation")
            line = views.line_of(state)
            return Matter(state, line, await called(visit, [line]))

    async def _act(
        self, visit: Visit, matter: Matter, form: Form, path: str, given: Mapping[str, str], *, back: str
    ) -> Response | Outcome:
        """Send the form. Where it is done, the answer that leads on; else why not, for the page that shows it again."""
        assert visit.person is not None, "the page is not public"
        assert visit.known is not None, "the page is not public"
        body, once = steps.body_of(form, given), steps.once_of(given)
        kept = {**given, steps.ONCE: once}
        try:
            answer = await self._site.actor.post(
                visit.person.person_id, INTAKE, path, body, language=visit.language,
                idempotency_key=steps.idempotency_key(once, path, body),
            )  # fmt: skip
        except Problem as problem:
            metrics.ACTIONS_TOTAL.labels(form.action, "refused").inc()
            reason = problem.detail_en if visit.language == "en" else problem.detail
            return Outcome(form, kept, problem.status, [reason])
        metrics.ACTIONS_TOTAL.labels(form.action, "done" if isinstance(answer, Done) else "refused").inc()
        if isinstance(answer, Refused):
            return Outcome(form, kept, answer.status, answer.reasons)
        said = Said(_string(answer.document.get("kind")), matter.key, answer.repeated)
        seal = quote(steps.sealed(said, visit.known.csrf), safe="~")
        return RedirectResponse(f"{back}?xong={seal}", 303, {"Cache-Control": "no-store"})

    async def _version(
        self,
        visit: Visit,
        matter: Matter,
        submission: UUID,
        outcome: Outcome | None = None,
    ) -> Response:
        assert visit.person is not None, "the page is not public"
        shown = await self._read(visit, outcome, f"/v1/submissions/{submission}", {"agency": matter.state.agency})
        document = shown.document
        if document is not None:
            if document.get("obligation") != matter.key:
                raise not_found("bài nộp này", "such submission")
            form, before = await asyncio.gather(
                self._form_of(visit, matter, document), self._before(visit, matter.state)
            )
            lifecycle = document.get("lifecycle") or {}
            possible = [(_string(one.get("step")), one.get("who") or ()) for one in _items(lifecycle.get("possible"))]
            agency, regime = matter.state.agency, matter.state.regime
            sends = visit.sends.sees(agency, regime)
            roles = roles_over(visit.person, agency, regime, visit.above(agency), visit.today)
            shown.forms = steps.of_version(possible, _string(lifecycle.get("state")), roles, sends=sends)
            shown.more = {
                "content": report.content(document, form, before), "before": before, "lifecycle": lifecycle,
                "findings": _items(document.get("findings")), "received_at": _moment(document.get("received_at")),
                "previous": _preceding(matter.state.period) if before else None,
                "officer": await self._named(visit, document.get("officer")),
            }  # fmt: skip
        return self._show(visit, "version.html.j2", matter, shown, outcome)

    async def _asking(self, visit: Visit, matter: Matter, outcome: Outcome | None = None) -> Response:
        state = matter.state
        sends = visit.sends.sees(state.agency, state.regime)
        unlocks = self._may(visit, state, "review")
        if not sends and not unlocks:
            raise not_found("trang này", "such page")
        shown = await self._read(visit, outcome, *_detail(state))
        if shown.document is not None:
            asked = _asked(shown.document)
            waits = {one["kind"] for one in asked if one["answer"] is None and one["version"] is None}
            if sends:
                if state.owed and state.standing != "fulfilled" and "extension_requested" not in waits:
                    shown.forms.append(steps.EXTENSION)
                if state.lines and "appeal_made" not in waits:
                    shown.forms.append(steps.SCORE_APPEAL)
            if unlocks and state.locks_at is not None and visit.now > state.locks_at:
                shown.forms.append(steps.UNLOCK)
            sent = _items(shown.document.get("submissions"))
            names = await self._names(visit, [one["by"] for one in asked])
            shown.more = {"asked": asked, "sent": sent, "people": names, "sends": sends}
        return self._show(visit, "asking.html.j2", matter, shown, outcome)

    async def _request(self, visit: Visit, matter: Matter, outcome: Outcome | None = None) -> Response:
        asks, _, form = _request_of(visit)
        step_id = str(_uuid(visit, "request"))
        shown = await self._read(visit, outcome, *_detail(matter.state))
        if shown.document is not None:
            found = [one for one in _asked(shown.document) if (one["kind"], one["step_id"]) == (asks, step_id)]
            if not found:
                raise not_found("đề nghị này", "such request")
            (request,) = found
            if request["answer"] is None and self._may(visit, matter.state, "review"):
                shown.forms = [_filled(form, request)]
            ids = [request["by"], *([request["answer"]["by"]] if request["answer"] else [])]
            shown.more = {"asked": request, "people": await self._names(visit, ids)}
        return self._show(visit, "request.html.j2", matter, shown, outcome, asks=asks)

    def _show(
        self, visit: Visit, template: str, matter: Matter, shown: Shown, outcome: Outcome | None, **more: Any
    ) -> Response:
        """The page, with the form that was not taken as it was typed, wherever it stands now."""
        forms = shown.forms if self._site.actor.can(INTAKE) else []
        if outcome is not None and all(form.step != outcome.form.step for form in forms):
            # it is offered no more, or nobody knows: what was typed stays in sight
            forms = [*forms, outcome.form]
        return visit.show(
            template, outcome.status if outcome else 200, matter=matter, line=matter.line, state=matter.state,
            document=shown.document, forms=forms, outcome=outcome, new_once=steps.new_once,
            acts=self._site.actor.can(INTAKE), **matter.called, **shown.more, **more,
        )  # fmt: skip

    async def _read(self, visit: Visit, outcome: Outcome | None, path: str, query: Mapping[str, str]) -> Shown:
        """What intake shows. Where a form was sent before, the page is shown without it if need be."""
        try:
            answer = await self._get(visit, path, query)
        except Problem:
            if outcome is None:
                raise
            return Shown(None)
        if isinstance(answer, Refused):
            raise _not_shown(answer)
        return Shown(answer.document)

    async def _get(self, visit: Visit, path: str, query: Mapping[str, str]) -> Done | Refused:
        assert visit.person is not None, "the page is not public"
        return await self._site.actor.get(
            visit.person.person_id, INTAKE, path, language=visit.language, query=query
        )  # fmt: skip

    async def _beside(self, visit: Visit, path: str, query: Mapping[str, str]) -> Mapping[str, Any] | None:
        """What a page can do without."""
        try:
            answer = await self._get(visit, path, query)
        except Problem:
            return None
        return answer.document if isinstance(answer, Done) else None

    async def _form_of(self, visit: Visit, matter: Matter, sent: Mapping[str, Any]) -> Mapping[str, Any] | None:
        query = {"agency": matter.state.agency, "version": _string(sent.get("regime_version"))}
        regime = await self._beside(visit, f"/v1/regimes/{quote(matter.state.regime, safe='')}", query)
        found = (regime or {}).get("form")
        return found if isinstance(found, Mapping) else None

    async def _before(self, visit: Visit, state: ObligationChanged) -> Mapping[str, Any] | None:
        """The newest accepted report of the period before; None where there is none."""
        period = _preceding(state.period)
        if period is None:
            return None
        query = {"agency": state.agency, "regime": state.regime, "period": period, "status": "accepted", "limit": "1"}
        listed = _items((await self._beside(visit, "/v1/submissions", query) or {}).get("items"))
        if not listed:
            return None
        path = f"/v1/submissions/{quote(_string(listed[0].get('submission_id')), safe='')}"
        return await self._beside(visit, path, {"agency": state.agency})

    def _may(self, visit: Visit, state: ObligationChanged, scope: Any) -> bool:
        assert visit.person is not None, "the page is not public"
        return may_here(visit.person, scope, state.agency, state.regime, visit.above(state.agency), visit.today)

    async def _names(self, visit: Visit, ids: Sequence[str]) -> Mapping[str, str]:
        async with self._site.reading(visit) as snapshot:
            found = await queries.names(snapshot, ids)
        return {one: ", ".join(filter(None, found.get(one, (one, "")))) for one in ids}

    async def _named(self, visit: Visit, person: Any) -> str:
        return (await self._names(visit, [_string(person)]))[_string(person)]


def _waiting(found: Mapping[str, Any]) -> Waiting:
    name, regime_name = _string(found.get("name")), _string(found.get("regime_name"))
    kind, obligation = _string(found.get("kind")), _string(found.get("obligation"))
    return Waiting(
        kind, (name, _string(found.get("name_en")) or name), _string(found.get("agency")), _string(found.get("regime")),
        (regime_name, _string(found.get("regime_name_en")) or regime_name), _string(found.get("period")), obligation,
        steps.page_of(kind, obligation, _string(found.get("about"))), _moment(found.get("since")),
        _moment(found.get("due_at")), found.get("version"), _string(found.get("asked_by")),
        _string(found.get("reason")), _moment(found.get("until")),
    )  # fmt: skip


def _asked(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was asked for about the obligation, the newest first, each with the step that answers it."""
    taken = [_step(one) for one in _items(document.get("steps"))]
    answers = {one["answers"]: one for one in taken if one["answers"]}
    asked = {kind for kind, _, _ in steps.REQUESTS.values()}
    return [{**one, "answer": answers.get(one["step_id"])} for one in reversed(taken) if one["kind"] in asked]


def _step(found: Mapping[str, Any]) -> dict[str, Any]:
    texts = {
        name: _string(found.get(name)) for name in ("step_id", "kind", "by", "role", "reason", "answers", "effect")
    }
    moments = {name: _moment(found.get(name)) for name in ("at", "since", "until")}
    about = {"version": found.get("version"), "submission_id": _string(found.get("submission_id"))}
    return {**texts, **moments, **about}


def _filled(form: Form, request: Mapping[str, Any]) -> Form:
    """The form that decides this request: an extension as it was asked for, an appeal with what it can give."""
    if form is steps.EXTENSION_DECISION:
        return steps.with_value(form, "until", steps.as_typed(request["until"]))
    if form is steps.APPEAL_DECISION and request["version"] is None:
        return steps.with_options(form, ("relief", "dismiss"))
    return form


def _offered(known: Mapping[str, tuple[str, Form]], given: Mapping[str, str]) -> tuple[str, Form]:
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


def _after(form: Form, matter: Matter) -> str:
    """Where to go after a step: who signs or reviews goes on with what waits, who asked sees what became of it."""
    return "/duyet" if form in (steps.CERTIFICATION, steps.REVIEW) else f"/nghia-vu/{matter.key}"


def _detail(state: ObligationChanged) -> tuple[str, dict[str, str]]:
    """Where intake shows an obligation."""
    regime, period = quote(state.regime, safe=""), quote(state.period, safe="")
    return f"/v1/obligations/{regime}/{period}", {"agency": state.agency}


def said_to(visit: Visit) -> Said | None:
    """What this session was told of the step that it has just taken."""
    secret = visit.known.csrf if visit.known is not None else ""
    return steps.unsealed(visit.request.query_params.get("xong", ""), secret) if secret else None


def _not_shown(refused: Refused) -> Problem:
    """What intake does not show is not there; the page says no more than intake does."""
    return not_found("nội dung này trong phạm vi của Ông/Bà", "such thing within your reach")


def _preceding(period: str) -> str | None:
    try:
        return str(preceding(parse(period)))
    except PeriodError:
        return None


def _uuid(visit: Visit, name: str) -> UUID:
    try:
        return UUID(visit.request.path_params[name])
    except ValueError:
        raise not_found("trang này", "such page") from None


def _items(found: Any) -> list[Mapping[str, Any]]:
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _string(found: Any) -> str:
    return "" if found is None else str(found)


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
