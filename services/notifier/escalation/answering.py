"""Takes the answer of somebody who was told: once by each notice, and once more to take it back. It never commits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import text

from services.notifier.escalation import store
from services.notifier.escalation.domain import (
    Answer,
    Escalation,
    Refused,
    acknowledge,
    promise_limit,
    take_back,
)
from services.notifier.planning import store as planning
from shared.contract.reporting_window import local_day
from shared.contract.working_days import CalendarGap
from shared.postgres.database import ReadTransaction, Transaction
from shared.runtime.clock import LOCAL_ZONE

Given = Literal["acknowledged", "snoozed", "taken_back"]
MAX_REASON_CHARACTERS = 500

_NOTICE = text("""
    SELECT n.id, n.obligation, n.officer_id, n.step, n.facts, n.period, o.deadline FROM notifications n
      JOIN obligations o ON o.obligation = n.obligation
     WHERE n.id = :id AND n.kind = 'escalation' AND n.state IN ('sent', 'in_data', 'unknown')
""")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a link's page shows."""

    notice: UUID
    obligation: str
    person: str
    facts: dict[str, Any]
    deadline: datetime | None
    escalation: Escalation | None  # None: it is over, or another climb began since
    last_day: date | None  # the furthest that may be promised now
    answered: Answer | None  # by this link
    taken_back: bool


async def asked(tx: ReadTransaction, notice: UUID, now: datetime) -> Asked | None:
    """What the notice asks of its recipient; None for one that has not gone out. `now`: business time."""
    row = (await tx.execute(_NOTICE, {"id": notice})).mappings().one_or_none()
    if row is None:
        return None
    found = [
        escalation for escalation in await store.of_obligation(tx, row["obligation"])
        if escalation.open and row["step"].startswith(f"{escalation.climb.step}/rung-")
    ]  # fmt: skip
    return await _asked(tx, row, found[0] if found else None, now)


async def _asked(tx: ReadTransaction, row: Any, escalation: Escalation | None, now: datetime) -> Asked:
    last_day = None
    mine: list[Answer] = []
    if escalation is not None:
        calendar = await planning.calendar(tx)
        try:
            last_day = None if calendar is None else local_day(promise_limit(escalation, calendar, now))
        except CalendarGap:
            last_day = None
        mine = [given for given in escalation.climb.answers if given.notice == str(row["id"])]
    return Asked(
        row["id"], row["obligation"], row["officer_id"], row["facts"], row["deadline"], escalation, last_day,
        next((given for given in mine if given.kind != "taken_back"), None),
        any(given.kind == "taken_back" for given in mine),
    )  # fmt: skip


async def give(
    tx: Transaction, notice: UUID, kind: Given, until: date | None, reason: str, now: datetime
) -> Escalation:
    """Take one answer by the link of this notice. `now`: business time.

    Raises Refused: beside the domain's reasons answered (the link has served), no_calendar, resolved.
    """
    row = (await tx.execute(_NOTICE, {"id": notice})).mappings().one_or_none()
    if row is None:
        raise Refused("resolved")
    await planning.lock(tx, [row["obligation"]])
    escalation = await store.take_open(tx, row["obligation"])
    if escalation is None or not row["step"].startswith(f"{escalation.climb.step}/rung-"):
        raise Refused("resolved")
    mine = [given for given in escalation.climb.answers if given.notice == str(notice)]
    if any((given.kind == "taken_back") == (kind == "taken_back") for given in mine):
        raise Refused("answered")
    moment = None if until is None else datetime.combine(until, escalation.climb.ladder.office_hour, LOCAL_ZONE)
    answer = Answer(now, row["officer_id"], kind, moment, reason[:MAX_REASON_CHARACTERS], str(notice))
    if kind == "taken_back":
        after = take_back(escalation, answer)
    else:
        calendar = await planning.calendar(tx)
        if calendar is None:
            raise Refused("no_calendar")
        try:
            after = acknowledge(escalation, answer, calendar)
        except CalendarGap:
            raise Refused("no_calendar") from None
    await store.save(tx, [after])
    return after
