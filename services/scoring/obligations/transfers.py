"""Hands an agency's open obligations to its heir when it closes, or drops them, as its record says.

Facts and lines stay. The closed agency no longer owes the obligation, which names the heir; the heir owes one of its
own under the same terms, which names its origins. If the agency lives on after all, or a report that it sent before is
heard of, it owes the obligation again and the heir does not, unless the heir has answered: one duty, one score.
Nothing here commits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from msgspec.structs import replace

from services.scoring import metrics, registry
from services.scoring.obligations import deciding, domain, generator, store
from services.scoring.obligations.deciding import Proposed, outgoing
from services.scoring.obligations.domain import Obligation
from services.scoring.obligations.facts import NOTHING, Terms
from services.scoring.obligations.standing import untouched
from services.scoring.reference_data import Rules
from services.scoring.registry import Closing
from services.scoring.reliefs import store as reliefs
from shared.contract.events import obligation_key
from shared.contract.reporting_window import local_day
from shared.outbox import publish
from shared.postgres.database import Transaction

#: how many agencies one duty may pass through
MOST_HEIRS = 20


def heir_of(lost: Obligation, closing: Closing) -> str | None:
    """Return who owes it after its agency has closed; None if the period opened only after that."""
    return closing.heir if local_day(lost.terms.opens_at) <= closing.closed_on else None


def reported_by(handed: Obligation, closing: Closing) -> bool:
    """Whether the agency sent a report before it closed that is accepted, or still may be."""
    return any(
        local_day(version.received_at) <= closing.closed_on
        and (version.accepted or (not version.verdicts and version.withdrawn_at is None))
        for version in handed.facts.versions
    )


def inherited(lost: Obligation, known: Obligation | None, notice_until: datetime) -> Terms | None:
    """Return the heir's terms; None if its own obligation stays as it is, whose report answers for both.

    The deadline stays, but is not before `notice_until`: the heir learns of it only now.
    """
    origins = lost.terms.origins or (lost.agency,)
    if known is not None and known.terms.owed:
        merged = tuple(sorted({*known.terms.origins, *origins}))
        return replace(known.terms, origins=merged) if known.terms.origins and merged != known.terms.origins else None
    deadline = max(lost.terms.deadline, notice_until)
    return replace(lost.terms.due_at(deadline), owed=True, origins=origins, heir=None)


def given_back(handed: Obligation, last: Obligation, notice_until: datetime) -> tuple[Terms, Terms] | None:
    """Return the terms of the agency that lives on, and of the last heir; None if that heir has answered.

    An agency that was overdue before is overdue again; others get notice, since they were told that they owed nothing.
    """
    if last.terms.origins and last.state.answer is not None:
        return None
    left = tuple(sorted({*last.terms.origins} - {*(handed.terms.origins or (handed.agency,))}))
    heirs = replace(last.terms, origins=left, owed=bool(left)) if last.terms.origins else last.terms
    deadline = handed.terms.deadline if handed.facts.passed_at else max(handed.terms.deadline, notice_until)
    return replace(handed.terms.due_at(deadline), owed=True, heir=None), heirs


async def take_back(
    tx: Transaction,
    rules: Rules,
    handed_on: Sequence[Obligation],
    closings: Mapping[str, Closing],
    now: datetime,
    notice: Callable[[Terms], datetime],
) -> int:
    """Make agencies owe again what they handed on, if they live on or close otherwise. Returns how many changed."""
    count = 0
    for handed in handed_on:
        closing = closings.get(handed.agency)
        closed = closing is not None and local_day(handed.terms.deadline) > closing.closed_on
        if (
            closing is not None
            and closed
            and heir_of(handed, closing) == handed.terms.heir
            and not reported_by(handed, closing)
        ):
            continue
        last = await _last_heir(tx, handed)
        if last is None:
            continue
        await rules.fetch(tx, {handed.terms.calendar_version}, {handed.terms.policy_version})
        terms = given_back(handed, last, notice(handed.terms))
        if terms is None:
            continue
        proposed = [Proposed(handed, terms[0], handed.facts, now), Proposed(last, terms[1], last.facts, now)]
        moved = [change for change in proposed if change.terms is not change.before.terms]
        count += await deciding.settle_all(tx, rules, moved)
    return count


async def _last_heir(tx: Transaction, handed: Obligation) -> Obligation | None:
    last = handed
    for _ in range(MOST_HEIRS):
        if last.terms.heir is None:
            return None if last is handed else last
        key = obligation_key(last.terms.heir, handed.regime, handed.period)
        found = (await store.lock_obligations(tx, [key])).get(key)
        if found is None:
            return None
        last = found
    return None


async def close(
    tx: Transaction,
    rules: Rules,
    lost: Sequence[Obligation],
    closings: Mapping[str, Closing],
    now: datetime,
    notice: Callable[[Terms], datetime],
) -> int:
    """Move these obligations from closed agencies to their heirs. Returns how many obligations changed."""
    heirs = {handed.key: heir_of(handed, closings[handed.agency]) for handed in lost}
    proposed = [
        Proposed(handed, replace(handed.terms, owed=False, heir=heirs[handed.key]), handed.facts, now)
        for handed in lost
    ]
    metrics.WITHDRAWN_TOTAL.inc(len(lost))
    count = await deciding.settle_all(tx, rules, proposed)
    wanted: dict[str, list[Obligation]] = {}
    for handed in lost:
        if (heir := heirs[handed.key]) is not None:
            wanted.setdefault(obligation_key(heir, handed.regime, handed.period), []).append(handed)
    if not wanted:
        return count
    known = await store.lock_obligations(tx, sorted(wanted))
    first_version = await generator.first_version(tx)
    opened: list[Obligation] = []
    changed: list[Proposed] = []
    for key, sources in sorted(wanted.items()):
        before = known.get(key)
        terms: Terms | None = None
        for source in sources:
            base = before if terms is None else Obligation(key, 0, terms, NOTHING, untouched(terms))
            terms = inherited(source, base, notice(source.terms)) or terms
        if terms is None:
            continue
        if before is None:
            opened.append(Obligation(key, first_version, terms, NOTHING, untouched(terms)))
        else:
            changed.append(Proposed(before, terms, before.facts, now))
    made = await store.insert(tx, [(obligation, now) for obligation in opened])
    told = [obligation for obligation in opened if obligation.key in made]
    await publish(tx, [outgoing(domain.published(obligation, ("opened",), now)) for obligation in told])
    metrics.OBLIGATIONS_OPENED_TOTAL.labels("generator").inc(len(made))
    if opened:
        await reliefs.apply_again(tx, min(obligation.terms.deadline for obligation in opened))
    count += len(made) + await deciding.settle_all(tx, rules, changed)
    # an heir that closes too hands them on
    await registry.look_again(tx, {key.partition("/")[0] for key in wanted})
    return count
