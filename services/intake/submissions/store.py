"""Named queries on intake's submissions, each one statement for a whole group or batch; none ever commits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text

from services.intake import tables
from services.intake.submissions.domain import Fresh, InForce, Lock, Pending, Receipt, Replayed
from shared.contract.events import NotJudged, VerdictReached
from shared.postgres.bulk import names, parameters, unnest
from shared.postgres.database import ReadTransaction, Transaction
from shared.projection import Projection
from shared.runtime.trouble import InfrastructureTrouble

# The update changes nothing but locks the row, and lets RETURNING show it as whoever held the lock has left it.
_LOCK_OBLIGATIONS = text("""
    INSERT INTO obligations AS kept (obligation, last_version)
    SELECT key, 0 FROM unnest(CAST(:keys AS text[])) AS key ORDER BY key
    ON CONFLICT (obligation) DO UPDATE SET last_version = kept.last_version
    RETURNING obligation, last_version, (SELECT revision FROM registry_revision), locks_at, unlocked_until,
              (SELECT deadline FROM standings WHERE standings.obligation = kept.obligation)
""")

# The same without locks and without a row made, for who only looks.
_LOOK_AT_OBLIGATION = text("""
    SELECT coalesce(kept.last_version, 0), revision, locks_at, unlocked_until,
           (SELECT deadline FROM standings WHERE standings.obligation = :key)
    FROM registry_revision LEFT JOIN obligations AS kept ON kept.obligation = :key
""")

# What an agency withdrew or a reviewer sent back does not stand; nor what validation returned, unless an appeal was
# upheld. The same as `counts` of lifecycle/states.py, for the statements of the hot path.
NOT_TAKEN_BACK = """
    NOT EXISTS (SELECT FROM steps WHERE steps.submission_id = submission.submission_id AND steps.kind = 'withdrawn')
    AND (SELECT steps.kind FROM steps WHERE steps.submission_id = submission.submission_id
            AND steps.kind IN ('approved', 'rework') ORDER BY steps.number DESC LIMIT 1) IS DISTINCT FROM 'rework'
"""
UPHELD = """
    EXISTS (SELECT FROM steps WHERE steps.submission_id = submission.submission_id
                                AND steps.kind = 'appeal_upheld' AND steps.effect = 'accepted')
"""

# One round trip for both: what the idempotency keys name, and the newest version of each obligation not returned.
_RECEIPTS = text(f"""
    SELECT true AS by_key, named.idempotency_key, named.agency, named.submission_id, named.obligation, named.version,
           named.received_at, named.sha256, named.content_sha256
    FROM unnest(CAST(:agencies AS text[]), CAST(:keys AS text[])) AS asked (agency, key)
    CROSS JOIN LATERAL (
        SELECT * FROM submissions AS submission
        WHERE submission.agency = asked.agency AND submission.idempotency_key = asked.key LIMIT 1
    ) AS named
    UNION ALL
    SELECT false, '', latest.agency, latest.submission_id, latest.obligation, latest.version,
           latest.received_at, latest.sha256, latest.content_sha256
    FROM unnest(CAST(:resubmitted AS text[])) AS owed (obligation)
    CROSS JOIN LATERAL (
        SELECT submission.* FROM submissions AS submission
        LEFT JOIN verdicts USING (submission_id)
        WHERE submission.obligation = owed.obligation
          AND (verdicts.outcome IS DISTINCT FROM 'returned' OR {UPHELD}) AND {NOT_TAKEN_BACK}
        ORDER BY submission.version DESC LIMIT 1
    ) AS latest
""")  # noqa: S608 - constants of this module

_ACCEPTED_FIGURES = text(f"""
    SELECT accepted.* FROM unnest(CAST(:obligations AS text[])) AS owed (obligation)
    CROSS JOIN LATERAL (
        SELECT submission.submission_id, submission.obligation, submission.version, submission.received_at,
               submission.sha256
        FROM submissions AS submission JOIN verdicts USING (submission_id)
        WHERE submission.obligation = owed.obligation AND NOT submission.nil
          AND (verdicts.outcome = 'accepted' OR {UPHELD}) AND {NOT_TAKEN_BACK}
        ORDER BY submission.version DESC LIMIT 1
    ) AS accepted
""")  # noqa: S608 - constants of this module

# A key that another process committed meanwhile for another obligation leaves its row out of the answer.
_COLUMNS = {
    "submission_id": "uuid", "obligation": "text", "version": "int", "regime_version": "int", "officer_id": "text",
    "nil": "boolean", "received_at": "timestamptz", "idempotency_key": "text", "sha256": "bytea",
    "content_sha256": "bytea", "body": "bytea",
}  # fmt: skip
_STORE = text(f"""
    WITH fresh AS (
        SELECT * FROM {unnest(_COLUMNS)}
    ), raised AS (
        UPDATE obligations SET last_version = newest.version
        FROM (SELECT obligation, max(version) AS version FROM fresh GROUP BY obligation) AS newest
        WHERE obligations.obligation = newest.obligation
    )
    INSERT INTO submissions ({names(_COLUMNS)}, agency, regime, period)
    SELECT {names(_COLUMNS)}, split_part(obligation, '/', 1), split_part(obligation, '/', 2),
           split_part(obligation, '/', 3) FROM fresh
    ON CONFLICT (agency, idempotency_key) DO NOTHING
    RETURNING submission_id
