"""No body costs much more than an honest one of its size, and no answer is large, whatever was sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from shared.reports.body_errors import Errors
from shared.reports.limits import MAX_BODY_BYTES, MAX_ERRORS
from shared.reports.problems import invalid
from shared.reports.report_parser import Report, Unreadable, read_report
from shared.runtime.cpu import work_seconds
from tests.unit.intake.hostile import hostile_bodies

BODIES = hostile_bodies()
#: an honest report, as large as may be
HONEST = json.dumps(
    {
        "regime": "KTXH",
        "period": "2026-M10",
        "officer": "cb-01",
        "figures": {f"A{number}": f"{number}.50" for number in range(2_000)},
        "narratives": {
            f"n{number}": "Thu ngân sách đạt 92% dự toán, tăng so với cùng kỳ. " * 250 for number in range(11)
        },
    },
    ensure_ascii=False,
).encode()
#: how many times as long as the honest report a body may take; measured: 0.1 to 5 (figures that are all marks, on a
#: quiet machine; a busy one has shown half as much again)
MOST_TIMES = 10


#: tables as large as may be, with one wrong cell: its place is looked for
TABLES = json.dumps(
    {
        "regime": "KTXH",
        "period": "2026-M10",
        "officer": "cb-01",
        "tables": {"T": [{f"c{number}": row for number in range(20)} for row in range(499)] + [{"c": True}]},
    },
    separators=(",", ":"),
).encode()


def seconds(work: Callable[[bytes], object], body: bytes) -> float:
    least = float("inf")
    for _ in range(5):
        begun = work_seconds()
        work(body)
        least = min(least, work_seconds() - begun)
    return least


def times_as_long(work: Callable[[bytes], object], body: bytes, choose: Callable[[list[float]], float]) -> float:
    """How many times as long as the honest report; of three looks, side by side, for the machine has other work."""
    return choose([seconds(work, body) / seconds(read_report, HONEST) for _ in range(3)])


def read_at_any_price(body: bytes) -> list[Any]:
    """As a reading without limits does it: everything is made of the body, and each member is looked at."""
    errors = Errors()
    found: list[Any] = []

    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        for name, _ in members:
            found.append(name)
            errors.unknown_field(name, ", ".join(sorted(("regime", "period", "officer", "nil", "figures"))))
        return dict(members)

    json.loads(body, object_pairs_hook=pairs, parse_int=lambda digits: str(digits))
    return found


def test_the_honest_report_is_one() -> None:
    assert MAX_BODY_BYTES * 0.75 < len(HONEST) <= MAX_BODY_BYTES
    assert isinstance(read_report(HONEST), Report)


@pytest.mark.parametrize("shape", BODIES)
def test_a_body_takes_no_much_longer_than_an_honest_one_and_tells_no_more_than_its_limit(shape: str) -> None:
    body = BODIES[shape]
    assert len(body) <= MAX_BODY_BYTES
    found = read_report(body)
    if isinstance(found, Unreadable):
        assert 0 < len(found.errors) <= MAX_ERRORS
        answer = json.dumps(invalid(found.errors, truncated=found.truncated).document(), ensure_ascii=False)
        assert len(answer.encode("utf-8", "backslashreplace")) < 160_000
    times = times_as_long(read_report, body, min)
    assert times < MOST_TIMES, f"{times:.1f} times as long"


def test_a_table_with_one_wrong_cell_takes_no_much_longer_either() -> None:
    found = read_report(TABLES)
    assert isinstance(found, Unreadable)
    assert [error.pointer for error in found.errors] == ["/tables/T/499/c"]
    times = times_as_long(read_report, TABLES, min)
    assert times < MOST_TIMES, f"{times:.1f} times as long"


def test_control_a_reading_without_limits_takes_many_times_as_long() -> None:
    body = BODIES["one unknown member again and again"]
    times = times_as_long(read_at_any_price, body, max)
    assert times > MOST_TIMES, f"{times:.1f} times as long"
    assert len(read_at_any_price(body)) > 20_000


def test_what_is_not_looked_at_is_told() -> None:
    found = read_report(BODIES["unknown members"])
    assert isinstance(found, Unreadable)
    assert found.truncated
    told = invalid(found.errors, truncated=found.truncated).document("en")
    assert told["errors_truncated"] is True
    assert "there may be more" in told["detail"]
    # the first unknown members by name, and what is missing besides
    assert {"/regime", "/period", "/officer", "/a0", "/a90"} <= {error["pointer"] for error in told["errors"]}

    found = read_report(b'{"regime":"KTXH","period":"2026-M10","officer":"cb-01","x":1}')
    assert isinstance(found, Unreadable)
    assert not found.truncated
    assert "errors_truncated" not in invalid(found.errors).document()


def test_known_members_behind_thousands_of_others_are_read_all_the_same() -> None:
    many = b",".join(b'"a%d":0' % number for number in range(5_000))
    found = read_report(b"{" + many + b',"regime":"KTXH","period":7,"officer":"cb-01"}')
    assert isinstance(found, Unreadable)
    assert (found.regime, found.period, found.officer) == ("KTXH", "", "cb-01")
    assert "/period" in {error.pointer for error in found.errors}
