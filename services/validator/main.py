"""The composition root of validator: the only place where its parts are constructed."""

from __future__ import annotations

from services.validator import validation_age
from services.validator.again import JudgingAgain
from services.validator.api import EXPORTS, router
from services.validator.callers import Senders
from services.validator.consumer import inbounds
from services.validator.dry_runs import DryRuns
from services.validator.form_cache import FormCache
from services.validator.judging import Budget, Judging
from services.validator.links import LINKS
from services.validator.settings import ValidatorSettings
from shared.consuming.consumers import Consumers
from shared.consuming.subscription import Subscription
from shared.outbox.relay import Relay
from shared.postgres.database import Database
from shared.projection.keyring import CopiedKeyring
from shared.runtime.clock import Clock, SystemClock, business_clock
from shared.runtime.settings import CommonSettings, KafkaSettings
from shared.service.service import Service
from shared.service.ticker import Ticker
from shared.web.allowance import KeyAllowances, Metered, operators_allowances
from shared.web.app import create_app
from shared.web.authentication import Operators
from shared.web.exports import COPIED_KEY_USES, backbone_exports, mount_exports
from shared.web.key_uses import FLUSH_SECONDS
from shared.web.links import with_links


def budget_of(settings: ValidatorSettings) -> Budget:
    """What judging may cost."""
    return Budget(
        report_seconds=settings.report_cpu_seconds,
        batch_seconds=settings.batch_cpu_seconds,
        tier_seconds=settings.tier_cpu_seconds,
    )


def build(
    *,
    settings: ValidatorSettings | None = None,
    common: CommonSettings | None = None,
    kafka: KafkaSettings | None = None,
    clock: Clock | None = None,
) -> Service:
    """Validator, ready to be served; settings come from the environment unless they are given."""
    settings = settings or ValidatorSettings()
    common = common or CommonSettings()
    kafka = kafka or KafkaSettings()
    system, business = SystemClock(), clock or business_clock(common.business_clock)
    database = Database(
        settings.database_url, pool_size=settings.database_pool_size, application_name="thongsuot-validator"
    )
    budget = budget_of(settings)
    forms = FormCache(settings.cached_forms)
    judging, trying = Judging(forms, budget), Judging(forms, budget)
    again = JudgingAgain(database, forms, business, judging.looking)
    subscriptions = [
        Subscription("validator", inbound, database, kafka, system, max_records=settings.consumer_max_records)
        for inbound in inbounds(judging, business)
    ]
    keyring = CopiedKeyring("validator", database, system)
    service = Service(
        "validator",
        database,
        settings.host,
        settings.port,
        backgrounds=[
            Relay("validator", settings.database_url, kafka, system),
            judging,
            trying,
            keyring,
            Ticker("key_uses", database, system, keyring.uses.flush, interval_seconds=FLUSH_SECONDS, alone=False),
            Ticker(
                "validator.age",
                database,
                system,
                validation_age.look,
                interval_seconds=validation_age.INTERVAL_SECONDS,
                alone=False,
            ),
            Ticker("validator.again", database, system, again.tick, interval_seconds=settings.again_seconds),
        ],
        consumers=Consumers("validator", kafka, subscriptions, grace_seconds=settings.grace_seconds),
        grace_seconds=settings.grace_seconds,
    )
    operating = operators_allowances(settings)
    operators = Operators(keyring, business, operating)
    service.app = create_app(
        "validator",
        title="Thông Suốt – kiểm tra báo cáo / validator",
        description="Kiểm tra từng bản nộp theo biểu mẫu / checks each submission against its form.",
        readiness=service.readiness,
        lifespan=service.lifespan,
    )
    allowances = KeyAllowances(
        settings.agency_milliseconds_per_second,
        settings.agency_burst_milliseconds,
        sends_at_once=settings.agency_dry_runs_at_once,
        reads_at_once=settings.agency_dry_runs_at_once,
        waiting=settings.agency_waiting,
    )
    service.app.add_middleware(Metered)
    senders = Senders(keyring, allowances, business)
    service.app.include_router(router(database, operators, senders, DryRuns(database, trying), business))
    service.app.document_parts.append(with_links(LINKS))
    mount_exports(service.app, database, [*EXPORTS, *backbone_exports(), COPIED_KEY_USES], operators=operators)
    return service
