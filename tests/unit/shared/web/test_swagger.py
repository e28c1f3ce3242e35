"""The page at /docs is stock Swagger UI from our own origin; the browser runs no file but the released ones."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from shared.web import swagger
from tests.unit.shared.web.asking import ask
from tests.unit.shared.web.faulty import APP


def integrity(content: bytes) -> str:
    return "sha384-" + base64.b64encode(hashlib.sha384(content).digest()).decode()


@pytest.mark.parametrize("asset", swagger.ASSETS, ids=lambda asset: asset.name)
async def test_each_file_is_served_as_it_was_released(asset: swagger.Asset) -> None:
    answer = await ask(APP, "GET", asset.path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(asset.media_type)
    assert "immutable" in answer.headers["cache-control"]
    assert integrity(answer.content) == asset.integrity
    assert integrity(answer.content + b" ") != asset.integrity, "the control: another file has another hash"


async def test_the_page_asks_only_for_what_we_serve_and_names_the_hash_of_foreign_files() -> None:
    page = await ask(APP, "GET", "/docs")
    assert page.status_code == 200
    assert "://" not in page.text
    asked = re.findall(r'(?:src|href)="(/[^"]*)"', page.text)
    assert set(asked) == {*(asset.path for asset in swagger.ASSETS), swagger.START_PATH, "/openapi.json", "/problems"}
    for path in asked:
        assert (await ask(APP, "GET", path)).status_code == 200, path
    for asset in swagger.ASSETS:
        assert f'"{asset.path}" integrity="{asset.integrity}"' in page.text


async def test_no_script_but_our_origins_files_may_run() -> None:
    page = await ask(APP, "GET", "/docs")
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in page.headers["content-security-policy"]
    assert "<script>" not in page.text, "an inline script would be refused"
    assert not re.search(r"\son\w+=", page.text)


async def test_the_start_asks_nobody_outside() -> None:
    start = (await ask(APP, "GET", swagger.START_PATH)).text
    assert 'url: "/openapi.json"' in start
    assert "validatorUrl: null" in start, "the stock default sends the document to a server on the internet"
    assert "://" not in start


def test_a_title_is_text_and_never_markup() -> None:
    assert "<title>&lt;b&gt;</title>" in swagger.page("<b>")
