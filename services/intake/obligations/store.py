"""What intake keeps of its obligations and of notices about them; nothing here commits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from operator import attrgetter

from sqlalchemy import text

from services.intake import tables
from shared.contract.events import NotificationRecorded, ObligationChanged, RecordedEvent
from shared.postgres.database import Transaction
from shared.projection import Projection

_NOTICE_FIELDS = {"kind", "officer_id", "channel", "outcome", "attempts"}


def _document(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


#: the newest event of an obligation says everything about it
STANDINGS = Projection(
    tables.standings,
    ObligationChanged,
    values={"changed_at": attrgetter("at"), "document": lambda changed: changed.encode().decode()},
    fixed=("agency", "regime", "period"),
    on_change={"updated_at": "clock_timestamp()"},
)
NOTICES: Projection[RecordedEvent] = Projection(
    tables.notices,
    NotificationRecorded,
    values={"document": lambda notice: _document(notice.model_dump(mode="json", include=_NOTICE_FIELDS))},
    fixed=("agency", "obligation"),
)

# From the copy, which holds the newest that was told; in the order in which reports lock the rows.
_KEEP_LOCKS = text("""
    INSERT INTO obligations AS kept (obligation, last_version, locks_at)
    SELECT told.obligation, 0, told.locks_at
      FROM (SELECT obligation, CAST(document ->> 'locks_at' AS timestamptz) AS locks_at FROM standings
             WHERE obligation = ANY(CAST(:keys AS text[]))) AS told
      LEFT JOIN obligations AS stored USING (obligation)
     WHERE told.locks_at IS DISTINCT FROM stored.locks_at ORDER BY told.obligation
    ON CONFLICT (obligation) DO UPDATE SET locks_at = excluded.locks_at
""")


async def keep_locks(tx: Transaction, keys: Sequence[str]) -> None:
    """Have these obligations locked when their newest standing says, or never."""
    await tx.execute(_KEEP_LOCKS, {"keys": list(keys)})
