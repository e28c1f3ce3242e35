"""Whatever a store holds is told as JSON without loss, and every moment in one zone."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from shared.postgres.json_values import json_row, json_value

ID = UUID("018f0000-0000-7000-8000-000000000001")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (datetime(2026, 12, 31, 17, 30, tzinfo=UTC), "2027-01-01T00:30:00+07:00"),
        (date(2026, 12, 31), "2026-12-31"),
        (Decimal("12345678901234567.890"), "12345678901234567.890"),
        (Decimal("1E+3"), "1000"),
        (b"\x00\xff", "AP8="),
        (ID, str(ID)),
        ([Decimal("0.10"), {"at": datetime(2026, 1, 1, tzinfo=UTC)}], ["0.10", {"at": "2026-01-01T07:00:00+07:00"}]),
        (None, None),
        (True, True),
        (7, 7),
        ("chữ", "chữ"),
    ],
)
def test_a_value_is_told_without_loss(value: object, told: object) -> None:
    assert json_value(value) == told
    assert json_row({"name": value}) == {"name": told}
