"""Use cases of the Kafka door: load, decide, save in a handful of statements a batch, whatever its size."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from services.notifier import metrics
from services.notifier.delivery import unsendable
from services.notifier.delivery.unsendable import Mended
from services.notifier.planning import domain, store
from services.notifier.planning.directory import Directory, NotYetKnown
from services.notifier.planning.domain import Cancel, Notification, Obligation, Step
from shared.consuming.batch import Batch, Event
from shared.contract.events import (
    AgencyRegistered,
    ComplianceEvent,
    OfficerRegistered,
    RegimePublished,
    RegistryEvent,
    RequestIssued,
    VerdictReached,
)
from shared.contract.events.compliance import ObligationEvent
from shared.postgres.database import Transaction
from shared.runtime.clock import Clock


@dataclass(frozen=True, slots=True)
class Desk:
    """What the use cases need beside the transaction."""

    system: Clock  # when a mail becomes due
    message_id_domain: str


async def copy_registry(batch: Batch[RegistryEvent], tx: Transaction, desk: Desk) -> None:
    """Keep the copy of agencies, people and names.

    Notices that nobody could receive go to who has come since; letters that could not be composed are composed again.
    """
    bodies = [event.body for event in batch]
    now = desk.system.now()
    await store.AGENCIES.save(tx, (each for each in bodies if isinstance(each, AgencyRegistered)))
    await store.REGIMES.save(tx, (each for each in bodies if isinstance(each, RegimePublished)))
    await store.REQUESTS.save(tx, (each for each in bodies if isinstance(each, RequestIssued)))
    officers = [each for each in bodies if isinstance(each, OfficerRegistered)]
    await store.OFFICERS.save(tx, officers)
    metrics.RETAKEN_TOTAL.inc(await unsendable.take_up(tx, _mended(bodies), now))
    if officers:
        agencies = {each.agency for each in officers if each.active and each.role == "reporting_officer"}
        await store.revive_skipped(tx, agencies, now=now, domain=desk.message_id_domain)


def _mended(bodies: Iterable[RegistryEvent]) -> Mended:
    """What may concern letters that could not be composed."""
    told: dict[str, set[str]] = {"regimes": set(), "requests": set(), "agencies": set(), "officers": set()}
    for each in bodies:
        match each:
            case RegimePublished():
                told["regimes"].add(each.code)
            case RequestIssued():
                told["requests"].add(each.request_id)
            case AgencyRegistered():
                told["agencies"].add(each.code)
            case OfficerRegistered():
                told["officers"].add(each.officer_id)
                told["agencies"].add(each.agency)
    return Mended(**told)


async def follow_compliance(batch: Batch[ComplianceEvent], tx: Transaction, desk: Desk) -> None:
    """Reminders, overdue notices and the first rung of escalation; a fulfilment stops what has not gone out."""
    events = batch.events
    telling = {event.body.agency for event in events if domain.needs_directory(event.body)}
    directory = await store.directory(tx, telling)
    fold = await _Fold.of(tx, events)
    held: dict[str, str] = {}
    for event in events:
        if event.key in held:
            batch.wait(event, held[event.key])
            continue
        try:
            fold.take(domain.follow(fold.obligations[event.key], event.body, directory))
        except NotYetKnown as unknown:
            batch.wait(event, held.setdefault(event.key, unknown.awaits))
    await fold.save(tx, desk)


async def follow_verdicts(batch: Batch[VerdictReached], tx: Transaction, desk: Desk) -> None:
    """A return is told to who submitted; an acceptance stops a return that has not gone out, in one statement."""
    events = batch.events
    returned = [event for event in events if event.body.outcome == "returned"]
    if not returned:
        await store.cancel(tx, [_accepted(event.body) for event in events], desk.system.now())
        return
    directory = await store.directory(
        tx, {event.body.agency for event in returned}, {event.body.officer_id for event in returned}
    )
    fold = await _Fold.of(tx, returned)
    held: dict[str, str] = {}
    for event in events:
        if event.key in held:
            batch.wait(event, held[event.key])
        elif event.body.outcome == "accepted":
            fold.stop(_accepted(event.body))
        else:
            try:
                fold.take(domain.judge(fold.obligations[event.key], event.body, directory))
            except NotYetKnown as unknown:
                batch.wait(event, held.setdefault(event.key, unknown.awaits))
    await fold.save(tx, desk)


def _accepted(verdict: VerdictReached) -> Cancel:
    return Cancel(verdict.obligation, ("returned",), "accepted", verdict.version)


class _Fold:
    """The states of a batch's keys while its events are folded in."""

    def __init__(self, obligations: dict[str, Obligation]) -> None:
        self.obligations = obligations
        self._loaded = dict(obligations)
        self._cancels: list[Cancel] = []
        self._notifications: dict[str, list[Notification]] = {}

    @classmethod
    async def of(cls, tx: Transaction, events: Iterable[Event[ObligationEvent] | Event[VerdictReached]]) -> _Fold:
        seeds = {
            event.key: Obligation(
                event.key, event.body.agency, event.body.regime, event.body.regime_version, event.body.period
            )
            for event in events
        }
        return cls(await store.lock_obligations(tx, seeds))

    def take(self, step: Step) -> None:
        self.obligations[step.obligation.key] = step.obligation
        for cancel in step.cancels:
            self.stop(cancel)
        if step.notifications:
            self._notifications.setdefault(step.obligation.key, []).extend(step.notifications)

    def stop(self, cancel: Cancel) -> None:
        self._cancels.append(cancel)
        if here := self._notifications.get(cancel.obligation):
            self._notifications[cancel.obligation] = domain.apply_cancels(here, [cancel])

    async def save(self, tx: Transaction, desk: Desk) -> None:
        changed = [each for key, each in self.obligations.items() if each != self._loaded[key]]
        await store.save_obligations(tx, changed)
        now = desk.system.now()
        await store.cancel(tx, self._cancels, now)
        planned = [each for _, here in sorted(self._notifications.items()) for each in here]
        entered = await store.insert_notifications(tx, planned, now=now, domain=desk.message_id_domain)
        for kind, state in entered:
            metrics.PLANNED_TOTAL.labels(kind, state).inc()


__all__ = ["Desk", "Directory", "copy_registry", "follow_compliance", "follow_verdicts"]
