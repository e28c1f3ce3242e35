"""How far an overdue report climbed: by the notices since its deadline."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from services.board.pages import words
from services.board.pages.climbs import Answer, climbs, course_of, nobody_told, rung_of
from services.board.readmodel.queries import MOST_ABOVE, MOST_BEFORE, Line
from shared.runtime.clock import LOCAL_ZONE

DEADLINE = datetime(2026, 10, 19, 17, 0, tzinfo=LOCAL_ZONE)
LINE = Line("A/R/M", "A", "R", "M", "nothing_sent", True, None, DEADLINE, DEADLINE, None, None, None)
HOUR = timedelta(hours=1)


def notice(kind: str, step: str, person: str, at: datetime) -> Any:
    return {
        "notification_id": f"{step} of {person}",
        "obligation": LINE.obligation,
        "kind": kind,
        "step": step,
        "officer_id": person,
        "outcome": "sent",
        "at": at,
    }


def test_who_was_told_and_what_came_before_stand_in_their_order() -> None:
    notices = [
        notice("reminder", "due_soon", "o", DEADLINE - 48 * HOUR),
        notice("overdue", "overdue/2", "o", DEADLINE),
        notice("escalation", "overdue/2", "h", DEADLINE),
        notice("escalation", "overdue/2/rung-t+3d", "c", DEADLINE + 72 * HOUR),
    ]
    [found] = climbs([LINE], notices, {"h": ("Lê Văn An", "Giám đốc"), "c": ("Trần B", "")}, {}, DEADLINE)
    assert [(told.person, told.name, told.rung[0]) for told in found.above] == [
        ("h", "Lê Văn An, Giám đốc", "ngay khi quá hạn"), ("c", "Trần B", "bậc sau hạn 3 ngày làm việc"),
    ]  # fmt: skip
    assert [told.kind for told in found.before] == ["reminder", "overdue"]
    assert [found.notice_to(person) for person in ("c", "o")] == ["overdue/2/rung-t+3d of c", None]
    assert (found.older_above, found.older_before) == (False, False)


def test_where_older_notices_are_left_out_the_climb_says_so() -> None:
    above = [notice("escalation", "overdue/rung-t", f"h{place}", DEADLINE + place * HOUR) for place in range(21)]
    before = [notice("reminder", "due_soon", f"o{place}", DEADLINE - (20 - place) * HOUR) for place in range(11)]
    [found] = climbs([LINE], [*before, *above], {}, {}, DEADLINE)
    assert [told.person for told in found.above] == [f"h{place}" for place in range(1, MOST_ABOVE + 1)]
    assert [told.person for told in found.before] == [f"o{place}" for place in range(1, MOST_BEFORE + 1)]
    assert (found.older_above, found.older_before) == (True, True)
    [whole] = climbs([LINE], [*before[1:], *above[1:]], {}, {}, DEADLINE)  # the control
    assert (whole.above, whole.older_above, whole.older_before) == (found.above, False, False)


def test_who_was_told_twice_answers_the_newest_notice() -> None:
    notices = [notice("escalation", f"overdue/rung-{rung}", "h", DEADLINE + 24 * HOUR) for rung in ("t", "t+3d")]
    assert climbs([LINE], notices, {}, {}, DEADLINE)[0].notice_to("h") == "overdue/rung-t+3d of h"


@pytest.mark.parametrize(
    ("step", "rung"),
    [
        ("overdue", "as soon as it was overdue"),
        ("overdue/2", "as soon as it was overdue"),
        ("overdue/rung-t", "rung at the deadline"),
        ("overdue/rung-t+1d/to-PCT-H99", "rung 1 working day after the deadline"),
        ("overdue/rung-t-4h", "rung 4 hours before the deadline"),
        ("overdue/rung-1", "rung 1"),
        ("overdue/2/rung-t+3d", "rung 3 working days after the deadline"),
    ],
)
def test_a_step_names_its_rung(step: str, rung: str) -> None:
    assert rung_of(step)[1] == rung


ROW = {
    "ladder": "default", "ladder_version": 2, "held_until": None, "answers": [], "handed_on": [], "reason": "",
    "next_rung": "t+3d", "next_role": "chair", "next_at": DEADLINE + 72 * HOUR,
}  # fmt: skip


def answer(kind: str, at: datetime, until: datetime | None = None) -> dict[str, Any]:
    return {"at": at.isoformat(), "by": "h", "kind": kind, "until": until and until.isoformat(), "reason": "vì"}


def test_a_course_says_what_holds_it_and_what_is_next() -> None:
    held = DEADLINE + 96 * HOUR
    given = [answer("acknowledged", DEADLINE + HOUR, held)]
    course = course_of({**ROW, "held_until": held, "next_at": held, "answers": given}, {"h": ("An", "")}, DEADLINE)
    assert course is not None
    assert course.in_force is not None
    assert (course.in_force.by, course.in_force.until, course.next_at) == ("An", held, held)
    assert course.next_role == words.RUNG_ROLES["chair"]
    # a promise that is over holds nothing, and a moment that is past is no next one
    over = course_of({**ROW, "held_until": held, "next_at": held, "answers": given}, {}, held)
    assert over is not None
    assert (over.in_force, over.next_at, over.standstill) == (None, None, ("", ""))


def test_what_was_taken_back_holds_nothing() -> None:
    given = [answer("taken_back", DEADLINE + 2 * HOUR), answer("snoozed", DEADLINE + HOUR, DEADLINE + 96 * HOUR)]
    course = course_of({**ROW, "answers": given}, {}, DEADLINE)
    assert course is not None
    assert ([one.kind for one in course.answers], course.in_force) == (["snoozed", "taken_back"], None)


def test_what_was_handed_on_says_by_whom_to_whom_and_why() -> None:
    handed = [{"at": DEADLINE.isoformat(), "by": "h", "to": "c", "reason": "đi vắng"}]
    bare = [{"at": (DEADLINE + HOUR).isoformat(), "by": "c", "to": "x"}]
    row = {**ROW, "handed_on": [*handed, *bare], "next_role": "unheard_of"}
    course = course_of(row, {"h": ("An", ""), "c": ("Bình", "Chánh Văn phòng")}, DEADLINE)
    assert course is not None
    assert course.answers == (
        Answer(DEADLINE, "An", "handed_on", "đi vắng", None, "Bình, Chánh Văn phòng"),
        Answer(DEADLINE + HOUR, "Bình, Chánh Văn phòng", "handed_on", "", None, "x"),
    )
    assert (course.ladder, course.next_role) == ("default/2", ("unheard_of", "unheard_of"))
    ended = course_of({**ROW, "next_role": None, "next_rung": None}, {}, DEADLINE)
    assert ended is not None
    assert (ended.next_rung, ended.next_role) == (("", ""), ("", ""))


@pytest.mark.parametrize("reason", ["at_the_top", "no_calendar", "no_calendar:2027", "waits_for:officer/x", "error"])
def test_a_climb_that_stands_still_says_why(reason: str) -> None:
    course = course_of({**ROW, "next_at": None, "reason": reason}, {}, DEADLINE)
    assert course is not None
    assert all(course.standstill)


def test_why_nobody_was_told_names_each_place() -> None:
    assert nobody_told(["no_head:H99.1", "unusable_address_of_head:H99"]) == (
        "không có thủ trưởng (H99.1); địa chỉ thư không dùng được (H99)",
        "no head (H99.1); an address that cannot be written to (H99)",
    )
