"""The rig of the board's integration tests: a province in the read model, its people, and a client like a browser."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from argon2 import PasswordHasher

from services.board.accounts.passwords import Passwords
from services.board.accounts.signing_in import Accounts, PasswordSet, Terms, invite
from services.board.acting import Actor
from services.board.consumer import inbounds
from services.board.pages.periods import Periods
from services.board.pages.routes import mount
from services.board.pages.web import Site
from services.board.periods.freezing import Freezing
from services.board.watching import Watch
from shared.access import BY_TOKENS
from shared.consuming.batch import Batch
from shared.contract.events import (
    AgencyRegistered,
    EscalationChanged,
    EventModel,
    Finding,
    LatenessStep,
    NotificationRecorded,
    NotJudged,
    ObligationChanged,
    OfficerRegistered,
    PersonRegistered,
    RegimePublished,
    StepTaken,
    SubmissionReceived,
    VerdictReached,
)
from shared.postgres.database import Database
from shared.runtime.clock import LOCAL_ZONE, ManualClock
from shared.telemetry.readiness import Readiness
from shared.web.app import create_app
from shared.web.tokens import SignersKey, SigningKey, person_of
from tests.fakes.compliance import obligation_changed
from tests.in_no_order import rows_of

ORIGIN, INTAKE_URL = "https://board.h99.example", "http://intake.h99.example:8801"
VALIDATOR_URL = "http://validator.h99.example:8802"
NOTIFIER_URL, SIGNING_KEY = "http://notifier.h99.example:8804", SigningKey.new()
#: a real intake behind the pages may be slow on a busy machine; where no answer is to come, the test says so
PATIENCE_SECONDS = 60.0
PASSWORD = "sông Hương chảy qua Huế"
PROVINCE, OFFICE, DEPARTMENT, COMMUNE = "H99", "H99.01", "H99.12", "H99.X07"
MONTHLY, QUARTERLY = "BC-THANG", "BC-QUY"
DEADLINE = datetime(2026, 10, 19, 17, 0, tzinfo=LOCAL_ZONE)
NOW = datetime(2026, 10, 22, 9, 0, tzinfo=LOCAL_ZONE)
#: person or officer -> what stands in the registry
CHAIR, CHIEF, HEAD, OFFICER, NAMED = "chair", "chief", "dept-head", "dept-officer", "dept-named"
COMMUNES = "commune-officer"
OPERATOR = "operator"
#: hashes that cost nothing: what they cost is argon2's own affair
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def agency(code: str, parent: str | None = None, **changes: Any) -> AgencyRegistered:
    base = {"code": code, "name": f"Cơ quan {code}", "kind": "department", "parent": parent, "version": 1}
    return AgencyRegistered.model_validate({**base, "opened_on": date(2020, 1, 1), **changes})


def officer(officer_id: str, agency_code: str, role: str = "reporting_officer", **changes: Any) -> OfficerRegistered:
    base = {"officer_id": officer_id, "agency": agency_code, "name": f"Nguyễn Thị {officer_id}", "role": role}
    others = {"title": "Chuyên viên", "email": f"{officer_id}@h99.example", "version": 1}
    return OfficerRegistered.model_validate({**base, **others, **changes})


def person(person_id: str, agency_code: str, *offices: Mapping[str, Any], **changes: Any) -> PersonRegistered:
    base = {"person_id": person_id, "agency": agency_code, "name": f"Lê Văn {person_id}", "offices": offices}
    return PersonRegistered.model_validate({**base, "title": "Lãnh đạo", "version": 1, **changes})


def regime(code: str, frequency: str, name: str, name_en: str) -> RegimePublished:
    fields = {"code": code, "regime_version": 1, "name": name, "name_en": name_en, "frequency": frequency}
    others = {"effective_from": "2020-01-01", "receiver": PROVINCE, "form": {}, "version": 1}
    return RegimePublished.model_validate({**fields, **others, "deadline": {"rule": "day_of_month"}})


def registry() -> list[EventModel]:
    """A province, its office, a department with a head and two officers, a commune with one; chair and chief."""
    return [
        agency(PROVINCE, kind="province", name="Ủy ban nhân dân tỉnh", name_en="Provincial People's Committee"),
        agency(OFFICE, PROVINCE, name="Văn phòng UBND tỉnh"),
        agency(DEPARTMENT, PROVINCE, name="Sở Nông nghiệp và Môi trường", name_en="Department of Agriculture"),
        agency(COMMUNE, PROVINCE, kind="commune", name="Xã Tân Lập"),
        person(CHAIR, PROVINCE, {"role": "chair", "agency": PROVINCE, "since": "2025-07-01"}),
        person(CHIEF, OFFICE, {"role": "provincial_office", "agency": PROVINCE, "since": "2025-07-01"}),
        person(OPERATOR, OFFICE, {"role": "operator", "agency": OFFICE, "since": "2025-07-01"}),
        officer(HEAD, DEPARTMENT, "head"),
        officer(OFFICER, DEPARTMENT),
        officer(NAMED, DEPARTMENT, regimes=(QUARTERLY,)),
        officer(COMMUNES, COMMUNE),
        regime(MONTHLY, "monthly", "Báo cáo tháng", "Monthly report"),
        regime(QUARTERLY, "quarterly", "Báo cáo quý", "Quarterly report"),
    ]


def changed(code: str, period: str = "2026-M10", version: int = 1, **state: Any) -> ObligationChanged:
    """An obligation in any state."""
    regime_code = state.pop("regime", MONTHLY)
    told = {"deadline": DEADLINE, "at": DEADLINE, **state}
    return obligation_changed(code, regime_code, period, version=version, **told)


def overdue(code: str, period: str = "2026-M10", version: int = 2, **state: Any) -> ObligationChanged:
    return changed(code, period, version, overdue=True, changes=("overdue", "score"), **state)


def fulfilled(code: str, period: str = "2026-M10", version: int = 3, **state: Any) -> ObligationChanged:
    return changed(code, period, version, answer_version=1, changes=("fulfilled", "score"), **state)


FINDING = Finding(
    code="SUM",
    tier="consistency",
    severity="error",
    path="/figures/A10",
    provided="12.5",
    expected="12.0",
    difference="0.5",
    message="Tổng không khớp",
    message_en="The sum differs",
    fix="Sửa A10",
    fix_en="Correct A10",
)


def submission(number: int, code: str = DEPARTMENT, period: str = "2026-M10", **changes: Any) -> SubmissionReceived:
    base = {
        "submission_id": UUID(int=number), "obligation": f"{code}/{MONTHLY}/{period}", "agency": code,
        "regime": MONTHLY, "regime_version": 1, "period": period, "version": number, "officer_id": OFFICER,
        "received_at": DEADLINE - timedelta(hours=3 - number), "sha256": f"{number:064x}",
    }  # fmt: skip
    return SubmissionReceived.model_validate({**base, **changes})


def verdict(number: int, outcome: str = "returned", *, revision: int = 1, **changes: Any) -> VerdictReached:
    findings = (FINDING,) if outcome == "returned" else ()
    report = submission(number)
    base = {
        "verdict_id": UUID(int=100 + number), "submission_id": report.submission_id, "obligation": report.obligation,
        "agency": report.agency, "regime": report.regime, "regime_version": 1, "period": report.period,
        "version": number, "officer_id": OFFICER, "received_at": report.received_at,
        "decided_at": report.received_at + timedelta(minutes=1), "outcome": outcome, "errors": len(findings),
        "warnings": 0, "required_items": 1, "present_items": 1, "findings": findings, "revision": revision,
    }  # fmt: skip
    return VerdictReached.model_validate({**base, **changes})


def not_judged(number: int) -> NotJudged:
    """Its verdict's first revision, before `verdict`."""
    given = verdict(number).model_dump(include=set(NotJudged.model_fields) - {"outcome", "errors", "findings"})
    finding = FINDING.model_copy(update={"code": "X01", "severity": "warning", "message": "Chưa kiểm tra được."})
    return NotJudged.model_validate({**given, "revision": 1, "warnings": 1, "findings": (finding,)})


