"""Scoring's copy of intake's registry: an older version never overwrites a newer one, and a change is planned for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import text

from services.scoring import tables
from services.scoring.obligations.deadlines import Agencies, Agency, Regime, Request, Unplanned
from shared.contract.events import AgencyRegistered, AgencyRegrouped, OfficerRegistered, RegimePublished, RequestIssued
from shared.contract.events.registry import Cutoff, Deadline
from shared.contract.hierarchy import Parents, ParentSince, Tree, parents_of
from shared.postgres.database import ReadTransaction, Transaction
from shared.projection import Projection

#: a changed agency is planned for again by the generator
AGENCIES = Projection(
    tables.agencies,
    AgencyRegistered,
    values={"parents": lambda agency: json.dumps(agency.model_dump(mode="json")["parents"])},
    on_change={"planned": "false"},
    own=("regrouped_at",),
    refilled=True,
)
REGROUPINGS = Projection(tables.regroupings, AgencyRegrouped)
OFFICERS = Projection(tables.officers, OfficerRegistered, refilled=True)
REGIMES = Projection(
    tables.regimes,
    RegimePublished,
    values={
        "cutoff": lambda regime: regime.cutoff.model_dump_json(),
        "deadline": lambda regime: regime.deadline.model_dump_json(),
    },
    refilled=True,
)
#: a request that was withdrawn is looked at again by the generator
REQUESTS = Projection(tables.requests, RequestIssued, on_change={"withdrawn": "false"}, refilled=True)

_UNPLAN = text("""
    DELETE FROM plans
     WHERE regime = ANY(CAST(:regimes AS text[])) OR period = ANY(CAST(:requests AS text[]))
""")

# However long the deadlines lie behind: what was counted late follows a later one too. A relief may have moved them.
_REPLAN = text("""
    UPDATE generation SET replan_from = least(replan_from, (
        SELECT min(least(o.deadline, CAST(o.terms->>'deadline' AS timestamptz))) FROM obligations AS o
         WHERE o.regime = ANY(CAST(:regimes AS text[]))
            OR (o.regime, o.period) IN (
                SELECT * FROM unnest(CAST(:request_regimes AS text[]), CAST(:requests AS text[])) AS named)
    ))
""")

_READ_REGIMES = text("""
    SELECT code, regime_version, frequency, effective_from, effective_to, submitter_kinds, submitters,
           CAST(cutoff AS text), CAST(deadline AS text), remind_working_days, certification,
           lock_after_working_days, submitters_except, submitter_parents, grace_working_days
      FROM regimes WHERE :all OR code = ANY(CAST(:codes AS text[])) ORDER BY code, regime_version
""")
_READ_AGENCIES = text("""
    SELECT code, kind, opened_on, closed_on, regrouped_at FROM agencies
     WHERE :all OR code = ANY(CAST(:codes AS text[])) ORDER BY code
""")
# another record of any agency, or another moment at which its groups changed, makes another sum
_MARKS = text("""
    SELECT count(*), COALESCE(sum(hashtextextended(concat_ws(' ', code, regrouped_at), version)), 0) FROM agencies
""")
_READ_TREE = text("SELECT code, parent, CAST(parents AS text) FROM agencies")
# The named ones and everybody who ever stands above them.
_READ_ABOVE = text("""
    WITH RECURSIVE up AS (
        SELECT code, parent, parents FROM agencies WHERE code = ANY(CAST(:codes AS text[]))
        UNION
        SELECT a.code, a.parent, a.parents FROM up JOIN agencies AS a ON a.code = up.parent
            OR a.code IN (SELECT later->>'code' FROM jsonb_array_elements(up.parents) AS later) )
    SELECT code, parent, CAST(parents AS text) FROM up
""")
_GROUPS = text("""
    SELECT code, kind, parent, CAST(parents AS text) FROM agencies
     WHERE code = ANY(CAST(:codes AS text[])) ORDER BY code FOR UPDATE
