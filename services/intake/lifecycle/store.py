"""Steps in PostgreSQL, and what decides whether one may be taken. Rows are only ever added; nothing here commits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from services.intake.lifecycle.states import History, Taken, Version
from services.intake.lifecycle.waiting import OpenReview
from services.intake.registry.records import Registry
from shared.contract.events.registry import Certification, Review
from shared.contract.events.verdicts import EXPLAINABLE
from shared.postgres import bulk
from shared.postgres.database import ReadTransaction, Transaction

# The update changes nothing but locks the row, so that steps and versions of an obligation come one after another. A
# row is made only for what scoring has told of: else anyone could fill the table with made-up names.
_LOCK = text("""
    INSERT INTO obligations AS kept (obligation, last_version)
    SELECT CAST(:obligation AS text), 0
     WHERE EXISTS (SELECT FROM obligations WHERE obligation = :obligation)
        OR EXISTS (SELECT FROM standings WHERE obligation = :obligation)
    ON CONFLICT (obligation) DO UPDATE SET last_version = kept.last_version RETURNING obligation
""")
_VERSIONS = text("""
    SELECT submissions.obligation, submission_id, version, regime_version, officer_id, received_at, nil, outcome,
           coalesce(outcome = 'accepted' AND EXISTS (
               SELECT FROM jsonb_array_elements(findings) AS finding
                WHERE CASE WHEN finding ->> 'weight' IS NOT NULL THEN finding ->> 'weight' = 'confirm'
                           ELSE finding ->> 'severity' = 'warning'
                                AND (finding ->> 'code' = ANY(CAST(:codes AS text[]))
                                     OR (finding -> 'explain') = 'true') END), false),
           decided_at
      FROM submissions LEFT JOIN verdicts USING (submission_id)
     WHERE submissions.obligation = ANY(CAST(:obligations AS text[])) ORDER BY submissions.obligation, version
""")
_COLUMNS = "step_id, obligation, kind, at, taken_by, role, reason, since, until, effect, answers, submission_id, remedy"
_STEPS = text(f"""
    SELECT {_COLUMNS} FROM steps WHERE obligation = ANY(CAST(:obligations AS text[])) ORDER BY obligation, number
""")  # noqa: S608
_OBLIGATION_OF_STEP = text("SELECT obligation FROM steps WHERE step_id = :step_id")
_OBLIGATION_OF_SUBMISSION = text("SELECT obligation FROM submissions WHERE submission_id = :submission_id")
_STANDING = text("""
    SELECT regime_version, deadline, owed, overdue, standing, CAST(document ->> 'on_time' AS boolean)
      FROM standings WHERE obligation = :obligation
""")
_BY_KEY = text(f"""
    SELECT {_COLUMNS}, request_sha256 FROM steps WHERE taken_by = :taken_by AND idempotency_key = :key
""")  # noqa: S608
_INSERT = text("""
    INSERT INTO steps (step_id, obligation, kind, at, taken_by, role, reason, since, until, effect, answers,
                       submission_id, remedy, agency, idempotency_key, request_sha256)
    VALUES (:step_id, :obligation, :kind, :at, :by, :role, :reason, :since, :until, :effect, :answers, :submission_id,
            :remedy, :agency, :idempotency_key, :request_sha256)
    ON CONFLICT (taken_by, idempotency_key) DO NOTHING RETURNING step_id
""")
_UNLOCK = text("""
    UPDATE obligations SET unlocked_until = greatest(unlocked_until, :until) WHERE obligation = :obligation
""")


_LOCK_ALL = text("""
    SELECT obligation FROM obligations WHERE obligation = ANY(CAST(:obligations AS text[]))
     ORDER BY obligation FOR UPDATE
""")
_WANTED = text("""
    SELECT key, coalesce(record ->> 'certification', 'none'), coalesce(record ->> 'review', 'none') FROM registry
     WHERE key = ANY(CAST(:keys AS text[]))
       AND (coalesce(record ->> 'certification', 'none') <> 'none' OR coalesce(record ->> 'review', 'none') <> 'none')
""")
_OPENED = {
    "kind": "text", "about": "uuid", "obligation": "text", "agency": "text", "regime": "text", "since": "timestamptz",
}  # fmt: skip
_CLOSE = text(f"""
    DELETE FROM open_reviews AS kept
     WHERE obligation = ANY(CAST(:obligations AS text[]))
       AND NOT EXISTS (SELECT FROM {bulk.unnest(_OPENED)} WHERE row.kind = kept.kind AND row.about = kept.about)
""")  # noqa: S608 - column names of this module
_OPEN = text(f"""
    INSERT INTO open_reviews AS kept ({bulk.names(_OPENED)})
    SELECT * FROM {bulk.unnest(_OPENED)}
    ON CONFLICT (kind, about) DO UPDATE SET since = excluded.since WHERE kept.since <> excluded.since
