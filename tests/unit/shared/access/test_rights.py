"""Who may do what is held against an independent reading of docs/access.md, over principals of every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from functools import cache
from itertools import product
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.access import (
    RIGHTS,
    SCOPES,
    Office,
    Principal,
    Role,
    Scope,
    Term,
    delegated_by,
    may,
    may_anywhere,
    offices_over,
    reach_of,
)
from shared.access.rights import Tree, answers_for, at_or_below, keeps_silences, keeps_webhooks

PAGE = Path(__file__).resolve().parents[4] / "docs" / "access.md"
TODAY = date(2026, 11, 27)
CODES = ("H99", "H99.01", "H99.01.A", "H99.02", "K99")
REGIMES = ("KTXH", "NGANSACH")
REACHES = {
    "the agency": "agency",
    "the agency, while delegated": "agency",
    "the agency and those below it": "below",
    "everywhere": "everywhere",
}

May = Callable[[Principal, Scope, "str | None", Tree, date, str], bool]


@cache
def rows_of_the_page() -> dict[str, tuple[frozenset[str], str, bool]]:
    """role -> scopes, reach, and whether it needs a delegation, as the page says."""
    found = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0].startswith("`"):
            scopes = frozenset(word.strip().strip("`") for word in cells[2].split(","))
            found[cells[0].strip("`")] = (scopes, REACHES[cells[3]], "delegated" in cells[3])
    return found


def test_the_page_shows_the_table_of_the_code() -> None:
    assert {role: (right.scopes, right.reach, right.delegated) for role, right in RIGHTS.items()} == rows_of_the_page()
    assert set(RIGHTS) == set(get_args(Role))


def below(agency: str, tree: Tree) -> set[str]:
    """The agency and all whose chain of parents leads to it, built from the top."""
    found = {agency}
    while more := {code for code, parent in tree.items() if parent in found} - found:
        found |= more
    return found


def allowed(principal: Principal, scope: Scope, agency: str | None, tree: Tree, on: date, regime: str) -> bool:
    """The page, read again from the other side."""
    if scope not in principal.scopes:
        return False
    if principal.kind == "operator":
        return scope == "operate"
    if principal.kind == "agency":
        return scope in ("submit", "read") and agency == principal.agency
    return any(gives(office, scope, agency, tree, on, regime) for office in principal.offices)


def gives(office: Office, scope: Scope, agency: str | None, tree: Tree, on: date, regime: str) -> bool:
    if office.role not in rows_of_the_page():
        return False
    scopes, reach, delegated = rows_of_the_page()[office.role]
    covered = [term for term in (office.term, *office.delegation) if term.since <= on <= (term.until or date.max)]
    if scope not in scopes or office.term not in covered or (delegated and not set(covered) & set(office.delegation)):
        return False
    if reach == "everywhere":
        return True
    reached = {office.agency} if reach == "agency" else below(office.agency, tree)
    return agency in reached and (regime in office.regimes or not office.regimes)


days = st.integers(-3, 3).map(lambda shift: TODAY + timedelta(days=shift))
ALWAYS = Term(date.min)
terms = st.just(ALWAYS) | st.builds(Term, days, st.none() | days)
offices = st.builds(
    Office,
    role=st.sampled_from([*RIGHTS, "an_office_of_later"]),
    agency=st.sampled_from(CODES),
    term=terms,
    regimes=st.lists(st.sampled_from(REGIMES), max_size=2, unique=True).map(tuple),
    delegation=st.lists(terms, max_size=2).map(tuple),
)
scopes_of_keys = st.just(frozenset(SCOPES)) | st.frozensets(st.sampled_from(SCOPES))
agencies = st.sampled_from(CODES).flatmap(
    lambda code: st.builds(Principal, st.just("agency"), st.just(code), st.just(code), scopes_of_keys)
)
people = st.builds(
    Principal,
    st.just("person"),
    st.just("p1"),
    st.sampled_from(CODES),
    scopes_of_keys,
    st.lists(offices, max_size=3).map(tuple),
)
operators = st.builds(Principal, st.just("operator"), st.just("ops"), st.none(), scopes_of_keys)
#: every shape of parents, circles and agencies of their own included
trees = st.fixed_dictionaries({code: st.none() | st.sampled_from(CODES) for code in CODES})
questions = st.tuples(
    agencies | people | operators,
    st.sampled_from(SCOPES),
    st.none() | st.sampled_from(CODES),
    trees,
    days,
    st.sampled_from(["", *REGIMES]),
)


@given(questions)
def test_may_says_what_the_page_says(
    question: tuple[Principal, Scope, str | None, Tree, date, str],
) -> None:
    assert may(*question) == allowed(*question)
    principal, scope, _, _, on, _ = question
    assert may_anywhere(principal, scope, on) or not may(*question)


@given(people, st.sampled_from([scope for scope in SCOPES if scope != "operate"]), trees, days)
def test_what_is_reached_is_told_at_once_as_for_each_agency(
    person: Principal, scope: Scope, tree: Tree, on: date
) -> None:
    reached = reach_of(person, scope, tree, on)
    for agency, regime in product(CODES, ["", *REGIMES]):
        of_all = [office for office, agencies in reached if agency in agencies and office.concerns(regime)]
        assert of_all == offices_over(person, scope, agency, tree, on, regime)


def whole_key(rule: May) -> May:
    return lambda who, scope, *rest: rule(replace(who, scopes=frozenset(SCOPES)), scope, *rest)


def with_offices(change: Callable[[Office], Office]) -> May:
    def rule(who: Principal, scope: Scope, agency: str | None, tree: Tree, on: date, regime: str) -> bool:
        return may(replace(who, offices=tuple(map(change, who.offices))), scope, agency, tree, on, regime)

    return rule


ENDED = Term(date.min, TODAY - timedelta(days=1))
TREE = {"H99.01.A": "H99.01", "H99.01": "H99", "H99": None}
#: may() with one protection taken out
BROKEN: Mapping[str, May] = {
    "the key's scopes": whole_key(may),
    "the term": with_offices(lambda office: replace(office, term=ALWAYS)),
    "the regimes": with_offices(lambda office: replace(office, regimes=())),
    "the delegation": with_offices(lambda office: replace(office, delegation=(ALWAYS,))),
    "the agency": lambda who, scope, agency, *rest: may(who, scope, who.agency, *rest),
    "the tree": lambda who, scope, agency, tree, *rest: may(who, scope, agency, dict.fromkeys(tree), *rest),
}


def every_question() -> Iterator[tuple[Principal, Scope, str | None, Tree, date, str]]:
    """A person with each kind of office, and the other two kinds of principals, with each question about them."""
    held = [
        Office(*office)
        for office in product(
            [*RIGHTS, "an_office_of_later"], CODES[:3], [ALWAYS, ENDED], [(), REGIMES[:1]], [(), (ALWAYS,), (ENDED,)]
        )
    ]
    for scopes in (frozenset(SCOPES), frozenset[Scope]({"read"})):
        asking = [Principal("person", "p1", "H99.01", scopes, (office,)) for office in held]
        asking += [Principal("agency", "H99.01", "H99.01", scopes), Principal("operator", "ops", None, scopes)]
        yield from product(asking, SCOPES, [None, *CODES[:3]], [TREE], [TODAY], ["", *REGIMES])


def test_may_says_what_the_page_says_of_every_kind_of_office() -> None:
    assert [asked for asked in every_question() if may(*asked) != allowed(*asked)] == []


@pytest.mark.parametrize("protection", BROKEN)
def test_a_rule_without_one_of_its_protections_is_noticed(protection: str) -> None:
    """Negative control."""
    broken = BROKEN[protection]
    assert any(broken(*asked) != allowed(*asked) for asked in every_question())


def test_a_delegation_ends_with_the_office_of_the_head_who_gave_it() -> None:
    deputy = Office("deputy", "H99.01", Term(TODAY - timedelta(days=9), TODAY + timedelta(days=9)))
    until_yesterday = Office("head", "H99.01", Term(date(2026, 1, 1), TODAY - timedelta(days=1)))
    elsewhere = Office("head", "H99.02", Term(date(2026, 1, 1)))
    person = Principal(
        "person", "p1", "H99.01", frozenset(SCOPES), (delegated_by(deputy, [until_yesterday, elsewhere]),)
    )
    assert may(person, "submit", "H99.01", {}, TODAY - timedelta(days=1))
    assert not may(person, "submit", "H99.01", {}, TODAY)


@pytest.mark.parametrize("acting", ["submit", "review", "administer"])
def test_a_key_acts_by_the_offices_whose_scope_it_has(acting: Scope) -> None:
    """A head who reviews too does not approve with a key made to submit."""
    held = tuple(Office(role, "H99.01", ALWAYS) for role in ("head", "reviewer", "administrator"))
    gives: dict[Scope, Role] = {"submit": "head", "review": "reviewer", "administer": "administrator"}
    few = Principal("person", "p1", "H99.01", frozenset[Scope]({"read", acting}), held)
    for scope in gives:
        offices = offices_over(few, scope, "H99.01", TREE, TODAY)
        assert [office.role for office in offices] == ([gives[scope]] if scope == acting else [])
    whole = replace(few, scopes=frozenset(SCOPES))
    assert [len(offices_over(whole, scope, "H99.01", TREE, TODAY)) for scope in gives] == [1, 1, 1], "the control"


@pytest.mark.parametrize(
    ("role", "scope", "agency", "allowed"),
    [
        ("administrator", "administer", "H99.01.A", True),
        ("administrator", "administer", "H99.02", False),
        ("administrator", "administer", None, False),
        ("administrator", "read", "H99.01", False),
        ("reviewer", "review", "H99.01", False),
        ("operator", "operate", None, True),
        ("operator", "operate", "H99.02", True),
    ],
)
def test_silences_are_kept_by_operators_for_all_and_by_administrators_within_reach(
    role: Role, scope: Scope, agency: str | None, allowed: bool
) -> None:
    tree = {"H99": None, "H99.01": "H99", "H99.01.A": "H99.01", "H99.02": "H99"}
    office = Office(role, "H99.01", Term(TODAY))
    principal = Principal("person", "p", "H99.01", frozenset({scope}), (office,))
    assert keeps_silences(principal, agency, tree, TODAY) is allowed


@pytest.mark.parametrize(
    ("principal", "allowed"),
    [
        (Principal("person", "p", "H99.01", frozenset({"submit"}), (Office("head", "H99.01", Term(TODAY)),)), True),
        (Principal("person", "p", "H99", frozenset({"review"}), (Office("chair", "H99", Term(TODAY)),)), True),
        (Principal("person", "p", "H99.01", frozenset({"read"}), (Office("head", "H99.01", Term(TODAY)),)), False),
        (Principal("person", "p", "H99.01", frozenset({"submit"})), False),
        (Principal("person", "q", "H99.01", frozenset({"submit"}), (Office("head", "H99.01", Term(TODAY)),)), False),
        (Principal("agency", "H99.01", "H99.01", frozenset({"submit"})), True),
        (Principal("agency", "H99.01", "H99.01", frozenset({"read"})), False),
        (Principal("agency", "H99.02", "H99.02", frozenset({"submit"})), False),
        (Principal("operator", "p", None, frozenset({"operate"})), False),
    ],
)
def test_a_notice_is_answered_by_its_person_in_office_and_the_agencys_system(
    principal: Principal, allowed: bool
) -> None:
    assert answers_for(principal, "p", "H99.01", TODAY) is allowed


@pytest.mark.parametrize(
    ("role", "scope", "agency", "own", "those_below"),
    [
        ("head", "submit", "H99.01", True, False),
        ("head", "submit", "H99.01.A", False, False),
        ("head", "read", "H99.01", False, False),
        ("reviewer", "review", "H99.01", False, True),
        ("reviewer", "review", "H99.01.A", False, True),
        ("reviewer", "review", "H99.02", False, False),
        ("administrator", "administer", "H99.01.A", True, True),
        ("administrator", "administer", "H99.02", False, False),
        ("operator", "operate", "H99.02", True, True),
        ("operator", "read", "H99.02", False, False),
    ],
)
def test_webhooks_are_kept_by_who_sends_those_about_others_by_who_reviews_and_all_by_who_administers(
    role: Role, scope: Scope, agency: str, own: bool, those_below: bool
) -> None:
    tree = {"H99": None, "H99.01": "H99", "H99.01.A": "H99.01", "H99.02": "H99"}
    for until, gives in ((None, True), (TODAY - timedelta(days=1), False)):
        office = Office(role, "H99.01", Term(TODAY - timedelta(days=9), until))
        principal = Principal("person", "p", "H99.01", frozenset({scope}), (office,))
        assert keeps_webhooks(principal, agency, tree, TODAY) is (own and gives)
        assert keeps_webhooks(principal, agency, tree, TODAY, below=True) is (those_below and gives)
    system = Principal("agency", "H99.01", "H99.01", frozenset({"submit", "read"}))
    assert keeps_webhooks(system, agency, tree, TODAY) is (agency == "H99.01")
    assert not keeps_webhooks(system, agency, tree, TODAY, below=True)


def test_an_agency_is_at_or_below_itself_and_all_above_it() -> None:
    found = {(agency, above) for agency in TREE for above in TREE if at_or_below(agency, above, TREE)}
    assert found == {
        *((agency, agency) for agency in TREE), ("H99.01", "H99"), ("H99.01.A", "H99.01"), ("H99.01.A", "H99"),
    }  # fmt: skip
