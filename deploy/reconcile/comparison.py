"""Compares the stores with each other and with the rules, and names every difference; it changes nothing.

It goes through obligations and events one by one, and compares whole what is kept once. A difference counts only if
the first look and the last one both find it: what is still on its way between two services is not lost. Later looks
read only what differed.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic

from deploy.reconcile import (
    availability,
    board,
    copies,
    journal,
    notices,
    owing,
    receipts,
    registry,
    rules,
    scores,
    steps,
    transfers,
    verdicts,
    webhooks,
)
from deploy.reconcile.differences import Difference, Subject, Teller
from deploy.reconcile.dossiers import Dossier, dossiers
from deploy.reconcile.reference import Reference
from deploy.reconcile.stores import Snapshot, Stores
from services.scoring.obligations.domain import Obligation

#: differences that are kept; the rest are only counted
MAX_KEPT = 100_000
PAUSE_SECONDS = 1.0
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

#: what is kept once
REFERENCE: dict[str, Callable[[Reference], Iterator[Difference]]] = {
    "registry.records": registry.records,
    "registry.keys": registry.keys,
    "registry.copies": registry.copies,
    "rules.calendars": rules.calendars,
    "rules.published_calendars": rules.published_calendars,
    "rules.policies": rules.policies,
    "rules.published_policies": rules.published_policies,
    "rules.ladders": rules.ladders,
    "rules.mailing": rules.mailing,
    "rules.silences": rules.silences,
    "rules.reliefs": rules.reliefs,
    "rules.progress": rules.progress,
    "owing.plans": owing.plans,
    "availability": availability.compare,
    "webhooks.records": webhooks.records,
}
#: what all stores hold about an obligation
DOSSIERS: dict[str, Callable[[Dossier, Reference], Iterator[Difference]]] = {
    "receipts": receipts.compare,
    "steps": steps.compare,
    "verdicts": verdicts.compare,
    "copies.standings": copies.standings,
    "copies.notices": copies.notices,
    "notices": notices.compare,
    "board": board.compare,
    "webhooks.messages": webhooks.compare,
}
#: what scoring holds about an obligation
OBLIGATIONS: dict[str, Callable[[Obligation, Dossier, Reference], Iterator[Difference]]] = {
    "owing.terms": owing.terms,
    "scores.columns": lambda obligation, dossier, reference: scores.columns(obligation, dossier),
    "scores.standing": lambda obligation, dossier, reference: scores.standing(obligation, reference),
    "scores.lines": scores.lines,
    "scores.facts": scores.facts,
    "scores.events": scores.events,
}
#: tables, and their events, that a consumer cannot keep up to date while it lacks an event of a key
_FOLLOWERS: dict[str, tuple[str, ...]] = {
    "intake.follow": ("intake.verdicts", "intake.standings", "intake.obligations", "intake.open_reviews"),
    "intake.notices": ("intake.notices",),
    "validator.registry": (
        "validator.regime",
        "validator.reference_table",
        "validator.waiver",
        "validator.verdict",
        "validator.finding",
        "validator.not_judged",
    ),
    "validator.agencies": ("validator.agency",),
    "validator.submissions": ("validator.verdict", "validator.finding", "validator.not_judged"),
    "validator.steps": ("validator.withdrawal",),
    "validator.access": ("validator.access_",),
    "scoring.registry": ("scoring.",),
    "scoring.follow": ("scoring.obligations", "scoring.score_lines", "scoring.outbox_archive"),
    "scoring.access": ("scoring.access_",),
    "notifier.registry": ("notifier.",),
    "notifier.verdicts": ("notifier.obligations", "notifier.notifications", "notifier.webhook_deliveries"),
    "notifier.compliance": (
        "notifier.obligations",
        "notifier.notifications",
        "notifier.calendars",
        "notifier.policies",
        "notifier.escalations",
        "notifier.webhook_deliveries",
    ),
    "notifier.steps": ("notifier.obligations", "notifier.notifications", "notifier.webhook_deliveries"),
    "notifier.access": ("notifier.access_",),
    "board.registry": ("board.agencies", "board.officers", "board.people", "board.regimes", "board.requests"),
    "board.submissions": ("board.reports", "board.steps"),
    "board.verdicts": ("board.verdicts",),
    "board.compliance": ("board.obligations", "board.obligation_documents"),
    "board.notifications": ("board.notices", "board.escalations"),
    "board.access": ("board.access_",),
}
#: every comparison by name; a test switches off each in turn to show that it is needed
COMPARISONS = (*REFERENCE, *DOSSIERS, *OBLIGATIONS, "owing.missing", "transfers", "journal")


@dataclass(slots=True)
class Result:
    """The findings of one look: differences (at most MAX_KEPT), their number by kind, rows read."""

    differences: list[Difference] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    rows: dict[str, int] = field(default_factory=dict)

    def take(self, difference: Difference) -> None:
        self.counts[difference.kind] += 1
        if len(self.differences) < MAX_KEPT:
            self.differences.append(difference)


@dataclass(frozen=True, slots=True)
class _Narrowed:
    """The keys and events that a later look reads again."""

    keys: frozenset[str]
    events: frozenset[str]

    @classmethod
    def of(cls, differences: Collection[Difference]) -> _Narrowed:
        words = {
            subject: frozenset(
                word for difference in differences if difference.subject == subject for word in _words(difference.key)
            )
            for subject in ("obligation", "event")
        }
        return cls(words["obligation"], frozenset(word for word in words["event"] if _UUID.fullmatch(word)))


def _words(key: str) -> list[str]:
    """The keys and ids in a difference's key: `H99.05/KTXH/2026-M03#1 0190…`; none of an orphan is the empty key."""
    return [word.partition("#")[0] for word in key.split(" ")] + [""]