def step(number: int, kind: str = "extension_requested", **changes: Any) -> StepTaken:
    base = {
        "step_id": UUID(int=200 + number), "kind": kind, "obligation": f"{DEPARTMENT}/{MONTHLY}/2026-M10",
        "agency": DEPARTMENT, "regime": MONTHLY, "regime_version": 1, "period": "2026-M10",
        "at": DEADLINE - timedelta(days=1), "by": HEAD, "role": "head", "reason": "Bão số 9",
    }  # fmt: skip
    return StepTaken.model_validate({**base, **changes})


def lateness(number: int, kind: str = "lateness_explained", **changes: Any) -> LatenessStep:
    given = step(number).model_dump(include=set(LatenessStep.model_fields))
    said = {"kind": kind, "at": DEADLINE + timedelta(days=1), "reason": "Kho bạc chốt chậm", "remedy": "Chốt sớm hơn"}
    return LatenessStep.model_validate({**given, **said, **changes})


def notice(
    number: int, kind: str = "reminder", version: int = 1, outcome: str = "sent", **changes: Any
) -> NotificationRecorded:
    return NotificationRecorded.model_validate(
        {
            "notification_id": UUID(int=300 + number), "obligation": f"{DEPARTMENT}/{MONTHLY}/2026-M10",
            "agency": DEPARTMENT, "step": "due_soon", "officer_id": OFFICER, "outcome": outcome,
            "message_id": f"<{number}@h99.example>", "attempts": 1, "at": DEADLINE - timedelta(days=3),
            "version": version, "kind": kind, **changes,
        }
    )  # fmt: skip


