"""E-mail as a channel."""

from __future__ import annotations

from services.notifier import metrics
from services.notifier.channels.email.smtp import Connection, Server
from services.notifier.channels.seam import Channel, Composes
from services.notifier.ladders.domain import EMAIL


def email_channel(composer: Composes, server: Server, connections: int) -> Channel:
    return Channel(EMAIL, [Connection(server) for _ in range(connections)], composer, metrics.MAILS)