""")  # noqa: S608 - column names of this module


class Wants(Struct, frozen=True):
    """What a regime asks for beside the report."""

    certification: Certification = "none"
    review: Review = "none"


class Terms(Struct, frozen=True):
    """What scoring has told of the obligation."""

    regime_version: int
    deadline: datetime
    owed: bool
    overdue: bool
    standing: str
    on_time: bool | None

    def late(self, now: datetime) -> bool:
        """Whether the report is late: what counts came after the deadline, or that lies behind and nothing stands.

        Within a grace nobody is called overdue; late it is all the same. What awaits its verdict may be in time yet.
        """
        missing = self.standing in ("nothing_sent", "returned") and now > self.deadline
        return self.owed and (self.overdue or self.on_time is False or missing)


async def obligation_of_submission(tx: ReadTransaction, submission_id: UUID) -> str | None:
    return (await tx.execute(_OBLIGATION_OF_SUBMISSION, {"submission_id": submission_id})).scalar_one_or_none()


async def obligation_of_step(tx: ReadTransaction, step_id: UUID) -> str | None:
    return (await tx.execute(_OBLIGATION_OF_STEP, {"step_id": step_id})).scalar_one_or_none()


async def lock(tx: Transaction, obligation: str) -> bool:
    """Lock the obligation's row; False where there is no such obligation."""
    return (await tx.execute(_LOCK, {"obligation": obligation})).first() is not None


async def versions_of(tx: ReadTransaction, obligations: Collection[str]) -> dict[str, list[Version]]:
    """The versions of each of these, by number."""
    found: dict[str, list[Version]] = {obligation: [] for obligation in obligations}
    rows = await tx.execute(_VERSIONS, {"obligations": sorted(found), "codes": sorted(EXPLAINABLE)})
    for obligation, *row in rows:
        found[obligation].append(Version(*row))
    return found


async def steps_of(tx: ReadTransaction, obligations: Collection[str]) -> dict[str, list[Taken]]:
    """The steps about each of these, in their order."""
    found: dict[str, list[Taken]] = {obligation: [] for obligation in obligations}
    for row in await tx.execute(_STEPS, {"obligations": sorted(found)}):
        step = Taken(*row)
        found[step.obligation].append(step)
    return found


async def history_of(tx: ReadTransaction, obligation: str, registry: Registry) -> History:
    """The obligation's versions and steps, and what its regime asks for."""
    return (await histories_of(tx, [obligation], registry))[obligation]


async def histories_of(tx: ReadTransaction, obligations: Sequence[str], registry: Registry) -> dict[str, History]:
    """The same of several obligations, by key."""
    sent, taken = await versions_of(tx, obligations), await steps_of(tx, obligations)
    return {key: _history(key, sent[key], taken[key], registry) for key in obligations}


def _history(obligation: str, sent: list[Version], taken: list[Taken], registry: Registry) -> History:
    regime = None
    if sent:
        regime = registry.regimes.get(obligation.split("/", 2)[1], {}).get(sent[-1].regime_version)
    return History(
        obligation,
        sent,
        taken,
        "none" if regime is None else regime.certification,
        "none" if regime is None else regime.review,
    )


async def terms(tx: ReadTransaction, obligation: str) -> Terms | None:
    """None until scoring has told of it."""
    row = (await tx.execute(_STANDING, {"obligation": obligation})).first()
    return None if row is None else Terms(*row)


async def by_key(tx: ReadTransaction, taken_by: str, idempotency_key: str) -> tuple[Taken, bytes] | None:
    """The step that was taken under this key, and the SHA-256 of what was asked for."""
    row: Sequence[Any] | None = (await tx.execute(_BY_KEY, {"taken_by": taken_by, "key": idempotency_key})).first()
    return None if row is None else (Taken(*row[:-1]), row[-1])


async def insert(tx: Transaction, step: Taken, idempotency_key: str, request_sha256: bytes) -> bool:
    """False where the key was used meanwhile."""
    row = {name: getattr(step, name) for name in step.__struct_fields__} | {
        "agency": step.obligation.split("/", 1)[0],
        "idempotency_key": idempotency_key,
        "request_sha256": request_sha256,
    }
    return (await tx.execute(_INSERT, row)).first() is not None


async def unlock(tx: Transaction, obligation: str, until: datetime) -> None:
    """Have reports taken again until then; an unlocking that lasts longer stands."""
    await tx.execute(_UNLOCK, {"obligation": obligation, "until": until})


async def lock_all(tx: Transaction, obligations: Collection[str]) -> None:
    """Lock the rows of these obligations that have one, in the order in which reports lock them."""
    await tx.execute(_LOCK_ALL, {"obligations": sorted(obligations)})


async def wanted(tx: ReadTransaction, regimes: Collection[tuple[str, int]]) -> dict[tuple[str, int], Wants]:
    """What these regime versions ask for: only those that ask for a certification or a review."""
    keys = {f"regime/{code}/{version}": (code, version) for code, version in regimes}
    return {keys[row[0]]: Wants(*row[1:]) for row in await tx.execute(_WANTED, {"keys": sorted(keys)})}


async def keep_open_reviews(tx: Transaction, found: Mapping[str, Sequence[OpenReview]]) -> None:
    """Have the open reviews of these obligations be these; their rows are locked."""
    rows = []
    for obligation, opened in sorted(found.items()):
        agency, regime, _ = obligation.split("/", 2)
        rows += [(review.kind, review.about, obligation, agency, regime, review.since) for review in opened]
    parameters = bulk.parameters(_OPENED, rows)
    await tx.execute(_CLOSE, {**parameters, "obligations": sorted(found)})
    if rows:
        await tx.execute(_OPEN, parameters)