def escalation(version: int = 1, code: str = DEPARTMENT, period: str = "2026-M10", **state: Any) -> EscalationChanged:
    """The climb of an overdue report whose head was told as soon as it was overdue."""
    told = {"person": HEAD, "agency": code, "step": "overdue/rung-1"}
    base = {
        "obligation": f"{code}/{MONTHLY}/{period}", "agency": code, "number": 1, "ladder": "default",
        "ladder_version": 2, "opened_at": DEADLINE, "position": 1,
        "passed": [{"rung": "t", "at": DEADLINE, "told": [told]}], "next_rung": "t+3d",
        "next_role": "provincial_office", "next_at": DEADLINE + timedelta(days=4), "at": DEADLINE, "version": version,
    }  # fmt: skip
    return EscalationChanged.model_validate({**base, **state})


class Browser(httpx.AsyncClient):
    """A client that sends forms as a browser does: with its cookies, its origin and the token of the page."""

    @property
    def cookie(self) -> str | None:
        return self.cookies.get("__Host-board")

    async def send_form(
        self, path: str, fields: Mapping[str, str], *, page: str | None = None, **headers: str
    ) -> httpx.Response:
        """Post the fields from the page at `page` (usually the same address), with the token that it shows."""
        shown = await self.get(page or path)
        token = re.search(r'name="csrf" value="([^"]+)"', shown.text)
        fields = {**({"csrf": token[1]} if token else {}), **fields}
        return await self.post(path, data=fields, headers={**self.own_headers, **headers})

    @property
    def own_headers(self) -> dict[str, str]:
        return {"origin": ORIGIN, "sec-fetch-site": "same-origin"}

    async def sign_in(self, person_id: str, password: str = PASSWORD) -> httpx.Response:
        return await self.send_form("/dang-nhap", {"person_id": person_id, "password": password})


async def _ready() -> Readiness:
    return Readiness.of({})


