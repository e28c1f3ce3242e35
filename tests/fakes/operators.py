"""An operator of the tests: one key a session, put into a service's copy of keys as the topic would bring it."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import MetaData

from shared.contract.events import KeyRegistered
from shared.postgres.database import Database
from shared.projection import Projection
from shared.web.authentication import new_key

_KEY = new_key()
OPERATOR = {"Authorization": f"Bearer {_KEY.secret_text}"}


async def let_operator_in(url: str, metadata: MetaData) -> None:
    """Keep the key in the database of a service (validator, scoring, notifier) with these tables."""
    registered = KeyRegistered(
        key_id=_KEY.key_id,
        sha256=_KEY.sha256.hex(),
        principal_kind="operator",
        principal_id="tests",
        scopes=("operate",),
        created_at=datetime.now(UTC),
        version=1,
    )
    database = Database(url, pool_size=1)
    try:
        async with database.transaction() as tx:
            await Projection(metadata.tables["access_keys"], KeyRegistered).save(tx, [registered])
    finally:
        await database.close()
