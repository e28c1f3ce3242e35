"""What validator does with events. A verdict, its findings and its event commit together, once per submission."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from itertools import islice
from uuid import UUID

from services.validator import again, likeness, metrics, not_judged, store
from services.validator.domain import (
    Earlier,
    Judgement,
    Overran,
    Overrun,
    after_figures,
    standing,
)
from services.validator.form_cache import form_name
from services.validator.others import Others
from services.validator.references import reference_of
from services.validator.rules.catalogue import ALL_ZERO
from services.validator.rules.forms import FormError, compile_form
from services.validator.stopwatch import Limits
from shared.consuming.batch import Batch, Event
from shared.consuming.preparing import alone
from shared.contract.events import (
    AgencyRegistered,
    ReferenceTablePublished,
    RegimePublished,
    StepTaken,
    SubmissionReceived,
    VerdictReached,
    WaiverGranted,
    obligation_key,
)
from shared.contract.ids import new_id
from shared.contract.period import PeriodError, parse, preceding
from shared.outbox import publish
from shared.postgres.database import Transaction
from shared.runtime.clock import Clock
from shared.runtime.cpu import work_seconds
from shared.telemetry.logging import about_event, get_logger

log = get_logger()

#: what of the registry is kept
_Kept = RegimePublished | ReferenceTablePublished | WaiverGranted
#: how far back a report of zeros is compared
COMPARED_YEARS = 2
#: CPU seconds that rules about other reports may take of a transaction. One report's take at most 20 ms
#: by design (rules/pack_compiler.py, MAX_EFFORT_BACK) and are ended at their limit (stopwatch.py); what does not fit is
#: left to be judged alone.
LOOKING_SECONDS = 0.5
#: reports whose others are loaded together, where some add up what the agencies beneath report: each may have a
#: thousand of them (beneath.py, MAX_BENEATH)
ADDING_UP_TOGETHER = 20


async def keep_agencies(batch: Batch[AgencyRegistered], tx: Transaction) -> None:
    """Keep a copy of each agency's place in the tree."""
    await store.AGENCIES.save(tx, [event.body for event in batch])


async def keep_references(batch: Batch[_Kept], tx: Transaction) -> None:
    """Keep a copy of each published version of a reference table; an event that changes one is rejected."""
    events = [(event, event.body) for event in batch if isinstance(event.body, ReferenceTablePublished)]
    if not events:
        return
    kept = await store.lock_references(tx, sorted({event.key for event, _ in events}))
    changed: list[ReferenceTablePublished] = []
    for event, table in events:
        known = kept.get(event.key)
        if known is not None and known[1:] != (table.effective_from, table.checksum):
            batch.reject(
                event,
                f"{event.key}: a published version of a reference table never changes, but this event (version "
                f"{table.version}) has other columns, rows or effective_from than the one kept (version {known[0]})",
            )
            continue
        try:
            reference_of(table.columns, table.rows)
        except (ValueError, ArithmeticError, IndexError) as error:
            batch.reject(event, f"{event.key}: its rows cannot be read by its columns: {error!r}")
            continue
        kept[event.key] = (table.version, table.effective_from, table.checksum)
        changed.append(table)
    await store.REFERENCES.save(tx, changed)


async def keep_waivers(batch: Batch[_Kept], tx: Transaction) -> None:
    """Keep a copy of each waiver."""
    await store.WAIVERS.save(tx, [event.body for event in batch if isinstance(event.body, WaiverGranted)])


async def keep_regimes(batch: Batch[_Kept], tx: Transaction) -> None:
    """Keep a copy of each published regime version. Its form never changes: an event that changes it is rejected."""
    kept = await store.lock_regimes(tx, batch.keys)
    changed: dict[str, RegimePublished] = {}
    for event in batch:
        regime = event.body
        if not isinstance(regime, RegimePublished):
            continue
        version, form = kept.get(event.key, (None, None))
        if form is not None and form != regime.form:
            batch.reject(
                event,
                f"{event.key}: a published regime version never changes, but this event (version {regime.version}) has "
                f"another form than the one kept (version {version}); publish the change as a new regime version",
            )
            metrics.REGIMES_TOTAL.labels("refused").inc()
            continue
        if version is not None and regime.version <= version:
            metrics.REGIMES_TOTAL.labels("repeated").inc()
            continue
        try:
            compile_form(regime.form)
        except FormError as error:
            batch.reject(event, f"{event.key}: no submission could be judged by this form: {error}")
            metrics.REGIMES_TOTAL.labels("refused").inc()
            continue
        kept[event.key] = (regime.version, regime.form)
        changed[event.key] = regime
        metrics.REGIMES_TOTAL.labels("kept").inc()
    await store.REGIMES.save(tx, changed.values())


async def keep_withdrawals(batch: Batch[StepTaken], tx: Transaction) -> None:
    """Keep which reports were withdrawn, and when: what is received later is not compared with them."""
    await store.insert_withdrawals(
        tx,
        (
            (event.body.submission_id, event.body.obligation, event.body.at)
            for event in batch
            if event.body.kind == "withdrawn" and event.body.submission_id is not None
        ),
    )


