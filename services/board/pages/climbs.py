"""How far each overdue report has climbed: who above the officer was told, at which rung, and what came before. Pure.

Who was told follows from the notices; what they answered and when it goes on, from the newest event of the climb. One
that began before there were such events has the notices alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping

from services.board.pages.words import NOBODY, RUNG_ROLES, STANDSTILLS, Pair, rung_words
from services.board.readmodel.queries import MOST_ABOVE, MOST_BEFORE, Line

_STEP = re.compile(r"overdue(?:/\d+)?(?:/rung-(?P<rung>[^/]+)(?:/.*)?)?")


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
class Answer:
    """What somebody who was told said, or did."""

    at: datetime
    by: str  # name
    kind: str  # acknowledged, snoozed, taken_back, or handed_on
    reason: str
    until: datetime | None = None
    to: str = ""  # name of whom it was handed on to


@dataclass(frozen=True, slots=True)
class Course:
    """The course of a climb: what was answered, whether it stands still, when it goes on and whom it tells then."""

    ladder: str  # name and version
    held_until: datetime | None
    answers: tuple[Answer, ...]  # in their order
    next_rung: Pair
    next_role: Pair
    next_at: datetime | None
    standstill: Pair  # why there is no next moment; empty where there is one

    @property
    def in_force(self) -> Answer | None:
        """The answer that stops the climb."""
        given = [one for one in self.answers if one.kind in ("acknowledged", "snoozed")]
        return given[-1] if self.held_until is not None and given else None


@dataclass(frozen=True, slots=True)
class Climb:
    """An overdue report that somebody above the officer was told of, since its present deadline."""

    line: Line
    above: tuple[Told, ...]  # by the rungs' notices, in their order
    before: tuple[Told, ...]  # to the officer and the agency, in their order
    older_above: bool = False  # whether there are older ones than these
    older_before: bool = False
    course: Course | None = None  # None: no event tells of it

    def notice_to(self, person_id: str) -> UUID | None:
        """The newest notice by which the person was told; it is the one to answer."""
        return next((told.notice for told in reversed(self.above) if told.person == person_id), None)


def climbs(
    lines: Sequence[Line],
    notices: Sequence[RowMapping],
    names: Mapping[str, tuple[str, str]],
    open_climbs: Mapping[str, Mapping[str, Any]],
    now: datetime,
) -> list[Climb]:
    """The climb of each of these overdue reports. `notices`, `open_climbs`: as queries gives them."""
    of_line: dict[str, list[Told]] = {line.obligation: [] for line in lines}
    for notice in notices:
        of_line[notice["obligation"]].append(_told(notice, names))
    return [
        _climb(line, of_line[line.obligation], course_of(open_climbs.get(line.obligation), names, now))
        for line in lines
    ]


def course_of(row: Mapping[str, Any] | None, names: Mapping[str, tuple[str, str]], now: datetime) -> Course | None:
    """The course of a climb as its row in the read model tells it."""
    if row is None:
        return None
    held = row["held_until"]
    moving = row["next_at"] is not None and row["next_at"] > now
    standstill = STANDSTILLS.get(row["reason"].partition(":")[0], ("", ""))
    return Course(
        f"{row['ladder']}/{row['ladder_version']}",
        held if held is not None and held > now else None,
        answers_of(row, names),
        rung_words(row["next_rung"]) if row["next_rung"] else ("", ""),
        RUNG_ROLES.get(row["next_role"] or "", (row["next_role"] or "",) * 2),
        row["next_at"] if moving else None,
        standstill,
    )


def answers_of(row: Mapping[str, Any], names: Mapping[str, tuple[str, str]]) -> tuple[Answer, ...]:
    """What was answered, and to whom it was handed on, in the order of the moments."""
    given = [
        Answer(
            datetime.fromisoformat(one["at"]), called(one["by"], names), one["kind"], one.get("reason") or "",
            datetime.fromisoformat(one["until"]) if one.get("until") else None,
        )
        for one in row["answers"]
    ]  # fmt: skip
    given += [
        Answer(
            datetime.fromisoformat(one["at"]), called(one["by"], names), "handed_on", one.get("reason") or "",
            to=called(one["to"], names),
        )
        for one in row["handed_on"]
    ]  # fmt: skip
    return tuple(sorted(given, key=lambda answer: answer.at))


def nobody_told(skipped: Sequence[str]) -> Pair:
    """Why a rung told nobody, in words: each reason with its place."""
    said = []
    for why in skipped:
        reason, _, place = why.partition(":")
        vi, en = next((words for name, words in NOBODY.items() if reason.startswith(name)), (reason, reason))
        said.append((f"{vi} ({place})", f"{en} ({place})") if place else (vi, en))
    return "; ".join(vi for vi, _ in said), "; ".join(en for _, en in said)


def called(person: str, names: Mapping[str, tuple[str, str]]) -> str:
    """Name and title of a person; the id of one whom the registry does not know."""
    name, title = names.get(person, ("", ""))
    return f"{name}, {title}" if name and title else name or person


def _climb(line: Line, told: Sequence[Told], course: Course | None) -> Climb:
    above = tuple(one for one in told if one.kind == "escalation")
    before = tuple(one for one in told if one.kind != "escalation")
    older = len(above) > MOST_ABOVE, len(before) > MOST_BEFORE
    return Climb(line, above[-MOST_ABOVE:], before[-MOST_BEFORE:], *older, course)


def rung_of(step: str) -> Pair:
    """The rung that a notice's step names. The first one may be due with the deadline: then no rung is named."""
    found = _STEP.fullmatch(step)
    rung = found["rung"] if found else None
    return rung_words(rung) if rung else ("ngay khi quá hạn", "as soon as it was overdue")


def _told(notice: RowMapping, names: Mapping[str, tuple[str, str]]) -> Told:
    said = called(notice["officer_id"], names)
    rung = rung_of(notice["step"]) if notice["kind"] == "escalation" else ("", "")
    return Told(
        notice["kind"], rung, notice["at"], notice["officer_id"], said, notice["outcome"], notice["notification_id"]
    )
