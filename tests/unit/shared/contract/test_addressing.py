"""Of which agencies a report is asked, and which of them owe it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.addressing import addresses, asked, closed_before, owes, submits

CLOSING, DUE = date(2026, 10, 14), date(2026, 10, 19)


@dataclass(frozen=True)
class Agency:
    code: str = "H99.31"
    kind: str = "commune"
    opened_on: date = date(2025, 7, 1)
    closed_on: date | None = None


@dataclass(frozen=True)
class Submitters:
    submitter_kinds: tuple[str, ...] = ("commune",)
    submitters: tuple[str, ...] = ("H99.01",)
    submitters_except: tuple[str, ...] = ()


def test_a_submitter_is_named_by_its_kind_or_by_its_code() -> None:
    assert submits(Agency(), Submitters())
    assert submits(Agency("H99.01", "department"), Submitters())
    assert not submits(Agency("H99.02", "department"), Submitters())


def test_an_exception_is_no_submitter_by_its_kind() -> None:
    excepting = Submitters(submitters_except=("H99.31",))
    assert not submits(Agency(), excepting)
    assert submits(Agency("H99.32"), excepting)
    assert asked(Agency(), excepting, ("H99.31",)), "a request may still name it"


def test_a_request_that_names_agencies_asks_those_alone_submitters_or_not() -> None:
    assert not asked(Agency(), Submitters(), ("H99.02",))
    assert asked(Agency("H99.02", "department"), Submitters(), ("H99.02",))
    assert asked(Agency(), Submitters(), ())
    assert [addresses((), "A"), addresses(("A",), "A"), addresses(("B",), "A")] == [True, True, False]


@pytest.mark.parametrize(
    ("opened_on", "closed_on", "owed"),
    [
        (CLOSING, None, True), (CLOSING + timedelta(days=1), None, False), (CLOSING, DUE, True),
        (CLOSING, DUE - timedelta(days=1), False),
    ],
)  # fmt: skip
def test_an_agency_owes_that_exists_when_figures_close_and_when_the_report_is_due(
    opened_on: date, closed_on: date | None, owed: bool
) -> None:
    agency = Agency(opened_on=opened_on, closed_on=closed_on)
    assert owes(agency, Submitters(), exists_from=CLOSING, due_on=DUE) is owed


def test_the_last_day_is_a_day_on_which_it_exists() -> None:
    assert not closed_before(Agency(closed_on=DUE), DUE)
    assert closed_before(Agency(closed_on=DUE), DUE + timedelta(days=1))
    assert not closed_before(Agency(), date.max)


_codes = st.sampled_from(("H99.01", "H99.02", "H99.03"))
_kinds = st.sampled_from(("commune", "department"))
_days = st.dates(CLOSING - timedelta(days=2), DUE + timedelta(days=2))


@given(
    st.builds(Agency, _codes, _kinds, _days, st.none() | _days),
    st.builds(Submitters, st.lists(_kinds).map(tuple), st.lists(_codes).map(tuple), st.lists(_codes).map(tuple)),
    st.lists(_codes),
)
def test_nobody_owes_what_is_not_asked_and_a_request_reaches_whom_it_asks(
    agency: Agency, regime: Submitters, addressed: list[str]
) -> None:
    if owes(agency, regime, addressed, exists_from=CLOSING, due_on=DUE):
        assert asked(agency, regime, addressed)
    if addressed and asked(agency, regime, addressed):
        assert addresses(addressed, agency.code)