""")
# Those who ever stand below the named ones, whom every change above concerns.
_BELOW = """
    WITH RECURSIVE edges AS MATERIALIZED (
        SELECT parent AS above, code FROM agencies WHERE parent IS NOT NULL
        UNION ALL SELECT later->>'code', code FROM agencies CROSS JOIN jsonb_array_elements(parents) AS later
    ), below AS (
        SELECT unnest(CAST(:codes AS text[])) AS code
        UNION SELECT edges.code FROM below JOIN edges ON edges.above = below.code
    )
"""
_REPLAN_BELOW = text(f"""
    {_BELOW} UPDATE agencies SET planned = false WHERE code IN (SELECT code FROM below) AND planned
""")  # noqa: S608 - constants
_REGROUP = text("""
    UPDATE agencies SET planned = false, regrouped_at = :now WHERE code = ANY(CAST(:codes AS text[]))
""")
_REGROUP_BELOW = text(f"""
    {_BELOW} UPDATE agencies SET planned = false, regrouped_at = :now WHERE code IN (SELECT code FROM below)
""")  # noqa: S608 - constants
_ANY_REGROUPED = text("SELECT EXISTS (SELECT FROM regroupings)")
# By what intake told of them and of those who ever stand above them; what scoring heard later stays.
_REGROUP_AS_TOLD = text(f"""
    {_BELOW}, up AS (
        SELECT code, code AS above FROM below
        UNION SELECT up.code, edges.above FROM up JOIN edges ON edges.code = up.above
    ), told AS (
        SELECT up.code, max(CASE WHEN up.above = up.code THEN r.at ELSE r.moved_at END) AS at
          FROM up JOIN regroupings AS r ON r.agency = up.above GROUP BY up.code
    )
    UPDATE agencies SET planned = false, regrouped_at = told.at FROM told
     WHERE agencies.code = told.code AND told.at IS NOT NULL
       AND (agencies.regrouped_at IS NULL OR agencies.regrouped_at < told.at)
""")  # noqa: S608 - constants
_READ_REQUESTS = text("""
    SELECT request_id, regime, issued_at, deadline, agencies, withdrawn_at
      FROM requests WHERE :all OR request_id = ANY(CAST(:ids AS text[])) ORDER BY request_id
""")
_CHANGES = text("SELECT code, sum(version) FROM regimes WHERE code = ANY(CAST(:codes AS text[])) GROUP BY code")
_HOLD_REQUESTS = text("""
    SELECT FROM requests WHERE request_id = ANY(CAST(:ids AS text[])) ORDER BY request_id FOR SHARE
""")
_REQUEST_VERSIONS = text("SELECT request_id, version FROM requests WHERE request_id = ANY(CAST(:ids AS text[]))")
# The officer named for the regime goes before one who answers for all; ties by id, so that the answer is one.
_READ_OFFICERS = text("""
    SELECT DISTINCT ON (asked.agency, asked.regime) asked.agency, asked.regime, f.officer_id
      FROM unnest(CAST(:agencies AS text[]), CAST(:regimes AS text[])) AS asked (agency, regime)
      JOIN officers AS f ON f.agency = asked.agency AND f.active AND f.role = 'reporting_officer'
       AND (f.regimes = '{}' OR asked.regime = ANY(f.regimes))
     ORDER BY asked.agency, asked.regime, f.regimes = '{}', f.officer_id
""")
_CLOSINGS = text("""
    SELECT code, closed_on, heir FROM agencies WHERE code = ANY(CAST(:codes AS text[])) AND closed_on IS NOT NULL
""")
_LOOK_AGAIN = text("""
    UPDATE agencies SET planned = false
     WHERE code = ANY(CAST(:codes AS text[])) AND (closed_on IS NOT NULL OR regrouped_at IS NOT NULL) AND planned
""")

_TO_WITHDRAW = text("""
    SELECT request_id, withdrawn_at FROM requests WHERE withdrawn_at IS NOT NULL AND NOT withdrawn
     ORDER BY request_id LIMIT :limit FOR UPDATE SKIP LOCKED
