"""Plans become obligations by one INSERT per batch of plans; doing it again changes nothing.

An obligation about which nothing has come and nobody was reminded follows a new regime version or request; a deadline
that people were told of is not moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from services.scoring.obligations.deadlines import Plan
from shared.contract.events import ObligationOpened, obligation_key
from shared.postgres.database import Reading, Transaction

_PLAN_COLUMNS = """
    CAST(:regime AS text[]), CAST(:regime_version AS int[]), CAST(:period AS text[]), CAST(:cutoff_from AS date[]),
    CAST(:cutoff_to AS date[]), CAST(:opens_at AS timestamptz[]), CAST(:deadline AS timestamptz[]),
    CAST(:remind_at AS timestamptz[]), CAST(:calendar_version AS text[]), CAST(:policy_version AS text[])
"""
_PLAN_NAMES = """regime, regime_version, period, cutoff_from, cutoff_to, opens_at, deadline, remind_at,
    calendar_version, policy_version"""
_TOLD = """obligation, agency, regime, regime_version, period, deadline, version, opens_at, cutoff_from, cutoff_to,
    calendar_version"""

_FIRST_VERSION = "coalesce((SELECT first_version FROM generation), 1)"

# who owes: shared/contract/addressing.py, in SQL; test_owing.py holds the one to the other
_GENERATE = text(f"""
    INSERT INTO obligations (obligation, agency, {_PLAN_NAMES}, generated_at, version, owed)
    SELECT a.code || '/' || p.regime || '/' || p.period, a.code, p.regime, p.regime_version, p.period, p.cutoff_from,
           p.cutoff_to, p.opens_at, p.deadline, p.remind_at, p.calendar_version, p.policy_version, :now,
           {_FIRST_VERSION}, true
      FROM unnest({_PLAN_COLUMNS}, CAST(:exists_from AS date[]), CAST(:due_on AS date[]))
           AS p ({_PLAN_NAMES}, exists_from, due_on)
      JOIN regimes AS r ON r.code = p.regime AND r.regime_version = p.regime_version
      LEFT JOIN requests AS q ON q.request_id = p.period AND q.regime = p.regime
      JOIN agencies AS a
        ON a.opened_on <= p.exists_from AND (a.closed_on IS NULL OR a.closed_on >= p.due_on)
       AND CASE WHEN cardinality(q.agencies) > 0 THEN a.code = ANY(q.agencies)
                ELSE a.kind = ANY(r.submitter_kinds) OR a.code = ANY(r.submitters) END
     WHERE :everybody OR a.code = ANY(CAST(:codes AS text[]))
     ORDER BY 1
    ON CONFLICT (obligation) DO UPDATE SET
        regime_version = excluded.regime_version, cutoff_from = excluded.cutoff_from, cutoff_to = excluded.cutoff_to,
        opens_at = excluded.opens_at, deadline = excluded.deadline, remind_at = excluded.remind_at,
        calendar_version = excluded.calendar_version, policy_version = excluded.policy_version, owed = true,
        version = obligations.version + 1
     WHERE (obligations.regime_version <> excluded.regime_version OR NOT obligations.owed
            OR (obligations.cutoff_to IS NULL AND obligations.deadline <> excluded.deadline))
       AND obligations.received_version = 0 AND obligations.due_soon_at IS NULL AND obligations.overdue_at IS NULL
    RETURNING {_TOLD}
""")  # noqa: S608 - constants
_DEMAND = text(f"""
    INSERT INTO obligations (obligation, agency, {_PLAN_NAMES}, generated_at, version, owed)
    SELECT n.agency || '/' || n.regime || '/' || n.period, n.agency, n.regime, n.regime_version, n.period,
           n.cutoff_from, n.cutoff_to, n.opens_at, n.deadline, n.remind_at, n.calendar_version, n.policy_version,
           n.generated_at, {_FIRST_VERSION}, n.owed
      FROM unnest({_PLAN_COLUMNS}, CAST(:agency AS text[]), CAST(:generated_at AS timestamptz[]),
                  CAST(:owed AS boolean[])) AS n ({_PLAN_NAMES}, agency, generated_at, owed)
     ORDER BY 1
    ON CONFLICT (obligation) DO NOTHING
    RETURNING {_TOLD}, generated_at, owed
