"""What intake keeps of its obligations and of notices about them; nothing here commits."""

from __future__ import annotations

import json
from collections.abc import Sequence

from services.intake import tables
from services.intake.obligations.standing import Standing
from shared.contract.events import NotificationRecorded, ScoreLine
from shared.projection import Projection

_NOTICE_FIELDS = {"kind", "officer_id", "channel", "outcome", "attempts"}


def _document(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _lines(lines: Sequence[ScoreLine] | None) -> str | None:
    return None if lines is None else _document([line.model_dump(mode="json") for line in lines])


#: what an event does not say (a score, the cut-off) stays as an earlier one said it
STANDINGS = Projection(
    tables.standings,
    Standing,
    values={"lines": lambda standing: _lines(standing.lines)},
    fixed=("agency", "regime", "period"),
    remembered=("cutoff_from", "cutoff_to", "overdue", "on_time", "score", "policy_version", "lines"),
    on_change={"updated_at": "clock_timestamp()"},
)
NOTICES = Projection(
    tables.notices,
    NotificationRecorded,
    values={"document": lambda notice: _document(notice.model_dump(mode="json", include=_NOTICE_FIELDS))},
    fixed=("agency", "obligation"),
)
