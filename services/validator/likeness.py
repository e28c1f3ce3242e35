"""Compares the texts of accepted reports with the agency's last report and with other agencies' of the same period.

Only accepted reports are kept to compare with, and only those received earlier are looked at: a copy that comes later
says nothing of its original.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from services.validator import store
from services.validator.domain import Judgement, Kept, Section, after_texts, standing
from services.validator.periods import obligation_before
from services.validator.rules import fingerprints
from shared.consuming.batch import Batch
from shared.contract.events import SubmissionReceived
from shared.postgres.database import ReadTransaction, Transaction

#: kept texts that one section is compared with, the earliest of those that share a band with it
MOST_CANDIDATES = 50


async def compare(
    batch: Batch[SubmissionReceived],
    judged: dict[UUID, Judgement],
    withdrawn: Mapping[UUID, datetime],
    tx: ReadTransaction,
) -> dict[UUID, Judgement]:
    """The judgements with what is said of near-copies: in order, this batch's too. Two queries for the batch.

    `withdrawn`: when reports of the batch were, by submission.
    """
    wanted = {
        event.id: event.body
        for event in batch
        if (judgement := judged.get(event.id)) is not None and judgement.compared
    }
    if not wanted:
        return judged
    before = {event_id: obligation_before(body) for event_id, body in wanted.items()}
    last = await store.last_fingerprints(tx, sorted({key for key in before.values() if key is not None}))
    asked = [
        (event_id, section, bands_of(body, section))
        for event_id, body in wanted.items()
        for section in judged[event_id].compared
    ]
    stored = await store.candidates(
        tx,
        [(wanted[event_id].agency, wanted[event_id].received_at, bands) for event_id, _, bands in asked],
        limit=MOST_CANDIDATES,
    )
    found: dict[UUID, dict[str, list[Kept]]] = defaultdict(dict)
    bands: dict[tuple[UUID, str], tuple[int, ...]] = {}
    for (event_id, section, of_section), near in zip(asked, stored, strict=True):
        found[event_id][section.code] = near
        bands[event_id, section.code] = of_section
    of_batch: dict[int, list[Kept]] = defaultdict(list)
    for event_id, body in wanted.items():
        judgement = judged[event_id]
        for section in judgement.compared:
            near = found[event_id][section.code]
            in_batch = {
                kept.submission_id: kept
                for band in bands[event_id, section.code]
                for kept in of_batch[band]
                if kept.agency != body.agency
                and kept.received_at < body.received_at
                and standing([(withdrawn.get(kept.submission_id), kept)], body.received_at) is not None
            }
            near.extend(in_batch.values())
        key = before[event_id]
        own = {
            section.code: held[1]
            for section in judgement.compared
            if key is not None and (held := standing(last.get((key, section.code)), body.received_at)) is not None
        }
        judged[event_id] = judgement = after_texts(judgement, own, found[event_id])
        for section in judgement.compared:
            kept = kept_of(body, section)
            place = (body.obligation, section.code)
            last[place] = [(withdrawn.get(body.submission_id), kept), *last.get(place, ())]
            if not judgement.resembles:
                for band in bands[event_id, section.code]:
                    if len(of_batch[band]) < MOST_CANDIDATES:
                        of_batch[band].append(kept)
    return judged


async def keep(
    batch: Batch[SubmissionReceived], judged: Mapping[UUID, Judgement], fresh: Collection[UUID], tx: Transaction
) -> None:
    """Keep the fingerprints of the accepted reports among the submissions whose verdicts are new."""
    await store.insert_fingerprints(
        tx,
        (
            (
                section.code,
                event.body.version,
                kept_of(event.body, section),
                () if judgement.resembles else bands_of(event.body, section),
            )
            for event in batch
            if event.body.submission_id in fresh and (judgement := judged.get(event.id)) is not None
            for section in judgement.compared
        ),
    )


def bands_of(body: SubmissionReceived, section: Section) -> tuple[int, ...]:
    """The bands of a section, which only sections of this name, regime and period share."""
    return fingerprints.bands(section.buckets, f"{body.regime}/{body.period}/{section.code}")


def kept_of(body: SubmissionReceived, section: Section) -> Kept:
    """What later reports are compared with."""
    return Kept(body.submission_id, body.obligation, body.agency, body.received_at, section.buckets)