""")  # noqa: S608 - constant names


_RECEIPT_OF_KEY = text("""
    SELECT submission_id, obligation, submissions.version, received_at, sha256, deadline
    FROM submissions LEFT JOIN standings USING (obligation)
    WHERE submissions.agency = :agency AND idempotency_key = :key
""")

_STORED = text("SELECT submission_id FROM submissions WHERE submission_id = ANY(CAST(:ids AS uuid[]))")


def _findings(verdict: VerdictReached | NotJudged) -> str:
    return f"[{','.join(finding.model_dump_json() for finding in verdict.findings)}]"


#: what validation said of each submission, the newest: a verdict, or that it could not be judged
VERDICTS: Projection[VerdictReached | NotJudged] = Projection(
    tables.verdicts,
    VerdictReached,
    values={"findings": _findings},
    version=("decided_at", "verdict_id"),
    on_change={
        "updated_at": "clock_timestamp()",
        "was_accepted": "kept.was_accepted OR kept.outcome = 'accepted'",
    },
)


class KeyTakenMeanwhile(InfrastructureTrouble):
    """Another process stored a submission under one of our idempotency keys after we looked: look again."""


class Known(NamedTuple):
    """What is stored of obligations, by key; nothing where they have none, and the registry's revision now."""

    last_versions: dict[str, int]
    registry_revision: int
    locks: dict[str, Lock]  # of those that ever lock
    deadlines: dict[str, datetime]  # as scoring has told them so far; a relief may still move them


async def lock_obligations(tx: Transaction, keys: Sequence[str]) -> Known:
    """Lock the rows of these obligations (sorted, distinct), made where missing.

    The first use of an obligation is race-free: of two processes one waits for the other. Rows are made and locked in
    sorted order, so no two groups wait for each other.
    """
    rows = (await tx.execute(_LOCK_OBLIGATIONS, {"keys": keys})).all()
    return Known(
        {row[0]: row[1] for row in rows},
        rows[0][2],
        {row[0]: Lock(row[3], row[4]) for row in rows if row[3] is not None},
        {row[0]: row[5] for row in rows if row[5] is not None},
    )


async def look_at_obligation(tx: ReadTransaction, key: str) -> Known:
    """As `lock_obligations`, of one, and locks nothing."""
    last_version, revision, locks_at, unlocked_until, deadline = (
        await tx.execute(_LOOK_AT_OBLIGATION, {"key": key})
    ).one()
    return Known(
        {key: last_version},
        revision,
        {} if locks_at is None else {key: Lock(locks_at, unlocked_until)},
        {} if deadline is None else {key: deadline},
    )


async def load_receipts(
    tx: Transaction, group: Sequence[Pending], resubmitted: Sequence[str]
) -> tuple[dict[tuple[str, str], Receipt], dict[str, InForce]]:
    """Receipts by (agency, idempotency key), and the version in force of each `resubmitted` obligation that has one.

    Call it after the obligations are locked: only then does it see what a waited-for group has stored.
    """
    rows = await tx.execute(
        _RECEIPTS,
        {
            "agencies": [pending.agency for pending in group],
            "keys": [pending.idempotency_key for pending in group],
            "resubmitted": resubmitted,
        },
    )
    receipts: dict[tuple[str, str], Receipt] = {}
    in_force: dict[str, InForce] = {}
    for by_key, key, agency, submission_id, obligation, version, received_at, sha256, content_sha256 in rows:
        receipt = Receipt(submission_id, obligation, version, received_at, sha256)
        if by_key:
            receipts[agency, key] = receipt
        else:
            in_force[obligation] = InForce(receipt, content_sha256)
    return receipts, in_force


async def accepted_figures(tx: ReadTransaction, obligations: Sequence[str]) -> dict[str, Receipt]:
    """Of each obligation that has one, the receipt of the newest accepted version that holds figures."""
    rows = await tx.execute(_ACCEPTED_FIGURES, {"obligations": list(obligations)})
    return {row.obligation: Receipt(*row) for row in rows}


async def replayed(tx: ReadTransaction, agency: str, idempotency_key: str) -> Replayed | None:
    """What is stored under an agency's idempotency key."""
    row = (await tx.execute(_RECEIPT_OF_KEY, {"agency": agency, "key": idempotency_key})).one_or_none()
    return None if row is None else Replayed(Receipt(*row[:5]), row[5])


async def insert_submissions(tx: Transaction, fresh: Sequence[Fresh]) -> None:
    """Store them and raise their obligations' versions. Raises KeyTakenMeanwhile, after which nothing may be kept."""
    # in the order of the unique key, so that two groups that meet on two keys do not wait for each other
    ordered = sorted(fresh, key=lambda item: item.pending.idempotency)
    rows = (
        (
            item.pending.submission_id,
            item.pending.obligation,
            item.version,
            item.pending.regime_version,
            item.pending.officer_id,
            item.pending.nil,
            item.pending.received_at,
            item.pending.idempotency_key,
            item.pending.sha256,
            item.pending.content_sha256,
            item.pending.body,
        )
        for item in ordered
    )
    stored = await tx.execute(_STORE, parameters(_COLUMNS, rows))
    if len(stored.all()) != len(ordered):
        raise KeyTakenMeanwhile("an idempotency key was taken by another process between lookup and insert")


async def stored_submissions(tx: Transaction, ids: Sequence[UUID]) -> set[UUID]:
    """Those of the ids that are stored."""
    return {row[0] for row in await tx.execute(_STORED, {"ids": list(ids)})}
