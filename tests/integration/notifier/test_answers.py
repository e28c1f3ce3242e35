"""The link of an escalation letter shows a page; only its button acts, once, and stops the climb for a while."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

import httpx
import pytest
from pydantic import ValidationError

from services.notifier.channels.dispatcher import MailDispatcher
from services.notifier.escalation.links import AnswerLinks
from services.notifier.ladders.commands import ladders
from services.notifier.mailing.sweep import MailingSweep
from services.notifier.main import build
from services.notifier.settings import NotifierSettings
from services.notifier.tables import metadata
from services.notifier.templates import Composer, Originator
from shared.contract.events import PersonRegistered
from shared.contract.events.registry import PersonsOffice
from shared.runtime.settings import CommonSettings, KafkaSettings
from tests.fakes.operators import let_agency_in, let_issuer_in, let_person_in
from tests.fakes.smtp import FakeSmtp
from tests.integration.notifier.rig import (
    COMMUNE,
    DEADLINE,
    DEPARTMENT,
    DOMAIN,
    World,
    fulfilled,
    officer,
    overdue,
    registry,
)
from tests.integration.notifier.test_escalations import CALENDAR, at, day, escalations

BASE, KEY = "https://thongsuot.example/notifier", "k" * 32
LINKS = AnswerLinks(BASE, KEY.encode())


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    settings = {"database_url": world.database.url, "public_url": BASE, "answer_key": KEY}
    service = build(
        settings=NotifierSettings.model_validate(settings),
        common=CommonSettings(),
        kafka=KafkaSettings(),
        clock=world.business,
    )
    transport = httpx.ASGITransport(app=service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://notifier") as made:
        yield made
    await service.database.close()


async def told(world: World, smtp: FakeSmtp) -> tuple[str, str]:
    """The head has the letter about an overdue report; the link in it, and its address here."""
    await world.feed("registry", *registry())
    await world.feed("compliance", CALENDAR, overdue())
    await at(world, DEADLINE)
    dispatcher: MailDispatcher = world.dispatcher(smtp)
    dispatcher._composer = Composer(Originator(f"khong-tra-loi@{DOMAIN}"), LINKS)
    await world.drain(dispatcher)
    letters = {taken.recipient: taken.message for taken in smtp.accepted}
    text = letters["dept-head@h99.example"].get_body(("plain",))
    assert text is not None
    found = re.findall(rf"{BASE}/v1/answers/\S+", text.get_content())
    assert len(set(found)) == 1
    for_officer = letters["dept-named@h99.example"].get_body(("plain",))
    assert for_officer is not None
    assert "/v1/answers/" not in for_officer.get_content(), "the officer is to send the report"
    return found[0], found[0].removeprefix(BASE)


async def test_the_page_changes_nothing_and_its_button_stops_the_climb_once(
    world: World, smtp: FakeSmtp, client: httpx.AsyncClient
) -> None:
    _, path = await told(world, smtp)
    before = await escalations(world)
    for _ in range(2):
        page = await client.get(path)
        assert page.status_code == 200
        for named in ("Sở Nông nghiệp và Môi trường", "Báo cáo tháng, tháng 10/2026", "Monthly report, October 2026"):
            assert named in page.text
        assert 'max="2026-10-26"' in page.text, "five working days ahead"
        assert page.headers["Cache-Control"] == "no-store"
    assert (await client.head(path)).status_code in (200, 405)
    assert await escalations(world) == before, "whoever follows the link has not answered"

    given = {"kind": "acknowledged", "until": "2026-10-26", "reason": "Đang tổng hợp"}
    answered = await client.post(path, data=given)
    assert answered.status_code == 200
    assert "tạm dừng báo lên cấp trên" in answered.text
    again = await client.post(path, data=given | {"until": "2026-10-23"})
    assert again.status_code == 409
    assert "đã được dùng" in again.text
    (one,) = await escalations(world)
    assert [(answer["by"], answer["reason"]) for answer in one["document"]["answers"]] == [
        ("dept-head", "Đang tổng hợp")
    ]
    await at(world, day(23))
    steps = {row["step"] for row in await world.ledger()}
    assert "overdue/rung-t+3d" not in steps, "promised until the 26th"
    await at(world, day(26))
    assert "overdue/rung-t+3d" in {row["step"] for row in await world.ledger()}


async def test_an_answer_is_taken_back_once_and_the_climb_goes_on(
    world: World, smtp: FakeSmtp, client: httpx.AsyncClient
) -> None:
    _, path = await told(world, smtp)
    await client.post(path, data={"kind": "snoozed", "until": "2026-10-26", "reason": "Chờ số liệu"})
    await at(world, day(23))
    assert (await client.post(path, data={"kind": "taken_back"})).status_code == 200
    await at(world, world.business.now())
    assert "overdue/rung-t+3d" in {row["step"] for row in await world.ledger()}
    assert (await client.post(path, data={"kind": "taken_back"})).status_code == 409
    assert "rút lại" in (await client.get(path)).text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "acknowledged"}, "Hãy chọn ngày"),
        ({"kind": "acknowledged", "until": "soon"}, "Hãy chọn ngày"),
        ({"kind": "acknowledged", "until": "2026-10-19"}, "sau hôm nay"),
        ({"kind": "acknowledged", "until": "2026-11-26"}, "quá xa"),
        ({"kind": "snoozed", "until": "2026-10-22"}, "lý do"),
        ({"kind": "snoozed", "until": "2026-10-22", "reason": "\x1b[2Jxóa"}, "ký tự điều khiển"),
        ({"kind": "snoozed", "until": "2026-10-22", "reason": "a\u202eb"}, "ký tự ẩn"),
        ({"kind": "snoozed", "until": "2026-10-22", "reason": "Tối mật: kế hoạch"}, "độ mật"),
        ({"kind": "taken_back"}, "rút"),
    ],
)
async def test_an_answer_that_does_not_hold_is_refused_in_words(
    world: World, smtp: FakeSmtp, client: httpx.AsyncClient, given: dict[str, str], said: str
) -> None:
    _, path = await told(world, smtp)
    before = await escalations(world)
    answer = await client.post(path, data=given)
    assert answer.status_code == 409
    assert said in answer.text
    assert await escalations(world) == before


async def test_a_link_that_is_not_ours_and_one_of_what_is_over_act_on_nothing(
    world: World, smtp: FakeSmtp, client: httpx.AsyncClient
) -> None:
    _, path = await told(world, smtp)
    forged = AnswerLinks(BASE, b"x" * 32).of(LINKS.read(path.rpartition("/")[2]) or uuid4()).removeprefix(BASE)
    unknown = LINKS.of(uuid4()).removeprefix(BASE)
    for wrong in (forged, unknown, path[:-1], path + "A", "/v1/answers/x", path.upper()):
        assert (await client.get(wrong)).status_code == 404, wrong
        assert (await client.post(wrong, data={"kind": "acknowledged", "until": "2026-10-22"})).status_code == 404
    await world.feed("compliance", fulfilled())
    assert "không cần trả lời" in (await client.get(path)).text
    late = await client.post(path, data={"kind": "acknowledged", "until": "2026-10-22"})
    assert late.status_code == 409
    assert (await escalations(world))[0]["document"]["answers"] == []


def head_of(agency: str, person_id: str) -> PersonRegistered:
    office = PersonsOffice(role="head", agency=agency, since=date(2020, 1, 1))
    return PersonRegistered(
        person_id=person_id, agency=agency, name="Thủ Trưởng", offices=(office,), version=1, title="", contacts=()
    )


async def test_who_was_told_answers_with_a_key_of_their_own_once_and_nobody_else_does(
    world: World, smtp: FakeSmtp, client: httpx.AsyncClient
) -> None:
    await told(world, smtp)
    url = world.database.url
    head = await let_person_in(url, metadata, head_of(DEPARTMENT, "dept-head"), "submit")
    other = await let_person_in(url, metadata, head_of(COMMUNE, "x"), "submit")
    (shown,) = (await client.get("/v1/escalations", headers=head)).json()["items"]
    assert (shown["person"], shown["agency_name"]) == ("dept-head", "Sở Nông nghiệp và Môi trường")
    assert (shown["regime_name"], shown["last_day"], shown["answers"]) == ("Báo cáo tháng", "2026-10-26", [])
    path = f"/v1/escalations/{shown['notification_id']}/answers"
    given = {"kind": "acknowledged", "until": "2026-10-26", "reason": "Đang tổng hợp"}
    for key in (other, await let_agency_in(url, metadata, COMMUNE)):
        assert (await client.get("/v1/escalations", headers=key)).json()["items"] == []
        assert (await client.post(path, json=given, headers=key)).status_code == 404
    assert (await client.post(path, json=given)).status_code == 401
    answered = await client.post(path, json=given, headers=head)
    assert answered.status_code == 200, answered.text
    assert [(one["by"], one["via"], one["reason"]) for one in answered.json()["answers"]] == [
        ("dept-head", "", "Đang tổng hợp")
    ]
    again = await client.post(path, json=given, headers=head)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
    another = await client.post(path, json=given | {"until": "2026-10-23"}, headers=head)
    assert (another.status_code, another.json()["reason"]) == (409, "answered")
    (one,) = await escalations(world)
    assert len(one["document"]["answers"]) == 1


async def test_a_token_of_the_board_answers_for_the_head_it_names(
    world: World, smtp: FakeSmtp, client: httpx.AsyncClient
) -> None:
    await told(world, smtp)
    sign = await let_issuer_in(world.database.url, metadata, "board", [officer("dept-head", DEPARTMENT, role="head")])

    def by(person_id: str, service: str = "notifier") -> dict[str, str]:
        return {"Authorization": f"Bearer {sign.token('board', person_id, service, datetime.now(UTC))}"}

    (shown,) = (await client.get("/v1/escalations", headers=by("dept-head"))).json()["items"]
    path = f"/v1/escalations/{shown['notification_id']}/answers"
    given = {"kind": "acknowledged", "until": "2026-10-26"}
    for headers, status in ((by("dept-head", "intake"), 401), (by("nobody"), 401), (by("dept-head"), 200)):
        answered = await client.post(path, json=given, headers=headers)
        assert answered.status_code == status, answered.text
    assert [(one["by"], one["via"]) for one in answered.json()["answers"]] == [("dept-head", "")]


async def test_an_agencys_system_answers_for_its_people_and_takes_it_back(
    world: World, smtp: FakeSmtp, client: httpx.AsyncClient
) -> None:
    await told(world, smtp)
    key = await let_agency_in(world.database.url, metadata, DEPARTMENT)
    (shown,) = (await client.get("/v1/escalations", headers=key)).json()["items"]
    path = f"/v1/escalations/{shown['notification_id']}/answers"
    for wrong, pointer in (({}, "/until"), ({"until": "2026-11-26"}, "/until"), ({"until": "2026-10-22"}, "/reason")):
        refused = await client.post(path, json={"kind": "snoozed", **wrong}, headers=key)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)
        assert ("26/10/2026" in refused.json()["errors"][0]["fix"]) is ("11-26" in str(wrong)), "the last day is told"
    given = {"kind": "snoozed", "until": "2026-10-26", "reason": "Chờ số liệu"}
    hidden = await client.post(path, json=given | {"reason": "a\u202eb"}, headers=key)
    assert [one["pointer"] for one in hidden.json()["errors"]] == ["/reason"]
    assert (await client.post(path, json=given, headers=key)).json()["answers"][0]["via"] == DEPARTMENT
    far = {"kind": "taken_back", "until": "9999-12-31"}
    back = await client.post(path, json=far, headers=key)
    assert back.json()["answers"][1]["until"] is None, "who takes an answer back promises nothing"
    assert (await client.post(path, json=far, headers=key)).headers["Idempotent-Replayed"] == "true"
    assert [one["kind"] for one in back.json()["answers"]] == ["snoozed", "taken_back"]
    await world.feed("compliance", fulfilled())
    late = await client.post(path, json=given, headers=key)
    assert late.status_code == 409
    assert (await client.get("/v1/escalations", headers=key)).json()["items"] == []


async def test_who_was_told_hands_it_on_within_reach_and_that_person_is_told_and_may_answer(
    world: World, smtp: FakeSmtp, client: httpx.AsyncClient
) -> None:
    await told(world, smtp)
    url = world.database.url
    head = await let_person_in(url, metadata, head_of(DEPARTMENT, "dept-head"), "submit")
    (shown,) = (await client.get("/v1/escalations", headers=head)).json()["items"]
    path = f"/v1/escalations/{shown['notification_id']}/handing-on"
    given = {"to": "dept-any", "reason": "Phụ trách số liệu"}
    for wrong, status in (
        ({**given, "to": "nobody"}, 422),
        ({**given, "to": "commune-any"}, 422),  # another agency
        ({**given, "to": "chair"}, 422),  # above
        ({**given, "to": "dept-head"}, 409),  # told already
        ({**given, "reason": " "}, 422),
    ):
        assert (await client.post(path, json=wrong, headers=head)).status_code == status, wrong
    other = await let_agency_in(url, metadata, COMMUNE)
    assert (await client.post(path, json=given, headers=other)).status_code == 404
    before = await escalations(world)
    answer = await client.post(path, json=given, headers=head)
    assert answer.status_code == 200, answer.text
    [handed] = answer.json()["handed_on"]
    assert (handed["by"], handed["to"], handed["reason"]) == ("dept-head", "dept-any", "Phụ trách số liệu")
    again = await client.post(path, json=given, headers=head)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
    assert (await escalations(world))[0]["next_at"] == before[0]["next_at"], "the climb goes on as it did"
    [row] = [row for row in await world.ledger() if row["officer_id"] == "dept-any"]
    assert (row["kind"], row["step"]) == ("escalation", "overdue/rung-t/to-dept-any")
    smtp.accepted.clear()
    world.business.advance(seconds=15 * 3600 + 15 * 60)  # in the morning the window opens
    async with world.database.transaction() as tx:
        await MailingSweep(world.business, world.system).tick(tx)
    await world.drain(world.dispatcher(smtp))
    [letter] = smtp.accepted
    text = letter.message.get_body(("plain",))
    assert text is not None
    assert "Nguyễn Thị dept-head, Chuyên viên chuyển việc này tới Ông/Bà: Phụ trách số liệu" in text.get_content()
    mine = await let_person_in(url, metadata, head_of(DEPARTMENT, "dept-any"), "submit")
    (own,) = (await client.get("/v1/escalations", headers=mine)).json()["items"]
    noted = await client.post(
        f"/v1/escalations/{own['notification_id']}/answers",
        json={"kind": "acknowledged", "until": "2026-10-26"}, headers=mine,
    )  # fmt: skip
    assert noted.json()["answers"][0]["by"] == "dept-any"
    await world.feed("compliance", fulfilled())
    ended = {row["officer_id"] for row in await world.ledger() if row["kind"] == "resolved"}
    assert ended == {"dept-head", "dept-any"}, "both hear that it is over"


async def test_an_operator_hands_it_on_by_command_for_the_person_who_was_told(
    world: World, smtp: FakeSmtp, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await told(world, smtp)
    monkeypatch.setattr("services.notifier.ladders.commands.database_url", lambda _: world.database.url)
    monkeypatch.setenv("NOTIFIER_DATABASE_URL", world.database.url)
    [notice] = [str(row["id"]) for row in await world.ledger() if row["officer_id"] == "dept-head"]
    order = ["hand-on", notice, "--to", "dept-any", "--reason", "nghỉ phép", "--by", "an"]
    assert await asyncio.to_thread(ladders, order) == 0
    (one,) = await escalations(world)
    [handed] = one["document"]["handed_on"]
    assert (handed["by"], handed["via"], handed["told"]["person"]) == ("dept-head", "an", "dept-any")
    assert await asyncio.to_thread(ladders, order) == 1
    assert "đã được báo" in capsys.readouterr().out


def test_a_link_is_read_only_by_the_key_that_made_it() -> None:
    notice = UUID(int=7)
    token = LINKS.of(notice).rpartition("/")[2]
    assert LINKS.read(token) == notice
    assert AnswerLinks(BASE, b"x" * 32).read(token) is None
    assert LINKS.read(token.replace("7", "8", 1)) is None


def test_links_are_not_made_with_a_short_key() -> None:
    with pytest.raises(ValidationError, match="NOTIFIER_ANSWER_KEY"):
        NotifierSettings.model_validate({"database_url": "postgresql://x@y/z", "public_url": BASE, "answer_key": "k"})
    assert NotifierSettings.model_validate({"database_url": "postgresql://x@y/z"}).answer_links() is None
