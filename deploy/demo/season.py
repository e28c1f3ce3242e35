"""The quarter that is played: business time runs fast from its start to its end, and the agencies live in it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from deploy.demo.client import GaveUp, Ledger, Portal
from deploy.demo.people import Duty, Temperament, plan
from deploy.demo.reports import Report, corrected, spoiled, truthful
from shared.clock import Clock
from shared.events import Form

#: how often an agency looks up what it owes, and how soon all have looked for the first time, real seconds
LOOK_SECONDS = 8.0
FIRST_LOOK_SECONDS = 2.0
#: times a clerk corrects one report before leaving it
MOST_CORRECTIONS = 3


@dataclass(frozen=True, slots=True)
class Season:
    """From `start` to `end` of business time, `rate` times as fast as real time."""

    start: datetime
    end: datetime
    rate: float
    clock: Clock

    @property
    def over(self) -> bool:
        return self.clock.now() >= self.end

    @property
    def share(self) -> float:
        """How much of it has passed, 0 to 1."""
        return min(1.0, max(0.0, (self.clock.now() - self.start) / (self.end - self.start)))

    async def reach(self, moment: datetime) -> bool:
        """Wait for a moment; False where the season ends before it."""
        if moment >= self.end:
            return False
        while True:  # again, where business time stood still meanwhile
            left = moment - self.clock.now()
            if left <= timedelta(0):
                return True
            await asyncio.sleep(left.total_seconds() / self.rate + 0.001)


@dataclass(frozen=True, slots=True)
class Staff:
    """Who signs for the agency: an officer for all regimes, others for some."""

    general: str
    by_regime: Mapping[str, str]

    def officer_for(self, regime: str) -> str:
        return self.by_regime.get(regime, self.general)


@dataclass(frozen=True, slots=True)
class Agency:
    """One simulated agency."""

    code: str
    temperament: Temperament
    staff: Staff
    portal: Portal
    forms: Mapping[str, Form]
    season: Season
    ledger: Ledger
    seed: int

    async def live(self) -> None:
        """Look up duties until the season is over, and answer each as the temperament has it."""
        known: set[str] = set()
        rng = random.Random(f"{self.seed}/{self.code}")
        await asyncio.sleep(rng.uniform(0, FIRST_LOOK_SECONDS))
        pause_seconds = rng.uniform(FIRST_LOOK_SECONDS, LOOK_SECONDS)
        async with asyncio.TaskGroup() as work:
            while not self.season.over:
                for duty in await self._look():
                    if duty.obligation not in known:
                        known.add(duty.obligation)
                        work.create_task(self._answer(duty))
                await asyncio.sleep(pause_seconds)
                pause_seconds = LOOK_SECONDS

    async def _look(self) -> list[Duty]:
        try:
            return await self.portal.duties()
        except GaveUp:
            return []  # the next look may succeed; what is never seen shows as overdue

    async def _answer(self, duty: Duty) -> None:
        form = self.forms[duty.regime]
        chosen = plan(
            self.temperament, duty, seen_at=self.season.clock.now(), nil_allowed=_nil_fits(form, duty), seed=self.seed
        )
        if chosen.send_at is None or not await self.season.reach(chosen.send_at):
            return
        rng = random.Random(f"{self.seed}/{duty.obligation}/report")
        truth = truthful(form, rng)
        report = Report(nil=True) if chosen.nil else spoiled(form, truth, chosen.mistakes, rng)
        try:
            await self._see_through(duty, report, truth, corrects=chosen.corrects, rng=rng)
        except GaveUp:
            self.ledger.gave_up.append(duty.obligation)

    async def _see_through(
        self, duty: Duty, report: Report, truth: Report, *, corrects: bool, rng: random.Random
    ) -> None:
        """Send, read the verdict, correct what its findings name, send again."""
        officer = self.staff.officer_for(duty.regime)
        for _ in range(1 + MOST_CORRECTIONS):
            receipt = await self.portal.submit(duty, officer, report)
            if receipt is None:  # not open yet, most likely: the clerk comes back once, nearer to the deadline
                later = duty.deadline - timedelta(hours=rng.uniform(30, 90))
                receipt = await self.portal.submit(duty, officer, report) if await self.season.reach(later) else None
            if receipt is None:
                return
            told = await self.portal.verdict(receipt.submission_id)
            if told["status"] != "returned" or not corrects:
                return
            better = corrected(report, truth, told["findings"])
            if better == report:
                return
            report = replace(better)
            if not await self.season.reach(self.season.clock.now() + timedelta(hours=rng.uniform(3, 40))):
                return


def _nil_fits(form: Form, duty: Duty) -> bool:
    """Only ad hoc reports have nothing to tell here; a periodic one always has figures."""
    return form.nil_allowed and duty.figures_closed_on is None
