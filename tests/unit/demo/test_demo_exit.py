"""The demo ends with 0 only if nothing was lost: every figure of a loss reaches the exit code."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from deploy.demo import __main__
from deploy.demo.counting import Backlog, Count, Row
from deploy.demo.play import Demo, Wishes
from deploy.demo.screen import Screen
from deploy.demo.topics import Archived, Unlike, compare, since

PARTS = ("unsent", "lag", "deferred", "undecided", "mails", "unmarked")
REST = Backlog(**dict.fromkeys(PARTS, 0))


def _good() -> Count:
    return Count(submissions=1, accepted=1, total=Row(owed=1, on_time=1), mails=Counter({"reminder": 1}))


class _Counting:
    """Stands for the connections to the stores."""

    def __init__(self, *_: object) -> None:
        """Connects to nothing."""

    async def __aenter__(self) -> _Counting:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing to close."""


class _Played(Demo):
    """A demo whose quarter is over and whose count is given."""

    def __init__(self, directory: Path, count: Count, backlog: Backlog, differences: list[Any], code: int) -> None:
        super().__init__(
            Wishes(directory, seconds=5, fixed_ports=False), Screen(Console(file=io.StringIO(), width=100))
        )
        self._told = count, backlog, differences, code

    async def play(self, counting: object) -> None:
        """It was played."""

    async def settle(self, counting: object) -> Backlog:
        return self._told[1]

    async def reconcile(self) -> tuple[int, list[Any]]:
        return self._told[3], self._told[2]

    async def count(self, counting: object) -> Count:
        return self._told[0]


async def _exit_code(
    directory: Path, count: Count, backlog: Backlog = REST, differences: list[Any] | None = None, code: int = 0
) -> int:
    return await __main__._run(_Played(directory, count, backlog, differences or [], code))


@pytest.fixture(autouse=True)
def _no_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(__main__, "Counting", _Counting)


async def test_a_run_without_loss_ends_with_0(tmp_path: Path) -> None:
    assert await _exit_code(tmp_path, _good()) == 0


def _with(**changes: Any) -> Count:
    count = _good()
    for name, value in changes.items():
        assert hasattr(count, name)
        setattr(count, name, value)
    return count


LOSSES = {
    "a receipt that is not in the store": _with(lost_receipts=("s1",)),
    "a dead letter": _with(dead_letters=1),
    "an event left in an outbox": _with(outbox=1),
    "a mail the ledger does not have": _with(mails=Counter({"?": 1})),
    "a mail that was sent and is not in the sink": _with(lost_mails=1),
    "a mail that came twice": _with(doubled_mails=1),
    "a mail left failed": _with(unsettled_mails={"failed": 1}),
    "a mail left unknown": _with(unsettled_mails={"unknown": 1}),
    "an archived event that is not in its topic": _with(unlike_archive={"notifications": Unlike(missing=1)}),
    "an event in a topic that nobody archived": _with(unlike_archive={"verdicts": Unlike(unknown=1)}),
    "nothing accepted": _with(accepted=0),
}


@pytest.mark.parametrize("count", LOSSES.values(), ids=LOSSES.keys())
async def test_each_loss_ends_with_1(tmp_path: Path, count: Count) -> None:
    assert await _exit_code(tmp_path, count) == 1


@pytest.mark.parametrize("name", PARTS)
async def test_what_is_still_on_its_way_ends_with_1(tmp_path: Path, name: str) -> None:
    backlog = Backlog(**{part: int(part == name) for part in PARTS})
    assert await _exit_code(tmp_path, _good(), backlog) == 1


async def test_a_difference_of_the_stores_and_a_comparison_that_failed_end_with_1(tmp_path: Path) -> None:
    difference = {"kind": "event_lost", "key": "k", "message": "mất", "message_en": "lost"}
    assert await _exit_code(tmp_path, _good(), differences=[difference], code=1) == 1
    assert await _exit_code(tmp_path, _good(), code=2) == 1


ARCHIVE = [Archived("e1", "a"), Archived("e2", "a"), Archived("e3", "b")]


@pytest.mark.parametrize(
    ("lying", "compacted", "found"),
    [
        (["e1", "e2", "e3"], False, Unlike()),
        (["e3", "e2", "e2", "e1"], False, Unlike()),  # order is not looked at here, and a resend is no loss
        (["e1", "e2"], False, Unlike(missing=1)),
        (["e2", "e3"], False, Unlike(missing=1)),
        (["e2", "e3"], True, Unlike()),  # e1 was compacted away
        (["e1", "e3"], True, Unlike(missing=1)),
        (["e1", "e2", "e3", "e4"], True, Unlike(unknown=1)),
        (["e1", "e2", "e3", ""], False, Unlike(unknown=1)),  # a message without an id
        ([], False, Unlike(missing=3)),
    ],
)
def test_a_topic_is_held_against_the_archive_by_event_ids(lying: list[str], compacted: bool, found: Unlike) -> None:
    assert compare(ARCHIVE, lying, compacted=compacted) == found
    assert bool(found) is (found != Unlike())


def test_events_of_earlier_runs_on_the_same_cluster_are_not_counted() -> None:
    start = {("verdicts", 0): 40, ("verdicts", 1): 7, ("registry", 0): 3}
    end = {("verdicts", 0): 45, ("verdicts", 1): 7, ("verdicts", 2): 2, ("registry", 0): 9}
    assert since(start, end, "verdicts") == 7
    assert since({}, end, "verdicts") == 54
    assert since(start, {("verdicts", 0): 5}, "verdicts") == 5, "the topic was made anew meanwhile"


def test_a_figure_outside_the_span_of_the_seed_is_explained_and_one_inside_is_not() -> None:
    for on_time, explained in ((80, False), (90, False), (79, True), (91, True)):
        said = io.StringIO()
        screen = Screen(Console(file=said, width=200))
        screen.punctuality(on_time, 100, (80, 90), {"bị từ chối / refused": 3})
        assert f"Đúng hạn {on_time}.0% ({on_time}/100)" in said.getvalue()
        assert ("outside that span" in said.getvalue() and "refused: 3" in said.getvalue()) is explained
