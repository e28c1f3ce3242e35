"""A principal is who presents a key: an agency's system, a person with offices, or an operator. Pure.

A key says only who its owner is and which scopes the key has. What a person may do follows from the offices.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Literal, get_args

from msgspec import Struct
from msgspec.structs import replace

Scope = Literal["submit", "read", "review", "administer", "operate"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

#: issuer: a service that people sign in to; its key signs tokens that name a person (shared/web/tokens.py), and opens
#: nothing by itself
PrincipalKind = Literal["agency", "person", "operator", "issuer"]

#: reporting officer (cán bộ đầu mối), head (thủ trưởng), deputy (cấp phó), reviewer (người duyệt), provincial office
#: (Văn phòng UBND), chair (Chủ tịch UBND), administrator (quản trị hệ thống), operator (người vận hành)
Role = Literal[
    "reporting_officer", "head", "deputy", "reviewer", "provincial_office", "chair", "administrator", "operator"
]


class Term(Struct, frozen=True):
    """Days from the first to the last, both included; without a last day it is open."""

    since: date
    until: date | None = None

    def covers(self, on: date) -> bool:
        return self.since <= on and (self.until is None or on <= self.until)


class Office(Struct, frozen=True):
    """An office (chức vụ, nhiệm vụ) that a person holds at an agency."""

    role: str  # a Role; one that this version does not know gives no right
    agency: str
    term: Term
    regimes: tuple[str, ...] = ()  # empty: all regimes
    #: of a deputy: the terms of the head who delegates, within which the delegation is in force
    delegation: tuple[Term, ...] = ()

    def concerns(self, regime: str) -> bool:
        """Whether the office covers this regime; an office for some regimes does not cover a question about all."""
        return not self.regimes or regime in self.regimes


class Principal(Struct, frozen=True):
    """Whose key it is: `id` is the agency's code, the person's id or the operator's name."""

    kind: PrincipalKind
    id: str
    agency: str | None  # None: an operator without one
    scopes: frozenset[Scope]
    offices: tuple[Office, ...] = ()


def delegated_by(office: Office, head: Iterable[Office]) -> Office:
    """The deputy's office with the delegation of a head, who has these offices.

    A delegation ends with the office of the head who gave it.
    """
    terms = tuple(given.term for given in head if given.role == "head" and given.agency == office.agency)
    return replace(office, delegation=terms)


def duty_of(role: str, agency: str, regimes: Iterable[str]) -> Office:
    """The office for which the record of an officer on duty stands; it lasts while the record says active.

    A head's rights cover the whole agency, whichever regimes the record designates him for.
    """
    return Office(role, agency, Term(date.min), () if role == "head" else tuple(regimes))
