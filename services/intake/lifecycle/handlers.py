"""The one use case: take a step. Load under the obligation's lock, decide, save, publish; the edge commits."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast, get_args

from msgspec import Struct
from msgspec.structs import replace

from services.intake.audit import trail
from services.intake.audit.domain import Author, Change
from services.intake.lifecycle import deciding, states, store, table, waiting
from services.intake.lifecycle.deciding import Faulty, Impossible, NotYours, Wanted
from services.intake.lifecycle.states import History, Taken, Version
from services.intake.registry.records import Registry
from shared.access import Principal, Scope, may, offices_over
from shared.consuming.batch import Batch
from shared.contract.events import (
    ComplianceEvent,
    LatenessKind,
    LatenessStep,
    NotJudged,
    StepKind,
    StepTaken,
    VerdictReached,
)
from shared.contract.ids import new_id
from shared.contract.reporting_window import local_day
from shared.outbox import publish
from shared.postgres.database import ReadTransaction, Transaction

Told = StepTaken | LatenessStep
_OF_LATENESS = frozenset(get_args(LatenessKind))
_JUST_AFTER = timedelta(microseconds=1)  # PostgreSQL's resolution


class Unknown(Struct, frozen=True):
    """There is no such thing, or it is not for this person to see."""


class KeyReused(Struct, frozen=True):
    """The idempotency key belongs to another step."""

    step: Taken


class TakenNow(Struct, frozen=True):
    """The step, and how the obligation stands with it. `replayed`: it was taken by an earlier request."""

    step: Taken
    history: History
    replayed: bool = False


Outcome = TakenNow | Unknown | KeyReused | Impossible | NotYours | Faulty


class Asked(Struct, frozen=True):
    """A request for a step. `sha256`: of what was sent, so that a key names one step for ever."""

    wanted: Wanted
    idempotency_key: str
    sha256: bytes


async def take(
    tx: Transaction,
    principal: Principal,
    asked: Asked,
    registry: Registry,
    now: datetime,
    system_now: datetime,
    *,
    obligation: str | None = None,
) -> Outcome:
    """Take a step about a submission, a request or (`obligation`) an obligation alone; now: business time.

    A repetition gets its first step, with how the obligation stands by now. Each step has its entry in the audit trail.
    """
    wanted, scope = asked.wanted, table.scope_of(asked.wanted.kind)
    found = obligation or await _obligation_of(tx, wanted)
    if found is None or not _sees(principal, scope, found, registry, now):
        return Unknown()
    if not await store.lock(tx, found):
        return Unknown()
    taken_before = await store.by_key(tx, principal.id, asked.idempotency_key)
    history = await store.history_of(tx, found, registry)
    if taken_before is not None:
        step, sha256 = taken_before
        same = sha256 == asked.sha256 and step.obligation == found
        return TakenNow(step, history, replayed=True) if same else KeyReused(step)
    request = deciding.answered(history, wanted)
    if wanted.answers is not None and (
        request is None or request.kind != deciding.ASKED_BY[table.thing_of(wanted.kind)]
    ):
        return Unknown()
    if request is not None:
        wanted = _completed(wanted, request)
    terms = await store.terms(tx, found)
    if terms is None and not history.versions:
        return Unknown()
    actors = capacities(principal, scope, found, registry, now)
    deadline, late = (None, False) if terms is None else (terms.deadline, terms.late(now))
    judged = deciding.judge(history, wanted, actors, now, deadline, late=late)
    if isinstance(judged, Impossible | NotYours | Faulty):
        return judged
    step = Taken(
        new_id(), found, wanted.kind, _moment(history, now), principal.id,
        next(actor for actor in judged.who if actor in actors), wanted.reason, wanted.since, wanted.until,
        wanted.effect, wanted.answers, wanted.submission_id, wanted.remedy,
    )  # fmt: skip
    if not await store.insert(tx, step, asked.idempotency_key, asked.sha256):
        return await _used_meanwhile(tx, principal, asked)
    if step.kind == "unlocked" and step.until is not None:
        await store.unlock(tx, found, step.until)
    after = replace(history, steps=[*history.steps, step])
    await store.keep_open_reviews(tx, {found: waiting.open_reviews(after)})
    version = history.version(step.submission_id)
    regime_version = version.regime_version if version is not None else (terms.regime_version if terms else 0)
    await publish(tx, [event_of(step, request, version, regime_version)])
    await trail.append(tx, Author(step.by, step.reason, "api"), [_change(step, history, after)], system_now)
    return TakenNow(step, after)


async def follow_verdicts(batch: Batch[VerdictReached | NotJudged | ComplianceEvent], tx: Transaction) -> None:
    """Note what verdicts leave for somebody to certify or review; where regimes ask for neither, one statement."""
    verdicts = [event.body for event in batch.events if isinstance(event.body, VerdictReached)]
    regimes = {(verdict.regime, verdict.regime_version) for verdict in verdicts}
    if not regimes:
        return
    wanted = await store.wanted(tx, regimes)
    concerned = {verdict.obligation for verdict in verdicts if (verdict.regime, verdict.regime_version) in wanted}
    if not concerned:
        return
    await store.lock_all(tx, concerned)
    sent, steps = await store.versions_of(tx, concerned), await store.steps_of(tx, concerned)
    latest = {key: (key.split("/", 2)[1], versions[-1].regime_version) for key, versions in sent.items() if versions}
    wanted = await store.wanted(tx, set(latest.values()))
    histories = []
    for key, regime in latest.items():
        asks = wanted.get(regime, store.Wants())
        histories.append(History(key, sent[key], steps[key], asks.certification, asks.review))
    await store.keep_open_reviews(tx, {history.obligation: waiting.open_reviews(history) for history in histories})


def capacities(principal: Principal, scope: Scope, obligation: str, registry: Registry, now: datetime) -> set[str]:
    """In which capacities the principal may do what needs this scope; none where the key lacks it."""
    agency, regime, _ = obligation.split("/", 2)
    day = local_day(now)
    if principal.kind == "agency":
        return {"agency"} if may(principal, scope, agency, registry.tree(day), day, regime) else set()
    return {office.role for office in offices_over(principal, scope, agency, registry.tree(day), day, regime)}


def event_of(step: Taken, request: Taken | None, version: Version | None, regime_version: int) -> Told:
    """What is published of a step. request: what it answers; version: what it is about, None: the obligation alone."""
    agency, regime, period = step.obligation.split("/", 2)
    said: dict[str, Any] = {
        "step_id": step.step_id, "obligation": step.obligation, "agency": agency, "regime": regime,
        "regime_version": regime_version, "period": period, "at": step.at, "by": step.by, "role": step.role,
        "reason": step.reason, "until": step.until, "answers": step.answers,
    }  # fmt: skip
    if request is not None:
        said |= {"asked_at": request.at, "asked_by": request.by, "asked_reason": request.reason}
    if step.kind in _OF_LATENESS:
        return LatenessStep(kind=step.kind, remedy=step.remedy, **said)
    return StepTaken(
        kind=cast(StepKind, step.kind),
        since=step.since,
        effect=step.effect,
        submission_id=None if version is None else version.submission_id,
        version=None if version is None else version.number,
        officer_id=None if version is None else version.officer_id,
        received_at=None if version is None else version.received_at,
        nil=version is not None and version.nil,
        **said,
    )


def _moment(history: History, now: datetime) -> datetime:
    """Now, but after every earlier step: who waited for the lock, or whose clock is slow, has read an earlier hour.

    Followers put steps in the order of their moments; it must be the order in which they were taken.
    """
    return max([now, *(step.at + _JUST_AFTER for step in history.steps)])


def _sees(principal: Principal, scope: Scope, obligation: str, registry: Registry, now: datetime) -> bool:
    """Whether the principal may read about the obligation, or do what the step's scope covers."""
    agency, regime, _ = obligation.split("/", 2)
    day = local_day(now)
    return any(may(principal, needed, agency, registry.tree(day), day, regime) for needed in ("read", scope))


