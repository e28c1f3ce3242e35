"""Who is shown what on the pages: route × session × agency, with reports of two agencies at a real intake behind them.

The routes are those that the application serves: one by whose address something of an agency is shown or changed, and
of which no two agencies have anything here, makes this red.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from services.board.pages import steps
from services.board.pages.web import STATIC
from services.board.viewing import View
from tests.integration.board.rig import Browser
from tests.integration.board.two_agencies import (
    ALONE,
    BOTH,
    HEADS,
    LAST,
    MONTH,
    NEXT,
    REGIME,
    SESSIONS,
    Both,
    Owned,
    Who,
    two_agencies,
)
from tests.integration.intake.rig import COMMUNE, DEPARTMENT, NOW

#: public, or for programs
NO_PAGE = frozenset({"/dang-nhap", "/dang-xuat", "/loi-moi/{token}", "/healthz", "/readyz", "/metrics", *STATIC})
#: what shows or changes nothing of one agency alone: where it is asked for
LISTS: Mapping[str, Sequence[str]] = {
    "/ky/{period}": [f"/ky/{MONTH}"],
    "/ky/{period}/tai/{file}": [f"/ky/{MONTH}/tai/bao-cao.xlsx"],
    **{
        name: [f"{name}?regime={regime}" for regime in (REGIME, *(regime for regime, _ in ALONE.values()))]
        for name in ("/bang", "/bang.csv", "/bang.xlsx")
    },
}
OF_NOBODY = frozenset({"/ky/{period}/chot", *LISTS})
MAY_BE_MISSING = frozenset({*LISTS, "/van-hanh"})
LATER = f"{NOW + timedelta(days=5):%Y-%m-%dT%H:%M}"


@dataclass(frozen=True)
class Page:
    """An address by which something of one agency is shown or changed.

    to: the right by which it is reached (see Who.may), or the one person to whom it is. forms: each good, so that only
    the check of its owner refuses it.
    """

    route: str
    path: str
    agency: str
    to: str = "sees"
    regime: str = REGIME
    forms: tuple[Mapping[str, str], ...] = ({},)

    def is_for(self, who: Who) -> bool:
        if self.to in ("sees", "whole", "acts", "sends"):
            return who.may(self.to, self.agency, self.regime)
        return who.person == self.to


def pages(has: Owned) -> list[Page]:
    """What an agency has, by the routes that show it."""
    code = has.agency
    regime, period = ALONE[code]
    owed = "{agency}/{regime}/{period}"
    month = f"{code}/{REGIME}/{MONTH}"
    decision = {"step": "quyet-dinh", "decision": "grant", "reason": "x", "until": LATER}
    of_version = tuple({"step": step, "decision": "approve", "reason": "x"} for step in steps.OF_VERSION)
    of_obligation = tuple({"step": step, "reason": "x", "until": LATER} for step in steps.OF_OBLIGATION)
    of_lateness = tuple(
        {"step": step, "reason": "x", "remedy": "x", "until": LATER, "about": has.explanation}
        for step in steps.OF_LATENESS
    )
    typed = {"/officer": "cb-01", "/figures/A01": "1", "answer": "report", "draft": "0", "after": "1"}
    requests = [
        (NEXT, "gia-han", has.extension, decision),
        (MONTH, "giai-trinh", has.explanation, decision),
        (MONTH, "khieu-nai", has.appeal, {**decision, "decision": "relief", "since": f"{NOW:%Y-%m-%dT%H:%M}"}),
    ]
    told = HEADS[code]
    return [
        Page("/co-quan/{code}", f"/co-quan/{code}", code, regime=""),
        Page("/danh-muc/che-do/{code}", f"/danh-muc/che-do/{regime}", code, regime=regime),
        *(
            Page(f"{route}/{owed}", f"{route}/{code}/{of}", code, regime=of.partition("/")[0])
            for route in ("/nghia-vu", "/cach-tinh")
            for of in (f"{REGIME}/{LAST}", f"{REGIME}/{MONTH}", f"{regime}/{period}")
        ),
        Page(
            f"/nghia-vu/{owed}/phien-ban/{{submission}}", f"/nghia-vu/{month}/phien-ban/{has.submission}", code,
            forms=of_version,
        ),
        Page(f"/nghia-vu/{owed}/de-nghi", f"/nghia-vu/{month}/de-nghi", code, "acts", forms=of_obligation),
        *(
            Page(
                f"/nghia-vu/{owed}/de-nghi/{{what}}/{{request}}",
                f"/nghia-vu/{code}/{REGIME}/{of}/de-nghi/{what}/{request}", code, forms=(form,),
            )
            for of, what, request, form in requests
        ),
        Page(f"/giai-trinh/{owed}", f"/giai-trinh/{code}/{REGIME}/{LAST}", code, forms=of_lateness),
        Page("/mien-ap-dung/{waiver}", f"/mien-ap-dung/{has.waiver}", code, forms=({**decision, "until": ""},)),
        Page("/ky/{period}/{figures_id}", f"/ky/{MONTH}/{has.figures}", code, "whole"),
        Page("/ky/{period}/{figures_id}/tai/{file}", f"/ky/{MONTH}/{has.figures}/tai/so-lieu.json", code, "whole"),
        Page(f"/nop/{owed}", f"/nop/{month}", code, "sends", forms=({**typed, "do": "save"}, {**typed, "do": "send"})),
        Page(f"/nop/{owed}/cong", f"/nop/{month}/cong", code, "sends", forms=(typed,)),
        Page(f"/nop/{owed}/bien-nhan/{{submission}}", f"/nop/{month}/bien-nhan/{has.submission}", code, "sends"),
        Page("/leo-thang/{notice}", f"/leo-thang/{has.notice}", code, told),
        Page(
            "/leo-thang/{notice}/tra-loi", f"/leo-thang/{has.notice}/tra-loi", code, told,
            forms=({"kind": "acknowledged", "until": "2026-10-23"},),
        ),
        Page(
            "/leo-thang/{notice}/chuyen-giao", f"/leo-thang/{has.notice}/chuyen-giao", code, told,
            forms=({"to": "cb-01", "reason": "x"},),
        ),
    ]  # fmt: skip


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """Method and path of every page."""
    return [
        (method, str(context.path_format))
        for context in iter_route_contexts(app.routes)
        if isinstance(getattr(context, "dependant", None), Dependant) and context.path_format not in NO_PAGE
        for method in sorted(context.methods or ())
    ]


def untried(app: FastAPI, had: Sequence[Page]) -> list[str]:
    """Routes by whose address something of one agency is shown or changed, of which no two agencies have anything."""
    return [
        f"{method} {route}: nothing of two agencies to ask for"
        for method, route in routes(app)
        if "{" in route and route not in OF_NOBODY and len({page.agency for page in had if page.route == route}) < 2
    ]


async def trespasses(both: Both, who: Sequence[Who]) -> list[str]:
    """What is shown or done for somebody who does not reach it, or kept from somebody who does."""
    had = [page for has in both.owned.values() for page in pages(has)]
    found = untried(both.world.app, had)
    for one in who:
        browser, csrf = both.browsers[one.person], await both.csrf(one.person)
        for method, route in routes(both.world.app):
            for page in (page for page in had if page.route == route):
                if method == "POST":
                    found += [] if page.is_for(one) else await done(browser, csrf, page, one)
                    continue
                answer = await browser.get(page.path)
                if answer.status_code != (200 if page.is_for(one) else 404):
                    found.append(f"{one.person}: GET {page.path}: {answer.status_code}")
                found += told(answer, both, one)
            for path in LISTS.get(route, () if "{" in route else (route,)) if method == "GET" else ():
                answer = await browser.get(path)
                good = {200, 303, 404} if route in MAY_BE_MISSING else {200, 303}
                found += told(answer, both, one)
                if answer.status_code not in good or (route == "/van-hanh" and (answer.status_code == 200) != one.runs):
                    found.append(f"{one.person}: GET {path}: {answer.status_code}")
    return found


async def done(browser: Browser, csrf: str, page: Page, who: Who) -> list[str]:
    """What a form does that is sent by somebody who does not reach what it is about."""
    answers = [
        await browser.post(page.path, data={"csrf": csrf, **form}, headers=browser.own_headers) for form in page.forms
    ]
    return [f"{who.person}: POST {page.path}: {answer.status_code}" for answer in answers if answer.status_code != 404]


def told(answer: httpx.Response, both: Both, who: Who) -> list[str]:
    """What the answer tells of agencies and reports that the person does not see."""
    if answer.status_code != 200:  # a problem may say what was asked for
        return []
    text = text_of(answer)
    marks = [
        (mark, code, regime)
        for code, has in both.owned.items()
        for mark, regime in [(code, ""), *((id, REGIME) for id in has.ids), (ALONE[code][0], ALONE[code][0])]
    ]
    return [
        f"{who.person}: {answer.url.path} tells of {mark}"
        for mark, code, regime in marks
        if mark in text and not who.may("sees", code, regime)
    ]


def text_of(answer: httpx.Response) -> str:
    if not answer.headers["content-type"].endswith(".sheet"):
        return answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as book:
        return "".join(book.read(name).decode("utf-8", "replace") for name in book.namelist())


@pytest.fixture
async def both(migrated_database: Callable[[str], str]) -> AsyncIterator[Both]:
    async with two_agencies(migrated_database) as made:
        for has in made.owned.values():  # what notifier says to who was not told
            for what in ("answers", "handing-on"):
                made.world.said[f"/v1/escalations/{has.notice}/{what}"] = httpx.Response(404, json={})
        made.world.intake["/v1/notices"] = {"items": [], "next": None}  # it tells each person of their own alone
        yield made


async def test_each_session_is_shown_what_its_person_reaches_and_nothing_else(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await both.stored()
    assert await trespasses(both, SESSIONS) == []
    assert await both.stored() == before, "nothing was done by those who do not reach it"
    # negative control: pages that look at nobody's reach
    monkeypatch.setattr(View, "sees", lambda *_: True)
    (officer,) = [who for who in SESSIONS if who.person == HEADS[COMMUNE]]
    found = await trespasses(both, [officer])
    assert f"{officer.person}: GET /nghia-vu/{DEPARTMENT}/{REGIME}/{LAST}: 200" in found
    assert f"{officer.person}: /nghia-vu/{DEPARTMENT}/{REGIME}/{LAST} tells of {DEPARTMENT}" in found


async def test_who_is_not_signed_in_is_shown_nothing(both: Both) -> None:
    """Neither somebody without a session nor one whose session has ended."""
    ended = both.browsers["chu-tich"]
    cookie, csrf = ended.cookie, await both.csrf("chu-tich")
    await ended.post("/dang-xuat", data={"csrf": csrf}, headers=ended.own_headers)
    assert cookie is not None
    ended.cookies.set("__Host-board", cookie)
    before = await both.stored()
    had = [page for has in both.owned.values() for page in pages(has)]
    found = []
    for browser in (both.world.browser(), ended):
        for method, route in routes(both.world.app):
            paths = [page.path for page in had if page.route == route] or LISTS.get(route, [route])
            for path in paths[:2]:
                fields = {"csrf": csrf, "step": "quyet-dinh", "reason": "x"} if method == "POST" else None
                answer = await browser.request(method, path, data=fields, headers=browser.own_headers)
                to_sign_in = answer.headers.get("location", "").startswith("/dang-nhap")
                if answer.status_code != 403 if method == "POST" else not to_sign_in:
                    found.append(f"{method} {path}: {answer.status_code}")
    assert (found, await both.stored()) == ([], before)


async def test_a_route_of_which_nobody_has_anything_is_named(both: Both) -> None:
    """Negative control."""

    async def shown(agency: str) -> str:
        return agency

    both.world.app.add_api_route("/moi/{agency}", shown)
    had = [page for code in BOTH for page in pages(both.owned[code])]
    assert untried(both.world.app, had) == ["GET /moi/{agency}: nothing of two agencies to ask for"]
