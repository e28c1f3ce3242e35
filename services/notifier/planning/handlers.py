"""Use cases of the Kafka edge: load, decide, save in a handful of statements a batch, whatever its size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from msgspec.structs import replace

from services.notifier import metrics
from services.notifier.channels.webhook import messages, telling
from services.notifier.channels.webhook import store as webhook
from services.notifier.channels.webhook.messages import Message
from services.notifier.channels.webhook.telling import Audience
from services.notifier.delivery import unsendable
from services.notifier.delivery.blanking import blank_contacts
from services.notifier.delivery.unsendable import RegistryChanges
from services.notifier.escalation import domain as escalation
from services.notifier.escalation import store as escalations
from services.notifier.escalation.domain import Escalation, Resolution
from services.notifier.ladders.domain import Ladder, LadderBook, NoLadder
from services.notifier.ladders.store import LadderShelf
from services.notifier.planning import decisions, domain, namings, store
from services.notifier.planning.decisions import Step
from services.notifier.planning.directory import Directory, NotYetRegistered
from services.notifier.planning.domain import Cancel, Naming, Notice, Obligation, Plan
from services.notifier.planning.store import CalendarShelf
from services.notifier.regimes import domain as regime_versions
from services.notifier.regimes import store as regimes
from shared.consuming.batch import Batch, Event
from shared.contract.events import (
    AgencyRegistered,
    CalendarLoaded,
    ComplianceEvent,
    NotJudged,
    ObligationChanged,
    OfficerRegistered,
    PersonRegistered,
    PolicyLoaded,
    RegimePublished,
    RegistryEvent,
    RequestIssued,
    SubmissionReceived,
    VerdictReached,
    WebhookRegistered,
)
from shared.contract.ids import time_of
from shared.contract.reporting_window import local_day
from shared.contract.working_days import WorkingCalendar
from shared.postgres.database import Transaction
from shared.runtime.clock import Clock
from shared.telemetry.logging import get_logger

log = get_logger()


@dataclass(frozen=True, slots=True)
class PlanningContext:
    """What the use cases need beside the transaction."""

    system: Clock  # when a mail becomes due
    business: Clock
    message_id_domain: str
    ladders: LadderShelf = field(default_factory=LadderShelf)
    calendars: CalendarShelf = field(default_factory=CalendarShelf)
    channels: frozenset[str] = frozenset()  # beside e-mail, for rungs of ladders that name them
    waits: bool = False  # notices wait for their window (mailing rules); else they go out as they are planned

    def waits_from(self) -> datetime | None:
        """Since when a notice planned now waits, in business time; None where it does not."""
        return self.business.now() if self.waits else None


async def apply_registry(
    batch: Batch[RegistryEvent | WebhookRegistered], tx: Transaction, context: PlanningContext
) -> None:
    """Update the projections of agencies, officers and names.

    Skipped notices go to officers registered since; letters that could not be composed are composed again. Addresses
    that the registry has blanked are blanked in the ledger too. Webhooks are kept with the tests that they ask for.
    """
    now = context.system.now()
    webhooks = [event.body for event in batch if isinstance(event.body, WebhookRegistered)]
    if webhooks:
        await webhook.register(tx, webhooks, now)
    records = [event.body for event in batch if not isinstance(event.body, WebhookRegistered)]
    if not records:
        return
    await store.AGENCIES.save(tx, (record for record in records if isinstance(record, AgencyRegistered)))
    await _save_regimes(batch, tx, context)
    await store.REQUESTS.save(tx, (record for record in records if isinstance(record, RequestIssued)))
    officers = [record for record in records if isinstance(record, OfficerRegistered)]
    await store.OFFICERS.save(tx, officers)
    persons = [record for record in records if isinstance(record, PersonRegistered)]
    await store.PERSONS.save(tx, persons)
    without_address = {officer.officer_id for officer in officers if not officer.email}
    without_address |= {
        person.person_id for person in persons if not (store.email_of(person) and store.phone_of(person))
    }
    await blank_contacts(tx, without_address)
    metrics.RETAKEN_TOTAL.inc(await unsendable.compose_again(tx, _changes(records), now))
    if officers:
        agencies = {officer.agency for officer in officers if officer.active and officer.role == "reporting_officer"}
        await store.revive_skipped(
            tx, agencies, now=now, domain=context.message_id_domain, waits_from=context.waits_from()
        )


async def _save_regimes(
    batch: Batch[RegistryEvent | WebhookRegistered], tx: Transaction, context: PlanningContext
) -> None:
    """Keep regime versions; those that are new here are told to whoever reports under them (regimes/sweep.py)."""
    now, business = context.system.now(), context.business.now()
    today = local_day(business)
    published = {event.body.key: (event.body, time_of(event.id)) for event in batch
                 if isinstance(event.body, RegimePublished)}  # fmt: skip
    if published:
        known = await regimes.known(tx, {body.code for body, _ in published.values()})
        to_tell = []
        for body, at in published.values():
            # what is published again, as it was, takes no other's place
            replaces = regime_versions.takes_a_place(body.regime_version, at, known.get(body.code, {}))
            if regime_versions.to_tell(body, at, now, today, known=replaces):
                to_tell.append((body.code, body.regime_version, at))
        await store.REGIMES.save(tx, (body for body, _ in published.values()))
        await regimes.kept(tx, {body.code for body, _ in published.values()}, now)
        await regimes.announce(tx, to_tell, business)
    if any(isinstance(event.body, AgencyRegistered | OfficerRegistered) for event in batch):
        await regimes.look_again(tx, today)


def _changes(records: Iterable[RegistryEvent]) -> RegistryChanges:
    """Which letters these records may concern."""
    changes = RegistryChanges(set(), set(), set(), set())
    for record in records:
        match record:
            case RegimePublished():
                changes.regimes.add(record.code)
            case RequestIssued():
                changes.requests.add(record.request_id)
            case AgencyRegistered():
                changes.agencies.add(record.code)
            case OfficerRegistered():
                changes.officers.add(record.officer_id)
                changes.agencies.add(record.agency)
            case PersonRegistered():
                changes.officers.add(record.person_id)
    return changes


async def apply_compliance(
    batch: Batch[ComplianceEvent | CalendarLoaded | PolicyLoaded], tx: Transaction, context: PlanningContext
) -> None:
    """Plan reminders, overdue notices and escalations; cancel what is no longer so and has not gone out.

    Keeps the working days that scoring counts by, and its policies.
    """
    policies = [event.body for event in batch if isinstance(event.body, PolicyLoaded)]
    if policies:
        await store.POLICIES.save(tx, policies)
    calendars = [event.body for event in batch if isinstance(event.body, CalendarLoaded)]
    if calendars and await store.CALENDARS.save_telling(tx, calendars):
        await escalations.look_at_all(tx, context.business.now())
    events = cast(
        "list[Event[ObligationChanged]]", [event for event in batch.events if isinstance(event.body, ObligationChanged)]
    )
    if not events:
        return
    directory = await store.directory(tx, {event.body.agency for event in events if domain.needs_directory(event.body)})
    plans = await _Plans.load(tx, events)
    heard = await telling.audience(tx, {event.body.agency for event in events}, telling.today(context.business))
    book: LadderBook | None = None
    calendar: WorkingCalendar | None = None
    deferred: dict[str, str] = {}  # key -> the registry key that it is deferred for
    for event in events:
        if event.key in deferred:
            batch.defer(event, deferred[event.key])
            continue
        try:
            before, ladder, headless = plans.obligations[event.key], None, False
            if domain.becomes_overdue(before, event.body):
                if book is None:
                    book = await context.ladders.book(tx)  # once a batch
                    calendar = await context.calendars.current(tx)
                ladder = _ladder_for(event.body, directory, book)
                headless = directory.head(event.body.agency) is None
            at_once = ladder is None or ladder.tells_at_once(headless=headless)
            plan = domain.apply_obligation_event(before, event.body, directory, heads_at_once=at_once)
            if ladder is not None and at_once:
                plan = replace(plan, notices=escalation.announce(plan.notices, ladder, plan.obligation, calendar))
            plans.add(plan)
            if before.overdue or ladder is not None:
                facts = escalation.Facts(plan.obligation, directory, calendar)
                plans.follow(before, plan, ladder, event.body.at, headless=headless, facts=facts)
            if event.body.agency in heard and event.body.version > before.version:
                plans.tell(news(event.body, before, plan))
        except NotYetRegistered as error:
            batch.defer(event, deferred.setdefault(event.key, error.registry_key))
    await plans.save(tx, context, heard)


def _ladder_for(body: ObligationChanged, directory: Directory, book: LadderBook) -> Ladder | None:
    """The ladder of a report that becomes overdue. None, and said so, where no loaded ladder is for it."""
    severity = "returned" if body.standing == "returned" else "nothing_sent"
    try:
        return book.choose(body.regime, directory.agency(body.agency).kind, severity)
    except NoLadder as error:
        log.error("No ladder is for a report.", action="ladder.none", obligation=body.obligation, error=str(error))
        return None


async def apply_verdicts(
    batch: Batch[VerdictReached | NotJudged], tx: Transaction, context: PlanningContext
) -> None:  # fmt: skip
    """Plan a notice of each return for the officer who submitted; an acceptance cancels returns not yet sent.

    That a report could not be judged is told as well; its verdict cancels that. A batch of acceptances alone costs one
    statement, of first reports none.
    """
    events = batch.events
    reached = [event.body for event in events if isinstance(event.body, VerdictReached)]
    heard = await telling.audience(tx, {event.body.agency for event in events}, telling.today(context.business))
    told = [_news_of_verdict(event.body) for event in events if event.body.agency in heard.own]
    await telling.queue(tx, told, heard, context.business, context.system)
    to_tell = [event for event in events if event.body.outcome != "accepted"]
    if not to_tell:
        cancels = [cancel for body in reached for cancel in _cancels_of_acceptance(body)]
        await store.cancel(tx, cancels, context.system.now())
        return
    directory = await store.directory(
        tx, {event.body.agency for event in to_tell}, {event.body.officer_id for event in to_tell}
    )
    plans = await _Plans.load(tx, to_tell)
    now = context.business.now()
    deferred: dict[str, str] = {}  # key -> the registry key that it is deferred for
    for event in events:
        if event.key in deferred:
            batch.defer(event, deferred[event.key])
            continue
        try:
            match event.body:
                case NotJudged():
                    plans.add(decisions.apply_not_judged(plans.obligations[event.key], event.body, directory, now))
                case VerdictReached(outcome="accepted"):
                    for cancel in _cancels_of_acceptance(event.body):
                        plans.cancel(cancel)
                case VerdictReached():
                    plans.add(domain.apply_returned_verdict(plans.obligations[event.key], event.body, directory))
                    plans.cancel(decisions.judged_since(event.body))
        except NotYetRegistered as error:
            batch.defer(event, deferred.setdefault(event.key, error.registry_key))
    await plans.save(tx, context)


async def apply_submissions(batch: Batch[Step | SubmissionReceived], tx: Transaction, context: PlanningContext) -> None:
    """Plan notices of decisions for those who asked and answer for the report, of withdrawals for the reviewer.

    Receipts are told to webhooks alone.
    """
    receipts = [event.body for event in batch if isinstance(event.body, SubmissionReceived)]
    heard = await telling.audience(tx, {body.agency for body in receipts}, telling.today(context.business))
    told = [messages.of_submission(body) for body in receipts if body.agency in heard.own]
    await telling.queue(tx, told, heard, context.business, context.system)
    steps = cast("list[Event[Step]]", [event for event in batch.events if isinstance(event.body, Step)])
    events = [event for event in steps if decisions.calls_for_notice(event.body)]
    if not events:
        return
    askers = {asker for event in events if (asker := decisions.asker_of(event.body)) is not None}
    directory = await store.directory(
        tx,
        {event.body.agency for event in events},
        askers,
        reviewers=any(event.body.kind == "withdrawn" for event in events),
    )
    plans = await _Plans.load(tx, events)
    now = context.business.now()
    deferred: dict[str, str] = {}  # key -> the registry key that it is deferred for
    for event in events:
        if event.key in deferred:
            batch.defer(cast("Event[Step | SubmissionReceived]", event), deferred[event.key])
            continue
        try:
            plans.add(decisions.apply_step(plans.obligations[event.key], event.body, directory, now))
        except NotYetRegistered as error:
            batch.defer(event, deferred.setdefault(event.key, error.registry_key))
    await plans.save(tx, context)


def news(body: ObligationChanged, before: Obligation, plan: Plan) -> Iterator[Message]:
    """What webhooks hear of an event: that people are reminded, or told that it is overdue or is not; its score."""
    steps = [notice.step for notice in plan.notices if notice.kind in ("reminder", "overdue")]
    taken_back = any(cancel.reason == "overdue_withdrawn" for cancel in plan.cancels)
    yield from messages.of_obligation(body, steps, withdrawn=f"overdue/{before.overdue_count}" if taken_back else None)
    yield from escalated(plan.notices)


def _news_of_verdict(body: VerdictReached | NotJudged) -> Message:
    return messages.of_not_judged(body) if isinstance(body, NotJudged) else messages.of_verdict(body)


def escalated(notices: Iterable[Notice]) -> Iterator[Message]:
    """What webhooks hear of notices to those above: that there are some, not to whom."""
    told = (one for one in notices if one.kind == "escalation" and one.officer is not None and one.cancelled is None)
    for notice in told:
        yield messages.of_escalation(notice.obligation, notice.step, notice.at)


def _cancels_of_acceptance(verdict: VerdictReached) -> list[Cancel]:
    """Of returns of earlier versions, and of what an earlier verdict on this one had told; none of most reports."""
    cancels = []
    if verdict.version > 1 or verdict.revision > 1:
        cancels.append(Cancel(verdict.obligation, ("returned",), "accepted", verdict.version))
    if verdict.revision > 1:
        cancels.append(decisions.judged_since(verdict))
    return cancels


class _Plans:
    """The obligations of a batch, and what its events plan and cancel; saved at the end in a few statements."""

    def __init__(self, obligations: dict[str, Obligation]) -> None:
        self.obligations = obligations
        self._loaded = dict(obligations)
        self._cancels: list[Cancel] = []
        self._notices: dict[str, list[Notice]] = {}  # by obligation
        self._namings: list[Naming] = []
        self._told: list[Message] = []
        self._begun: dict[str, list[Escalation]] = {}  # by obligation
        self._resolved: dict[str, tuple[Resolution, datetime]] = {}  # escalations from before this batch
        self._looked_at: dict[str, datetime] = {}

    @classmethod
    async def load(
        cls,
        tx: Transaction,
        events: Iterable[
            Event[ObligationChanged] | Event[VerdictReached | NotJudged] | Event[VerdictReached] | Event[Step]
        ],
    ) -> _Plans:
        seeds = {
            event.key: Obligation(
                event.key, event.body.agency, event.body.regime, event.body.regime_version, event.body.period
            )
            for event in events
        }
        return cls(await store.lock_obligations(tx, seeds))

    def add(self, plan: Plan) -> None:
        self.obligations[plan.obligation.key] = plan.obligation
        for cancel in plan.cancels:
            self.cancel(cancel)
        if plan.naming is not None:
            self._namings.append(plan.naming)
        if plan.notices:
            self._notices.setdefault(plan.obligation.key, []).extend(plan.notices)

    def follow(
        self,
        before: Obligation,
        plan: Plan,
        ladder: Ladder | None,
        at: datetime,
        *,
        headless: bool,
        facts: escalation.Facts,
    ) -> None:
        """Begin, end or look at the escalation of an obligation that was overdue or has just become so."""
        key, after = before.key, plan.obligation
        begun = self._begun.get(key)
        if ladder is not None:
            one = escalation.start(after, ladder, at, plan.notices, headless=headless, facts=facts)
            self._begun.setdefault(key, []).append(one)
        elif (why := escalation.resolution_of(before, after)) is not None:
            if begun:
                begun[-1] = escalation.resolve(begun[-1], why, at)
            else:
                self._resolved[key] = why, at
        elif after.deadline != before.deadline:
            self._looked_at[key] = at

    def tell(self, news: Iterable[Message]) -> None:
        """Webhooks are to hear of it."""
        self._told.extend(news)

    def cancel(self, cancel: Cancel) -> None:
        self._cancels.append(cancel)
        if notices := self._notices.get(cancel.obligation):
            self._notices[cancel.obligation] = domain.apply_cancels(notices, [cancel])

    async def save(self, tx: Transaction, context: PlanningContext, heard: Audience | None = None) -> None:
        changed = [
            (before, obligation)
            for key, obligation in self.obligations.items()
            if (before := self._loaded[key]) is not obligation and before != obligation
        ]
        await store.save_obligations(tx, changed)
        await namings.insert(tx, self._namings)
        if heard is not None:
            await telling.queue(tx, self._told, heard, context.business, context.system)
        now = context.system.now()
        # that it is over is true no more where another climb begins
        again = [Cancel(key, ("resolved",), "superseded_by_overdue") for key in self._begun]
        await store.cancel(tx, [*self._cancels, *again], now)
        still_open = {key for key, begun in self._begun.items() if begun[-1].open}
        at = context.business.now()
        resolved, ended = await escalations.resolve(tx, self._resolved, self.obligations, at)
        for resolution in ended:
            metrics.ESCALATIONS_RESOLVED_TOTAL.labels(resolution).inc()
        await escalations.insert(tx, self._begun, at)
        await escalations.look_again(tx, self._looked_at)
        planned = [notice for _, notices in sorted(self._notices.items()) for notice in notices]
        planned += [
            replace(notice, cancelled="superseded_by_overdue") if notice.obligation in still_open else notice
            for notice in resolved
        ]
        for kind, state in await store.insert_notices(
            tx,
            planned,
            now=now,
            domain=context.message_id_domain,
            waits_from=context.waits_from(),
            channels=context.channels,
        ):
            metrics.PLANNED_TOTAL.labels(kind, state).inc()
