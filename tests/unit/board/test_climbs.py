"""How far an overdue report climbed: by the notices since its deadline."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from services.board.pages.climbs import climbs, rung_of
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
    [found] = climbs([LINE], notices, {"h": ("Lê Văn An", "Giám đốc"), "c": ("Trần B", "")})
    assert [(told.person, told.name, told.rung[0]) for told in found.above] == [
        ("h", "Lê Văn An, Giám đốc", "ngay khi quá hạn"), ("c", "Trần B", "bậc t+3d"),
    ]  # fmt: skip
    assert [told.kind for told in found.before] == ["reminder", "overdue"]
    assert [found.notice_to(person) for person in ("c", "o")] == ["overdue/2/rung-t+3d of c", None]
    assert (found.older_above, found.older_before) == (False, False)


def test_where_older_notices_are_left_out_the_climb_says_so() -> None:
    above = [notice("escalation", "overdue/rung-t", f"h{place}", DEADLINE + place * HOUR) for place in range(21)]
    before = [notice("reminder", "due_soon", f"o{place}", DEADLINE - (20 - place) * HOUR) for place in range(11)]
    [found] = climbs([LINE], [*before, *above], {})
    assert [told.person for told in found.above] == [f"h{place}" for place in range(1, MOST_ABOVE + 1)]
    assert [told.person for told in found.before] == [f"o{place}" for place in range(1, MOST_BEFORE + 1)]
    assert (found.older_above, found.older_before) == (True, True)
    [whole] = climbs([LINE], [*before[1:], *above[1:]], {})  # the control
    assert (whole.above, whole.older_above, whole.older_before) == (found.above, False, False)


def test_who_was_told_twice_answers_the_newest_notice() -> None:
    notices = [notice("escalation", f"overdue/rung-{rung}", "h", DEADLINE + 24 * HOUR) for rung in ("t", "t+3d")]
    assert climbs([LINE], notices, {})[0].notice_to("h") == "overdue/rung-t+3d of h"


@pytest.mark.parametrize(
    ("step", "rung"),
    [
        ("overdue", "as soon as it was overdue"),
        ("overdue/2", "as soon as it was overdue"),
        ("overdue/rung-t", "rung t"),
        ("overdue/2/rung-t+3d", "rung t+3d"),
    ],
)
def test_a_step_names_its_rung(step: str, rung: str) -> None:
    assert rung_of(step)[1] == rung
