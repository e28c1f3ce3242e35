"""Of what agencies handed on when they closed, each duty is owed once; anything else is a difference."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from msgspec.structs import replace

from deploy.reconcile.reference import Reference
from deploy.reconcile.transfers import Duties
from services.scoring.obligations.domain import Obligation
from services.scoring.obligations.facts import NOTHING
from services.scoring.obligations.standing import untouched
from services.scoring.registry import Closing
from tests.unit.scoring.samples import TERMS

CLOSED, HEIR, LAST = "H99.31", "H99.05", "H99.06"
CLOSING = date(2026, 10, 10)
TO_HEIR, TO_LAST = Closing(CLOSING, HEIR), Closing(CLOSING, LAST)


def duty(agency: str, *, answered: bool = False, **terms: Any) -> Obligation:
    made = replace(TERMS, **terms)
    state = replace(untouched(made), answer=1 if answered else None)
    return Obligation(f"{agency}/R/2026-M10", 1, made, NOTHING, state)


def handed_on(agency: str = CLOSED, heir: str = HEIR, **terms: Any) -> Obligation:
    return duty(agency, owed=False, heir=heir, **terms)


def inherited(agency: str = HEIR, origins: tuple[str, ...] = (CLOSED,), **more: Any) -> Obligation:
    return duty(agency, origins=origins, **more)


def said(closings: dict[str, Closing], *obligations: Obligation) -> list[tuple[str, str]]:
    """(key, column) of each difference."""
    duties = Duties(Reference({}, {}, {}, [], closings=closings))
    for obligation in obligations:
        duties.seen(obligation)
    return [(difference.key, difference.column) for difference in duties.compare()]


BOTH = f"{CLOSED}/R/2026-M10 {HEIR}/R/2026-M10"


@pytest.mark.parametrize(
    ("closings", "obligations"),
    [
        ({CLOSED: TO_HEIR}, [handed_on(), inherited()]),
        ({CLOSED: TO_HEIR}, [handed_on(), duty(HEIR)]),
        ({CLOSED: TO_HEIR, HEIR: TO_LAST}, [handed_on(), handed_on(HEIR, LAST, origins=(CLOSED,)), inherited(LAST)]),
        ({CLOSED: TO_HEIR, LAST: TO_HEIR}, [handed_on(), handed_on(LAST), inherited(origins=(LAST, CLOSED))]),
        ({CLOSED: TO_HEIR, HEIR: Closing(CLOSING, None)}, [handed_on(), inherited(owed=False)]),
        ({}, [handed_on(), inherited(answered=True)]),  # it lives on; who has answered keeps it
        ({CLOSED: TO_HEIR}, [duty(HEIR), duty(LAST)]),
        # given back through an heir that had closed too
        ({HEIR: TO_LAST}, [duty(CLOSED), handed_on(HEIR, LAST, origins=(CLOSED,)), duty(LAST, owed=False)]),
    ],
    ids=["inherited", "its own", "through two", "of two", "withdrawn then", "answered", "neither", "given back"],
)
def test_a_duty_that_is_owed_once_is_no_difference(closings: dict[str, Closing], obligations: list[Obligation]) -> None:
    assert said(closings, *obligations) == []
    assert said(closings, *reversed(obligations)) == []


@pytest.mark.parametrize(
    ("closings", "obligations", "found"),
    [
        ({CLOSED: TO_HEIR}, [handed_on()], [(BOTH, "")]),
        ({CLOSED: TO_HEIR}, [handed_on(), inherited(owed=False)], [(BOTH, "terms.owed")]),
        ({CLOSED: TO_HEIR}, [replace(handed_on(), terms=replace(handed_on().terms, owed=True)), inherited()],
         [(BOTH, "terms.owed")]),
        ({CLOSED: TO_LAST}, [handed_on(), inherited()], [(BOTH, "terms.heir")]),
        ({}, [handed_on(), inherited()], [(BOTH, "terms.heir")]),
        ({CLOSED: TO_HEIR}, [handed_on(), inherited(origins=("H99.77",))],
         [(BOTH, "terms.origins"), (f"{HEIR}/R/2026-M10 H99.77/R/2026-M10", "terms.origins")]),
        ({CLOSED: TO_HEIR}, [inherited()], [(f"{HEIR}/R/2026-M10 {CLOSED}/R/2026-M10", "terms.origins")]),
        # opened only after the closing: it falls
        ({CLOSED: Closing(date(2026, 9, 14), HEIR)}, [handed_on(), inherited()], [(BOTH, "terms.heir")]),
    ],
    ids=["nobody", "not owed", "twice", "another", "lives on", "another's", "from nowhere", "opened later"],
)  # fmt: skip
def test_a_duty_that_nobody_owes_or_two_do_is_named(
    closings: dict[str, Closing], obligations: list[Obligation], found: list[tuple[str, str]]
) -> None:
    assert sorted(said(closings, *obligations)) == sorted(found)
