"""The pages on which an officer fills in a report, has it checked, sends it, and holds its receipt.

What is typed is kept as a draft before anything else is done with it, and shown again whatever comes of it. Intake
takes or refuses the report, validator judges it: nothing of their rules is written here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from starlette.responses import RedirectResponse, Response

from services.board import metrics
from services.board.acting import Done, Refused
from services.board.entry import domain, store, views
from services.board.entry.domain import Content
from services.board.entry.store import Draft, Task
from services.board.entry.views import Note, Source
from services.board.pages.through_intake import Owner, items, moment
from services.board.pages.web import MAX_ENTRY_BYTES, Site, Visit
from services.board.pages.words import Pair
from services.board.readmodel import queries
from shared.contract.events import obligation_key
from shared.contract.events.registry import Form
from shared.reports.limits import MAX_BODY_BYTES
from shared.web.errors import Problem, not_found

CLASSIFIED = Note(
    "error",
    ("Nội dung có độ mật nên không được lưu và không được gửi.", "It is headed as classified: neither kept nor sent."),
    (
        "Bỏ nội dung mật; gửi bằng đường dành cho tài liệu mật (NĐ 09/2019/NĐ-CP không áp dụng).",
        "Take it out; what is classified goes by the way for such documents.",
    ),
)
TOO_LARGE = Note(
    "error",
    (
        f"Báo cáo dài hơn {MAX_BODY_BYTES // 1024} KiB nên chưa lưu được.",
        f"The report is larger than {MAX_BODY_BYTES // 1024} KiB, so it is not saved.",
    ),
    ("Rút gọn thuyết minh hoặc bảng.", "Shorten its texts or tables."),
)
NO_REASON = Note("error", ("Dịch vụ từ chối, không nêu lý do.", "The service refused and gave no reason."))
ELSEWHERE = Note(
    "error",
    (
        "Dịch vụ nhận cho một nghĩa vụ khác: dừng lại và báo người vận hành.",
        "The service took it for another obligation: stop, and tell the operators.",
    ),
)


@dataclass(slots=True)
class Shown:
    """What the form shows this time."""

    content: Content
    draft: Draft | None
    seen: int  # version of the draft that whoever types has seen; 0: none
    after: int  # the newest version when the form was first shown: part of the Idempotency-Key
    status: int = 200
    found: Sequence[tuple[str, Note]] = ()
    outcome: str = ""  # which of the template's sentences stands first
    said: Pair = ("", "")  # what a service says beside it
    more: Mapping[str, int] = field(default_factory=dict)  # table -> presses of "more rows"
    sources: Sequence[Source] = ()


class Entry:
    """The pages, by the site's read model and actor."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._intake = Owner(site)

    async def show(self, visit: Visit) -> Response:
        """The form: with the draft, else with what was sent last."""
        task, names = await self._task(visit)
        sent, earlier = await self._beside(visit, task)
        sources = _sources(task, sent, earlier)
        draft = task.draft if visit.request.query_params.get("from") != "sent" or sent is None else None
        content = draft.content if draft is not None else sent if sent is not None else self._empty(visit, task)
        judged = _is_judged(task, draft, content, sent)
        missing = task.newest is not None and sent is None
        shown = Shown(
            content, task.draft, _seen(task), _version(task), found=views.of_findings(task.findings) if judged else (),
            outcome="returned" if judged else "sent_unknown" if missing and task.draft is None else "", sources=sources,
        )  # fmt: skip
        return await self._page(visit, task, names, shown)

    async def act(self, visit: Visit) -> Response:
        """Keep what was typed, and check or send it, as the pressed button says."""
        fields = await self._site.sent(visit, MAX_ENTRY_BYTES)
        if visit.person is None:
            return visit.show("entry_kept.html.j2", 403, kept={**fields, "csrf": ""}, typed=())
        task, names = await self._task(visit)
        if task.form is None:
            return await self._page(visit, task, names, Shown(Content(), task.draft, _seen(task), _version(task)))
        content, pressed = domain.typed(fields, task.form), fields.get("do", "save")
        seen, after = _number(fields.get("draft"), 0), _number(fields.get("after"), _version(task))
        shown = Shown(content, task.draft, seen, after)
        if not self._site.of_this_session(visit, fields):
            shown.outcome = "other_session"  # it was typed before the last sign-in: nothing is done unasked
            shown.status = 403
        elif pressed.startswith("rows/"):
            shown.more = {pressed.removeprefix("rows/"): 1}
            shown.outcome = "rows"
        else:
            await self._keep(visit, task, shown)
            if shown.draft is not None and not shown.outcome:
                if pressed == "send":
                    answer = await self._send(visit, task, shown)
                    if answer is not None:
                        return answer
                elif pressed == "check":
                    await self._check(visit, task, shown)
                else:
                    return RedirectResponse(f"{visit.request.url.path}?saved={shown.draft.version}", 303)
        if shown.draft is not None and shown.draft.saved_by not in names:
            async with self._site.reading(visit) as snapshot:
                names = await queries.names(snapshot, [shown.draft.saved_by])
        sent, earlier = await self._beside(visit, task)
        shown.sources = [*shown.sources, *_sources(task, sent, earlier)]
        return await self._page(visit, task, names, shown)

    async def sums(self, visit: Visit) -> Response:
        """The sums of the form by the figures that are typed, to be put into the page. Nothing is kept."""
        figures = await self._site.form(visit)
        task, _ = await self._task(visit)
        form = task.form or Form()
        typed = domain.typed(figures, form)
        return visit.show("sums.html.j2", sums=domain.sums(form, typed.figures))

    async def receipt(self, visit: Visit) -> Response:
        """The receipt of a version, and what became of it: by the read model, before that has heard of it by intake."""
        (task, _), submission_id = await self._task(visit), _submission(visit)
        async with self._site.reading(visit) as snapshot:
            version = await store.version(snapshot, submission_id)
        receipt: Mapping[Any, Any] | None = version
        found = views.of_findings(store.findings_of(version))
        if version is None:
            said = await self._said(visit, task.state.agency, submission_id)
            receipt = None if said is None else _as_receipt(said)
            found = [] if said is None else views.of_findings(items(said.get("findings")))
        if receipt is not None and receipt["obligation"] != task.state.obligation:
            raise not_found("biên nhận này", "such receipt")
        async with self._site.reading(visit) as snapshot:
            names = await queries.names(snapshot, [receipt["officer_id"] if receipt is not None else None])
        return visit.show(
            "receipt.html.j2", task=task, state=task.state, receipt=receipt, submission_id=submission_id,
            found=sorted(found, key=_by_weight), form=task.form or Form(), views=views, names=names,
        )  # fmt: skip

    async def _said(self, visit: Visit, agency: str, submission_id: UUID) -> Mapping[str, Any] | None:
        """A version as intake shows it; None where intake is away. Raises 404 for what is none of the agency's."""
        try:
            return await self._intake.shown(visit, f"/v1/submissions/{submission_id}", {"agency": agency})
        except Problem as problem:
            if problem.status != 503:
                raise
            return None

    async def _task(self, visit: Visit) -> tuple[Task, Mapping[str, tuple[str, str]]]:
        """The report that the address names, and the names of people in it. Raises 404 for whoever does not send it."""
        given = visit.request.path_params
        if visit.sends.sees(given["agency"], given["regime"]):
            async with self._site.reading(visit) as snapshot:
                key = obligation_key(given["agency"], given["regime"], given["period"])
                state = await queries.state_of(snapshot, key)
                if state is not None:
                    task = await store.task(snapshot, state)
                    return task, await queries.names(snapshot, [task.draft.saved_by] if task.draft else [])
        raise not_found("báo cáo này trong phạm vi được gửi", "such report among those you send")

    def _sends(self, visit: Visit, task: Task) -> bool:
        """Whether intake can be asked: it takes from a person the reports of the agency where the person works."""
        assert visit.person is not None, "the page is not public"
        return self._intake.acts and visit.person.agency == task.state.agency

    def _empty(self, visit: Visit, task: Task) -> Content:
        """Nothing typed yet; who is signed in answers for it, where that may be."""
        assert visit.person is not None, "the page is not public"
        may = [one["officer_id"] for one in task.answering]
        me = visit.person.person_id
        return Content(officer=me if me in may else task.state.officer_id or (may[0] if may else ""))

    async def _keep(self, visit: Visit, task: Task, shown: Shown) -> None:
        """Save the draft, unless it may not be kept, or somebody has saved another one since."""
        assert visit.person is not None, "the page is not public"
        if classified := shown.content.classified:
            shown.found, shown.status = [(pointer, CLASSIFIED) for pointer in classified], 422
            shown.outcome = "classified"
            return
        if domain.too_large(shown.content):
            shown.found, shown.status, shown.outcome = [("", TOO_LARGE)], 413, "too_large"
            return
        async with self._site.database.transaction() as tx:
            kept = await store.save(
                tx, task.state.obligation, shown.content, seen=shown.seen, saved_by=visit.person.person_id,
                saved_at=visit.now,
            )  # fmt: skip
            theirs = await store.draft(tx, task.state.obligation) if kept is None else None
        if theirs is not None:
            # pressed again, the other draft has been seen and is replaced
            shown.draft, shown.seen, shown.outcome, shown.status = theirs, theirs.version, "conflict", 409
            shown.sources = [Source(("Bản vừa lưu của người khác", "As saved by somebody else"), theirs.content)]
        elif kept is not None:
            shown.draft, shown.seen = kept, kept.version

    async def _check(self, visit: Visit, task: Task, shown: Shown) -> None:
        """Ask intake whether it would take the report and validator what it would say of it. Nothing is sent."""
        assert visit.person is not None, "the page is not public"
        body = domain.report(shown.content, task.state.regime, task.state.period)
        who, language = visit.person.person_id, visit.language
        judged_by = f"/v1/validations?regime_version={task.state.regime_version}"
        if not self._sends(visit, task):
            shown.outcome = "cannot"
            return
        taken, judged = await asyncio.gather(
            self._asked(who, "intake", "/v1/submissions?dry_run=true", body, language),
            self._asked(who, "validator", judged_by, body, language),
        )
        shown.found = [*_refusal(taken), *_refusal(judged)]
        if isinstance(taken, Done) and taken.document.get("obligation") != task.state.obligation:
            shown.found = [*shown.found, ("", ELSEWHERE)]
        if isinstance(judged, Done):
            shown.found = [*shown.found, *views.of_findings(items(judged.document.get("findings")))]
        if isinstance(taken, Problem) or isinstance(judged, Problem):
            shown.outcome = "checked_in_part"
        elif any(note.weight == "error" for _, note in shown.found):
            shown.outcome = "faulty"
        else:
            shown.outcome = "to_explain" if any(one.weight == "confirm" for _, one in shown.found) else "faultless"

    async def _asked(
        self, who: str, service: str, path: str, body: Mapping[str, Any], language: str
    ) -> Done | Refused | Problem:
        try:
            return await self._site.actor.post(who, service, path, body, language=language)
        except Problem as problem:
            return problem

    async def _send(self, visit: Visit, task: Task, shown: Shown) -> Response | None:
        """Send the report; to its receipt. None where it was not taken, or that is not known, and the form says so."""
        assert visit.person is not None, "the page is not public"
        if not self._sends(visit, task):
            shown.outcome = "cannot"
            return None
        body = domain.report(shown.content, task.state.regime, task.state.period)
        try:
            answer = await self._site.actor.post(
                visit.person.person_id, "intake", "/v1/submissions", body, language=visit.language,
                idempotency_key=domain.idempotency_key(task.state.obligation, shown.after, body),
            )  # fmt: skip
        except Problem as problem:
            shown.outcome, shown.status, shown.said = "no_answer", problem.status, (problem.detail, problem.detail_en)
            return None
        metrics.ACTIONS_TOTAL.labels("submission", "done" if isinstance(answer, Done) else "refused").inc()
        if isinstance(answer, Refused):
            shown.found, shown.outcome, shown.status = _refusal(answer), "refused", answer.status
            return None
        if answer.document.get("obligation") != task.state.obligation:
            shown.found, shown.outcome, shown.status = [("", ELSEWHERE)], "refused", 500
            return None
        return RedirectResponse(f"{visit.request.url.path}/bien-nhan/{answer.document['submission_id']}", 303)

    async def _beside(self, visit: Visit, task: Task) -> tuple[Content | None, Content | None]:
        """What was sent last of this report, and what was accepted of the period before; None where that is not known.

        Intake is asked, shortly: the form works without.
        """
        wanted = [None if one is None else one["submission_id"] for one in (task.newest, task.before)]
        sent, earlier = await asyncio.gather(*(self._content(visit, task.state.agency, one) for one in wanted))
        return sent, earlier

    async def _content(self, visit: Visit, agency: str, submission_id: UUID | None) -> Content | None:
        if submission_id is None or not self._intake.acts:
            return None
        said = await self._intake.beside(visit, f"/v1/submissions/{submission_id}", {"agency": agency})
        return None if said is None else domain.sent(said)

    async def _page(self, visit: Visit, task: Task, names: Mapping[str, tuple[str, str]], shown: Shown) -> Response:
        form = task.form or Form()
        notes = views.notes(shown.found, form, shown.content)
        saved_by = shown.draft.saved_by if shown.draft is not None else ""
        values: dict[str, Any] = {
            "task": task, "state": task.state, "form": form, "shown": shown, "content": shown.content, "notes": notes,
            "saved_by": names.get(saved_by, (saved_by, ""))[0], "sends": self._sends(visit, task),
            "standing": views.standing(task.state, task.unlocked_until, visit.now),
            "answers": _answers(task), "views": views, "domain": domain,
            "sums": domain.sums(form, shown.content.figures),
            "dropped": domain.no_more_asked(form, shown.content) if task.form else (),
            "saved": visit.request.query_params.get("saved") == str(shown.draft.version if shown.draft else ""),
        }  # fmt: skip
        # a form of thousands of fields takes tenths of a second, in which others are answered
        return await asyncio.to_thread(visit.show, "entry.html.j2", shown.status, **values)


