"""Rules of a form on a real database: what looks back, what is kept, and that nothing is kept of other forms."""

from __future__ import annotations

from typing import Any

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


async def test_of_a_form_without_such_rules_no_figures_are_kept(rig: Rig) -> None:
    await rig.keep(regime())
    await rig.judge(submission())
    (row,) = await rig.rows("SELECT figures, rule_pack, compared_with FROM verdict")
    assert row == {"figures": None, "rule_pack": None, "compared_with": []}


async def test_a_report_that_is_judged_again_keeps_its_verdict_though_another_was_accepted_meanwhile(rig: Rig) -> None:
    await rig.keep(regime(form=RULED))
    late = of_period("2026-M03", 7)
    await rig.judge(late)
    await rig.judge(of_period("2026-M02", 8))
    await rig.judge(late)
    assert [verdict.period for verdict in await rig.published()] == ["2026-M03", "2026-M02"]
