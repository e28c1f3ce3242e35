"""Rules of a form on a real database: what looks back, what is kept, and that nothing is kept of other forms."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from shared.contract.events import Form, SubmissionReceived, VerdictReached, obligation_key
from tests.integration.validator.rig import FORM, GOOD, Rig, regime, submission

BACK = {
    "id": "QT-01", "tier": "history", "severity": "confirm", "assert": "[T] >= PREV([T])",
    "message": "{[T]} ít hơn kỳ trước {PREV([T])}.", "message_en": "{[T]}, before {PREV([T])}.",
    "fix": "Giải trình.", "fix_en": "Explain.", "legal_basis": "Điều 1",
    "tests": [{"figures": {"T": 1}, "previous": {"T": 1}}],
}  # fmt: skip
YEAR = BACK | {
    "id": "QT-02", "severity": "error", "assert": "[T] <= 10 * YOY([T])",
    "message": "{YOY([T])}", "message_en": "{YOY([T])}", "tests": [{"figures": {"T": 1}, "year_ago": {"T": 1}}],
}  # fmt: skip
RULED = Form.model_validate(FORM.model_dump(mode="json") | {"rules": [BACK, YEAR]})


def of_period(period: str, total: int, **others: Any) -> SubmissionReceived:
    figures = GOOD | {"T": str(total), "A": str(total), "B": "0"}
    obligation = obligation_key("H99.02", "BC", period)
    return submission(period=period, obligation=obligation, figures=figures, **others)


async def said(rig: Rig) -> dict[str, VerdictReached]:
    return {f"{verdict.period}/{verdict.version}": verdict for verdict in await rig.published()}


def codes(verdict: VerdictReached) -> list[str]:
    return [finding.code for finding in verdict.findings]


async def test_a_report_is_compared_with_the_accepted_ones_of_the_period_before_and_of_a_year_ago(rig: Rig) -> None:
    await rig.keep(regime(form=RULED))
    year_ago, before, now = of_period("2025-M03", 1), of_period("2026-M02", 8), of_period("2026-M03", 7)
    await rig.judge(year_ago)
    await rig.judge(before, now)  # one batch: in its order
    verdicts = await said(rig)
    assert codes(verdicts["2025-M03/1"]) == ["K03", "K03"]  # once for each period that there is no report of
    compared = verdicts["2026-M03/1"]
    assert (compared.outcome, codes(compared)) == ("accepted", ["QT-01"])
    (finding,) = compared.findings
    assert (finding.message, finding.explain, finding.legal_basis) == ("7 ít hơn kỳ trước 8.", True, "Điều 1")
    assert compared.compared_with == (before.submission_id, year_ago.submission_id)
    assert compared.rule_pack
    (row,) = await rig.rows("SELECT * FROM verdict WHERE period = '2026-M03'")
    assert (row["rule_pack"], row["compared_with"]) == (
        compared.rule_pack, [str(before.submission_id), str(year_ago.submission_id)],
    )  # fmt: skip
    assert row["figures"] == {"T": "7", "A": "7", "B": "0"}


async def test_what_was_returned_is_nothing_to_compare_with_and_the_newest_accepted_version_is(rig: Rig) -> None:
    await rig.keep(regime(form=RULED))
    await rig.judge(of_period("2025-M02", 1))
    returned = of_period("2026-M02", 100)  # by QT-02
    await rig.judge(returned)
    await rig.judge(of_period("2026-M02", 6, version=2), of_period("2026-M02", 5, version=3))
    await rig.judge(of_period("2026-M03", 5))
    verdicts = await said(rig)
    assert [verdicts[f"2026-M02/{version}"].outcome for version in (1, 2, 3)] == ["returned", "accepted", "accepted"]
    assert "QT-01" not in codes(verdicts["2026-M03/1"])
    rows = await rig.rows("SELECT version FROM verdict WHERE figures IS NULL")
    assert rows == [{"version": 1}]


async def test_a_report_without_one_before_it_is_accepted_and_told_so_once(rig: Rig) -> None:
    await rig.keep(regime(form=RULED))
    await rig.judge(of_period("2026-M03", 7))
    verdict = (await said(rig))["2026-M03/1"]
    assert (verdict.outcome, set(codes(verdict)), verdict.compared_with) == ("accepted", {"K03"}, None)


async def test_of_a_form_without_rules_the_figures_are_kept_for_other_regimes(rig: Rig) -> None:
    await rig.keep(regime())
    await rig.judge(submission())
    (row,) = await rig.rows("SELECT figures, rule_pack, compared_with FROM verdict")
    assert row == {"figures": GOOD, "rule_pack": None, "compared_with": []}


async def test_a_report_that_is_judged_again_keeps_its_verdict_though_another_was_accepted_meanwhile(rig: Rig) -> None:
    await rig.keep(regime(form=RULED))
    late = of_period("2026-M03", 7)
    await rig.judge(late)
    await rig.judge(of_period("2026-M02", 8))
    await rig.judge(late)
    assert [verdict.period for verdict in await rig.published()] == ["2026-M03", "2026-M02"]


OTHER = BACK | {
    "id": "QT-03", "tier": "cross_report", "severity": "error", "assert": '[T] <= REF("QUY"; [T])',
    "message": 'Quý ghi {REF("QUY"; [T])}.', "message_en": 'The quarter says {REF("QUY"; [T])}.',
    "tests": [{"figures": {"T": 1}, "reports": {"QUY": {"T": 1}}}],
}  # fmt: skip
REFERRING = Form.model_validate(FORM.model_dump(mode="json") | {"rules": [OTHER]})


async def test_a_report_is_compared_with_the_accepted_one_of_another_regime_that_contains_its_period(rig: Rig) -> None:
    await rig.keep(regime(form=REFERRING), regime("QUY"))
    await rig.judge(of_period("2026-M03", 7))
    quarter = of_period("2026-Q1", 6, code="QUY")
    quarter = quarter.model_copy(update={"obligation": obligation_key("H99.02", "QUY", "2026-Q1")})
    stranger = quarter.model_copy(
        update={"agency": "H99.03", "obligation": obligation_key("H99.03", "QUY", "2026-Q1"), "submission_id": uuid4()}
    )
    await rig.judge(stranger)
    await rig.judge(of_period("2026-M03", 7, version=2))
    await rig.judge(quarter)
    await rig.judge(of_period("2026-M03", 7, version=3), of_period("2026-M04", 7))
    verdicts = {f"{one.regime}/{one.period}/{one.version}": one for one in await rig.published()}
    for version in ("1", "2"):  # nobody is returned because a neighbour's report, or the own one, has not come
        absent = verdicts[f"BC/2026-M03/{version}"]
        assert (absent.outcome, codes(absent)) == ("accepted", ["K03"])
        assert "QUY" in absent.findings[0].message
    found = verdicts["BC/2026-M03/3"]
    assert (found.outcome, codes(found)) == ("returned", ["QT-03"])
    assert found.findings[0].message == "Quý ghi 6."
    assert found.compared_with == (quarter.submission_id,)
    assert codes(verdicts["BC/2026-M04/1"]) == ["K03"], "the second quarter has no report"


async def test_the_same_period_comes_before_the_one_that_contains_it(rig: Rig) -> None:
    await rig.keep(regime(form=REFERRING), regime("QUY"))
    month, quarter = (
        of_period(period, total, code="QUY").model_copy(update={"obligation": obligation_key("H99.02", "QUY", period)})
        for period, total in (("2026-M03", 9), ("2026-Q1", 6))
    )
    await rig.judge(month, quarter)
    await rig.judge(of_period("2026-M03", 7))
    (verdict,) = [one for one in await rig.published() if one.regime == "BC"]
    assert (verdict.outcome, verdict.compared_with) == ("accepted", (month.submission_id,))
