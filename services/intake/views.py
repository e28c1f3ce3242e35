"""Field types that every answer to an agency shares, and the moment up to which a list of changes is complete."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, cast

from pydantic import PlainSerializer
from sqlalchemy import text

from shared.postgres.database import Database
from shared.runtime.clock import LOCAL_ZONE

#: A transaction in progress may commit rows whose moment is earlier than that of rows already visible. Nothing from
#: its start on is shown, so a client that continues after the last moment it saw misses nothing.
_HORIZON = text("""
    SELECT least(now(), min(xact_start)) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
""")


def _local(moment: datetime) -> datetime:
    return moment.astimezone(LOCAL_ZONE)


def _plain(number: Decimal) -> str:
    return format(number, "f")


#: a moment, shown in the zone of the deadlines
Moment = Annotated[datetime, PlainSerializer(_local, return_type=datetime, when_used="json")]
#: a decimal, shown as text
Points = Annotated[Decimal, PlainSerializer(_plain, return_type=str, when_used="json")]


async def horizon(database: Database) -> datetime:
    """The moment before which a transaction that begins later sees every change.

    It has a transaction of its own, which ends before the list's begins: a change committed between the two could
    otherwise be missing from both.
    """
    async with database.read_transaction() as tx:
        return cast(datetime, (await tx.execute(_HORIZON)).scalar_one())
