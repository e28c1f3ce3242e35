"""Of which agencies a report is asked, and which of them owe it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.addressing import addresses, asked, closed_before, override_of, owes, submits
from shared.contract.events.registry import LaterParent
from shared.contract.hierarchy import NOBODY_ABOVE, Parents, ParentSince, Tree, parents_of

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
    submitter_parents: tuple[str, ...] = ()


def test_a_submitter_is_named_by_its_kind_or_by_its_code() -> None:
    assert submits(Agency(), Submitters(), ())
    assert submits(Agency("H99.01", "department"), Submitters(), ())
    assert not submits(Agency("H99.02", "department"), Submitters(), ())


def test_an_exception_is_no_submitter_by_its_kind() -> None:
    excepting = Submitters(submitters_except=("H99.31",))
    assert not submits(Agency(), excepting, ())
    assert submits(Agency("H99.32"), excepting, ())
    assert asked(Agency(), excepting, ("H99.31",), ()), "a request may still name it"


def test_a_group_is_of_one_of_the_kinds_and_below_one_of_the_parents() -> None:
    below = Submitters((), (), (), ("H99.02", "H99.05"))
    assert submits(Agency(), below, ("H99.02", "H99"))
    assert not submits(Agency(), below, ("H99",)), "not below it"
    assert not submits(Agency("H99.02"), below, ("H99",)), "the parent is not below itself"
    communes = Submitters(("commune",), (), (), ("H99.02",))
    assert submits(Agency(), communes, ("H99.02",))
    assert not submits(Agency(kind="office"), communes, ("H99.02",)), "of another kind"
    assert not submits(Agency(), communes, ("H99.05",)), "of the kind, but elsewhere"
    excepting = Submitters((), ("H99.01",), ("H99.31",), ("H99.02",))
    assert not submits(Agency(), excepting, ("H99.02",))
    assert submits(Agency("H99.01", "department"), excepting, ()), "by its code, wherever it is"
    assert not submits(Agency(), Submitters((), ()), ("H99",)), "who asks for nothing asks nobody"


@dataclass(frozen=True)
class Override:
    agencies: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()


def test_the_most_specific_override_holds() -> None:
    overrides = (
        Override(kinds=("commune",)), Override(parents=("H99",)), Override(parents=("H99.02",)),
        Override(agencies=("H99.31",)),
    )  # fmt: skip
    assert override_of(Agency(), overrides, ("H99.02", "H99")) == 4
    assert override_of(Agency("H99.32"), overrides, ("H99.02", "H99")) == 3, "the nearer parent"
    assert override_of(Agency("H99.32"), overrides, ("H99.05", "H99")) == 2
    assert override_of(Agency("H99.32"), overrides, ("H98",)) == 1
    assert override_of(Agency("H99.32", "ward"), overrides, ("H98",)) == 0
    assert override_of(Agency(), (), ("H99",)) == 0


MOVES = {
    "H99.31": Parents("H99.02", (ParentSince(date(2026, 10, 15), "H99.05"),)),
    "H99.02": Parents("H99"),
    "H99.05": Parents("H98"),
    "H99": Parents(None),
}


@pytest.mark.parametrize(("closing", "owed"), [(date(2026, 10, 14), True), (date(2026, 10, 15), False)])
def test_who_stood_above_on_the_cut_offs_last_day_decides(closing: date, owed: bool) -> None:
    below = Submitters((), (), (), ("H99",))
    due = closing + timedelta(days=5)
    assert owes(Agency(), below, (), Tree(MOVES), exists_from=closing, due_on=due) is owed
    assert Tree(MOVES).above("H99.31", closing) == (("H99.02", "H99") if owed else ("H99.05", "H98"))


def test_a_circle_or_an_unknown_agency_ends_the_way_up() -> None:
    circle = Tree({"A": Parents("B"), "B": Parents("C"), "C": Parents("B")})
    assert circle.above("A", CLOSING) == ("B", "C")
    assert circle.ever_above("A") == {"B", "C"}
    assert Tree({"A": Parents("X")}).above("A", CLOSING) == ("X",)
    assert Tree({}).above("A", CLOSING) == ()
    assert Tree(MOVES).ever_above("H99.31") == {"H99.02", "H99.05", "H99", "H98"}


def test_a_request_that_names_agencies_asks_those_alone_submitters_or_not() -> None:
    assert not asked(Agency(), Submitters(), ("H99.02",), ())
    assert asked(Agency("H99.02", "department"), Submitters(), ("H99.02",), ())
    assert asked(Agency(), Submitters(), (), ())
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
    assert owes(agency, Submitters(), (), Tree({}), exists_from=CLOSING, due_on=DUE) is owed


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
    if owes(agency, regime, addressed, Tree({}), exists_from=CLOSING, due_on=DUE):
        assert asked(agency, regime, addressed, ())
    if addressed and asked(agency, regime, addressed, ()):
        assert addresses(addressed, agency.code)


def test_a_records_parents_are_read_with_their_days() -> None:
    later = (LaterParent(code="H99.05", since=date(2027, 1, 1)), LaterParent(code="H99.06", since=date(2028, 1, 1)))
    found = parents_of("H99.02", later)
    assert [found.on(date(year, 6, 1)) for year in (2026, 2027, 2028)] == ["H99.02", "H99.05", "H99.06"]
    assert [*found.ever()] == ["H99.02", "H99.05", "H99.06"]
    assert parents_of(None, ()) == NOBODY_ABOVE
