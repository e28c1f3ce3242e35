"""The pages by their addresses."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from services.board import metrics
from services.board.accounts.passwords import Crowded
from services.board.accounts.signing_in import PasswordSet, SignedIn
from services.board.entry.api import Entry
from services.board.pages import directory, explanation, exports, health, tasks, views, words
from services.board.pages.deciding import Deciding
from services.board.pages.escalations import Escalations
from services.board.pages.lateness import Lateness
from services.board.pages.lateness import explanations as lateness_explained
from services.board.pages.lists import after_of, called, following
from services.board.pages.periods import Periods
from services.board.pages.sent_notices import PATH as SENT_PATH
from services.board.pages.sent_notices import SentNotices
from services.board.pages.sessions import PATH as SESSIONS_PATH
from services.board.pages.sessions import Sessions
from services.board.pages.through_intake import said_to
from services.board.pages.waivers import Waivers
from services.board.pages.web import COOKIE, STATIC, Site, Visit, address_of, devices_of, own_path, remember_device
from services.board.readmodel import queries
from services.board.readmodel.queries import PAGE_ROWS
from services.board.watching import Watch
from shared.contract.events import obligation_key
from shared.web.app import Application
from shared.web.errors import not_found, too_many, unavailable
from shared.web.limiter import Limiter
from shared.web.limits import address_key

#: sign-ins of one address: sustained rate and burst. An office behind one address signs in at eight o'clock
SIGN_INS_PER_SECOND, SIGN_INS_AT_ONCE = 0.5, 30
#: when to come again, where too many passwords wait to be looked at
CROWDED_SECONDS = 2


def router(site: Site, watch: Watch, periods: Periods) -> APIRouter:
    """All pages; the last routes of the application. Outside the OpenAPI document: they are for people."""
    routes = APIRouter(include_in_schema=False)
    limiter = Limiter(SIGN_INS_PER_SECOND, SIGN_INS_AT_ONCE)

    def add(path: str, handler: Any, method: str = "GET", *, public: bool = False, acting: bool = False) -> None:
        endpoint = site.page(handler, public=public, acting=acting)
        routes.add_api_route(path, endpoint, methods=[method], response_model=None)

    def slowed(visit: Visit) -> str:
        """The caller's address. Raises 429 where it asks too often: passwords and links are not to be guessed."""
        address = address_of(visit.request)
        if wait_seconds := limiter.take(address_key(address)):
            raise too_many(wait_seconds)
        return address

    async def show_sign_in(visit: Visit) -> Response:
        after = own_path(visit.request.query_params.get("next", "/"))
        if visit.person is not None:
            return RedirectResponse(after, 303)
        return visit.show("sign_in.html.j2", refusal=None, person_id="", after=after)

    async def sign_in(visit: Visit) -> Response:
        given = await site.form(visit)
        address = slowed(visit)
        person_id, after = given.get("person_id", "").strip()[:100], own_path(given.get("next", "/"))
        client = visit.request.headers.get("user-agent", "")
        try:
            signed = await site.accounts.sign_in(
                person_id, given.get("password", ""), address=address, client=client, devices=devices_of(visit.request)
            )
        except Crowded as error:
            raise unavailable(CROWDED_SECONDS) from error
        metrics.SIGN_INS_TOTAL.labels("in" if isinstance(signed, SignedIn) else signed).inc()
        if not isinstance(signed, SignedIn):
            refusal = words.REFUSALS["not_signed_in"]
            return visit.show("sign_in.html.j2", 403, refusal=refusal, person_id=person_id, after=after)
        if visit.known is not None:
            await site.accounts.sign_out(visit.known, address=address)
        answer = RedirectResponse(after, 303, {"Cache-Control": "no-store"})
        answer.set_cookie(
            COOKIE, signed.token, max_age=int(signed.lasts.total_seconds()), path="/", secure=True, httponly=True,
            samesite="lax",
        )  # fmt: skip
        remember_device(answer, visit.request, signed.device, site.devices_kept)
        return answer

    async def sign_out(visit: Visit) -> Response:
        await site.form(visit)
        if visit.known is not None:
            await site.accounts.sign_out(visit.known, address=address_of(visit.request))
        answer = RedirectResponse("/dang-nhap", 303, {"Cache-Control": "no-store", "Clear-Site-Data": '"cache"'})
        answer.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
        return answer

    async def show_invitation(visit: Visit) -> Response:
        slowed(visit)
        person_id = await site.accounts.invited(visit.request.path_params["token"])
        if person_id is None:
            return visit.show("invitation.html.j2", 404, person_id=None, refusals=[])
        return visit.show("invitation.html.j2", person_id=person_id, refusals=[])

    async def use_invitation(visit: Visit) -> Response:
        given, token = await site.form(visit), visit.request.path_params["token"]
        address = slowed(visit)
        person_id = await site.accounts.invited(token)
        person = await site.person(person_id) if person_id is not None else None
        if person is None:
            return visit.show("invitation.html.j2", 404, person_id=None, refusals=[])
        done: PasswordSet | list[str] | None = ["not_the_same"]
        if given.get("password", "") == given.get("again", ""):
            try:
                done = await site.accounts.set_password(token, given.get("password", ""), person.name, address=address)
            except Crowded as error:
                raise unavailable(CROWDED_SECONDS) from error
        if done is None:
            return visit.show("invitation.html.j2", 404, person_id=None, refusals=[])
        if not isinstance(done, PasswordSet):
            refusals = [words.REFUSALS[fault] for fault in done]
            return visit.show("invitation.html.j2", 422, person_id=person_id, refusals=refusals)
        answer = RedirectResponse("/dang-nhap", 303, {"Cache-Control": "no-store"})
        remember_device(answer, visit.request, done.device, site.devices_kept)
        return answer

    async def operations(visit: Visit) -> Response:
        if not visit.runs_the_system:
            raise not_found("trang này", "such page")
        look = await watch.look()
        return visit.show("operations.html.j2", look=look, health=health.health(look.said))

    add("/dang-nhap", show_sign_in, public=True)
    add("/dang-nhap", sign_in, "POST", public=True)
    add("/dang-xuat", sign_out, "POST", public=True)
    add("/loi-moi/{token}", show_invitation, public=True)
    add("/loi-moi/{token}", use_invitation, "POST", public=True)
    add("/", inbox)
    add("/bang", heat_map)
    add("/bang.csv", exports.heat_map_csv)
    add("/bang.xlsx", exports.heat_map_xlsx)
    add("/co-quan/{code}", agency)
    add("/nghia-vu/{agency}/{regime}/{period}", obligation)
    add("/cach-tinh/{agency}/{regime}/{period}", score)
    lateness, explained = Lateness(site), "/giai-trinh/{agency}/{regime}/{period}"
    add(explained, lateness.show, acting=True)
    add(explained, lateness.act, "POST", acting=True)
    escalations = Escalations(site)
    add("/leo-thang", escalations.list)
    add("/leo-thang/{notice}", escalations.show, acting=True)
    add("/leo-thang/{notice}/tra-loi", escalations.answer, "POST", acting=True)
    add("/leo-thang/{notice}/chuyen-giao", escalations.hand_on, "POST", acting=True)
    deciding, owed = Deciding(site), "/nghia-vu/{agency}/{regime}/{period}"
    add("/duyet", deciding.waiting, acting=True)
    add(f"{owed}/phien-ban/{{submission}}", deciding.version, acting=True)
    add(f"{owed}/phien-ban/{{submission}}", deciding.act_on_version, "POST", acting=True)
    add(f"{owed}/de-nghi", deciding.asking, acting=True)
    add(f"{owed}/de-nghi", deciding.ask, "POST", acting=True)
    add(f"{owed}/de-nghi/{{what}}/{{request}}", deciding.request, acting=True)
    add(f"{owed}/de-nghi/{{what}}/{{request}}", deciding.decide, "POST", acting=True)
    add("/ky", periods.newest)
    add("/ky/{period}", periods.show)
    add("/ky/{period}/chot", periods.freeze, "POST", acting=True)
    add("/ky/{period}/tai/{file}", periods.download, acting=True)
    add("/ky/{period}/{figures_id}", periods.show_frozen)
    add("/ky/{period}/{figures_id}/tai/{file}", periods.download_frozen, acting=True)
    waivers = Waivers(site)
    add("/mien-ap-dung", waivers.list, acting=True)
    add("/mien-ap-dung", waivers.ask, "POST", acting=True)
    add("/mien-ap-dung/{waiver}", waivers.show, acting=True)
    add("/mien-ap-dung/{waiver}", waivers.decide, "POST", acting=True)
    add("/van-hanh", operations)
    add(directory.PATH, directory.agencies)
    add(directory.PATH + "/che-do/{code}", directory.regime)
    add(SENT_PATH, SentNotices(site).list, acting=True)
    sessions = Sessions(site)
    add(SESSIONS_PATH, sessions.list, acting=True)
    add(SESSIONS_PATH, sessions.end, "POST", acting=True)
    add("/nop", to_send)
    entry, form = Entry(site), "/nop/{agency}/{regime}/{period}"
    add(form, entry.show, acting=True)
    add(form, entry.act, "POST", public=True)  # what was typed is not lost where the session has ended meanwhile
    add(form + "/cong", entry.sums, "POST", acting=True)
    add(form + "/bien-nhan/{submission}", entry.receipt, acting=True)
    for path in STATIC:
        routes.add_api_route(path, _static, response_model=None)
    return routes


