"""What becomes of a group of submissions, decided from what is stored under the locks of their obligations.

Versions of one obligation are 1, 2, … without gap; one idempotency key names one submission for ever; what is
unchanged against the version in force is not stored again.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from msgspec import Struct

from shared.reports.canonical import Tables
from shared.reports.limits import MAX_VERSIONS


class Pending(Struct, frozen=True, eq=False):
    """A submission that passed admission, not yet stored. `received_at` is the server's business time."""

    submission_id: UUID
    obligation: str
    agency: str
    regime: str
    regime_version: int
    period: str
    officer_id: str
    received_at: datetime
    idempotency_key: str
    sha256: bytes  # of the body, byte for byte
    content_sha256: bytes  # of what the body says
    body: bytes
    nil: bool
    figures: Mapping[str, str | None]
    narratives: Mapping[str, str]
    traceparent: str | None = None
    registry_revision: int = 0  # of the registry by which it was admitted
    nil_reason: str = ""
    declines: str = ""
    refer_to: str = ""
    tables: Tables | None = None  # None: none was sent

    @property
    def idempotency(self) -> tuple[str, str]:
        return self.agency, self.idempotency_key


class Receipt(Struct, frozen=True):
    """Proof that a submission is stored; the same for every repetition of the request."""

    submission_id: UUID
    obligation: str
    version: int
    received_at: datetime
    sha256: bytes


class InForce(Struct, frozen=True):
    """The latest version of an obligation that was not returned."""

    receipt: Receipt
    content_sha256: bytes


class Stored(Struct, frozen=True):
    """Stored by this request. `deadline`: of the obligation, as scoring has told it so far; None: not told yet."""

    receipt: Receipt
    deadline: datetime | None = None


class Replayed(Struct, frozen=True):
    """Stored by an earlier request with the same key and body. `deadline`: as of `Stored`, as it is now."""

    receipt: Receipt
    deadline: datetime | None = None


class KeyReused(Struct, frozen=True):
    """The idempotency key belongs to a submission with another body."""

    receipt: Receipt


class Unchanged(Struct, frozen=True):
    """The version in force says the same; nothing is stored."""

    receipt: Receipt


class NilAfterFigures(Struct, frozen=True):
    """Figures of this version are accepted: that there was nothing to report does not take their place."""

    receipt: Receipt


class TooManyVersions(Struct, frozen=True):
    """The obligation has as many versions as one may have."""

    obligation: str


class Lock(Struct, frozen=True):
    """When an obligation is locked, and until when somebody has unlocked it."""

    locks_at: datetime
    unlocked_until: datetime | None = None

    def holds(self, received_at: datetime) -> bool:
        """Whether a report received then is refused. At the lock's hour itself it is taken, as at the deadline."""
        if received_at <= self.locks_at:
            return False
        return self.unlocked_until is None or received_at > self.unlocked_until


class Locked(Struct, frozen=True):
    """The obligation is locked: nothing is stored."""

    obligation: str
    locks_at: datetime


class Outdated(Struct, frozen=True):
    """The registry has changed since it was admitted; nothing is stored, it has to be judged by what is in force."""


class Unknown(Struct, frozen=True):
    """The database did not answer in time: stored or not, only a repetition with the same key can tell."""


class Defect(Struct, frozen=True):
    """The database refused this one submission for a reason that admission should have found."""

    reason: str


_NO_LOCKS: Mapping[str, Lock] = MappingProxyType({})
_NO_DEADLINES: Mapping[str, datetime] = MappingProxyType({})
Decided = Stored | Replayed | KeyReused | Unchanged | NilAfterFigures | TooManyVersions | Locked | Outdated
SubmissionOutcome = Decided | Unknown | Defect


class Fresh(Struct, frozen=True):
    """A submission to be stored under its version."""

    pending: Pending
    version: int


def decide(
    group: Sequence[Pending],
    last_versions: MutableMapping[str, int],
    receipts: MutableMapping[tuple[str, str], Receipt],
    in_force: MutableMapping[str, InForce],
    registry_revision: int = 0,
    accepted_figures: Mapping[str, Receipt] | None = None,
    locks: Mapping[str, Lock] = _NO_LOCKS,
    deadlines: Mapping[str, datetime] = _NO_DEADLINES,
) -> tuple[list[Decided], list[Fresh]]:
    """One outcome for each of the group, in its order, and what is to be stored.

    The mappings hold what is stored for the group's obligations and idempotency keys; they are brought up to date,
    so that the second of two equal requests in one group meets the first. `registry_revision` is the one in force.
    `locks`: of the obligations that are locked at some hour. `deadlines`: of those whose deadline has been told.
    `accepted_figures`: the newest accepted version that holds figures, of each obligation to which a NIL comes.
    """
    outcomes: list[Decided] = []
    fresh: list[Fresh] = []
    for pending in group:
        receipt = receipts.get(pending.idempotency)
        if receipt is not None:
            if receipt.sha256 != pending.sha256:
                outcomes.append(KeyReused(receipt))
            elif receipt.submission_id == pending.submission_id:
                # our own commit, whose answer was lost
                outcomes.append(Stored(receipt, deadlines.get(receipt.obligation)))
            else:
                outcomes.append(Replayed(receipt, deadlines.get(receipt.obligation)))
            continue
        if pending.registry_revision < registry_revision:
            outcomes.append(Outdated())
            continue
        lock = locks.get(pending.obligation)
        if lock is not None and lock.holds(pending.received_at):
            outcomes.append(Locked(pending.obligation, lock.locks_at))
            continue
        current = in_force.get(pending.obligation)
        if current is not None and current.content_sha256 == pending.content_sha256:
            outcomes.append(Unchanged(current.receipt))
            continue
        if pending.nil and accepted_figures is not None and pending.obligation in accepted_figures:
            outcomes.append(NilAfterFigures(accepted_figures[pending.obligation]))
            continue
        version = last_versions[pending.obligation] + 1
        if version > MAX_VERSIONS:
            outcomes.append(TooManyVersions(pending.obligation))
            continue
        receipt = Receipt(pending.submission_id, pending.obligation, version, pending.received_at, pending.sha256)
        last_versions[pending.obligation] = version
        receipts[pending.idempotency] = receipt
        in_force[pending.obligation] = InForce(receipt, pending.content_sha256)
        fresh.append(Fresh(pending, version))
        outcomes.append(Stored(receipt, deadlines.get(pending.obligation)))
    return outcomes, fresh
