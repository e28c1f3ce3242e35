"""A failpoint acts as often, and from as late a passage on, as it is told; an absent one does nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.runtime import failpoints


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


def test_without_an_order_a_point_is_an_empty_function() -> None:
    failpoints.arm("")
    assert failpoints.hit is failpoints._absent
    failpoints.hit("anything")


def test_a_point_acts_as_often_as_it_is_told() -> None:
    failpoints.arm("here=raise*2")
    for _ in range(2):
        with pytest.raises(ConnectionError):
            failpoints.hit("here")
    failpoints.hit("here")
    failpoints.hit("elsewhere")


def test_a_point_lets_earlier_passages_go() -> None:
    failpoints.arm("here=raise@3")
    failpoints.hit("here")
    failpoints.hit("here")
    with pytest.raises(ConnectionError):
        failpoints.hit("here")
    failpoints.hit("here")


def test_several_points_are_told_apart() -> None:
    failpoints.arm("first=raise,second=sleep:0.0")
    failpoints.hit("second")
    with pytest.raises(ConnectionError):
        failpoints.hit("first")


def test_a_point_can_act_at_every_so_manieth_passage() -> None:
    failpoints.arm("here=closed*2@3/2")
    raised = []
    for passage in range(1, 10):
        try:
            failpoints.hit("here")
        except RuntimeError:
            raised.append(passage)
    assert raised == [3, 5]
