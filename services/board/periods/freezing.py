"""Keeps a period's figures for good."""

from __future__ import annotations

from uuid import UUID

from services.board.periods import store
from services.board.periods.figures import Figures, from_bytes, hash_of, same
from shared.contract.ids import new_id
from shared.postgres.database import Database
from shared.runtime.clock import Clock
from shared.telemetry.logging import get_logger

log = get_logger()


class Freezing:
    """Freezes figures; what stands already is not kept twice."""

    def __init__(self, database: Database, system: Clock) -> None:
        self._database = database
        self._clock = system

    async def freeze(self, figures: Figures, agency: str, by: str) -> UUID:
        """The id of the frozen figures. agency: at the top of those that they cover."""
        agencies = sorted(one.code for one in figures.agencies)
        async with self._database.transaction() as tx:
            found = await store.newest(tx, figures.period, agency, agencies)
            if found is not None and same(from_bytes(found[1]), figures):
                return found[0]
            document, figures_id = figures.encoded(), new_id()
            frozen = store.Frozen(
                figures_id, figures.period, agency, agencies, figures.moment, self._clock.now(), by,
                hash_of(document), document,
            )  # fmt: skip
            await store.freeze(tx, frozen)
        log.info(
            "Figures were frozen.", action="periods.frozen", period=figures.period, agency=agency, sha256=frozen.sha256
        )
        return figures_id
