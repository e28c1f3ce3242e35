"""Queries of webhooks' deliveries for those who keep the webhook: what was sent, newest first, with its attempts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import RowMapping, text

from shared.postgres.database import ReadTransaction

DeliveryState = Literal["pending", "claimed", "retry", "delivered", "failed", "cancelled"]

SHOWN = ("event", "occurred_at", "state", "attempts", "replays", "settled_at", "reason")
ATTEMPTS_SHOWN = ("number", "started_at", "outcome", "status", "answer")
#: of each message in a list, the latest ones
ATTEMPTS_LISTED = 10
#: of one message; ten belong to the first sending, ten at most to each replay
ATTEMPTS_OF_ONE = 200

_COLUMNS = f"delivery_id, number AS place, created_at AS queued_at, due_at AS next_at, {', '.join(SHOWN)}"
_ONE = text(f"""
    SELECT {_COLUMNS}, body FROM webhook_deliveries WHERE webhook_id = :webhook_id AND delivery_id = :delivery_id
""")  # noqa: S608 - constants
_ATTEMPTS = text(f"""
    SELECT one.id AS delivery_id, {", ".join(ATTEMPTS_SHOWN)},
           CAST(round(extract(epoch FROM ended_at - started_at) * 1000) AS bigint) AS milliseconds
      FROM unnest(CAST(:ids AS uuid[])) AS one (id)
     CROSS JOIN LATERAL (SELECT * FROM webhook_attempts a WHERE a.delivery_id = one.id
                          ORDER BY number DESC LIMIT :each) AS attempt
     ORDER BY one.id, number
""")  # noqa: S608 - constants
_KEPT = text("SELECT agency, covers FROM webhooks WHERE webhook_id = :webhook_id AND state <> 'deleted'")


_HEALTH = text("""
    SELECT CASE WHEN stopped_version = version THEN 'stopped' ELSE state END AS state, delivered_at, failing_since,
           failures, rest_until,
           (SELECT count(*) FROM webhook_deliveries d
             WHERE d.webhook_id = w.webhook_id AND due_at IS NOT NULL) AS waiting
      FROM webhooks w WHERE webhook_id = :webhook_id
""")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages; None matches every value. Moments are system time: since when, and until before when, queued."""

    state: DeliveryState | None = None
    event: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def name(self) -> str:
        """Of the listing, so that a cursor belongs to the filters it was given for."""
        moments = (moment and moment.isoformat() for moment in (self.since, self.until))
        return "/".join(value or "*" for value in (self.state, self.event, *moments))


async def agency_of(tx: ReadTransaction, webhook_id: UUID) -> tuple[str, str] | None:
    """Whose webhook it is, and what it covers; None: there is none."""
    row = (await tx.execute(_KEPT, {"webhook_id": webhook_id})).first()
    return None if row is None else (row.agency, row.covers)


async def health(tx: ReadTransaction, webhook_id: UUID) -> RowMapping:
    """How the receiver of a webhook fares."""
    return (await tx.execute(_HEALTH, {"webhook_id": webhook_id})).mappings().one()


async def deliveries(
    tx: ReadTransaction, webhook_id: UUID, wanted: Filter, *, before: tuple[datetime, int] | None, limit: int
) -> list[RowMapping]:
    """Up to `limit` messages queued before that place, newest first."""
    parameters: dict[str, Any] = {"webhook_id": webhook_id, "limit": limit}
    conditions = ["webhook_id = :webhook_id"]
    if wanted.state is not None:
        conditions.append(f"state = '{wanted.state}'")  # of a closed set; as a constant it finds the partial index
    for condition, name, value in (
        ("event = :event", "event", wanted.event),
        ("created_at >= :since", "since", wanted.since),
        ("created_at < :until", "until", wanted.until),
    ):
        if value is not None:
            conditions.append(condition)
            parameters[name] = value
    if before is not None:
        conditions.append("(created_at, number) < (:before, :number)")
        parameters |= {"before": before[0], "number": before[1]}
    statement = text(
        f"SELECT {_COLUMNS} FROM webhook_deliveries WHERE {' AND '.join(conditions)}"  # noqa: S608 - constants
        " ORDER BY created_at DESC, number DESC LIMIT :limit"
    )
    return list((await tx.execute(statement, parameters)).mappings())


async def delivery(tx: ReadTransaction, webhook_id: UUID, delivery_id: UUID) -> RowMapping | None:
    """One message of the webhook, with its body."""
    return (await tx.execute(_ONE, {"webhook_id": webhook_id, "delivery_id": delivery_id})).mappings().one_or_none()


async def attempts(tx: ReadTransaction, ids: Collection[UUID], each: int) -> dict[UUID, list[RowMapping]]:
    """The latest attempts of these messages, so many of each, in their order."""
    found: dict[UUID, list[RowMapping]] = {}
    for row in (await tx.execute(_ATTEMPTS, {"ids": sorted(ids), "each": each})).mappings():
        found.setdefault(row["delivery_id"], []).append(row)
    return found
