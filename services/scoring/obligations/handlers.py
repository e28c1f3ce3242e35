"""Use cases of the Kafka events: load, decide, save. A batch is one lock, one decision a key, one save; no commit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from time import perf_counter

from services.scoring import metrics, registry
from services.scoring.calendar.store import covered_years
from services.scoring.obligations import deciding, generator, store
from services.scoring.obligations.deciding import Proposed
from services.scoring.obligations.domain import Obligation, told
from services.scoring.obligations.facts import AboutReport, Facts
from services.scoring.obligations.generator import Missing
from services.scoring.obligations.resolve import Awaits, Impossible, RegistryPart, resolve
from services.scoring.obligations.standing import untouched
from services.scoring.reference_data import Rules
from services.scoring.reliefs import by_steps, intake_gaps
from services.scoring.reliefs import store as reliefs
from services.scoring.reliefs.late_verdicts import LateVerdicts
from shared.consuming.batch import Batch, Event
from shared.contract.events import (
    AgencyRegistered,
    AgencyRegrouped,
    IntakeAvailable,
    IntakeUnavailable,
    NotJudged,
    OfficerRegistered,
    RegimePublished,
    RegistryEvent,
    RequestIssued,
    StepTaken,
    SubmissionReceived,
    VerdictReached,
)
from shared.postgres.database import Transaction

Report = AboutReport
Followed = Report | IntakeAvailable | IntakeUnavailable


async def follow(batch: Batch[Followed], tx: Transaction, rules: Rules, late: LateVerdicts | None = None) -> None:
    """Add submissions, verdicts and steps to the facts of the obligations they are about; one decision an obligation.

    What intake tells of itself is kept for the sweep, and so is what was returned late. A decision that gives time is a
    relief, which the sweep brings to its obligation.
    """
    await intake_gaps.keep(tx, [event.body for event in batch if not isinstance(event.body, Report)])
    await by_steps.keep(tx, [event.body for event in batch if isinstance(event.body, StepTaken)])
    keys = sorted({event.key for event in _reports(batch)})
    obligations = await store.lock_obligations(tx, keys)
    made: set[str] = set()
    if len(obligations) < len(keys):
        made = await _open_missing(batch, tx, rules, obligations)
    begun = perf_counter()
    by_key: dict[str, list[Event[Report]]] = {}
    for event in _reports(batch):
        by_key.setdefault(event.key, []).append(event)
    proposed = [_with(obligations[key], events) for key, events in by_key.items()]
    changed = [
        proposal for proposal in proposed if proposal.facts is not proposal.before.facts or proposal.before.key in made
    ]
    decided = await deciding.decide(tx, rules, changed, opening=made)
    decisions = list(decided.decisions)
    for key, gap in decided.gaps.items():
        metrics.CALENDAR_GAPS_TOTAL.inc()
        for event in by_key[key]:
            batch.defer(event, f"calendar/{gap.year}")
    bare = [
        Proposed(obligation, obligation.terms, obligation.facts, obligation.terms.opens_at)
        for obligation in (obligations[key] for key in sorted(decided.gaps.keys() & made))
    ]
    decisions += (await deciding.decide(tx, rules, bare, opening=made)).decisions
    metrics.FOLD_DURATION_SECONDS.observe(perf_counter() - begun)
    await deciding.save(tx, decisions, obligations)
    # An agency that has closed cannot correct what was returned: its heir owes it. What it handed on may be answered.
    # What an agency of another group was left because it had been sent it owes no more once it does not count.
    await registry.look_again(
        tx,
        (
            decision.obligation.agency
            for decision in decisions
            if decision.obligation.terms.heir is not None
            or (decision.event is not None and not {"returned", "reopened"}.isdisjoint(decision.event.changes))
        ),
    )
    if late is not None:
        returned = {key for key, events in by_key.items() if any(_returns(event.body) for event in events)}
        await late.keep(
            tx,
            [obligations[key] for key in sorted(returned)],
            [decision.obligation for decision in decisions if decision.obligation.key in returned],
        )


def _reports(batch: Batch[Followed]) -> list[Event[Report]]:
    """What is about versions of reports, as far as it has been neither deferred nor rejected by now."""
    return [
        event  # type: ignore[misc]
        for event in batch
        if isinstance(event.body, Report) and event.body.version is not None
    ]


def _returns(report: Report) -> bool:
    return isinstance(report, VerdictReached) and report.outcome == "returned"


def _with(obligation: Obligation, events: Sequence[Event[Report]]) -> Proposed:
    facts, cause = told(obligation.facts, ((event.id, event.body) for event in events))
    at = max(_moment(event.body) for event in events)
    return Proposed(obligation, obligation.terms, facts, at, cause)


def _moment(report: Report) -> datetime:
    match report:
        case VerdictReached() | NotJudged():
            return report.decided_at
        case StepTaken():
            return report.at
        case SubmissionReceived():
            return report.received_at


async def _open_missing(
    batch: Batch[Followed], tx: Transaction, rules: Rules, obligations: dict[str, Obligation]
) -> set[str]:
    """Make obligations the generator has not made yet; set aside what cannot be made now, or ever.

    Returns the keys of those that were made here.
    """
    missing: dict[str, list[Event[Report]]] = {}
    for event in _reports(batch):
        if event.key not in obligations:
            missing.setdefault(event.key, []).append(event)
    bodies = [events[0].body for events in missing.values()]
    regimes, periods = sorted({body.regime for body in bodies}), sorted({body.period for body in bodies})
    agencies = sorted({body.agency for body in bodies})
    await registry.hold_requests(tx, periods)
    registered = RegistryPart(
        await registry.read_agencies(tx, agencies),
        await registry.read_regimes(tx, regimes),
        await registry.read_requests(tx, periods),
        await rules.current_calendar(tx),
        await registry.read_tree(tx, agencies),
        await registry.regime_changes(tx, regimes),
        await registry.request_versions(tx, periods),
    )
    openings: list[Missing] = []
    for events in missing.values():
        match resolve(events[0].body, registered, rules):
            case Awaits(name):
                for event in events:
                    batch.defer(event, name)
            case Impossible(why):
                for event in events:
                    batch.reject(event, why)
            case Missing() as wanted:
                openings.append(wanted)
                if not wanted.owed:
                    metrics.UNOWED_REPORTS_TOTAL.inc()
    if not openings:
        return set()
    version = await generator.first_version(tx)
    standing = await reliefs.read_standing(tx)
    made = await store.insert(tx, [(_opened(wanted, version, standing), wanted.at) for wanted in openings])
    metrics.OBLIGATIONS_OPENED_TOTAL.labels("report").inc(len(made))
    obligations |= await store.lock_obligations(tx, [wanted.key for wanted in openings])
    return made


def _opened(wanted: Missing, version: int, standing: Sequence[reliefs.ScopedRelief]) -> Obligation:
    """As it is inserted; its state is derived with the report, in this transaction."""
    covering = tuple(scoped.relief for scoped in standing if scoped.covers(wanted.key))
    return Obligation(wanted.key, version, wanted.terms, Facts(reliefs=covering), untouched(wanted.terms))


async def registered_names(tx: Transaction, names: Sequence[str]) -> set[str]:
    """Which of the awaited names (regime/X/2, agency/C, request/R, calendar/2040) are registered by now."""
    regimes = {name: name.split("/")[1] for name in names if name.startswith("regime/")}
    agencies = {name: name.removeprefix("agency/") for name in names if name.startswith("agency/")}
    requests = {name: name.removeprefix("request/") for name in names if name.startswith("request/")}
    registered: set[str] = set()
    if regimes:
        found = await registry.read_regimes(tx, sorted(set(regimes.values())))
        have = {
            f"regime/{version.code}/{version.regime_version}" for versions in found.values() for version in versions
        }
        registered |= have & regimes.keys()
    if agencies:
        have_agencies = await registry.read_agencies(tx, sorted(agencies.values()))
        registered |= {name for name, code in agencies.items() if code in have_agencies}
    if requests:
        have_requests = await registry.read_requests(tx, sorted(requests.values()))
        registered |= {name for name, request_id in requests.items() if request_id in have_requests}
    registered |= await _renewed(tx, names)
    if any(name.startswith("calendar/") for name in names):
        registered |= {f"calendar/{year}" for year in await covered_years(tx)} & set(names)
    return registered


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


async def take_registry(batch: Batch[RegistryEvent | AgencyRegrouped], tx: Transaction, now: datetime) -> None:
    """Keep scoring's copy of the registry; what changed is planned again by the generator. `now`: business time."""
    agencies: list[AgencyRegistered] = []
    officers: list[OfficerRegistered] = []
    regimes: list[RegimePublished] = []
    requests: list[RequestIssued] = []
    regrouped: list[AgencyRegrouped] = []
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
            case AgencyRegrouped() as told_of:
                regrouped.append(told_of)
    await registry.save_agencies(tx, agencies, now)
    await registry.save_regroupings(tx, regrouped)
    await registry.OFFICERS.save(tx, officers)
    changed_regimes = await registry.REGIMES.save_telling(tx, regimes)
    changed_requests = await registry.REQUESTS.save_telling(tx, requests)
    await registry.unplan(tx, changed_regimes, changed_requests)
