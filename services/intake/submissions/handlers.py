"""Use cases of intake: load, decide, save. The transaction is the door's; nothing here commits."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from services.intake.obligations.standing import Standing, fold
from services.intake.submissions import domain, event_encoding, store
from services.intake.submissions.domain import Decided, Pending
from shared.consuming.batch import Batch
from shared.contract.events import ComplianceEvent, NotificationRecorded, VerdictReached
from shared.outbox import caused_by, publish_encoded
from shared.postgres.database import Transaction


async def accept(tx: Transaction, group: Sequence[Pending]) -> list[Decided]:
    """Store a group of submissions with their events; one outcome for each, in the group's order.

    The obligations are locked before anything is read or published, so versions have no gap and the outbox's order
    is the order of versions. What a registry admitted that has changed since is left to be admitted again.
    """
    obligations = sorted({pending.obligation for pending in group})
    last_versions, registry_revision = await store.lock_obligations(tx, obligations)
    receipts, in_force = await store.known(tx, group, [key for key, last in last_versions.items() if last > 0])
    outcomes, fresh = domain.decide(group, last_versions, receipts, in_force, registry_revision)
    if fresh:
        await store.insert_submissions(tx, fresh)
        traces = {item.pending.obligation: item.pending.traceparent for item in fresh}
        with caused_by({obligation: trace for obligation, trace in traces.items() if trace}):
            await publish_encoded(tx, [event_encoding.outgoing(item) for item in fresh])
    return outcomes


async def follow(batch: Batch[VerdictReached | ComplianceEvent], tx: Transaction) -> None:
    """Keep what validation said of each submission and where each obligation stands, newest first known.

    A verdict on a submission that is not here waits for it: that happens only after intake's database was restored.
    """
    asked = [event.body.submission_id for event in batch if isinstance(event.body, VerdictReached)]
    stored = await store.stored_submissions(tx, asked) if asked else set()
    verdicts: list[VerdictReached] = []
    standings: dict[str, Standing] = {}
    for event in batch:
        match event.body:
            case VerdictReached() as verdict:
                if verdict.submission_id not in stored:
                    batch.wait(event, f"submission/{verdict.submission_id}")
                    continue
                verdicts.append(verdict)
            case compliance:
                standings[compliance.obligation] = fold(standings.get(compliance.obligation), compliance)
    await store.VERDICTS.save(tx, verdicts)
    await store.STANDINGS.save(tx, standings.values())


async def follow_notices(batch: Batch[NotificationRecorded], tx: Transaction) -> None:
    """Keep the newest word about each notice."""
    await store.NOTICES.save(tx, (event.body for event in batch))


async def known(tx: Transaction, names: Sequence[str]) -> set[str]:
    """Which of the awaited `submission/<id>` are stored by now."""
    ids = [UUID(name.removeprefix("submission/")) for name in names]
    return {f"submission/{submission_id}" for submission_id in await store.stored_submissions(tx, ids)}
