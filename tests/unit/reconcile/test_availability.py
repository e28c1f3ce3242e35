"""What scoring keeps of intake's availability is what intake has told, to the second; else it is a difference."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from deploy.reconcile import availability
from deploy.reconcile.reference import Reference
from shared.contract.events import EventModel, IntakeAvailable, IntakeUnavailable

AT = datetime(2026, 3, 17, 2, tzinfo=UTC)
GAP = AT - timedelta(hours=2), AT - timedelta(hours=1)


def event(number: int, body: EventModel) -> dict[str, Any]:
    return {"event_id": UUID(int=number), "type": body.TYPE, "headers": None, "body": body.encode()}


def reference(available: datetime | None = AT, gaps: Any = None, events: Any = None) -> Any:
    row = {"starts_at": GAP[0], "ends_at": GAP[1], "cause": "stopped", "examined": True, "relief_id": None}
    told = [
        event(1, IntakeUnavailable(since=GAP[0], until=GAP[1], cause="stopped")),
        event(2, IntakeAvailable(until=AT)),
    ]
    made: Any = Reference({}, {}, {"intake": UUID(int=0)}, told if events is None else events)
    made.tables = {
        ("scoring", "intake_gaps"): [row] if gaps is None else gaps,
        ("scoring", "intake_availability"): [] if available is None else [{"available_until": available}],
        ("scoring", "reliefs"): [{"relief_id": "r"}],
    }
    return made


def changed(**values: Any) -> list[dict[str, Any]]:
    row = {"starts_at": GAP[0], "ends_at": GAP[1], "cause": "stopped", "examined": True, "relief_id": None}
    return [row | values]


def test_what_was_told_and_is_kept_is_no_difference() -> None:
    assert list(availability.compare(reference())) == []
    assert list(availability.compare(reference(gaps=changed(relief_id="r")))) == []
    assert list(availability.compare(reference(available=None, gaps=[], events=[]))) == []


@pytest.mark.parametrize(
    ("spoiled", "where"),
    [
        (reference(available=AT + timedelta(seconds=1)), "scoring.intake_availability"),
        (reference(available=None), "scoring.intake_availability"),
        (reference(gaps=[]), "scoring.intake_gaps"),
        (reference(gaps=changed(cause="stalled")), "scoring.intake_gaps"),
        (reference(gaps=changed(ends_at=AT)), "scoring.intake_gaps"),
        (reference(gaps=changed(relief_id="gone")), "scoring.intake_gaps"),
        (reference(events=[event(2, IntakeAvailable(until=AT))]), "scoring.intake_gaps"),
        (
            reference(events=[{"event_id": UUID(int=3), "type": "x", "headers": None, "body": b"{"}]),
            "intake.outbox_archive",
        ),
    ],
)
def test_each_other_value_is_a_difference(spoiled: Any, where: str) -> None:
    found = list(availability.compare(spoiled))
    assert where in {difference.where for difference in found}
