"""What a channel is to the dispatcher: connections with four functions, letters composed for it, and who watches it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.notifier.delivery.backlog import Backlog
from services.notifier.delivery.ledger import ClaimedMail
from services.notifier.delivery.states import SendResult


class Outage(Exception):
    """The channel cannot be used now: refused, silent, TLS or login failed, or it rests. The dispatcher waits."""


class Connection(Protocol):
    """Carries one message at a time."""

    @property
    def is_open(self) -> bool:
        """Whether it looks usable; until one of a channel's does, one message at a time is tried."""

    async def open(self) -> None:
        """Make ready, before a message is taken. Raises Outage."""

    async def send(
        self,
        sender: str,
        recipient: str,
        message: bytes,
        before_data: Callable[[], Awaitable[bool]],
        *,
        message_id: str = "",
    ) -> SendResult | None:
        """One message. `before_data` commits that it begins and says whether it may; if not, nothing is sent: None.

        Raises Outage only where certainly nothing left.
        """

    async def close(self) -> None:
        """End it in order."""

    def abandon(self) -> None:
        """Drop it, as a dying process would."""


class Composes(Protocol):
    """Makes a channel's messages."""

    @property
    def sender_address(self) -> str: ...

    def compose(self, mail: ClaimedMail) -> bytes:
        """The message. Raises CannotRender."""


class Watch(Protocol):
    """The metrics of one channel."""

    def up(self, usable: bool) -> None:
        """Whether the channel could be used at the last try."""

    def attempt(self, kind: str, result: str, seconds: float) -> None:
        """An attempt ended."""

    def backlog(self, counts: Backlog, now: datetime) -> None:
        """What is still to be sent. `now`: system time."""

    def health(self, failing_seconds: float, success_age_seconds: float) -> None:
        """For how long nothing is accepted while something is due, 0: it is; since the last success, -1: none."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of a process."""

    name: str
    connections: Sequence[Connection]
    composer: Composes
    watch: Watch
    a_day: int | None = None  # attempts in a day of Vietnam's time, all processes together; None: any number
    #: whether an instance is not ready while nothing is accepted: true of the channel that every notice can take
    needed: bool = True
