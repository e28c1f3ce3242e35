"""Waivers of the registry on a real database: by the day of receipt, for their agencies, and shown."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.contract.events import SubmissionReceived, WaiverGranted
from shared.runtime.clock import LOCAL_ZONE
from tests.integration.validator.rig import GOOD, Rig, regime, submission

WRONG = GOOD | {"T": "9"}
FIRST = datetime(2026, 3, 18, tzinfo=LOCAL_ZONE)


def waiver(version: int = 1, **others: Any) -> WaiverGranted:
    values = {
        "waiver_id": "MN-1", "regime": "BC", "rule": "K01", "agencies": ("H99.02",), "asked_by": "cb-01",
        "approved_by": "vp-01", "reason": "Biểu mẫu chưa tách số liệu", "since": "2026-03-18", "until": "2026-03-19",
        "version": version,
    }  # fmt: skip
    return WaiverGranted.model_validate(values | others)


def wrong(received_at: datetime = FIRST, agency: str = "H99.02", version: int = 1) -> SubmissionReceived:
    return submission(agency, version, figures=WRONG, received_at=received_at)


async def test_a_report_is_judged_under_the_waivers_of_the_day_of_its_receipt(rig: Rig) -> None:
    await rig.keep(regime(), waiver())
    moments = [FIRST - timedelta(seconds=1), FIRST, FIRST + timedelta(days=2, seconds=-1), FIRST + timedelta(days=2)]
    await rig.judge(
        *(wrong(moment, version=number) for number, moment in enumerate(moments, 1)), wrong(agency="H99.03")
    )
    verdicts = sorted(await rig.published(), key=lambda verdict: (verdict.agency, verdict.version))
    assert [(one.outcome, one.errors, one.waived) for one in verdicts] == [
        ("returned", 1, 0), ("accepted", 0, 1), ("accepted", 0, 1), ("returned", 1, 0), ("returned", 1, 0),
    ]  # fmt: skip
    (finding,) = verdicts[1].findings
    assert finding.waived is not None
    assert (finding.code, finding.severity, finding.waived.waiver_id) == ("K01", "warning", "MN-1")
    rows = await rig.rows("SELECT waived FROM finding WHERE waived IS NOT NULL")
    assert [row["waived"] for row in rows] == [finding.waived.model_dump(mode="json")] * 2


async def test_a_waiver_that_ends_earlier_lets_its_rule_fire_again(rig: Rig) -> None:
    await rig.keep(regime(), waiver())
    await rig.judge(wrong(FIRST))
    await rig.keep(waiver(2, until="2026-03-18"), waiver())
    await rig.judge(wrong(FIRST + timedelta(days=1), version=2))
    assert [verdict.outcome for verdict in await rig.published()] == ["accepted", "returned"]


async def test_without_the_copy_of_the_waiver_the_report_is_returned(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: nothing is waived by itself."""

    monkeypatch.setattr("services.validator.domain.in_force", lambda *given: {})
    await rig.keep(regime(), waiver())
    await rig.judge(wrong())
    assert [verdict.outcome for verdict in await rig.published()] == ["returned"]
