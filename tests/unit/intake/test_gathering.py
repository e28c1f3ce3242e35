"""How long a group of submissions gathers before its commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from services.intake.submissions import group_commit
from services.intake.submissions.group_commit import LONGEST_LINGER_SECONDS, GroupCommit, gathering_seconds


def test_a_submission_that_comes_alone_waits_for_no_company_that_others_had() -> None:
    assert gathering_seconds(0.002, 1, beside=False) == 0.002
    assert gathering_seconds(0.002, 1, beside=True) == 0.01
    assert gathering_seconds(0.002, 8, beside=True) == 0.016
    assert gathering_seconds(0.002, 100, beside=False) == LONGEST_LINGER_SECONDS


def test_an_operators_longer_linger_is_kept() -> None:
    assert gathering_seconds(0.5, 1, beside=False) == gathering_seconds(0.5, 100, beside=True) == 0.5


class NoDatabase:
    """Opens transactions that store nothing."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        yield None

    async def close(self) -> None:
        """Nothing is open."""


async def test_after_a_burst_is_answered_who_comes_alone_waits_for_no_company(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, bool]] = []

    def noted(_: float, last_size: int, *, beside: bool) -> float:
        asked.append((last_size, beside))
        return 0

    async def accept(_: Any, group: Sequence[Any]) -> list[Any]:
        return ["stored"] * len(group)

    monkeypatch.setattr(group_commit, "gathering_seconds", noted)
    commits = GroupCommit(cast(Any, NoDatabase()), accept, lanes=1)
    await commits.start()
    try:
        await asyncio.gather(*(commits.offer(cast(Any, number)) for number in range(50)))
        await commits.offer(cast(Any, "alone"))
    finally:
        await commits.stop()
    assert asked == [(1, False), (1, False)]
