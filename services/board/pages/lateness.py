"""The page on which lateness is explained: the facts as the system recorded them, then cause and remedy by the head.

Facts come from the read model. What was explained comes from intake, so that what was just said stands there; where
intake does not answer, from the read model, and nothing is offered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from services.board.pages import steps, views
from services.board.pages.deciding import Matter, detail_of, matter_of, offered
from services.board.pages.explanation import deadline_inputs
from services.board.pages.steps import Form
from services.board.pages.through_intake import Outcome, Owner, items, moment, said_to, string
from services.board.pages.views import Entry
from services.board.pages.web import Site, Visit
from services.board.pages.words import Pair
from services.board.readmodel import queries
from services.board.readmodel.queries import Evidence
from services.board.viewing import may_here, roles_over
from shared.web.errors import not_found

EXPLAINED, QUESTIONED = "lateness_explained", "lateness_questioned"
_STANDS: Mapping[str | None, Pair] = {
    None: ("chờ cấp trên xem", "not looked at yet"),
    "lateness_noted": ("đã ghi nhận", "noted"),
    QUESTIONED: ("cần bổ sung", "more is to be said"),
}


@dataclass(frozen=True, slots=True)
class Explained:
    """What the agency said, and what was said of it; `answer` None: nothing yet."""

    step_id: str
    at: datetime
    by: str  # id of the person
    role: str
    cause: str
    remedy: str
    until: datetime | None
    answer: Mapping[str, Any] | None
    stands: Pair


@dataclass(frozen=True, slots=True)
class Facts:
    """One kind of facts, in the order of their moments."""

    heading: Pair
    entries: Sequence[Entry]
    none: Pair  # what is said where there are none


class Lateness:
    """The page, by the site's read model and by intake."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._intake = Owner(site)

    async def show(self, visit: Visit) -> Response:
        """The facts, what was explained, and the form for whoever may say something now."""
        return await self._show(visit, await matter_of(self._site, visit))

    async def act(self, visit: Visit) -> Response:
        """Explain, note, or ask for more."""
        given = await self._site.form(visit)
        matter = await matter_of(self._site, visit)
        path, form = offered(steps.OF_LATENESS, given)
        state, page = matter.state, steps.page_of_lateness(matter.key)
        named = {name: quote(getattr(state, name), safe="") for name in ("agency", "regime", "period")}
        about = given.get("about", "")
        if form is steps.LATENESS_DECISION and not about:
            raise not_found("giải trình này", "such explanation")

        def said(document: Mapping[str, Any]) -> tuple[str, str]:
            return string(document.get("kind")), matter.key

        outcome = await self._intake.act(
            visit, form, path.format(id=quote(about, safe=""), **named), given, said=said, back=page
        )
        return outcome if isinstance(outcome, Response) else await self._show(visit, matter, outcome)

    async def _show(self, visit: Visit, matter: Matter, outcome: Outcome | None = None) -> Response:
        async with self._site.reading(visit) as snapshot:
            evidence = await queries.evidence(snapshot, matter.key)
        assert evidence is not None, "the board knows of it, and forgets nothing while it runs"
        document = await self._intake.beside(visit, *detail_of(matter.state)) if self._intake.acts else None
        kept = _steps(document) if document is not None else [dict(step) for step in evidence.steps]
        found = explanations(kept)
        late = matter.state.owed and views.is_late(matter.line, visit.now)
        forms = self._forms(visit, matter, found, late=late) if document is not None else []
        ids = [one.by for one in found] + [one.answer["by"] for one in found if one.answer is not None]
        return visit.show(
            "lateness.html.j2", outcome.status if outcome else 200, matter=matter, line=matter.line, state=matter.state,
            deadline=deadline_inputs(matter.state), facts=facts_of(evidence), older=evidence.older, found=found,
            late_now=late, forms=self._intake.offered(forms, outcome), outcome=outcome, new_once=steps.new_once,
            acts=self._intake.acts, away=self._intake.acts and document is None, said=said_to(visit),
            people=await self._intake.names(visit, ids), about=found[0].step_id if found else "", **matter.called,
        )  # fmt: skip

    def _forms(self, visit: Visit, matter: Matter, found: Sequence[Explained], *, late: bool) -> list[Form]:
        """What whoever asks may say now, as far as the board knows; intake decides."""
        assert visit.person is not None, "the page is not public"
        state, above = matter.state, visit.above(matter.state.agency)
        waits = bool(found) and found[0].answer is None
        roles = roles_over(visit.person, state.agency, state.regime, above, visit.today)
        if late and not waits and not roles.isdisjoint(("head", "deputy")):
            return [steps.LATENESS]
        reviews = may_here(visit.person, "review", state.agency, state.regime, above, visit.today)
        return [steps.LATENESS_DECISION] if waits and reviews else []


def explanations(taken: Sequence[Mapping[str, Any]]) -> list[Explained]:
    """What was explained, the newest first. taken: steps in their order; each answer stands behind what it answers."""
    found: list[Explained] = []
    for step in taken:
        if step["kind"] == EXPLAINED:
            found.append(
                Explained(
                    str(step["step_id"]), step["at"], step["by"], step["role"], step["reason"], step["remedy"],
                    step["until"], None, _STANDS[None],
                )
            )  # fmt: skip
        elif step["kind"].startswith("lateness_") and found:
            stands = _STANDS.get(step["kind"], (step["kind"], step["kind"]))
            found[-1] = replace(found[-1], answer=step, stands=stands)
    return found[::-1]


def facts_of(evidence: Evidence) -> list[Facts]:
    """What the system recorded of the obligation, by kinds. Pure."""
    others = [step for step in evidence.steps if not step["kind"].startswith("lateness_")]
    entries = views.timeline(replace(evidence, steps=others))

    def of(*kinds: str) -> list[Entry]:
        return [entry for entry in entries if entry.kind in kinds]

    return [
        Facts(
            ("Đã nhắc và báo cho ai", "Who was reminded and told"), of("notice"),
            ("Chưa gửi nhắc hay báo nào.", "No reminder or notice was sent."),
        ),
        Facts(
            ("Báo cáo đã nhận và kết quả kiểm tra", "Reports received, and their verdicts"), of("report", "verdict"),
            ("Chưa nhận báo cáo nào.", "No report was received."),
        ),
        Facts(
            ("Gia hạn, khiếu nại, trả lại và các bước khác", "Extensions, appeals, rework and other steps"), of("step"),
            ("Không có.", "None."),
        ),
        Facts(
            ("Chuyển cấp", "Escalation"), of("escalation", "answer"),
            ("Chưa báo lên cấp trên.", "Nobody above was told."),
        ),
    ]  # fmt: skip


def _steps(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The steps of an obligation as intake shows them."""
    found = []
    for one in items(document.get("steps")):
        texts = {name: string(one.get(name)) for name in ("step_id", "kind", "by", "role", "reason", "remedy")}
        at = moment(one.get("at"))
        if at is not None:
            found.append({**texts, "at": at, "until": moment(one.get("until"))})
    return found
