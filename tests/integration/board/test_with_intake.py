"""The board beside the real intake: what people do on pages is stored there, in their name and by its own rules."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx

from services.intake.access import keys
from shared.contract.events import FigureField, Form
from shared.postgres.database import Database
from tests.integration.board.rig import SIGNING_KEY, Browser, World
from tests.integration.intake.rig import DEPARTMENT, NOW, intake, load, make_province, records, regime, rows
from tests.integration.intake.test_following import apply, changed, verdict
from tests.integration.intake.test_lifecycle import sent
from tests.integration.intake.test_principals import person

EVIDENCE = f"/nghia-vu/{DEPARTMENT}/KTXH/2026-M10"
PEOPLE = [
    person("chu-tich", "chair", "H99"),
    person("thu-truong", "head", DEPARTMENT),
    person("so", "reporting_officer", DEPARTMENT),
]
FORM = Form(figures=(FigureField(code="A01", label="Thu ngân sách", label_en="Revenue", fraction_digits=2),))


async def act(browser: Browser, page: str, **fields: str) -> tuple[int, str]:
    """Send a form of the page with its hidden fields: the status, and where it leads."""
    once = re.findall(r'name="once" value="([0-9a-f]{32})"', (await browser.get(page)).text)[0]
    done = await browser.send_form(page, {"once": once, **fields})
    return done.status_code, done.headers.get("location", "").partition("?")[0]


async def waiting(browser: Browser) -> list[str]:
    """Where the list of what waits leads."""
    return re.findall(r'<th scope="row"><a href="([^"]+)"', (await browser.get("/duyet")).text)


async def test_time_is_granted_a_report_certified_and_approved(
    world: World, migrated_database: Callable[[str], str]
) -> None:
    province = await make_province(migrated_database("intake"))
    asking = regime(
        certification="head", review="required", regime_version=2, replaces=1, replaces_reason="x", form=FORM
    )  # fmt: skip
    await load(province.url, [*records(), *PEOPLE, asking])
    database = Database(province.url, pool_size=1)
    async with database.transaction() as tx:
        await keys.trust(tx, "board", SIGNING_KEY.public, datetime.now(UTC))
    await database.close()
    world.system.set(datetime.now(UTC))  # intake looks at its own clock whether a token is alive
    world.business.set(NOW)
    state = changed(DEPARTMENT, version=1, regime_version=2, deadline=NOW + timedelta(days=2))
    await world.feed(*records(), *PEOPLE, asking, state)
    async with intake(province) as client:
        world.behind = httpx.ASGITransport(client.service.app)
        await apply(province.url, [state])
        chair, head, officer = [await world.signed_in(one.person_id) for one in PEOPLE]
        wish = {"step": "gia-han", "until": "2026-10-25T17:00", "reason": "Mất điện"}
        assert await act(officer, f"{EVIDENCE}/de-nghi", **wish) == (303, EVIDENCE)
        (request,) = await waiting(chair)
        assert request.startswith(f"{EVIDENCE}/de-nghi/gia-han/")
        grant = {"step": "quyet-dinh", "decision": "grant", "until": "2026-10-24T17:00", "reason": "Đồng ý"}
        assert await act(chair, request, **{**grant, "until": "mai"}) == (422, ""), "intake says what is wrong"
        assert await act(chair, request, **grant) == (303, "/duyet")
        assert await waiting(chair) == []

        submission = await sent(client, figures={"A01": "12.50"}, narratives={})
        await apply(province.url, [verdict(submission, regime_version=2)])
        page = f"{EVIDENCE}/phien-ban/{submission}"
        assert (await waiting(head), await waiting(chair)) == ([page], [])
        shown = (await head.get(page)).text
        assert [part for part in ("Thu ngân sách", "12.50", 'value="ky"', 'value="rut"') if part not in shown] == []
        early = await chair.send_form(page, {"step": "duyet", "decision": "approve", "reason": ""})
        assert (early.status_code, "chưa được ký xác nhận" in early.text) == (409, True)
        assert await act(head, page, step="ky", reason="") == (303, "/duyet")
        assert (await waiting(head), await waiting(chair)) == ([], [page])
        assert await act(chair, page, step="duyet", decision="approve", reason="") == (303, "/duyet")
        assert await waiting(chair) == []
    taken = await rows(province.url, "SELECT kind, taken_by, role, submission_id FROM steps ORDER BY at")
    assert [tuple(row) for row in taken] == [
        ("extension_requested", "so", "reporting_officer", None),
        ("extension_granted", "chu-tich", "chair", None),
        ("certified", "thu-truong", "head", UUID(submission)),
        ("approved", "chu-tich", "chair", UUID(submission)),
    ]
