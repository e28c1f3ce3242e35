"""The edge of every page: who is signed in, in which language, and what is answered when something is wrong."""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from importlib.resources import files
from typing import Any, cast
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Match

from services.board.accounts.signing_in import Accounts
from services.board.accounts.store import Known
from services.board.acting import Actor
from services.board.pages import explanation, health, steps, tasks, views, words
from services.board.readmodel import queries
from services.board.readmodel.queries import Agency
from services.board.readmodel.tree import Trees
from services.board.viewing import Person, View, decides, roles_on, runs_the_system, view_of
from shared.contract.reporting_window import local_day
from shared.contract.words import period_words
from shared.postgres.database import Database, ReadTransaction
from shared.reports.limits import MAX_BODY_BYTES
from shared.runtime.clock import Clock
from shared.telemetry.logging import get_logger
from shared.web.app import place_of, read_body
from shared.web.errors import FORBIDDEN, UNAVAILABLE, Problem, forbidden
from shared.web.problems import problem_for

log = get_logger()

COOKIE = "__Host-board"
#: tokens of the people who have signed in with this browser, so that nobody else's wrong passwords keep them out
DEVICE_COOKIE = "__Host-device"
#: people of one browser, and characters of a token
MOST_DEVICES, MAX_TOKEN_CHARACTERS = 8, 64
LANGUAGE_COOKIE = "lang"
#: of a question that a page asks by itself: nobody need sit before it, so it keeps no session alive
POLL = "board-poll"
MAX_FORM_BYTES = 64 * 1024
#: of a form with a report of the greatest size: each byte as %XX, and the names of its fields
MAX_ENTRY_BYTES = 4 * MAX_BODY_BYTES
#: what a page shows of what was typed, to be recognised
MOST_SHOWN = 12
#: of one form: a report's figures, texts and cells, and what stands beside them
MOST_FIELDS = 15_000
#: nothing but our own style sheet and scripts, without eval, and forms and questions to ourselves
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_STATIC = files("services.board.pages") / "static"


def _static(name: str, kind: str) -> tuple[str, tuple[bytes, str]]:
    """The address of a file, which changes with its content; its bytes and media type."""
    content = (_STATIC / name).read_bytes()
    stem, _, suffix = name.rpartition(".")
    return f"/static/{stem}-{sha256(content).hexdigest()[:16]}.{suffix}", (content, kind)


STYLE_PATH, _STYLE = _static("board.css", "text/css")
ICON_PATH, _ICON = _static("board.svg", "image/svg+xml")
HTMX_PATH, _HTMX = _static("htmx.min.js", "text/javascript")
SCRIPT_PATH, _SCRIPT = _static("board.js", "text/javascript")
#: address -> bytes and media type
STATIC: Mapping[str, tuple[bytes, str]] = {
    STYLE_PATH: _STYLE, ICON_PATH: _ICON, HTMX_PATH: _HTMX, SCRIPT_PATH: _SCRIPT,
}  # fmt: skip

_TEMPLATES = Environment(
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    loader=PackageLoader("services.board.pages", "templates"),
)
_TEMPLATES.filters["day_of"] = date.fromisoformat
_TEMPLATES.filters["sentence"] = lambda text: str(text)[:1].upper() + str(text)[1:]
_TEMPLATES.filters["moment_of"] = datetime.fromisoformat
_TEMPLATES.globals.update(
    moment=views.moment, day=views.day, day_of_moment=views.day_of_moment,
    states=words.STATES, icons=views.ICONS, roles=words.ROLES,
    frequencies=words.FREQUENCIES, style_path=STYLE_PATH, icon_path=ICON_PATH,
    scripts=(HTMX_PATH, SCRIPT_PATH), late=views.days_late,
    state_of=views.state_of, name_of=views.name_of, period_head=words.period_head, sum_of=explanation.sum_of,
    components=words.COMPONENTS, age=health.age, next_step=tasks.next_step, days_left=tasks.days_left,
    weekdays=words.WEEKDAYS, month_name=words.month_name, notices=words.NOTICES, outcomes=words.OUTCOMES,
    channels=words.CHANNELS,
    answers=words.ANSWERS, choices=words.CHOICES, waiting=words.WAITING, steps={**words.STEPS, **words.WAIVER_STEPS},
    waiver_states=words.WAIVER_STATES, sign_ins=words.SIGN_INS, kinds=words.KINDS,
    outcomes_of=words.VERDICTS, requests=words.REQUESTS, page_of_request=steps.page_of_request,
    page_of_lateness=steps.page_of_lateness, most_shown=MOST_SHOWN,
)  # fmt: skip

