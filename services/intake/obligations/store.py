"""What intake keeps of its obligations and of notices about them; nothing here commits."""

from __future__ import annotations

import json
from operator import attrgetter

from services.intake import tables
from shared.contract.events import NotificationRecorded, ObligationChanged
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
NOTICES = Projection(
    tables.notices,
    NotificationRecorded,
    values={"document": lambda notice: _document(notice.model_dump(mode="json", include=_NOTICE_FIELDS))},
    fixed=("agency", "obligation"),
)
