"""Scoring's event in any state, for the tests of those who follow it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from shared.contract.events import ObligationChanged, obligation_key


def obligation_changed(
    agency: str, regime: str, period: str, *, version: int, deadline: Any, at: Any, **state: Any
) -> ObligationChanged:
    """The whole state: owed, nothing sent and not overdue, unless the test says otherwise.

    An answer_version alone is enough for an obligation that is fulfilled in time.
    """
    if state.get("answer_version") is not None:
        answered = {"standing": "fulfilled", "on_time": True, "answer_received_at": at}
        state = {**answered, "answer_submission_id": UUID(int=state["answer_version"]), **state}
    return ObligationChanged.model_validate(
        {
            "obligation": obligation_key(agency, regime, period), "agency": agency, "regime": regime,
            "regime_version": 1, "period": period, "version": version, "at": at, "changes": ("score",),
            "owed": True, "standing": "nothing_sent", "overdue": False, "opens_at": deadline - timedelta(days=30),
            "planned_deadline": deadline, "deadline": deadline, "calendar_version": "2026.1",
            "policy_version": "vn-2026-1", **state,
        }
    )  # fmt: skip
