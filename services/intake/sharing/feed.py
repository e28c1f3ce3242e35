"""What a change of a version tells those who read shared reports: how the version stands when the feed is read. Pure.

Whoever follows the feed holds, of each obligation, the version in force. So what takes another's place is told with
what it replaces, and what no longer stands with what stands again. What never stood is never told.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import Struct

from services.intake.lifecycle import states
from services.intake.lifecycle.states import History, Version

#: accepted: it is in force, here is what it says · superseded, withdrawn, returned: what was shared stands no more
SharedEvent = Literal["accepted", "superseded", "withdrawn", "returned"]


class Change(Struct, frozen=True):
    """A verdict or a step about a version, in the order in which they were stored. `id`: of submission or step."""

    moment: datetime
    id: UUID
    submission_id: UUID
    obligation: str
    agency: str
    regime: str
    was_accepted: bool  # by a verdict that another one has replaced
    judged_at: datetime | None  # when the verdict in force was stored
    is_step: bool = False


class Told(Struct, frozen=True):
    """One entry of the feed. superseded_by: number of the version in its place."""

    change: Change
    version: Version
    event: SharedEvent
    superseded_by: int | None = None


def told(change: Change, history: History) -> list[Told]:
    """The entries of a change: none where the version never stood."""
    version = history.version(change.submission_id)
    if version is None or not _stood(change, history, version):
        return []
    entry = _entry(change, history, version)
    if entry.event == "accepted":
        replaced = _newest(history, [other for other in history.versions if other.number < version.number])
        return [entry] if replaced is None else [entry, _entry(change, history, replaced)]
    if entry.event == "superseded":
        return [entry]
    again = _newest(history, history.versions)
    return [entry] if again is None else [entry, _entry(change, history, again)]


def _stood(change: Change, history: History, version: Version) -> bool:
    """Whether it was in force at some time before the change, or is by it."""
    if states.counts(history, version):
        return True
    kinds = {step.kind for step in history.steps_of(version.submission_id)}
    if history.certification != "none" and "certified" not in kinds:
        return False
    if change.was_accepted or _upheld(history, version):
        return True
    # withdrawn before its verdict came, nobody has ever read it
    judged_before = change.is_step and change.judged_at is not None and change.judged_at <= change.moment
    return version.outcome == "accepted" and judged_before


def _upheld(history: History, version: Version) -> bool:
    """Whether an appeal against its verdict was upheld."""
    steps = history.steps_of(version.submission_id)
    return any(step.kind == "appeal_upheld" and step.effect == "accepted" for step in steps)


def _entry(change: Change, history: History, version: Version) -> Told:
    if states.counts(history, version):
        newer = _newest(history, [other for other in history.versions if other.number > version.number])
        if newer is None:
            return Told(change, version, "accepted")
        return Told(change, version, "superseded", newer.number)
    withdrawn = states.state_of(history, version) == "withdrawn"
    return Told(change, version, "withdrawn" if withdrawn else "returned")


def _newest(history: History, versions: Iterable[Version]) -> Version | None:
    """The newest of these that counts."""
    counting = [version for version in versions if states.counts(history, version)]
    return max(counting, key=lambda version: version.number, default=None)
