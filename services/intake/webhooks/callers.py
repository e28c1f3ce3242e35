"""Whose webhooks a caller keeps: of the own agency who sends its reports, of those within reach who administers."""

from __future__ import annotations

from services.intake.administration.reach import Reach
from shared.access import may
from shared.access.rights import keeps_webhooks, reach_of


def keeps(reach: Reach, agency: str) -> bool:
    """Whether the caller keeps this agency's webhooks."""
    registry = reach.registry
    return agency in registry.agencies and keeps_webhooks(
        reach.principal, agency, registry.tree(reach.today), reach.today
    )


def kept_by(reach: Reach) -> frozenset[str] | None:
    """The agencies whose webhooks the caller keeps; None: all."""
    if reach.everywhere:
        return None
    tree = reach.registry.tree(reach.today)
    own = reach.principal.agency
    sends = own is not None and may(reach.principal, "submit", own, tree, reach.today)
    found = frozenset({own}) if own is not None and sends else frozenset[str]()
    return found.union(*(codes for _, codes in reach_of(reach.principal, "administer", tree, reach.today)))
