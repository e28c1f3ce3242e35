"""Ladders as data: every fault at once with its line and cure, tests in the file, and which ladder a report climbs."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.notifier.ladders.data import LadderError, conflicts, parse_ladder, shipped_ladders
from services.notifier.ladders.domain import Ladder, LadderBook, NoLadder
from services.notifier.ladders.timelines import failures

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
    with pytest.raises(NoLadder):
        LadderBook([flood]).choose("X", "ward", "nothing_sent")


def test_ties_and_reports_without_a_ladder_are_refused() -> None:
    one, other = named("one", "{kinds: [commune, ward]}"), named("two", "{kinds: [ward]}")
    said = conflicts([named("everyone"), one, other])
    assert len(said) == 1
    assert "one/1" in said[0]
    assert "two/1" in said[0]
    assert conflicts([named("everyone"), one, named("two", "{kinds: [district]}")]) == [], "control: no tie"
    assert len(conflicts([one])) == 1, "none for the others"
