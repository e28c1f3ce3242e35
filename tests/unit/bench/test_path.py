"""Every service that is measured is there in each of the three systems: a new one is measured, or stands beside."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from shared.contract.services import SERVICES as EVERY
from tests.programs.bench.path import BESIDE, SERVICES
from tests.programs.bench.rounds import EVENTS_OF_ONE
from tests.programs.bench.scale import SERVICES_SCALED


def test_a_service_is_measured_or_stands_beside() -> None:
    assert {*SERVICES, *BESIDE} == set(EVERY)
    assert set(SERVICES_SCALED) == set(SERVICES)
    for name, events in EVENTS_OF_ONE.items():
        assert set(events) == set(SERVICES), name


@pytest.mark.parametrize("service", SERVICES)
def test_each_is_there_in_the_floor_and_in_the_conventional_build(service: str) -> None:
    for build in ("floor", "conventional"):
        assert find_spec(f"tests.programs.bench.{build}.{service}") is not None, build


def test_control_what_stands_beside_is_in_neither() -> None:
    assert find_spec("tests.programs.bench.floor.board") is None
