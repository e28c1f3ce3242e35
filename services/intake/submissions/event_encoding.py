"""The event of a stored submission, encoded without pydantic: on the hot path the model would cost more than storing.

A test holds it to SubmissionReceived: the bytes parse to the same model, field for field.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from services.intake.submissions.domain import Fresh
from shared.contract.events import SubmissionReceived
from shared.outbox import Outgoing
from shared.reports.canonical import Tables


class _Body(msgspec.Struct):
    submission_id: UUID
    obligation: str
    agency: str
    regime: str
    regime_version: int
    period: str
    version: int
    officer_id: str
    received_at: datetime
    sha256: str
    nil: bool
    figures: Mapping[str, str | None]
    narratives: Mapping[str, str]
    nil_reason: str = ""
    declines: str | None = None
    refer_to: str | None = None
    tables: Tables | UnsetType = UNSET  # no member of a report that has none: most have none


_encode = msgspec.json.Encoder().encode


def outgoing(fresh: Fresh) -> Outgoing:
    """The submission.received event of a submission and its version."""
    pending = fresh.pending
    body = _encode(
        _Body(
            pending.submission_id,
            pending.obligation,
            pending.agency,
            pending.regime,
            pending.regime_version,
            pending.period,
            fresh.version,
            pending.officer_id,
            pending.received_at,
            pending.sha256.hex(),
            pending.nil,
            pending.figures,
            pending.narratives,
            pending.nil_reason,
            pending.declines or None,
            pending.refer_to or None,
            pending.tables or UNSET,
        )
    )
    return Outgoing(SubmissionReceived.TOPIC, pending.obligation, SubmissionReceived.TYPE, body)
