"""No report that comes before its figures can exist changes how an obligation stands or what it scores.

Reports at random moments pass intake's admission; scoring's pure rule stands on those that were admitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from services.scoring.obligations.deadlines import Regime, plan_period
from services.scoring.obligations.facts import NOTHING, Facts, with_passing, with_report
from services.scoring.obligations.generator import terms_of
from services.scoring.obligations.standing import Derivation, stand
from shared.contract import reporting_window
from shared.contract.events import AgencyRegistered, Form, RegimePublished, RequestIssued, VerdictReached
from shared.contract.events.registry import Cutoff, Deadline, Frequency
from shared.contract.period import Period, containing, cutoff_range
from shared.contract.reporting_window import cutoff_ends
from shared.runtime.clock import LOCAL_ZONE
from tests.unit.scoring.samples import CALENDAR, POLICY
from tests.unit.shared.contract.test_admitted_is_followed import AGENCY, OFFICER, REGIME, judged

PERIODIC: tuple[Frequency, ...] = ("weekly", "monthly", "quarterly", "half_yearly", "nine_monthly", "yearly")
_AGENCY = AgencyRegistered(code=AGENCY, name="Xã", kind="commune", opened_on=date(2000, 1, 1), version=1)
_REQUEST = RequestIssued(
    request_id="DX-1", regime="OTHER", title="Y", issued_at=datetime(2026, 1, 1, tzinfo=LOCAL_ZONE),
    deadline=datetime(2026, 2, 1, tzinfo=LOCAL_ZONE), version=1,
)  # fmt: skip


def a_regime(frequency: Frequency, cutoff: Cutoff, *, early_allowed: bool = False) -> RegimePublished:
    return RegimePublished(
        code=REGIME, regime_version=1, name="Báo cáo", frequency=frequency, effective_from=date(2020, 1, 1),
        submitter_kinds=("commune",), receiver="H99", cutoff=cutoff, form=Form(), early_allowed=early_allowed,
        deadline=Deadline(rule="working_days_after_cutoff", working_days=2), version=1,
    )  # fmt: skip


def stood(regime: RegimePublished, period: Period, reports: Sequence[tuple[datetime, bool, int]]) -> Derivation:
    """How it stands after these reports (moment, accepted, items present of 10), as many as intake admits."""
    facts: Facts = NOTHING
    key = f"{AGENCY}/{REGIME}/{period.id}"
    number = 0
    for at, accepted, present in sorted(reports):
        if judged(at, period.id, [regime], _AGENCY, _REQUEST) is None:
            continue
        number += 1
        facts = with_report(
            facts,
            VerdictReached(
                verdict_id=UUID(int=number), submission_id=UUID(int=number), obligation=key, agency=AGENCY,
                regime=REGIME, regime_version=1, period=period.id, version=number, officer_id=OFFICER,
                received_at=at, decided_at=at, outcome="accepted" if accepted else "returned", required_items=10,
                present_items=present, errors=int(not accepted), warnings=0,
            ),
            UUID(int=number),
        )  # fmt: skip
    planned = plan_period(
        Regime(REGIME, 1, regime.frequency, regime.effective_from, None, ("commune",), (), regime.cutoff,
               regime.deadline, 1),
        period,
        CALENDAR,
    )  # fmt: skip
    facts = with_passing(facts, planned.deadline + timedelta(days=40))
    return stand(terms_of(planned, POLICY.version), facts, POLICY, CALENDAR)


@st.composite
def attempts(draw: st.DrawFn) -> tuple[RegimePublished, Period, list[tuple[datetime, bool, int]]]:
    frequency = draw(st.sampled_from(PERIODIC))
    cutoff = Cutoff(day=draw(st.integers(1, 28)), weekday=draw(st.integers(1, 7)))
    period = containing(draw(st.dates(date(2024, 1, 1), date(2027, 6, 1))), frequency, cutoff)
    first, last = cutoff_range(period, frequency, cutoff)
    begins, ends = reporting_window.day_begins(first), cutoff_ends(last)
    moment = st.one_of(
        st.timedeltas(timedelta(days=-20), ends - begins).map(lambda after: begins + after),
        st.timedeltas(timedelta(microseconds=-3), timedelta(microseconds=3)).map(lambda after: ends + after),
        st.timedeltas(timedelta(0), timedelta(days=30)).map(lambda after: ends + after),
    )
    reports = draw(st.lists(st.tuples(moment, st.booleans(), st.integers(0, 10)), max_size=6, unique_by=lambda r: r[0]))
    return a_regime(frequency, cutoff), period, reports


@settings(max_examples=300, deadline=None)
@given(drawn=attempts())
def test_no_early_report_changes_anything(
    drawn: tuple[RegimePublished, Period, list[tuple[datetime, bool, int]]],
) -> None:
    regime, period, reports = drawn
    ends = cutoff_ends(cutoff_range(period, regime.frequency, regime.cutoff)[1])
    later = [report for report in reports if report[0] >= ends]
    event("some are early" if len(later) < len(reports) else "none is early")
    assert stood(regime, period, reports) == stood(regime, period, later)


def test_the_control_where_the_regime_allows_it_an_early_report_earns_its_points() -> None:
    cutoff = Cutoff(day=14)
    period = containing(date(2026, 10, 1), "monthly", cutoff)
    early = [(datetime(2026, 9, 15, tzinfo=LOCAL_ZONE), True, 10)]
    scores = [
        stood(a_regime("monthly", cutoff, early_allowed=allowed), period, early).state.score
        for allowed in (False, True)
    ]
    assert scores == [0, 100]


def test_the_control_without_the_rule_early_reports_raise_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    cutoff = Cutoff(day=14)
    period, regime = containing(date(2026, 10, 1), "monthly", cutoff), a_regime("monthly", cutoff)
    on_the_last_day = [(datetime(2026, 10, 14, tzinfo=LOCAL_ZONE), True, 10)]
    assert stood(regime, period, on_the_last_day) == stood(regime, period, [])
    monkeypatch.setattr(reporting_window, "cutoff_ends", reporting_window.day_begins)
    assert stood(regime, period, on_the_last_day).state.score == 100
    assert stood(regime, period, []).state.score == 0
