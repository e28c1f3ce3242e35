"""Whatever a plan's file holds, it is a plan or NoPlan says why not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.intake.registry.planning import FORMAT, NoPlan, Plan, read_plan

GOOD: dict[str, Any] = Plan(1, "0" * 64, False, ({"kind": "agency", "value": {}},)).document()


def test_a_plan_is_read_as_it_was_written() -> None:
    assert read_plan(json.dumps(GOOD).encode()).records == ({"kind": "agency", "value": {}},)


@pytest.mark.parametrize("kind", [["agency"], {"agency": 1}, None, 1, "nothing"])
def test_a_record_of_no_kind_is_no_record(kind: object) -> None:
    with pytest.raises(NoPlan, match="not a list of records"):
        read_plan(json.dumps({**GOOD, "format": FORMAT, "records": [{"kind": kind, "value": {}}]}).encode())