async def _used_meanwhile(tx: ReadTransaction, principal: Principal, asked: Asked) -> KeyReused:
    """The step, of another obligation, that was stored under the key after we looked: ours waited for its lock only."""
    stored = await store.by_key(tx, principal.id, asked.idempotency_key)
    assert stored is not None, "steps are never deleted"
    return KeyReused(stored[0])


async def _obligation_of(tx: ReadTransaction, wanted: Wanted) -> str | None:
    if wanted.submission_id is not None:
        return await store.obligation_of_submission(tx, wanted.submission_id)
    return None if wanted.answers is None else await store.obligation_of_step(tx, wanted.answers)


def _completed(wanted: Wanted, request: Taken) -> Wanted:
    """A decision is about what its request is about; an extension is granted as it was asked for, if nothing else."""
    until = wanted.until or (request.until if wanted.kind == "extension_granted" else None)
    return replace(wanted, submission_id=request.submission_id, until=until)


def _change(step: Taken, before: History, after: History) -> Change:
    """What the step did, for the audit trail."""
    version = before.version(step.submission_id)
    if version is None:
        until = None if step.until is None else step.until.isoformat()
        return Change(step.kind, "obligation", step.obligation, None, {"step_id": str(step.step_id), "until": until})
    return Change(
        step.kind,
        "submission",
        str(version.submission_id),
        {"state": states.state_of(before, version), "certified": states.is_certified(before, version)},
        {"state": states.state_of(after, version), "certified": states.is_certified(after, version)},
    )
