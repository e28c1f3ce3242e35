"""The composition root: the only file of intake that constructs things."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from services.intake import metrics as own_metrics
from services.intake import tables
from services.intake.access.callers import Access, Acting, AnyKey, Sending
from services.intake.access.keys import KEY_USES_EXPORT
from services.intake.administration import api as administration_api
from services.intake.administration.callers import Reaching
from services.intake.audit import api as audit_api
from services.intake.consumer import FOLLOW, NOTICES
from services.intake.information import api as information_api
from services.intake.lifecycle import api as lifecycle_api
from services.intake.links import LINKS
from services.intake.obligations import api as obligations_api
from services.intake.personal_data import api as personal_data_api
from services.intake.personal_data import handlers as personal_data
from services.intake.receipts import api as receipts_api
from services.intake.receipts.signer import Signer
from services.intake.registry import api as registry_api
from services.intake.registry.cache import RegistryCache
from services.intake.settings import CheckSettings, IntakeSettings
from services.intake.sharing import api as sharing_api
from services.intake.submissions import api as submissions_api
from services.intake.submissions import handlers
from services.intake.submissions.availability import Availability
from services.intake.submissions.endpoint import SubmitEndpoint
from services.intake.submissions.group_commit import Accept, GroupCommit
from services.intake.waivers import api as waivers_api
from services.intake.webhooks import api as webhooks_api
from shared.consuming.consumers import Consumers
from shared.consuming.subscription import Subscription
from shared.contract.webhook_secrets import read_master_keys
from shared.contract.webhook_targets import networks_of
from shared.outbox.relay import Relay
from shared.postgres import ledgers
from shared.postgres.database import Database, ReadTransaction
from shared.reports.limits import MAX_BODY_BYTES
from shared.runtime.clock import Clock, SystemClock, business_clock, is_played
from shared.runtime.settings import CommonSettings, KafkaSettings
from shared.runtime.watched_file import WatchedFile
from shared.service.service import Background, Service
from shared.service.ticker import Ticker
from shared.telemetry import metrics
from shared.telemetry.logging import get_logger
from shared.telemetry.readiness import Check
from shared.web.allowance import KeyAllowances, Metered, PrincipalAllowances, operators_allowances
from shared.web.app import create_app
from shared.web.authentication import Operators
from shared.web.exports import backbone_exports, mount_exports
from shared.web.limiter import Limiter
from shared.web.limits import HttpSettings
from shared.web.links import with_links

log = get_logger()

#: between two looks for people who left so long ago that their contacts are blanked
CONTACTS_SECONDS = 3600.0


def build(
    settings: IntakeSettings | None = None,
    *,
    common: CommonSettings | None = None,
    kafka: KafkaSettings | None = None,
    clock: Clock | None = None,
    system_clock: Clock | None = None,
    accept: Accept = handlers.accept,
    with_kafka: bool = True,
    neighbours: Sequence[str] | None = None,
) -> Service:
    """Intake, ready to be served. What is not given comes from the environment.

    `neighbours`: services whose checks a change of the registry must pass; all that INTAKE_CHECKS_OFF leaves.
    `with_kafka` False leaves out relay and consumer: for tests of the HTTP edge alone.
    """
    settings = settings or IntakeSettings()
    common = common or CommonSettings()
    kafka = kafka or KafkaSettings()
    clock = clock or business_clock(common.business_clock)
    system_clock = system_clock or SystemClock()

    database = Database(
        settings.database_url, pool_size=settings.database_pool_size, application_name="thongsuot-intake"
    )
    # of its own, so that neither readers nor the consumer can keep a submission waiting for a connection
    committing = Database(
        settings.database_url,
        pool_size=settings.group_lanes,
        statement_timeout_seconds=settings.patience_seconds,
        application_name="thongsuot-intake-commit",
        # Its statements look up by unique key in tables that only grow. Plans are cached, and one made while a table
        # was small would read all of it for every group, until statistics come by.
        server_settings={"enable_seqscan": "off"},
    )
    cache = RegistryCache(
        database,
        system_clock,
        poll_seconds=settings.registry_poll_seconds,
        max_age_seconds=settings.registry_max_age_seconds,
    )
    commits = GroupCommit(
        committing,
        accept,
        group_size=settings.group_size,
        linger_seconds=settings.group_linger_seconds,
        lanes=settings.group_lanes,
        queue_limit=settings.queue_limit,
        patience_seconds=settings.patience_seconds,
        grace_seconds=settings.grace_seconds,
    )
    key_uses = Ticker(
        "intake.key_uses",
        database,
        system_clock,
        cache.uses.flush,
        interval_seconds=settings.key_use_flush_seconds,
        alone=False,
    )
    availability = Availability(
        clock, settings.heartbeat_seconds, lambda: metrics.counted(metrics.HTTP_REFUSED_TOTAL, "full")
    )
    strangers = Limiter(settings.unauthorized_rate_per_second, settings.unauthorized_burst)
    allowances = PrincipalAllowances(
        KeyAllowances(
            settings.agency_milliseconds_per_second,
            settings.agency_burst_milliseconds,
            sends_at_once=settings.agency_sends_at_once,
            reads_at_once=settings.agency_reads_at_once,
            waiting=settings.agency_waiting,
            patience_seconds=settings.patience_seconds,
            hold_seconds=settings.agency_hold_seconds,
        ),
        operators_allowances(settings),
    )
    access = Access(cache, allowances, strangers, clock)
    backgrounds: list[Background] = [cache, key_uses, commits]
    consumers = None
    backgrounds.append(
        Ticker(
            "intake.contacts",
            database,
            system_clock,
            lambda tx: personal_data.sweep(tx, clock.now(), system_clock.now(), timedelta(settings.contacts_kept_days)),
            interval_seconds=CONTACTS_SECONDS,
        )
    )
    if with_kafka and not is_played(clock):
        backgrounds.append(
            Ticker(
                "intake.heartbeat",
                database,
                system_clock,
                availability.beat,
                interval_seconds=settings.heartbeat_seconds,
                alone=False,
            )
        )
    if with_kafka:
        backgrounds.append(Relay("intake", settings.database_url, kafka, system_clock))
        subscriptions = [
            Subscription("intake", inbound, database, kafka, system_clock, max_records=settings.consumer_max_records)
            for inbound in (FOLLOW, NOTICES)
        ]
        consumers = Consumers("intake", kafka, subscriptions, grace_seconds=settings.grace_seconds)

    append_only = ledgers.ledgers(tables.metadata)

    async def check_ledgers(tx: ReadTransaction) -> Check:
        own_metrics.ALTERABLE_LEDGERS.set(len(await ledgers.alterable(tx, append_only)))
        return await ledgers.check(tx, append_only, "migrate with INTAKE_OWNER_DATABASE_URL")

    service = Service(
        "intake",
        database,
        settings.host,
        settings.port,
        backgrounds,
        consumers,
        outbox_matters=False,  # intake goes on accepting while Kafka is away
        grace_seconds=settings.grace_seconds,
        clock=clock,
        looks={"ledgers": check_ledgers},
    )
    app = create_app(
        "intake",
        title="Thông Suốt – tiếp nhận / intake",
        description="Nhận báo cáo của cơ quan, trả biên nhận và kết quả. / Takes agencies' reports; receipts, results.",
        readiness=service.readiness,
        lifespan=service.lifespan,
        body_limit_bytes=MAX_BODY_BYTES,
        strangers=strangers,
    )
    endpoint = SubmitEndpoint(
        access, cache, commits, clock, database, HttpSettings().body_timeout_seconds, availability
    )
    app.add_middleware(Metered)
    operators = Operators(cache, clock, allowances.operators)
    checking = CheckSettings().on if neighbours is None else neighbours
    # before the agency's own routes: /v1/regimes/review-due is no regime's code
    administration_api.mount(
        app,
        cache=cache,
        database=database,
        clock=clock,
        neighbours=checking,
        administrators=Reaching(access, cache, clock, ("administer", "operate")),
        operators=operators,
    )
    registry_api.mount(app, access=access, cache=cache, database=database, clock=clock)
    submissions_api.mount(app, access=access, endpoint=endpoint, cache=cache, database=database)
    lifecycle_api.mount(
        app, principal=Acting(access), cache=cache, database=database, clock=clock, system_clock=system_clock
    )
    lifecycle_api.mount_open_reviews(app, reader=AnyKey(access), cache=cache, database=database, clock=clock)
    obligations_api.mount(app, access=access, cache=cache, database=database)
    information_api.mount(
        app,
        access=access,
        sending=Sending(access),
        cache=cache,
        database=database,
        clock=clock,
        neighbours=checking,
        notice=timedelta(hours=settings.information_notice_hours),
    )
    waivers_api.mount(app, access=access, cache=cache, database=database, clock=clock, system_clock=system_clock)
    sharing_api.mount(app, access=access, cache=cache, database=database, clock=clock)
    audit_api.mount(app, database=database, operators=operators)
    readers = Reaching(access, cache, clock, ("read", "administer", "operate"))
    personal_data_api.mount(app, database=database, readers=readers)
    signer = Signer(settings.receipt_key_file, database, system_clock)
    receipts_api.mount(app, access=access, signer=signer, database=database)
    webhooks_api.mount(
        app,
        database=database,
        keepers=Reaching(access, cache, clock, ("submit", "review", "administer", "operate")),
        master_keys=WatchedFile(settings.webhook_key_file, read_master_keys, _no_webhook_keys),
        private=networks_of(settings.webhook_private_networks),
        system_clock=system_clock,
    )
    mount_exports(
        app,
        database,
        [*backbone_exports(), KEY_USES_EXPORT, submissions_api.SUBMISSIONS_EXPORT],
        operators=operators,
    )
    app.document_parts.append(with_links(LINKS))
    service.app = app
    return service


def _no_webhook_keys(error: str) -> None:
    log.warning("The master keys of webhooks cannot be read.", action="webhooks.keys", error=error)
