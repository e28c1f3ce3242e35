"""The demo's letters leave in office hours: twice each weekday, until its last morning."""

from __future__ import annotations

from deploy.demo.play import END, START
from deploy.demo.post import departures
from shared.runtime.clock import LOCAL_ZONE


def test_letters_leave_twice_each_weekday_from_the_first_morning_to_the_last() -> None:
    moments = [moment.astimezone(LOCAL_ZONE) for moment in departures(START, END)]
    assert {f"{moment:%H:%M}" for moment in moments} == {"08:15", "13:45"}
    assert {moment.weekday() for moment in moments} == {0, 1, 2, 3, 4}
    assert moments == sorted(set(moments))
    assert (f"{moments[0]:%d/%m %H:%M}", f"{moments[-1]:%d/%m %H:%M}") == ("15/12 08:15", "24/03 08:15")
