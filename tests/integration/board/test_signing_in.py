"""Who is signed in: sessions and links, what must not begin, prolong or fake one; each protection with its control."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from services.board.accounts import store
from services.board.accounts.domain import FREE_FAILURES
from services.board.accounts.passwords import AT_ONCE, MOST_WAITING, Crowded, Passwords
from services.board.accounts.signing_in import sha256_of
from services.board.pages.routes import SIGN_INS_AT_ONCE
from shared.postgres.database import Database
from tests.integration.board.rig import CHAIR, CHEAP, DEPARTMENT, OFFICER, ORIGIN, PASSWORD, Browser, World, officer


async def is_signed_in(browser: Browser) -> bool:
    answer = await browser.get("/")
    assert answer.status_code in (200, 303)
    return bool(answer.status_code == 200)


async def test_signing_in_and_out(world: World) -> None:
    await world.account(CHAIR)
    browser = world.browser()
    assert (await browser.get("/bang?regime=BC-THANG")).headers[
        "location"
    ] == "/dang-nhap?next=/bang%3Fregime%3DBC-THANG"
    answer = await browser.sign_in(CHAIR)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-board=")
    assert all(part in cookie for part in ("HttpOnly", "Secure", "Path=/", "SameSite=lax"))
    assert "Domain" not in cookie
    token = browser.cookie
    assert token is not None
    assert await is_signed_in(browser)
    stored = await world.rows("SELECT CAST(s AS text) AS row FROM sessions s")
    assert token not in stored[0]["row"]  # the store could not sign anybody in
    signed_out = await browser.send_form("/dang-xuat", {}, page="/")
    assert signed_out.headers["location"] == "/dang-nhap"
    browser.cookies.set("__Host-board", token, domain="board.h99.example")  # kept by somebody
    assert not await is_signed_in(browser)
    assert [row["what"] for row in await world.rows("SELECT what FROM sign_ins ORDER BY id")] == [
        "invited", "password", "in", "out",
    ]  # fmt: skip


async def test_a_cookie_from_before_the_sign_in_never_becomes_a_session(world: World) -> None:
    """Session fixation: whoever planted it would be signed in with its victim."""
    await world.account(CHAIR)
    planted = "A" * 43
    victim = world.browser()
    victim.cookies.set("__Host-board", planted, domain="board.h99.example")
    answer = await victim.sign_in(CHAIR)
    assert answer.headers["set-cookie"].split(";")[0] != f"__Host-board={planted}"
    attacker = world.browser()
    attacker.cookies.set("__Host-board", planted, domain="board.h99.example")
    assert not await is_signed_in(attacker)


async def test_signing_in_again_makes_a_new_session_and_ends_the_old_one(world: World) -> None:
    browser = await world.signed_in(CHAIR)
    old = browser.cookie
    shown = await browser.get("/")
    token = shown.text.split('name="csrf" value="')[1].split('"')[0]
    fields = {"person_id": CHAIR, "password": PASSWORD, "csrf": token}
    assert (await browser.post("/dang-nhap", data=fields, headers=browser.own_headers)).status_code == 303
    live = await world.rows("SELECT sha256 FROM sessions WHERE ended_at IS NULL")
    assert old is not None
    assert sha256_of(old) not in [bytes(row["sha256"]) for row in live]
    assert len(live) == 1


async def test_a_session_ends_by_rest_and_by_age(world: World) -> None:
    browser = await world.signed_in(CHAIR)
    for _ in range(20):  # ten hours less a bit, never at rest for half an hour
        assert await is_signed_in(browser)
        world.system.advance(seconds=29.5 * 60)
    world.system.advance(seconds=15 * 60)
    assert not await is_signed_in(browser)  # by age
    assert (await browser.sign_in(CHAIR)).status_code == 303
    world.system.advance(seconds=31 * 60)
    assert not await is_signed_in(browser)  # by rest


async def test_a_password_that_is_guessed_at_is_not_looked_at_for_a_while(world: World) -> None:
    await world.account(CHAIR)
    browser = world.browser()
    for _ in range(FREE_FAILURES):
        answer = await browser.sign_in(CHAIR, "một câu khác hẳn")
        assert answer.status_code == 403
        assert "không đúng" in answer.text
    locked = await browser.sign_in(CHAIR)  # the right one
    assert (locked.status_code, "thử lại sau" in locked.text) == (403, True)
    world.system.advance(seconds=31)
    assert (await browser.sign_in(CHAIR)).status_code == 303


async def test_many_guesses_at_once_are_answered_no_more_than_the_free_ones(world: World) -> None:
    """All are looked at before one of them is counted; what is answered is decided one by one."""
    await world.account(CHAIR)
    wrong = [f"câu thứ {number} không phải" for number in range(FREE_FAILURES)]
    answers = await asyncio.gather(
        *(world.accounts.sign_in(CHAIR, password, address="a", client="") for password in wrong)
    )
    assert answers == ["wrong"] * FREE_FAILURES
    assert await world.accounts.sign_in(CHAIR, PASSWORD, address="a", client="") == "locked"


async def test_a_crowd_is_turned_away_before_it_holds_what_pages_need() -> None:
    passwords = Passwords(CHEAP)
    asked = [passwords.matches(None, "x") for _ in range(AT_ONCE + MOST_WAITING + 3)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(answer, Crowded) for answer in answers) == 3
    assert await passwords.matches(None, "x") is False  # the control: the line is free again


async def test_an_unknown_person_a_closed_account_and_a_wrong_password_are_told_alike(world: World) -> None:
    await world.account(CHAIR)
    await world.account(OFFICER)
    async with world.database.transaction() as tx:
        assert await store.close(tx, OFFICER, world.system.now(), "nghỉ việc")
    browser = world.browser()
    pages = []
    for person_id, password in (("nobody", PASSWORD), (OFFICER, PASSWORD), (CHAIR, "một câu khác hẳn")):
        answer = await browser.sign_in(person_id, password)
        pages.append((answer.status_code, answer.text.replace(person_id, "")))
    assert pages[0] == pages[1] == pages[2]
    assert pages[0][0] == 403


async def test_closing_an_account_ends_its_sessions(world: World) -> None:
    browser = await world.signed_in(OFFICER)
    async with world.database.transaction() as tx:
        await store.close(tx, OFFICER, world.system.now(), "nghỉ việc")
    assert not await is_signed_in(browser)


async def test_an_invitation_does_not_bring_a_closed_accounts_password_back(world: World) -> None:
    await world.account(OFFICER)
    async with world.database.transaction() as tx:
        assert await store.close(tx, OFFICER, world.system.now(), "lộ mật khẩu")
    await world.invited(OFFICER)
    assert (await world.browser().sign_in(OFFICER)).status_code == 403
    await world.account(OFFICER)
    assert (await world.browser().sign_in(OFFICER)).status_code == 303


async def test_strangers_at_once_hold_no_connection_that_another_waits_for(world: World) -> None:
    """With a connection held for each caller, as many callers as connections wait for one another until all fail."""
    world.database = Database(str(world.database.engine.url.render_as_string(hide_password=False)), pool_size=2)
    world.__post_init__()
    try:
        callers = [world.browser(address=f"192.0.2.{number}") for number in range(1, 13)]
        links = await asyncio.gather(*(browser.get("/loi-moi/x") for browser in callers))
        tries = await asyncio.gather(*(browser.sign_in("nobody") for browser in callers))
        assert {answer.status_code for answer in links} == {404}
        assert {answer.status_code for answer in tries} == {403}
    finally:
        await world.database.close()


async def test_links_are_not_guessed_at_without_end(world: World) -> None:
    browser = world.browser()
    statuses = [(await browser.get(f"/loi-moi/{number}")).status_code for number in range(31)]
    assert statuses == [404] * 30 + [429]


async def test_who_leaves_the_registry_sees_nothing_any_more(world: World) -> None:
    browser = await world.signed_in(OFFICER)
    assert await is_signed_in(browser)
    await world.feed(officer(OFFICER, DEPARTMENT, active=False, version=2))
    assert not await is_signed_in(browser)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "", "sec-fetch-site": ""}, 403),
    ],
)
async def test_a_form_is_taken_from_our_own_pages_alone(world: World, headers: dict[str, str], status: int) -> None:
    await world.account(CHAIR)
    answer = await world.browser().send_form("/dang-nhap", {"person_id": CHAIR, "password": PASSWORD}, **headers)
    assert answer.status_code == status


async def test_a_form_without_the_sessions_token_does_nothing(world: World) -> None:
    browser = await world.signed_in(CHAIR)
    for token in ("", "x" * 32):
        answer = await browser.post("/dang-xuat", data={"csrf": token}, headers=browser.own_headers)
        assert answer.status_code == 403
    bare = await browser.post("/dang-xuat", data={})
    assert bare.status_code == 403  # says nothing about where it comes from
    assert await is_signed_in(browser)


async def test_one_address_signs_in_so_often_and_no_more(world: World) -> None:
    fields = {"person_id": "nobody", "password": "x"}

    async def statuses(address: str, tries: int) -> list[int]:
        browser = world.browser(address=address)
        headers = browser.own_headers
        return [(await browser.post("/dang-nhap", data=fields, headers=headers)).status_code for _ in range(tries)]

    assert (await statuses("192.0.2.7", SIGN_INS_AT_ONCE + 5))[-1] == 429
    assert await statuses("192.0.2.8", 1) == [403]  # the control: a neighbour is not kept waiting


async def test_a_link_sets_a_password_once(world: World) -> None:
    token = await world.invited(CHAIR)
    browser = world.browser()
    page = f"/loi-moi/{token}"
    assert CHAIR in (await browser.get(page)).text
    short = await browser.send_form(page, {"password": "ngắn", "again": "ngắn"})
    assert (short.status_code, "ít nhất 12 ký tự" in short.text) == (422, True)
    unlike = await browser.send_form(page, {"password": PASSWORD, "again": PASSWORD + "!"})
    assert (unlike.status_code, "không giống nhau" in unlike.text) == (422, True)
    done = await browser.send_form(page, {"password": PASSWORD, "again": PASSWORD})
    assert done.headers["location"] == "/dang-nhap"
    again = await browser.send_form(page, {"password": PASSWORD, "again": PASSWORD})
    assert again.status_code == 404
    assert (await browser.sign_in(CHAIR)).status_code == 303
    rows = await world.rows("SELECT password_hash FROM accounts")
    assert rows[0]["password_hash"].startswith("$argon2id$")


async def test_a_link_dies_with_its_time_and_a_new_password_ends_what_the_old_one_began(world: World) -> None:
    browser = await world.signed_in(CHAIR)
    late, used = await world.invited(CHAIR), await world.invited(CHAIR)
    world.system.advance(seconds=60)
    assert await world.accounts.set_password(used, PASSWORD + " mới", "–", address="a") == []
    assert not await is_signed_in(browser)
    assert await world.accounts.invited(late) is None  # used up with the other
    old = await world.invited(CHAIR)
    world.system.advance(seconds=timedelta(days=3).total_seconds() + 1)
    assert await world.accounts.set_password(old, PASSWORD, "–", address="a") is None


async def test_after_signing_in_nobody_is_led_elsewhere(world: World) -> None:
    await world.account(CHAIR)
    fields = {"person_id": CHAIR, "password": PASSWORD}
    away = await world.browser().send_form("/dang-nhap", {**fields, "next": "//evil.example/"})
    assert away.headers["location"] == "/"
    ours = await world.browser().send_form("/dang-nhap", {**fields, "next": "/bang"})
    assert ours.headers["location"] == "/bang"
    assert ORIGIN not in ours.headers["location"]
