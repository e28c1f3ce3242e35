"""What validator does with events. A verdict, its findings and its event commit together, once per submission."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.validator import likeness, metrics, store
from services.validator.beneath import MAX_BENEATH, Beneath, directly_below, ever_above
from services.validator.domain import (
    Earlier,
    Judgement,
    after_figures,
    after_history,
    standing,
)
from services.validator.form_cache import form_name
from services.validator.periods import obligation_before, obligation_year_ago
from services.validator.references import reference_of
from services.validator.rules.catalogue import ALL_ZERO
from services.validator.rules.forms import FormError, compile_form
from services.validator.rules.packs import Pack
from shared.consuming.batch import Batch
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
from shared.contract.hierarchy import Tree
from shared.contract.ids import new_id
from shared.contract.period import PeriodError, around, cutoff_range, parse, preceding
from shared.outbox import publish
from shared.postgres.database import Transaction
from shared.runtime.clock import Clock

#: what of the registry is kept
_Kept = RegimePublished | ReferenceTablePublished | WaiverGranted
#: how far back a report of zeros is compared
COMPARED_YEARS = 2


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


async def record(batch: Batch[SubmissionReceived], tx: Transaction, *, clock: Clock) -> None:
    """Record a verdict on each submission that was judged before the transaction opened.

    A submission that was not judged is deferred until its regime version arrives.
    """
    decided_at = clock.now()
    verdicts: list[VerdictReached] = []
    any_nonzero: list[bool | None] = []
    figures: list[Mapping[str, str] | None] = []
    resembles: list[tuple[UUID, ...]] = []
    judgements = await with_earlier(batch, tx)
    for event in batch:
        judgement = judgements.get(event.id)
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
    await publish(tx, fresh)
    _count(fresh)


async def with_earlier(batch: Batch[SubmissionReceived], tx: Transaction) -> dict[UUID, Judgement]:
    """The batch's judgements with what is to be said beside the agency's accepted reports of earlier periods."""
    judged: dict[UUID, Judgement] = dict(batch.prepared)
    if not any(judgement.is_compared for judgement in judged.values()):
        return judged
    withdrawn = await store.withdrawals(tx, [event.body.submission_id for event in batch])
    judged = await _compared(batch, judged, withdrawn, tx)
    return await likeness.compare(batch, await _looked_back(batch, judged, withdrawn, tx), withdrawn, tx)


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
    batch: Batch[SubmissionReceived], judged: dict[UUID, Judgement], withdrawn: Mapping[UUID, datetime], tx: Transaction
) -> dict[UUID, Judgement]:
    """The judgements with what rules say about the agency's other accepted reports: in order, this batch's too.

    One query for the batch, and only for forms that have such rules.
    """
    wanted = {
        event.id: _Compared.of(event.body, judgement.looks_back)
        for event in batch
        if (judgement := judged.get(event.id)) is not None and judgement.looks_back is not None and not event.body.nil
    }
    if not wanted:
        return judged
    beneath = await _beneath([event.body for event in batch if event.id in wanted and wanted[event.id].adds_up], tx)
    keys = {key for compared in wanted.values() for key in compared.keys}
    keys |= {key for found in beneath.values() for key in found}
    accepted = await store.looked_back_to(tx, sorted(keys))
    for event in batch:
        judgement = judged.get(event.id)
        if judgement is None:
            continue
        body = event.body
        if (compared := wanted.get(event.id)) is not None:
            stood = {
                key: held[1]
                for key in compared.keys
                if (held := standing(accepted.get(key), body.received_at)) is not None
            }
            others = {
                regime: found
                for regime, keys in compared.others.items()
                if (found := next(filter(None, map(stood.get, keys)), None)) is not None
            }
            below = beneath.get(body.submission_id, ())
            children = [held and held[1] for held in (standing(accepted.get(key), body.received_at) for key in below)]
            known = body.submission_id in beneath and None not in children
            judgement = judged[event.id] = after_history(
                judgement,
                body.figures,
                body.period,
                stood.get(compared.previous or ""),
                stood.get(compared.year_ago or ""),
                others=others,
                given_narratives=body.narratives,
                given_tables=body.tables,
                children=[child for child in children if child is not None] if known else None,
            )
            await asyncio.sleep(0)  # heartbeats go on: a rule of rows may take milliseconds
        figures = judgement.kept_figures(body.figures)
        if figures is not None:
            held = (withdrawn.get(body.submission_id), Earlier(body.submission_id, figures))
            accepted[body.obligation] = [held, *accepted.get(body.obligation, ())]
    return judged


async def _beneath(bodies: Sequence[SubmissionReceived], tx: Transaction) -> dict[UUID, list[str]]:
    """The obligations of the nearest agencies beneath that report under the same regime, by submission.

    Left out where they are not known: the period has no cut-off, the agency or the regime's terms are not here yet, or
    there are too many. One query for a level of the tree, for all reports together.
    """
    names = await store.in_place(tx, sorted({form_name(body) for body in bodies})) if bodies else {}
    terms = await store.terms(tx, names.values()) if names else {}
    searches: dict[UUID, Beneath] = {}
    for body in bodies:
        if (known_terms := terms.get(names.get(form_name(body), ""))) is not None:
            validity, submitters = known_terms
            with suppress(PeriodError):
                day = cutoff_range(parse(body.period), validity.frequency, validity.cutoff)[1]
                searches[body.submission_id] = Beneath(body.agency, day, submitters)
    if not searches:
        return {}
    known = {agency.code: agency for agency in await store.agencies(tx, {one.root for one in searches.values()})}
    searches = {key: one for key, one in searches.items() if one.root in known}
    missing = ever_above(known.values(), known)
    while missing and (above := await store.agencies(tx, missing)):
        known |= {agency.code: agency for agency in above}
        missing = ever_above(above, known)
    while wanted := {code for one in searches.values() for code in one.ahead}:
        level = await store.agencies(tx, wanted, below=True)
        known |= {agency.code: agency for agency in level}
        tree = Tree({code: agency.above for code, agency in known.items()})
        below = {day: directly_below(level, day) for day in {one.day for one in searches.values()}}
        for one in searches.values():
            one.look(tree, below[one.day])
    by_submission = {body.submission_id: body for body in bodies}
    return {
        key: [obligation_key(code, by_submission[key].regime, by_submission[key].period) for code in one.found]
        for key, one in searches.items()
        if len(one.found) <= MAX_BENEATH
    }


@dataclass(frozen=True, slots=True)
class _Compared:
    """The obligations whose accepted reports a report is compared with; of `others` by regime, the nearest first."""

    previous: str | None
    year_ago: str | None
    others: Mapping[str, tuple[str, ...]]
    adds_up: bool  # over the reports of the agencies beneath

    @property
    def keys(self) -> Iterator[str]:
        yield from (key for key in (self.previous, self.year_ago) if key is not None)
        for keys in self.others.values():
            yield from keys

    @classmethod
    def of(cls, body: SubmissionReceived, pack: Pack) -> _Compared:
        try:
            periods = [found.id for found in around(parse(body.period))]
        except PeriodError:
            periods = []
        return cls(
            obligation_before(body),
            obligation_year_ago(body),
            {
                regime: tuple(obligation_key(body.agency, regime, period) for period in periods)
                for regime in pack.refers_to
            },
            bool(pack.adds_up),
        )


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
