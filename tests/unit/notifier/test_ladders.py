"""Ladders as data: every fault at once with its line and cure, tests in the file, and which ladder a report climbs."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from pathlib import Path

import pytest

from services.notifier.ladders.data import (
    MAX_DEPTH,
    MAX_FILE_BYTES,
    LadderError,
    _sooner,
    conflicts,
    parse_ladder,
    shipped_ladders,
)
from services.notifier.ladders.domain import Ladder, LadderBook, LadderRung, NoLadder, Span, parse_offset, parse_span
from services.notifier.ladders.timelines import WEEKDAYS, failures
from shared.runtime.clock import LOCAL_ZONE

SHIPPED = Path("services/notifier/ladders/default.yaml").read_text(encoding="utf-8")


def read(text: str) -> Ladder:
    return parse_ladder("x.yaml", text.encode()).ladder


def faults(text: str) -> list[str]:
    with pytest.raises(LadderError) as raised:
        read(text)
    return str(raised.value).splitlines()


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


def test_what_ships_is_right_passes_its_tests_and_is_for_every_report() -> None:
    for shipped in shipped_ladders():
        assert failures(shipped) == []
    assert conflicts(shipped.ladder for shipped in shipped_ladders()) == []


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("at: T+7d", "at: T+6d", "2026-10-28 08:00 t+7d → chair"),
        ("tell: chair", "tell: provincial_office", "2026-10-28 08:00 t+7d → provincial_office"),
        ("grace: 0h", "grace: 4h", "2026-10-19 21:00 t → head"),
        ("to: provincial_office}\n      - {at: 2026-10-28", "to: chair}\n      - {at: 2026-10-28", "t+3d → chair"),
    ],
)
def test_control_a_ladder_that_does_not_what_its_tests_expect_is_found(was: str, now: str, said: str) -> None:
    assert was in SHIPPED
    found = failures(parse_ladder("x.yaml", SHIPPED.replace(was, now).encode()))
    assert any(said in fault for fault in found), found


def test_what_is_written_twice_hides_no_other_fault_and_all_speak_both_languages() -> None:
    found = faults("ladder: a\nladder: b\nrungs:\n  - {rung: t, at: T+x, tell: boss}\n")
    assert [fault.split(":")[1] for fault in found] == ["2", "1", "1", "4", "4", "1"]
    assert all(" / " in fault for fault in found), found
    assert any("'head_above'" in fault and "Phải là một trong" in fault for fault in found)


def test_every_fault_is_told_at_once_with_its_line() -> None:
    text = (
        SHIPPED.replace("version: 2", "version: 01")
        .replace("grace: 0h", "grace: soon")
        .replace("tell: chair", "tell: minister")
        .replace("at: T+3d", "at: T-3d")
        .replace("promises: 2", "promise_count: 2")
    )
    found = faults(text)
    for part, word in (
        ("version: 01", "số nguyên"), ("grace: soon", "ngày làm việc"), ("tell: minister", "tell"),
        ("at: T-3d", "remind_working_days"), ("promise_count", "không có mục này"),
    ):  # fmt: skip
        line = line_of(text, part)
        assert any(fault.startswith(f"x.yaml:{line}:") and word in fault for fault in found), (part, found)
    assert len(found) == 5


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("source: >-", "source: &s >-", "&"),
        ("version: 2", "version: !!int 1", "!"),
        ("version: 2", "version: 2\nversion: 2", "hai lần"),
        ("version: 2", "version: [1", "YAML"),
        ("rung: t+3d", "rung: t", "hai bậc"),
        ("at: T+3d, tell: provincial_office", "at: T+9d, tell: provincial_office", "trước"),
        ("at: T+3d, tell: provincial_office", "at: T+3d, tell: officer", "dưới lên"),
        ("acknowledge", "acknowledge", ""),
    ],
)
def test_what_is_no_plain_data_or_no_ladder_is_refused(was: str, now: str, said: str) -> None:
    if not said:
        assert read(SHIPPED).label == "default/2", "control: as it ships it is read"
        return
    assert any(said in fault for fault in faults(SHIPPED.replace(was, now, 1)))


def named(name: str, applies: str = "{}", version: int = 1) -> Ladder:
    text = SHIPPED.replace("ladder: default\nversion: 2", f"ladder: {name}\nversion: {version}\napplies: {applies}")
    return read(text)


def test_the_most_specific_ladder_and_its_newest_version_is_climbed() -> None:
    everyone, communes = named("everyone"), named("communes", "{kinds: [commune]}")
    flood, returned = named("flood", "{regimes: [BC-LU]}"), named("returned", "{severities: [returned]}")
    book = LadderBook([everyone, communes, flood, returned, named("everyone", version=2)])
    assert book.conflicts() == []
    assert book.choose("BC-LU", "commune", "returned") == flood
    assert book.choose("X", "commune", "returned") == communes
    assert book.choose("X", "ward", "returned") == returned
    assert book.choose("X", "ward", "nothing_sent").version == 2
    with pytest.raises(NoLadder, match="no ladder is for X, ward, nothing_sent"):
        LadderBook([flood]).choose("X", "ward", "nothing_sent")


def test_ties_and_reports_without_a_ladder_are_refused() -> None:
    one, other = named("one", "{kinds: [commune, ward]}"), named("two", "{kinds: [ward]}")
    said = conflicts([named("everyone"), one, other])
    assert len(said) == 1
    assert "one/1" in said[0]
    assert "two/1" in said[0]
    assert conflicts([named("everyone"), one, named("two", "{kinds: [district]}")]) == [], "control: no tie"
    assert len(conflicts([one])) == 1, "none for the others"


WHOLE = """
ladder: flood
version: 3
source: Quyết định 12
applies: {regimes: [BC-LU], kinds: [commune], severities: [returned]}
grace: 4h
office_hour: "07:30"
promise: 2d
promises: 1
rungs:
  - {rung: o, at: T, tell: officer}
  - {rung: h, at: T+8h, tell: head, acknowledge: 6h}
  - {rung: c, at: T+3d, tell: chair}
