"""A report that was withdrawn before another was received is not compared with it, whenever that is heard."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from services.validator import handlers
from shared.consuming.batch import Batch
from shared.contract.events import StepTaken, SubmissionReceived, obligation_key
from tests.integration.validator.rig import GOOD, NOW, Rig, regime, submission
from tests.integration.validator.test_likeness import regime as compared_regime
from tests.integration.validator.test_likeness import sent
from tests.integration.validator.test_rules import RULED


def of_period(period: str, total: int, minutes: int, version: int = 1) -> SubmissionReceived:
    figures = GOOD | {"T": str(total), "A": str(total), "B": "0"}
    return submission(
        version=version, period=period, obligation=obligation_key("H99.02", "BC", period), figures=figures,
        received_at=after(minutes),
    )  # fmt: skip


def after(minutes: int) -> datetime:
    return NOW + timedelta(minutes=minutes)


async def withdraw(rig: Rig, report: SubmissionReceived, minutes: int, **others: Any) -> None:
    told = report.model_dump(include={"obligation", "agency", "regime", "regime_version", "period", "submission_id"})
    values = told | {
        "step_id": uuid4(), "kind": "withdrawn", "at": after(minutes), "by": "o1", "role": "reporting_officer"
    }  # fmt: skip
    async with rig.database.transaction() as tx:
        await handlers.keep_withdrawals(Batch.of([StepTaken.model_validate(values | others)]), tx)


async def said(rig: Rig, report: SubmissionReceived) -> list[str]:
    (verdict,) = [one for one in await rig.published() if one.submission_id == report.submission_id]
    return [finding.code for finding in verdict.findings]


async def test_a_text_is_no_copy_of_one_that_was_withdrawn_before_it_came(rig: Rig) -> None:
    await rig.keep(compared_regime())
    original, own = sent("H99.02", 1), sent("H99.05", 1, period="2026-M02")
    await rig.judge(original, own)
    for report in (original, own):
        await withdraw(rig, report, 4)
        await withdraw(rig, report, 9)  # the first stays
    early, late, next_month = sent("H99.03", 3), sent("H99.04", 5), sent("H99.05", 5)
    await rig.judge(late, next_month)
    await rig.judge(early)  # received while the original stood: heard of later, the same verdict
    assert [await said(rig, report) for report in (late, next_month, early)] == [[], [], ["N13"]]


async def test_without_the_withdrawal_it_is_a_copy(rig: Rig) -> None:
    """Negative control, and another step about the report is none."""
    await rig.keep(compared_regime())
    original, late = sent("H99.02", 1), sent("H99.04", 5)
    await withdraw(rig, original, 4, kind="approved")
    await rig.judge(original)
    await rig.judge(late)
    assert await said(rig, late) == ["N13"]


async def test_a_withdrawal_that_is_heard_before_the_verdict_holds_within_the_batch_too(rig: Rig) -> None:
    await rig.keep(compared_regime(), regime(regime_version=2, form=RULED))
    original, late = sent("H99.02", 1), sent("H99.04", 5)
    await withdraw(rig, original, 4)
    await rig.judge(original, late)
    assert await said(rig, late) == []


async def test_rules_look_back_to_the_newest_version_that_stood(rig: Rig) -> None:
    await rig.keep(regime(form=RULED))
    first, second = of_period("2026-M02", 5, 0), of_period("2026-M02", 9, 1, version=2)
    await rig.judge(of_period("2025-M03", 1, 0), first, second)
    await withdraw(rig, second, 3)
    before, now = of_period("2026-M03", 7, 2), of_period("2026-M03", 7, 4, version=2)
    await rig.judge(before, now)
    assert [await said(rig, report) for report in (before, now)] == [["QT-01"], []]
    verdicts = {verdict.submission_id: verdict.compared_with for verdict in await rig.published()}
    assert first.submission_id in (verdicts[now.submission_id] or ())
    assert second.submission_id in (verdicts[before.submission_id] or ())
    await withdraw(rig, first, 5)
    alone = of_period("2026-M03", 7, 6, version=3)
    await rig.judge(alone)
    assert await said(rig, alone) == ["K03"]


async def test_zeros_are_compared_with_the_period_that_stood(rig: Rig) -> None:
    await rig.keep(regime())
    figures, zeros = of_period("2026-M02", 5, 0), of_period("2026-M03", 0, 4)
    await rig.judge(figures)
    again = of_period("2026-M04", 0, 4)
    await withdraw(rig, figures, 3)
    await rig.judge(zeros)
    assert await said(rig, zeros) == []
    await rig.judge(of_period("2026-M02", 5, 5, version=2))
    await rig.judge(of_period("2026-M03", 0, 6, version=2), again)
    assert [verdict.outcome for verdict in await rig.published()][-2:] == ["returned", "accepted"]
