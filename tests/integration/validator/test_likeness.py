"""Near-copies on a real database: what is compared, what is kept, and that no copy accuses its original."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from shared.contract.events import RegimePublished, SubmissionReceived, VerdictReached, obligation_key
from tests.integration.validator import rig as rigs
from tests.integration.validator.rig import NOW, Rig, submission
from tests.unit.validator.office_prose import GOOD

TEXT, OTHER = (" ".join(text for text, _ in GOOD[place : place + 2]) for place in (0, 9))

FORM = rigs.FORM.model_copy(update={"severities": {"N12": "confirm", "N13": "confirm"}})


def regime(code: str = "BC") -> RegimePublished:
    return rigs.regime(code, form=FORM)


def sent(agency: str, minutes: int, text: str = TEXT, *, period: str = "2026-M03", **others: Any) -> SubmissionReceived:
    return submission(
        agency,
        period=period,
        obligation=obligation_key(agency, "BC", period),
        received_at=NOW + timedelta(minutes=minutes),
        narratives={"N": text},
        **others,
    )


async def codes(rig: Rig) -> dict[str, list[str]]:
    """agency/period/version -> codes."""
    return {
        f"{verdict.agency}/{verdict.period}/{verdict.version}": [finding.code for finding in verdict.findings]
        for verdict in await rig.published()
    }


async def verdict_on(rig: Rig, report: SubmissionReceived) -> VerdictReached:
    (found,) = [verdict for verdict in await rig.published() if verdict.submission_id == report.submission_id]
    return found


async def test_a_copy_of_another_agency_is_asked_about_and_its_original_never(rig: Rig) -> None:
    await rig.keep(regime())
    original, copy, late = sent("H99.02", 1), sent("H99.03", 2), sent("H99.04", 3)
    await rig.judge(copy)  # judged first, received later
    await rig.judge(original)
    await rig.judge(late)
    assert await codes(rig) == {"H99.02/2026-M03/1": [], "H99.03/2026-M03/1": [], "H99.04/2026-M03/1": ["N13"]}
    assert (await verdict_on(rig, late)).compared_with is None
    (row,) = await rig.rows("SELECT resembles FROM verdict WHERE agency = 'H99.04'")
    assert row["resembles"] == [str(original.submission_id)]
    rows = await rig.rows("SELECT agency, cardinality(bands) AS bands FROM fingerprint ORDER BY agency")
    assert [(row["agency"], row["bands"] > 0) for row in rows] == [
        ("H99.02", True),
        ("H99.03", True),
        ("H99.04", False),
    ]


async def test_a_copy_within_one_batch_is_found(rig: Rig) -> None:
    await rig.keep(regime())
    await rig.judge(sent("H99.02", 1), sent("H99.03", 2), sent("H99.04", 3, OTHER))
    assert await codes(rig) == {"H99.02/2026-M03/1": [], "H99.03/2026-M03/1": ["N13"], "H99.04/2026-M03/1": []}


async def test_a_copy_of_the_own_last_report_is_asked_about_and_the_own_versions_are_not(rig: Rig) -> None:
    await rig.keep(regime())
    before = sent("H99.02", 0, period="2026-M02")
    now, again = sent("H99.02", 1), sent("H99.02", 2, OTHER, version=2)
    same = sent("H99.02", 3, OTHER, version=3)
    await rig.judge(before, now)
    await rig.judge(again)
    await rig.judge(same)
    assert await codes(rig) == {
        "H99.02/2026-M02/1": [], "H99.02/2026-M03/1": ["N12"], "H99.02/2026-M03/2": [], "H99.02/2026-M03/3": [],
    }  # fmt: skip
    assert (await verdict_on(rig, now)).compared_with == (before.submission_id,)


async def test_another_regime_period_or_a_returned_report_is_nothing_to_compare_with(rig: Rig) -> None:
    await rig.keep(regime(), regime("BD"))
    returned: dict[str, Any] = {"figures": {"T": "9", "A": "1", "B": "2"}}
    elsewhere = submission(
        "H99.05",
        code="BD",
        narratives={"N": TEXT},
        received_at=NOW,
        obligation=obligation_key("H99.05", "BD", "2026-M03"),
    )
    await rig.judge(sent("H99.03", 0, **returned), sent("H99.04", 0, period="2026-M02"), elsewhere)
    await rig.judge(sent("H99.02", 1))
    assert (await codes(rig))["H99.02/2026-M03/1"] == []
    assert {row["agency"] for row in await rig.rows("SELECT agency FROM fingerprint")} == {"H99.02", "H99.04", "H99.05"}


async def test_a_repeated_submission_is_kept_once_and_nothing_of_a_batch_that_fails(rig: Rig) -> None:
    await rig.keep(regime())
    report = sent("H99.02", 1)
    await rig.judge(report)
    await rig.judge(report)
    assert len(await rig.rows("SELECT 1 FROM fingerprint")) == 1