Handler = Callable[["Visit"], Awaitable[Response]]


@dataclass(slots=True)
class Visit:
    """One request of a page. `person` is None before somebody signs in.

    `reading` is the read transaction of a page that shows what was followed. What people may ask for before they sign
    in, and every form, has none: each would hold a connection while it waits for a body, a password or another one.
    """

    request: Request
    now: datetime  # business time
    language: str
    known: Known | None
    person: Person | None
    view: View
    agencies: Mapping[str, Agency]
    reading: ReadTransaction | None = None
    sends: View = field(default_factory=View)  # for what the person may send reports

    @property
    def snapshot(self) -> ReadTransaction:
        """What the page reads from."""
        if self.reading is None:
            raise RuntimeError("this page has no read transaction")
        return self.reading

    @property
    def today(self) -> date:
        return local_day(self.now)

    def show(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """The page from its template."""
        return _rendered(template, self.language, self.request, status, visit=self, **values)

    def agency_name(self, code: str) -> str:
        agency = self.agencies.get(code)
        if agency is None:
            return code
        return agency.name_en or agency.name if self.language == "en" else agency.name

    @property
    def runs_the_system(self) -> bool:
        """Whether the page of those who run the system is theirs."""
        return self.person is not None and runs_the_system(self.person, self.today)

    @property
    def decides(self) -> bool:
        """Whether the page of what waits for a decision is theirs."""
        return self.person is not None and decides(self.person, self.today)

    def above(self, agency: str) -> dict[str, str | None]:
        """Today's way from the agency up: each with the one above it."""
        way: dict[str, str | None] = {}
        code: str | None = agency
        while code is not None and code not in way and code in self.agencies:
            way[code] = self.agencies[code].above.on(self.today)
            code = way[code]
        return way

    @property
    def role(self) -> str:
        """The roles of who is signed in, in words."""
        held = roles_on(self.person, self.today) if self.person else ()
        return ", ".join(words.ROLES.get(role, (role, role))[self.language == "en"] for role in held)


class Site:
    """Makes a route of a page's function."""

    def __init__(
        self,
        database: Database,
        accounts: Accounts,
        business: Clock,
        public_url: str,
        devices_kept: timedelta,
        actor: Actor,
    ) -> None:
        self.database = database
        self.accounts = accounts
        self.devices_kept = devices_kept
        self.actor = actor
        self._clock = business
        self._origin = public_url
        self._trees = Trees()

    def page(
        self, handler: Handler, *, public: bool = False, acting: bool = False
    ) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint. Without a session a page that is not public leads to the sign-in.

        A public one, and one on which people act, are called outside the transaction that tells who asks.
        """

        async def endpoint(request: Request) -> Response:
            language = language_of(request)
            try:
                token = request.cookies.get(COOKIE)
                known = await self.accounts.session_of(token, is_used=POLL not in request.headers) if token else None
                if public or acting:
                    visit = await self._caller(request, language, known)
                    if acting and visit.person is None and request.method == "GET":
                        return _to_sign_in(request)
                    if acting and request.method == "POST":
                        answer = await self._acted(visit, handler)
                    else:
                        answer = await handler(visit)
                else:
                    async with self.database.read_transaction() as snapshot:
                        visit = await self._visit(request, language, known, snapshot)
                        if visit.person is None:
                            return _to_sign_in(request)
                        answer = await handler(visit)
            except Exception as error:
                answer = await self._in_trouble(error, request, language, acting=acting)
            if "lang" in request.query_params:
                answer.set_cookie(LANGUAGE_COOKIE, language, max_age=31_536_000, samesite="lax", httponly=True)
            return answer

        return endpoint

    async def _acted(self, visit: Visit, handler: Handler) -> Response:
        """What comes of a form. One of a session that has ended does nothing, and what was typed is kept in a page."""
        try:
            if visit.person is not None:
                return await handler(visit)
            fields = await self.sent(visit)
        except _OtherSession as other:
            fields = other.fields
        csrf = visit.known.csrf if visit.known is not None and visit.person is not None else ""
        return visit.show("entry_kept.html.j2", 403, kept={**fields, "csrf": csrf}, typed=_typed(fields))

    async def _in_trouble(self, error: Exception, request: Request, language: str, *, acting: bool) -> Response:
        """The problem as a page; that of a form which could not be done now holds what was typed, to be sent again."""
        if not acting or request.method != "POST" or problem_for(error).status < 500:
            return _trouble(error, request, language)
        try:
            kept = getattr(request.state, "sent", None) or await self._read(request, MAX_ENTRY_BYTES)
        except (Problem, ClientDisconnect):  # not from a page of ours, or it never came whole
            return _trouble(error, request, language)
        once = steps.ONCE in kept or "after" in kept  # what the Idempotency-Key is made of
        return _trouble(error, request, language, "not_done.html.j2", kept=kept, typed=_typed(kept), once=once)

    async def _caller(self, request: Request, language: str, known: Known | None) -> Visit:
        if known is None:
            return Visit(request, self._clock.now(), language, None, None, View(), {})
        async with self.database.read_transaction() as snapshot:
            visit = await self._visit(request, language, known, snapshot)
        visit.reading = None
        return visit

    @asynccontextmanager
    async def reading(self, visit: Visit) -> AsyncIterator[ReadTransaction]:
        """A read transaction for a page on which people act, between waits for others."""
        async with self.database.read_transaction() as snapshot:
            visit.reading = snapshot
            try:
                yield snapshot
            finally:
                visit.reading = None

    async def person(self, person_id: str) -> Person | None:
        """The person, by the registry."""
        async with self.database.read_transaction() as snapshot:
            return await queries.person(snapshot, person_id)

    async def _visit(self, request: Request, language: str, known: Known | None, snapshot: ReadTransaction) -> Visit:
        now = self._clock.now()
        if known is None:
            return Visit(request, now, language, None, None, View(), {}, snapshot)
        person = await queries.person(snapshot, known.person_id)
        if person is None:  # who has left the registry sees nothing any more
            return Visit(request, now, language, known, None, View(), {}, snapshot)
        on = local_day(now)
        tree = await self._trees.of(snapshot, on)
        view, sends = view_of(person, tree.above, on), view_of(person, tree.above, on, "submit")
        return Visit(request, now, language, known, person, view, tree.agencies, snapshot, sends)

    async def form(self, visit: Visit) -> dict[str, str]:
        """The fields of a form that our own page sent in this session. Raises 403 for any other.

        Source: OWASP CSRF prevention: Fetch metadata and Origin, and a token of the session where there is one.
        """
        fields = await self.sent(visit)
        if not self.of_this_session(visit, fields):
            other = cast(_OtherSession, _OtherSession.of(FORBIDDEN, *_FOREIGN_FORM))
            other.fields = fields
            raise other
        return fields

    def of_this_session(self, visit: Visit, fields: Mapping[str, str]) -> bool:
        """Whether the form was shown in the session of who is signed in; before the sign-in there is none."""
        return visit.known is None or hmac.compare_digest(fields.get("csrf", "").encode(), visit.known.csrf.encode())

    async def sent(self, visit: Visit, most_bytes: int = MAX_FORM_BYTES) -> dict[str, str]:
        """The fields of a form that a page of ours sent, of whichever session: nothing may be done by them alone.

        Raises 403 for one that another site sent.
        """
        return await self._read(visit.request, most_bytes)

    async def _read(self, request: Request, most_bytes: int) -> dict[str, str]:
        fetched, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        if fetched not in (None, "same-origin") or (origin is not None and origin != self._origin):
            raise _foreign_form()
        if fetched is None and origin is None:
            raise _foreign_form()
        body = await read_body(request, most_bytes)
        # of a large one it takes some hundredths of a second
        fields = _fields(body) if len(body) <= MAX_FORM_BYTES else await asyncio.to_thread(_fields, body)
        request.state.sent = fields
        return fields


def _fields(body: bytes) -> dict[str, str]:
    """The fields of an urlencoded form, of equal names the first; without NUL, which PostgreSQL takes in no text."""
    try:
        sent = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:  # no page of ours has so many
        raise _foreign_form() from None
    return {name.replace("\x00", ""): values[0].replace("\x00", "") for name, values in sent.items()}


_CODE = re.compile(r"[a-z_]+")


def _typed(fields: Mapping[str, str]) -> list[str]:
    """What a person typed in a form, without what the page itself put there and the codes of choices."""
    own = {"csrf", steps.STEP, steps.ONCE, "draft", "after"}
    return [text for name, text in fields.items() if text and name not in own and not _CODE.fullmatch(text)]


_FOREIGN_FORM = (
    "Biểu mẫu này không gửi từ trang của hệ thống, hoặc trang đã cũ. Hãy tải lại trang rồi gửi lại.",
    "The form was not sent from a page of this system, or the page is out of date. Reload it and send it again.",
)


def _foreign_form() -> Problem:
    return forbidden(*_FOREIGN_FORM)


class _OtherSession(Problem):
    """A form that a page of ours showed in a session that has ended; `fields`: what was typed into it."""

    fields: dict[str, str]


def devices_of(request: Request) -> list[str]:
    """The tokens of this browser, one for each person, the newest first."""
    tokens = request.cookies.get(DEVICE_COOKIE, "").split(".")
    return [token for token in tokens if 0 < len(token) <= MAX_TOKEN_CHARACTERS][:MOST_DEVICES]


def remember_device(answer: Response, request: Request, token: str, lasts: timedelta) -> None:
    """Have the browser keep the token beside those of others; each person's own, so that nobody knows another's."""
    tokens = [token, *(other for other in devices_of(request) if other != token)][:MOST_DEVICES]
    answer.set_cookie(
        DEVICE_COOKIE, ".".join(tokens), max_age=int(lasts.total_seconds()), path="/", secure=True, httponly=True,
        samesite="lax",
    )  # fmt: skip


def language_of(request: Request) -> str:
    """`vi` unless the address or else the cookie asks for English. Office computers speak English more often than
    those who sit before them, so the browser is not asked.
    """
    for said in (request.query_params.get("lang"), request.cookies.get(LANGUAGE_COOKIE)):
        if said in ("vi", "en"):
            return said
    return "vi"


def address_of(request: Request) -> str:
    """The network address of whoever asks; empty where there is none."""
    return request.client.host if request.client else ""


def _rendered(template: str, language: str, request: Request, status: int, **values: Any) -> HTMLResponse:
    english = language == "en"
    asked = [(name, value) for name, value in request.query_params.multi_items() if name != "lang"]
    other = "?" + urlencode([*asked, ("lang", "vi" if english else "en")])

    def t(vi: str | words.Pair, en: str = "") -> str:
        """The text in the reader's language, of two texts or a pair."""
        pair = vi if isinstance(vi, tuple) else (vi, en)
        return pair[english]

    def period(period_id: str, titles: words.Pair = ("", "")) -> str:
        return period_words(period_id, *titles)[english]

    def number(value: Decimal | float | None, digits: int | None = None) -> str:
        return views.number(value, digits, language=language)

    shared = {
        "t": t, "period": period, "number": number, "lang": language, "other": other, "path": request.url.path,
        "here_again": request.url.path + (f"?{urlencode(asked)}" if asked else ""),
    }  # fmt: skip
    body = _TEMPLATES.get_template(template).render(**shared, **values)
    return HTMLResponse(body, status, {**HEADERS, "Content-Language": language})


def _to_sign_in(request: Request) -> Response:
    if POLL in request.headers:  # the page stays as it is, and says that the session has ended
        return Response(status_code=401, headers={"Cache-Control": "no-store"})
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    to = f"/dang-nhap?next={quote(asked, safe='/')}" if asked != "/" and request.method == "GET" else "/dang-nhap"
    return RedirectResponse(to, 303, {"Cache-Control": "no-store"})


def own_path(path: str) -> str:
    """The path if it leads to a page of ours, else the first page: nobody is sent elsewhere after signing in."""
    if not path.startswith("/") or path.startswith("//") or "\\" in path or not path.isprintable():
        return "/"
    try:
        parts = urlsplit(path)
    except ValueError:  # of an address: [ without ]
        return "/"
    return path if not parts.scheme and not parts.netloc else "/"


#: what a service tells machines of such trouble, about headers and keys, in words for people
_ASK_LATER = (
    "Hệ thống đang chờ một thành phần hoạt động trở lại, thường chỉ vài giây. Hãy thử lại sau một lát.",
    "Part of the system is away, mostly for a few seconds. Try again in a little while.",
)


def _page_of(request: Request) -> str:
    """Where the page of a request opens anew. A form may go to an address below it, which is no page."""
    path = request.url.path
    while path.strip("/") and request.method != "GET":
        scope = {**request.scope, "method": "GET", "path": path}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes):
            break
        path = path.rpartition("/")[0]
    return path or "/"


def _trouble(
    error: Exception, request: Request, language: str, template: str = "problem.html.j2", **values: Any
) -> Response:
    """The problem as a page: what is wrong, and what to do."""
    problem = problem_for(error)
    if problem.status == 500:
        log.exception("A page failed.", action="http.failed", path=place_of(request.scope))
    elif problem is not error and problem.status == 503:
        log.warning("A page met infrastructure trouble.", action="http.unavailable", error=type(error).__name__)
    values["detail"] = _ASK_LATER if problem.detail == UNAVAILABLE.meaning else (problem.detail, problem.detail_en)
    values |= {"problem": problem, "page": _page_of(request)}
    answer = _rendered(template, language, request, problem.status, visit=None, **values)
    answer.headers.update(problem.headers)
    return answer
