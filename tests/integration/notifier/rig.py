"""The rig of notifier's integration tests: a province in the projections, events, and one dispatcher's world."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from services.notifier.channels.dispatcher import At, MailDispatcher, Pace
from services.notifier.channels.email.channel import email_channel
from services.notifier.channels.email.smtp import Server
from services.notifier.channels.outcome_writer import OutcomeWriter
from services.notifier.channels.seam import Channel
from services.notifier.consumer import inbounds
from services.notifier.delivery.states import RetryPolicy
from services.notifier.ladders.data import parse_ladder
from services.notifier.ladders.store import load_ladders
from services.notifier.planning.handlers import PlanningContext
from services.notifier.templates import Composer, Originator
from shared.consuming.batch import Batch
from shared.contract.events import (
    MODELS,
    AgencyRegistered,
    EscalationChanged,
    EventModel,
    Finding,
    NotJudged,
    ObligationChanged,
    OfficerRegistered,
    RegimePublished,
    VerdictReached,
)
from shared.postgres.database import Database
from shared.runtime.clock import LOCAL_ZONE, ManualClock
from tests.fakes.compliance import obligation_changed
from tests.fakes.smtp import FakeSmtp
from tests.in_no_order import rows_of

DOMAIN = "thongsuot.example"
REGIME = "BC-THANG"
DEADLINE = datetime(2026, 10, 19, 17, 0, tzinfo=LOCAL_ZONE)
DEFAULT_LADDER = Path("services/notifier/ladders/default.yaml").read_text(encoding="utf-8")
PROVINCE, DEPARTMENT, COMMUNE = "H99", "H99.12", "H99.X07"


def agency(code: str, parent: str | None = None, **changes: Any) -> AgencyRegistered:
    base: dict[str, Any] = {
        "code": code,
        "name": f"Cơ quan {code}",
        "kind": "department",
        "parent": parent,
        "opened_on": date(2020, 1, 1),
        "version": 1,
    }
    return AgencyRegistered(**{**base, **changes})


def officer(officer_id: str, agency: str, role: str = "reporting_officer", **changes: Any) -> OfficerRegistered:
    base: dict[str, Any] = {
        "officer_id": officer_id,
        "agency": agency,
        "name": f"Nguyễn Thị {officer_id}",
        "title": "Chuyên viên",
        "email": f"{officer_id}@h99.example",
        "role": role,
        "version": 1,
    }
    return OfficerRegistered(**{**base, **changes})


def registry() -> list[EventModel]:
    """A province with a head, a department with officer and head, a commune with an officer and no head."""
    return [
        agency(PROVINCE, kind="province", name="Ủy ban nhân dân tỉnh"),
        agency(DEPARTMENT, PROVINCE, name="Sở Nông nghiệp và Môi trường"),
        agency(COMMUNE, PROVINCE, kind="commune", name="Xã Tân Lập"),
        officer("chair", PROVINCE, "head"),
        officer("dept-any", DEPARTMENT),
        officer("dept-named", DEPARTMENT, regimes=(REGIME,)),
        officer("dept-head", DEPARTMENT, "head"),
        officer("commune-any", COMMUNE),
        RegimePublished.model_validate(
            {
                "code": REGIME,
                "regime_version": 1,
                "name": "Báo cáo tháng",
                "name_en": "Monthly report",
                "frequency": "monthly",
                "effective_from": "2026-01-01",
                "receiver": PROVINCE,
                "deadline": {"rule": "day_of_month"},
                "form": {},
                "version": 1,
            }
        ),
    ]


REMINDED = DEADLINE - timedelta(days=3)


def changed(
    version: int, *changes: str, code: str = DEPARTMENT, period: str = "2026-M10", **state: Any
) -> ObligationChanged:
    """An obligation in any state: `changed(5, "overdue", overdue=True)`."""
    told = {"changes": changes or ("score",), "deadline": DEADLINE, "at": DEADLINE, **state}
    return obligation_changed(code, REGIME, period, version=version, **told)


def opened(version: int = 1, **state: Any) -> ObligationChanged:
    return changed(version, "opened", **{"at": DEADLINE - timedelta(days=30), **state})


def due_soon(version: int = 2, **state: Any) -> ObligationChanged:
    return changed(version, "due_soon", **{"at": REMINDED, "reminded_at": REMINDED, **state})


def overdue(version: int = 3, **state: Any) -> ObligationChanged:
    return changed(version, "overdue", "score", overdue=True, **state)


def fulfilled(version: int = 4, *, submission_version: int = 1, **state: Any) -> ObligationChanged:
    return changed(version, "fulfilled", "score", answer_version=submission_version, **state)


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


def verdict(
    outcome: str = "returned",
    version: int = 1,
    *,
    code: str = DEPARTMENT,
    period: str = "2026-M10",
    officer_id: str = "dept-any",
    revision: int = 1,
) -> VerdictReached:
    findings = (FINDING,) if outcome == "returned" else ()
    return VerdictReached.model_validate(
        {
            "verdict_id": uuid4(),
            "submission_id": uuid4(),
            "obligation": f"{code}/{REGIME}/{period}",
            "agency": code,
            "regime": REGIME,
            "regime_version": 1,
            "period": period,
            "version": version,
            "revision": revision,
            "officer_id": officer_id,
            "received_at": DEADLINE - timedelta(hours=2),
            "decided_at": DEADLINE - timedelta(hours=1),
            "outcome": outcome,
            "errors": len(findings),
            "warnings": 0,
            "required_items": 1,
            "present_items": 1,
            "findings": findings,
        }
    )


def not_judged(version: int = 1) -> NotJudged:
    """It could not be judged: its verdict's first revision."""
    said = verdict("accepted", version).model_dump(include=set(NotJudged.model_fields) - {"outcome"})
    finding = FINDING.model_copy(update={"code": "X01", "severity": "warning", "message": "Chưa kiểm tra được."})
    return NotJudged.model_validate({**said, "warnings": 1, "findings": (finding,)})


