"""What is published of an escalation: its whole state, as its next version, where that is another than before."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from services.notifier.escalation.domain import Escalation
from shared.contract.events import ClimbAnswer, ClimbHandedOn, EscalationChanged, RungPassed, RungPerson
from shared.outbox import publish
from shared.postgres.database import Transaction

#: beginning of the reason of one that could not be moved; what was raised stays here
ERROR = "error:"


def as_published(after: Escalation, before: Escalation | None, at: datetime) -> Escalation:
    """`after` as the next version of the climb; as it is where nothing that is published has changed.

    `at`: business time. A clock that was set back makes no version older than the one before.
    """
    if before is None:
        return replace(after, version=1, changed_at=at)
    if before.version and _said(before) == _said(after):
        return after
    last = before.changed_at
    return replace(after, version=before.version + 1, changed_at=at if last is None else max(last, at))


def _said(one: Escalation) -> tuple[Any, ...]:
    return one.climb, next_known(one), reason_told(one), one.resolved_at, one.resolution


def next_known(one: Escalation) -> datetime | None:
    """When the next rung is due; None for a moment at which it is only looked at."""
    looked_at = one.next_at is None or (one.changed_at is not None and one.next_at <= one.changed_at)
    return None if one.reason or looked_at else one.next_at


def reason_told(one: Escalation) -> str:
    """Why it has no next moment, as it is published."""
    return "error" if one.reason.startswith(ERROR) else one.reason


def event_of(one: Escalation) -> EscalationChanged:
    """The event of this version. Of values that fit, so nothing is checked again."""
    done = one.climb
    ahead = done.ladder.rungs[done.position] if one.open and done.position < len(done.ladder.rungs) else None
    return EscalationChanged.trusted(
        obligation=one.obligation,
        agency=one.obligation.partition("/")[0],
        number=one.number,
        ladder=done.ladder.name,
        ladder_version=done.ladder.version,
        opened_at=one.opened_at,
        position=done.position,
        passed=tuple(
            RungPassed.trusted(
                rung=passed.rung,
                at=passed.at,
                told=tuple(
                    RungPerson.trusted(person=told.person, agency=told.agency, step=told.step) for told in passed.told
                ),
                skipped=passed.skipped,
            )
            for passed in done.passed
        ),
        next_rung=ahead.rung if ahead else None,
        next_role=ahead.tell if ahead else None,
        next_at=next_known(one),
        reason=reason_told(one),
        held_until=done.held_until,
        answers=tuple(
            ClimbAnswer.trusted(
                at=given.at, by=given.by, kind=given.kind, until=given.until, reason=given.reason,
                notice=given.notice, via=given.via,
            )
            for given in done.answers
        ),
        handed_on=tuple(
            ClimbHandedOn.trusted(
                at=handed.at, by=handed.by, to=handed.told.person, agency=handed.told.agency, rung=handed.rung,
                reason=handed.reason, notice=handed.notice, via=handed.via,
            )
            for handed in done.handed_on
        ),
        resolved_at=one.resolved_at,
        resolution=one.resolution,
        at=one.changed_at,
        version=one.version,
    )  # fmt: skip


async def publish_escalations(tx: Transaction, escalations: Iterable[Escalation]) -> None:
    """Publish these, whose obligations are locked: the order of the outbox is that of the commits."""
    await publish(tx, [event_of(one) for one in escalations])
