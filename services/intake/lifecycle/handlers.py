"""The one use case: take a step. Load under the obligation's lock, decide, save, publish; the edge commits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from services.intake.audit import trail
from services.intake.audit.domain import Author, Change
from services.intake.lifecycle import deciding, states, store, table
from services.intake.lifecycle.deciding import Faulty, Impossible, NotYours, Wanted
from services.intake.lifecycle.states import History, Taken, Version
from services.intake.registry.records import Registry
from shared.access import Principal, may, offices_over
from shared.contract.events import StepTaken
from shared.contract.ids import new_id
from shared.outbox import publish
from shared.postgres.database import ReadTransaction, Transaction
from shared.runtime.clock import LOCAL_ZONE


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

    A repetition gets its first answer, whatever has changed since. Each step has its entry in the audit trail.
    """
    wanted = asked.wanted
    found = obligation or await _obligation_of(tx, wanted)
    if found is None or not _sees(principal, found, registry, now):
        return Unknown()
    await store.lock(tx, found)
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
    actors = capacities(principal, found, registry, now)
    judged = deciding.judge(history, wanted, actors, now, None if terms is None else terms.deadline)
    if isinstance(judged, Impossible | NotYours | Faulty):
        return judged
    step = Taken(
        new_id(), found, wanted.kind, now, principal.id, next(actor for actor in judged.who if actor in actors),
        wanted.reason, wanted.since, wanted.until, wanted.effect, wanted.answers, wanted.submission_id,
    )  # fmt: skip
    if not await store.insert(tx, step, asked.idempotency_key, asked.sha256):
        return KeyReused(step)
    if step.kind == "unlocked" and step.until is not None:
        await store.unlock(tx, found, step.until)
    version = history.version(step.submission_id)
    regime_version = version.regime_version if version is not None else (terms.regime_version if terms else 0)
    await publish(tx, [event_of(step, request, version, regime_version)])
    after = _with(history, step)
    await trail.append(tx, Author(step.by, step.reason, "api"), [_change(step, history, after)], system_now)
    return TakenNow(step, after)


def capacities(principal: Principal, obligation: str, registry: Registry, now: datetime) -> set[str]:
    """In which capacities the principal may act about this obligation."""
    agency, regime, _ = obligation.split("/", 2)
    day = now.astimezone(LOCAL_ZONE).date()
    tree = parents(registry)
    if principal.kind == "agency":
        return {"agency"} if may(principal, "submit", agency, tree, day, regime) else set()
    if principal.kind != "person":
        return set()
    return {office.role for office in offices_over(principal, agency, tree, day, regime)}


def parents(registry: Registry) -> Mapping[str, str | None]:
    return _Parents(registry)


class _Parents(Mapping[str, str | None]):
    """Agency -> the one above it; a view, for there are thousands."""

    def __init__(self, registry: Registry) -> None:
        self._agencies = registry.agencies

    def __getitem__(self, code: str) -> str | None:
        return self._agencies[code].parent

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self._agencies)

    def __len__(self) -> int:
        return len(self._agencies)


def event_of(step: Taken, request: Taken | None, version: Version | None, regime_version: int) -> StepTaken:
    agency, regime, period = step.obligation.split("/", 2)
    return StepTaken(
        step_id=step.step_id,
        kind=step.kind,
        obligation=step.obligation,
        agency=agency,
        regime=regime,
        regime_version=regime_version,
        period=period,
        at=step.at,
        by=step.by,
        role=step.role,
        reason=step.reason,
        since=step.since,
        until=step.until,
        effect=step.effect,
        answers=step.answers,
        asked_at=None if request is None else request.at,
        asked_by=None if request is None else request.by,
        asked_reason="" if request is None else request.reason,
        submission_id=None if version is None else version.submission_id,
        version=None if version is None else version.number,
        officer_id=None if version is None else version.officer_id,
        received_at=None if version is None else version.received_at,
        nil=version is not None and version.nil,
    )


def _sees(principal: Principal, obligation: str, registry: Registry, now: datetime) -> bool:
    agency, regime, _ = obligation.split("/", 2)
    return may(principal, "read", agency, parents(registry), now.astimezone(LOCAL_ZONE).date(), regime)


async def _obligation_of(tx: ReadTransaction, wanted: Wanted) -> str | None:
    if wanted.submission_id is not None:
        return await store.obligation_of_submission(tx, wanted.submission_id)
    return None if wanted.answers is None else await store.obligation_of_step(tx, wanted.answers)


def _completed(wanted: Wanted, request: Taken) -> Wanted:
    """A decision is about what its request is about; an extension is granted as it was asked for, if nothing else."""
    until = wanted.until or (request.until if wanted.kind == "extension_granted" else None)
    return Wanted(
        wanted.kind, request.submission_id, wanted.answers, wanted.reason, wanted.since, until, wanted.effect
    )  # fmt: skip


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


def _with(history: History, step: Taken) -> History:
    return History(
        history.obligation, history.versions, [*history.steps, step], history.certification, history.review
    )  # fmt: skip
