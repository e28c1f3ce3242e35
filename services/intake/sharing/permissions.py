"""Which reports an agency may read of others: by the permissions of the registry that are in force on the day. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from shared.access import at_or_below
from shared.access.rights import Tree
from shared.contract.events import SharingGranted


def in_force(sharings: Iterable[SharingGranted], reader: str, today: date) -> list[SharingGranted]:
    """The reader's permissions of today, by id."""
    held = (
        sharing
        for sharing in sharings
        if sharing.reader == reader and sharing.since <= today and (sharing.until is None or today <= sharing.until)
    )
    return sorted(held, key=lambda sharing: sharing.sharing_id)


def covers(sharings: Iterable[SharingGranted], agency: str, regime: str, tree: Tree) -> bool:
    """Whether one of the permissions lets the agency's reports under the regime be read."""
    return any(sharing.regime == regime and _of(sharing, agency, tree) for sharing in sharings)


def _of(sharing: SharingGranted, agency: str, tree: Tree) -> bool:
    if sharing.below is not None:
        return at_or_below(agency, sharing.below, tree)
    return not sharing.agencies or agency in sharing.agencies
