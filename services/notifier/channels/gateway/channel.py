"""A gateway as a channel."""

from __future__ import annotations

from services.notifier import metrics
from services.notifier.channels.gateway.file import Gateway
from services.notifier.channels.gateway.http import GatewayConnection, Line
from services.notifier.channels.gateway.texts import TextComposer
from services.notifier.channels.seam import Channel
from services.notifier.channels.webhook.post import Resolve
from shared.runtime.clock import Clock

#: texts of one process on their way at the same time
AT_ONCE = 4


def gateway_channel(gateway: Gateway, system: Clock, *, resolve: Resolve | None = None) -> Channel:
    """The channel of a gateway. Raises OSError where the file of its authorities cannot be read."""
    line = Line(gateway, system, resolve=resolve)
    limits = gateway.part.limits
    return Channel(
        gateway.channel,
        [GatewayConnection(line) for _ in range(AT_ONCE)],
        TextComposer(gateway.part.alphabet, limits.parts),
        metrics.GatewayWatch(gateway.channel),
        a_day=limits.a_day,
        needed=False,  # whom a gateway does not reach is told by the rung's other channels
    )
