"""Use cases of the Kafka door: load, decide, save. A batch is one lock, one fold, one save, one publish; no commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from time import perf_counter

from services.scoring import metrics, registry
from services.scoring.calendar import CalendarGap
from services.scoring.calendar.store import covered_years
from services.scoring.obligations import domain, generator, store
from services.scoring.obligations.domain import Line, Obligation
from services.scoring.obligations.generator import Demand
from services.scoring.obligations.resolve import Awaits, Impossible, Known, demand
from services.scoring.reference_data import Rules
from shared.consuming.batch import Batch, Event
from shared.contract.events import (
    AgencyRegistered,
    ComplianceEvent,
    ObligationFulfilled,
    OfficerRegistered,
    RegimePublished,
    RegistryEvent,
    RequestIssued,
    SubmissionReceived,
    VerdictReached,
)
from shared.outbox import publish
from shared.postgres.database import Transaction

Report = SubmissionReceived | VerdictReached


async def follow(batch: Batch[Report], tx: Transaction, rules: Rules) -> None:
    """Fold submissions and verdicts into the obligations they answer."""
    obligations = await store.lock_obligations(tx, batch.keys)
    told: list[ComplianceEvent] = []
    if len(obligations) < len(batch.keys):
        told += await _open_missing(batch, tx, rules, obligations)
    await rules.fetch(
        tx,
        {obligation.calendar_version for obligation in obligations.values()},
        {obligation.policy_version for obligation in obligations.values()},
    )
    changed, lines = await _fold(batch, tx, rules, obligations, told)
    await store.save(tx, changed, lines)
    await publish(tx, told)


async def _fold(
    batch: Batch[Report],
    tx: Transaction,
    rules: Rules,
    obligations: dict[str, Obligation],
    told: list[ComplianceEvent],
) -> tuple[list[Obligation], list[tuple[str, Line]]]:
    """Fold the batch in order; returns changed obligations and lines to append, and adds to `told`."""
    begun = perf_counter()
    before = dict(obligations)
    lines: list[tuple[str, Line]] = []
    fulfilled: list[ObligationFulfilled] = []
    for event in batch:
        obligation = obligations[event.key]
        policy, calendar = rules.policy(obligation), rules.calendar(obligation)
        try:
            decision = domain.follow(obligation, event.body, event.id, policy, calendar)
        except CalendarGap:  # received after the years of the calendar that gave the deadline
            newest = await rules.current_calendar(tx)
            try:
                decision = domain.follow(obligation, event.body, event.id, policy, newest)
            except CalendarGap as gap:
                metrics.CALENDAR_GAPS_TOTAL.inc()
                batch.defer(event, f"calendar/{gap.year}")
                continue
        if decision.obligation is obligation:
            continue
        obligations[event.key] = decision.obligation
        if decision.lines:
            lines += [(event.key, line) for line in decision.lines]
        if decision.events:
            told += decision.events
            fulfilled += [tell for tell in decision.events if isinstance(tell, ObligationFulfilled)]
        if obligation.overdue_at is not None and decision.obligation.overdue_at is None:
            metrics.OVERDUE_TAKEN_BACK_TOTAL.inc()
    changed = [after for key, after in obligations.items() if after is not before[key]]
    for on_time, number in Counter(tell.on_time for tell in fulfilled).items():
        metrics.FULFILLED_TOTAL.labels("yes" if on_time else "no").inc(number)
    metrics.SCORE_LINES_TOTAL.inc(len(lines))
    metrics.FOLD_DURATION_SECONDS.observe(perf_counter() - begun)
    return changed, lines


async def _open_missing(
    batch: Batch[Report], tx: Transaction, rules: Rules, obligations: dict[str, Obligation]
) -> Sequence[ComplianceEvent]:
    """Make obligations the generator has not made yet; set aside what cannot be made now, or ever."""
    missing: dict[str, list[Event[Report]]] = {}
    for event in batch:
        if event.key not in obligations:
            missing.setdefault(event.key, []).append(event)
    bodies = [events[0].body for events in missing.values()]
    regimes, periods = sorted({body.regime for body in bodies}), sorted({body.period for body in bodies})
    known = Known(
        await registry.read_agencies(tx, sorted({body.agency for body in bodies})),
        await registry.read_regimes(tx, regimes),
        await registry.read_requests(tx, periods),
        await rules.current_calendar(tx),
        await registry.regime_changes(tx, regimes),
        await registry.request_versions(tx, periods),
    )
    demands: list[Demand] = []
    for events in missing.values():
        match demand(events[0].body, known, rules):
            case Awaits(name):
                for event in events:
                    batch.defer(event, name)
            case Impossible(why):
                for event in events:
                    batch.reject(event, why)
            case Demand() as wanted:
                demands.append(wanted)
                if not wanted.owed:
                    metrics.UNOWED_REPORTS_TOTAL.inc()
    told = await generator.open_on_demand(tx, demands)
    metrics.OBLIGATIONS_OPENED_TOTAL.labels("report").inc(len(told))
    made = [generator.key_of(wanted) for wanted in demands]
    obligations |= await store.lock_obligations(tx, made)
    return told


async def known_names(tx: Transaction, names: Sequence[str]) -> set[str]:
    """Which of the awaited names (regime/X/2, agency/C, request/R, calendar/2040) are known by now."""
    regimes = {name: name.split("/")[1] for name in names if name.startswith("regime/")}
    agencies = {name: name.removeprefix("agency/") for name in names if name.startswith("agency/")}
    requests = {name: name.removeprefix("request/") for name in names if name.startswith("request/")}
    known: set[str] = set()
    if regimes:
        found = await registry.read_regimes(tx, sorted(set(regimes.values())))
        have = {f"regime/{each.code}/{each.regime_version}" for versions in found.values() for each in versions}
        known |= have & regimes.keys()
    if agencies:
        have_agencies = await registry.read_agencies(tx, sorted(agencies.values()))
        known |= {name for name, code in agencies.items() if code in have_agencies}
    if requests:
        have_requests = await registry.read_requests(tx, sorted(requests.values()))
        known |= {name for name, request_id in requests.items() if request_id in have_requests}
    known |= await _renewed(tx, names)
    if any(name.startswith("calendar/") for name in names):
        known |= {f"calendar/{year}" for year in await covered_years(tx)} & set(names)
    return known


async def _renewed(tx: Transaction, names: Sequence[str]) -> set[str]:
    """Of `regime-record/X/7` and `request-record/R/1` those behind which a newer record has come."""
    waited: dict[str, dict[str, tuple[str, int]]] = {"regime-record": {}, "request-record": {}}
    for name in names:
        kind, _, rest = name.partition("/")
        if kind in waited:
            code, _, number = rest.rpartition("/")
            waited[kind][name] = (code, int(number))
    found: set[str] = set()
    for kind, read in (
        ("regime-record", registry.regime_changes), ("request-record", registry.request_versions)
    ):  # fmt: skip
        if waited[kind]:
            now = await read(tx, sorted({code for code, _ in waited[kind].values()}))
            found |= {name for name, (code, number) in waited[kind].items() if now.get(code, 0) > number}
    return found


async def take_registry(batch: Batch[RegistryEvent], tx: Transaction) -> None:
    """Keep scoring's copy of the registry; what changed is planned again by the generator."""
    agencies: list[AgencyRegistered] = []
    officers: list[OfficerRegistered] = []
    regimes: list[RegimePublished] = []
    requests: list[RequestIssued] = []
    for event in batch:
        match event.body:
            case AgencyRegistered() as agency:
                agencies.append(agency)
            case OfficerRegistered() as officer:
                officers.append(officer)
            case RegimePublished() as regime:
                regimes.append(regime)
            case RequestIssued() as request:
                requests.append(request)
    await registry.AGENCIES.save(tx, agencies)
    await registry.OFFICERS.save(tx, officers)
    changed_regimes = await registry.REGIMES.save_telling(tx, regimes)
    changed_requests = await registry.REQUESTS.save_telling(tx, requests)
    await registry.unplan(tx, changed_regimes, changed_requests)
