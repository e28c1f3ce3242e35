"""Compares what scoring keeps of intake's availability with what intake has told of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from deploy.reconcile.differences import Difference, Teller
from deploy.reconcile.receipts import envelope, json_body
from deploy.reconcile.reference import Reference
from shared.contract.events import IntakeAvailable, IntakeUnavailable

_BY = ("theo sự kiện của intake", "by intake's events")


def compare(reference: Reference) -> Iterator[Difference]:
    """Compare up to when intake could store reports, and the gaps in which it could not."""
    gaps: dict[tuple[datetime, datetime], Any] = {}
    newest: datetime | None = None
    for event in reference.availability:
        told = Teller("event", "intake.outbox_archive", f"intake {event['event_id']}", "theo hợp đồng", "by contract",
                      "reference")  # fmt: skip
        body = json_body(event)
        try:
            if event["type"] == IntakeUnavailable.TYPE:
                gap = IntakeUnavailable.model_validate(body)
                gaps[gap.since, gap.until] = gap.cause
            else:
                yield from envelope(event, IntakeAvailable.TYPE, told)
                until = IntakeAvailable.model_validate(body).until
                newest = until if newest is None else max(newest, until)
        except ValueError as error:
            yield told.difference("body", str(error)[:200], "IntakeAvailable, IntakeUnavailable")
    kept = {(row["starts_at"], row["ends_at"]): row for row in reference.tables["scoring", "intake_gaps"]}
    reliefs = {row["relief_id"] for row in reference.tables["scoring", "reliefs"]}
    for span in sorted({*kept, *gaps}):
        told = Teller("facts", "scoring.intake_gaps", " – ".join(map(str, span)), *_BY, "reference")
        if span not in kept:
            yield told.missing()
        elif span in gaps:
            yield from told.values(kept[span], {"cause": gaps[span]})
            if kept[span]["relief_id"] is not None and kept[span]["relief_id"] not in reliefs:
                yield told.difference("relief_id", kept[span]["relief_id"], "một gia hạn / a relief")
        elif reference.archived_at("intake", span[1]):
            yield told.surplus()
    stored = [row["available_until"] for row in reference.tables["scoring", "intake_availability"]]
    if newest is not None and stored != [newest]:
        told = Teller("facts", "scoring.intake_availability", "", *_BY, "reference")
        yield told.difference("available_until", stored[0] if stored else None, newest)
