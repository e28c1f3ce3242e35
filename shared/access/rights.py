"""Decides who may do what. Pure: every service asks `may`, and nothing else decides.

`RIGHTS` is the table of docs/access.md. A right needs the scope twice: on the key, and from an office in force.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import Literal

from msgspec import Struct

from shared.access.principals import Office, Principal, Scope

#: how far an office reaches: its own agency, the agencies below it too, or everywhere
Reach = Literal["agency", "below", "everywhere"]
#: agency -> the agency above it, on the day that is asked about
Tree = Mapping[str, str | None]


class Right(Struct, frozen=True):
    """What a role gives."""

    scopes: frozenset[Scope]
    reach: Reach
    delegated: bool = False  # only while a delegation is in force


def _right(reach: Reach, *scopes: Scope, delegated: bool = False) -> Right:
    return Right(frozenset(scopes), reach, delegated)


#: by Role; an unknown one gives nothing
RIGHTS: Mapping[str, Right] = {
    "reporting_officer": _right("agency", "submit", "read"),
    "head": _right("agency", "submit", "read"),
    "deputy": _right("agency", "submit", "read", delegated=True),
    "reviewer": _right("below", "read", "review"),
    "provincial_office": _right("below", "read", "review"),
    "chair": _right("below", "read", "review"),
    "administrator": _right("below", "read", "administer"),
    "operator": _right("everywhere", "operate"),
}
#: in which roles people approve waivers
APPROVERS: frozenset[str] = frozenset({"provincial_office", "chair", "administrator"})
#: what the key of an agency's system may do, for the agency itself alone
OF_AGENCIES: frozenset[Scope] = frozenset({"submit", "read"})
#: what an operator's key may do, everywhere
OF_OPERATORS: frozenset[Scope] = frozenset({"operate"})
#: what a token that names a person may be used for at most: nobody operates from a page
BY_TOKENS: frozenset[Scope] = frozenset({"submit", "read", "review", "administer"})


def may(principal: Principal, scope: Scope, agency: str | None, tree: Tree, on: date, regime: str = "") -> bool:
    """Whether the principal may do this for the agency on that day.

    agency: None where the thing belongs to no agency, so only an operator may. regime: empty where the question is
    not about a single one.
    """
    if scope not in principal.scopes:
        return False
    match principal.kind:
        case "operator":
            return scope in OF_OPERATORS
        case "agency":
            return scope in OF_AGENCIES and agency is not None and agency == principal.agency
        case "person":
            return bool(offices_over(principal, scope, agency, tree, on, regime))
        case "issuer":
            return False


def keeps_webhooks(principal: Principal, agency: str, tree: Tree, on: date, *, below: bool = False) -> bool:
    """Whether the principal keeps the agency's webhooks: an operator all, who administers those within reach, the
    agency's system, and its people who send under every regime, its own.

    below: those that hear of the agencies below it too. Who sends for an agency alone keeps none of these; who reviews
    there and below does.
    """
    other = may(principal, "review" if below else "submit", agency, tree, on)
    return may(principal, "operate", None, {}, on) or may(principal, "administer", agency, tree, on) or other


def keeps_silences(principal: Principal, agency: str | None, tree: Tree, on: date) -> bool:
    """Whether the principal may keep back notices about the agency's reports: an operator those about anyone's, who
    administers those within reach. agency: None where the silence is for all.
    """
    reached = agency is not None and may(principal, "administer", agency, tree, on)
    return may(principal, "operate", None, {}, on) or reached


def answers_for(principal: Principal, person: str, agency: str, on: date) -> bool:
    """Whether the principal answers a notice made out to this person of this agency: the person, while in an office
    that submits or reviews, and the agency's own system.
    """
    if principal.kind == "agency":
        return may(principal, "submit", agency, {}, on)
    in_office = may_anywhere(principal, "submit", on) or may_anywhere(principal, "review", on)
    return principal.kind == "person" and principal.id == person and in_office


def decides_waivers(principal: Principal, agencies: Collection[str], regime: str, tree: Tree, on: date) -> bool:
    """Whether the principal may decide a waiver for all these agencies; nobody does who asked for it."""
    scopes: tuple[Scope, ...] = ("review", "administer")
    return all(
        any(
            office.role in APPROVERS
            for scope in scopes
            for office in offices_over(principal, scope, agency, tree, on, regime)
        )
        for agency in agencies
    )


def may_anywhere(principal: Principal, scope: Scope, on: date) -> bool:
    """Whether there is an agency and a regime for which the principal may do this on that day."""
    if scope not in principal.scopes:
        return False
    match principal.kind:
        case "operator":
            return scope in OF_OPERATORS
        case "agency":
            return scope in OF_AGENCIES
        case "person":
            return any(scope in right.scopes for right, _ in _in_force(principal, on))
        case "issuer":
            return False


def offices_over(
    principal: Principal, scope: Scope, agency: str | None, tree: Tree, on: date, regime: str = ""
) -> list[Office]:
    """The person's offices by which the principal may do this; none where the key lacks the scope."""
    if scope not in principal.scopes:
        return []
    return [office for right, office in _held(principal, agency, tree, on, regime) if scope in right.scopes]


def at_or_below(agency: str, above: str, tree: Tree) -> bool:
    """Whether the agency is this one, or lies below it."""
    return above in _chain(agency, tree)


def reach_of(principal: Principal, scope: Scope, tree: Tree, on: date) -> list[tuple[Office, frozenset[str]]]:
    """The person's offices that give this scope, each with all agencies that it reaches: what `offices_over` says of
    each agency, told at once.
    """
    if scope not in principal.scopes:
        return []
    found = []
    for right, office in _in_force(principal, on):
        if scope in right.scopes and right.reach != "everywhere":
            below = (code for code in tree if right.reach == "below" and office.agency in _chain(code, tree))
            found.append((office, frozenset({office.agency, *below})))
    return found


def _held(
    principal: Principal, agency: str | None, tree: Tree, on: date, regime: str
) -> Iterator[tuple[Right, Office]]:
    above = list(_chain(agency, tree))
    for right, office in _in_force(principal, on):
        reached = above[:1] if right.reach == "agency" else above
        if right.reach == "everywhere" or (office.agency in reached and office.concerns(regime)):
            yield right, office


def _in_force(principal: Principal, on: date) -> Iterator[tuple[Right, Office]]:
    for office in principal.offices:
        right = RIGHTS.get(office.role)
        if right is None or not office.term.covers(on):
            continue
        if not right.delegated or any(term.covers(on) for term in office.delegation):
            yield right, office


def _chain(agency: str | None, tree: Tree) -> Iterator[str]:
    """The agency and those above it, nearest first; parents that form a circle end it."""
    seen: set[str] = set()
    while agency is not None and agency not in seen:
        seen.add(agency)
        yield agency
        agency = tree.get(agency)
