"""Whose webhooks a caller keeps: of the own agency who sends its reports, of those within reach who administers.

Those that hear of the agencies below are kept by who reviews or administers there and below.
"""

from __future__ import annotations

from services.intake.administration.reach import Reach
from shared.access import Scope, may
from shared.access.rights import keeps_webhooks, reach_of
from shared.contract.events.registry import WebhookCovers


def keeps(reach: Reach, agency: str, covers: WebhookCovers) -> bool:
    """Whether the caller keeps this agency's webhooks of this kind."""
    registry = reach.registry
    return agency in registry.agencies and keeps_webhooks(
        reach.principal, agency, registry.tree(reach.today), reach.today, below=covers == "below"
    )


def kept_by(reach: Reach, covers: WebhookCovers) -> frozenset[str] | None:
    """The agencies whose webhooks of this kind the caller keeps; None: all."""
    if reach.everywhere:
        return None
    tree = reach.registry.tree(reach.today)
    own = reach.principal.agency
    sends = covers == "own" and own is not None and may(reach.principal, "submit", own, tree, reach.today)
    found = frozenset({own}) if own is not None and sends else frozenset[str]()
    scopes: tuple[Scope, ...] = ("administer",) if covers == "own" else ("administer", "review")
    reached = (codes for scope in scopes for _, codes in reach_of(reach.principal, scope, tree, reach.today))
    return found.union(*reached)
