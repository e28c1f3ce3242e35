"""Builds notifier: the only place where its parts are constructed."""

from __future__ import annotations

from services.notifier import metrics
from services.notifier.api import EXPORTS, router
from services.notifier.channels.dispatcher import MailDispatcher
from services.notifier.channels.email.channel import email_channel
from services.notifier.channels.gateway.channel import gateway_channel
from services.notifier.channels.outcome_writer import OutcomeWriter
from services.notifier.channels.seam import Channel
from services.notifier.channels.webhook import api as webhooks_api
from services.notifier.channels.webhook.callers import SCOPES as KEEP_WEBHOOKS
from services.notifier.channels.webhook.dispatcher import WebhookDispatcher, WebhookPace
from services.notifier.channels.webhook.post import Poster
from services.notifier.channels.webhook.replaying import prune as prune_replays
from services.notifier.channels.webhook.store import prune
from services.notifier.consumer import inbounds
from services.notifier.delivery.next_channel import NextChannelSweep
from services.notifier.delivery.next_contact import NextContactSweep
from services.notifier.digests.api import SCOPES as READ_DIGESTS
from services.notifier.digests.api import router as digests_router
from services.notifier.digests.sweep import DigestSweep
from services.notifier.escalation.api import SCOPES as ANSWER
from services.notifier.escalation.api import page_router
from services.notifier.escalation.api import router as escalations_router
from services.notifier.escalation.handing import Handings
from services.notifier.escalation.sweep import EscalationSweep
from services.notifier.links import LINKS
from services.notifier.mailing.api import SCOPES as KEEP_SILENCES
from services.notifier.mailing.api import router as silences_router
from services.notifier.mailing.sweep import MailingSweep
from services.notifier.notices.api import SCOPES as READ_NOTICES
from services.notifier.notices.api import router as notices_router
from services.notifier.planning.handlers import PlanningContext
from services.notifier.planning.naming import NamingSweep
from services.notifier.regimes.sweep import RegimeSweep
from services.notifier.settings import NotifierSettings
from services.notifier.templates import Composer
from shared.access import Scope
from shared.consuming.consumers import Consumers
from shared.consuming.subscription import Subscription
from shared.contract.webhook_secrets import read_master_keys
from shared.contract.webhook_targets import networks_of
from shared.outbox.relay import Relay
from shared.postgres.database import Database, Transaction
from shared.projection.keyring import CopiedKeyring
from shared.runtime.clock import Clock, SystemClock, business_clock
from shared.runtime.settings import CommonSettings, KafkaSettings
from shared.runtime.tls import tls_context
from shared.runtime.watched_file import WatchedFile
from shared.service.service import Service
from shared.service.ticker import Ticker
from shared.telemetry.logging import get_logger
from shared.web.allowance import KeyAllowances, Metered, PrincipalAllowances, operators_allowances
from shared.web.app import create_app
from shared.web.authentication import Operators
from shared.web.callers import Callers
from shared.web.exports import COPIED_KEY_USES, backbone_exports, mount_exports
from shared.web.key_uses import FLUSH_SECONDS
from shared.web.links import with_links

log = get_logger()

#: between two looks for messages of webhooks that are too old to be kept
PRUNE_SECONDS = 600.0

#: between two looks for escalations that should have moved and have not
AUDIT_SECONDS = 60.0


