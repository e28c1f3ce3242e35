"""What was typed is not lost when it could not be done now: the page of the trouble holds it, and sends it again."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import httpx
import pytest

from tests.accessible import faults
from tests.integration.board.rig import World
from tests.integration.board.test_answering import PAGE, SAID, told

REASON = "Đang <b>tổng hợp</b> từ 12 xã"
FORM = {"kind": "acknowledged", "until": "2026-10-26", "reason": REASON}
AGAIN = "Gửi lại những gì đã nhập"


def kept(page: str) -> dict[str, str]:
    """The hidden fields of the page's form."""
    return {
        name: unescape(value)
        for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page)
    }


def refused(*_: Any, **__: Any) -> Any:
    raise ConnectionRefusedError(111, "Connection refused")


@pytest.mark.parametrize("language", ["vi", "en"])
async def test_a_form_sent_while_the_database_is_away_is_sent_again_from_the_page(
    world: World, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    browser = await told(world)
    browser.cookies.set("lang", language)
    shown = kept((await browser.get(PAGE)).text)
    with monkeypatch.context() as away:
        away.setattr(world.database, "read_transaction", refused)
        away.setattr(world.database, "transaction", refused)
        failed = await browser.post(f"{PAGE}/tra-loi", data={**shown, **FORM}, headers=browser.own_headers)
    assert (failed.status_code, faults(failed.text, language)) == (503, [])
    assert world.asked == []
    assert "Retry-After" not in failed.text
    anew = re.findall(r'<p><a href="([^"]+)">', failed.text)
    assert [(await browser.get(path)).status_code for path in anew] == [200], "the page of the form, not its address"
    fields = kept(failed.text)
    assert fields["reason"] == REASON
    assert "<b>tổng" not in failed.text
    world.answers.append(httpx.Response(200, json=SAID))
    done = await browser.post(f"{PAGE}/tra-loi", data=fields, headers=browser.own_headers)
    assert (done.status_code, [body["reason"] for _, _, body in world.asked]) == (200, [REASON])


async def test_another_sites_form_is_not_shown_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = await told(world)
    monkeypatch.setattr(world.database, "read_transaction", refused)
    monkeypatch.setattr(world.database, "transaction", refused)
    foreign = {"origin": "https://x.example", "sec-fetch-site": "cross-site"}
    failed = await browser.post(f"{PAGE}/tra-loi", data=FORM, headers=foreign)
    assert failed.status_code == 503
    assert AGAIN not in failed.text
    assert REASON.partition("<")[0] not in failed.text


async def test_a_refusal_is_no_trouble_and_a_page_that_is_read_has_nothing_to_send_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = await told(world)
    bare = await browser.post(f"{PAGE}/tra-loi", data=FORM, headers=browser.own_headers)
    assert (bare.status_code, AGAIN in bare.text) == (403, False)
    monkeypatch.setattr(world.database, "read_transaction", refused)
    away = await browser.get(PAGE)
    assert (away.status_code, AGAIN in away.text) == (503, False)