""")  # noqa: S608
_MISSING = text("""
    SELECT p.regime, p.period
      FROM unnest(CAST(:regime AS text[]), CAST(:period AS text[]), CAST(:regime_version AS int[]))
           AS p (regime, period, regime_version)
      LEFT JOIN plans AS d ON d.regime = p.regime AND d.period = p.period AND d.regime_version = p.regime_version
     WHERE d.regime IS NULL
""")
_PLANNED = text("""
    INSERT INTO plans (regime, period, regime_version, calendar_version, obligations, planned_at)
    SELECT regime, period, regime_version, calendar_version, obligations, :now
      FROM unnest(CAST(:regime AS text[]), CAST(:period AS text[]), CAST(:regime_version AS int[]),
                  CAST(:calendar_version AS text[]), CAST(:obligations AS int[]))
           AS p (regime, period, regime_version, calendar_version, obligations)
    ON CONFLICT (regime, period) DO UPDATE SET regime_version = excluded.regime_version,
        calendar_version = excluded.calendar_version, obligations = excluded.obligations,
        planned_at = excluded.planned_at
""")
_FORGET = text("""
    DELETE FROM plans AS d USING unnest(CAST(:regime AS text[]), CAST(:period AS text[])) AS p (regime, period)
     WHERE d.regime = p.regime AND d.period = p.period
""")
_PROGRESS = text("""
    INSERT INTO generation (started_at, complete_at) VALUES (:now, :now)
    ON CONFLICT (one_row) DO UPDATE SET complete_at = generation.complete_at
    RETURNING started_at, complete_at
""")
_REBUILT = text("""
    INSERT INTO generation (started_at, complete_at, first_version)
    SELECT :started_at, :started_at, :first_version WHERE NOT EXISTS (SELECT FROM obligations)
    ON CONFLICT DO NOTHING
    RETURNING started_at
""")
_COMPLETE = text("UPDATE generation SET complete_at = greatest(complete_at, :now)")
_UNPLANNED = text("SELECT code FROM agencies WHERE NOT planned ORDER BY code LIMIT :limit FOR UPDATE SKIP LOCKED")
_AGENCIES_PLANNED = text("UPDATE agencies SET planned = true WHERE code = ANY(CAST(:codes AS text[]))")


@dataclass(frozen=True, slots=True)
class Opening:
    """A plan with the policy its deadline's day falls under."""

    plan: Plan
    policy_version: str


@dataclass(frozen=True, slots=True)
class Demand:
    """An obligation a report asks for before the generator made it. `owed` false: nobody asked for the report."""

    agency: str
    opening: Opening
    owed: bool
    at: datetime  # receipt of the report


async def progress(tx: Transaction, now: datetime) -> tuple[datetime, datetime]:
    """(first start, moment until which everything has been generated); both are now at the very first start."""
    row = (await tx.execute(_PROGRESS, {"now": now})).one()
    return row[0], row[1]


async def rebuild(tx: Transaction, started_at: datetime, first_version: int) -> bool:
    """Begin an empty database in place of a lost one. False where it is not empty."""
    parameters = {"started_at": started_at, "first_version": first_version}
    return (await tx.execute(_REBUILT, parameters)).first() is not None


async def complete(tx: Transaction, now: datetime) -> None:
    """Everything owed as seen at `now` has been generated."""
    await tx.execute(_COMPLETE, {"now": now})


async def unplanned_agencies(tx: Transaction, limit: int) -> list[str]:
    """Agencies that changed since their obligations were generated, locked."""
    return list((await tx.execute(_UNPLANNED, {"limit": limit})).scalars())


async def agencies_planned(tx: Transaction, codes: Sequence[str]) -> None:
    await tx.execute(_AGENCIES_PLANNED, {"codes": list(codes)})