def _by_weight(one: tuple[str, Note]) -> int:
    return list(views.WEIGHTS).index(one[1].weight)


def _as_receipt(document: Mapping[str, Any]) -> dict[str, Any]:
    """A submission as intake shows it, as the read model has it."""
    outcome = document.get("status")
    return {
        "obligation": document.get("obligation"), "version": document.get("version"), "sha256": document.get("sha256"),
        "received_at": moment(document.get("received_at")), "officer_id": document.get("officer"),
        "nil": document.get("nil"), "outcome": outcome if outcome != "received" else None, "withdrawn": False,
    }  # fmt: skip


def _answers(task: Task) -> list[str]:
    """How the report may be answered: by figures, NIL where the form allows it, or not, where somebody asked."""
    declined = ["refusal", "referral"] if task.request is not None and task.request["asked_by"] else []
    nil = ["nil"] if task.form is not None and task.form.nil_allowed else []
    return ["report", *nil, *declined]


def _sources(task: Task, sent: Content | None, earlier: Content | None) -> list[Source]:
    found = []
    if sent is not None and task.newest is not None:
        number = task.newest["version"]
        found.append(Source((f"Phiên bản {number} đã gửi", f"Version {number} as sent"), sent))
    if earlier is not None:
        found.append(Source(("Kỳ trước", "The period before"), earlier, always=True))
    return found