def build(
    *,
    settings: NotifierSettings | None = None,
    common: CommonSettings | None = None,
    kafka: KafkaSettings | None = None,
    clock: Clock | None = None,
) -> Service:
    """Notifier, ready to be served; settings come from the environment unless they are given."""
    settings = settings or NotifierSettings()
    common = common or CommonSettings()
    kafka = kafka or KafkaSettings()
    system, business = SystemClock(), clock or business_clock(common.business_clock)
    database = Database(
        settings.database_url, pool_size=settings.database_pool_size, application_name="thongsuot-notifier"
    )
    links = settings.answer_links()
    composer = Composer(settings.originator(), links)
    retry_policy = settings.retry_policy()

    def dispatcher(channel: Channel) -> MailDispatcher:
        """Each channel has its own: one's trouble delays no other."""
        outcomes = OutcomeWriter(
            database,
            system=system,
            business=business,
            policy=retry_policy,
            lease_seconds=settings.lease_seconds,
            on_recorded=metrics.count_outcome,
        )
        return MailDispatcher(
            database,
            outcomes,
            channel,
            system=system,
            business=business,
            retry_policy=retry_policy,
            pace=settings.pace(),
            worker=common.instance,
            grace_seconds=settings.grace_seconds,
        )

    gateways = settings.gateways()
    channels = [
        email_channel(composer, settings.server(), settings.smtp_pool_size),
        *(gateway_channel(gateway, system) for gateway in gateways),
    ]
    beside_mail = frozenset(str(gateway.channel) for gateway in gateways)
    waits = settings.mailing == "office"
    context = PlanningContext(system, business, settings.message_id_domain, channels=beside_mail, waits=waits)
    limits = {str(gateway.channel): gateway.part.limits.a_person_a_day for gateway in gateways}
    mailing = MailingSweep(business, system, limits)
    naming = NamingSweep(
        business,
        system,
        group_minutes=settings.named_group_minutes,
        message_id_domain=settings.message_id_domain,
        groups=mailing.groups if waits else None,
    )
    digests = DigestSweep(business, system, message_id_domain=settings.message_id_domain)
    regimes = RegimeSweep(business, system, message_id_domain=settings.message_id_domain, waits=waits)
    onward = NextContactSweep(business, system, message_id_domain=settings.message_id_domain, waits=waits)
    onto_next_channel = NextChannelSweep(business, system, described=beside_mail)
    escalating = EscalationSweep(
        business,
        system,
        context.ladders,
        message_id_domain=settings.message_id_domain,
        waits=waits,
        channels=beside_mail,
    )
    webhooks = WebhookDispatcher(
        database,
        Poster(
            system,
            tls_context(settings.webhook_ca_file),
            private=networks_of(settings.webhook_private_networks),
            timeout_seconds=settings.webhook_timeout_seconds,
        ),
        WatchedFile(settings.webhook_key_file, read_master_keys, _no_webhook_keys),
        system=system,
        business=business,
        pace=WebhookPace(webhooks=settings.webhooks_at_once),
        grace_seconds=settings.grace_seconds,
    )
    subscriptions = [
        Subscription("notifier", inbound, database, kafka, system, max_records=settings.consumer_max_records)
        for inbound in inbounds(context)
    ]

    async def forget(tx: Transaction) -> int:
        await prune_replays(tx, system.now())
        return await prune(tx, system.now())

    keyring = CopiedKeyring("notifier", database, system)
    service = Service(
        "notifier",
        database,
        settings.host,
        settings.port,
        backgrounds=[
            Relay("notifier", settings.database_url, kafka, system),
            *map(dispatcher, channels),
            webhooks,
            keyring,
            Ticker("key_uses", database, system, keyring.uses.flush, interval_seconds=FLUSH_SECONDS, alone=False),
            Ticker("webhooks", database, system, forget, interval_seconds=PRUNE_SECONDS),
            Ticker("named", database, system, naming.tick, interval_seconds=settings.sweep_seconds),
            # also where nothing waits any more: what waited when that was set goes out
            Ticker("mailing", database, system, mailing.tick, interval_seconds=settings.mailing_seconds),
            # also where the file describes no gateway any more
            Ticker("next channel", database, system, onto_next_channel.tick, interval_seconds=settings.sweep_seconds),
            Ticker("next contact", database, system, onward.tick, interval_seconds=settings.sweep_seconds),
            Ticker("regimes", database, system, regimes.tick, interval_seconds=settings.sweep_seconds),
            *(
                (Ticker("digests", database, system, digests.tick, interval_seconds=settings.mailing_seconds),)
                if waits
                else ()
            ),
            Ticker("escalations", database, system, escalating.tick, interval_seconds=settings.sweep_seconds),
            Ticker("escalation audit", database, system, escalating.audit, interval_seconds=AUDIT_SECONDS),
        ],
        consumers=Consumers("notifier", kafka, subscriptions, grace_seconds=settings.grace_seconds),
        grace_seconds=settings.grace_seconds,
    )
    operating = operators_allowances(settings)
    operators = Operators(keyring, business, operating)
    service.app = create_app(
        "notifier",
        title="Thông Suốt – thông báo / notifier",
        description="Thông báo đúng người, đúng một lần, có sổ theo dõi / notifies whoever must act, once.",
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
    service.app.include_router(router(database, operators, business))

    def callers(scopes: tuple[Scope, ...]) -> Callers:
        return Callers(keyring, PrincipalAllowances(allowances, operating), business, scopes)

    service.app.include_router(webhooks_api.router(database, callers(KEEP_WEBHOOKS), system))
    service.app.include_router(
        escalations_router(database, callers(ANSWER), business, Handings(system, settings.message_id_domain, waits))
    )
    service.app.include_router(silences_router(database, callers(KEEP_SILENCES), business))
    service.app.include_router(digests_router(database, callers(READ_DIGESTS), business))
    service.app.include_router(notices_router(database, callers(READ_NOTICES)))
    if links is not None:
        service.app.include_router(page_router(database, links, business))
    service.app.document_parts.append(with_links(LINKS))
    mount_exports(service.app, database, [*EXPORTS, *backbone_exports(), COPIED_KEY_USES], operators=operators)
    return service


def _no_webhook_keys(error: str) -> None:
    log.warning("The master keys of webhooks cannot be read.", action="webhooks.keys", error=error)
