"""python -m tests.programs.browser: the board's pages in Debian's chromium, by Playwright and axe.

Each page in both languages and at three widths: no violation of axe, nothing that the policy for content stops, no
error of a script, nothing wider than the screen, the keyboard reaches what can be acted on, and print shows no menu.
Then what scripts do: sums as one types, a page that brings itself up to date and keeps the focus, one that cannot and
says so, and a session that has ended. Ends with 0 only if all of it holds. Screenshots: .local/browser/.

`make browser` installs what it needs beside the tests' own packages; chromium is the system's (CHROMIUM=path).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import uvicorn
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright

from deploy.local import Options, Stack
from deploy.local.options import ROOT
from deploy.local.postgres import create_database
from shared.postgres.database import Database
from shared.postgres.migrations import migrate
from tests.integration.board.rig import (
    CHAIR,
    DEADLINE,
    DEPARTMENT,
    MONTHLY,
    OFFICER,
    OPERATOR,
    PASSWORD,
    World,
    escalation,
    notice,
    overdue,
    registry,
    submission,
    verdict,
)
from tests.integration.board.test_entering import with_form
from tests.integration.board.test_pages import EVIDENCE, LATENESS, SCORE, world_with_reports

WIDTHS = (360, 1024, 1920)
LANGUAGES = ("vi", "en")
FORM = f"/nop/{DEPARTMENT}/{MONTHLY}/2026-M10"
FIGURES = [
    {"code": "A10", "label": "Thu ngân sách", "label_en": "Revenue", "unit": "đồng", "scale": 6, "minimum": "0"},
    {"code": "A12", "label": "Thuế", "label_en": "Taxes", "unit": "đồng", "scale": 6, "minimum": "0"},
    {"code": "A13", "label": "Phí", "label_en": "Fees", "unit": "đồng", "scale": 6, "minimum": "0"},
]
SUMS = [{"code": "S1", "total": "A10", "terms": ["A12", "A13"]}]
#: who looks at what; each page has something to show
PAGES: dict[str, tuple[str, ...]] = {
    CHAIR: (
        "/", f"/bang?regime={MONTHLY}", f"/co-quan/{DEPARTMENT}", EVIDENCE, SCORE, LATENESS, "/leo-thang", "/da-gui",
        f"/leo-thang/{UUID(int=304)}", "/ky/2026-M10", "/duyet", "/mien-ap-dung", "/phien-dang-nhap",
        "/danh-muc", f"/danh-muc/che-do/{MONTHLY}", "/khong-co",
    ),
    OFFICER: ("/nop", FORM, f"{FORM}/bien-nhan/{UUID(int=2)}"),
    OPERATOR: ("/van-hanh",),
}  # fmt: skip
SHOTS = ROOT / ".local" / "browser"


@dataclass
class Seen:
    """What was looked at, and what was wrong with it."""

    looks: int = 0
    faults: list[str] = field(default_factory=list)
    quiet: bool = False

    def expect(self, holds: bool, what: str) -> None:
        self.looks += 1
        if not holds:
            self.faults.append(what)
            if not self.quiet:
                print(f"  ✗ {what}", flush=True)


@asynccontextmanager
async def served(world: World, port: int) -> AsyncIterator[None]:
    """The pages over HTTP."""
    config = uvicorn.Config(world.app, host="127.0.0.1", port=port, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event to wait for
            await asyncio.sleep(0.02)
        yield
    finally:
        server.should_exit = True
        await serving


async def signed_in(browser: Browser, world: World, person: str, language: str, seen: Seen, **size: Any) -> Page:
    """A page of somebody who has signed in by the keyboard alone."""
    context = await browser.new_context(base_url=world.origin, **size)
    page = await context.new_page()
    page.on("pageerror", lambda error: seen.expect(False, f"{page.url}: a script fails: {error}"))
    page.on("console", lambda said: _told(page, said.type, said.text, seen))
    await page.goto(f"/dang-nhap?lang={language}")
    await page.keyboard.press("Tab")  # the way past the menu
    while await page.evaluate("document.activeElement.name") != "person_id":
        await page.keyboard.press("Tab")
    await page.keyboard.type(person)
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{world.origin}/")
    return page


def _told(page: Page, kind: str, text: str, seen: Seen) -> None:
    """A refusal of the browser is a fault; that a page asked for does not exist is the page's own affair."""
    if kind == "error" and "Failed to load resource" not in text and "Failed to fetch" not in text:
        seen.expect(False, f"{page.url}: {text}")


