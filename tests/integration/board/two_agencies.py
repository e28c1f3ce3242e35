"""Two agencies with something of everything, at a real intake and on the board before it; a session of every role."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from services.intake.access import keys
from shared.contract.events import MODELS, EventModel, Finding
from shared.contract.subscriptions import FOLLOWS
from shared.postgres.database import Database
from tests.fakes.compliance import obligation_changed
from tests.integration.board.rig import SIGNING_KEY, Browser, World, escalation, notice, world_of
from tests.integration.intake.rig import (
    COMMUNE,
    DEPARTMENT,
    NOW,
    Intake,
    Province,
    intake,
    load,
    make_province,
    records,
    report,
    rows,
)
from tests.integration.intake.test_following import apply, changed, verdict
from tests.integration.intake.test_principals import person
from tests.integration.intake.test_waivers import asked as waiver

REGIME, LAST, MONTH, NEXT = "KTXH", "2026-M09", "2026-M10", "2026-M11"
#: what only one of the two agencies owes: a regime and a period
ALONE = {DEPARTMENT: ("TUAN", "2026-W43"), COMMUNE: ("THIENTAI", "DX-2026-002")}
OFFICERS = {DEPARTMENT: "cb-01", COMMUNE: "cb-50"}
HEADS = {DEPARTMENT: "giam-doc", COMMUNE: "chu-tich-xa"}
REVIEWERS = {DEPARTMENT: "duyet-so", COMMUNE: "duyet-xa"}
BOTH = frozenset({DEPARTMENT, COMMUNE})


@dataclass(frozen=True)
class Who:
    """Whose session it is, and the agencies for which the person may what. regimes: under these alone; empty: all."""

    person: str
    sends: frozenset[str] = frozenset()
    reviews: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()
    regimes: frozenset[str] = frozenset()
    runs: bool = False  # operates or administers the system

    def may(self, right: str, agency: str, regime: str = "") -> bool:
        """Whether the person `sends`, sends or reviews (`acts`), or `sees` what the agency has under the regime (none
        named: under any), or sees the `whole` of it.
        """
        acts = self.sends | self.reviews
        reached = {"sends": self.sends, "acts": acts}.get(right, acts | self.reads)
        limited = self.regimes and (right == "whole" or (regime and regime not in self.regimes))
        return agency in reached and not limited


ALWAYS: dict[str, Any] = {}
PEOPLE = [
    *(
        person(name, role, code, **limits).model_copy(update={"agency": code})
        for name, role, code, limits in (
            ("chu-tich", "chair", "H99", ALWAYS),
            ("vp", "provincial_office", "H99", ALWAYS),
            ("duyet", "reviewer", "H99", ALWAYS),
            ("quan-tri", "administrator", "H99", ALWAYS),
            ("van-hanh", "operator", "H99", ALWAYS),
            ("cu", "chair", "H99", {"until": "2026-09-30"}),
            ("rieng", "reporting_officer", DEPARTMENT, {"regimes": (ALONE[DEPARTMENT][0],)}),
            *((name, "head", code, ALWAYS) for code, name in HEADS.items()),
            *((name, "reviewer", code, ALWAYS) for code, name in REVIEWERS.items()),
        )
    )
]
SESSIONS = [
    Who(OFFICERS[DEPARTMENT], sends=frozenset({DEPARTMENT})),
    *(Who(HEADS[code], sends=frozenset({code})) for code in sorted(BOTH)),
    *(Who(REVIEWERS[code], reviews=frozenset({code})) for code in sorted(BOTH)),
    Who("rieng", sends=frozenset({DEPARTMENT}), regimes=frozenset({ALONE[DEPARTMENT][0]})),
    *(Who(one, reviews=BOTH) for one in ("duyet", "vp", "chu-tich")),
    Who("quan-tri", reads=BOTH, runs=True),
    Who("van-hanh", runs=True),
    Who("cu"),
]


@dataclass
class Owned:
    """What an agency has, by id."""

    agency: str
    submission: str
    extension: str
    explanation: str
    appeal: str
    waiver: str
    notice: str
    figures: str = ""

    @property
    def ids(self) -> list[str]:
        return [self.submission, self.extension, self.explanation, self.appeal, self.waiver, self.notice, self.figures]


@dataclass
class Both:
    """The board and the intake behind it, and what the two agencies have there."""

    world: World
    intake: Intake
    owned: dict[str, Owned] = field(default_factory=dict)
    browsers: dict[str, Browser] = field(default_factory=dict)
    sent: dict[str, str] = field(default_factory=dict)  # more reports that a test sends

    async def csrf(self, who: str) -> str:
        """What forms of this session carry."""
        found = re.search(r'name="csrf" value="([^"]+)"', (await self.browsers[who].get("/phien-dang-nhap")).text)
        assert found is not None
        return found[1]

    async def stored(self) -> list[int]:
        """How much the two stores hold of what people do."""
        counted = [
            (await rows(self.intake.province.url, f"SELECT count(*) AS n FROM {table}"))[0].n
            for table in ("submissions", "steps", "waiver_requests")
        ]
        drafts, figures = [
            (await self.world.rows(f"SELECT count(*) AS n FROM {table}"))[0]["n"]
            for table in ("drafts", "period_figures")
        ]
        return [*counted, drafts, figures]


@asynccontextmanager
async def two_agencies(migrated_database: Callable[[str], str]) -> AsyncIterator[Both]:
    """Everybody is signed in; a token lives as long as the test."""
    province = await make_province(migrated_database("intake"))
    await load(province.url, PEOPLE)
    await _trust(province)
    async with (
        world_of(migrated_database("board")) as world,
        intake(province, agency_burst_milliseconds=1e9) as running,
    ):
        world.system.set(datetime.now(UTC))
        world.business.set(NOW)
        world.behind = httpx.ASGITransport(running.service.app)
        both = Both(world, running)
        await world.feed(*records(), *PEOPLE)
        for number, code in enumerate(sorted(BOTH), 1):
            both.owned[code] = await _owned(both, code, number)
        await follow(both)
        for who in SESSIONS:
            both.browsers[who.person] = await world.signed_in(who.person)
        for code, reviewer in REVIEWERS.items():
            frozen = await both.browsers[reviewer].send_form(f"/ky/{MONTH}/chot", {}, page=f"/ky/{MONTH}")
            both.owned[code].figures = frozen.headers["location"].rpartition("/")[2]
        yield both


async def _trust(province: Province) -> None:
    database = Database(province.url, pool_size=1)
    async with database.transaction() as tx:
        await keys.trust(tx, "board", SIGNING_KEY.public, datetime.now(UTC))
    await database.close()


async def _owned(both: Both, code: str, number: int) -> Owned:
    """A report with an explanation and an appeal; an extension, a waiver; an escalation of last month's."""
    client, officer = both.intake, OFFICERS[code]

    async def post(path: str, body: Any) -> dict[str, Any]:
        answer = await client.client.post(path, json=body, headers=client.headers(code))
        assert answer.status_code == 201, (path, answer.text)
        return answer.json()  # type: ignore[no-any-return]

    sent = str((await post("/v1/submissions", report(officer=officer)))["submission_id"])
    finding = Finding(
        code="N06", tier="narrative", severity="warning", path="/narratives/danh_gia", message="Ngắn.",
        message_en="Short.", fix="Viết thêm.", fix_en="Write more.", weight="confirm",
    )  # fmt: skip
    judged = verdict(sent, agency=code, officer_id=officer, warnings=1, findings=(finding,))
    regime, period = ALONE[code]
    states = [
        changed(code, LAST, version=1, overdue=True, changes=("overdue", "score"), deadline=NOW - timedelta(days=20)),
        changed(code, MONTH, version=1, answer_version=1),
        changed(code, NEXT, version=1, deadline=NOW + timedelta(days=20)),
        obligation_changed(code, regime, period, version=1, deadline=NOW + timedelta(days=3), at=NOW),
    ]
    told = notice(number, "escalation", obligation=f"{code}/{REGIME}/{LAST}", agency=code, officer_id=HEADS[code])
    climb = escalation(code=code, period=LAST, obligation=f"{code}/{REGIME}/{LAST}")
    await apply(client.province.url, [judged, *states])
    await both.world.feed(judged, *states, told, climb)
    made = [
        await post(f"/v1/submissions/{sent}/explanation", {"reason": "Kỳ này không có đợt kiểm tra."}),
        await post(f"/v1/submissions/{sent}/appeals", {"reason": "Đúng theo biểu mẫu"}),
        await post(
            f"/v1/obligations/{REGIME}/{NEXT}/extensions",
            {"reason": "Mất điện", "until": (NOW + timedelta(days=30)).isoformat()},
        ),
    ]
    waived = await post("/v1/waivers", waiver(asked_by=officer))
    explanation, appeal, extension = (str(one["step_id"]) for one in made)
    return Owned(code, sent, extension, explanation, appeal, str(waived["waiver_id"]), str(told.notification_id))


async def follow(both: Both) -> None:
    """The board hears of what intake has published of reports and steps."""
    found = await rows(
        both.intake.province.url, "SELECT type, body FROM outbox WHERE topic = 'submissions' ORDER BY id"
    )
    events: list[EventModel] = [MODELS[row.type].model_validate_json(bytes(row.body)) for row in found]
    await both.world.feed(*(event for event in events if isinstance(event, FOLLOWS["board"])))
