"""Proposes, grants and rejects reliefs; records each step with who took it, when and why. Nothing here commits.

A relief has no effect by itself: the sweep applies each version of it to the obligations it covers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from services.scoring import metrics
from services.scoring.reference_data import Rules
from services.scoring.reliefs import store
from shared.contract.working_days import CalendarGap
from shared.postgres.database import ReadTransaction, Transaction
from shared.runtime.clock import LOCAL_ZONE
from shared.telemetry.logging import get_logger
from shared.telemetry.readiness import Check

log = get_logger()

#: longer spans must be split, so that a mistyped month or year relieves nobody
MAX_SPAN = timedelta(days=60)

_UNKNOWN = {"agency": ("cơ quan", "agency"), "regime": ("chế độ", "regime"), "obligation": ("nghĩa vụ", "obligation")}
_STATUS_VI = {"proposed": "đề xuất", "granted": "đã chấp thuận", "rejected": "đã bác"}


class Refused(Exception):
    """A relief cannot be added or decided; the message has one sentence for each fault, in Vietnamese and English."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposed relief. An empty scope covers all."""

    starts_at: datetime
    ends_at: datetime
    reason: str
    by: str
    agencies: tuple[str, ...] = ()
    regimes: tuple[str, ...] = ()
    obligations: tuple[str, ...] = ()
    evidence: tuple[Mapping[str, Any], ...] = ()
    cause: str | None = None  # why the system proposes it by itself; None: a person does

    @property
    def relief_id(self) -> str:
        """Equal proposals have equal ids, so that repeating one stores nothing new."""
        span = (self.starts_at.timestamp(), self.ends_at.timestamp())
        content = [
            self.cause or self.reason,
            span,
            sorted(self.agencies),
            sorted(self.regimes),
            sorted(self.obligations),
        ]
        digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
        return f"{self.cause or 'GH'}-{self.starts_at.astimezone(LOCAL_ZONE):%Y%m%d}-{digest[:10]}"


@dataclass(frozen=True, slots=True)
class Decider:
    """Who decided, when and why."""

    name: str
    at: datetime
    reason: str


async def propose(tx: Transaction, proposal: Proposal, at: datetime, grace: timedelta) -> bool:
    """Store a proposal; return False if it exists already. Raises Refused with every fault.

    at: business time. Until it is decided, nobody it covers is called overdue before `grace` is over, counted from its
    end or from `at`, whichever is later.
    """
    faults = _faults_of_span(proposal) if proposal.cause is None else []
    for kind, name in await store.unknown(tx, proposal.agencies, proposal.regimes, proposal.obligations):
        vi, en = _UNKNOWN[kind]
        faults.append(f"Không có {vi} / there is no {en} {name}")
    if faults:
        raise Refused(*faults)
    hold_until = max(proposal.ends_at, at) + grace
    if not await _add(tx, proposal.relief_id, proposal, at, hold_until):
        return False
    if proposal.cause is not None:
        metrics.RELIEFS_PROPOSED_TOTAL.labels(proposal.cause).inc()
    log.info("A relief is proposed.", action="relief.proposed", relief=proposal.relief_id, by=proposal.by)
    return True


async def decide(
    tx: Transaction, relief_id: str, status: Literal["granted", "rejected"], by: str, reason: str, at: datetime
) -> None:
    """Grant or reject. Raises Refused.

    A rejected relief stays rejected. A granted one can be rejected while its span begins later than the policy's notice
    and nobody was reminded of a deadline that it moved: then people rely on it.
    """
    found = await store.lock_one(tx, relief_id)
    if found is None:
        raise Refused(f"Không có gia hạn / there is no relief {relief_id}")
    before = found.status
    if before == status or before == "rejected":
        raise Refused(f"{relief_id}: {_STATUS_VI[before]}, đã quyết định rồi / is decided already: {before}")
    if before == "granted" and (
        found.starts_at <= at
        or found.starts_at < await _notice_until(tx, at)
        or await store.has_reminded(tx, relief_id, found.starts_at)
    ):
        raise Refused(
            f"{relief_id}: đã chấp thuận và đã bắt đầu, sắp bắt đầu hoặc đã nhắc hạn theo đó; các cơ quan đang dựa vào "
            "đó nên không rút lại được / is granted and has begun, begins within the notice of a deadline, or people "
            "were reminded by it; agencies rely on it, so it cannot be taken back"
        )
    version = await store.decide(tx, relief_id, status, by, at)
    await _append(tx, relief_id, version, (before, status), by, reason, at)
    log.info("A relief is decided.", action="relief.decided", relief=relief_id, status=status, by=by)


