"""Ladders as data: every fault at once with its line and cure, tests in the file, and which ladder a report climbs."""

from __future__ import annotations

import hashlib
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.notifier.ladders.data import (
    MAX_DEPTH,
    MAX_FILE_BYTES,
    LadderError,
    _sooner,
    conflicts,
    parse_ladder,
    read_ladder,
    shipped_ladders,
)
from services.notifier.ladders.domain import (
    ROLES,
    Ladder,
    LadderBook,
    LadderRung,
    NoLadder,
    RungRole,
    Span,
    parse_offset,
    parse_span,
)
from services.notifier.ladders.timelines import WEEKDAYS, failures, province
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
grace_above: 2d
office_hour: "07:30"
promise: 2d
promises: 1
rungs:
  - {rung: o, at: T, tell: officer}
  - {rung: h, at: T+8h, tell: head, acknowledge: 6h}
  - {rung: c, at: T+3d, tell: chair, urgent: true}
tests: [{name: a, deadline: 2026-10-19 17:00}]
"""


def test_a_ladder_is_kept_as_it_is_written() -> None:
    assert read(WHOLE) == Ladder(
        "flood", 3,
        (
            LadderRung("o", Span(0, "d"), "officer"),
            LadderRung("h", Span(8, "h"), "head", ("email",), Span(6, "h")),
            LadderRung("c", Span(3, "d"), "chair", urgent=True),
        ),
        ("BC-LU",), ("commune",), ("returned",), Span(4, "h"), time(7, 30), Span(2, "d"), 1, Span(2, "d"),
    )  # fmt: skip


def test_what_a_ladder_does_not_say_is_as_the_page_says() -> None:
    short = "ladder: a\nversion: 1\nsource: Quyết định 1\nrungs: [{rung: t, at: T, tell: head}]\n"
    read_back = parse_ladder("a.yaml", f"{short}tests: [{{name: a, deadline: 2026-10-19 17:00}}]\n".encode())
    assert read_back.ladder == Ladder("a", 1, (LadderRung("t", Span(0, "d"), "head"),), grace=Span(0, "h"),
                                      grace_above=Span(0, "h"))  # fmt: skip


def test_a_ladder_keeps_its_file_byte_for_byte_and_the_digest_that_anybody_can_make() -> None:
    content = WHOLE.encode()
    kept = parse_ladder("x.yaml", content)
    assert (kept.body, kept.sha256) == (WHOLE, hashlib.sha256(content).hexdigest())
    assert kept.file.tests[0].deadline == MONDAY


def test_a_file_is_named_in_what_is_wrong_with_it(tmp_path: Path) -> None:
    path = tmp_path / "flood.yaml"
    path.write_text(WHOLE.replace("version: 3", "version: x"), encoding="utf-8")
    with pytest.raises(LadderError, match=r"^flood\.yaml:3: version: "):
        read_ladder(path)
    path.write_text(WHOLE, encoding="utf-8")
    assert read_ladder(path) == parse_ladder("flood.yaml", WHOLE.encode())


@pytest.mark.parametrize(
    ("was", "now", "good"),
    [
        ("promises: 1", "promises: 0", True),
        ("promises: 1", "promises: 20", True),
        ("promises: 1", "promises: 21", False),
        ("promises: 1", "promises: 00", False),
        ("promises: 1", "promises: -1", False),
        ("promises: 1", "promises: ²", False),
        ("promises: 1", "promises: ١", False),
        ("promises: 1", "promises: [1]", False),
        ("promises: 1", "promises:", False),
        ("promise: 2d", "promise: 0d", False),
        ("promise: 2d", "promise: [2d]", False),
        ("acknowledge: 6h", "acknowledge: 0h", False),
        ('"07:30"', '"24:00"', False),
        ('"07:30"', "[7]", False),
        ("17:00", "17:60", False),
        ("urgent: true", "urgent: yes", False),
        ("at: T+3d", "at: [T]", False),
    ],
)
def test_a_value_is_taken_or_refused_with_its_cure_in_both_languages(was: str, now: str, good: bool) -> None:
    assert was in WHOLE
    changed = WHOLE.replace(was, now)
    if good:
        assert read(changed).promises == int(now.split(": ")[1])
        return
    (fault,) = faults(changed)
    assert fault.startswith(f"x.yaml:{line_of(changed, now)}: ")
    assert " / " in fault


@pytest.mark.parametrize(("written", "urgent"), [("true", True), ("false", False)])
def test_a_rung_is_urgent_where_the_file_says_so(written: str, urgent: bool) -> None:
    assert read(WHOLE.replace("urgent: true", f"urgent: {written}")).rungs[2].urgent is urgent


def rungs(*given: tuple[str, str, str]) -> str:
    listed = "".join(f"  - {{rung: {name}, at: {at}, tell: {tell}}}\n" for name, at, tell in given)
    return f"{WHOLE[: WHOLE.index('rungs:')]}rungs:\n{listed}{WHOLE[WHOLE.index('tests:') :]}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((("a", "T", "head"), ("b", "T+1d", "head")), None),
        ((("a", "T", "head"), ("b", "T", "chair")), None),
        ((("a", "T", "head"), ("b", "T+1d", "chair"), ("c", "T+2d", "head")), None),  # heard of it already
        ((("a", "T", "head"), ("b", "T+1d", "chair"), ("c", "T+2d", "officer")), "c báo officer"),
        ((("a", "T", "chair"), ("b", "T+1d", "head")), "b báo head"),
        ((("a", "T", "head"), ("b", "T+1d", "head"), ("a", "T+2d", "head")), "rungs: a: hai bậc cùng tên"),
        ((("a", "T+1d", "head"), ("b", "T", "head")), "b đến trước a"),
        ((("a", "T", "head"), ("b", "T+2d", "head"), ("c", "T+1d", "head")), "c đến trước b"),
    ],
)  # fmt: skip
def test_rungs_have_a_name_each_and_go_up_in_time_and_rank(given: tuple[Any, ...], said: str | None) -> None:
    if said is None:
        assert [rung.rung for rung in read(rungs(*given)).rungs] == [name for name, _, _ in given]
        return
    (fault,) = faults(rungs(*given))
    assert said in fault


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
    assert not ladder.tells_at_once(headless=False)
    assert chair == datetime(2026, 10, 22, 7, 30, tzinfo=LOCAL_ZONE)
    at_once = read(WHOLE.replace("T+8h", "T"))
    assert at_once.due_at(at_once.rungs[1], MONDAY, WEEKDAYS) == MONDAY + timedelta(hours=4)
    assert not at_once.heads_at_once
    without = WHOLE.replace("grace: 4h", "grace: 0h")
    assert read(without.replace("T+8h", "T")).heads_at_once
    assert not read(without).heads_at_once
    assert not read(without.replace("T+8h, tell: head", "T, tell: chair")).heads_at_once


@pytest.mark.parametrize(
    ("at", "tell", "headless", "due"),
    [
        ("T", "officer", True, MONDAY),
        ("T", "head", False, datetime(2026, 10, 20, 7, 30, tzinfo=LOCAL_ZONE)),
        ("T", "head", True, datetime(2026, 10, 21, 7, 30, tzinfo=LOCAL_ZONE)),
        ("T+1h", "head_above", False, datetime(2026, 10, 21, 7, 30, tzinfo=LOCAL_ZONE)),
        ("T+3d", "head", False, datetime(2026, 10, 22, 7, 30, tzinfo=LOCAL_ZONE)),
        ("T+3d", "chair", True, datetime(2026, 10, 22, 7, 30, tzinfo=LOCAL_ZONE)),
    ],
)
def test_each_grace_keeps_those_back_who_stand_above_it(at: str, tell: RungRole, headless: bool, due: datetime) -> None:
    rung = LadderRung("r", parse_offset(at), tell)
    graceful = Ladder("x", 1, (rung,), grace=Span(1, "d"), grace_above=Span(2, "d"), office_hour=time(7, 30))
    assert graceful.due_at(rung, MONDAY, WEEKDAYS, headless=headless) == due


@pytest.mark.parametrize(
    ("report", "matches"),
    [
        (("BC-LU", "commune", "returned"), True),
        (("X", "commune", "returned"), False),
        (("BC-LU", "ward", "returned"), False),
        (("BC-LU", "commune", "nothing_sent"), False),
    ],
)
def test_a_ladder_is_for_what_fits_all_that_it_names(report: tuple[str, str, str], matches: bool) -> None:
    assert read(WHOLE).matches(*report) is matches
    assert Ladder("all", 1, ()).matches(*report)


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


def timeline(events: str, expect: str, looked_at: str = "", first: str = "") -> list[str]:
    head = SHIPPED[: SHIPPED.index("tests:")].replace("rungs:\n", f"rungs:\n{first}")
    text = (
        f"{head}tests:\n  - name: n\n    deadline: 2026-10-19 17:00\n    events: [{events}]\n    expect: [{expect}]\n"
        f"    looked_at: [{looked_at}]\n"
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
    assert timeline(PROMISED.replace("by: head, ", ""), FIRST) == [f"{refusal}not_told"]


LAST = "{at: 2026-10-22 08:00, rung: t+3d, to: provincial_office}, {at: 2026-10-28 08:00, rung: t+7d, to: chair}"


def resolved(at: str, *people: str) -> str:
    return ", ".join(f"{{at: {at}, rung: resolved, to: {person}}}" for person in people)


def test_what_happens_at_the_moment_of_a_rung_comes_before_it() -> None:
    at = "2026-10-22 08:00"
    assert timeline(f"{{at: {at}, event: fulfilled}}", f"{FIRST}, {resolved(at, 'head')}") == []


def test_whoever_above_the_officer_was_told_hears_that_it_is_over_from_below_upwards() -> None:
    at = "2026-10-30 09:00"
    everybody = resolved(at, "head", "provincial_office", "chair")
    for event in ("fulfilled", "not_owed", "not_overdue"):
        assert timeline(f"{{at: {at}, event: {event}}}", f"{FIRST}, {LAST}, {everybody}") == []
    officer = "  - {rung: o, at: T, tell: officer}\n"
    told = "{at: 2026-10-19 17:00, rung: o, to: officer}"
    over = f"{{at: {at}, event: fulfilled}}"
    assert timeline(over, f"{told}, {FIRST}, {LAST}, {everybody}", first=officer) == []


def test_where_the_file_says_when_notifier_looks_it_looks_then_and_only_then() -> None:
    late = "{at: 2026-10-20 09:00, rung: t, to: head}, {at: 2026-10-23 09:00, rung: t+3d, to: provincial_office}"
    assert timeline("", late, "2026-10-23 09:00, 2026-10-20 09:00, 2026-10-27 09:00") == []
    # a look after something has happened is still a look
    short = PROMISED.replace("until: 2026-10-23", "until: 2026-10-21")
    assert timeline(short, late, "2026-10-20 09:00, 2026-10-23 09:00") == []


def test_differences_name_the_ladder_the_test_and_the_local_hour() -> None:
    assert timeline("", f"{FIRST.replace('head', 'chair')}, {LAST}") == [
        "default: n: không báo / does not tell: 2026-10-19 17:00 t → chair",
        "default: n: báo thêm / tells as well: 2026-10-19 17:00 t → head",
    ]


def test_in_the_province_of_the_tests_everybody_is_there_but_those_who_are_not() -> None:
    def reached(*unstaffed: str) -> list[str]:
        full = province(unstaffed)
        people = [full.responsible("A", "R"), *(full.head(code) for code in ("A", "A1", "A0")),
                  full.office_at("A0", "provincial_office", "R", MONDAY.date())]  # fmt: skip
        return [person.name for person in people if person is not None]

    assert reached() == ["officer", "head", "head_above", "chair", "provincial_office"]
    for role in ROLES:
        assert role not in reached(role)
        assert len(reached(role)) == 4
    assert province().path("A", MONDAY.date()) == ("A", "A1", "A0")