""")
_WITHDRAWN = text("UPDATE requests SET withdrawn = true WHERE request_id = ANY(CAST(:ids AS text[]))")


@dataclass(frozen=True, slots=True)
class Closing:
    """When an agency closes, its last day, and who owes then what is open (None: nobody)."""

    closed_on: date
    heir: str | None


async def read_closings(tx: ReadTransaction, codes: Sequence[str]) -> dict[str, Closing]:
    """Those of these agencies that close."""
    return {row[0]: Closing(row[1], row[2]) for row in await tx.execute(_CLOSINGS, {"codes": list(codes)})}


async def look_again(tx: Transaction, codes: Iterable[str]) -> None:
    """Have the generator look again at what those of these agencies still owe that close, or came to other groups."""
    wanted = sorted(set(codes))
    if wanted:
        await tx.execute(_LOOK_AGAIN, {"codes": wanted})


async def save_agencies(tx: Transaction, agencies: Sequence[AgencyRegistered], now: datetime) -> None:
    """Keep these records. Whose kind or parents change, and who is below them, is planned for again at `now`."""
    if not agencies:
        return
    rows = await tx.execute(_GROUPS, {"codes": sorted({agency.code for agency in agencies})})
    before = {row[0]: (row[1], _parents(row[2], row[3])) for row in rows}
    changed = await AGENCIES.save_telling(tx, agencies)
    after = {agency.code: (agency.kind, parents_of(agency.parent, agency.parents)) for agency in changed}
    regrouped = sorted(code for code in after.keys() & before.keys() if after[code] != before[code])
    moved = [code for code in regrouped if after[code][1] != before[code][1]]
    if regrouped:
        await tx.execute(_REGROUP, {"codes": regrouped, "now": now})
    if moved:
        await tx.execute(_REGROUP_BELOW, {"codes": moved, "now": now})
    if appeared := sorted(after.keys() - before.keys()):  # those below came first, and seemed to have nobody above
        await tx.execute(_REPLAN_BELOW, {"codes": appeared})
        if (await tx.execute(_ANY_REGROUPED)).scalar_one():
            await tx.execute(_REGROUP_AS_TOLD, {"codes": appeared})


async def save_regroupings(tx: Transaction, told: Sequence[AgencyRegrouped]) -> None:
    """Keep when these agencies changed, so that a copy that is made anew owes nothing that was due by then."""
    if told and (changed := await REGROUPINGS.save_telling(tx, told)):
        await tx.execute(_REGROUP_AS_TOLD, {"codes": sorted(regrouped.agency for regrouped in changed)})


async def unplan(tx: Transaction, regimes: Sequence[RegimePublished], requests: Sequence[RequestIssued]) -> None:
    """Have the generator look at the periods of these regimes and requests again."""
    if regimes or requests:
        parameters = {
            "regimes": sorted({regime.code for regime in regimes}),
            "requests": [request.request_id for request in requests],
        }
        await tx.execute(_UNPLAN, parameters)
        await replan_behind(tx, parameters | {"request_regimes": [request.regime for request in requests]})


async def replan_behind(tx: Transaction, changed: Mapping[str, Sequence[str]]) -> None:
    """Have the generator go back to the earliest deadline of what exists of these regimes and requests."""
    await tx.execute(_REPLAN, dict(changed))


async def read_regimes(
    tx: ReadTransaction, codes: Sequence[str] | None = None, *, unreadable: list[Unplanned] | None = None
) -> dict[str, list[Regime]]:
    """All versions of these regimes (None: of all), by code.

    A regime with a version that cannot be read is left out whole and named in `unreadable`: without that version an
    older one would seem to govern.
    """
    found: dict[str, list[Regime]] = {}
    broken: list[Unplanned] = []
    for row in await tx.execute(_READ_REGIMES, {"all": codes is None, "codes": list(codes or ())}):
        try:
            found.setdefault(row[0], []).append(_regime(row))
        except ValueError as error:
            broken.append(Unplanned(row[0], row[1], "*", f"{type(error).__name__}: {error}"[:500]))
    for unplanned in broken:
        found.pop(unplanned.regime, None)
    if unreadable is not None:
        unreadable += broken
    return found


async def regime_changes(tx: ReadTransaction, codes: Sequence[str]) -> dict[str, int]:
    """A number for each regime that grows with every record of it that arrives, new version or replaced one."""
    return {row[0]: int(row[1]) for row in await tx.execute(_CHANGES, {"codes": list(codes)})}


async def request_versions(tx: ReadTransaction, ids: Sequence[str]) -> dict[str, int]:
    """The version of each request's record."""
    return {row[0]: row[1] for row in await tx.execute(_REQUEST_VERSIONS, {"ids": list(ids)})}


