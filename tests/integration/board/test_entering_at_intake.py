"""What the form sends, a real intake takes: once, in the person's name, and shows again to be corrected."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest

from services.intake.access import keys
from shared.contract.events import SubmissionReceived
from shared.postgres.database import Database
from tests.fakes.compliance import obligation_changed
from tests.integration.board.rig import SIGNING_KEY, World
from tests.integration.intake.rig import DEPARTMENT, Province, intake, make_province, records, rows

PAGE = f"/nop/{DEPARTMENT}/KTXH/2026-M10"
TYPED = {
    "/officer": "cb-01",
    "/figures/A01": "12.50",
    "/narratives/danh_gia": "Ổn định.\r\nTiếp tục.",
    "answer": "report",
}


@pytest.fixture
async def province(migrated_database: Callable[[str], str]) -> Province:
    """A real intake's database that trusts the board."""
    made = await make_province(migrated_database("intake"))
    database = Database(made.url, pool_size=1)
    async with database.transaction() as tx:
        await keys.trust(tx, "board", SIGNING_KEY.public, datetime.now(UTC))
    await database.close()
    return made


@pytest.fixture
async def both(world: World, province: Province) -> AsyncIterator[World]:
    world.system.set(datetime.now(UTC))  # a real intake ends tokens by the real hour
    at = world.business.now()
    await world.feed(*records())
    await world.feed(
        obligation_changed(DEPARTMENT, "KTXH", "2026-M10", version=1, deadline=at + timedelta(days=1), at=at)
    )
    async with intake(province) as running:
        world.behind = httpx.ASGITransport(running.service.app)
        yield world


async def test_a_report_is_taken_once_and_shown_again_to_be_corrected(both: World, province: Province) -> None:
    both.said["/v1/validations?regime_version=1"] = httpx.Response(200, json={"findings": []})
    browser = await both.signed_in("cb-01")

    async def press(button: str, **others: str) -> httpx.Response:
        both.system.set(datetime.now(UTC))
        shown = await browser.get(PAGE)
        hidden = dict(re.findall(r'type="hidden" name="(draft|after)" value="(\d+)"', shown.text))
        return await browser.send_form(PAGE, {**hidden, **TYPED, **others, "do": button})

    checked = await press("check")
    assert "không có lỗi. Chưa gửi." in checked.text, re.findall(r'id="outcome".*?</div>', checked.text, re.DOTALL)
    assert await rows(province.url, "SELECT FROM submissions") == []
    first, again = await press("send"), await press("send")
    assert first.status_code == again.status_code == 303
    assert first.headers["location"] == again.headers["location"]
    receipt = await browser.get(first.headers["location"])
    for part in ("Đã nhận, đang kiểm tra.", "<dd>1</dd>"):
        assert part in receipt.text
    (stored,) = await rows(province.url, "SELECT submission_id, officer_id, encode(sha256, 'hex') FROM submissions")
    assert stored[1] == "cb-01"
    assert stored[2] in receipt.text
    await both.feed(
        SubmissionReceived(
            submission_id=UUID(str(stored[0])), obligation=f"{DEPARTMENT}/KTXH/2026-M10", agency=DEPARTMENT,
            regime="KTXH", regime_version=1, period="2026-M10", version=1, officer_id="cb-01",
            received_at=both.business.now(), sha256=stored[2],
        )
    )  # fmt: skip
    sent = await browser.get(PAGE + "?from=sent")
    assert "Ổn định.\nTiếp tục.</textarea>" in sent.text
    assert 'value="12.50"' in sent.text
    refused = await press("send", **{"/officer": "cb-02"})
    assert (refused.status_code, "không còn phụ trách báo cáo" in refused.text) == (422, True)
    assert 'aria-invalid="true" aria-describedby="officer:found"' in refused.text
    corrected = await press("send", **{"/figures/A01": "13"})
    assert corrected.status_code == 303
    assert len(await rows(province.url, "SELECT FROM submissions")) == 2
