"""Who is signed in: sessions and links, what must not begin, prolong or fake one; each protection with its control."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest

from services.board.accounts import store
from services.board.accounts.domain import FORGIVEN_AN_HOUR, FREE_FAILURES, MOST_ANYWHERE
from services.board.accounts.passwords import AT_ONCE, MOST_WAITING, Crowded, Passwords
from services.board.accounts.signing_in import PasswordSet, sha256_of
from services.board.pages.routes import SIGN_INS_AT_ONCE
from services.board.pages.web import MOST_DEVICES
from shared.postgres.database import Database, Transaction
from tests.integration.board.rig import CHAIR, CHEAP, DEPARTMENT, OFFICER, ORIGIN, PASSWORD, Browser, World, officer

WRONG = "một câu khác hẳn"


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


async def test_a_password_that_is_guessed_at_is_not_taken_for_a_while(world: World) -> None:
    await world.account(CHAIR)
    browser = world.browser()
    for _ in range(FREE_FAILURES):
        assert (await browser.sign_in(CHAIR, WRONG)).status_code == 403
    assert (await browser.sign_in(CHAIR)).status_code == 403  # the right one
    world.system.advance(seconds=31)
    assert (await browser.sign_in(CHAIR)).status_code == 303


async def test_a_known_and_an_unknown_id_are_answered_alike_byte_for_byte(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over twelve tries neither answer, nor work, nor what is counted says which ids there are."""
    await world.account(CHAIR)
    known, unknown, verify = CHAIR, "clerk", Passwords._verify
    assert len(known) == len(unknown)
    compared: list[str] = []

    def counted(self: Passwords, stored: str | None, password: str) -> bool:
        compared.append(password)
        return verify(self, stored, password)

    monkeypatch.setattr(Passwords, "_verify", counted)

    async def seen(person_id: str, address: str) -> object:
        compared.clear()
        browser, answers = world.browser(address=address), []
        for number in range(12):
            answer = await browser.sign_in(person_id, f"câu thứ {number} không phải")
            headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
            answers.append((answer.status_code, headers, answer.text.replace(person_id, "")))
        whats = await world.rows("SELECT what FROM sign_ins WHERE address = :it ORDER BY id", it=address)
        failures = await world.rows("SELECT failures FROM failures WHERE address = :it", it=address)
        return answers, len(compared), [row["what"] for row in whats], failures

    first = await seen(known, "192.0.2.20")
    assert first == await seen(unknown, "192.0.2.21")
    assert isinstance(first, tuple)
    assert (first[1], first[2]) == (12, ["wrong"] * FREE_FAILURES + ["locked"] * (12 - FREE_FAILURES))
    assert len({answer[2] for answer in first[0]}) == 1

    async def uncounted(tx: Transaction, caller: store.Caller, *others: object) -> None:
        """Negative control: as if only accounts were counted."""

    monkeypatch.setattr(store, "count", uncounted)
    assert first != await seen(unknown, "192.0.2.22")


async def test_an_attacker_at_one_address_keeps_nobody_out_at_another(world: World) -> None:
    await world.account(CHAIR)
    attacker = world.browser(address="198.51.100.9")
    for _ in range(12):
        assert (await attacker.sign_in(CHAIR, WRONG)).status_code == 403
    assert (await attacker.sign_in(CHAIR)).status_code == 403  # the control: there even the right one is not taken
    assert (await world.browser(address="192.0.2.7").sign_in(CHAIR)).status_code == 303
    shared = world.browser(address="2001:db8:1:2::1"), world.browser(address="2001:db8:1:2:ffff::2")
    for _ in range(FREE_FAILURES):
        await shared[0].sign_in(CHAIR, WRONG)
    assert (await shared[1].sign_in(CHAIR)).status_code == 403, "a /64 is one address"


async def signed_out(world: World, person_id: str, **options: str) -> Browser:
    """A browser of the person, who has signed in and out: what is left is the device."""
    browser = await world.signed_in(person_id, **options)
    assert (await browser.send_form("/dang-xuat", {}, page="/")).status_code == 303
    assert browser.cookie is None
    return browser


async def attack(world: World, person_id: str) -> None:
    """Wrong passwords from many addresses, as many as are taken at once."""
    for number in range(MOST_ANYWHERE):
        address = f"198.51.100.{number // 4}"
        assert await world.accounts.sign_in(person_id, WRONG, address=address, client="") == "wrong"
    assert await world.accounts.sign_in(person_id, WRONG, address="198.51.100.200", client="") == "locked"


async def test_a_device_that_is_known_lets_its_owner_in_beside_an_attack_from_many_addresses(world: World) -> None:
    owner, colleague = await signed_out(world, CHAIR), await signed_out(world, OFFICER, address="192.0.2.9")
    token = owner.cookies["__Host-device"]
    stored = await world.rows("SELECT CAST(d AS text) AS row FROM devices d")
    assert not [row for row in stored if token in row["row"]]
    await attack(world, CHAIR)
    strange = world.browser(address="192.0.2.8")
    assert (await strange.sign_in(CHAIR)).status_code == 403, "the control: without the cookie it is not taken"
    assert (await colleague.sign_in(CHAIR)).status_code == 403, "nor with the cookie of somebody else"
    planted = world.browser(address="192.0.2.8")
    planted.cookies.set("__Host-device", "A" * 43, domain="board.h99.example")
    assert (await planted.sign_in(CHAIR)).status_code == 403, "nor with one that was never given"
    assert (await owner.sign_in(CHAIR)).status_code == 303
    assert owner.cookies["__Host-device"] == token
    assert (await world.browser().sign_in(OFFICER)).status_code == 303, "others are not kept out"
    world.system.advance(seconds=3600 / FORGIVEN_AN_HOUR + 1)
    assert (await strange.sign_in(CHAIR)).status_code == 303  # some are forgiven