def mount(app: Application, site: Site, watch: Watch, periods: Periods) -> None:
    """Mount all pages, and one for every other address."""
    app.include_router(router(site, watch, periods))
    app.answer_elsewhere(site.page(nowhere))


async def _static(request: Request) -> Response:
    content, kind = STATIC[request.url.path]
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(content, headers=headers, media_type=kind)


async def nowhere(visit: Visit) -> Response:
    """An address that leads to no page."""
    raise not_found("trang này", "such page")


async def inbox(visit: Visit) -> Response:
    """What needs whoever asks now, the oldest harm first."""
    after = after_of(visit.request.query_params.get("after", ""))
    lines = await queries.inbox(visit.snapshot, visit.view, visit.now, after)
    counts = await queries.counts(visit.snapshot, visit.view, visit.now)
    shown = lines[:PAGE_ROWS]
    late = [line.obligation for line in shown if line.overdue]
    return visit.show(
        "inbox.html.j2", lines=shown, promises=await queries.promises(visit.snapshot, late, visit.now),
        counts=counts, following=following(lines), first=after is None,
        **await called(visit, shown),
    )  # fmt: skip


async def heat_map(visit: Visit) -> Response:
    """Agencies × periods of one regime."""
    regimes, many = await queries.seen_regimes(visit.snapshot, visit.view, visit.today)
    regime = visit.request.query_params.get("regime") or next(iter(regimes), "")
    after = visit.request.query_params.get("after", "")[:100]
    after = after if after.isprintable() else ""  # PostgreSQL takes no NUL in a text
    grid = await queries.heat_map(visit.snapshot, visit.view, regime, visit.now, after)
    if regime and regime not in regimes:
        # one that is not listed where there are too many, or one of which nothing is seen
        regimes |= await queries.regimes(visit.snapshot, [regime] if grid.periods else [], visit.today)
        if regime not in regimes:
            raise not_found("chế độ báo cáo này", "such regime")
    rows = grid.rows[:PAGE_ROWS]
    cells = {key: views.cell_of(line, visit.now) for key, line in grid.cells.items()}
    return visit.show(
        "heat_map.html.j2", regimes=regimes, regime=regime, grid=grid, rows=rows, cells=cells, not_owed=views.NOT_OWED,
        following=rows[-1] if len(grid.rows) > PAGE_ROWS else "", first=not after,
        titles=await queries.requests(visit.snapshot, grid.periods), many=many,
    )  # fmt: skip


