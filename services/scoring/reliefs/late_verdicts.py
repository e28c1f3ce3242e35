"""Proposes a relief for agencies whose reports were returned late, which leaves them less time to correct.

A verdict is late if it comes more than a stated time after the receipt. Late verdicts are gathered into one proposal:
an hour of a slow validator is one decision for a person, not one for each report. Meanwhile nobody concerned is called
overdue.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from sqlalchemy import text

from services.scoring.obligations.domain import Obligation
from services.scoring.obligations.facts import Version
from services.scoring.reliefs import decisions
from services.scoring.reliefs.decisions import Proposal
from services.scoring.reliefs.lost_time import compensation, kept, shown
from shared.postgres.bulk import names, parameters, unnest
from shared.postgres.database import Transaction
from shared.runtime.clock import Clock

#: how long late verdicts are gathered into one proposal, and how many at most
GATHER = timedelta(minutes=10)
MOST_TOGETHER = 1_000

_COLUMNS = {"obligation": "text", "report_version": "int", "due_at": "timestamptz", "decided_at": "timestamptz"}
_KEEP = text(f"""
    INSERT INTO late_verdicts ({names(_COLUMNS)}) SELECT {names(_COLUMNS)} FROM {unnest(_COLUMNS)}
    ON CONFLICT DO NOTHING
""")  # noqa: S608 - constant names
_DUE = text("SELECT true FROM late_verdicts HAVING min(recorded_at) <= clock_timestamp() - CAST(:gather AS interval)")
_TAKE = text("""
    DELETE FROM late_verdicts WHERE (obligation, report_version) IN (
        SELECT obligation, report_version FROM late_verdicts ORDER BY recorded_at, obligation LIMIT :limit FOR UPDATE
    ) RETURNING obligation, due_at, decided_at
""")


class Late(Struct, frozen=True):
    """A version of a report that was returned at `decided_at`, though it should have been judged by `due_at`."""

    obligation: str
    version: int
    due_at: datetime
    decided_at: datetime

    @property
    def relieved_until(self) -> datetime:
        return self.decided_at + compensation(self.decided_at - self.due_at)


def late_of(obligation: Obligation, longest: timedelta) -> list[Late]:
    """Return the versions returned late, near the deadline or after it, if the obligation is not answered in time."""
    if not obligation.state.owed or obligation.state.on_time:
        return []
    found = []
    for version in obligation.facts.versions:
        returned_at = _returned_at(version)
        if returned_at is None or returned_at - version.received_at <= longest:
            continue
        late = Late(obligation.key, version.number, version.received_at + longest, returned_at)
        if obligation.state.deadline <= late.relieved_until:
            found.append(late)
    return found


def _returned_at(version: Version) -> datetime | None:
    """Return since when it has been returned: a revision that returns it again tells its agency nothing new."""
    since = None
    for verdict in version.verdicts:
        if verdict.outcome != "returned":
            since = None
        elif since is None:
            since = verdict.decided_at
    return since


class LateVerdicts:
    """longest: how long a verdict may take after the receipt of its report."""

    def __init__(self, business: Clock, longest: timedelta, grace: timedelta, *, gather: timedelta = GATHER) -> None:
        self._business = business
        self._longest = longest
        self._grace = grace
        self._gather = gather

    async def keep(self, tx: Transaction, before: Sequence[Obligation], after: Sequence[Obligation]) -> None:
        """Keep what these obligations have that was late, and had not before."""
        known = {late for obligation in before for late in late_of(obligation, self._longest)}
        found = [late for obligation in after for late in late_of(obligation, self._longest) if late not in known]
        if found:
            rows = [(late.obligation, late.version, late.due_at, late.decided_at) for late in found]
            await tx.execute(_KEEP, parameters(_COLUMNS, rows))

    async def propose(self, tx: Transaction) -> bool:
        """One relief for what has been gathered; False while nothing has been gathered for long enough."""
        if (await tx.execute(_DUE, {"gather": self._gather})).first() is None:
            return False
        rows = await tx.execute(_TAKE, {"limit": MOST_TOGETHER})
        late = [Late(row.obligation, 0, row.due_at, row.decided_at) for row in rows]
        starts_at, decided_at = min(row.due_at for row in late), max(row.decided_at for row in late)
        hours = self._longest.total_seconds() / 3600
        proposal = Proposal(
            starts_at,
            max(row.relieved_until for row in late),
            f"Kết quả kiểm tra trả lại báo cáo chậm hơn {hours:g} giờ, lần cuối lúc {shown(decided_at)} / "
            f"reports were returned later than {hours:g} hours after their receipt, the last at {shown(decided_at)}",
            "scoring",
            obligations=tuple(sorted({row.obligation for row in late})),
            evidence=({"reports": len(late), "due_at": kept(starts_at), "decided_at": kept(decided_at)},),
            cause="verdict",
        )
        await decisions.propose(tx, proposal, self._business.now(), self._grace)
        return True