async def not_yet_planned(tx: Reading, plans: Sequence[Plan]) -> list[Plan]:
    """Those of the plans that have not been generated for all agencies, in the order given."""
    if not plans:
        return []
    parameters = {name: [getattr(plan, name) for plan in plans] for name in ("regime", "period", "regime_version")}
    missing = {(row[0], row[1]) for row in await tx.execute(_MISSING, parameters)}
    return [plan for plan in plans if (plan.regime, plan.period) in missing]


async def forget(tx: Transaction, plans: Iterable[Plan]) -> None:
    """Have these plans generated again, for every agency."""
    pairs = [(plan.regime, plan.period) for plan in plans]
    if pairs:
        await tx.execute(_FORGET, {"regime": [each[0] for each in pairs], "period": [each[1] for each in pairs]})


async def generate(
    tx: Transaction, openings: Sequence[Opening], now: datetime, codes: Sequence[str] | None = None
) -> list[ObligationOpened]:
    """Generate the obligations of these plans, for all agencies or for some. Returns what to tell: new and changed."""
    if not openings:
        return []
    parameters = _plan_columns(openings) | {
        "exists_from": [opening.plan.exists_from for opening in openings],
        "due_on": [opening.plan.due_on for opening in openings],
        "everybody": codes is None,
        "codes": list(codes or ()),
        "now": now,
    }
    return [_opened(row, now) for row in await tx.execute(_GENERATE, parameters)]


async def planned(
    tx: Transaction, openings: Sequence[Opening], told: Iterable[ObligationOpened], now: datetime
) -> None:
    """Remember that these plans have been generated for every agency."""
    counts: dict[tuple[str, str], int] = {}
    for event in told:
        counts[event.regime, event.period] = counts.get((event.regime, event.period), 0) + 1
    parameters = {
        "regime": [opening.plan.regime for opening in openings],
        "period": [opening.plan.period for opening in openings],
        "regime_version": [opening.plan.regime_version for opening in openings],
        "calendar_version": [opening.plan.calendar_version for opening in openings],
        "obligations": [counts.get((opening.plan.regime, opening.plan.period), 0) for opening in openings],
    }
    await tx.execute(_PLANNED, parameters | {"now": now})


async def open_on_demand(tx: Transaction, demands: Sequence[Demand]) -> list[ObligationOpened]:
    """Insert obligations that reports asked for; what somebody else has just inserted stays. Returns what to tell."""
    if not demands:
        return []
    ordered = sorted(
        demands,
        key=lambda demand: obligation_key(demand.agency, demand.opening.plan.regime, demand.opening.plan.period),
    )
    parameters = _plan_columns([demand.opening for demand in ordered]) | {
        "agency": [demand.agency for demand in ordered],
        "owed": [demand.owed for demand in ordered],
        "generated_at": [demand.at for demand in ordered],
    }
    rows = await tx.execute(_DEMAND, parameters)
    return [_opened(row, row.generated_at) for row in rows if row.owed]


def _plan_columns(openings: Sequence[Opening]) -> dict[str, list[Any]]:
    names = ("regime", "regime_version", "period", "cutoff_from", "cutoff_to", "opens_at", "deadline", "remind_at",
             "calendar_version")  # fmt: skip
    columns: dict[str, list[Any]] = {name: [getattr(opening.plan, name) for opening in openings] for name in names}
    columns["policy_version"] = [opening.policy_version for opening in openings]
    return columns


def _opened(row: Any, at: datetime) -> ObligationOpened:
    return ObligationOpened(
        obligation=row.obligation,
        agency=row.agency,
        regime=row.regime,
        regime_version=row.regime_version,
        period=row.period,
        deadline=row.deadline,
        standing="nothing_sent",
        at=at,
        version=row.version,
        cutoff_from=row.cutoff_from,
        cutoff_to=row.cutoff_to,
        opens_at=row.opens_at,
        calendar_version=row.calendar_version,
    )


def key_of(demand: Demand) -> str:
    """The obligation's key."""
    return obligation_key(demand.agency, demand.opening.plan.regime, demand.opening.plan.period)
