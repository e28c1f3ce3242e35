"""Use cases of submissions: load, decide, save. The edge commits the transaction; nothing here does."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from services.intake.submissions import domain, event_encoding, store
from services.intake.submissions.domain import Decided, Pending
from shared.consuming.batch import Batch
from shared.contract.events import ComplianceEvent, NotJudged, VerdictReached
from shared.outbox import caused_by, publish_encoded
from shared.postgres.database import ReadTransaction, Transaction


async def accept(tx: Transaction, group: Sequence[Pending]) -> list[Decided]:
    """Store a group of submissions with their events; one outcome for each, in the group's order.

    The obligations are locked before anything is read or published, so versions have no gap and the outbox's order
    is the order of versions. What a registry admitted that has changed since is left to be admitted again.
    """
    obligations = sorted({pending.obligation for pending in group})
    last_versions, revision, locks, deadlines = await store.lock_obligations(tx, obligations)
    receipts, in_force = await store.load_receipts(tx, group, [key for key, last in last_versions.items() if last > 0])
    nils = {pending.obligation for pending in group if pending.nil and last_versions[pending.obligation]}
    figures = await store.accepted_figures(tx, sorted(nils)) if nils else None
    outcomes, fresh = domain.decide(group, last_versions, receipts, in_force, revision, figures, locks, deadlines)
    if fresh:
        await store.insert_submissions(tx, fresh)
        traces = {item.pending.obligation: item.pending.traceparent for item in fresh}
        with caused_by({obligation: trace for obligation, trace in traces.items() if trace}):
            await publish_encoded(tx, [event_encoding.outgoing(item) for item in fresh])
    return outcomes


async def look(tx: ReadTransaction, pending: Pending) -> Decided:
    """What `accept` would say of it now. Nothing is locked or stored, so another report may come in between."""
    key = pending.obligation
    last_versions, revision, locks, deadlines = await store.look_at_obligation(tx, key)
    _, in_force = await store.load_receipts(tx, (), [key] if last_versions[key] else [])
    figures = await store.accepted_figures(tx, [key]) if pending.nil and last_versions[key] else None
    [outcome], _ = domain.decide([pending], last_versions, {}, in_force, revision, figures, locks, deadlines)
    return outcome


async def apply_verdicts(batch: Batch[VerdictReached | NotJudged | ComplianceEvent], tx: Transaction) -> None:
    """Keep the newest verdict on each submission, or that it could not be judged.

    A verdict on a submission that is not here is deferred: that happens only after intake's database was restored.
    """
    asked = [event.body.submission_id for event in batch if isinstance(event.body, VerdictReached | NotJudged)]
    if not asked:
        return
    stored = await store.stored_submissions(tx, asked)
    verdicts: list[VerdictReached | NotJudged] = []
    for event in batch:
        if not isinstance(event.body, VerdictReached | NotJudged):
            continue
        if event.body.submission_id in stored:
            verdicts.append(event.body)
        else:
            batch.defer(event, f"submission/{event.body.submission_id}")
    await store.VERDICTS.save(tx, verdicts)


async def stored(tx: Transaction, names: Sequence[str]) -> set[str]:
    """Those of the awaited names, `submission/<id>`, that are stored by now."""
    ids = [UUID(name.removeprefix("submission/")) for name in names]
    return {f"submission/{submission_id}" for submission_id in await store.stored_submissions(tx, ids)}