async def record(
    batch: Batch[SubmissionReceived], tx: Transaction, *, clock: Clock, revision: int = 1, looking: Limits | None = None
) -> None:
    """Record a verdict on each submission that was judged before the transaction opened.

    One that could not be judged is kept to be judged again (not_judged.py). A submission that is in neither is deferred
    until its regime version arrives. `revision`: of the verdicts. `looking`: what rules about others may take.
    """
    decided_at = clock.now()
    judgements = await with_earlier(batch, tx, looking or Limits())
    await not_judged.keep(batch, tx, decided_at)
    verdicts: list[VerdictReached] = []
    any_nonzero: list[bool | None] = []
    figures: list[Mapping[str, str] | None] = []
    resembles: list[tuple[UUID, ...]] = []
    for event in batch:
        judgement = judgements.get(event.id)
        if event.id in batch.deferred or (event.id in batch.prepared and judgement is None):
            continue
        if judgement is None:
            batch.defer(event, form_name(event.body))
            metrics.DEFERRED_TOTAL.inc()
            continue
        body = event.body
        any_nonzero.append(judgement.any_nonzero)
        figures.append(judgement.kept_figures(body.figures))
        resembles.append(judgement.resembles)
        verdicts.append(
            VerdictReached.trusted(
                verdict_id=new_id(),
                submission_id=body.submission_id,
                obligation=body.obligation,
                agency=body.agency,
                regime=body.regime,
                regime_version=body.regime_version,
                period=body.period,
                version=body.version,
                revision=revision,
                officer_id=body.officer_id,
                received_at=body.received_at,
                decided_at=decided_at,
                nil=body.nil,
                outcome=judgement.outcome,
                errors=judgement.errors,
                warnings=judgement.warnings,
                waived=judgement.waived,
                required_items=judgement.required_items,
                present_items=judgement.present_items,
                findings=judgement.findings,
                findings_truncated=judgement.findings_truncated,
                rule_pack=judgement.rule_pack,
                compared_with=judgement.compared_with or None,
                looked_up=judgement.references.versions or None,
            )
        )
    if not verdicts:
        return
    inserted = await store.insert_verdicts(tx, verdicts, any_nonzero, figures, resembles)
    fresh = [verdict for verdict in verdicts if verdict.verdict_id in inserted]
    metrics.REPEATED_TOTAL.inc(len(verdicts) - len(fresh))
    await store.insert_findings(tx, fresh)
    await likeness.keep(batch, judgements, {verdict.submission_id for verdict in fresh}, tx)
    await again.note(batch, judgements, fresh, tx)
    await publish(tx, fresh)
    _count(fresh)


async def with_earlier(batch: Batch[SubmissionReceived], tx: Transaction, looking: Limits) -> dict[UUID, Judgement]:
    """The batch's judgements with what is to be said beside the agency's accepted reports of earlier periods.

    Without those that are left to be judged alone. One that is alone and takes more than it may, twice, is an Overrun
    in `batch.prepared` from then on.
    """
    judged: dict[UUID, Judgement] = {
        event_id: judgement for event_id, judgement in batch.prepared.items() if isinstance(judgement, Judgement)
    }
    if not any(judgement.is_compared for judgement in judged.values()):
        return judged
    withdrawn = await store.withdrawals(tx, [event.body.submission_id for event in batch])
    judged = await _compared(batch, judged, withdrawn, tx)
    return await likeness.compare(batch, await _looked_back(batch, judged, withdrawn, tx, looking), withdrawn, tx)


async def _compared(
    batch: Batch[SubmissionReceived], judged: dict[UUID, Judgement], withdrawn: Mapping[UUID, datetime], tx: Transaction
) -> dict[UUID, Judgement]:
    """The judgements, those of reports of zeros alone compared with the period before: in order, this batch's too."""
    earlier = {
        event.id: _earlier(event.body)
        for event in batch
        if (judgement := judged.get(event.id)) is not None and judgement.any_nonzero is False
    }
    if not earlier:
        return judged
    own = sorted({event.body.obligation for event in batch if event.id in earlier})
    accepted = await store.accepted_figures(tx, sorted({key for keys in earlier.values() for key in keys}))
    returned = await store.returned_for(tx, own, ALL_ZERO.code)
    for event in batch:
        judgement = judged.get(event.id)
        if judgement is None:
            continue
        obligation = event.body.obligation
        received_at = event.body.received_at
        stood = ((key, standing(accepted.get(key), received_at)) for key in earlier.get(event.id, ()))
        before = next(((key, held[1]) for key, held in stood if held is not None), None)
        if before is not None and before[1]:
            period = before[0].rpartition("/")[2]
            judgement = judged[event.id] = after_figures(judgement, period, confirmed=obligation in returned)
            if judgement.outcome == "returned":
                returned.add(obligation)
        if judgement.outcome == "accepted":
            held = (withdrawn.get(event.body.submission_id), judgement.any_nonzero)
            accepted[obligation] = [held, *accepted.get(obligation, ())]
    return judged