def _refusal(answer: Done | Refused | Problem) -> list[tuple[str, Note]]:
    """Why a service refuses; nothing where it does not, or has not said."""
    if not isinstance(answer, Refused):
        return []
    found = views.of_errors(answer.document)
    return found or [("", NO_REASON)]


def _is_judged(task: Task, draft: Draft | None, content: Content, sent: Content | None) -> bool:
    """Whether the form shows what was returned, so that its findings stand at its fields."""
    if task.newest is None or task.newest["outcome"] != "returned":
        return False
    if sent is None:  # intake did not say: a draft that nobody has touched since is what was sent
        return draft is not None and draft.saved_at <= task.newest["received_at"]
    return content == sent


def _seen(task: Task) -> int:
    return task.draft.version if task.draft is not None else 0


def _version(task: Task) -> int:
    """The newest version that has come; 0: none."""
    return max(task.newest["version"] if task.newest is not None else 0, task.state.received_version or 0)


def _number(text: str | None, otherwise: int) -> int:
    if text is None or not text.isascii() or not text.isdecimal() or len(text) > 9:
        return otherwise
    return min(int(text), 2**31 - 1)


def _submission(visit: Visit) -> UUID:
    try:
        return UUID(visit.request.path_params["submission"])
    except ValueError:
        raise not_found("biên nhận này", "such receipt") from None