async def _notice_until(tx: Transaction, at: datetime) -> datetime:
    """By the policy's notice. Raises Refused where the calendar does not reach so far."""
    try:
        return await Rules().notice_until(tx, at)
    except CalendarGap as gap:
        raise Refused(
            f"Chưa có lịch làm việc năm {gap.year} nên chưa tính được thời gian báo trước; nạp lịch rồi làm lại / "
            f"there is no calendar of {gap.year}, so the notice cannot be counted; load it, then decide"
        ) from gap


async def give(tx: Transaction, relief_id: str, proposal: Proposal, asked_at: datetime, by: Decider) -> bool:
    """Store a relief that is granted already where it was asked for; return False if it exists already."""
    if not await _add(tx, relief_id, proposal, asked_at, hold_until=None):
        return False
    version = await store.decide(tx, relief_id, "granted", by.name, by.at)
    await _append(tx, relief_id, version, ("proposed", "granted"), by.name, by.reason, by.at)
    return True


async def check_proposals(tx: ReadTransaction) -> Check:
    """Warn in readiness while a proposal waits for a decision."""
    waiting = await store.proposed(tx)
    if not waiting.reliefs:
        return Check(ok=True, detail="none waits for a decision")
    until = "" if waiting.hold_until is None else f", marks held back until {waiting.hold_until:%F %H:%M}Z"
    return Check(
        ok=True,
        detail=f"WARNING {waiting.reliefs} proposed, such as {waiting.first}{until}; "
        "see `python -m services.scoring reliefs list --status proposed`",
    )


async def publish_count(tx: ReadTransaction) -> None:
    """Set the gauge from the table."""
    metrics.PROPOSED_RELIEFS.set((await store.proposed(tx)).reliefs)


def _faults_of_span(proposal: Proposal) -> list[str]:
    faults = []
    if proposal.ends_at <= proposal.starts_at:
        faults.append("--to: phải sau --from / must be after --from")
    elif proposal.ends_at - proposal.starts_at > MAX_SPAN:
        faults.append(
            f"--from, --to: dài hơn {MAX_SPAN.days} ngày, hãy chia ra / longer than {MAX_SPAN.days} days: give parts"
        )
    return faults


async def _add(tx: Transaction, relief_id: str, proposal: Proposal, at: datetime, hold_until: datetime | None) -> bool:
    row = {
        "relief_id": relief_id, "starts_at": proposal.starts_at, "ends_at": proposal.ends_at,
        "hold_until": hold_until, "agencies": list(proposal.agencies),
        "regimes": list(proposal.regimes), "obligations": list(proposal.obligations), "reason": proposal.reason,
        "proposed_by": proposal.by, "proposed_at": at, "evidence": json.dumps(list(proposal.evidence)),
    }  # fmt: skip
    if not await store.add(tx, row):
        return False
    await _append(tx, relief_id, 1, (None, "proposed"), proposal.by, proposal.reason, at)
    return True


async def _append(
    tx: Transaction, relief_id: str, version: int, step: tuple[str | None, str], by: str, reason: str, at: datetime
) -> None:
    before, after = step
    await store.append_decision(
        tx,
        {
            "relief_id": relief_id, "version": version, "before": before, "after": after, "decided_by": by,
            "decided_at": at, "reason": reason,
        },
    )  # fmt: skip


def scope_of(row: Mapping[str, Any]) -> Sequence[str]:
    """Whom a stored relief covers, for a listing; empty: all."""
    return [*row["agencies"], *row["regimes"], *row["obligations"]]