async def agency(visit: Visit) -> Response:
    """One agency: what it owes, how it scores, what its reports are returned for."""
    code = visit.request.path_params["code"]
    found = visit.agencies.get(code)
    if found is None or code not in visit.view.agencies:
        raise not_found("cơ quan này", "such agency")
    lines = await queries.of_agency(visit.snapshot, visit.view, code, visit.now)
    findings = await queries.frequent_findings(visit.snapshot, [line.obligation for line in lines])
    answers = await queries.who_answers(visit.snapshot, [code], visit.today)
    return visit.show(
        "agency.html.j2", agency=found, lines=lines, findings=findings, average=views.average_score(lines),
        answers=answers[code], above=found.above.on(visit.today),
        **await called(visit, lines),
    )  # fmt: skip


async def obligation(visit: Visit) -> Response:
    """The evidence of one obligation."""
    given = visit.request.path_params
    if not visit.view.sees(given["agency"], given["regime"]):
        raise not_found("nghĩa vụ báo cáo này", "such obligation")
    evidence = await queries.evidence(visit.snapshot, obligation_key(given["agency"], given["regime"], given["period"]))
    if evidence is None:
        raise not_found("nghĩa vụ báo cáo này", "such obligation")
    regimes = await queries.regimes(visit.snapshot, [given["regime"]], visit.today)
    return visit.show(
        "obligation.html.j2", state=evidence.state, evidence=evidence, entries=views.timeline(evidence),
        findings=views.findings_of(evidence), latest=evidence.latest, regime=regimes.get(given["regime"]),
        titles=await queries.requests(visit.snapshot, [given["period"]]), line=views.line_of(evidence.state),
        said=said_to(visit), asks=visit.sends.sees(given["agency"], given["regime"]),
    )  # fmt: skip


async def score(visit: Visit) -> Response:
    """Why an obligation scores what it scores."""
    given = visit.request.path_params
    state = None
    if visit.view.sees(given["agency"], given["regime"]):
        key = obligation_key(given["agency"], given["regime"], given["period"])
        state = await queries.state_of(visit.snapshot, key)
    if state is None:
        raise not_found("nghĩa vụ báo cáo này", "such obligation")
    names = await queries.names(visit.snapshot, [state.officer_id])
    name, title = names.get(state.officer_id or "", (state.officer_id or "", ""))
    explained = explanation.explain(state, f"{name}, {title}" if title else name)
    regimes = await queries.regimes(visit.snapshot, [state.regime], visit.today)
    return visit.show(
        "score.html.j2", state=state, explained=explained, regime=regimes.get(state.regime),
        lateness=lateness_explained(await queries.lateness_of(visit.snapshot, state.obligation)),
        titles=await queries.requests(visit.snapshot, [state.period]),
    )  # fmt: skip


async def to_send(visit: Visit) -> Response:
    """What whoever asks has to send, with what to do next, and when it falls due."""
    found = await queries.owed(visit.snapshot, visit.sends, visit.now)
    shown = found[: queries.MOST_OWN]
    lines = [owed.line for owed in shown]
    return visit.show(
        "to_send.html.j2", owed=shown, months=tasks.months(lines, visit.now), more=len(found) > len(shown),
        several=len({line.agency for line in lines}) > 1, **await called(visit, lines),
    )  # fmt: skip
