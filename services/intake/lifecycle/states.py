"""In which state a thing is follows from the obligation's versions and the steps taken about it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import Struct

from services.intake.lifecycle import table
from services.intake.lifecycle.table import AnyKind, ReportState
from shared.contract.events.registry import Certification, Review
from shared.contract.events.submissions import AppealEffect


class Taken(Struct, frozen=True):
    """A step as it is stored."""

    step_id: UUID
    obligation: str
    kind: AnyKind
    at: datetime
    by: str
    role: str
    reason: str = ""
    since: datetime | None = None
    until: datetime | None = None
    effect: AppealEffect | None = None
    answers: UUID | None = None
    submission_id: UUID | None = None
    remedy: str = ""  # of an explanation of lateness


class Version(Struct, frozen=True):
    """One version of the report, with what validation said of it; outcome None: nothing yet."""

    submission_id: UUID
    number: int
    regime_version: int
    officer_id: str
    received_at: datetime
    nil: bool
    outcome: Literal["accepted", "returned", "not_judged"] | None = None
    asks_to_explain: bool = False  # some finding of its verdict does
    decided_at: datetime | None = None  # the verdict's moment


class History(Struct, frozen=True):
    """All that is known of one obligation. `versions` by number, `steps` in the order in which they were taken."""

    obligation: str
    versions: Sequence[Version] = ()
    steps: Sequence[Taken] = ()
    certification: Certification = "none"
    review: Review = "none"

    def version(self, submission_id: UUID | None) -> Version | None:
        return next((sent for sent in self.versions if sent.submission_id == submission_id), None)

    def steps_of(self, submission_id: UUID | None) -> list[Taken]:
        """Steps about one version; None: about the obligation alone."""
        return [step for step in self.steps if step.submission_id == submission_id]

    def step(self, step_id: UUID) -> Taken | None:
        return next((step for step in self.steps if step.step_id == step_id), None)


def state_of(history: History, version: Version) -> ReportState:
    """The report's state, as the table has it."""
    steps = history.steps_of(version.submission_id)
    kinds = {step.kind for step in steps}
    if "withdrawn" in kinds:
        return "withdrawn"
    if version.outcome is None:
        return "received"
    if version.outcome == "not_judged":
        return "not_judged"
    if not _passed(version, steps):
        return "returned"
    review = _last_review(steps)
    if review == "rework":
        return "rework"
    if superseded_by(history, version) is not None:
        return "superseded"
    if review == "approved":
        return "approved"
    upheld = version.outcome == "returned"  # whoever upheld the appeal has seen the findings
    asks = version.asks_to_explain and not upheld and "explanation_accepted" not in kinds
    return "to_explain" if asks else "accepted"


def superseded_by(history: History, version: Version) -> tuple[datetime, Version] | None:
    """The newer version that stands in its place, and since when; of several the one that stood first."""
    later = [other for other in history.versions if other.number > version.number and counts(history, other)]
    return min(((stood_from(history, other), other) for other in later), key=_first, default=None)


def _first(stood: tuple[datetime, Version]) -> tuple[datetime, int]:
    return stood[0], stood[1].number


def stood_from(history: History, version: Version) -> datetime:
    """When it had all that it needs to count."""
    steps = history.steps_of(version.submission_id)
    upheld = [step.at for step in steps if _overrules(step)] if version.outcome == "returned" else []
    certified = [step.at for step in steps if step.kind == "certified"] if history.certification != "none" else []
    return max([version.decided_at or version.received_at, *upheld[:1], *certified[:1]])


def is_certified(history: History, version: Version) -> bool:
    return any(step.kind == "certified" for step in history.steps_of(version.submission_id))


def counts(history: History, version: Version) -> bool:
    """Whether it is accepted as things stand, and certified where that is asked for."""
    steps = history.steps_of(version.submission_id)
    kinds = {step.kind for step in steps}
    return (
        _passed(version, steps)
        and "withdrawn" not in kinds
        and _last_review(steps) != "rework"
        and (history.certification == "none" or "certified" in kinds)
    )


def asked_state(history: History, step: Taken | None) -> str:
    """How a request, an explanation or an appeal stands, as its table has it; None: there is none."""
    if step is None:
        return "none"
    return table.by_kind((answer_to(history, step) or step).kind).target


def answer_to(history: History, step: Taken) -> Taken | None:
    """The step that decides this one; None: it waits."""
    return next((other for other in history.steps if other.answers == step.step_id), None)


def latest(history: History, kind: AnyKind, submission_id: UUID | None) -> Taken | None:
    """The last step of this kind about a version, or about the obligation alone."""
    return next((step for step in reversed(history.steps_of(submission_id)) if step.kind == kind), None)


def _passed(version: Version, steps: Sequence[Taken]) -> bool:
    return version.outcome == "accepted" or (version.outcome == "returned" and any(map(_overrules, steps)))


def _overrules(step: Taken) -> bool:
    """Whether by it a returned version counts as accepted."""
    return step.kind == "appeal_upheld" and step.effect == "accepted"


def _last_review(steps: Sequence[Taken]) -> AnyKind | None:
    reviews = [step.kind for step in steps if step.kind in ("approved", "rework")]
    return reviews[-1] if reviews else None
