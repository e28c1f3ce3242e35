"""Reconcile holds the table of a letter about several matters against the notices that share its mail, leaf by leaf."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest

from deploy.reconcile.differences import Difference, Teller
from deploy.reconcile.dossiers import Dossier
from deploy.reconcile.notices import _matters
from deploy.reconcile.reference import Reference
from services.notifier.mailing.sweep import line
from tests.integration.reconcile.spoils import leaves

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
DEADLINE = datetime(2026, 3, 18, 10, tzinfo=UTC)
IDS = [UUID(f"0190a21d-8e9f-7420-9db5-03e60de6cb2{place}") for place in range(3)]
NAMES = ("regime/KTXH/1", "request/2026-M03")


def member(place: int) -> dict[str, Any]:
    facts = {"agency_name": f"Xã {place}", "agency_name_en": "", "deadline": DEADLINE.isoformat(), "next_role": "chair"}
    return {
        "id": IDS[place], "mail_id": IDS[0], "obligation": f"H99.0{place}/KTXH/2026-M03", "kind": "overdue",
        "regime": "KTXH", "regime_version": 1, "regime_name": "Kinh tế", "regime_name_en": "", "period": "2026-M03",
        "request": None, "request_en": None, "deadline": DEADLINE, "held": "limit:6", "facts": json.dumps(facts),
    }  # fmt: skip


MEMBERS = [member(place) for place in range(3)]
TABLE = [line({**row, "facts": json.loads(row["facts"])}) for row in MEMBERS]


def differences(table: Any, *, carrier: UUID | None = IDS[0], changed: datetime = LONG_AGO) -> list[Difference]:
    """What is found in a letter with this table. changed: when the registry's records last did."""
    row = {"id": IDS[0], "mail_id": carrier, "facts": json.dumps({"matters": table})}
    dossier = Dossier("H99.00/KTXH/2026-M03", matters=cast(Any, MEMBERS))
    reference = Reference({}, {}, {}, [], changed_at=dict.fromkeys(NAMES, changed))
    return list(_matters(row, dossier, reference, Teller("notice", "notifier.notifications", "k", "", "")))


def test_the_table_of_its_notices_is_right_and_every_spoiled_leaf_is_found() -> None:
    assert differences(TABLE) == []
    spoiled = list(leaves(TABLE))
    assert len(spoiled) > 30
    assert [path for path, table in spoiled if not differences(table)] == []


@pytest.mark.parametrize("table", [TABLE[:2], [*TABLE, TABLE[0]], []], ids=["one lacks", "one too many", "none"])
def test_a_matter_that_is_missing_or_surplus_is_found(table: Any) -> None:
    assert differences(table)


def test_a_letter_of_its_own_has_no_table() -> None:
    assert differences([], carrier=None) == []
    assert differences(TABLE, carrier=None)


def test_names_are_not_compared_where_the_registry_has_changed_since() -> None:
    table = [{**row, "regime": "Tên cũ"} for row in TABLE]
    assert differences(table)
    assert differences(table, changed=datetime.now(UTC) + timedelta(days=1)) == []
