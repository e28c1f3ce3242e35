"""The post of the demo: letters go out in office hours, as in a real office, although a day lasts a second.

Business time waits a little after each moment at which gathered letters go out, until notifier has sent those due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from deploy.demo.counting import Counting
from deploy.demo.pace import Hold, Pace
from services.notifier.mailing.data import shipped_rules
from services.notifier.mailing.domain import Day, next_moment

#: how often notifier looks for letters that may go out, and we for those that have not, real seconds
MAILING_SECONDS, LOOK_SECONDS = 0.1, 0.02
ENVIRONMENT = {"NOTIFIER_MAILING": "office", "NOTIFIER_MAILING_SECONDS": str(MAILING_SECONDS)}


@dataclass(frozen=True, slots=True)
class Post:
    """Keeps business time within a window of the mailing rules until its letters have gone out."""

    pace: Pace
    counting: Counting

    def hold(self) -> Hold:
        """Hold the first moment; before the quarter begins."""
        return self.pace.hold(next(departures(self.pace.start, self.pace.end)), "letters")

    async def work(self, held: Hold) -> None:
        """See each round of letters out until the quarter ends; `held` is the first."""
        for moment in departures(self.pace.start, self.pace.end):
            held = self.pace.move(held, moment)
            if not await self.pace.reach(held):
                break
            # the pace gives up a hold whose action hangs, so this loop need not count
            while not held.released:
                if not await self.counting.letters_due(self.pace.clock.now()):
                    break
                await asyncio.sleep(LOOK_SECONDS)
        self.pace.release(held)


def departures(start: datetime, end: datetime) -> Iterator[datetime]:
    """When gathered letters go out, by the rules that ship. A day off is in it as well: then nothing is due."""
    rules = shipped_rules().rules
    moment = next_moment(rules, Day(start, None), gather=True)
    while moment < end:
        yield moment
        moment = next_moment(rules, Day(moment, None), gather=True)
