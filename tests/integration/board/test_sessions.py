"""One's own sessions: seen and ended by their owner alone."""

from __future__ import annotations

import re

from tests.accessible import faults
from tests.integration.board.rig import CHAIR, OFFICER, Browser, World

PAGE = "/phien-dang-nhap"
EDGE = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36 Edg/131.0"


async def another(world: World, person: str = CHAIR, address: str = "192.0.2.8") -> Browser:
    """A further browser of somebody who has an account."""
    browser = world.browser(address=address)
    browser.headers["user-agent"] = EDGE
    assert (await browser.sign_in(person)).status_code == 303
    return browser


async def offered(browser: Browser) -> list[str]:
    """The sessions that the page offers to end."""
    return re.findall(r'name="session" value="([0-9a-f-]{36})"', (await browser.get(PAGE)).text)


async def is_signed_in(browser: Browser) -> bool:
    return bool((await browser.get("/")).status_code == 200)


async def test_one_sees_where_one_is_signed_in_and_ends_it(world: World) -> None:
    here = await world.signed_in(CHAIR)
    lost = await another(world)
    page = (await here.get(PAGE)).text
    assert "Edge, Windows" in page
    assert "192.0.2.8" in page
    assert "Phiên này" in page
    (session,) = await offered(here)
    answer = await here.send_form(PAGE, {"session": session})
    assert answer.headers["location"] == f"{PAGE}?ended=1"
    assert not await is_signed_in(lost)
    assert await is_signed_in(here)
    assert await offered(here) == []
    shown = (await here.get(f"{PAGE}?ended=1")).text
    assert "Đã đăng xuất nơi đó." in shown
    assert "Đăng xuất nơi khác" in shown  # noted, with when and where
    assert (await here.send_form(PAGE, {"session": session})).status_code == 303  # pressed twice
    assert await world.rows("SELECT count(*) AS many FROM sign_ins WHERE what = 'revoked'") == [{"many": 1}]


async def test_all_others_end_at_once_and_nobody_elses(world: World) -> None:
    here, neighbour = await world.signed_in(CHAIR), await world.signed_in(OFFICER)
    others = [await another(world), await another(world)]
    assert len(await offered(here)) == 2
    assert (await here.send_form(PAGE, {"session": "others"})).headers["location"] == f"{PAGE}?ended=others"
    assert [await is_signed_in(browser) for browser in (here, neighbour, *others)] == [True, True, False, False]


async def test_nobody_ends_or_sees_a_session_of_another(world: World) -> None:
    here, neighbour = await world.signed_in(CHAIR), await world.signed_in(OFFICER)
    further = await another(world)
    theirs = (await offered(here))[0]
    assert await offered(neighbour) == []
    await neighbour.send_form(PAGE, {"session": theirs})
    assert await is_signed_in(further)
    await here.send_form(PAGE, {"session": theirs})  # the control: its owner may
    assert not await is_signed_in(further)
    assert (await here.send_form(PAGE, {"session": "x"})).status_code == 404


async def test_a_form_of_another_site_ends_nothing(world: World) -> None:
    here = await world.signed_in(CHAIR)
    further = await another(world)
    token = re.search(r'name="csrf" value="([^"]+)"', (await here.get(PAGE)).text)
    assert token is not None
    fields = {"csrf": token[1], "session": "others"}
    foreign = {"origin": "https://elsewhere.example", "sec-fetch-site": "cross-site"}
    assert (await here.post(PAGE, data=fields, headers=foreign)).status_code == 403
    assert (await here.post(PAGE, data={**fields, "csrf": "x"}, headers=here.own_headers)).status_code == 403
    assert await is_signed_in(further)
    assert (await here.post(PAGE, data=fields, headers=here.own_headers)).status_code == 303
    assert not await is_signed_in(further)


async def test_what_has_ended_by_rest_or_age_is_not_listed(world: World) -> None:
    here = await world.signed_in(CHAIR)
    await another(world)
    assert len(await offered(here)) == 1
    for _ in range(2):
        world.system.advance(seconds=20 * 60)
        assert await is_signed_in(here)
    assert await offered(here) == []  # the other has been at rest for forty minutes


async def test_the_page_is_read_by_keyboard_and_screen_reader(world: World) -> None:
    await world.account(CHAIR)
    for language in ("vi", "en"):
        browser = world.browser(language)
        await browser.sign_in(CHAIR)
        await another(world)
        page = await browser.get(PAGE)
        assert faults(page.text, language) == []