async def read_agencies(tx: ReadTransaction, codes: Sequence[str] | None = None) -> dict[str, Agency]:
    """These agencies (None: all), by code."""
    rows = await tx.execute(_READ_AGENCIES, {"all": codes is None, "codes": list(codes or ())})
    return {row[0]: Agency(*row) for row in rows}


async def read_everybody(tx: ReadTransaction) -> Agencies:
    """All agencies, and who stands above each."""
    return Agencies(await read_agencies(tx), await read_tree(tx))


class Everybody:
    """Gives all agencies as the transaction has them; reads them anew only when a record is another than last time.

    The generator goes through a nation a hundred agencies at a time: reading all for each would grow with the square.
    """

    def __init__(self) -> None:
        self._kept: tuple[object, Agencies] | None = None

    async def read(self, tx: ReadTransaction) -> Agencies:
        count, marks = (await tx.execute(_MARKS)).one()
        if self._kept is None or self._kept[0] != (count, marks):
            self._kept = (count, marks), await read_everybody(tx)
        return self._kept[1]


async def read_tree(tx: ReadTransaction, codes: Sequence[str] | None = None) -> Tree:
    """Who stands above these agencies (None: all), up to the top."""
    rows = await tx.execute(
        _READ_TREE if codes is None else _READ_ABOVE, {} if codes is None else {"codes": list(codes)}
    )
    return Tree({row[0]: _parents(row[1], row[2]) for row in rows})


async def read_requests(tx: ReadTransaction, ids: Sequence[str] | None = None) -> dict[str, Request]:
    """These requests (None: all), by id."""
    rows = await tx.execute(_READ_REQUESTS, {"all": ids is None, "ids": list(ids or ())})
    return {row[0]: Request(row[0], row[1], row[2], row[3], tuple(row[4]), row[5]) for row in rows}


async def hold_requests(tx: Transaction, ids: Sequence[str]) -> None:
    """Have newer records of these requests wait until this transaction ends. Call it before they are read.

    An obligation that is made of a request would else be missed by what follows its withdrawal, and be owed for ever.
    """
    await tx.execute(_HOLD_REQUESTS, {"ids": list(ids)})


async def requests_to_withdraw(tx: Transaction, limit: int) -> dict[str, datetime]:
    """Withdrawn requests of which something may still be owed, locked: by id, and when they were withdrawn."""
    rows = await tx.execute(_TO_WITHDRAW, {"limit": limit})
    return {row.request_id: row.withdrawn_at for row in rows}


async def requests_withdrawn(tx: Transaction, ids: Sequence[str]) -> None:
    """Remember that the obligations of these requests have been gone through."""
    if ids:
        await tx.execute(_WITHDRAWN, {"ids": list(ids)})


async def reporting_officers(tx: ReadTransaction, asked: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """(agency, regime) -> the id of the reporting officer who answers for it, where there is one."""
    if not asked:
        return {}
    agencies, regimes = zip(*sorted(set(asked)), strict=True)
    rows = await tx.execute(_READ_OFFICERS, {"agencies": list(agencies), "regimes": list(regimes)})
    return {(row[0], row[1]): row[2] for row in rows}


def _parents(first: str | None, later: str) -> Parents:
    above = (ParentSince(date.fromisoformat(since["since"]), since["code"]) for since in json.loads(later))
    return Parents(first, tuple(above))


def _regime(row: Sequence[Any]) -> Regime:
    effective_from: date = row[3]
    return Regime(
        row[0], row[1], row[2], effective_from, row[4], tuple(row[5]), tuple(row[6]),
        Cutoff.model_validate_json(row[7]), Deadline.model_validate_json(row[8]), row[9], row[10], row[11],
        tuple(row[12]), tuple(row[13]), row[14],
    )  # fmt: skip
