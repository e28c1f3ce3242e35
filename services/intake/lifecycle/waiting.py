"""What of an obligation waits for a signature, a review or a decision, as things stand. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import Struct

from services.intake.lifecycle import states, table
from services.intake.lifecycle.states import History, Version
from services.intake.lifecycle.table import AnyKind

#: certification (ký xác nhận) of the head · review (duyệt) · decision on an extension (gia hạn), an explanation (giải
#: trình), an appeal (khiếu nại) · a look at an explanation of lateness (giải trình chậm báo cáo)
ReviewKind = Literal["certification", "review", "extension", "explanation", "lateness", "appeal"]

#: by which step each is done; who may, the table of steps says
DONE_BY: dict[ReviewKind, AnyKind] = {
    "certification": "certified",
    "review": "approved",
    "extension": "extension_granted",
    "explanation": "explanation_accepted",
    "lateness": "lateness_noted",
    "appeal": "appeal_upheld",
}
_ASKED: dict[AnyKind, ReviewKind] = {
    "extension_requested": "extension",
    "explanation_given": "explanation",
    "lateness_explained": "lateness",
    "appeal_made": "appeal",
}


class OpenReview(Struct, frozen=True):
    """One thing that somebody is to do. `about`: the submission, or the step that asks; `since`: business time."""

    kind: ReviewKind
    about: UUID
    since: datetime


def open_reviews(history: History) -> list[OpenReview]:
    """All that waits. Of several versions that lack their certification only the newest does."""
    found = [
        OpenReview(_ASKED[step.kind], step.step_id, step.at)
        for step in history.steps
        if step.kind in _ASKED and states.answer_to(history, step) is None
    ]
    uncertified = [version for version in history.versions if _lacks_certification(history, version)]
    found += [_of_version(history, "certification", version) for version in uncertified[-1:]]
    if history.review == "required":
        found += [
            _of_version(history, "review", version)
            for version in history.versions
            if states.state_of(history, version) == "accepted" and states.counts(history, version)
        ]
    return found


def kinds_of(role: str) -> list[ReviewKind]:
    """What somebody in this capacity may do."""
    return [kind for kind, step in DONE_BY.items() if role in table.by_kind(step).who]


def _lacks_certification(history: History, version: Version) -> bool:
    return (
        history.certification != "none"
        and states.state_of(history, version) in ("accepted", "to_explain")
        and not states.is_certified(history, version)
    )


def _of_version(history: History, kind: ReviewKind, version: Version) -> OpenReview:
    return OpenReview(kind, version.submission_id, states.stood_from(history, version))
