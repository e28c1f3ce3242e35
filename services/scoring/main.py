"""The composition root of scoring: the only place where its parts are constructed."""

from __future__ import annotations

from datetime import timedelta

from services.scoring import metrics, tables
from services.scoring.api import router
from services.scoring.calendar.horizon import horizon
from services.scoring.calendar.loading import calendar_loader
from services.scoring.consumer import inbounds
from services.scoring.links import LINKS
from services.scoring.obligations import setbacks
from services.scoring.obligations.deadline_sweep import DeadlineSweep, Settled
from services.scoring.obligations.generation_sweep import Generator
from services.scoring.queries import EXPORTS
from services.scoring.reference_data import Rules
from services.scoring.reliefs import api as reliefs
from services.scoring.reliefs.decisions import check_proposals
from services.scoring.reliefs.intake_gaps import IntakeGaps
from services.scoring.reliefs.late_verdicts import LateVerdicts
from services.scoring.reliefs.standstill import Standstill
from services.scoring.scores.policy.loading import policy_loader
from services.scoring.settings import ScoringSettings
from shared.consuming import inbox
from shared.consuming.consumers import Consumers
from shared.consuming.subscription import Subscription
from shared.consuming.watermark import Watermark
from shared.contract.reporting_window import local_day
from shared.contract.subscriptions import topics_of
from shared.outbox.relay import Relay
from shared.postgres import ledgers
from shared.postgres.database import Database, ReadTransaction
from shared.projection.keyring import CopiedKeyring
from shared.runtime.clock import Clock, SystemClock, business_clock, is_played
from shared.runtime.settings import CommonSettings, KafkaSettings
from shared.service.service import Service
from shared.service.ticker import Ticker
from shared.telemetry.readiness import Check
from shared.web.allowance import KeyAllowances, Metered, PrincipalAllowances, operators_allowances
from shared.web.app import create_app
from shared.web.authentication import Operators
from shared.web.callers import Callers
from shared.web.exports import COPIED_KEY_USES, backbone_exports, mount_exports
from shared.web.key_uses import FLUSH_SECONDS
from shared.web.links import with_links


def build(
    *,
    settings: ScoringSettings | None = None,
    common: CommonSettings | None = None,
    kafka: KafkaSettings | None = None,
    clock: Clock | None = None,
) -> Service:
    """Scoring, ready to be served; settings come from the environment unless they are given."""
    settings = settings or ScoringSettings()
    common = common or CommonSettings()
    kafka = kafka or KafkaSettings()
    system, business = SystemClock(), clock or business_clock(common.business_clock)
    database = Database(
        settings.database_url, pool_size=settings.database_pool_size, application_name="thongsuot-scoring"
    )
    rules, append_only = Rules(), ledgers.ledgers(tables.metadata)
    generator = Generator(rules, business, horizon_days=settings.horizon_days, catch_up_days=settings.catch_up_days)

    async def check_calendar_years(tx: ReadTransaction) -> Check:
        seen = horizon(await rules.current_calendar(tx), local_day(business.now()))
        return Check(ok=True, detail="; ".join(seen.warnings()) or f"announced until {seen.provisional - 1}")

    async def check_ledgers(tx: ReadTransaction) -> Check:
        metrics.ALTERABLE_LEDGERS.set(len(await ledgers.alterable(tx, append_only)))
        return await ledgers.check(tx, append_only, "migrate with SCORING_OWNER_DATABASE_URL")

    async def applied_before() -> bool:
        async with database.read_transaction() as reading:
            return await inbox.ever_claimed(reading, "scoring.follow")

    caught_up = Watermark(kafka, "scoring.follow", topics_of("scoring.follow"), business, applied_before=applied_before)
    # Tansu, the stand-in without idempotent producers, cannot be asked how far a group is: there the pause must do
    settled = Settled(business, settings.settle_seconds, caught_up=caught_up.hour if kafka.idempotence else None)
    grace = timedelta(hours=settings.relief_grace_hours)
    standstill = Standstill(business, system, timedelta(minutes=settings.standstill_minutes), grace)
    # where business time is scaled or led, its hours keep nobody waiting, and intake tells nothing of itself
    watching = not is_played(business)
    intake = IntakeGaps(business, timedelta(minutes=settings.intake_gap_minutes), grace) if watching else None
    late = LateVerdicts(business, timedelta(hours=settings.verdict_hours), grace) if watching else None
    sweep = DeadlineSweep(
        rules, business, settled, rows_a_tick=settings.mark_rows, standstill=standstill, intake=intake, late=late
    )
    looks = {"setbacks": setbacks.check, "calendar years": check_calendar_years, "reliefs": check_proposals,
             "ledgers": check_ledgers}  # fmt: skip
    if intake is not None:
        looks["intake heartbeat"] = intake.check
    tickers = [
        Ticker(name, database, system, tick, interval_seconds=seconds)
        for name, tick, seconds in (
            ("generate", generator.tick, settings.generate_interval_seconds),
            ("deadlines", sweep.tick, settings.mark_interval_seconds),
        )
    ]
    subscriptions = [
        Subscription("scoring", inbound, database, kafka, system, max_records=settings.consumer_max_records)
        for inbound in inbounds(rules, business, late)
    ]
    keyring = CopiedKeyring("scoring", database, system)
    service = Service(
        "scoring",
        database,
        settings.host,
        settings.port,
        backgrounds=[
            calendar_loader(database),
            policy_loader(database, business),
            Relay("scoring", settings.database_url, kafka, system),
            caught_up,
            keyring,
            Ticker("key_uses", database, system, keyring.uses.flush, interval_seconds=FLUSH_SECONDS, alone=False),
            *tickers,
        ],
        consumers=Consumers("scoring", kafka, subscriptions, grace_seconds=settings.grace_seconds),
        grace_seconds=settings.grace_seconds,
        looks=looks,
    )
    operating = operators_allowances(settings)
    operators = Operators(keyring, business, operating)
    service.app = create_app(
        "scoring",
        title="Thông Suốt – chấm điểm / scoring",
        description="Nghĩa vụ báo cáo, thời hạn và điểm / obligations, deadlines and scores.",
        readiness=service.readiness,
        lifespan=service.lifespan,
    )
    allowances = KeyAllowances(
        settings.agency_milliseconds_per_second,
        settings.agency_burst_milliseconds,
        sends_at_once=settings.agency_requests_at_once,
        reads_at_once=settings.agency_requests_at_once,
        waiting=settings.agency_waiting,
    )
    service.app.add_middleware(Metered)
    service.app.include_router(router(database, operators))
    readers = Callers(keyring, PrincipalAllowances(allowances, operating), business, reliefs.SCOPES)
    service.app.include_router(reliefs.readers_router(database, readers))
    service.app.document_parts.append(with_links(LINKS))
    mount_exports(service.app, database, [*EXPORTS, *backbone_exports(), COPIED_KEY_USES], operators=operators)
    return service
