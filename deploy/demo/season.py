"""The simulated agencies; each acts at business moments that its seed and its duties determine."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from deploy.demo.client import GaveUp, Ledger, Portal
from deploy.demo.pace import TOLERANCE, Hold, Pace
from deploy.demo.people import Duty, Plan, Temperament, plan, prospect
from deploy.demo.reports import Report, corrected, spoiled, truthful
from shared.contract.events import Form

#: how often an agency looks up what it owes, and the time in which all do so first, business time
LOOK_EVERY = timedelta(days=7)
FIRST_LOOK_WITHIN = timedelta(days=1)
#: delay from sending until a clerk reads the verdict and sends again, business hours
CORRECTION_HOURS = 8.0, 40.0
#: delay from the verdict until the head signs, business hours
SIGNING_HOURS = 1.0, 6.0
#: how often a clerk corrects one report before giving up
MOST_CORRECTIONS = 3


@dataclass(frozen=True, slots=True)
class Staff:
    """The agency's signers: an officer for all regimes, others for some."""

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
    issued: Mapping[str, datetime]  # of ad hoc requests, by period; an agency knows them from the letter of request
    pace: Pace
    ledger: Ledger
    seed: int
    closings: Mapping[str, datetime]  # when agencies end, by code, once that is decided
    head: Portal | None = None  # with the head's own key; None: there is no head
    certified: frozenset[str] = frozenset()  # regimes whose reports the head signs

    def first_look(self) -> Hold:
        """The moment of its first look at its duties; hold it before the quarter begins."""
        rng = random.Random(f"{self.seed}/{self.code}")
        return self.pace.hold(self.pace.start + FIRST_LOOK_WITHIN * rng.random(), f"{self.code}: GET /v1/obligations")

    async def live(self, look: Hold) -> None:
        """Look up duties every few days until the quarter ends, and answer each according to the temperament."""
        known: dict[str, Duty] = {}
        async with asyncio.TaskGroup() as work:
            while await self.pace.reach(look) and not self._closed(look.moment):
                for duty in await self._look():
                    if duty.obligation not in known:
                        known[duty.obligation] = duty
                        self._begin(replace(duty, issued_at=self.issued.get(duty.period)), look.moment, work)
                for duty in known.values():
                    if self._closed(duty.deadline):  # its heir answers it
                        self.ledger.prospects.pop(duty.obligation, None)
                look = self.pace.move(look, look.moment + LOOK_EVERY)
            self.pace.release(look)

    def _closed(self, moment: datetime) -> bool:
        """Whether the agency has ended by then, as far as that is decided."""
        return self.code in self.closings and moment >= self.closings[self.code]

    async def _look(self) -> list[Duty]:
        try:
            return await self.portal.duties()
        except GaveUp:
            return []  # the next look may succeed; a duty never seen shows as overdue

    def _begin(self, duty: Duty, seen_at: datetime, work: asyncio.TaskGroup) -> None:
        """Plan what to do about a duty, and hold its moment before the clock can pass it."""
        nil_allowed = _nil_fits(self.forms[duty.regime], duty)
        chosen = plan(self.temperament, duty, seen_at=seen_at, nil_allowed=nil_allowed, seed=self.seed)
        if duty.deadline < self.pace.end:
            unsigned = duty.regime in self.certified and self.head is None
            self.ledger.prospects[duty.obligation] = (
                "not_in_time" if unsigned else prospect(chosen, duty, margin=TOLERANCE)
            )
        if chosen.send_at is not None and chosen.send_at < self.pace.end:
            work.create_task(self._answer(duty, chosen, self.pace.hold(chosen.send_at, duty.obligation)))

    async def _answer(self, duty: Duty, chosen: Plan, held: Hold) -> None:
        form = self.forms[duty.regime]
        rng = random.Random(f"{self.seed}/{duty.obligation}/report")
        truth = truthful(form, rng)
        report = Report(nil=True) if chosen.nil else spoiled(form, truth, chosen.mistakes, rng)
        try:
            await self._see_through(duty, report, truth, _Turn(self.pace, held), corrects=chosen.corrects, rng=rng)
        except GaveUp:
            self.ledger.gave_up.append(duty.obligation)

    async def _see_through(
        self, duty: Duty, report: Report, truth: Report, turn: _Turn, *, corrects: bool, rng: random.Random
    ) -> None:
        """Send, read the verdict, correct what its findings name, send again."""
        officer = self.staff.officer_for(duty.regime)
        with turn:
            for _ in range(1 + MOST_CORRECTIONS):
                if not await turn.comes() or self._closed(max(turn.moment, duty.deadline)):
                    return
                receipt = await self.portal.submit(duty, officer, report)
                if receipt is None:  # probably not open yet: the clerk tries once more, closer to the deadline
                    turn.next(duty.deadline - timedelta(hours=rng.uniform(30, 90)))
                    if not await turn.comes() or (receipt := await self.portal.submit(duty, officer, report)) is None:
                        return
                turn.next(turn.moment + timedelta(hours=rng.uniform(*CORRECTION_HOURS)))
                verdict = await self.portal.verdict(receipt.submission_id)
                if verdict["status"] == "accepted":
                    await self._sign(duty, receipt.submission_id, turn, rng)
                    return
                if not corrects:
                    return
                better = corrected(report, truth, verdict["findings"])
                if better == report:
                    return
                report = replace(better)

    async def _sign(self, duty: Duty, submission_id: str, turn: _Turn, rng: random.Random) -> None:
        """The head signs within hours, where the regime asks for it."""
        if self.head is None or duty.regime not in self.certified:
            return
        turn.next(turn.moment + timedelta(hours=rng.uniform(*SIGNING_HOURS)))
        if await turn.comes():
            await self.head.certify(submission_id)


class _Turn:
    """The moment of a clerk's next action; the clock waits for it."""

    def __init__(self, pace: Pace, held: Hold) -> None:
        self._pace, self._held = pace, held

    @property
    def moment(self) -> datetime:
        return self._held.moment

    def next(self, moment: datetime) -> None:
        self._held = self._pace.move(self._held, moment)

    async def comes(self) -> bool:
        return await self._pace.reach(self._held)

    def __enter__(self) -> None:
        """Take over a moment that is already held."""

    def __exit__(self, *_: object) -> None:
        self._pace.release(self._held)


def _nil_fits(form: Form, duty: Duty) -> bool:
    """Only ad hoc reports have nothing to report here; a periodic one always has figures."""
    return form.nil_allowed and duty.figures_closed_on is None