async def test_a_link_lets_its_owner_in_beside_an_attack(world: World) -> None:
    await world.account(CHAIR)
    await attack(world, CHAIR)
    browser = world.browser(address="192.0.2.8")
    assert (await browser.sign_in(CHAIR)).status_code == 403
    again = {"password": PASSWORD, "again": PASSWORD}
    assert (await browser.send_form(f"/loi-moi/{await world.invited(CHAIR)}", again)).status_code == 303
    assert (await browser.sign_in(CHAIR)).status_code == 303


async def test_a_device_is_counted_by_itself(world: World) -> None:
    """Whoever has taken the device, or its cookie, guesses no faster than others."""
    thief = await signed_out(world, CHAIR)
    for _ in range(FREE_FAILURES):
        assert (await thief.sign_in(CHAIR, WRONG)).status_code == 403
    assert (await thief.sign_in(CHAIR)).status_code == 403
    assert await world.rows("SELECT address FROM failures") == []
    assert (await world.browser().sign_in(CHAIR)).status_code == 303  # from the same address


async def test_a_browser_knows_a_device_for_each_of_its_people_and_forgets_the_oldest(world: World) -> None:
    browser = await signed_out(world, CHAIR)
    await world.account(OFFICER)
    first = browser.cookies["__Host-device"]
    assert (await browser.sign_in(OFFICER)).status_code == 303
    tokens = browser.cookies["__Host-device"].split(".")
    assert (tokens[1:], len(set(tokens))) == ([first], 2)
    whose = {bytes(row["sha256"]): row["person_id"] for row in await world.rows("SELECT * FROM devices")}
    assert [whose[sha256_of(token)] for token in tokens] == [OFFICER, CHAIR]
    others = ".".join(f"{number:043}" for number in range(20))
    browser = world.browser()
    browser.cookies.set("__Host-device", others, domain="board.h99.example")
    assert (await browser.sign_in(OFFICER)).status_code == 303
    assert len(browser.cookies["__Host-device"].split(".")) == MOST_DEVICES


async def test_closing_an_account_and_a_new_password_end_its_devices(world: World) -> None:
    await world.signed_in(CHAIR)
    await world.signed_in(OFFICER)
    before = await world.rows("SELECT sha256 FROM devices WHERE person_id = :it", it=CHAIR)
    async with world.database.transaction() as tx:
        assert await store.close(tx, OFFICER, world.system.now(), "nghỉ việc")
    await world.account(CHAIR)
    left = await world.rows("SELECT person_id, sha256 FROM devices")
    assert [row["person_id"] for row in left] == [CHAIR]  # the one on which it was set
    assert left[0]["sha256"] not in [row["sha256"] for row in before]


async def test_what_is_past_its_term_is_dropped_and_nothing_else(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.signed_in(CHAIR)
    await world.accounts.sign_in(OFFICER, WRONG, address="198.51.100.1", client="")
    counts = {}

    async def rows() -> dict[str, int]:
        return {
            table: (await world.rows(f"SELECT count(*) FROM {table}"))[0]["count"]
            for table in ("sessions", "invitations", "devices", "sign_ins", "failures")
        }

    async def pruned(**ages: timedelta) -> int:
        now = world.system.now()
        kept = {"sessions": 30, "devices": 180, "sign_ins": 365, "failures": 1}
        async with world.database.transaction() as tx:
            return await store.prune(
                tx, store.Kept(**{name: now - timedelta(days=days) for name, days in kept.items()}), limit=2
            )

    counts = await rows()
    assert counts == {"sessions": 1, "invitations": 1, "devices": 2, "sign_ins": 4, "failures": 2}
    assert await pruned() == 0
    for days, gone in ((2, {"failures"}), (35, {"sessions", "invitations"}), (150, {"devices"}), (180, {"sign_ins"})):
        world.system.advance(seconds=days * 86_400)
        while await pruned():
            pass
        counts |= dict.fromkeys(gone, 0)
        assert await rows() == counts
    monkeypatch.setattr(store, "MOST_FAILURES", 3)
    for number in range(4):
        world.system.advance(seconds=1)
        await world.accounts.sign_in(f"nobody-{number}", WRONG, address="198.51.100.1", client="")
    while await pruned():
        pass
    left = await world.rows("SELECT whom FROM failures WHERE address <> '' ORDER BY failed_at DESC")
    assert bytes(left[0]["whom"]) == sha256_of("nobody-3"), "the oldest go first"
    assert (await rows())["failures"] == 3


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


async def test_a_crowd_of_strangers_keeps_nobody_back_whose_device_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords, go_on = Passwords(CHEAP), threading.Event()
    stored = await passwords.hash(PASSWORD)
    verify = Passwords._verify

    def slow(self: Passwords, stored: str | None, password: str) -> bool:
        if stored is None:
            go_on.wait(60)
        return verify(self, stored, password)

    monkeypatch.setattr(Passwords, "_verify", slow)
    crowd = [asyncio.create_task(passwords.matches(None, "x")) for _ in range(AT_ONCE + MOST_WAITING)]
    await asyncio.sleep(0)  # all are in the line
    with pytest.raises(Crowded):  # the control
        await passwords.matches(stored, PASSWORD)
    assert await passwords.matches(stored, PASSWORD, known=True)
    go_on.set()
    assert await asyncio.gather(*crowd) == [False] * len(crowd)


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
    assert isinstance(await world.accounts.set_password(used, PASSWORD + " mới", "–", address="a"), PasswordSet)
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
