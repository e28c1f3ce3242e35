"""The command: looks again until what is on its way has arrived, then says what stays; and its exit codes."""

from __future__ import annotations

import io
import json
from collections.abc import Collection
from contextlib import asynccontextmanager
from typing import Any

import pytest

from deploy.reconcile import commands, comparison
from deploy.reconcile.comparison import Result
from deploy.reconcile.differences import KINDS, Difference, Teller
from deploy.reconcile.stores import CannotCompare, Stores
from shared.contract.subscriptions import SUBSCRIPTIONS

KEY = "H99.05/KTXH/2026-M03"
EVENT = "0190a21d-8e9f-7420-9db5-03e60de6cb2c"
LINE = Teller("score", "scoring.score_lines", f"{KEY}#1", "tính lại", "derived again").difference("points", 1, 2)
LOST = Teller("event", "scoring.inbox", f"scoring.follow {EVENT}", "intake", subject="event").missing()
COPY = Teller("copy", "intake.standings", KEY, "theo scoring", "by scoring").missing()


def result(*differences: Difference) -> Result:
    made = Result(rows={"intake/submissions": 3, "scoring/obligations": 2})
    for difference in differences:
        made.take(difference)
    return made


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What each look finds, the first one first (the last one again and again), and how it was narrowed."""
    given: list[Any] = []

    async def compare(stores: Stores, *, without: Collection[str] = (), narrowed: Any = None) -> Result:
        given.append(narrowed)
        found = given[0]
        return result(*(found.pop(0) if len(found) > 1 else found[0]))

    @asynccontextmanager
    async def opened(urls: dict[str, str]) -> Any:
        yield None

    monkeypatch.setattr(comparison, "compare", compare)
    monkeypatch.setattr(comparison, "PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(Stores, "open", opened)
    return given


def run(*arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    return commands.main([*arguments], out=out), out.getvalue()


def test_what_is_only_on_its_way_is_no_difference(looks: list[Any]) -> None:
    looks.append([[LINE, LOST], [LOST], []])
    assert run("--settle-seconds", "5")[0] == 0
    assert looks[1] is None, "the first look is at everything"
    assert looks[2].keys == {KEY, ""}
    assert looks[2].events == {EVENT}
    assert looks[3].keys == frozenset(), "the line has come right; only the event is looked for"


def test_what_is_new_in_a_later_look_is_on_its_way_itself(looks: list[Any]) -> None:
    looks.append([[LINE], [COPY]])
    assert run("--settle-seconds", "5")[0] == 0


def test_a_difference_that_stays_is_told_by_kind_with_what_to_do(looks: list[Any]) -> None:
    looks.append([[LINE, COPY]])
    code, said = run("--settle-seconds", "0.01")
    assert code == 1
    lines = said.splitlines()
    assert lines[0] == f"score (1): {KINDS['score'].vi} / {KINDS['score'].en}"
    assert lines[1] == f"  {LINE.message}"
    assert lines[2] == f"    {LINE.message_en}"
    assert lines[3] == f"  → {KINDS['score'].next_vi}"
    assert lines[-1] == "Số sai lệch / differences: 2"
    assert "intake 3, scoring 2" in lines[-2]


def test_of_a_kind_only_so_many_are_shown_unless_all_are_asked_for(looks: list[Any]) -> None:
    many = [Teller("copy", "intake.standings", f"{KEY}{n}", "x").missing() for n in range(30)]
    looks.append([many])
    said = run("--settle-seconds", "0", "--shown", "3")[1]
    assert said.count("intake.standings") == 2 * 3
    assert "copy (30)" in said
    assert "27" in said
    assert run("--settle-seconds", "0", "--all")[1].count("intake.standings") == 2 * 30


def test_machines_read_one_document_or_one_line_each(looks: list[Any]) -> None:
    looks.append([[LINE, COPY]])
    code, said = run("--settle-seconds", "0", "--json")
    document = json.loads(said)
    assert (code, document["compared"], document["counts"]) == (1, True, {"score": 1, "copy": 1})
    assert document["differences"] == [LINE.document(), COPY.document()]
    code, said = run("--settle-seconds", "0", "--ndjson")
    assert code == 1
    assert [json.loads(line) for line in said.splitlines()] == [LINE.document(), COPY.document()]


@pytest.mark.parametrize("how", [[], ["--json"], ["--ndjson"]])
def test_a_store_that_cannot_be_read_is_no_agreement(monkeypatch: pytest.MonkeyPatch, how: list[str]) -> None:
    @asynccontextmanager
    async def opened(urls: dict[str, str]) -> Any:
        raise CannotCompare("Không đọc được kho của validator.", "cannot read the database of validator")
        yield None

    monkeypatch.setattr(Stores, "open", opened)
    code, said = run(*how)
    assert code == 2
    assert "validator" in said
    if how:
        assert json.loads(said)["compared"] is False


def test_differences_beyond_what_is_kept_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "MAX_KEPT", 2)
    made = result(LINE, COPY, LOST, LOST)
    assert len(made.differences) == 2
    assert sum(made.counts.values()) == 4


def test_it_is_said_of_every_consumer_which_tables_it_keeps() -> None:
    assert comparison._FOLLOWERS.keys() == SUBSCRIPTIONS.keys()


@pytest.mark.parametrize(
    ("difference", "held"),
    [
        (Teller("verdict", "validator.verdict", f"{KEY}#1", "x").missing(), True),
        (Teller("verdict", "validator.verdict", "H99.91/KTXH/2026-M03#1", "x").missing(), False),
        (Teller("score", "scoring.score_lines", f"{KEY}#1", "x").missing(), False),
        (Teller("receipt", "intake.submissions", f"{KEY}#1", "x").missing(), False),
    ],
)
def test_only_what_follows_from_a_deferred_event_is_not_owed_until_it_is_released(
    difference: Difference, held: bool
) -> None:
    assert comparison._is_behind(difference, {"validator.submissions": frozenset({KEY})}) is held
    assert not comparison._is_behind(difference, {})