tests: [{name: a, deadline: 2026-10-19 17:00}]
"""


def test_a_ladder_is_kept_as_it_is_written() -> None:
    assert read(WHOLE) == Ladder(
        "flood", 3,
        (
            LadderRung("o", Span(0, "d"), "officer"),
            LadderRung("h", Span(8, "h"), "head", ("email",), Span(6, "h")),
            LadderRung("c", Span(3, "d"), "chair"),
        ),
        ("BC-LU",), ("commune",), ("returned",), Span(4, "h"), time(7, 30), Span(2, "d"), 1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "span"),
    [("T", Span(0, "d")), ("T+1d", Span(1, "d")), ("T+999h", Span(999, "h")), ("T+0d", None), ("T+1", None),
     ("T+1000d", None), (" T", None), ("t", None)],
)  # fmt: skip
def test_an_offset_counts_working_days_or_hours_from_the_deadline(text: str, span: Span | None) -> None:
    if span is not None:
        assert parse_offset(text) == span
        return
    with pytest.raises(ValueError, match="write T, "):
        parse_offset(text)


@pytest.mark.parametrize(
    ("text", "span"),
    [("0h", Span(0, "h")), ("2d", Span(2, "d")), ("999h", Span(999, "h")), ("01d", None), ("2", None), ("-1d", None)],
)
def test_a_span_is_working_days_or_hours(text: str, span: Span | None) -> None:
    if span is not None:
        assert parse_span(text) == span
        return
    with pytest.raises(ValueError, match="write like 2d"):
        parse_span(text)


MONDAY = datetime(2026, 10, 19, 17, tzinfo=LOCAL_ZONE)


def test_hours_go_by_the_clock_and_working_days_to_the_office_hour() -> None:
    hour = time(8, 0)
    assert Span(0, "d").after(MONDAY, WEEKDAYS, hour) == Span(0, "h").after(MONDAY, WEEKDAYS, hour) == MONDAY
    assert Span(30, "h").after(MONDAY, WEEKDAYS, hour) == MONDAY + timedelta(hours=30)
    assert Span(5, "d").after(MONDAY, WEEKDAYS, hour) == datetime(2026, 10, 26, 8, tzinfo=LOCAL_ZONE)


def test_the_grace_keeps_everybody_above_the_officer_back() -> None:
    ladder = read(WHOLE)
    officer, head, chair = (ladder.due_at(rung, MONDAY, WEEKDAYS) for rung in ladder.rungs)
    assert (officer, head) == (MONDAY, MONDAY + timedelta(hours=8))
    assert chair == datetime(2026, 10, 22, 7, 30, tzinfo=LOCAL_ZONE)
    at_once = read(WHOLE.replace("T+8h", "T"))
    assert at_once.due_at(at_once.rungs[1], MONDAY, WEEKDAYS) == MONDAY + timedelta(hours=4)
    assert not at_once.heads_at_once
    without = WHOLE.replace("grace: 4h", "grace: 0h")
    assert read(without.replace("T+8h", "T")).heads_at_once
    assert not read(without).heads_at_once
    assert not read(without.replace("T+8h, tell: head", "T, tell: chair")).heads_at_once


@pytest.mark.parametrize(
    ("one", "other", "sooner"),
    [
        ("2d", "3d", True), ("3d", "3d", False), ("4h", "5h", True), ("5h", "5h", False),
        ("47h", "3d", True), ("48h", "3d", False),  # from Friday's evening, two days may be as long as three
        ("0h", "1d", False), ("0h", "0d", False), ("0d", "1h", True), ("0d", "0h", False), ("1d", "999h", False),
    ],
)  # fmt: skip
def test_a_rung_is_sooner_only_where_no_weekend_can_turn_it_round(one: str, other: str, sooner: bool) -> None:
    assert _sooner(parse_span(one), parse_span(other)) is sooner


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"#" * MAX_FILE_BYTES + b"\n", f"x.yaml:1: Tệp quá lớn: 65537 byte, nhiều nhất {MAX_FILE_BYTES}."),
        (b"a: \x00", "x.yaml:1: Tệp có ký tự điều khiển, ký tự ẩn hoặc BOM (U+0000). Xóa ký tự đó"),
        (b"a: \xff", "x.yaml:1: Tệp không phải UTF-8"),
        (b"a: 1\nb: [\n", "x.yaml:2: YAML sai cú pháp"),
        (b"a: 1\nb: " + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, "x.yaml:2: b.0.0.0.0.0.0.0: Lồng nhau quá 8 tầng."),
        (b"a: 1\nb: !!str x", "x.yaml:2: b: Không dùng thẻ kiểu (!!str)."),
        (b"a: &x 1\nb: *x", "x.yaml:2: b: Không dùng neo và tham chiếu (“&”, “*”)."),
    ],
)
def test_a_file_that_cannot_be_read_says_where(content: bytes, said: str) -> None:
    with pytest.raises(LadderError) as raised:
        parse_ladder("x.yaml", content)
    assert any(line.startswith(said) for line in str(raised.value).splitlines()), str(raised.value)


def test_so_deep_is_read_and_side_by_side_is_not_deep() -> None:
    for fine in (b"b: " + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1), b"b: [" + b"[], " * 20 + b"[]]"):
        with pytest.raises(LadderError) as raised:
            parse_ladder("x.yaml", fine)
        assert "Lồng nhau" not in str(raised.value)


def timeline(events: str, expect: str) -> list[str]:
    head = SHIPPED[: SHIPPED.index("tests:")]
    text = (
        f"{head}tests:\n  - name: n\n    deadline: 2026-10-19 17:00\n    events: [{events}]\n    expect: [{expect}]\n"
    )
    return failures(parse_ladder("x.yaml", text.encode()))


PROMISED = "{at: 2026-10-20 10:00, event: acknowledged, by: head, until: 2026-10-23 08:00}"
FIRST = "{at: 2026-10-19 17:00, rung: t, to: head}"


def test_a_timeline_is_held_to_what_is_told_and_in_which_order() -> None:
    over = "{at: 2026-10-20 09:00, event: fulfilled}"
    resolved = "{at: 2026-10-20 09:00, rung: resolved, to: head}"
    assert timeline(over, f"{FIRST}, {resolved}") == []
    assert timeline(over, f"{resolved}, {FIRST}") == ["default: n: khác thứ tự / in another order"]
    assert timeline(over, FIRST) == ["default: n: báo thêm / tells as well: 2026-10-20 09:00 resolved → head"]
    assert timeline(over, f"{FIRST}, {resolved}, {resolved}") == ["default: n: báo hai lần / tells twice"]
    assert timeline(over, f"{FIRST}, {resolved}, {{at: 2026-10-21 08:00, rung: x, to: chair}}") == [
        "default: n: không báo / does not tell: 2026-10-21 08:00 x → chair"
    ]


def test_in_a_timeline_a_promise_may_be_taken_back_and_a_wrong_one_is_refused() -> None:
    later = "{at: 2026-10-23 08:00, rung: t+3d, to: provincial_office}, {at: 2026-10-28 08:00, rung: t+7d, to: chair}"
    assert timeline(PROMISED, f"{FIRST}, {later}") == []
    back = "{at: 2026-10-20 11:00, event: taken_back, by: head}"
    assert timeline(f"{PROMISED}, {back}", f"{FIRST}, {later.replace('10-23', '10-22')}") == []
    refusal = "default: n: câu trả lời không được nhận / an answer is refused: "
    assert timeline(PROMISED.replace("head", "chair"), FIRST) == [f"{refusal}not_told"]
    assert timeline(back, FIRST) == [f"{refusal}not_held"]