class Crashed(BaseException):
    """The process is gone: nothing after it runs."""


@dataclass
class World:
    """One database, two clocks, and as many dispatchers as a test wants."""

    database: Database
    system: ManualClock = field(default_factory=lambda: ManualClock(datetime(2026, 10, 19, 3, tzinfo=UTC)))
    business: ManualClock = field(default_factory=lambda: ManualClock(DEADLINE))
    policy: RetryPolicy = field(default_factory=lambda: RetryPolicy(backoff_seconds=10, resend_after_seconds=60))
    pace: Pace = field(
        default_factory=lambda: Pace(
            connections=2, claim=20, lease_seconds=120, idle_poll_seconds=0.02, sweep_seconds=0
        )
    )

    channels: frozenset[str] = frozenset()  # beside e-mail

    async def feed(self, name: str, *events: EventModel) -> Batch[Any]:
        """One batch through the subscription of that name, committed."""
        inbound = next(
            inbound
            for inbound in inbounds(PlanningContext(self.system, self.business, DOMAIN, channels=self.channels))
            if inbound.name == name
        )
        batch: Batch[Any] = Batch.of(events)
        async with self.database.transaction() as tx:
            await inbound.handle(batch, tx)
        return batch

    async def tell_above_at_once(self) -> None:
        """Load a ladder without the grace before anybody above an agency without a head is told."""
        body = DEFAULT_LADDER.replace("version: 2", "version: 9").replace("grace_above: 1d", "grace_above: 0h")
        async with self.database.transaction() as tx:
            await load_ladders(tx, [parse_ladder("x", body.encode())])

    def texts(self, channel: Channel, **pace: Any) -> MailDispatcher:
        """The dispatcher of a channel of short texts."""
        return MailDispatcher(
            self.database,
            OutcomeWriter(
                self.database,
                system=self.system,
                business=self.business,
                policy=self.policy,
                lease_seconds=self.pace.lease_seconds,
            ),
            channel,
            system=self.system,
            business=self.business,
            retry_policy=self.policy,
            pace=replace(self.pace, **pace),
            worker="texts",
            grace_seconds=5,
        )

    def dispatcher(
        self,
        smtp: FakeSmtp,
        *,
        at: At = lambda state, notification: None,
        outcomes: Callable[..., OutcomeWriter] = OutcomeWriter,
        timeout_seconds: float = 5.0,
        data_timeout_seconds: float = 5.0,
        worker: str = "test",
        server: Server | None = None,
        **pace: Any,
    ) -> MailDispatcher:
        server = server or Server(
            "127.0.0.1",
            smtp.port,
            timeout_seconds=timeout_seconds,
            data_timeout_seconds=data_timeout_seconds,
        )
        return MailDispatcher(
            self.database,
            outcomes(
                self.database,
                system=self.system,
                business=self.business,
                policy=self.policy,
                lease_seconds=self.pace.lease_seconds,
            ),
            email_channel(
                Composer(Originator(f"khong-tra-loi@{DOMAIN}")), server, pace.get("connections", self.pace.connections)
            ),
            system=self.system,
            business=self.business,
            retry_policy=self.policy,
            pace=replace(self.pace, **pace),
            worker=worker,
            grace_seconds=5,
            at=at,
        )

    async def rows(self, statement: str, **parameters: Any) -> list[dict[str, Any]]:
        async with self.database.read_transaction() as snapshot:
            return [dict(row._mapping) for row in await rows_of(snapshot, statement, parameters)]

    async def ledger(self) -> list[dict[str, Any]]:
        return await self.rows(
            "SELECT * FROM notifications ORDER BY created_at, kind, step, officer_id, period, obligation"
        )

    async def one(self) -> dict[str, Any]:
        (row,) = await self.ledger()
        return row

    async def attempts(self) -> list[dict[str, Any]]:
        return await self.rows("SELECT * FROM attempts ORDER BY notification_id, number")

    async def recorded(self) -> list[dict[str, Any]]:
        """What is published but for the turns of escalations."""
        rows = await self.rows(
            "SELECT type, key, body FROM outbox WHERE type <> :climb ORDER BY id", climb=EscalationChanged.TYPE
        )
        return [MODELS[row["type"]].model_validate_json(bytes(row["body"])).model_dump() for row in rows]

    async def reminder(self) -> UUID:
        """One pending reminder; its id."""
        await self.feed("registry", *registry())
        await self.feed("compliance", due_soon())
        row = await self.one()
        assert row["state"] == "pending"
        return UUID(str(row["id"]))

    async def crash(self, dispatcher: MailDispatcher) -> None:
        """One round that must end in the scripted crash; its connections and unwritten notes are lost with it."""
        try:
            await dispatcher.round()
        except Crashed:
            dispatcher.abandon()
            return
        raise AssertionError("the dispatcher did not crash")

    async def drain(self, dispatcher: MailDispatcher, *, rounds: int = 12, seconds: float = 130) -> None:
        """Rounds with time passing between them until nothing is unsettled."""
        for _ in range(rounds):
            await dispatcher.round()
            if not await self.rows("SELECT 1 FROM notifications WHERE due_at IS NOT NULL OR token IS NOT NULL"):
                return
            self.system.advance(seconds=seconds)
        raise AssertionError(f"not settled: {await self.ledger()}")


async def i5_violations(world: World, smtp: FakeSmtp) -> list[str]:
    """I5: copies accepted by the server per notification: at least 1 if sent, at most 1 + those left unknown."""
    accepted = smtp.times_accepted()
    wrong = []
    for row in await world.ledger():
        copies = accepted[row["message_id"]]
        least = 1 if row["state"] == "sent" else 0
        most = {"sent": 1, "unknown": 0}.get(row["state"], 0) + row["unknowns"]
        if not least <= copies <= most:
            wrong.append(f"{row['step']}: {copies} copies, {least}..{most} allowed ({row['state']})")
    return wrong


@asynccontextmanager
async def world_of(url: str) -> AsyncIterator[World]:
    database = Database(url, pool_size=8)
    try:
        yield World(database)
    finally:
        await database.close()


async def eventually(condition: Callable[[], Any], *, seconds: float = 10) -> None:
    """Poll an async condition until it holds; fail at the deadline."""
    end = asyncio.get_running_loop().time() + seconds
    while not await condition():
        assert asyncio.get_running_loop().time() < end, "the condition did not come true in time"
        await asyncio.sleep(0.01)