async def compare(stores: Stores, *, without: Collection[str] = (), narrowed: _Narrowed | None = None) -> Result:
    """Compare everything once, or what `narrowed` names; skip the comparisons in `without`. Raises CannotCompare."""
    result = Result()
    async with stores.snapshot() as snapshot:
        reference = await Reference.read(snapshot)
        stopped = await journal.read_stopped(snapshot)
        behind = stopped.behind()
        for name, comparison in REFERENCE.items():
            if name not in without:
                for difference in _guarded(name, "", comparison(reference), "reference"):
                    if not _is_behind(difference, behind):
                        result.take(difference)
        async for difference in _obligations(snapshot, reference, without, narrowed):
            if not _is_behind(difference, behind):
                result.take(difference)
        if "journal" not in without:
            events = None if narrowed is None else narrowed.events
            async for difference in journal.compare(snapshot, reference, stopped, events):
                result.take(difference)
        result.rows = snapshot.rows
    return result


def _is_behind(difference: Difference, behind: Mapping[str, frozenset[str]]) -> bool:
    """Whether the difference only follows from an event that its service has deferred or given up."""
    return any(
        difference.where.startswith(_FOLLOWERS.get(consumer, ())) and not keys.isdisjoint(_words(difference.key)[:-1])
        for consumer, keys in behind.items()
    )


async def _obligations(
    snapshot: Snapshot, reference: Reference, without: Collection[str], narrowed: _Narrowed | None
) -> AsyncIterator[Difference]:
    due, duties = owing.Owing(reference), transfers.Duties(reference)
    keys = None if narrowed is None else narrowed.keys
    seen: set[str] = set()
    async for dossier in dossiers(snapshot, keys):
        if "owing.missing" not in without and dossier.key:
            if narrowed is None:
                for difference in due.seen(dossier):
                    yield difference
            elif dossier.obligations:
                seen.add(dossier.key)
        for difference in _dossier(dossier, reference, without, duties):
            yield difference
    if "transfers" not in without:
        for difference in duties.compare():
            yield difference
    if "owing.missing" in without:
        return
    if narrowed is None:
        for difference in due.end():
            yield difference
    else:
        for difference in due.lacked(sorted(narrowed.keys - seen)):
            yield difference


def _guarded(
    name: str, key: str, differences: Iterator[Difference], subject: Subject = "obligation"
) -> Iterator[Difference]:
    """Turn a value so odd that a rule fails on it into a difference, so that it hides no other."""
    try:
        yield from differences
    except Exception as error:
        told = Teller("unreadable", name, key, "so được", "comparable", subject)
        yield told.difference("", f"{type(error).__name__}: {error}", "–")


def _dossier(
    dossier: Dossier, reference: Reference, without: Collection[str], duties: transfers.Duties
) -> Iterator[Difference]:
    for name, comparison in DOSSIERS.items():
        if name not in without:
            yield from _guarded(name, dossier.key, comparison(dossier, reference))
    for obligation in scores.read(dossier):
        if isinstance(obligation, Difference):
            yield obligation
            continue
        duties.seen(obligation)
        for name, of_obligation in OBLIGATIONS.items():
            if name not in without:
                yield from _guarded(name, dossier.key, of_obligation(obligation, dossier, reference))
    if not dossier.obligations and dossier.key:
        yield from scores.unknown(dossier)


async def reconcile(stores: Stores, settle_seconds: float) -> Result:
    """Look until nothing differs or the time is up; return the differences that every look found."""
    give_up_at = monotonic() + settle_seconds
    result = await compare(stores)
    while result.differences and monotonic() < give_up_at:
        await asyncio.sleep(min(PAUSE_SECONDS, settle_seconds))
        again = await compare(stores, narrowed=_Narrowed.of(result.differences))
        known = set(result.differences)
        lasting = Result(rows=result.rows)
        for difference in again.differences:
            if difference in known:
                lasting.take(difference)
        result = lasting
    return result
