"""Samples for intake's pure rooms."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from services.intake.submissions.domain import Pending
from shared.contract.ids import new_id


def pending(content: str = "1", *, key: str = "k1", body: str | None = None, **others: Any) -> Pending:
    """A submission whose content is named by `content`; its body is `body`, or the content."""
    sent = (body if body is not None else content).encode()
    values: dict[str, Any] = {
        "submission_id": new_id(),
        "obligation": "H99.01/KTXH/2026-M10",
        "agency": "H99.01",
        "regime": "KTXH",
        "regime_version": 1,
        "period": "2026-M10",
        "officer_id": "cb-01",
        "received_at": datetime(2026, 10, 20, 2, 30, 0, 123456, tzinfo=UTC),
        "registry_revision": 10**9,  # of a registry newer than any
        "idempotency_key": key,
        "sha256": hashlib.sha256(sent).digest(),
        "content_sha256": hashlib.sha256(content.encode()).digest(),
        "body": sent,
        "nil": False,
        "figures": {"A01": "1.50", "A02": None},
        "narratives": {"danh_gia": "Ổn định – “khá”\n\t\\"},
    }
    return Pending(**{**values, **others})