async def _looked_back(
    batch: Batch[SubmissionReceived],
    judged: dict[UUID, Judgement],
    withdrawn: Mapping[UUID, datetime],
    tx: Transaction,
    looking: Limits,
) -> dict[UUID, Judgement]:
    """The judgements with what rules say about other accepted reports: in order, this batch's too.

    A few queries for the batch, and only for forms that have such rules. What does not fit into LOOKING_SECONDS is
    deferred, to be judged alone, with the later events of its obligation; its judgement is left out. So is that of one
    that takes more than `looking`.
    """
    asking = {
        event.id: (event.body, judgement.looks_back)
        for event in batch
        if (judgement := judged.get(event.id)) is not None and judgement.looks_back is not None and not event.body.nil
    }
    if not asking:
        return judged
    adding_up = any(pack.adds_up for _, pack in asking.values())
    together = list(batched(asking, ADDING_UP_TOGETHER if adding_up else len(asking)))
    first_of = {ids[0]: ids for ids in together}
    others = Others.none()
    left: dict[str, str] = {}  # by obligation, what is awaited there
    spent = 0.0
    for event in batch:
        judgement = judged.get(event.id)
        if judgement is None:
            continue
        body = event.body
        if event.key not in left and event.id in asking and spent > LOOKING_SECONDS:
            left[event.key] = alone(event.id)
            metrics.JUDGED_APART_TOTAL.labels("later").inc()
        if event.key in left:
            batch.defer(event, left[event.key])
            del judged[event.id]
            continue
        if event.id in first_of:
            await others.add(tx, [asking[event_id] for event_id in first_of[event.id]])
        if event.id in asking:
            begun = work_seconds()
            beside = _judged_beside(others, judgement, body, looking, tries=2 if len(batch.events) == 1 else 1)
            spent += work_seconds() - begun
            if isinstance(beside, Overrun):
                del judged[event.id]
                if len(batch.events) == 1:
                    _give_up(batch, event, beside)
                else:
                    left[event.key] = alone(event.id)
                    metrics.JUDGED_APART_TOTAL.labels("later").inc()
                    batch.defer(event, left[event.key])
                continue
            judgement = judged[event.id] = beside
            await asyncio.sleep(0)  # heartbeats go on: a rule of rows may take milliseconds
        if judgement.outcome == "accepted":
            others.accept(body.obligation, (withdrawn.get(body.submission_id), partial(_as_earlier, judgement, body)))
    return judged


def _judged_beside(
    others: Others, judgement: Judgement, body: SubmissionReceived, looking: Limits, *, tries: int
) -> Judgement | Overrun:
    """The judgement beside others; where it ran over so many times."""
    while True:
        try:
            return others.judge(judgement, body, looking)
        except Overran as over:
            tries -= 1
            if not tries:
                return over.where


def _give_up(batch: Batch[SubmissionReceived], event: Event[SubmissionReceived], where: Overrun) -> None:
    batch.prepared = {**batch.prepared, event.id: where}
    metrics.JUDGED_APART_TOTAL.labels("over_budget").inc()
    with about_event(event.id, event.key, event.traceparent):
        log.warning(
            "A report could not be judged beside others.", action="looking.over_budget", limit=where.limit,
            tier=where.tier, rule=where.rule,
        )  # fmt: skip


def _as_earlier(judgement: Judgement, body: SubmissionReceived) -> Earlier | None:
    figures = judgement.kept_figures(body.figures)
    return None if figures is None else Earlier(body.submission_id, figures)


def batched(ids: Iterable[UUID], size: int) -> Iterator[tuple[UUID, ...]]:
    """As itertools.batched of newer Pythons."""
    rest = iter(ids)
    while part := tuple(islice(rest, size)):
        yield part


def _earlier(body: SubmissionReceived) -> list[str]:
    """The obligations of the agency by this regime for the periods before, the nearest first; ad hoc ones have none."""
    try:
        period = parse(body.period)
        keys = []
        first_year = period.year - COMPARED_YEARS
        while period.frequency != "adhoc" and (period := preceding(period)).year >= first_year:
            keys.append(obligation_key(body.agency, body.regime, period.id))
    except PeriodError:  # a period that is none, or the first of all
        return []
    return keys


def _count(verdicts: list[VerdictReached]) -> None:
    for outcome, number in Counter(verdict.outcome for verdict in verdicts).items():
        metrics.VERDICTS_TOTAL.labels(outcome).inc(number)
    kinds = Counter((finding.tier, finding.severity) for verdict in verdicts for finding in verdict.findings)
    for (tier, severity), number in kinds.items():
        metrics.FINDINGS_TOTAL.labels(tier, severity).inc(number)
