"""Which claimed mail goes out next: one at a time to an address, so that a silent mailbox holds one connection at most.

An address that met silence is put off for a while without being tried; afterwards it shares half of the connections
with its like, until it answers. In memory only: a restart forgets it and loses nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta

from services.notifier.delivery.ledger import ClaimedMail
from shared.runtime.clock import monotonic_seconds

#: silent addresses remembered; beyond it the oldest is forgotten
MOST_SILENT = 10_000


class SendingQueue:
    """The mails that one process has claimed and not yet begun. `now` is system time."""

    def __init__(self, *, connections: int, silence_seconds: float) -> None:
        self._silence = timedelta(seconds=silence_seconds)
        self._suspects_at_once = max(1, connections // 2)
        self._mails: deque[tuple[ClaimedMail, datetime]] = deque()
        self._in_flight: dict[str, float] = {}  # address -> begun at, monotonic
        self._silent: dict[str, tuple[datetime, str]] = {}  # address -> when, and what was said

    def add(self, mails: Sequence[ClaimedMail], not_after: datetime) -> None:
        """Queue claimed mails, to be begun before `not_after`."""
        self._mails.extend((mail, not_after) for mail in mails)

    def take(self, now: datetime) -> tuple[ClaimedMail, datetime] | None:
        """The next mail whose address is free, with its `not_after`; its address is taken until `done`."""
        for index, (mail, not_after) in enumerate(self._mails):
            if not self._blocked(mail.recipient, now):
                del self._mails[index]
                self._in_flight[mail.recipient] = monotonic_seconds()
                return mail, not_after
        return None

    def done(self, address: str) -> None:
        """The mail to the address has ended, however."""
        self._in_flight.pop(address, None)

    def answered(self, address: str) -> None:
        """The server said something about a mail to the address."""
        self._silent.pop(address, None)

    def silent(self, address: str, said: str, now: datetime) -> None:
        """A mail to the address met silence."""
        self._silent.pop(address, None)
        self._silent[address] = now, said
        if len(self._silent) > MOST_SILENT:
            del self._silent[next(iter(self._silent))]

    def put_off(self, address: str, now: datetime) -> str | None:
        """What another mail to the address met just now: this one is not tried. None: it is."""
        at, said = self._silent.get(address, (None, ""))
        return said if at is not None and at <= now < at + self._silence else None

    def ready(self, now: datetime) -> int:
        """How many connections find a mail to send."""
        return len({mail.recipient for mail, _ in self._mails if not self._blocked(mail.recipient, now)})

    def unavailable(self) -> list[str]:
        """Addresses to which no more mails should be claimed now."""
        return [*self._in_flight, *(self._silent if self._suspects_in_flight() >= self._suspects_at_once else ())]

    def drain(self) -> list[ClaimedMail]:
        """All mails that were not begun; none is left."""
        mails = [mail for mail, _ in self._mails]
        self._mails.clear()
        return mails

    def longest_seconds(self) -> float:
        """For how long the oldest mail in flight has been."""
        return monotonic_seconds() - min(self._in_flight.values()) if self._in_flight else 0.0

    def _blocked(self, address: str, now: datetime) -> bool:
        if address in self._in_flight:
            return True
        suspect = address in self._silent and self.put_off(address, now) is None
        return suspect and self._suspects_in_flight() >= self._suspects_at_once

    def _suspects_in_flight(self) -> int:
        return sum(address in self._silent for address in self._in_flight)
