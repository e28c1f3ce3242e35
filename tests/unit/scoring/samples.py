"""Values the scoring tests share: one calendar, one policy, one obligation and the events about it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from msgspec.structs import replace

from services.scoring.calendar import WorkingCalendar, shipped_calendars
from services.scoring.obligations.domain import Obligation
from services.scoring.obligations.facts import NOTHING, Facts, Terms
from services.scoring.obligations.standing import stand
from services.scoring.scores.policy import Policy, read_policies
from shared.contract.events import NotJudged, StepTaken, SubmissionReceived, VerdictReached, obligation_key
from shared.runtime.clock import LOCAL_ZONE

CALENDAR: WorkingCalendar = shipped_calendars()[-1].file.calendar()
POLICY: Policy = read_policies().version("2019.1")
KEY = obligation_key("H99.31", "KTXH-THANG", "2026-M10")
DEADLINE = datetime(2026, 10, 19, 17, 0, tzinfo=LOCAL_ZONE)  # a Monday
NAMES = UUID("0b0e5a54-1111-5222-8333-444455556666")


def local(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=LOCAL_ZONE)


TERMS = Terms(
    regime_version=1,
    opens_at=datetime(2026, 9, 15, tzinfo=LOCAL_ZONE),
    remind_at=datetime(2026, 10, 15, 8, tzinfo=LOCAL_ZONE),
    deadline=DEADLINE,
    calendar_version=CALENDAR.version,
    policy_version=POLICY.version,
    cutoff_from=date(2026, 9, 15),
    cutoff_to=date(2026, 10, 14),
)


def obligation(facts: Facts = NOTHING, key: str = KEY, **terms: Any) -> Obligation:
    """As it is opened: version 1, with these facts; `terms` are changes of TERMS."""
    given = replace(TERMS, **terms)
    return Obligation(key, 1, given, facts, stand(given, facts, POLICY, CALENDAR).state)


def submission(
    version: int = 1, received_at: datetime | None = None, key: str = KEY, **more: Any
) -> SubmissionReceived:
    agency, regime, period = key.split("/")
    fields: dict[str, Any] = {
        "submission_id": uuid5(NAMES, f"{key}/{version}"),
        "obligation": key,
        "agency": agency,
        "regime": regime,
        "regime_version": 1,
        "period": period,
        "version": version,
        "officer_id": f"officer-{version}",
        "received_at": received_at or DEADLINE - timedelta(days=1) + timedelta(minutes=version),
        "sha256": "0" * 64,
    }
    return SubmissionReceived(**(fields | more))


def verdict(
    version: int = 1,
    outcome: str = "accepted",
    received_at: datetime | None = None,
    *,
    required: int = 3,
    present: int = 3,
    key: str = KEY,
    **more: Any,
) -> VerdictReached:
    base = submission(version, received_at, key)
    fields: dict[str, Any] = base.model_dump(
        include={
            "submission_id", "obligation", "agency", "regime", "regime_version", "period", "version", "officer_id",
            "received_at",
        }
    )  # fmt: skip
    fields |= {
        "verdict_id": uuid5(NAMES, f"verdict/{key}/{version}"),
        "decided_at": datetime(2026, 11, 2, 9, 0, tzinfo=UTC),
        "outcome": outcome,
        "errors": 0 if outcome == "accepted" else 1,
        "warnings": 0,
        "required_items": required,
        "present_items": present,
    }
    return VerdictReached(**(fields | more))


def not_judged(
    version: int = 1, received_at: datetime | None = None, *, key: str = KEY, **more: Any
) -> NotJudged:  # fmt: skip
    """What validation says of a version that it could not judge."""
    base = submission(version, received_at, key)
    fields: dict[str, Any] = base.model_dump(
        include={
            "submission_id", "obligation", "agency", "regime", "regime_version", "period", "version", "officer_id",
            "received_at", "nil",
        }
    )  # fmt: skip
    fields |= {
        "verdict_id": uuid5(NAMES, f"not judged/{key}/{version}"), "decided_at": datetime(2026, 11, 1, 9, tzinfo=UTC),
    }  # fmt: skip
    return NotJudged(**(fields | more))


def step(kind: str, at: datetime, version: int = 1, received_at: datetime | None = None, **more: Any) -> StepTaken:
    """A step about a version; the same call makes the same step. Of an obligation alone: submission_id None."""
    base = submission(version, received_at, more.pop("key", KEY))
    fields: dict[str, Any] = base.model_dump(
        include={
            "submission_id", "obligation", "agency", "regime", "regime_version", "period", "version", "officer_id",
            "received_at",
        }
    )  # fmt: skip
    name = uuid5(NAMES, f"{kind}/{base.obligation}/{version}/{at.isoformat()}/{more.get('until')}")
    if more.pop("alone", False):
        fields |= {"version": None, "received_at": None}
    return StepTaken(**(fields | {"step_id": name, "kind": kind, "at": at, "by": "tt-31", "role": "head"} | more))
