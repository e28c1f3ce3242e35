"""Whose webhooks a caller keeps: of the own agency who sends its reports, of those within reach who administers."""

from __future__ import annotations

from services.intake.administration.reach import Reach
from shared.access import may
from shared.access.rights import reach_of


def keeps(reach: Reach, agency: str) -> bool:
    """Whether the caller keeps this agency's webhooks."""
    if agency not in reach.registry.agencies:
        return False
    return reach.covers(agency) or _sends_for(reach, agency)


def kept_by(reach: Reach) -> frozenset[str] | None:
    """The agencies whose webhooks the caller keeps; None: all."""
    if reach.everywhere:
        return None
    tree = reach.registry.tree(reach.today)
    own = reach.principal.agency
    found = frozenset({own}) if own is not None and _sends_for(reach, own) else frozenset[str]()
    return found.union(*(codes for _, codes in reach_of(reach.principal, "administer", tree, reach.today)))


def _sends_for(reach: Reach, agency: str) -> bool:
    return may(reach.principal, "submit", agency, reach.registry.tree(reach.today), reach.today)
