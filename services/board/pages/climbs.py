"""How far each overdue report has climbed: who above the officer was told, at which rung, and what came before. Pure.

Follows from the notices alone: what people answered is kept by notifier and told in no event.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping

from services.board.pages.words import Pair
from services.board.readmodel.queries import MOST_ABOVE, MOST_BEFORE, Line

_STEP = re.compile(r"overdue(?:/\d+)?(?:/rung-(?P<rung>.+))?")


@dataclass(frozen=True, slots=True)
class Told:
    """A notice to somebody."""

    kind: str
    rung: Pair  # empty of a notice to the officer
    at: datetime
    person: str  # id
    name: str
    outcome: str
    notice: UUID


@dataclass(frozen=True, slots=True)
class Climb:
    """An overdue report that somebody above the officer was told of, since its present deadline."""

    line: Line
    above: tuple[Told, ...]  # by the rungs' notices, in their order
    before: tuple[Told, ...]  # to the officer and the agency, in their order
    older_above: bool = False  # whether there are older ones than these
    older_before: bool = False

    def notice_to(self, person_id: str) -> UUID | None:
        """The newest notice by which the person was told; it is the one to answer."""
        return next((told.notice for told in reversed(self.above) if told.person == person_id), None)


def climbs(lines: Sequence[Line], notices: Sequence[RowMapping], names: Mapping[str, tuple[str, str]]) -> list[Climb]:
    """The climb of each of these overdue reports. `notices`: as queries.notices_of gives them."""
    of_line: dict[str, list[Told]] = {line.obligation: [] for line in lines}
    for notice in notices:
        of_line[notice["obligation"]].append(_told(notice, names))
    return [_climb(line, of_line[line.obligation]) for line in lines]


def _climb(line: Line, told: Sequence[Told]) -> Climb:
    above = tuple(one for one in told if one.kind == "escalation")
    before = tuple(one for one in told if one.kind != "escalation")
    older = len(above) > MOST_ABOVE, len(before) > MOST_BEFORE
    return Climb(line, above[-MOST_ABOVE:], before[-MOST_BEFORE:], *older)


def rung_of(step: str) -> Pair:
    """The rung that a notice's step names. The first one may be due with the deadline: then no rung is named."""
    found = _STEP.fullmatch(step)
    rung = found["rung"] if found else None
    return (f"bậc {rung}", f"rung {rung}") if rung else ("ngay khi quá hạn", "as soon as it was overdue")


def _told(notice: RowMapping, names: Mapping[str, tuple[str, str]]) -> Told:
    name, title = names.get(notice["officer_id"], ("", ""))
    said = f"{name}, {title}" if name and title else name or notice["officer_id"]
    rung = rung_of(notice["step"]) if notice["kind"] == "escalation" else ("", "")
    return Told(
        notice["kind"], rung, notice["at"], notice["officer_id"], said, notice["outcome"], notice["notification_id"]
    )
