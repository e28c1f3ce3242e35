"""Webhooks and the calls that made, rotated and tested them; nothing here commits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import text

from services.intake import tables
from services.intake.webhooks.domain import Health, Secret, Webhook
from shared.contract.events import WebhookHealth, WebhookStopped
from shared.contract.events.registry import WebhookCovers
from shared.postgres.bulk import assignments, names
from shared.postgres.database import ReadTransaction, Transaction
from shared.projection import Projection

_COLUMNS = (
    "webhook_id", "agency", "url", "events", "contact", "state", "secrets", "version", "created_at", "changed_at",
    "test_id", "test_at", "covers",
)  # fmt: skip
_SHOWN = ", ".join(_COLUMNS).replace("secrets", "CAST(secrets AS text) AS secrets")
_HEALTH = Health.__struct_fields__  # columns of webhook_health
_TOLD = f", stop.at AS stopped_at, stop.reason AS stop_reason, {', '.join(_HEALTH)}"
_VALUES = ", ".join(f":{name}" for name in _COLUMNS).replace(":secrets", "CAST(:secrets AS jsonb)")
_SAVE = text(f"""
    INSERT INTO webhook_endpoints ({names(_COLUMNS)}) VALUES ({_VALUES})
    ON CONFLICT (webhook_id) DO UPDATE SET {assignments(_COLUMNS[2:], "excluded")}
""")  # noqa: S608 - constant names
_TELLING = """
    LEFT JOIN webhook_stops stop USING (webhook_id, version) LEFT JOIN webhook_health USING (webhook_id, version)
"""
_ONE = f"""
    SELECT {_SHOWN}{_TOLD} FROM webhook_endpoints {_TELLING} WHERE webhook_id = :webhook_id AND state <> 'deleted'
"""  # noqa: S608 - constant names
_READ, _LOCK = text(_ONE), text(f"{_ONE} FOR UPDATE OF webhook_endpoints")
_EVERY = f"SELECT {_SHOWN} FROM webhook_endpoints ORDER BY webhook_id"  # noqa: S608 - constant names
_ALL, _LOCK_ALL = text(_EVERY), text(f"{_EVERY} FOR UPDATE")
_PAGE = text(f"""
    SELECT {_SHOWN}{_TOLD} FROM webhook_endpoints {_TELLING}
     WHERE state <> 'deleted' AND webhook_id > :after
       AND CASE covers WHEN 'own' THEN CAST(:own AS text[]) IS NULL OR agency = ANY(CAST(:own AS text[]))
                       ELSE CAST(:below AS text[]) IS NULL OR agency = ANY(CAST(:below AS text[])) END
     ORDER BY webhook_id LIMIT :limit
""")  # noqa: S608 - constant names
_OF_AGENCY = text(f"""
    SELECT {_SHOWN}{_TOLD} FROM webhook_endpoints {_TELLING}
     WHERE agency = :agency AND state <> 'deleted' ORDER BY webhook_id
""")  # noqa: S608 - constant names
# serial for one agency: two calls at once would both find room for one more
_SERIAL = text("SELECT pg_advisory_xact_lock(hashtext('webhooks'), hashtext(:agency))")
_COUNT = text("SELECT count(*) FROM webhook_endpoints WHERE agency = :agency AND state <> 'deleted'")
_ORDER = text("""
    INSERT INTO webhook_orders (made_by, idempotency_key, request_sha256, webhook_id, generation, test_id)
    VALUES (:made_by, :key, :sha256, :webhook_id, :generation, :test_id)
    ON CONFLICT (made_by, idempotency_key) DO NOTHING RETURNING webhook_id
""")
_ORDERED = text("""
    SELECT webhook_id, request_sha256, generation, test_id FROM webhook_orders
     WHERE made_by = :made_by AND idempotency_key = :key
""")

FIRST = UUID(int=0)
STOPS = Projection(tables.webhook_stops, WebhookStopped)
HEALTH = Projection(tables.webhook_health, WebhookHealth, version=("version", "attempted_at"))


class Order(Struct, frozen=True):
    """What a call did under its idempotency key: the secret that it made, or the test that it asked for."""

    webhook_id: UUID
    sha256: bytes
    generation: int | None = None
    test_id: UUID | None = None


async def save(tx: Transaction, webhook: Webhook) -> None:
    row = {name: getattr(webhook, name) for name in _COLUMNS}
    secrets = msgspec.json.encode(webhook.secrets).decode()
    await tx.execute(_SAVE, {**row, "events": list(webhook.events), "secrets": secrets})


async def one(tx: ReadTransaction, webhook_id: UUID) -> Webhook | None:
    return _webhook((await tx.execute(_READ, {"webhook_id": webhook_id})).mappings().first())


async def lock(tx: Transaction, webhook_id: UUID) -> Webhook | None:
    """The webhook, locked before anything is published about it."""
    return _webhook((await tx.execute(_LOCK, {"webhook_id": webhook_id})).mappings().first())


async def page(
    tx: ReadTransaction, kept: Mapping[WebhookCovers, Collection[str] | None], after: UUID | None, limit: int
) -> list[Webhook]:
    """Up to `limit` webhooks behind `after`, the oldest first. kept: of each kind, of which agencies (None: all)."""
    given: dict[str, Any] = {"after": after or FIRST, "limit": limit}
    for covers, codes in kept.items():
        given[covers] = None if codes is None else sorted(codes)
    return [_known(row) for row in (await tx.execute(_PAGE, given)).mappings()]


async def of_agency(tx: ReadTransaction, agency: str) -> list[Webhook]:
    """All that the agency has, the oldest first; at most MAX_WEBHOOKS."""
    return [_known(row) for row in (await tx.execute(_OF_AGENCY, {"agency": agency})).mappings()]


async def everything(tx: Transaction, *, lock: bool = False) -> list[Webhook]:
    """All webhooks, the deleted ones too; locked where something is to be published about them."""
    return [_known(row) for row in (await tx.execute(_LOCK_ALL if lock else _ALL)).mappings()]


async def count_alone(tx: Transaction, agency: str) -> int:
    """How many webhooks the agency has; nobody else adds one of its before this transaction ends."""
    await tx.execute(_SERIAL, {"agency": agency})
    return int((await tx.execute(_COUNT, {"agency": agency})).scalar_one())


async def order(tx: Transaction, made_by: str, key: str, wanted: Order) -> Order | None:
    """Note what a call does under its key; else what an earlier call with this key did."""
    row = msgspec.structs.asdict(wanted) | {"made_by": made_by, "key": key}
    if (await tx.execute(_ORDER, row)).first() is not None:
        return None
    return Order(*(await tx.execute(_ORDERED, {"made_by": made_by, "key": key})).one())


def _webhook(row: Mapping[Any, Any] | None) -> Webhook | None:
    return None if row is None else _known(row)


def _known(row: Mapping[Any, Any]) -> Webhook:
    values = {name: value for name, value in row.items() if name not in _HEALTH}
    secrets = msgspec.json.decode(row["secrets"], type=tuple[Secret, ...])
    health = Health(*(row[name] for name in _HEALTH)) if row.get("attempted_at") is not None else None
    return Webhook(**{**values, "events": tuple(row["events"]), "secrets": secrets, "health": health})
