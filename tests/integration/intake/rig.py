"""A small registry and an intake instance for tests: the same records everywhere, real PostgreSQL underneath."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import httpx

from services.intake.access import keys
from services.intake.audit.domain import Author
from services.intake.main import build
from services.intake.registry import load as loading
from services.intake.registry.gate import Proposal
from services.intake.registry.records import content_of, kind_of
from services.intake.registry.source import Source
from services.intake.settings import IntakeSettings
from services.intake.submissions import handlers
from services.intake.submissions.group_commit import Accept
from shared.contract.events import (
    AgencyRegistered,
    Deadline,
    FigureField,
    Form,
    NarrativeField,
    OfficerRegistered,
    RegimePublished,
    RegistryEvent,
    RequestIssued,
)
from shared.postgres.database import Database
from shared.runtime.clock import LOCAL_ZONE, ManualClock
from shared.runtime.settings import CommonSettings
from shared.web.authentication import new_key
from tests.in_no_order import rows_of

#: a moment at which 2026-M10 (15/9 to 14/10) has begun and 2026-M12 has not
NOW = datetime(2026, 10, 20, 9, 30, tzinfo=LOCAL_ZONE)
#: of an operator, in every province
OPERATOR_KEY = new_key()
AUTHOR = Author("the tests", "a province to test with")
DEPARTMENT, COMMUNE, OFFICE, DISTRICT = "H99.01", "H99.50", "H99.02", "H99.90"


def agency(code: str, kind: str = "department", **others: Any) -> AgencyRegistered:
    record = {"code": code, "name": f"Cơ quan {code}", "kind": kind, "opened_on": date(2020, 1, 1), "version": 0}
    return AgencyRegistered.model_validate({**record, **others})


def officer(officer_id: str, of: str, **others: Any) -> OfficerRegistered:
    record = {
        "officer_id": officer_id, "agency": of, "name": "Nguyễn Văn A", "email": f"{officer_id}@example.vn",
        "role": "reporting_officer", "version": 0,
    }  # fmt: skip
    return OfficerRegistered.model_validate({**record, **others})


def regime(code: str = "KTXH", **others: Any) -> RegimePublished:
    record = {
        "code": code, "regime_version": 1, "name": "Báo cáo kinh tế – xã hội", "frequency": "monthly",
        "effective_from": date(2020, 1, 1), "submitter_kinds": ("department", "commune", "district"),
        "receiver": OFFICE, "deadline": Deadline(rule="day_of_month"), "version": 0,
        "form": Form(
            figures=(FigureField(code="A01", label="Thu ngân sách", fraction_digits=2),),
            narratives=(NarrativeField(code="danh_gia", label="Đánh giá"),),
        ),
    }  # fmt: skip
    return RegimePublished.model_validate({**record, **others})


def request(request_id: str = "DX-2026-001", **others: Any) -> RequestIssued:
    record = {
        "request_id": request_id, "regime": "THIENTAI", "title": "Báo cáo bão",
        "issued_at": datetime(2026, 10, 1, 8, tzinfo=LOCAL_ZONE),
        "deadline": datetime(2026, 10, 25, 17, tzinfo=LOCAL_ZONE), "version": 0,
    }  # fmt: skip
    return RequestIssued.model_validate({**record, **others})


def records() -> list[RegistryEvent]:
    """One province: two agencies that report, an office that receives, a district closed on 30/6/2025."""
    return [
        agency("H99", "province"),
        agency(DEPARTMENT, parent="H99"),
        agency(OFFICE, "office", parent="H99"),
        agency(COMMUNE, "commune", parent="H99"),
        agency(DISTRICT, "district", parent="H99", closed_on=date(2025, 6, 30), successors=(COMMUNE,)),
        officer("cb-01", DEPARTMENT),
        officer("cb-02", DEPARTMENT, active=False),
        officer("cb-50", COMMUNE),
        officer("cb-90", DISTRICT),
        regime(),
        regime("TUAN", frequency="weekly", deadline=Deadline(rule="weekday"), submitter_kinds=("department",)),
        regime("THIENTAI", frequency="adhoc", deadline=Deadline(rule="on_request")),
        request(),
        request("DX-2026-002", agencies=(COMMUNE,)),
    ]


def proposed(found: Sequence[RegistryEvent]) -> list[Proposal]:
    """The records as a file would propose them, each on the line of its number."""
    marks = {f"/{number}": (number, 1) for number in range(len(found) + 1)}
    return [
        Proposal(kind_of(record.key), content_of(record), Source("test.yaml", f"/{number}", marks))
        for number, record in enumerate(found, 1)
    ]


@dataclass(frozen=True)
class Province:
    """A loaded registry and one key of each agency that has one."""

    url: str
    keys: dict[str, str]


async def load(url: str, found: Sequence[RegistryEvent]) -> loading.Loaded:
    database = Database(url, pool_size=1)
    try:
        while True:
            async with database.read_transaction() as tx:
                draft = await loading.draft(tx, proposed(found), NOW, past_requests=True)
            try:
                async with database.transaction() as tx:
                    return await loading.save(tx, draft, datetime.now(UTC), AUTHOR)
            except loading.RegistryMoved:
                continue
    finally:
        await database.close()


async def make_keys(url: str, agencies: Sequence[str], expires_at: datetime | None = None) -> dict[str, str]:
    """A new key for each agency, or none. Raises KeyRefused for the first that cannot have one."""
    database = Database(url, pool_size=1)
    try:
        async with database.transaction() as tx:
            owners = [keys.owner("agency", code) for code in agencies]
            made, refused = await keys.issue(tx, owners, datetime.now(UTC), expires_at)
            for reason in refused.values():
                raise reason
        return {owner.id: key.secret_text for owner, key in made.items()}
    finally:
        await database.close()


async def keep_operator_key(url: str) -> None:
    from sqlalchemy import text

    database = Database(url, pool_size=1)
    try:
        async with database.transaction() as tx:
            await tx.execute(
                text("""
                    INSERT INTO api_keys (key_id, principal_kind, principal_id, scopes, sha256, created_at, version,
                                          revision)
                    VALUES (:key_id, 'operator', 'operator', '{operate}', :sha256, now(), 1, 1)
                """),
                {"key_id": OPERATOR_KEY.key_id, "sha256": OPERATOR_KEY.sha256},
            )
    finally:
        await database.close()


async def make_province(url: str) -> Province:
    await load(url, records())
    await keep_operator_key(url)
    return Province(url, await make_keys(url, [DEPARTMENT, COMMUNE, DISTRICT, OFFICE]))


class Intake:
    """One running instance and a client of it."""

    def __init__(self, client: httpx.AsyncClient, province: Province, clock: ManualClock, service: Any) -> None:
        self.client = client
        self.province = province
        self.clock = clock
        self.service = service

    def headers(self, of: str = DEPARTMENT, key: str | None = None) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.province.keys[of]}",
            "Idempotency-Key": key or uuid.uuid4().hex,
            "Content-Type": "application/json",
        }

    async def post(
        self, body: dict[str, Any] | bytes | str, *, of: str = DEPARTMENT, key: str | None = None, **headers: str
    ) -> httpx.Response:
        content = json.dumps(body, ensure_ascii=False) if isinstance(body, dict) else body
        return await self.client.post("/v1/submissions", content=content, headers={**self.headers(of, key), **headers})

    async def get(self, path: str, *, of: str = DEPARTMENT, **params: Any) -> httpx.Response:
        return await self.client.get(path, params=params or None, headers=self.headers(of))


def report(value: object = 1, **others: Any) -> dict[str, Any]:
    """A good report of the department; `value` makes its content differ."""
    return {
        "regime": "KTXH", "period": "2026-M10", "officer": "cb-01", "figures": {"A01": value},
        "narratives": {"danh_gia": "Ổn định."}, **others,
    }  # fmt: skip


@asynccontextmanager
async def intake(
    province: Province,
    *,
    accept: Accept = handlers.accept,
    clock: ManualClock | None = None,
    neighbours: Sequence[str] | None = None,
    **settings: Any,
) -> AsyncIterator[Intake]:
    """An instance of the service on the province's database, without Kafka."""
    clock = clock or ManualClock(NOW)
    service = build(
        IntakeSettings(database_url=province.url, database_pool_size=4, **settings),
        common=CommonSettings(),
        clock=clock,
        accept=accept,
        with_kafka=False,
        neighbours=neighbours,
    )
    async with service.lifespan(service.app):
        transport = httpx.ASGITransport(app=service.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://intake.test") as client:
            yield Intake(client, province, clock, service)


async def rows(url: str, query: str, **parameters: Any) -> list[Any]:
    """What the database holds."""
    database = Database(url, pool_size=1)
    try:
        async with database.read_transaction() as tx:
            return list(await rows_of(tx, query, parameters))
    finally:
        await database.close()


async def all_of(*answers: Any) -> list[httpx.Response]:
    return list(await asyncio.gather(*answers))
