"""Builds the board: the only place where its parts are constructed."""

from __future__ import annotations

from datetime import timedelta

from services.board.accounts import store
from services.board.accounts.domain import FORGOTTEN_AFTER
from services.board.accounts.passwords import Passwords
from services.board.accounts.signing_in import Accounts, Terms
from services.board.acting import Actor
from services.board.consumer import inbounds
from services.board.entry import store as drafts
from services.board.pages.periods import Periods
from services.board.pages.routes import mount
from services.board.pages.web import Site
from services.board.periods.freezing import Freezing
from services.board.settings import BoardSettings
from services.board.watching import Watch
from shared.consuming.consumers import Consumers
from shared.consuming.subscription import Subscription
from shared.outbox.relay import Relay
from shared.postgres.database import Database, Transaction
from shared.projection.keyring import CopiedKeyring
from shared.runtime.clock import Clock, SystemClock, business_clock
from shared.runtime.settings import CommonSettings, KafkaSettings
from shared.runtime.watched_file import WatchedFile
from shared.service.service import Service
from shared.service.ticker import Ticker
from shared.telemetry.logging import get_logger
from shared.web.allowance import Metered, operators_allowances
from shared.web.app import create_app
from shared.web.authentication import Operators
from shared.web.exports import COPIED_KEY_USES, backbone_exports, mount_exports
from shared.web.key_uses import FLUSH_SECONDS
from shared.web.tokens import SigningKey

log = get_logger()

#: between two looks for what is past its term, and how long sessions and links are kept after their end
PRUNE_SECONDS = 3600.0
KEPT = timedelta(days=30)


def build(
    *,
    settings: BoardSettings | None = None,
    common: CommonSettings | None = None,
    kafka: KafkaSettings | None = None,
    clock: Clock | None = None,
) -> Service:
    """The board, ready to be served; settings come from the environment unless they are given."""
    settings = settings or BoardSettings()
    common = common or CommonSettings()
    kafka = kafka or KafkaSettings()
    system, business = SystemClock(), clock or business_clock(common.business_clock)
    database = Database(
        settings.database_url, pool_size=settings.database_pool_size, application_name="thongsuot-board"
    )
    # of its own, so that neither readers nor the consumers can keep the others waiting for a connection
    pages = Database(
        settings.database_url, pool_size=settings.pages_pool_size, application_name="thongsuot-board-pages"
    )
    devices_kept, sign_ins_kept = timedelta(settings.devices_kept_days), timedelta(settings.sign_ins_kept_days)

    async def prune(tx: Transaction) -> int:
        now = system.now()
        kept = store.Kept(now - KEPT, now - devices_kept, now - sign_ins_kept, now - FORGOTTEN_AFTER)
        old_drafts = business.now() - timedelta(settings.drafts_kept_days)
        return await store.prune(tx, kept) + await drafts.prune(tx, old_drafts)

    subscriptions = [
        Subscription("board", inbound, database, kafka, system, max_records=settings.consumer_max_records)
        for inbound in inbounds()
    ]
    keyring = CopiedKeyring("board", database, system)
    service = Service(
        "board",
        database,
        settings.host,
        settings.port,
        backgrounds=[
            Relay("board", settings.database_url, kafka, system),  # its dead letters alone
            keyring,
            Ticker("sessions", database, system, prune, interval_seconds=PRUNE_SECONDS),
            Ticker("key_uses", database, system, keyring.uses.flush, interval_seconds=FLUSH_SECONDS, alone=False),
        ],
        consumers=Consumers("board", kafka, subscriptions, grace_seconds=settings.grace_seconds),
        grace_seconds=settings.grace_seconds,
        further=[pages],
    )
    terms = Terms(timedelta(seconds=settings.idle_seconds), timedelta(seconds=settings.session_seconds))
    accounts = Accounts(pages, system, terms, Passwords())
    service.app = create_app(
        "board",
        title="Thông Suốt – bảng theo dõi / board",
        description="Ai chậm, từ bao giờ, vì sao / who is behind, since when and why.",
        readiness=service.readiness,
        lifespan=service.lifespan,
    )
    service.app.add_middleware(Metered)
    operators = Operators(keyring, business, operators_allowances(settings))
    mount_exports(service.app, database, [*backbone_exports(), COPIED_KEY_USES], operators=operators)
    key = WatchedFile(settings.signing_key_file, SigningKey.from_pem, _no_signing_key)
    actor = Actor(key.value, settings.watched, system)
    site = Site(pages, accounts, business, settings.public_url, devices_kept, actor)
    mount(service.app, site, Watch(settings.watched, system), Periods(site, Freezing(pages, system)))
    return service


def _no_signing_key(why: str) -> None:
    log.warning("The key that signs for people cannot be read.", action="acting.no_key", error=why)
