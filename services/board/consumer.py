"""The Kafka edge: each topic by itself, so that trouble with one keeps nothing of the others from the pages."""

from __future__ import annotations

from collections.abc import Sequence

from services.board import tables
from services.board.readmodel.handlers import follow
from shared.consuming.applying import Inbound
from shared.projection.keyring import access_copy


def inbounds() -> Sequence[Inbound]:
    """The board's subscriptions."""
    return (
        Inbound.of("board.registry", follow),
        Inbound.of("board.submissions", follow),
        Inbound.of("board.verdicts", follow),
        Inbound.of("board.compliance", follow),
        Inbound.of("board.notifications", follow),
        Inbound.of("board.access", access_copy(tables.metadata)),
    )