async def looked_at(page: Page, path: str, width: int, seen: Seen) -> None:
    """One page at one width."""
    await page.goto(path)
    where = f"{path} {width} px {await page.get_attribute('html', 'lang')}"
    results = await Axe().run(page, options={"resultTypes": ["violations"]})
    for violation in results.response["violations"]:
        nodes = "; ".join(node["html"][:160] for node in violation["nodes"][:3])
        seen.expect(False, f"{where}: axe {violation['id']} ({violation['impact']}): {nodes}")
    seen.looks += 1
    wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    seen.expect(wide <= 0, f"{where}: {wide} px wider than the screen")
    SHOTS.mkdir(parents=True, exist_ok=True)
    name = path.strip("/").replace("/", "_").replace("?", "_") or "inbox"
    await page.screenshot(path=SHOTS / f"{name}.{width}.{where[-2:]}.png", full_page=True)


async def by_keyboard(page: Page, path: str, seen: Seen) -> None:
    """Tab reaches everything that can be acted on, and shows where it is."""
    await page.goto(path)
    wanted = await page.evaluate(
        """() => { const all = [...document.querySelectorAll(
             'a[href], button, input:not([type=hidden]), select, textarea, summary')];
           const stops = e => !e.disabled && e.getClientRects().length && (e.type !== 'radio' || e.checked);
           window.stops = all.filter(stops);
           return window.stops.length; }"""
    )
    reached = await page.evaluate("() => { window.reached = new Set(); return 0; }")
    for _ in range(wanted * 2 + 20):
        await page.keyboard.press("Tab")
        done = await page.evaluate(
            """() => { const e = document.activeElement; if (e === document.body) return true;
                 window.reached.add(e); if (!window.first) window.first = e;
                 const s = getComputedStyle(e);
                 const named = e.outerHTML.slice(0, 120);
                 if (s.outlineStyle === 'none' && !e.classList.contains('skip')) window.unseen = named;
                 return false; }"""
        )
        if done:
            break
    reached = await page.evaluate(
        "window.stops.filter(e => !window.reached.has(e)).map(e => e.outerHTML.slice(0, 120))"
    )
    seen.expect(reached == [], f"{path}: Tab does not reach {reached[:3]}")
    first = await page.evaluate("window.first && window.first.className")
    seen.expect(first == "skip", f"{path}: the first stop is {first}, not the way past the menu")
    unseen = await page.evaluate("window.unseen || ''")
    seen.expect(unseen == "", f"{path}: the focus cannot be seen on {unseen}")


async def printed(page: Page, path: str, seen: Seen) -> None:
    """On paper there is no menu and nothing to press."""
    await page.goto(path)
    await page.emulate_media(media="print")
    shown = await page.evaluate(
        """[...document.querySelectorAll('nav, .who, .filters, .acts, .stale')]
             .filter(e => e.getClientRects().length).length"""
    )
    seen.expect(shown == 0, f"{path}: print shows {shown} parts that are for a screen")
    SHOTS.mkdir(parents=True, exist_ok=True)
    name = path.strip("/").replace("/", "_").replace("?", "_") or "inbox"
    await page.pdf(path=SHOTS / f"{name}.pdf", prefer_css_page_size=True)
    await page.emulate_media(media="screen")


async def controls(browser: Browser, world: World, seen: Seen) -> None:
    """Negative controls: what is looked for is found in a page that has it."""
    spoiled = Seen(quiet=True)
    page = await signed_in(browser, world, CHAIR, "vi", spoiled)
    seen.expect(spoiled.faults == [], f"before it is spoiled: {spoiled.faults}")
    await page.evaluate("document.querySelector('main').insertAdjacentHTML('beforeend', '<img src=/x.png><input>')")
    found = {one["id"] for one in (await Axe().run(page)).response["violations"]}
    seen.expect({"image-alt", "label"} <= found, f"axe finds {found or 'nothing'} in a page without names")
    await page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))"
    )
    await page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p style=\\'width:9999px\\'>x</p>')")
    seen.expect(await page.evaluate("window.ran") is None, "a script in the text of a page runs")
    told = " ".join(spoiled.faults)
    seen.expect("script" in told and "style" in told, f"what the policy stops is told as {told or 'nothing'}")


async def sums_follow(page: Page, seen: Seen) -> None:
    """The sum under its total follows what is typed, and the focus stays."""
    await page.goto(FORM)
    await page.get_by_label("A12").fill("40")
    await page.get_by_label("A13").press_sequentially("2")
    sum_of = page.locator("[id='sum:S1']")
    await _until(sum_of.inner_text, lambda text: text == "A12 + A13 = 42", seen, "the sum follows what is typed")
    await page.get_by_label("A10").press_sequentially("43")
    await _until(sum_of.inner_text, lambda text: "lớn hơn 1" in text, seen, "the sum says how much the total is off")
    focused = await page.evaluate("document.activeElement.name + '=' + document.activeElement.value")
    seen.expect(focused == "/figures/A10=43", f"the focus is on {focused}")


