"""What a webhook tells: small messages of ids, states and links, without names, contacts or contents. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from shared.contract.events import NotJudged, ObligationChanged, SubmissionReceived, VerdictReached, WebhookEvent
from shared.contract.period import PeriodError, parse
from shared.runtime.clock import LOCAL_ZONE

TEST = "webhook.test"


class Message(Struct, frozen=True):
    """One message about an agency. cause: the same for the same matter, so that no webhook is told of it twice."""

    agency: str
    event: str  # WebhookEvent, or TEST
    cause: str
    at: datetime  # when it happened
    body: str
    obligation: str = ""


def of_submission(body: SubmissionReceived) -> Message:
    data = _about(body) | {
        "submission_id": str(body.submission_id),
        "version": body.version,
        "received_at": _moment(body.received_at),
        "sha256": body.sha256,
        "nil": body.nil,
        "link": f"/v1/submissions/{body.submission_id}",
    }
    return _message(body.agency, "submission.received", f"received/{body.submission_id}", body.received_at, data)


def of_verdict(body: VerdictReached) -> Message:
    data = _about(body) | {
        "submission_id": str(body.submission_id),
        "version": body.version,
        "outcome": body.outcome,
        "errors": body.errors,
        "warnings": body.warnings,
        "decided_at": _moment(body.decided_at),
        "link": f"/v1/submissions/{body.submission_id}",
    }
    return _message(
        body.agency, "verdict.reached", f"verdict/{body.submission_id}/{body.revision}", body.decided_at, data
    )


def of_not_judged(body: NotJudged) -> Message:
    """Told once of a submission, also where a validator that was built again says so once more."""
    data = _about(body) | {
        "submission_id": str(body.submission_id),
        "version": body.version,
        "decided_at": _moment(body.decided_at),
        "link": f"/v1/submissions/{body.submission_id}",
    }
    return _message(body.agency, "verdict.not_judged", f"not_judged/{body.submission_id}", body.decided_at, data)


def of_obligation(body: ObligationChanged, steps: Sequence[str], *, withdrawn: str | None) -> Iterator[Message]:
    """What is new of an obligation.

    steps: of the notices that it calls for (due_soon, overdue, overdue/2 …); withdrawn: the step of the overdue mark
    that was taken back.
    """
    data = _about(body) | {
        "deadline": _moment(body.deadline),
        "standing": body.standing,
        "overdue": body.overdue,
        "link": f"/v1/obligations/{body.regime}/{body.period}",
    }

    def message(event: WebhookEvent, cause: str, more: dict[str, Any] | None = None) -> Message:
        return _message(body.agency, event, f"{cause}/{body.obligation}", body.at, data | (more or {}))

    for step in steps:
        yield message("obligation.overdue" if step.startswith("overdue") else "obligation.due_soon", step)
    if withdrawn is not None:
        yield message("obligation.overdue", f"{withdrawn}/withdrawn")
    if "opened" in body.changes and _is_request(body.period):
        yield message("request.issued", "opened", {"request_id": body.period})
    if "score" in body.changes and body.score is not None:
        score = {"score": format(body.score, "f"), "on_time": body.on_time, "policy_version": body.policy_version}
        yield message("score.changed", f"score/{len(body.lines)}/{score['score']}", score)


def of_escalation(obligation: str, step: str, at: datetime) -> Message:
    """Somebody above the officer is told that the report is overdue. step: of the notices, such as overdue/rung-2."""
    agency, regime, period = obligation.split("/", 2)
    data = {
        "obligation": obligation, "agency": agency, "regime": regime, "period": period, "step": step, "overdue": True,
        "link": f"/v1/obligations/{regime}/{period}",
    }  # fmt: skip
    return _message(agency, "obligation.escalated", f"{step}/{obligation}", at, data)


def of_test(webhook_id: UUID, agency: str, test_id: UUID, at: datetime) -> Message:
    data = {"webhook_id": str(webhook_id), "agency": agency, "test_id": str(test_id)}
    return _message(agency, TEST, f"test/{test_id}", at, data)


def _about(body: SubmissionReceived | VerdictReached | NotJudged | ObligationChanged) -> dict[str, Any]:
    return {"obligation": body.obligation, "agency": body.agency, "regime": body.regime, "period": body.period}


def _message(agency: str, event: str, cause: str, at: datetime, data: dict[str, Any]) -> Message:
    body = {"type": event, "timestamp": _moment(at), "data": data}
    said = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Message(agency, event, cause, at, said, data.get("obligation", ""))


def _moment(at: datetime) -> str:
    return at.astimezone(LOCAL_ZONE).isoformat()


def _is_request(period: str) -> bool:
    try:
        return parse(period).frequency == "adhoc"
    except PeriodError:
        return False