@dataclass
class World:
    """One database, two clocks, the pages."""

    database: Database
    system: ManualClock = field(default_factory=lambda: ManualClock(datetime(2026, 10, 22, 2, tzinfo=UTC)))
    business: ManualClock = field(default_factory=lambda: ManualClock(NOW))
    #: who asked notifier or intake for what, under which key of repetitions, and their answers, in their order
    asked: list[tuple[str | None, str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    answers: list[httpx.Response | Exception] = field(default_factory=list)
    #: what intake shows by path, and who read what of it; a path that is not there is 404
    intake: dict[str, Any] = field(default_factory=dict)
    read: list[tuple[str | None, str]] = field(default_factory=list)
    #: what intake and validator answer by path and query, in the place of the others. An exception: no answer comes
    said: dict[str, httpx.Response | Exception] = field(default_factory=dict)
    behind: httpx.ASGITransport | None = None  # the real intake, where a test has one
    origin: str = ORIGIN

    def __post_init__(self) -> None:
        terms = Terms(idle=timedelta(minutes=30), session=timedelta(hours=10))
        self.accounts = Accounts(self.database, self.system, terms, Passwords(CHEAP))
        self.app = create_app("board", title="board", description="", readiness=_ready)
        actor = Actor(
            lambda: SIGNING_KEY,
            {"notifier": [NOTIFIER_URL], "intake": [INTAKE_URL], "validator": [VALIDATOR_URL]},
            self.system,
            deadline_seconds=PATIENCE_SECONDS,
            read_seconds=PATIENCE_SECONDS,
            transport=httpx.MockTransport(self._owner),
        )
        site = Site(self.database, self.accounts, self.business, self.origin, timedelta(days=180), actor)
        watch = Watch({"intake": [INTAKE_URL]}, self.system, transport=httpx.MockTransport(self._service))
        mount(self.app, site, watch, Periods(site, Freezing(self.database, self.system)))

    async def _service(self, request: httpx.Request) -> httpx.Response:
        """A service that the operators' page asks."""
        if request.url.path == "/readyz":
            return httpx.Response(503, json={"ready": False, "checks": {"kafka": {"ok": False, "detail": "is away"}}})
        return httpx.Response(200, text='thongsuot_consumer_lag_events{group="intake.follow",partition="0"} 12.0\n')

    async def _owner(self, request: httpx.Request) -> httpx.Response:
        """An owning service, which answers what the test has laid ready, and keeps what it was asked in whose name."""
        token = request.headers["authorization"].removeprefix("Bearer ")
        known = SignersKey("board", SIGNING_KEY.public, BY_TOKENS, None, None)
        service = request.url.host.partition(".")[0]
        who = person_of(token, known, service, self.system.now())
        path = request.url.raw_path.decode()
        if service == "intake" and self.behind is not None:
            return await self.behind.handle_async_request(request)
        if request.method == "GET":
            self.read.append((who, path))
            shown = self.said.get(path, self.intake.get(request.url.path))
            if isinstance(shown, Exception):
                raise shown
            if isinstance(shown, httpx.Response):
                return shown
            return httpx.Response(404, json={}) if shown is None else httpx.Response(200, json=shown)
        self.asked.append((who, path, json.loads(request.content)))
        self.keys.append(request.headers.get("idempotency-key"))
        answer = self.said[path] if path in self.said else self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def feed(self, *events: EventModel) -> None:
        """One batch for each topic, committed."""
        for inbound in inbounds():
            of_it = [event for event in events if inbound.name == event.TOPIC]
            if of_it:
                batch: Batch[Any] = Batch.of(of_it)
                async with self.database.transaction() as tx:
                    await inbound.handle(batch, tx)

    def browser(self, language: str = "vi", address: str = "192.0.2.7") -> Browser:
        transport = httpx.ASGITransport(self.app, client=(address, 50000))
        return Browser(transport=transport, base_url=ORIGIN, cookies={"lang": language})

    async def invited(self, person_id: str) -> str:
        """A link's token."""
        return await invite(self.database, person_id, by="test", now=self.system.now(), lasts=timedelta(days=3))

    async def account(self, person_id: str) -> None:
        """An account with the usual password."""
        done = await self.accounts.set_password(await self.invited(person_id), PASSWORD, "–", address="192.0.2.1")
        assert isinstance(done, PasswordSet)

    async def signed_in(self, person_id: str, **options: str) -> Browser:
        """A browser of the person, signed in."""
        await self.account(person_id)
        browser = self.browser(**options)
        answer = await browser.sign_in(person_id)
        assert answer.status_code == 303, answer.text
        return browser

    async def rows(self, statement: str, **parameters: Any) -> list[dict[str, Any]]:
        async with self.database.read_transaction() as snapshot:
            return [dict(row._mapping) for row in await rows_of(snapshot, statement, parameters)]


@asynccontextmanager
async def world_of(url: str) -> AsyncIterator[World]:
    database = Database(url, pool_size=4)
    try:
        yield World(database)
    finally:
        await database.close()