async def stays_up_to_date(page: Page, world: World, seen: Seen) -> None:
    """A page takes in what is new under the reader's focus, keeps what it has where nothing comes, and says so."""
    await page.goto("/leo-thang")
    link = page.locator("main a").first
    await link.focus()
    kept = await page.evaluate("document.activeElement.outerHTML")
    await world.feed(notice(9, "escalation", step="overdue/rung-t+3d", officer_id=CHAIR, at=world.business.now()))
    world.business.advance(seconds=60)
    await page.evaluate("htmx.trigger(document.getElementById('main'), 'again')")
    await _until(page.content, lambda text: "09:01:00 22/10/2026" in text, seen, "the page takes in what is new")
    seen.expect(await page.evaluate("document.activeElement.outerHTML") == kept, "the focus is lost")
    await page.route("**/leo-thang", lambda route: route.abort())
    await page.evaluate("htmx.trigger(document.getElementById('main'), 'again')")
    stale = page.locator("#stale")
    await _until(stale.is_visible, bool, seen, "a page that cannot be brought up to date says so")
    seen.expect(await link.is_visible(), "and keeps what it showed")
    await page.unroute("**/leo-thang")
    await page.locator("#again").click()
    await _until(stale.is_hidden, bool, seen, "tried again, it is up to date")
    await page.context.clear_cookies(name="__Host-board")
    await page.evaluate("htmx.trigger(document.getElementById('main'), 'again')")
    await _until(page.locator("#ended").is_visible, bool, seen, "a session that has ended is told")
    seen.expect(await link.is_visible(), "and the page stays")


async def _until(
    look: Callable[[], Awaitable[Any]], holds: Callable[[Any], bool], seen: Seen, what: str, seconds: float = 10
) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    is_so = holds(await look())
    while not is_so and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.05)
        is_so = holds(await look())
    seen.expect(is_so, what)


async def filled(world: World) -> None:
    """Something to see on every page."""
    await world.feed(*registry())
    await world_with_reports(world)
    await world.feed(with_form(figures=FIGURES, sums=SUMS), escalation(), overdue(DEPARTMENT, version=9))
    at = DEADLINE + timedelta(hours=1)
    await world.feed(submission(3), verdict(3), notice(4, "escalation", officer_id=CHAIR, step="overdue/rung-t", at=at))
    for person in PAGES:
        await world.account(person)


async def look(url: str, chromium: str) -> Seen:
    seen = Seen()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = World(Database(url, pool_size=6), origin=f"http://127.0.0.1:{port}")
    try:
        await filled(world)
        async with served(world, port), async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for person, paths in PAGES.items():
                for language in LANGUAGES:
                    for width in WIDTHS:
                        size = {"width": width, "height": 900}
                        page = await signed_in(browser, world, person, language, seen, viewport=size)
                        for path in paths:
                            await looked_at(page, path, width, seen)
                        print(f"{person}, {language}, {width} px: {len(paths)} pages", flush=True)
                        await page.context.close()
                page = await signed_in(browser, world, person, "vi", seen)
                for path in paths:
                    await by_keyboard(page, path, seen)
                    await printed(page, path, seen)
                await page.context.close()
            await controls(browser, world, seen)
            await sums_follow(await signed_in(browser, world, OFFICER, "vi", seen), seen)
            await stays_up_to_date(await signed_in(browser, world, CHAIR, "vi", seen), world, seen)
            await browser.close()
    finally:
        await world.database.close()
    return seen


def main() -> int:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print(
            "Thiếu chromium: apt-get install chromium, hoặc CHROMIUM=đường-dẫn / chromium is missing", file=sys.stderr
        )
        return 3
    with tempfile.TemporaryDirectory() as folder, suppress(KeyboardInterrupt):
        options = Options(directory=Path(folder), services={}, infrastructure=frozenset({"postgres"}))
        with Stack(options) as stack:
            url = create_database(stack.admin_database_url, "board", password="test-only")
            migrate("board", url)
            seen = asyncio.run(look(url, chromium))
        print(f"{seen.looks} looks, {len(seen.faults)} faults; {SHOTS.relative_to(ROOT)}")
        return 1 if seen.faults else 0
    return 130


if __name__ == "__main__":
    sys.exit(main())
