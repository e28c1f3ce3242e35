"""What counts as a difference, and what it says: what, where, both values with their hours."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from deploy.reconcile.differences import KINDS, Teller, same, shown

AT = datetime(2026, 3, 18, 10, 0, 9, tzinfo=UTC)
TOLD = Teller("copy", "intake.standings", "H99.05/KTXH/2026-M03", "theo scoring", "by scoring")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2026-03-18T17:00:09+07:00", AT),
        ("2026-03-18T17:00:09+07:00", "2026-03-18T10:00:09Z"),
        (Decimal("60.00"), "60.00"),
        (UUID(int=7), str(UUID(int=7))),
        (b"\x01", "01"),
        (None, None),
    ],
)
def test_the_same_value_written_otherwise_is_no_difference(one: object, other: object) -> None:
    assert same(one, other)
    assert same(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [(True, 1), (0, False), ("2026-03-18T17:00:10+07:00", AT), ("2026-03-18T17:00:09", AT), (Decimal(1), Decimal(2)),
     (None, ""), (None, 0), ("a", "a ")],
)  # fmt: skip
def test_another_value_is_a_difference(one: object, other: object) -> None:
    assert not same(one, other)
    assert not same(other, one)


def test_documents_are_compared_leaf_by_leaf() -> None:
    found = {"a": [1, {"b": "x"}, 3], "gone": 1, "same": {"deep": None}}
    expected = {"a": [1, {"b": "y"}], "new": False, "same": {}}
    paths = {difference.column for difference in TOLD.document(found, expected, "document")}
    assert paths == {"document.a[1].b", "document.a[2]", "document.gone", "document.new"}


def test_a_message_says_what_where_both_values_and_their_local_hours() -> None:
    (difference,) = TOLD.values({"deadline": AT}, {"deadline": datetime(2026, 3, 18, 10, tzinfo=UTC)})
    said = "intake.standings H99.05/KTXH/2026-M03 deadline: {} 2026-03-18 17:00:09+07:00, {}: 2026-03-18 17:00:00+07:00"
    assert difference.message == said.format("ghi", "theo scoring")
    assert difference.message_en == said.format("says", "by scoring")
    document = difference.document()
    assert document["next"] == KINDS["copy"].next_vi
    assert document["next_en"] == KINDS["copy"].next_en


def test_what_is_long_is_cut_and_nothing_is_a_dash() -> None:
    assert shown(None) == "–"
    assert len(shown("x" * 10_000)) < 300
