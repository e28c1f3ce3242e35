"""What intake admits, scoring opens or defers: one rule for both, over random regimes, agencies, requests and dates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from services.intake.registry.records import Registry
from services.intake.submissions.admission import Admitted, check
from services.scoring.calendar import shipped_calendars
from services.scoring.obligations import deadlines
from services.scoring.obligations.generator import Missing
from services.scoring.obligations.resolve import Awaits, Impossible, RegistryPart, resolve
from services.scoring.reference_data import Rules
from services.scoring.scores.policy import read_policies
from shared.contract import period, reporting_window
from shared.contract.events import (
    AgencyRegistered,
    Form,
    OfficerRegistered,
    RegimePublished,
    RegistryEvent,
    RequestIssued,
    SubmissionReceived,
)
from shared.contract.events.registry import Cutoff, Deadline, LaterParent
from shared.contract.hierarchy import Tree, parents_of
from shared.contract.reporting_window import NoWindow, Window, cutoff_ends, outside, window_of
from shared.reports.report_parser import Report
from shared.runtime.clock import LOCAL_ZONE

CALENDARS = [read.file.calendar() for read in shipped_calendars()]
RULES = Rules(read_policies())
AGENCY, REGIME, OFFICER = "H99.31", "KTXH", "cb-01"

FREQUENCIES = ("weekly", "monthly", "quarterly", "half_yearly", "nine_monthly", "yearly", "adhoc")
whole = st.one_of(st.integers(-3, 14), st.integers(-(2**31), 2**31 - 1))
days = st.dates(date(1990, 1, 1), date(2050, 12, 31))
moments = st.datetimes(datetime(2005, 1, 1), datetime(2060, 1, 1)).map(lambda moment: moment.replace(tzinfo=LOCAL_ZONE))  # noqa: DTZ001
deadline_rules = st.builds(
    Deadline,
    rule=st.sampled_from(("day_of_month", "weekday", "working_days_after_cutoff", "on_request")),
    day=st.integers(1, 31),
    month_offset=whole,
    weekday=st.integers(1, 7),
    week_offset=whole,
    working_days=whole.map(lambda days: max(1, abs(days))),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    on_holiday=st.sampled_from(("keep", "next_working_day")),
)
agencies = st.builds(
    AgencyRegistered,
    code=st.just(AGENCY),
    name=st.just("UBND xã"),
    kind=st.sampled_from(("commune", "department")),
    parent=st.sampled_from(("H99", "H98")),
    parents=st.sampled_from(((), (LaterParent(code="H98", since=date(2026, 1, 1)),))),
    opened_on=st.sampled_from((date(1997, 1, 1),) * 3 + (date(2025, 7, 1),)),
    closed_on=st.sampled_from((None,) * 5 + (date(2025, 6, 30), date(2031, 1, 1))),
    version=st.just(1),
)


@st.composite
def regimes(draw: st.DrawFn) -> list[RegimePublished]:
    usual = draw(st.sampled_from(FREQUENCIES))
    return [
        RegimePublished(
            code=REGIME,
            regime_version=number,
            name="Báo cáo",
            frequency=draw(st.sampled_from((usual,) * 7 + FREQUENCIES)),
            effective_from=draw(
                st.sampled_from((date(2010, 1, 1), date(2019, 1, 1), date(2024, 1, 1), date(2035, 5, 5)))
            ),
            effective_to=draw(st.sampled_from((None,) * 6 + (date(2026, 6, 30), date(2019, 6, 1)))),
            submitter_kinds=("commune",),
            submitters=draw(st.sampled_from(((AGENCY,), (), ()))),
            submitter_parents=draw(st.sampled_from(((), ("H98",), ("H99", "H97")))),
            receiver="H99",
            cutoff=Cutoff(day=draw(st.integers(1, 28)), weekday=draw(st.integers(1, 7))),
            deadline=draw(deadline_rules),
            remind_working_days=draw(whole.map(abs)),
            form=Form(),
            version=draw(st.integers(1, 5)),
        )
        for number in range(1, draw(st.integers(1, 3)) + 1)
    ]


@st.composite
def requests(draw: st.DrawFn) -> RequestIssued:
    return RequestIssued(
        request_id="DX-2026-001",
        regime=draw(st.sampled_from((REGIME, REGIME, REGIME, "OTHER"))),
        title="Yêu cầu",
        issued_at=draw(moments),
        deadline=draw(moments),
        agencies=draw(st.sampled_from(((), (AGENCY,), ("H99.99",)))),
        version=1,
    )


@st.composite
def periods(draw: st.DrawFn, now: datetime, versions: Sequence[RegimePublished]) -> str:
    """Mostly of a frequency that the regime has, near the present or long ago."""
    frequency = draw(st.sampled_from([*(version.frequency for version in versions)] * 6 + ["weekly", "adhoc"]))
    if frequency == "adhoc":
        return "DX-2026-001"
    day = now.date() - timedelta(days=draw(st.integers(-40, 800) | st.integers(-40, 800) | st.integers(-400, 14_000)))
    return period.containing(max(day, date(1950, 1, 1)), frequency, Cutoff()).id


def scoring_knows(
    versions: Sequence[RegimePublished], agency: AgencyRegistered, request: RequestIssued, calendar: Any
) -> RegistryPart:
    kept = [
        deadlines.Regime(
            version.code, version.regime_version, version.frequency, version.effective_from, version.effective_to,
            version.submitter_kinds, version.submitters, version.cutoff, version.deadline, version.remind_working_days,
            submitter_parents=version.submitter_parents,
        )
        for version in versions
    ]  # fmt: skip
    asked = deadlines.Request(request.request_id, request.regime, request.issued_at, request.deadline, request.agencies)
    return RegistryPart(
        {agency.code: deadlines.Agency(agency.code, agency.kind, agency.opened_on, agency.closed_on)},
        {REGIME: kept},
        {request.request_id: asked},
        calendar,
        Tree({agency.code: parents_of(agency.parent, agency.parents)}),
        {REGIME: sum(version.version for version in versions)},
        {request.request_id: request.version},
    )


def judged(
    now: datetime, named: str, versions: Sequence[RegimePublished], agency: AgencyRegistered, request: RequestIssued
) -> Admitted | None:
    registry = Registry()
    officer = OfficerRegistered(
        officer_id=OFFICER, agency=AGENCY, name="A", email="a@example.vn", role="reporting_officer", version=1
    )
    records: list[RegistryEvent] = [agency, officer, request, *versions]
    for record in records:
        registry.put(record)
    found = check(Report(REGIME, named, OFFICER, False, {}, {}), AGENCY, registry, now)
    return found if isinstance(found, Admitted) else None


def followed(now: datetime, named: str, admitted: Admitted, known: RegistryPart) -> Missing | Awaits | Impossible:
    submitted = SubmissionReceived(
        submission_id=UUID(int=1), obligation=f"{AGENCY}/{REGIME}/{named}", agency=AGENCY, regime=REGIME,
        regime_version=admitted.regime_version, period=named, version=1, officer_id=OFFICER,
        received_at=now + timedelta(seconds=1), sha256="0" * 64,
    )  # fmt: skip
    return resolve(submitted, known, RULES)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_what_intake_admits_scoring_opens_or_defers(data: st.DataObject) -> None:
    now = data.draw(st.datetimes(datetime(2019, 1, 1), datetime(2037, 1, 1))).replace(tzinfo=LOCAL_ZONE)  # noqa: DTZ001
    versions, agency, request = data.draw(regimes()), data.draw(agencies), data.draw(requests())
    named = data.draw(periods(now, versions))
    admitted = judged(now, named, versions, agency, request)
    event("admitted" if admitted else "refused")
    if admitted is None:
        return
    for calendar in CALENDARS:
        found = followed(now, named, admitted, scoring_knows(versions, agency, request, calendar))
        event(type(found).__name__)
        match found:
            case Missing():
                plan = found.opening.plan
                assert plan.opens_at <= plan.remind_at <= plan.deadline  # as the table demands
                named_version = next(
                    version for version in versions if version.regime_version == admitted.regime_version
                )
                unplanned = named_version.deadline.rule == "on_request" and named_version.frequency != "adhoc"
                assert found.owed or agency.closed_on is not None or unplanned, "both say of whom it is asked"
            case Awaits(name):
                assert name.partition("/")[0] in ("calendar", "regime-record", "request-record")
            case Impossible(why):
                pytest.fail(why)


def test_the_control_without_the_rule_intake_admits_what_scoring_rejects(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 10, 5, 8, tzinfo=LOCAL_ZONE)
    old = RegimePublished(
        code=REGIME, regime_version=1, name="Báo cáo", frequency="monthly", effective_from=date(2010, 1, 1),
        submitter_kinds=("commune",), receiver="H99", deadline=Deadline(rule="day_of_month"), form=Form(), version=1,
    )  # fmt: skip
    agency = AgencyRegistered(code=AGENCY, name="Xã", kind="commune", opened_on=date(2000, 1, 1), version=1)
    request = RequestIssued(
        request_id="DX-1", regime=REGIME, title="Y", issued_at=now, deadline=now + timedelta(days=1), version=1
    )
    months = [f"{year}-M{month:02}" for year in range(2010, 2019) for month in range(1, 13)][:107]
    assert [month for month in months if judged(now, month, [old], agency, request)] == []
    monkeypatch.setattr(reporting_window, "FIRST_YEAR", 1900)
    monkeypatch.setattr(reporting_window, "BACK_DAYS", 100_000)
    known = scoring_knows([old], agency, request, CALENDARS[-1])
    taken = [(month, judged(now, month, [old], agency, request)) for month in months]
    rejected = [
        month for month, admitted in taken if admitted and isinstance(followed(now, month, admitted, known), Impossible)
    ]
    assert len(rejected) == 107


def test_the_first_year_lies_inside_every_calendar() -> None:
    assert all(calendar.first_year <= reporting_window.FIRST_YEAR for calendar in CALENDARS)


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (cutoff_ends(date(2026, 10, 14)) - timedelta(microseconds=1), "too_early"),
        (cutoff_ends(date(2026, 10, 14)), None),
        (cutoff_ends(date(2026, 10, 14) + timedelta(days=reporting_window.BACK_DAYS)) - timedelta(seconds=1), None),
        (cutoff_ends(date(2026, 10, 14) + timedelta(days=reporting_window.BACK_DAYS)), "too_old"),
    ],
)
def test_reports_are_taken_from_the_end_of_the_cut_off_and_for_some_years(now: datetime, why: str | None) -> None:
    assert outside(cutoff_ends(date(2026, 10, 14)), date(2026, 10, 14), now) == why


def test_a_version_of_another_frequency_governs_nothing_and_no_older_one_comes_back() -> None:
    monthly = RegimePublished(
        code=REGIME, regime_version=1, name="B", frequency="monthly", effective_from=date(2020, 1, 1),
        submitter_kinds=("commune",), receiver="H99", deadline=Deadline(rule="day_of_month"), form=Form(), version=1,
    )  # fmt: skip
    adhoc = monthly.model_copy(update={"regime_version": 2, "frequency": "adhoc", "effective_from": date(2026, 10, 1)})
    assert window_of([monthly, adhoc], period.parse("2026-M10")) == NoWindow("not_in_force")
    assert window_of([monthly, adhoc], period.parse("2026-M09")) == Window(
        monthly, date(2026, 8, 15), date(2026, 9, 14)
    )
    first = monthly.model_copy(update={"effective_from": date(2010, 1, 1)})
    assert window_of([first], period.parse("2019-M01")) == NoWindow("before_calendar")
    assert isinstance(window_of([first], period.parse("2019-M02")), Window)
