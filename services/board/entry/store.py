"""What the entry form reads and keeps: one obligation's form, draft and latest versions. Nothing here commits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import RowMapping, text

from services.board.entry.domain import Content, decode
from services.board.readmodel import queries
from shared.contract.events import ObligationChanged
from shared.contract.events.registry import Form
from shared.postgres.database import ReadTransaction, Transaction

_REGIME = text("""
    SELECT code, name, name_en, frequency, legal_basis, CAST(form AS text) AS form FROM regimes
     WHERE code = :code AND regime_version = :version
""")
_REQUEST = text("SELECT title, title_en, asked_by FROM requests WHERE request_id = :id")
#: who may answer for a report, as intake has it: designated for the regime, or the head
_ANSWERING = text("""
    SELECT officer_id, name, title, role FROM officers
     WHERE agency = :agency AND active AND (role = 'head' OR regimes = '{}' OR :regime = ANY(regimes))
     ORDER BY role = 'head', name, officer_id LIMIT :most
""")
_DRAFT = text("""
    SELECT d.version, d.saved_by, d.saved_at, CAST(d.document AS text) FROM drafts d WHERE d.obligation = :obligation
""")
_LATEST = """
    SELECT r.submission_id, r.obligation, r.version, r.officer_id, r.received_at, r.sha256, r.nil, v.outcome,
           v.decided_at, v.errors, v.warnings, CAST(v.findings AS text) AS findings, v.findings_truncated,
           EXISTS (SELECT FROM steps s WHERE s.obligation = r.obligation AND s.version = r.version
                                         AND s.kind = 'withdrawn') AS withdrawn
      FROM reports r LEFT JOIN verdicts v USING (submission_id)
"""
_NEWEST = text(f"{_LATEST} WHERE r.obligation = :obligation ORDER BY r.version DESC LIMIT 1")
_ONE = text(f"{_LATEST} WHERE r.submission_id = :submission_id")
_UNLOCKED = text("""
    SELECT until FROM steps WHERE obligation = :obligation AND kind = 'unlocked' ORDER BY at DESC, step_id DESC LIMIT 1
""")
# a number is never used twice: a page that showed a draft which is gone must not replace the next one
_SAVE = text("""
    INSERT INTO drafts AS d (obligation, version, saved_by, saved_at, document)
    VALUES (:obligation, nextval('draft_versions'), :saved_by, :saved_at, CAST(:document AS jsonb))
    ON CONFLICT (obligation) DO UPDATE
       SET version = excluded.version, saved_by = excluded.saved_by, saved_at = excluded.saved_at,
           document = excluded.document
     WHERE d.version = :seen
    RETURNING version
""")
# what was accepted or fell since it was saved, or lies for long. While the board follows anew, it hears first what an
# obligation was long before
_PRUNE = text("""
    DELETE FROM drafts WHERE obligation IN (
        SELECT d.obligation FROM drafts d LEFT JOIN obligations o USING (obligation)
         WHERE d.saved_at < :before OR NOT o.owed AND EXISTS (
               SELECT FROM obligation_documents k
                WHERE k.obligation = d.obligation AND CAST(k.document->>'at' AS timestamptz) >= d.saved_at) OR EXISTS (
               SELECT FROM reports r JOIN verdicts v USING (submission_id)
                WHERE r.obligation = d.obligation AND r.received_at >= d.saved_at AND v.outcome = 'accepted')
         LIMIT :limit)
""")
#: of one agency
MOST_ANSWERING = 200


@dataclass(frozen=True, slots=True)
class Draft:
    """What was typed, by whom it was saved last, and when (business time)."""

    version: int
    saved_by: str
    saved_at: datetime
    content: Content


@dataclass(frozen=True, slots=True)
class Task:
    """A report to fill in: how its obligation stands, the form, who may answer, what was typed and sent so far."""

    state: ObligationChanged
    regime: RowMapping | None
    form: Form | None  # None: the board does not have it yet
    request: RowMapping | None  # of an ad hoc or information request
    answering: Sequence[RowMapping]
    draft: Draft | None
    newest: RowMapping | None  # the newest version that has come
    before: RowMapping | None  # the last accepted version of the period before
    unlocked_until: datetime | None  # by the latest unlocking after the lock

    @property
    def findings(self) -> list[dict[str, Any]]:
        """What the newest version was judged to hold."""
        return findings_of(self.newest)


def findings_of(version: RowMapping | None) -> list[dict[str, Any]]:
    """The findings of a version's verdict; none while there is no verdict."""
    found = version["findings"] if version is not None else None
    return msgspec.json.decode(found, type=list[dict[str, Any]]) if found else []


async def task(snapshot: ReadTransaction, state: ObligationChanged) -> Task:
    """All of it that the board knows."""
    version = {"code": state.regime, "version": state.regime_version}
    regime = (await snapshot.execute(_REGIME, version)).mappings().one_or_none()
    of_it = {"agency": state.agency, "regime": state.regime}
    return Task(
        state,
        regime,
        Form.model_validate_json(regime["form"]) if regime is not None and regime["form"] else None,
        (await snapshot.execute(_REQUEST, {"id": state.period})).mappings().one_or_none(),
        (await snapshot.execute(_ANSWERING, {**of_it, "most": MOST_ANSWERING})).mappings().all(),
        await draft(snapshot, state.obligation),
        (await snapshot.execute(_NEWEST, {"obligation": state.obligation})).mappings().one_or_none(),
        await queries.accepted_before(snapshot, state),
        (await snapshot.execute(_UNLOCKED, {"obligation": state.obligation})).scalar_one_or_none(),
    )


async def draft(snapshot: ReadTransaction | Transaction, obligation: str) -> Draft | None:
    """The draft of the obligation's report."""
    row = (await snapshot.execute(_DRAFT, {"obligation": obligation})).one_or_none()
    return None if row is None else Draft(row[0], row[1], row[2], decode(row[3]))


async def version(snapshot: ReadTransaction, submission_id: UUID) -> RowMapping | None:
    """A version of a report with its verdict, as far as the board has heard of them."""
    return (await snapshot.execute(_ONE, {"submission_id": submission_id})).mappings().one_or_none()


async def save(
    tx: Transaction, obligation: str, content: Content, *, seen: int, saved_by: str, saved_at: datetime
) -> Draft | None:
    """Keep the content in the place of the draft that was `seen` (0: none); the draft it makes.

    None where somebody has saved another one since, which stays. What says the same as that is kept already.
    """
    given = {"obligation": obligation, "saved_by": saved_by, "saved_at": saved_at, "document": content.encode()}
    number = (await tx.execute(_SAVE, {**given, "seen": seen})).scalar_one_or_none()
    if number is not None:
        return Draft(number, saved_by, saved_at, content)
    kept = await draft(tx, obligation)
    return kept if kept is not None and kept.content == content else None


async def prune(tx: Transaction, before: datetime, limit: int = 5_000) -> int:
    """Drop drafts that nobody needs any more, and those last saved before that moment; returns how many."""
    return (await tx.execute(_PRUNE, {"before": before, "limit": limit})).rowcount
