"""Sums over the agencies beneath on a real database: who they are, who has come, in one batch too."""

from __future__ import annotations

from datetime import date
from typing import Any

from shared.contract.events import AgencyRegistered, Form, SubmissionReceived, VerdictReached
from tests.integration.validator.rig import FORM, Rig, event_of, regime, submission

SUMMED = {
    "id": "QT-01", "tier": "cross_report", "severity": "confirm", "assert": "[T] = CHILDREN_SUM([T])",
    "message": "Cấp dưới {expected}.", "message_en": "Beneath {expected}.", "fix": "Sửa.", "fix_en": "Correct it.",
    "tests": [{"figures": {"T": 1}, "children": [{"T": 1}]}],
}  # fmt: skip
RULED = Form.model_validate(FORM.model_dump(mode="json") | {"rules": [SUMMED]})
ABOVE, ONE, TWO = "H99.05", "H99.51", "H99.52"


def agency(code: str, parent: str | None = ABOVE, version: int = 1, **others: Any) -> AgencyRegistered:
    record = {"code": code, "name": code, "kind": "department" if parent is None else "commune", "parent": parent,
              "opened_on": date(2020, 1, 1), "version": version}  # fmt: skip
    return AgencyRegistered.model_validate({**record, **others})


def of(code: str, total: int, version: int = 1, **others: Any) -> SubmissionReceived:
    figures = {"T": str(total), "A": str(total), "B": "0"}
    return submission(code, version, **({"figures": figures} | others))


async def registered(rig: Rig, *agencies: AgencyRegistered) -> None:
    await rig.consume("agencies", [event_of(record) for record in agencies])
    await rig.keep(regime(form=RULED, submitter_kinds=("department", "commune")))


async def said(rig: Rig, code: str = ABOVE) -> list[VerdictReached]:
    return [verdict for verdict in await rig.published() if verdict.agency == code]


def messages(verdict: VerdictReached) -> list[str]:
    return [finding.message for finding in verdict.findings]


async def test_a_report_is_held_against_the_sum_of_those_beneath_once_all_have_come(rig: Rig) -> None:
    await registered(rig, agency(ABOVE, None), agency(ONE), agency(TWO))
    one, two = of(ONE, 2), of(TWO, 3)
    await rig.judge(one, of(ABOVE, 2), two)  # one batch, in its order: one of two has come
    await rig.judge(of(ABOVE, 4, 2), of(ABOVE, 5, 3))
    early, wrong, right = await said(rig)
    assert (early.outcome, [finding.code for finding in early.findings]) == ("accepted", ["K03"])
    assert (wrong.outcome, messages(wrong)) == ("accepted", ["Cấp dưới 5."])
    assert set(wrong.compared_with or ()) == {one.submission_id, two.submission_id}
    assert (right.outcome, messages(right)) == ("accepted", [])
    (leaf,) = await said(rig, ONE)
    assert messages(leaf) == []  # nobody is beneath


async def test_what_was_returned_or_is_nil_is_no_figure_and_moves_count_from_their_day(rig: Rig) -> None:
    moved = agency(TWO, parents=[{"code": "H99.06", "since": "2026-01-01"}])
    await registered(rig, agency(ABOVE, None), agency("H99.06", None), agency(ONE), moved)
    await rig.judge(of(ONE, 2, figures={"T": "9", "A": "1", "B": "1"}))  # returned for its sum
    await rig.judge(of(ABOVE, 0))
    await rig.judge(of(ONE, 2, 2, figures={}, nil=True))
    await rig.judge(of(ABOVE, 1, 2))
    waiting, counted = await said(rig)
    assert [finding.code for finding in waiting.findings] == ["K03"]
    assert messages(counted) == ["Cấp dưới 0."]


async def test_an_agency_that_is_not_known_here_yet_is_asked_nothing(rig: Rig) -> None:
    await registered(rig, agency(ONE))
    await rig.judge(of(ABOVE, 1))
    (verdict,) = await said(rig)
    assert (verdict.outcome, [finding.code for finding in verdict.findings]) == ("accepted", ["K03"])


async def test_an_older_record_of_an_agency_changes_nothing(rig: Rig) -> None:
    records = [agency(ONE, version=2), agency(ONE, "H99.06", version=1)]
    await rig.consume("agencies", [event_of(record) for record in records])
    assert await rig.rows("SELECT parent, ever_below FROM agency") == [{"parent": ABOVE, "ever_below": [ABOVE]}]
